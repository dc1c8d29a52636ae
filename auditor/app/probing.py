"""`auditor plan --probe`: first pages that tell how much there is to read."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

from auditor import __version__, fetcher, planner
from auditor.app.clock import new_run_id, wall_clock
from auditor.app.jobs import Job, Planned, plan
from auditor.model.diagnostic import Checked, Diagnostic, Level
from auditor.model.evidence import QueryEnd
from auditor.model.plan import Count, Plan, PlannedQuery


def plan_with_probes(job: Job, now: datetime | None = None) -> Checked[Planned]:
    """
    Plan after asking for one page of each query, and of the scan that could take its place.

    What can not be asked is a warning: the plan is then made without its count.
    """
    first = plan(job, now)
    if first.value is None or first.value.given is not None:
        return first
    made = first.value.plan
    samples = planner.samples(
        first.value.program, first.value.project.catalogue, as_of=made.as_of, tool_version=__version__
    )
    ends = asyncio.run(_read(samples, first.value, job))
    problems = [_not_probed(query, end) for query, end in ends if end.failure is not None]
    counts = tuple(_count(query, end) for query, end in ends if end.failure is None)
    again = plan(replace(job, counts=(*job.counts, *counts)), made.as_of)
    return Checked(again.value, (*again.diagnostics, *problems))


async def _read(
    samples: tuple[PlannedQuery, ...], planned: Planned, job: Job
) -> list[tuple[PlannedQuery, QueryEnd]]:
    """Ask for the first page of each sample; a plan of probes alone asks for nothing else."""
    probing: Plan = replace(planned.plan, queries=(), probes=samples)
    settings = fetcher.Settings(
        clock=wall_clock,
        user_agent=f"auditor/{__version__}",
        concealed=job.concealed,
        run_id=new_run_id(planned.plan.as_of),
    )
    environments = {environment.name: environment for environment in planned.project.environments}
    by_id = {sample.id: sample for sample in samples}
    async with aclosing(fetcher.fetch(probing, planned.project.catalogue, environments, settings)) as events:
        return [(by_id[event.query], event) async for event in events if isinstance(event, QueryEnd)]


def _count(query: PlannedQuery, end: QueryEnd) -> Count:
    """
    Return how many records a window holds by its first page.

    A page that is not full is all there is; else the window is as dense as the span that the page covers.
    """
    records = end.records
    is_full = query.page_size is not None and records >= query.page_size
    if is_full and end.first and end.last and end.last > end.first and query.window:
        span = (query.window.end - query.window.start) / (end.last - end.first)
        records = max(records, round(records * span))
    return Count(
        environment=query.environment,
        resource=query.resource,
        filter=query.filter,
        window=query.window,
        records=records,
    )


def _not_probed(query: PlannedQuery, end: QueryEnd) -> Diagnostic:
    assert end.failure is not None  # noqa: S101  # its only caller has looked
    return Diagnostic(
        code="plan.not-probed",
        summary="Not probed",
        detail=end.failure.reason,
        help=end.failure.help,
        level=Level.WARNING,
        subject=query.id,
    )
