"""The records that one query of a check is about, on their way from pages to expectations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from auditor import scim
from auditor.evaluator.counting import Counts
from auditor.evaluator.privacy import Origin, Personal
from auditor.evaluator.violations import Received
from auditor.model.plan import PlannedQuery, Use, belongs
from auditor.model.query import CompiledCheck
from auditor.model.resource import ResourceKind
from auditor.model.value import JSON
from auditor.model.verdict import Examined


class Population:
    """
    Selects the records that a query of a check is about, counts them, and hands them on, to `steps`.

    Up to *keeps* records are kept too, for what is bound. `unselectable` counts records of which it can not be told
    whether the check is about them, `outside` those that lie outside the check's window.
    """

    def __init__(
        self, check: CompiledCheck, use: Use, query: PlannedQuery, kind: ResourceKind, *, keeps: int
    ) -> None:
        self.name = use.name
        self.kind = kind
        self.query = query
        self.count = 0
        self.outside = 0
        self.unselectable = 0
        self.unselectable_reason = ""
        self.steps: list[Callable[[JSON, Received], None]] = []
        self.records: list[Received] = []
        self.is_too_large = False
        self._counts = Counts(check, use.name, kind) if kind.buckets else None
        self._keeps = keeps
        self._use = use
        self.window = use.window
        self._window = replace(query, window=use.window)
        self._selects = (
            scim.predicate(scim.parse(use.where, check.values), scim.rules(kind)) if use.where else None
        )

    def add(self, record: JSON, received: Received) -> None:
        """Take a record, if the check is about it."""
        try:
            if not belongs(record, self._window, self.kind):
                self.outside += 1
                return
            if self._selects is not None and not self._selects(record):
                return
        except ValueError as error:
            reason = self._reason(error)
            self.unselectable_reason = min(self.unselectable_reason or reason, reason)
            self.unselectable += 1
            return
        self.count += 1
        if self._counts is not None:
            self._counts.add(record)
        for step in self.steps:
            step(record, received)
        if self._keeps:
            self.is_too_large = self.is_too_large or len(self.records) >= self._keeps
            if self.is_too_large:
                self.records.clear()
            else:
                self.records.append(received)

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
