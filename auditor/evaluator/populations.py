"""The records that one query of a check is about, on their way from pages to expectations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol

from auditor import jmes, scim
from auditor.evaluator.counting import Counts, Points
from auditor.evaluator.privacy import Origin, Personal
from auditor.evaluator.reducers import Every, Reducer
from auditor.evaluator.violations import Received
from auditor.evaluator.windows import InWindow
from auditor.model.plan import PlannedQuery, Use, belongs
from auditor.model.query import CompiledCheck
from auditor.model.resource import ResourceKind
from auditor.model.value import JSON
from auditor.model.verdict import Examined


class Test(NamedTuple):
    """A term that must hold of a record, with the paths of the fields that it reads."""

    paths: frozenset[str]
    holds: scim.Predicate


class Counter(Protocol):
    """What has counted records apart."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationState:
    """What a population knows of some records; the fields are those of `Population`."""

    count: int
    outside: int
    unselectable: int
    unselectable_reason: str
    records: tuple[Received, ...]
    counts: Mapping[str, tuple[Points, int]]


class Population:
    """
    Selects the records that a query of a check is about, counts them, and hands them on to its reducers.

    A record is selected if every term of the filter holds of it, and it lies in the check's window. Up to *keeps*
    records are kept too, for what is bound. `unselectable` counts records of which it can not be told whether
    the check is about them, `outside` those that the filter selects and that lie outside the check's window.
    `need` is what filter and expressions read of a record.
    """

    def __init__(
        self, check: CompiledCheck, use: Use, query: PlannedQuery, kind: ResourceKind, *, keeps: int
    ) -> None:
        self.name = use.name
        self.kind = kind
        self.query = query
        self.window = use.window
        self.outside = 0
        self.unselectable = 0
        self.unselectable_reason = ""
        self.reducers: list[Reducer] = []
        self.records: list[Received] = []
        self.counters: list[Counter] = []
        self.need = jmes.Need(whole=bool(keeps or kind.buckets))
        self.tests = tuple(self._tests(use.where, check)) if use.where else ()
        self._count = 0
        self._steps: list[Callable[[JSON, Received], None]] = []
        self._counts = Counts(check, use.name, kind) if kind.buckets else None
        self._keeps = keeps
        self._use = use
        if use.window is not None and kind.buckets is None and kind.instant is not None:
            self.need.at(kind.instant).whole = True
            self._inside: Callable[[JSON], bool] = InWindow(kind.instant, use.window)
        else:
            window = replace(query, window=use.window)
            self._inside = lambda record: belongs(record, window, kind)

    def _tests(self, where: str, check: CompiledCheck) -> Iterable[Test]:
        tree, rule_of = scim.parse(where, check.values), scim.rules(self.kind)
        for term in tree.terms if isinstance(tree, scim.And) else (tree,):
            paths = frozenset(".".join(rule_of(name).path) for name in scim.attributes(term))
            for path in paths:
                self.need.at(path).whole = True
            yield Test(paths, scim.predicate(term, rule_of))

    def hand_to(self, reducer: Reducer, of: str = "") -> None:
        """Hand the records on to a reducer, under a name where it sees those of several queries."""
        self.reducers.append(reducer)
        self._steps.append(partial(reducer.step, of=of) if of else reducer.step)
        reducer.add_needs(self.need)

    @property
    def is_plain(self) -> bool:
        """Whether all that becomes of a record is that an expression should be true of it."""
        every = all(isinstance(reducer, Every) and reducer.is_compiled for reducer in self.reducers)
        return every and not self._keeps and self._counts is None

    @property
    def count(self) -> int:
        """How many records were selected."""
        return self._count + sum(counter.count for counter in self.counters)

    def settle(self, counter: Counter) -> None:
        """Take over what one has counted that will count no more."""
        self._count += counter.count
        self.counters.remove(counter)

    def add(self, record: JSON, received: Received) -> None:
        """Take a record, if the check is about it."""
        if self.selects(record, self.tests):
            self.take(record, received)

    def holds(self, span: tuple[str, str]) -> bool | None:
        """Tell whether all from one instant to another lies in the window; None if part of it, or that is not quick."""
        if self.window is None:
            return True
        return self._inside.holds(span) if isinstance(self._inside, InWindow) else None

    def selects(self, record: JSON, tests: Iterable[Test]) -> bool:
        """
        Tell whether the check is about a record of which every other test is known to hold.

        Where that can not be told, or the record is left out for its window alone, it is counted.
        """
        problem: ValueError | None = None
        for test in tests:
            try:
                if not test.holds(record):
                    return False
            except ValueError as error:
                problem = problem or error
        try:
            if not self._inside(record):
                self.outside += 1
                return False
        except ValueError as error:
            problem = problem or error
        if problem is not None:
            self._cannot_select(1, self._reason(problem))
        return problem is None

    def take(self, record: JSON, received: Received) -> None:
        """Take a record that the check is about."""
        self._count += 1
        if self._counts is not None:
            self._counts.add(record)
        for step in self._steps:
            step(record, received)
        if self._keeps:
            self._keep([received])

    def _keep(self, records: Sequence[Received]) -> None:
        """Keep records that were counted, if they are not too many together."""
        self.records += records
        if self.is_too_large:
            self.records.clear()

    @property
    def is_too_large(self) -> bool:
        """Whether there were too many records to be kept, so that none is."""
        return 0 < self._keeps < self._count

    def _cannot_select(self, count: int, reason: str) -> None:
        """Count records of which it can not be told whether the check is about them; of the reasons one is told."""
        self.unselectable += count
        self.unselectable_reason = min(filter(None, (self.unselectable_reason, reason)), default="")

    def state(self) -> PopulationState:
        """Return what is known of the records so far, as a plain value; from now on it takes no more of them."""
        return PopulationState(
            count=self.count,
            outside=self.outside,
            unselectable=self.unselectable,
            unselectable_reason=self.unselectable_reason,
            records=tuple(self.records),
            counts=self._counts.state() if self._counts else {},
        )

    def merge(self, state: PopulationState) -> None:
        """Take in what is known of other records; its reducers take in their part."""
        self._count += state.count
        self.outside += state.outside
        self._cannot_select(state.unselectable, state.unselectable_reason)
        self._keep(state.records)
        if self._counts is not None:
            self._counts.merge(state.counts)

    def _reason(self, error: ValueError) -> str:
        """Return why a record can not be selected or left out, without the value of a personal field."""
        if isinstance(error, scim.NotComparable):
            known = self.kind.attribute(error.attribute)
            path = known[1].path or known[0] if known else error.attribute
            if Personal(self.kind.personal).is_in(frozenset({Origin(path)})):
                return f"{error.attribute} holds what is no instant"
        return str(error)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What has to be said of the records whatever is found in them."""
        return (*self.query.caveats, *self._use.caveats)

    @property
    def examined(self) -> Examined:
        """What was examined, for the verdict."""
        return Examined(
            name=self.name,
            resource=self.kind.kind,
            where=self._use.where,
            window=str(self._use.window) if self._use.window else "",
            query=self.query.id,
            population=self.count,
            series=self._counts.series if self._counts else (),
        )
