"""One query: the forms of its filter, their slices, and the word that ends it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from auditor import scim
from auditor.fetcher.answers import reader
from auditor.fetcher.auth import Tokens, bearer, missing_credentials, missing_organization
from auditor.fetcher.completeness import Ledger, Part
from auditor.fetcher.failures import FetchError, FilterRefusedError
from auditor.fetcher.holders import Holders
from auditor.fetcher.keeping import Keeper, not_kept
from auditor.fetcher.limits import Bounds, Pacer
from auditor.fetcher.paging import Walk, endless
from auditor.fetcher.progress import Progress
from auditor.fetcher.session import MAX_SKEW_S, Request, Response, Session
from auditor.fetcher.settings import Settings
from auditor.fetcher.slicing import DEEPEST, Places, can_cut, cut, is_dense
from auditor.model.environment import Environment
from auditor.model.evidence import Assurance, Failure, Page, QueryEnd
from auditor.model.instant import Window, format_instant
from auditor.model.plan import PlannedQuery, belongs, coverage
from auditor.model.resource import PostForm, ResourceKind
from auditor.model.secret import Secret
from auditor.model.value import JSON

_log = logging.getLogger(__name__)

MAX_BARREN: Final = 1_000
"""Pages in a row without a new record. A server that searches a long log for rare events may send many."""

LATE: Final = 5
"""How many settling times of what is newest are read once more."""

NEWEST: Final = "newest"
"""What the part of a query that is read once more is called in a run's journal."""

REFUSALS: Final = frozenset({"query.refused", "query.not-found", "query.forbidden"})
"""How a server says that it does not take a request as it is."""

MAX_REASON: Final = 2_000
"""Characters that are kept of what a server says."""


@dataclass(slots=True, kw_only=True)
class Reading:
    """
    The reading of one query.

    `pacer`, `bounds`, `places`, `told`, what was warned of already, and `page_sizes`, the largest by kind as far as
    an endpoint named it, are shared with other queries; `hand_over` is given every page.
    """

    query: PlannedQuery
    kind: ResourceKind
    environment: Environment
    tokens: Tokens
    session: Session
    settings: Settings
    pacer: Pacer
    bounds: Bounds
    page_sizes: dict[str, int]
    places: Places
    told: set[str]
    hand_over: Callable[[Page], Awaitable[None]]
    holders: Holders | None = None
    """Those of whose collections the answer is made up, where there is more than one."""
    _ledger: Ledger = field(init=False)
    _keeper: Keeper = field(init=False)
    _progress: Progress = field(init=False, default_factory=Progress)
    _parts: list[Part] = field(init=False, default_factory=list)
    """What makes up the answer: a part for each filter and slice that was read to its end."""
    _started: datetime | None = field(init=False, default=None)
    _recalled: int = field(init=False, default=0)
    """Answers that were kept from before."""
    _newest_asked_at: datetime | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.query, self.kind)
        self._keeper = Keeper(
            archive=self.settings.archive,
            query=self.query.id,
            kind=self.kind,
            clock=self.settings.clock,
            conceal=self.settings.concealed,
        )

    async def read(self) -> QueryEnd:
        """Read the query to its end, hand over its pages, and return how it ended."""
        return await self._ended(
            self._read_by((self.query.filter, *self.query.further_filters), *self.query.fallbacks)
        )

    async def probe(self, *, hand_over: bool = False) -> QueryEnd:
        """Read the first page alone, hand it over or nothing, and return how many records of the window it holds."""
        return await self._ended(self._read_first_page(hand_over=hand_over))

    async def _ended(self, reading: Awaitable[QueryEnd]) -> QueryEnd:
        try:
            async with asyncio.timeout_at(self.bounds.ends_at):
                end = await self._tried(reading)
        except TimeoutError:
            end = self._end(failure=self.bounds.is_over().failure)
        ended = self.settings.clock()
        return replace(end, elapsed_s=(ended - (self._started or ended)).total_seconds())

    async def _tried(self, reading: Awaitable[QueryEnd]) -> QueryEnd:
        try:
            return await reading
        except FetchError as error:
            return self._end(failure=error.failure)
        except sqlite3.Error as error:
            return self._end(failure=not_kept(OSError(0, str(error))).failure)
        except Exception as error:  # noqa: BLE001  # one query's bug must not cost the other queries their verdicts
            failure = Failure(
                code="internal.error",
                reason=f"Reading broke off: {type(error).__name__}: {error}",
                help="This is a bug of the auditor; please report it.",
            )
            return self._end(failure=failure)

    def _end(
        self,
        *,
        failure: Failure | None = None,
        assurance: Assurance | None = None,
        remarks: tuple[str, ...] = (),
    ) -> QueryEnd:
        if failure is not None:
            failure = replace(failure, reason=self._shown(failure.reason))
        ledger, progress = self._ledger, self._progress
        return QueryEnd(
            query=self.query.id,
            failure=failure,
            assurance=assurance,
            pages=progress.pages,
            records=ledger.records,
            duplicates=ledger.duplicates,
            slices=tuple(sorted({part.window for part in self._parts if part.window is not None})),
            fallback=progress.refused,
            count=self._count,
            first=ledger.first,
            last=ledger.last,
            requests=self._recalled + progress.effort.requests,
            retries=progress.effort.retries,
            waited_s=progress.effort.waited_s,
            clock_skew_s=progress.clock_skew_s,
            correlation_ids=tuple(progress.correlation_ids),
            warnings=(*remarks, *self._sittings(), *progress.warnings),
        )

    def _sittings(self) -> Iterator[str]:
        """Say that the answer was read at two times: of what changed between them, each has its own."""
        asked = self._progress.effort.requests
        if self._recalled and asked:
            yield f"The run went on: {self._recalled} of {self._recalled + asked} answers were kept from before."

    @property
    def _count(self) -> int | None:
        """How many records the endpoint says that there are; several filters may count one record twice."""
        counts = [part.count for part in self._parts if part.count is not None]
        one_filter = len({part.filter for part in self._parts}) == 1
        return sum(counts) if counts and one_filter else None

    def _shown(self, reason: str) -> str:
        return self.settings.concealed(reason)[:MAX_REASON]

    # Which pages

    async def _read_by(self, filters: tuple[str, ...], *instead: tuple[str, ...]) -> QueryEnd:
        """Read everything that any of some filters finds; where the server refuses one, what is named instead."""
        slices = self.query.slices or (self.query.window,)
        holders = await self.holders.found(self._progress) if self.holders else (None,)
        self._parts = []
        try:
            await self._read_parts(
                Part(filter=text, window=window, holder=holder)
                for holder in holders
                for text in filters
                for window in slices
            )
            await self._read_late(filters, holders)
        except FilterRefusedError as error:
            self._progress.refused += 1
            if not instead:
                raise
            told = f"{self._shown(error.failure.reason)} Another filter was asked instead."
            _log.warning("%s: %s", self.query.id, told)
            self._progress.warnings.append(told)
            return await self._read_by(*instead)
        assurance, remarks = self._ledger.close(self._parts)
        return self._end(assurance=assurance, remarks=remarks)

    async def _read_parts(self, parts: Iterable[Part]) -> None:
        """Read parts side by side, as far as there are places, the first first."""
        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(self._read_part(part))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _read_part(self, part: Part) -> None:
        """Read a part to its end, or as far as shows that it had better be cut, and then its pieces."""
        async with self.places:
            self._started = self._started or self.settings.clock()
            try:
                pieces = await self._walk_along(part)
            except FetchError as error:
                raise self.holders.explained(error) if self.holders else error from None
        if pieces:
            _log.debug("%s: %s is read in %d pieces", self.query.id, part.window, len(pieces))
            await self._read_parts(
                Part(filter=part.filter, window=window, holder=part.holder, depth=part.depth + 1)
                for window in pieces
            )
        else:
            self._parts.append(part)

    async def _read_late(self, filters: Iterable[str], holders: Iterable[Mapping[str, JSON] | None]) -> None:
        """Read what is newest once more, if so long has passed since that a late record may have come meanwhile."""
        newest = self._read_again()
        if newest is None:
            return
        _log.debug("%s: %s is read once more", self.query.id, newest)
        for holder in holders:
            for text in filters:
                async with self.places:
                    await self._walk_along(Part(filter=text, window=newest, holder=holder, depth=DEEPEST))

    def _read_again(self) -> Window | None:
        """Return what is newest, if it is to be read once more; as before where that was decided before."""
        archive = self.settings.archive
        known = archive.cut(self.query.id, NEWEST)
        if known is not None or archive.sealed:
            return known.pieces[0] if known is not None else None
        before = archive.ends.get(self.query.id)
        window, asked_at, now = self.query.window, self._newest_asked_at, self.settings.clock()
        if (
            (before and before.complete)
            or window is None
            or asked_at is None
            or self.kind.settled(now) < asked_at
        ):
            return None
        late = asked_at - self.kind.settled(asked_at)
        newest = Window(max(window.start, window.end - LATE * late), window.end)
        if not late or newest.end + LATE * late < asked_at:
            return None
        held = coverage(newest, self.kind, now)
        if held is not None and held.uncovered is not None:
            self._progress.warnings.append(
                f"What came late to {newest} can not be looked for any more: the run went on after it had aged out."
            )
            return None
        archive.note_cut(self.query.id, NEWEST, 0, (newest,))
        return newest

    async def _walk_along(self, part: Part) -> tuple[Window, ...]:
        """Read the pages of a part, and return the pieces to read instead; none where it is at its end."""
        try:
            return await self._walk_on(part)
        except FetchError as error:
            if not self._begins_again(part, error):
                raise
        part.again = True
        return await self._walk_on(part)

    def _begins_again(self, part: Part, error: FetchError) -> bool:
        """
        Tell whether a part is to be read from its first page again.

        A run that goes on follows the link of a page that it kept. Whether a server still knows the place that
        such a link stands for is not documented; where it refuses, the records that are known are known.
        """
        archive = self.settings.archive
        if archive.restarted(self.query.id, part.name):
            return not part.again
        if archive.sealed or not part.recalled or error.failure.code not in REFUSALS:
            return False
        archive.note_restart(self.query.id, part.name)
        return True

    async def _walk_on(self, part: Part) -> tuple[Window, ...]:
        barren, walk = 0, self._walk(part)
        async with aclosing(walk.pages()) as pages:
            async for page in pages:
                self._progress.pages += 1
                found = self.holders.named(page.records, part) if self.holders else page.records
                async with self.places.turn():
                    records = self._ledger.take(found, part, page.count)
                await self.hand_over(
                    Page(query=self.query.id, number=page.number, records=records, count=part.count)
                )
                barren = 0 if records else barren + 1
                if barren > MAX_BARREN:
                    raise endless(self.query.path, f"after {barren:,} pages without a new record")
                if walk.leads_on(page) and len(pieces := self._cut(part, walk)) > 1:
                    return pieces
        return ()

    def _cut(self, part: Part, walk: Walk) -> tuple[Window, ...]:
        """Return the pieces that a part is cut into after its latest page, as before where the run goes on."""
        archive = self.settings.archive
        known = archive.cut(self.query.id, part.name)
        if known is not None or archive.sealed:
            return known.pieces if known is not None and known.pages == part.pages else ()
        pieces = self._pieces(part, walk)
        if len(pieces) > 1:
            archive.note_cut(self.query.id, part.name, part.pages, pieces)
        return pieces

    def _pieces(self, part: Part, walk: Walk) -> tuple[Window, ...]:
        """Return the pieces that a part should be cut into, once a page's worth of its records is known."""
        full = walk.page_size is not None and part.new >= walk.page_size
        if part.window is None or not full or part.depth == DEEPEST or not can_cut(self.kind):
            return ()
        if part.read is None or not is_dense(part.window, part.read, part.pages, part.page_s):
            return ()
        return cut(part.window, self.places.worth(self.pacer.current, self._progress.effort.latency_s))

    async def _read_first_page(self, *, hand_over: bool) -> QueryEnd:
        """Read the first page, where each record of another kind has a collection that of the first of them."""
        self._started = self.settings.clock()
        holder = await self.holders.first(self._progress) if self.holders else None
        if self.holders and holder is None:
            return self._end()
        part = Part(filter=self.query.filter, window=self.query.window, holder=holder)
        async with self.places, aclosing(self._walk(part).pages()) as pages:
            page = await anext(pages)
        self._progress.pages = 1
        found = self.holders.named(page.records, part) if self.holders else page.records
        records = self._ledger.take(found, part)
        if hand_over:
            await self.hand_over(Page(query=self.query.id, number=1, records=records))
        held = sum(belongs(record, self.query, self.kind) for record in records)
        return replace(self._end(), records=held)

    def _walk(self, part: Part) -> Walk:
        query, environment = self.query, self.environment
        path = self.holders.path(query.path, part) if self.holders else query.path
        can_ask = environment.credentials is not None or self.settings.archive.sealed
        if environment.api_url is None or not can_ask or "{environment_id}" in path:
            raise missing_credentials(environment)
        if "{organization_id}" in path:
            raise missing_organization(environment)
        parameters = dict(query.parameters)
        if query.filter_parameter is not None:
            parameters = {query.filter_parameter: scim.as_sent(part.filter, part.window), **parameters}
        return Walk(
            kind=self.kind,
            url=environment.api_url + path,
            parameters=parameters,
            form=(self.kind.post or PostForm()) if query.method == "POST" else None,
            send=partial(self._send, part),
            page_sizes=self.page_sizes,
        )

    # One request

    async def _send(self, part: Part, request: Request) -> Response:
        """Return what was answered before, or send a request with a token, and with a new one where that is refused."""
        recalled = await self._keeper.recalled(request)
        if recalled is not None:
            part.recalled = part.recalled or recalled.status == 200
            self._recalled += 1
            self._note_asked(part.window, recalled.at)
            self._note(recalled)
            return recalled
        token = await self.tokens.token()
        response = await self._send_as(token, part.window, request)
        if response.status == 401:
            token = await self.tokens.token(not_this=token)
            response = await self._send_as(token, part.window, request)
        self._note(response)
        self._check_clock(part.window, response.clock_skew_s)
        kept = await self._keeper.kept(request, response)
        part.recalled = part.recalled and response.status != 200
        return kept

    def _note(self, response: Response) -> None:
        warning = self._progress.note(response, self.kind.kind, self.settings.concealed)
        if warning is not None and warning not in self.told:
            self.told.add(warning)
            _log.warning("%s", warning)

    async def _send_as(self, token: Secret, window: Window | None, request: Request) -> Response:
        headers = {**bearer(token), "Accept": "application/json"}
        if request.content is not None:
            headers["Content-Type"] = "application/json"
        if self.settings.run_id:
            # Comes back in audit events, so that the auditor can recognise its own footprint.
            headers["X-Ping-External-Transaction-Id"] = self.settings.run_id
        return await self.session.send(
            request,
            headers=headers,
            effort=self._progress.effort,
            pacer=self.pacer,
            before=partial(self._admit, window),
            read=reader(self.kind),
        )

    def _admit(self, window: Window | None) -> None:
        """Let a request be sent if nothing is against it at this moment."""
        self._note_asked(window, self.settings.clock())
        self._check_coverage(window)
        self.bounds.spend()

    def _note_asked(self, window: Window | None, at: datetime | None) -> None:
        """Note when what is newest of the window was asked for first."""
        whole = self.query.window
        if self._newest_asked_at is None and window and whole and window.end == whole.end:
            self._newest_asked_at = at

    def _check_clock(self, window: Window | None, skew_s: float | None) -> None:
        """Refuse what a slice would not be by PingOne's clock: ours may say that events are there which are not."""
        if window is None or skew_s is None or abs(skew_s) <= MAX_SKEW_S:
            return
        ours = self.settings.clock()
        theirs = ours + timedelta(seconds=skew_s)
        held = coverage(window, self.kind, theirs)
        unsettled = self.kind.settled(theirs) < window.end <= self.kind.settled(ours)
        if (held is None or held.covered) and not unsettled:
            return
        raise FetchError(
            "evidence.clock",
            f"PingOne's clock says {format_instant(theirs)} and ours {format_instant(ours)}: they are"
            f" {abs(skew_s):,.0f} s apart, and by PingOne's the window {window} can not be read completely.",
            "Set the clock of this machine (NTP), then run again.",
        )

    def _check_coverage(self, window: Window | None) -> None:
        """Judge a slice at the moment when it is asked for; what has aged out meanwhile is gone."""
        now = self.settings.clock()
        held = coverage(window, self.kind, now)
        if held is None or held.covered:
            return
        if window and self.query.window:  # what later slices lack is told too, as the plan tells it
            held = coverage(Window(window.start, self.query.window.end), self.kind, now) or held
        raise FetchError(
            "evidence.not-covered",
            f"{self.query.resource} does not hold the whole window: {held.uncovered} is missing"
            f" (asked at {format_instant(now)}).",
            f"{held.note} For what can be read at once, write window: hot.",
        )
