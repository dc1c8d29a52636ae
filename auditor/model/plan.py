"""The plan: exactly what will be asked, before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from auditor.model.instant import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One check that a query serves, with the part of its filter that is evaluated here."""

    check: str
    where: str
    residual: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """
    Whether the endpoint still holds the whole window, as far as the clock of the plan can tell.

    It is judged again for each slice when its request is sent. `uncovered` is the part that is not held,
    `until` the instant after which some of the window will have aged out.
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
    """

    id: str
    environment: str
    resource: str
    method: Literal["GET", "POST"]
    path: str
    parameters: Mapping[str, str]
    filter_parameter: str | None
    filter: str
    window: Window | None
    slices: tuple[Window, ...]
    include_partial: bool
    options: Mapping[str, str | int]
    uses: tuple[Use, ...]
    coverage: Coverage | None
    requests_at_least: int
    requests_exact: bool
    page_size: int | None
    expected_records: int | None
    """Number of records that a complete answer has, where the window alone decides it."""
    rate_group: str
    requests_per_s: float
    roles: tuple[str, ...]
    caveats: tuple[str, ...]
    own_resource: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedEnvironment:
    """An environment that is asked."""

    name: str
    id: str | None
    region: str | None
    api_url: str | None


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
    valid_until: datetime | None = None
