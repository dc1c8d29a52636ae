"""The plan: exactly what will be asked, before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from auditor.model.instant import Duration, Window, parse_instant
from auditor.model.query import Pushdown
from auditor.model.resource import ResourceKind, value_at
from auditor.model.value import JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """
    One check that a query serves, with the part of its filter that is evaluated here.

    `name` is that of the query in the check, empty where it has one only. `window` is the check's own: a
    query that serves several may read a longer one. `caveats` are those of that window. `keeps` says what of the
    records is kept while they are read, and why; it is empty where memory does not grow with their number.
    """

    check: str
    name: str = ""
    window: Window | None
    where: str
    residual: str
    caveats: tuple[str, ...] = ()
    keeps: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """
    Whether the endpoint still holds the whole window, as far as the clock of the plan can tell.

    It is judged again for each slice when its request is sent. `uncovered` is the part that is not held and
    `note` says why; `until` is the instant after which some of a covered window will have aged out.
    """

    covered: bool
    uncovered: Window | None = None
    until: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedQuery:
    """
    One query: a chain of pages per slice.

    `filter` is SCIM text in which `${window.start}` and `${window.end}` stand for the ends of a slice;
    `slices` are consecutive and together make up `window`. `parameters` are sent beside the filter.
    `further_filters` are asked as well, where one filter would be too long for a URL.
    Where `each` is given, it is read first, and each of its records has a collection of its own: the path holds
    `{each}`, and there is a chain of pages for each record and slice.
    `fallbacks` are what is asked instead where the server refuses the filter: of each step every filter is
    asked, and together they find at least what the checks are about. The steps are tried in turn.
    """

    id: str
    environment: str
    resource: str
    method: Literal["GET", "POST"]
    path: str
    parameters: Mapping[str, str]
    filter_parameter: str | None
    filter: str
    further_filters: tuple[str, ...] = ()
    fallbacks: tuple[tuple[str, ...], ...] = ()
    window: Window | None
    slices: tuple[Window, ...]
    include_partial: bool
    options: Mapping[str, str | int]
    uses: tuple[Use, ...]
    coverage: Coverage | None
    requests_at_least: int
    requests_exact: bool
    requests_expected: int | None = None
    """How many requests counts of earlier answers let expect."""
    page_size: int | None
    expected_records: int | None
    """Number of records that a complete answer has, where the window alone decides it."""
    rate_group: str
    requests_per_s: float
    roles: tuple[str, ...]
    caveats: tuple[str, ...]
    own_resource: bool = False
    each: PlannedQuery | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedEnvironment:
    """An environment that is asked."""

    name: str
    id: str | None
    region: str | None
    api_url: str | None


def reads_only(role: str) -> bool:
    """Tell whether a predefined role can change nothing: PingOne says so in its name."""
    return role.endswith("Read Only")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRole:
    """A role that a worker application holds, with how far it reaches: its name, or its id where nothing tells that."""

    role: str
    scope_type: str
    """`ORGANIZATION`, `ENVIRONMENT`, or what is smaller."""
    scope_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededRole:
    """
    A role that a plan needs in an environment, with the resources that it is for.

    Where it can change something, `checks` are those but for which a role that only reads would do.
    """

    environment: str
    role: str
    resources: tuple[str, ...]
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """
    How many records a filter found in a window.

    `filter` is that of a planned query, with `${window.start}` and `${window.end}` for the ends of the window.
    """

    environment: str
    resource: str
    filter: str
    window: Window | None
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """
    What the command line made a plan with.

    `variables` are the options `--var` and `--var-file` with their texts, in order and without sensitive values.
    """

    paths: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    pushdown: Pushdown = "documented"
    merge: bool = True
    counts: tuple[Count, ...] = ()
    checks: tuple[str, ...] = ()
    """What selects checks: see `auditor check --help` on `--check`, `--tag` and `--control`."""
    tags: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    Everything that a run will ask. Equal inputs give equal plans.

    `as_of` fixes every window; `valid_until` is when the first window begins to age out (absent: never).
    """

    tool_version: str
    as_of: datetime
    policy_digest: str
    environments: tuple[PlannedEnvironment, ...]
    queries: tuple[PlannedQuery, ...]
    checks: tuple[str, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Checks that nothing is asked for, with the reason."""
    probes: tuple[PlannedQuery, ...] = ()
    """
    Asked only if all queries on the same resource of the same environment were complete and found nothing:
    one request for one record of the window. A log in which nothing ever happens is no evidence.
    """
    requests_unmerged: int = 0
    """Requests that one query for each check would take at least."""
    valid_until: datetime | None = None
    inputs: Inputs = field(default_factory=Inputs)

    @property
    def requests_at_least(self) -> int:
        """Requests that the queries take at least."""
        return sum(query.requests_at_least for query in self.queries)


def coverage(window: Window | None, kind: ResourceKind, now: datetime) -> Coverage | None:
    """
    Tell whether an endpoint, asked at an instant, still holds a window; None where there is no window.

    What lies in the future, or is older than the endpoint's hot span, is uncovered, and so is a window of no
    length, in which nothing could be found.
    """
    if window is None:
        return None
    if window.start >= window.end:
        note = (
            "The window holds no whole period that is over." if kind.buckets else "The window has no length."
        )
        return Coverage(covered=False, uncovered=window, note=note)
    if window.end > now:
        later = Window(max(window.start, now), window.end)
        return Coverage(covered=False, uncovered=later, note="The window ends in the future.")
    if kind.retention is None:
        return Coverage(covered=True)
    hot = Duration.parse(kind.retention.hot)
    held_from = hot.before(now)
    if window.start >= held_from:
        return Coverage(covered=True, until=hot.after(window.start))
    gone = Window(window.start, min(held_from, window.end))
    return Coverage(covered=False, uncovered=gone, note=kind.retention.older)


def belongs(record: Mapping[str, JSON], query: PlannedQuery, kind: ResourceKind) -> bool:
    """
    Tell whether a record is one that its query's window counts.

    An event belongs to the window that its instant lies in; a bucket to one that holds it whole, or, with
    `include_partial`, its start.

    Raises:
        ValueError: the record's instant is none.
    """
    if query.window is None:
        return True
    if kind.buckets is None:
        return kind.instant is None or parse_instant(str(value_at(record, kind.instant))) in query.window
    start = parse_instant(str(value_at(record, kind.buckets.start)))
    if start not in query.window:
        return False
    length = kind.buckets.period.length(query.options[kind.buckets.period.option])
    return query.include_partial or length.after(start) <= query.window.end
