"""Reads what a plan says, completely or not at all, and says which of the two it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final

import httpx
from aiolimiter import AsyncLimiter

from auditor import scim
from auditor.fetcher.auth import Tokens, bearer, missing_credentials
from auditor.fetcher.completeness import Ledger
from auditor.fetcher.failures import FetchError
from auditor.fetcher.given import given
from auditor.fetcher.paging import Walk, endless
from auditor.fetcher.session import Effort, Request, Response, Session
from auditor.model.environment import Environment
from auditor.model.evidence import Assurance, Failure, Page, QueryEnd
from auditor.model.instant import Window, format_instant
from auditor.model.plan import Plan, PlannedQuery, coverage
from auditor.model.resource import Catalogue, PostForm
from auditor.model.secret import Secret

__all__ = ["Settings", "fetch", "given"]

MAX_BARREN: Final = 1_000
"""Pages in a row without a new record. A server that searches a long log for rare events may send many."""

MAX_CORRELATION_IDS: Final = 1_000
MAX_HEADER: Final = 200
MAX_REASON: Final = 2_000
"""Characters that are kept of what a server says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    How to fetch.

    `clock` is the wall clock in UTC; `rates` overrides requests per second by rate group or resource kind
    (0: no limit); `transport` replaces the network in tests.
    """

    clock: Callable[[], datetime]
    user_agent: str
    run_id: str = ""
    rates: Mapping[str, float] = field(default_factory=dict)
    concurrency: int = 8
    attempts: int = 6
    first_wait_s: float = 0.5
    timeout_s: float = 60
    """The longest silence of a server."""
    transport: httpx.AsyncBaseTransport | None = None


async def fetch(
    plan: Plan,
    catalogue: Catalogue,
    environments: Mapping[str, Environment],
    settings: Settings,
) -> AsyncGenerator[Page | QueryEnd]:
    """
    Read every query of a plan; queries run side by side, each in the order of its pages.

    Result: the pages of each query as they come, and one `QueryEnd` after its last page. A query that fails
    ends with a failure and spoils no other. Memory holds some pages, not the answer. Who stops early closes
    the generator (`contextlib.aclosing`); nothing is left running then.
    """
    async with Session(
        clock=settings.clock,
        user_agent=settings.user_agent,
        transport=settings.transport,
        attempts=settings.attempts,
        first_wait_s=settings.first_wait_s,
        timeout_s=settings.timeout_s,
    ) as session:
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
            name: Tokens(environment, session, settings.clock) for name, environment in environments.items()
        }
        self.pacers: dict[str, AsyncLimiter | None] = {}
        self.places = asyncio.Semaphore(settings.concurrency)
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
        async with asyncio.TaskGroup() as group:
            for query in self.plan.queries:
                group.create_task(self._read_in_turn(query))

    async def _read_in_turn(self, query: PlannedQuery) -> None:
        async with self.places:
            await self._read(query)

    async def _read(self, query: PlannedQuery) -> None:
        ledger = Ledger(query, self.catalogue[query.resource])
        tokens = self.tokens[query.environment]
        progress = _Progress()
        started = self.settings.clock()
        assurance: Assurance | None = None
        remarks: tuple[str, ...] = ()
        failure: Failure | None = None
        try:
            for window in query.slices or (query.window,):
                await self._read_slice(query, window, ledger, progress)
            assurance, remarks = ledger.close()
        except FetchError as error:
            failure = error.failure
        except Exception as error:  # noqa: BLE001  # one query's bug must not cost the other queries their verdicts
            failure = Failure(
                code="internal.error",
                reason=f"Reading broke off: {type(error).__name__}: {error}",
                help="This is a bug of the auditor; please report it.",
            )
        if failure is not None:
            failure = replace(failure, reason=tokens.conceal(failure.reason)[:MAX_REASON])
        await self._hand_over(
            QueryEnd(
                query=query.id,
                failure=failure,
                assurance=assurance,
                pages=progress.pages,
                records=ledger.records,
                duplicates=ledger.duplicates,
                count=ledger.count,
                first=ledger.first,
                last=ledger.last,
                requests=progress.effort.requests,
                retries=progress.effort.retries,
                waited_s=progress.effort.waited_s,
                elapsed_s=(self.settings.clock() - started).total_seconds(),
                correlation_ids=tuple(progress.correlation_ids),
                warnings=(*remarks, *progress.warnings),
            )
        )

    async def _read_slice(
        self, query: PlannedQuery, window: Window | None, ledger: Ledger, progress: _Progress
    ) -> None:
        environment = self.environments[query.environment]
        if environment.api_url is None or environment.credentials is None or "{" in query.path:
            raise missing_credentials(environment)
        parameters = dict(query.parameters)
        if query.filter_parameter is not None:
            parameters = {query.filter_parameter: scim.fill_window(query.filter, window), **parameters}
        kind = self.catalogue[query.resource]
        walk = Walk(
            kind=kind,
            url=environment.api_url + query.path,
            parameters=parameters,
            form=(kind.post or PostForm()) if query.method == "POST" else None,
            send=partial(self._send, query, window, progress),
        )
        barren = 0
        async with aclosing(walk.pages()) as pages:
            async for page in pages:
                progress.pages += 1
                records = ledger.take(page.records, count=page.count, window=window)
                await self._hand_over(Page(query=query.id, number=progress.pages, records=records))
                barren = 0 if records else barren + 1
                if barren > MAX_BARREN:
                    raise endless(query.path, f"after {barren:,} pages without a new record")

    async def _send(
        self, query: PlannedQuery, window: Window | None, progress: _Progress, request: Request
    ) -> Response:
        """Send a request with a token, and once more with a new one where that is refused."""
        tokens = self.tokens[query.environment]
        token = await tokens.token()
        response = await self._send_as(token, query, window, progress, request)
        if response.status == 401:
            token = await tokens.token(not_this=token)
            response = await self._send_as(token, query, window, progress, request)
        progress.note(response, tokens.conceal)
        return response

    async def _send_as(
        self,
        token: Secret,
        query: PlannedQuery,
        window: Window | None,
        progress: _Progress,
        request: Request,
    ) -> Response:
        pacer = self._pacer(query)

        async def in_turn() -> None:
            if pacer is not None:
                await pacer.acquire()
            self._check_coverage(query, window)

        headers = {**bearer(token), "Accept": "application/json"}
        if request.content is not None:
            headers["Content-Type"] = "application/json"
        if self.settings.run_id:
            # Comes back in audit events, so that the auditor can recognise its own footprint.
            headers["X-Ping-External-Transaction-Id"] = self.settings.run_id
        return await self.session.send(request, headers=headers, effort=progress.effort, before=in_turn)

    def _check_coverage(self, query: PlannedQuery, window: Window | None) -> None:
        """Judge a slice at the moment when it is asked for; what has aged out meanwhile is gone."""
        now = self.settings.clock()
        held = coverage(window, self.catalogue[query.resource], now)
        if held is None or held.uncovered is None:
            return
        raise FetchError(
            "evidence.not-covered",
            f"{query.resource} does not hold the whole window: {held.uncovered} is missing"
            f" (asked at {format_instant(now)}).",
            f"{held.note} For what can be read at once, write window: hot.",
        )

    def _pacer(self, query: PlannedQuery) -> AsyncLimiter | None:
        """Return the pacer of a query's rate group, which all environments share as they share a licence."""
        rates = self.settings.rates
        # A rate that is set for one resource alone is that resource's own.
        name = query.resource if query.resource in rates else query.rate_group
        if name not in self.pacers:
            rate = rates.get(name, query.requests_per_s)
            self.pacers[name] = AsyncLimiter(1, 1 / rate) if rate > 0 else None
        return self.pacers[name]


@dataclass(slots=True)
class _Progress:
    pages: int = 0
    effort: Effort = field(default_factory=Effort)
    correlation_ids: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, response: Response, conceal: Callable[[str], str]) -> None:
        """Keep what the headers of an answer say, without what *conceal* takes out."""
        correlation_id = response.headers.get("correlation-id")
        if correlation_id and len(self.correlation_ids) < MAX_CORRELATION_IDS:
            self.correlation_ids.append(conceal(correlation_id)[:MAX_HEADER])
        for name, value in sorted(response.headers.items()):
            warning = f"{name}: {conceal(value)[:MAX_HEADER]}"
            if "api-deprecation" in name and warning not in self.warnings:
                self.warnings.append(warning)
