"""Verdicts by the criteria of a framework, with how much of its period was really looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from auditor.model.evidence import QueryEnd
from auditor.model.framework import Framework
from auditor.model.instant import Window
from auditor.model.verdict import Asked, Criterion, FrameworkView, Report, Status, Support, Verdict

_DAY: Final = timedelta(days=1)


def with_views(report: Report, frameworks: Iterable[Framework]) -> Report:
    """
    Return a report with its verdicts by the criteria of frameworks too.

    The criteria stand in the order of the framework; those that only checks name come last. The period ends at
    the instant that windows count from. A verdict that was skipped observed nothing.
    """
    queries = {each.query.id: each for each in report.asked}
    views = (
        _view(framework, report.verdicts, queries, report.as_of) for framework in frameworks if report.as_of
    )
    return replace(report, frameworks=tuple(views))


def framework_of(view: FrameworkView) -> Framework:
    """Return the framework that a view was made of, to make it again of other verdicts."""
    return Framework(
        version=1,
        framework=view.framework,
        title=view.title,
        scope=view.scope,
        period_days=view.period_days,
        criteria={criterion.id: criterion.title for criterion in view.criteria if criterion.title},
    )


def _view(
    framework: Framework, verdicts: Sequence[Verdict], queries: Mapping[str, Asked], as_of: datetime
) -> FrameworkView:
    period = Window(as_of - timedelta(days=framework.period_days), as_of)
    named = {each: "" for verdict in verdicts for each in verdict.controls.get(framework.framework, ())}
    support: dict[str, list[Support]] = {criterion: [] for criterion in {**framework.criteria, **named}}
    for verdict in verdicts:
        observed = Support(
            verdict=verdict.name,
            status=verdict.status,
            observed_days=_observed_days(verdict, queries, period),
            waived=verdict.is_waived,
        )
        for criterion in dict.fromkeys(verdict.controls.get(framework.framework, ())):
            support[criterion].append(observed)
    return FrameworkView(
        framework=framework.framework,
        title=framework.title,
        scope=framework.scope,
        period_days=framework.period_days,
        criteria=tuple(
            Criterion(
                id=criterion,
                title=framework.criteria.get(criterion, ""),
                status=max((each.status for each in found), default=None),
                support=tuple(found),
            )
            for criterion, found in support.items()
        ),
    )


def _observed_days(verdict: Verdict, queries: Mapping[str, Asked], period: Window) -> int:
    """
    Return for how many days of a period there is evidence; of several windows, that of the shortest.

    A check on what is there, and not on what happened in a window, has looked at one day.
    """
    if verdict.status is Status.SKIP:
        return 0
    lengths = []
    for one in verdict.examined:
        asked = queries.get(one.query)
        if asked is None or asked.end is None:
            return 0
        uses = asked.query.uses
        window = next(use.window for use in uses if (use.check, use.name) == (verdict.name, one.name))
        if window is not None:
            parts = (_overlap(part, window, period) for part in _read(asked.end))
            lengths.append(sum(parts, timedelta()))
        elif not asked.end.complete:
            return 0
    return round(min(lengths, default=_DAY) / _DAY)


def _read(end: QueryEnd) -> tuple[Window, ...]:
    """Return the windows that were read; how much a file covers is told by its records alone."""
    if end.assurance != "given":
        return end.slices
    return (Window(end.first, end.last),) if end.first and end.last else ()


def _overlap(*windows: Window) -> timedelta:
    start, end = max(window.start for window in windows), min(window.end for window in windows)
    return max(end - start, timedelta())
