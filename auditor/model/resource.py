"""
Resource kinds: one PingOne endpoint each, as data.

A kind is a file `schemas/resources/<kind>.yaml`. The models here say what such a file may hold; the JSON
Schema `schemas/resource.schema.json` is exported from them. No stage knows an endpoint by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, PrivateAttr, model_validator

from auditor.model.document import Document, DurationText, JSONSchema, Many
from auditor.model.instant import Duration
from auditor.model.value import JSON

Operator = Literal["eq", "ne", "co", "sw", "ew", "pr", "gt", "ge", "lt", "le", "in"]
"""Operators of SCIM filters (RFC 7644, section 3.4.2.2) and PingOne's `in`."""

FieldPath = Annotated[str, Field(pattern=r"^[A-Za-z_$][\w$-]*(\.[A-Za-z_$][\w$-]*)*$")]
"""A dotted path into a record; it walks into every element of an array on its way."""


Mark = Literal["proven", "documented"]
"""
How sure it is that an endpoint accepts a shape of filter: seen to work in recorded traffic or in clients in
production, or only promised by the documentation.
"""


class Attribute(Document):
    """One attribute that the endpoint's filter knows."""

    type: Literal["string", "number", "boolean", "instant"] = "string"
    """How its values compare."""
    operators: Many[Operator]
    """The operators that the endpoint supports for it."""
    path: FieldPath | None = None
    """Where its values stand in a record; absent: the server knows it and the record does not show it."""
    case_exact: bool = True
    """Whether `a` and `A` differ (RFC 7643, section 2.2)."""
    values: Many[str] = ()
    """Known values. A literal in a policy must be one of them, or be listed in `accept_values`."""
    aliases: Many[str] = ()
    """Other names that documentation uses for the attribute."""
    personal: bool = False
    """Its values name a person: such a filter goes into a request body, not into a URL, where that can be."""


class Slot(Document):
    """One place of a shape: comparisons `eq` with one attribute."""

    attribute: str
    """Name of an attribute of the filter."""
    any_of: bool = False
    """Whether an `or` of several values may stand there instead of one value."""


class Shape(Document):
    """A conjunction that the endpoint accepts beside the range of its window."""

    all: Many[Slot]
    """The places, all of which have to be filled."""
    mark: Mark
    """`proven`: seen to work in recorded traffic or in clients in production; `documented`: only promised."""
    source: str
    """Where it was seen or is promised."""


class Filter(Document):
    """What the endpoint's filter can do."""

    parameter: str = "filter"
    """Query parameter that carries the filter."""
    attributes: dict[str, Attribute]
    """What the filter knows, by name."""
    shapes: Many[Shape] = ()
    """What may be pushed to the server, the most selective first."""
    disjunction: Mark | None = None
    """How sure it is that an `or` of different shapes is accepted; absent: it is not."""

    _folded: tuple[object, dict[str, str]] = PrivateAttr(default=(None, {}))
    """The attributes that the names were folded from, since a changed copy keeps what its original knew, and these."""

    def canonical(self, name: str) -> str | None:
        """Return the canonical name of an attribute by its name or an alias in any case."""
        if self._folded[0] is not self.attributes:
            names = {
                written.casefold(): canonical
                for canonical, attribute in reversed(self.attributes.items())
                for written in (*attribute.aliases, canonical)
            }
            self._folded = (self.attributes, names)
        return self._folded[1].get(name.casefold())


class Bound(Document):
    """A comparison that carries one end of the window."""

    attribute: str
    """Attribute of the filter."""
    operator: Operator
    """Its comparison with the instant: ge, gt or eq for the start, lt, le or eq for the end."""


class WindowRule(Document):
    """How a window of time is asked for."""

    start: Bound
    end: Bound | None = None
    """Absent: the endpoint always answers up to now."""
    end_included: bool = False
    """Whether the endpoint counts the moment of the end as inside, and so answers the period that begins there."""
    longest: DurationText | None = None
    """The longest span that one query may ask for."""


class Period(Document):
    """How long a bucket is: the value of an option, looked up or multiplied."""

    option: str
    """The option that says how long a bucket is."""
    lengths: dict[str, DurationText] = {}
    """Length by the option's value."""
    unit: DurationText | None = None
    """Length of one unit, where the option is a number."""

    @model_validator(mode="after")
    def _either(self) -> Self:
        if bool(self.lengths) == bool(self.unit):
            raise ValueError("give either lengths or unit")
        return self

    def length(self, value: object) -> Duration:
        """Return the length of one bucket for a value of the option."""
        if self.unit is None:
            return Duration.parse(self.lengths[str(value)])
        unit = Duration.parse(self.unit)
        if not isinstance(value, int):
            raise TypeError(f"{value!r} is no number of {unit}")
        return Duration(unit.months * value, unit.seconds * value)


class Buckets(Document):
    """Records that each count a period of time instead of reporting an event."""

    start: FieldPath
    """Field that holds the first moment of the period."""
    end: FieldPath | None = None
    """Absent: a record shows only when its period began."""
    end_inclusive: bool = False
    """Whether `end` is the period's last moment (23:59:59) and not the next period's first."""
    period: Period
    open_ended: bool = False
    """Whether the answer's last period may still be running."""
    edges: Literal["calendar", "query"] = "calendar"
    """Whether periods are those of the UTC calendar, or are counted from the start of the query."""


class Option(Document):
    """A setting of the endpoint that a policy's `query` may give."""

    summary: str
    """What it means, in one sentence."""
    type: Literal["string", "integer"]
    """What a value is."""
    values: Many[str] = ()
    """Every value that the endpoint takes; empty: any."""
    minimum: int | None = None
    """The least number."""
    maximum: int | None = None
    """The greatest number."""
    default: str | int
    """The value where a policy gives none."""
    aliases: dict[str, str | int] = {}
    """Other spellings, with the value that each stands for."""
    refused: dict[str, str] = {}
    """Values that look right and are not, with what to do instead."""
    parameter: str | None = None
    """Query parameter that carries it."""
    attribute: str | None = None
    """Filter attribute that carries it, with `eq`."""

    @model_validator(mode="after")
    def _carried_once(self) -> Self:
        if self.parameter is not None and self.attribute is not None:
            raise ValueError("give either parameter or attribute")
        if self.parameter is None and self.attribute is None and len(self.values) != 1:
            raise ValueError(
                "give either parameter or attribute, or the one value that the endpoint always has"
            )
        return self


class Limit(Document):
    """How a page size is asked for."""

    parameter: str = "limit"
    """Query parameter that carries the size."""
    minimum: int = 1
    """The smallest size."""
    default: int
    """The size that is asked for; the server may answer with smaller pages."""
    maximum: int | None = None
    """Absent: the documentation names none."""
    by_option: dict[str, dict[str, int]] = {}
    """Other defaults, by option and its value."""


class PageRule(Document):
    """How the collection is paged."""

    items: FieldPath | None
    """Where the records of a page stand; null: the answer is itself the one record that there is."""
    index: FieldPath | None = None
    """
    Parameter that holds the place of a page's first record, counted from 1, where pages are asked for by
    place and not by links (RFC 7644, section 3.4.2.4).
    """
    next: FieldPath | None = "_links.next.href"
    """Where the link to the next page stands; null: there are no links."""
    back: Many[FieldPath] = ("_links.previous.href", "_links.prev.href")
    """Links the other way, which lead on where the first page has no `next` (seed "… by Date Range")."""
    count: Literal["items", "none"] = "none"
    """Whether the answer's `total` is the number of records in the whole result and can be checked."""
    total: FieldPath = "count"
    """Where the answer tells its number of records."""
    limit: Limit | None = None
    parameters: dict[str, str] = {}
    """Parameters that every request carries."""


class PostForm(Document):
    """The same read as a POST, for filters too long or too personal for a URL."""

    filter: str = "filter"
    """Field of the body for the filter."""
    limit: str = "limit"
    """Field of the body for the page size."""
    offset: str = "offset"
    """Field of the answer that leads to the next page, and of the body that asks for it."""


class ForEach(Document):
    """Another kind, of which each record has a collection of its own: the roles of each user."""

    resource: str
    """The other kind; all of its records are read first."""
    field: FieldPath = "id"
    """Its field whose value stands for `{each}` in the path."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z]\w*$")]
    """Name of the object that every record is given, which tells whose it is."""
    keep: Many[FieldPath]
    """Fields of the other record that the object holds."""


class Retention(Document):
    """What the endpoint still holds."""

    hot: DurationText
    """Age of the oldest record that can be read at once."""
    total: DurationText | None = None
    """Age of the oldest record that exists at all."""
    older: str
    """What to do about older records."""


class Rate(Document):
    """The rate limit that the endpoint falls under."""

    group: str
    """Name of the limit; kinds of one group share it."""
    requests: int
    """How many requests the licence has …"""
    per_s: float
    """… in so many seconds."""
    share: float = 0.35
    """Part of the licence's rate that one address gets (PingOne "Base rate limits")."""


class Source(Document):
    """Where the facts of a descriptor come from."""

    title: str
    """Page, standard or program."""
    read: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    """Day on which it was read."""
    note: str = ""
    """What it says, where that needs saying."""


class ResourceKind(Document):
    """One PingOne endpoint."""

    version: Literal[1]
    """Version of this form of descriptor."""
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Name that policies use."""
    summary: str
    """What its records are, in one sentence."""
    scope: Literal["environment", "organization", "service"]
    """What the records belong to; `service`: a service of its own, whose base is the environment's `api_url`."""
    path: Annotated[str, Field(pattern=r"^/")]
    """Below the API base, with `{environment_id}` or `{organization_id}`, and `{each}` where `for_each` is given."""
    for_each: ForEach | None = None
    page: PageRule
    post: PostForm | None = None
    filter: Filter | None = None
    window: WindowRule | None = None
    """Absent: the endpoint answers what is there now."""
    settling: DurationText | None = None
    """
    How late a record may still appear; `window: hot` ends that long before now. Where reading takes longer, what
    is newest is read once more at the end.
    """
    retention: Retention | None = None
    buckets: Buckets | None = None
    options: dict[str, Option] = {}
    identity: Many[FieldPath]
    """Fields that together name a record."""
    order_key: FieldPath
    """Field by which "the list" is sorted, before identity."""
    instant: FieldPath | None = None
    """Field by which a record belongs to a window; absent with `window` only for buckets."""
    empty: Literal["normal", "error"]
    """Whether an empty answer is news (`error`) or an ordinary day (`normal`)."""
    rate: Rate
    roles: Many[str]
    """Predefined administrator roles that may read it, the least first."""
    personal: Many[FieldPath] = ()
    """Fields of a record that name or locate a person."""
    secret: Many[FieldPath] = ()
    """Fields that may hold a secret: they are taken out of every record before anything else sees it."""
    caveats: Many[str] = ()
    """What every verdict on these records must say."""
    item: JSONSchema
    """JSON Schema of one record. A field that it does not name is unknown to policies; where
    `additionalProperties` is true, anything may be named."""
    sources: Many[Source]

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.window and not (self.instant or self.buckets):
            raise ValueError("a window needs instant or buckets")
        if self.buckets and self.buckets.period.option not in self.options:
            raise ValueError(f"buckets.period.option {self.buckets.period.option!r} is no option")
        return self

    def attribute(self, name: str) -> tuple[str, Attribute] | None:
        """Return the canonical name and rule of a filter attribute, by name or alias in any case."""
        if self.filter is None:
            return None
        canonical = name if name in self.filter.attributes else self.filter.canonical(name)
        return (canonical, self.filter.attributes[canonical]) if canonical else None

    def settled(self, now: datetime) -> datetime:
        """Return the instant before which no record appears any more."""
        return now if self.settling is None else Duration.parse(self.settling).before(now)


Catalogue = Mapping[str, ResourceKind]
"""The known resource kinds by name."""


def fields(schema: JSONSchema, prefix: str = "") -> Iterator[tuple[str, JSONSchema, bool]]:
    """
    Yield every field that an item schema names.

    Result: triples of dotted path (as in SCIM: arrays are walked into without a mark), the field's schema
    (of the element where it is an array), and whether the path passes an array, so that it has many values.
    """
    for name, child in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        many = False
        inner: dict[str, Any] = child
        while inner.get("type") == "array":
            inner, many = inner.get("items", {}), True
        yield path, inner, many
        for deeper, leaf, also_many in fields(inner, f"{path}."):
            yield deeper, leaf, many or also_many


def field(schema: JSONSchema, path: str) -> tuple[JSONSchema, bool] | None:
    """
    Return the schema of one field by dotted path, and whether it has many values; None where it is unknown.

    A path into an object with `additionalProperties: true` is known, with an empty schema.
    """
    many = False
    for step in path.split("."):
        while schema.get("type") == "array":
            schema, many = schema.get("items", {}), True
        properties = schema.get("properties", {})
        if step in properties:
            schema = properties[step]
        elif schema.get("additionalProperties") is True or not schema:
            schema = {}
        else:
            return None
    while schema.get("type") == "array":
        schema, many = schema.get("items", {}), True
    return schema, many


def without(record: dict[str, Any], paths: Collection[str]) -> dict[str, Any]:
    """Return a record without the fields at some dotted paths; arrays on the way are walked into."""
    return cast("dict[str, Any]", _without(record, [path.split(".") for path in paths])) if paths else record


def _without(value: JSON, routes: list[list[str]]) -> JSON:
    if isinstance(value, list):
        return [_without(element, routes) for element in value]
    if not isinstance(value, dict):
        return value
    gone = {route[0] for route in routes if len(route) == 1}
    return {
        name: _without(inner, [route[1:] for route in routes if len(route) > 1 and route[0] == name])
        for name, inner in value.items()
        if name not in gone
    }


def value_at(record: Mapping[str, JSON], path: str) -> JSON:
    """Return the value at a dotted path that passes no array; None where there is none."""
    value: JSON = record
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def is_optional(schema: JSONSchema, path: str) -> bool:
    """Tell whether a field of a record may be absent; what no schema names may always be."""
    for step in path.split("."):
        while schema.get("type") == "array":
            schema = schema.get("items", {})
        if step not in schema.get("required", ()):
            return True
        schema = schema.get("properties", {}).get(step, {})
    return False
