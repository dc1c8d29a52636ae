"""Reads what a plan says, completely or not at all, and says which of the two it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import httpx
from aiolimiter import AsyncLimiter

from auditor import scim
from auditor.fetcher.auth import Tokens, bearer, missing_credentials
from auditor.fetcher.completeness import Ledger
from auditor.fetcher.failures import FetchError
from auditor.fetcher.given import given
from auditor.fetcher.paging import Walk
from auditor.fetcher.session import Effort, Response, Session
from auditor.model.environment import Environment
from auditor.model.evidence import Assurance, Failure, Page, QueryEnd
from auditor.model.instant import Window, format_instant
from auditor.model.plan import Plan, PlannedQuery, coverage
from auditor.model.resource import Catalogue
from auditor.model.secret import Secret

__all__ = ["Settings", "fetch", "given"]

MAX_CORRELATION_IDS: Final = 1_000


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
    transport: httpx.AsyncBaseTransport | None = None


async def fetch(
    plan: Plan,
    catalogue: Catalogue,
    environments: Mapping[str, Environment],
    settings: Settings,
) -> AsyncIterator[Page | QueryEnd]:
    """
    Read every query of a plan; queries run side by side, each in the order of its pages.

    Result: the pages of each query as they come, and one `QueryEnd` after its last page. A query that fails
    ends with a failure and spoils no other. Memory holds some pages, not the answer.
    """
    events: asyncio.Queue[Page | QueryEnd | None] = asyncio.Queue(maxsize=settings.concurrency)
    async with Session(
        clock=settings.clock,
        user_agent=settings.user_agent,
        transport=settings.transport,
        attempts=settings.attempts,
        first_wait_s=settings.first_wait_s,
        timeout_s=settings.timeout_s,
    ) as session:
        reader = _Reader(plan, catalogue, environments, settings, session, events)
        task = asyncio.create_task(reader.read_all())
        try:
            while (event := await events.get()) is not None:
                yield event
            await task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class _Reader:
    def __init__(
        self,
        plan: Plan,
        catalogue: Catalogue,
        environments: Mapping[str, Environment],
        settings: Settings,
        session: Session,
        events: asyncio.Queue[Page | QueryEnd | None],
    ) -> None:
        self.plan = plan
        self.catalogue = catalogue
        self.environments = environments
        self.settings = settings
        self.session = session
        self.events = events
        self.tokens = {
            name: Tokens(environment, session, settings.clock) for name, environment in environments.items()
        }
        self.pacers: dict[str, AsyncLimiter | None] = {}
        self.places = asyncio.Semaphore(settings.concurrency)

    async def read_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for query in self.plan.queries:
                    group.create_task(self._read_in_turn(query))
        finally:
            await self.events.put(None)

    async def _read_in_turn(self, query: PlannedQuery) -> None:
        async with self.places:
            await self._read(query)

    async def _read(self, query: PlannedQuery) -> None:
        kind = self.catalogue[query.resource]
        ledger = Ledger(query, kind)
        progress = _Progress()
        started = self.settings.clock()
        assurance: Assurance | None = None
        remarks: tuple[str, ...] = ()
        failure: Failure | None = None
        try:
            for window in query.slices or (None,):
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
        await self.events.put(
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
        kind = self.catalogue[query.resource]
        if environment.api_url is None or environment.credentials is None or "{" in query.path:
            raise missing_credentials(environment)
        self._check_coverage(query, window)

        async def send(method: str, url: str, content: bytes | None) -> Response:
            response = await self._send(query, method, url, content, progress.effort)
            progress.note(response)
            return response

        parameters = dict(query.parameters)
        if query.filter_parameter is not None:
            filter_text = scim.fill_window(query.filter, window)
            parameters = {query.filter_parameter: filter_text, **parameters}
        walk = Walk(
            kind=kind,
            url=environment.api_url + query.path,
            parameters=parameters,
            post=query.method == "POST",
            send=send,
        )
        async for page in walk.pages():
            progress.pages += 1
            records = ledger.take(page.records, page.count)
            ledger.check_asked(records, window)
            await self.events.put(Page(query=query.id, number=progress.pages, records=records))

    def _check_coverage(self, query: PlannedQuery, window: Window | None) -> None:
        """Judge a slice at the moment when it is asked for; what has aged out meanwhile is gone."""
        held = coverage(window, self.catalogue[query.resource], self.settings.clock())
        if held is None or held.covered or held.uncovered is None:
            return
        raise FetchError(
            "evidence.not-covered",
            f"{query.resource} does not hold the whole window: {held.uncovered} is missing"
            f" (asked at {format_instant(self.settings.clock())}).",
            f"{held.note[:1].upper()}{held.note[1:]} For what can be read at once, write window: hot.",
        )

    async def _send(
        self, query: PlannedQuery, method: str, url: str, content: bytes | None, effort: Effort
    ) -> Response:
        tokens = self.tokens[query.environment]
        token = await tokens.token()
        response = await self._send_as(token, query, method, url, content, effort)
        if response.status == 401:
            token = await tokens.token(not_this=token)
            response = await self._send_as(token, query, method, url, content, effort)
        return response

    async def _send_as(
        self, token: Secret, query: PlannedQuery, method: str, url: str, content: bytes | None, effort: Effort
    ) -> Response:
        pacer = self._pacer(query)
        headers = {**bearer(token), "Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        if self.settings.run_id:
            # Comes back in audit events, so that the auditor can recognise its own footprint.
            headers["X-Ping-External-Transaction-Id"] = self.settings.run_id
        return await self.session.send(
            method,
            url,
            headers=headers,
            content=content,
            effort=effort,
            pace=pacer.acquire if pacer else None,
        )

    def _pacer(self, query: PlannedQuery) -> AsyncLimiter | None:
        """Return the pacer of a query's rate group, which all environments share as they share a licence."""
        if query.rate_group not in self.pacers:
            rates = self.settings.rates
            rate = rates.get(query.resource, rates.get(query.rate_group, query.requests_per_s))
            self.pacers[query.rate_group] = AsyncLimiter(1, 1 / rate) if rate > 0 else None
        return self.pacers[query.rate_group]


@dataclass(slots=True)
class _Progress:
    pages: int = 0
    effort: Effort = field(default_factory=Effort)
    correlation_ids: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, response: Response) -> None:
        correlation_id = response.headers.get("correlation-id")
        if correlation_id and len(self.correlation_ids) < MAX_CORRELATION_IDS:
            self.correlation_ids.append(correlation_id)
        for name in sorted(response.headers):
            if "api-deprecation" in name:
                warning = f"{name}: {response.headers[name]}"
                if warning not in self.warnings:
                    self.warnings.append(warning)
