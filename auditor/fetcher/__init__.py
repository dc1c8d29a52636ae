"""Reads what a plan says, completely or not at all, and says which of the two it was."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from auditor.fetcher.auth import Tokens
from auditor.fetcher.failures import FetchError, unreadable
from auditor.fetcher.given import given
from auditor.fetcher.holders import Holders
from auditor.fetcher.keeping import not_kept
from auditor.fetcher.limits import Bounds, Pacer
from auditor.fetcher.reading import Reading
from auditor.fetcher.session import Session
from auditor.fetcher.settings import Settings
from auditor.fetcher.slicing import Places
from auditor.fetcher.surveying import LineError, Place, Scan, Survey, documented, numbered, scan, survey
from auditor.model.environment import Environment
from auditor.model.evidence import Page, QueryEnd, due_probes
from auditor.model.plan import Plan, PlannedQuery
from auditor.model.resource import Catalogue

__all__ = [
    "FetchError",
    "LineError",
    "Place",
    "Scan",
    "Settings",
    "Survey",
    "documented",
    "fetch",
    "given",
    "numbered",
    "scan",
    "survey",
    "unreadable",
]


async def fetch(
    plan: Plan,
    catalogue: Catalogue,
    environments: Mapping[str, Environment],
    settings: Settings,
) -> AsyncGenerator[Page | QueryEnd]:
    """
    Read every query of a plan; queries, and the slices of each, run side by side.

    Result: the pages of each query as they come, and one `QueryEnd` after its last page. A query that fails
    ends with a failure and spoils no other. Probes that are due follow, each with a `QueryEnd` alone. Memory
    holds some pages, not the answer. Who stops early closes the generator (`contextlib.aclosing`); nothing is
    left running then.
    """
    async with Session(
        clock=settings.clock,
        user_agent=settings.user_agent,
        concealed=settings.concealed,
        transport=settings.transport,
        attempts=settings.attempts,
        first_wait_s=settings.first_wait_s,
        timeout_s=settings.timeout_s,
    ) as session:
        _collect_less()
        reader = _Reader(plan, catalogue, environments, settings, session)
        reading = asyncio.create_task(reader.read_all())
        reading.add_done_callback(reader.end)
        try:
            while (event := await reader.next()) is not None:
                yield event
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


def _collect_less() -> None:
    """
    Let the collector of cycles look at a page as a whole.

    Records are trees; looking for cycles among them every 700 objects takes longer than reading them.
    """
    gc.set_threshold(max(gc.get_threshold()[0], 200_000), *gc.get_threshold()[1:])


class _Reader:
    """Reads the queries side by side and hands over what it finds, as fast as that is taken."""

    def __init__(
        self,
        plan: Plan,
        catalogue: Catalogue,
        environments: Mapping[str, Environment],
        settings: Settings,
        session: Session,
    ) -> None:
        self.plan = plan
        self.catalogue = catalogue
        self.environments = environments
        self.settings = settings
        self.session = session
        self.tokens = {
            name: Tokens(environment, session, settings.clock, settings.concealed)
            for name, environment in environments.items()
        }
        self.pacers: dict[str, Pacer] = {}
        self.page_sizes: dict[str, int] = {}
        self.told: set[str] = set()
        self.places = Places(settings.concurrency)
        self.bounds = Bounds(settings.max_requests, settings.max_duration_s)
        self.found: asyncio.Queue[Page | QueryEnd | None] = asyncio.Queue()
        self.room = asyncio.Semaphore(settings.concurrency)

    async def next(self) -> Page | QueryEnd | None:
        """Return what was found next; None after the last."""
        self.room.release()
        return await self.found.get()

    def end(self, _: object) -> None:
        self.found.put_nowait(None)

    async def _hand_over(self, event: Page | QueryEnd) -> None:
        await self.room.acquire()
        self.found.put_nowait(event)

    async def read_all(self) -> None:
        """Read the queries, and then the probes that these gave reason for."""
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(self._read(query)) for query in self.plan.queries]
        ends = {task.result().query: task.result() for task in reading}
        async with asyncio.TaskGroup() as group:
            for probe in due_probes(self.plan, ends):
                group.create_task(self._probe(probe))

    async def _read(self, query: PlannedQuery) -> QueryEnd:
        return await self._ended(await self._reading(query).read())

    async def _probe(self, probe: PlannedQuery) -> None:
        await self._ended(await self._reading(probe).probe())

    async def _ended(self, end: QueryEnd) -> QueryEnd:
        try:
            self.settings.archive.note_end(end)
        except OSError as error:
            end = replace(end, failure=end.failure or not_kept(error).failure, assurance=None)
        await self._hand_over(end)
        return end

    def _reading(
        self, query: PlannedQuery, hand_over: Callable[[Page], Awaitable[None]] | None = None
    ) -> Reading:
        kind = self.catalogue[query.resource]
        holders = None
        if query.each is not None and kind.for_each is not None:
            holders = Holders(kind.for_each, partial(self._reading, query.each))
        return Reading(
            holders=holders,
            query=query,
            kind=kind,
            environment=self.environments[query.environment],
            tokens=self.tokens[query.environment],
            session=self.session,
            settings=self.settings,
            pacer=self._pacer(query),
            bounds=self.bounds,
            page_sizes=self.page_sizes,
            places=self.places,
            told=self.told,
            hand_over=hand_over or self._hand_over,
        )

    def _pacer(self, query: PlannedQuery) -> Pacer:
        """Return the pacer of a query's rate group, which all environments share as they share a licence."""
        rates = self.settings.rates
        # A rate that is set for one resource alone is that resource's own.
        name = query.resource if query.resource in rates else query.rate_group
        if name not in self.pacers:
            self.pacers[name] = Pacer(rates.get(name, query.requests_per_s))
        return self.pacers[name]
