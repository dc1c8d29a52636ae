"""Waivers: failures that somebody answers for, each with its reason and its end (`waivers.yaml`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from auditor.model.document import Document, DurationText, Many, Said
from auditor.model.policy import Identifier, Severity
from auditor.model.source import Address

WaiverKind = Literal["exception", "disposition"]
"""`exception`: any violation of a check for a time; `disposition`: named records, reviewed once and for all."""

BASELINE: Final = "baseline"
"""What covers a violation that an earlier run found too, where only what is new counts."""

_CHECK: Final = r"^[^/]+/[^/]+$"
_DATE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def _check(text: str) -> str:
    if not re.fullmatch(_CHECK, text):
        raise ValueError(f'"{text}" is no check; name it as PACK/ID')
    return text


def _date(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        if not re.fullmatch(_DATE, value):
            raise ValueError
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(f'"{value}" is no date such as 2026-12-31') from None


Date: TypeAlias = Annotated[
    date, BeforeValidator(_date), WithJsonSchema({"type": "string", "format": "date", "pattern": _DATE})
]
"""A day in UTC, such as `2026-12-31`."""


class WaiverDocument(Document):
    """A failure that somebody answers for."""

    kind: WaiverKind
    """`exception`: violations until a day; `disposition`: named records, reviewed once and for all."""
    check: Annotated[str, AfterValidator(_check), Field(json_schema_extra={"pattern": _CHECK})]
    """The check, as `PACK/ID`."""
    environments: Annotated[Many[str], Field(min_length=1)]
    """The environments in which it holds."""
    where: str | None = None
    """SCIM filter on the violating record; without it every violation is covered."""
    records: Many[str] = ()
    """Of a disposition: the violating records, by identity."""
    reason: Said
    approved_by: Said
    ticket: Said
    starts: Date | None = None
    """Of an exception: its first day (UTC)."""
    expires: Date | None = None
    """Of an exception: its last day (UTC), included."""


class WaiversFile(Document):
    """The file `waivers.yaml`."""

    version: Literal[1]
    waivers: dict[Identifier, WaiverDocument] = {}
    """Waivers by name."""


class WaiverPolicy(Document):
    """What a project allows to be waived, and by whom."""

    approvers: Many[str] = ()
    """Who may approve; anybody, if nobody is named."""
    max_duration: dict[Severity, DurationText] = {}
    """Longest time of an exception, by severity of what it covers: `{high: 90d}`."""
    forbid: Many[Severity] = ()
    """Severities of which nothing may be waived."""


WaiverState = Literal["active", "expired", "unused", "not begun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """
    A waiver as a run applies it.

    `check` is `PACK/ID`. `starts` and `expires` are dates in UTC, both included; a disposition has neither, and
    names its `records` by identity. `where` is a SCIM filter on the violating record, empty for all.
    """

    name: str
    kind: WaiverKind
    check: str
    environments: tuple[str, ...]
    reason: str
    approved_by: str
    ticket: str
    where: str = ""
    records: tuple[str, ...] = ()
    starts: date | None = None
    expires: date | None = None
    address: Address | None = None

    def state(self, day: date) -> Literal["active", "expired", "not begun"]:
        """Return how it stands on a day (UTC)."""
        if self.starts is not None and day < self.starts:
            return "not begun"
        return "expired" if self.expires is not None and self.expires < day else "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverUse:
    """
    What became of a waiver in a run.

    `matched` counts the violations that it is about, whether it holds on the day or not. `unused` is an
    exception that holds and matched nothing although all that it is about was judged.
    """

    waiver: Waiver
    state: WaiverState
    matched: int = 0
