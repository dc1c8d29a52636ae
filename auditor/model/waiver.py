"""Waivers: failures that somebody answers for, each with its reason and its end (`waivers.yaml`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from auditor.model.source import Address

WaiverKind = Literal["exception", "disposition"]
"""`exception`: any violation of a check for a time; `disposition`: named records, reviewed once and for all."""

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

    def covers(self, day: date) -> bool:
        """Tell whether it holds on a day."""
        return (self.starts is None or self.starts <= day) and not self.is_expired(day)

    def is_expired(self, day: date) -> bool:
        """Tell whether its last day is over."""
        return self.expires is not None and self.expires < day


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
