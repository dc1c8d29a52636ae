"""What was read, and whether it was all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from auditor.model.instant import Window
from auditor.model.plan import Plan, PlannedQuery
from auditor.model.value import JSON

Assurance = Literal["counted", "end of links", "whole buckets", "given"]
"""
Why an answer counts as complete: its records equal the endpoint's own count; no page linked further; it
holds every bucket of the window; or it was given as a file and is what it is.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of one query: the records in the order received, without duplicates of earlier pages."""

    query: str
    number: int
    records: tuple[JSON, ...]
    count: int | None = None
    """How many records the endpoint says that there are of the page's slice, where that can be checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a query did not end well: a code such as `evidence.incomplete`, one sentence, what to do."""

    code: str
    reason: str
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryEnd:
    """
    The last word on one query. A query without `failure` is complete.

    `first` and `last` are the instants of its earliest and latest record, `count` what the endpoint says it
    has (where it says so), `waited_s` the time spent waiting for the rate limit or between tries. `fallback`
    is how many forms of the filter the server refused before it took one. `slices` are the parts of the
    window that were read to their ends, the oldest first; reading may have cut those of the plan.
    """

    query: str
    failure: Failure | None
    assurance: Assurance | None
    pages: int = 0
    records: int = 0
    duplicates: int = 0
    slices: tuple[Window, ...] = ()
    fallback: int = 0
    count: int | None = None
    first: datetime | None = None
    last: datetime | None = None
    requests: int = 0
    retries: int = 0
    waited_s: float = 0
    elapsed_s: float = 0
    clock_skew_s: float | None = None
    """By how many seconds PingOne's clock was ahead of ours, where it told; 0 where no more than an answer took."""
    correlation_ids: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What did not spoil the answer and should be known, such as a deprecation header."""

    @property
    def complete(self) -> bool:
        """Whether the answer is known to be all of it."""
        return self.failure is None


def due_probes(plan: Plan, ends: Mapping[str, QueryEnd]) -> tuple[PlannedQuery, ...]:
    """
    Return the probes of a plan whose queries were all read completely, and found nothing.

    As long as such a probe has no end, an empty answer can not be told from a silent log, and proves nothing.
    """
    empty = {query.id for query in plan.queries if _is_empty(ends.get(query.id))}
    others = {(query.environment, query.resource) for query in plan.queries if query.id not in empty}
    return tuple(probe for probe in plan.probes if (probe.environment, probe.resource) not in others)


def _is_empty(end: QueryEnd | None) -> bool:
    return end is not None and end.complete and not end.records
