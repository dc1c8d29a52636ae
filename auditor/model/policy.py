"""Policy documents: what people expect of a tenant (`schemas/policy.schema.json` is exported from here)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticKnownError

from auditor.model.diagnostic import did_you_mean
from auditor.model.document import Document, DurationText, Many

Severity = Literal["info", "low", "medium", "high", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "low", "medium", "high", "critical")
"""Severities, the least first."""

OnEmpty = Literal["pass", "fail", "error", "skip"]
OnMissing = Literal["fail", "pass", "skip"]
Form = Literal["every", "none", "some", "that"]
FORMS: Final[tuple[Form, ...]] = ("every", "none", "some", "that")

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$", max_length=128)]
"""Name of a pack or a check; stable, since reports are keyed by it."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""Name of a variable."""

TYPE_NAMES: Final = ("string", "integer", "number", "boolean", "duration", "timestamp")


def _type_name(text: str) -> str:
    inner = text
    while (match := re.fullmatch(r"(?:list|map)\((.*)\)", inner)) is not None:
        inner = match[1]
    if inner not in TYPE_NAMES:
        compound = f'did you mean "{inner}(string)"?' if inner in ("list", "map") else ""
        hint = compound or did_you_mean(inner, TYPE_NAMES)
        raise ValueError(
            f'"{text}" is no type of a variable ({", ".join(TYPE_NAMES)}, list(T), map(T)); {hint}'
        )
    return text


TypeName = Annotated[
    str,
    AfterValidator(_type_name),
    Field(json_schema_extra={"pattern": rf"^((list|map)\()*({'|'.join(TYPE_NAMES)})\)*$"}),
]
"""Type of a variable: string, integer, number, boolean, duration, timestamp, list(T) or map(T)."""


class Pack(Document):
    """The pack that the file belongs to; several files may belong to one."""

    id: Identifier
    title: str = ""
    description: str = ""


class Validation(Document):
    """What a variable's value must satisfy."""

    condition: str
    """JMESPath over the value; must be `true`."""
    message: str
    """What to tell the user where it is not."""


class Variable(Document):
    """A value that the user of a pack gives. Without a default it must be given."""

    type: TypeName
    description: str = ""
    default: Any = None
    sensitive: bool = False
    """Never printed, logged, pushed to a URL or written to any document."""
    validation: Validation | None = None

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return "default" not in self.model_fields_set


class Last(Document):
    """A window that ends now: `{last: 30d, align: day, timezone: Europe/Berlin}`."""

    last: DurationText
    align: Literal["hour", "day", "week", "month"] | None = None
    """Cut both ends to whole hours, days, ISO weeks or months."""
    timezone: str = "UTC"
    """IANA time zone of the alignment."""


class Between(Document):
    """A window between two instants, the first included: `{from: 2026-01-01, to: 2026-02-01}`."""

    model_config = ConfigDict(populate_by_name=True)

    start: Annotated[str, Field(alias="from")]
    """ISO 8601; a date is its midnight in UTC."""
    end: Annotated[str, Field(alias="to")]
    """ISO 8601, excluded."""


def _window_tag(value: object) -> str:
    if isinstance(value, str):
        return "text"
    return "last" if isinstance(value, dict) and "last" in value else "between"


WindowDocument = Annotated[
    Annotated[str, Tag("text")] | Annotated[Last, Tag("last")] | Annotated[Between, Tag("between")],
    Discriminator(_window_tag),
]
"""`hot`, a duration such as `24h`, `14d` or `12mo`, or a mapping with `last` or with `from` and `to`."""


class Query(Document):
    """
    Which records a check is about: the population.

    Keys beyond those below are options of the resource, such as `sampling`: see `auditor schema`.
    """

    model_config = ConfigDict(extra="allow")

    resource: str
    """Resource kind, such as `activities`."""
    window: WindowDocument | None = None
    where: str | None = None
    """SCIM filter (RFC 7644, section 3.4.2.2). Every operator works, whatever the endpoint supports."""
    include_partial: bool = False
    """Count the period that is still running too: a sound lower bound, right for "at most"."""
    on_empty: OnEmpty | None = None
    """What no records count as, unless the check says; the default comes from the resource."""

    @property
    def options(self) -> dict[str, Any]:
        """The resource's own options, as given."""
        return dict(self.model_extra or {})


class Expectation(Document):
    """What must hold of the population: exactly one of `every`, `none`, `some`, `that`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [form]} for form in FORMS]})

    every: str | None = None
    """JMESPath on each record; where it is false, the record is a violation."""
    none: str | None = None
    """JMESPath on the whole list; each item that it yields is a violation."""
    some: str | None = None
    """JMESPath on the whole list; it must yield at least one item."""
    that: str | None = None
    """JMESPath on the whole list, or on `{name: [...]}` of several queries; it must be `true`."""
    over: Name | None = None
    """Of several queries, the one whose records it is about."""
    message: str | None = None
    """What to say of a violation; `{EXPRESSION}` is evaluated on the item, `${var.x}` is inserted."""
    severity: Severity | None = None
    """Other than the check's."""
    on_missing: OnMissing | None = None
    """What a record counts as on which the expression can not be decided; without it that is an error."""
    on_empty: OnEmpty | None = None
    """What an empty population counts as; the default comes from the resource."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [form for form in FORMS if getattr(self, form) is not None]
        if len(given) != 1:
            found = f", not {' and '.join(given)}" if given else ""
            raise ValueError(f"give exactly one of {', '.join(FORMS)}{found}")
        return self

    @property
    def form(self) -> Form:
        """Which of the four it is."""
        return next(form for form in FORMS if getattr(self, form) is not None)

    @property
    def expression(self) -> str:
        """The expression of its form."""
        text: str = getattr(self, self.form)
        return text


EVERY_ITEM: Final = "[]"
"""The expression behind the short forms `expect: none` and `expect: some`: each record itself."""


def _expectations(value: object) -> object:
    """Write the short forms out: `none`, `some`, and a text, which is `that`."""
    if isinstance(value, list):
        return [_long_form(item) for item in value]
    return [_long_form(value)]


def _long_form(value: object) -> object:
    if value in ("none", "some"):
        return {str(value): EVERY_ITEM}
    return {"that": value} if isinstance(value, str) else value


Expectations = Annotated[
    tuple[Expectation, ...],
    BeforeValidator(_expectations, json_schema_input_type=str | Expectation | list[str | Expectation]),
    Field(strict=False, min_length=1),
]


def _by_name(value: object) -> object:
    """Write a list of shared queries out: each under its own name."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: name for name in value}
    return value


Queries = Annotated[
    dict[Name, str | Query],
    BeforeValidator(_by_name, json_schema_input_type=dict[Name, str | Query] | list[Name]),
    Field(min_length=1),
]
"""Queries by name, each written out or the name of a shared one; or a list of shared ones."""


class Requirements(Document):
    """What a check needs beside what PingOne answers."""

    archive: DurationText
    """How far the given records must reach back for the check to be judged."""


def _one_source(query: object, checked: ValidationInfo) -> object:
    """Demand one of `query` and `queries`, beside whatever else is wrong with the check."""
    if query is None and checked.data.get("queries", ...) is None:
        raise PydanticKnownError("missing")
    if query is not None and checked.data.get("queries") is not None:
        raise ValueError("give query or queries, not both")
    return query


class Check(Document):
    """One thing that must hold, with one verdict."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["query"]}, {"required": ["queries"]}]}
    )

    title: str
    description: str = ""
    """Why it matters."""
    blind_spots: str = ""
    """What can be wrong although the check passes."""
    severity: Severity = "medium"
    controls: dict[str, Many[str]] = {}
    """Criteria by framework: `soc2: [CC6.1]`. See `auditor schema frameworks`."""
    tags: Many[str] = ()
    queries: Queries | None = None
    """Several queries that are joined: expectations name theirs in `over`, or see `{name: [...]}`."""
    query: Annotated[str | Query | None, AfterValidator(_one_source)] = Field(None, validate_default=True)
    """Which records it is about; or the name of a shared query."""
    requires: Literal["archive"] | Requirements | None = None
    """
    `archive`: it is about more than PingOne holds at once, so it is judged on given records alone (`--records`),
    and skipped where they do not reach over its windows; `{archive: 15d}` where they do not reach back so far.
    """
    bind: dict[Name, str] = {}
    """Values found in the records of `queries`: JMESPath on `{name: [...]}`, then a literal `${bind.name}`."""
    expect: Expectations
    message: str | None = None
    """The message of every expectation that has none of its own."""
    on_missing: OnMissing | None = None
    """The same for `on_missing`."""
    on_empty: OnEmpty | None = None
    """The same for `on_empty`."""
    remediation: str = ""
    """What to do about a violation."""
    references: Many[str] = ()


class PolicyFile(Document):
    """A policy file."""

    version: Literal[1]
    pack: Pack
    variables: dict[Name, Variable] = {}
    locals: dict[Name, str] = {}
    """Values made from others: JMESPath over `${var.x}` and `${local.x}`, then a literal `${local.name}`."""
    queries: dict[Name, Query] = {}
    """Queries that checks of this file share by name."""
    checks: Annotated[dict[Identifier, Check], Field(min_length=1)]
