"""Long windows are read in slices side by side: nothing is lost or repeated, and small ones stay whole."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count, pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.fetcher.slicing import DEEPEST, Places, cut
from auditor.model.instant import Window, format_instant, parse_instant
from auditor.model.plan import PlannedQuery
from auditor.model.resource import ResourceKind
from tests.pages import (
    KINDS,
    NOW,
    Fetched,
    Tenant,
    event,
    fetched,
    in_virtual_time,
    link,
    ok,
    page,
    query,
    simulated,
)
from tests.support import examples

DAY_MS = 24 * 3600 * 1000
START = NOW - timedelta(days=1)
RANGE = re.compile(r'recordedAt ge "(?P<start>[^"]+)" and recordedAt lt "(?P<end>[^"]+)"')


class Log:
    """An endpoint over a log of one day: events by milliseconds from its start, in some order, so many a page."""

    def __init__(self, at: Sequence[int], *, size: int, order: str = "newest", latency_s: float = 0) -> None:
        self.events = [
            event(number, recordedAt=format_instant(START + timedelta(milliseconds=ms)))
            for number, ms in enumerate(at)
        ]
        self.events.sort(key=lambda found: found["recordedAt"], reverse=order == "newest")
        if order == "any":
            random.Random(len(at)).shuffle(self.events)  # noqa: S311  # the same disorder every time
        self.size, self.latency_s = size, latency_s
        self.asked: list[Window] = []
        self._windows: dict[str, Window] = {}

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(self.latency_s)
        if "cursor" in request.url.params:
            name, _, start = request.url.params["cursor"].partition(".")
            window, first = self._windows[name], int(start)
        else:
            match = RANGE.fullmatch(request.url.params["filter"])
            assert match is not None
            window, first = Window(parse_instant(match["start"]), parse_instant(match["end"])), 0
            name = str(len(self._windows))
            self._windows[name] = window
            self.asked.append(window)
        found = [one for one in self.events if parse_instant(one["recordedAt"]) in window]
        onward = link(f"{name}.{first + self.size}") if len(found) > first + self.size else None
        return ok(page(found[first : first + self.size], next=onward))

    @property
    def ids(self) -> list[str]:
        return sorted(found["id"] for found in self.events)

    @property
    def pages(self) -> int:
        """How many pages it has when it is read in one go."""
        return max(-(-len(self.events) // self.size), 1)


def asked_for(log: Log, **changes: Any) -> PlannedQuery:
    return query(parameters={"limit": str(log.size)}, **changes)


def read(log: Log, **how: Any) -> tuple[Fetched, Tenant]:
    tenant = Tenant(log)
    return fetched(tenant, asked_for(log), **how), tenant


def evenly(count: int) -> list[int]:
    return [number * DAY_MS // count for number in range(count)]


AT = st.one_of(
    st.lists(st.integers(0, DAY_MS - 1), max_size=150),
    st.lists(st.integers(0, 3), max_size=150),  # many in one millisecond, at the very edge
    st.builds(
        lambda *bursts: [ms for start, count, gap in bursts for ms in range(start, start + count * gap, gap)],
        *[st.tuples(st.integers(0, DAY_MS // 2), st.integers(0, 60), st.integers(1, 100_000))] * 3,
    ),
)


@settings(max_examples=examples(60), deadline=None)
@given(
    at=AT,
    size=st.integers(1, 40),
    order=st.sampled_from(["newest", "oldest", "any"]),
    places=st.integers(1, 9),
)
def test_slices_neither_lose_nor_repeat_a_record(at: list[int], size: int, order: str, places: int):
    log = Log(at, size=size, order=order)
    found, tenant = read(log, concurrency=places)
    assert found.end.complete, found.end.failure
    assert sorted(found.ids) == log.ids
    assert found.end.records == len(at)
    if log.pages == 1:
        assert len(tenant.asked) == 1


@settings(max_examples=examples(100), deadline=None)
@given(
    ends=st.tuples(st.integers(0, DAY_MS), st.integers(0, DAY_MS)).map(sorted),
    pieces=st.integers(1, 20),
)
def test_pieces_are_the_window_from_end_to_end(ends: list[int], pieces: int):
    start, end = (START + timedelta(milliseconds=ms) for ms in ends)
    parts = cut(Window(start, end), pieces)
    assert (parts[0].start, parts[-1].end) == (start, end)
    assert all(one.end == next_one.start for one, next_one in pairwise(parts))
    assert all(part.length_s > 0 for part in parts) or start == end
    assert len(parts) in {1, pieces}


@pytest.mark.parametrize("order", ["newest", "oldest", "any"])
def test_a_dense_window_is_read_side_by_side(order: str):
    log = Log(evenly(4_000), size=40, order=order, latency_s=1)
    found, tenant = read(log)
    assert sorted(found.ids) == log.ids
    assert len(tenant.asked) <= 1.12 * log.pages + 8
    if order != "any":  # whose pages do not show how dense the window is
        assert found.seconds < 20


def test_pieces_are_asked_for_the_oldest_first():
    log = Log(evenly(4_000), size=40, latency_s=1)
    read(log)
    assert log.asked[1:9] == sorted(log.asked[1:9], key=lambda window: window.start)


def test_an_end_names_the_slices_that_make_it_up():
    log = Log(evenly(4_000), size=40, latency_s=1)
    found, _ = read(log)
    slices = found.end.slices
    assert len(slices) == 8
    assert set(slices) < set(log.asked)
    assert (slices[0].start, slices[-1].end) == (START, NOW)
    assert all(one.end == later.start for one, later in pairwise(slices))


def test_a_window_of_a_few_pages_stays_whole():
    log = Log(evenly(40 * 7), size=40, latency_s=1)
    _, tenant = read(log)
    assert len(tenant.asked) == 7
    assert len(log.asked) == 1


def test_a_dense_piece_is_cut_again():
    """A burst in the tenth hour, of which the first page, which is the newest, shows nothing yet."""
    burst = [10 * 3_600_000 + number * 500 for number in range(4_000)]
    log = Log([*evenly(200), *burst], size=40, latency_s=1)
    found, tenant = read(log)
    assert sorted(found.ids) == log.ids
    assert found.seconds < 0.4 * log.pages
    assert len(tenant.asked) < 1.3 * log.pages


def test_more_records_in_one_millisecond_than_a_page_holds_cost_few_requests_more():
    log = Log([DAY_MS // 3] * 2_000, size=40, latency_s=1)
    found, tenant = read(log)
    assert sorted(found.ids) == log.ids
    # Each time eight pieces, the page that showed that it had better be cut, and the one asked for ahead.
    assert len(tenant.asked) <= log.pages + DEEPEST * 10


def test_where_the_rate_is_what_takes_time_nothing_is_cut():
    """Two walks at once would wait for each other's turns; each cut costs a request."""
    log = Log(evenly(4_000), size=40, latency_s=0.1)
    found, tenant = read(log, rates={"rlgAuditRps": 3.0})
    assert sorted(found.ids) == log.ids
    assert len(tenant.asked) == log.pages


def test_as_many_walks_as_the_rate_has_turns_for_are_enough():
    log = Log(evenly(4_000), size=40, latency_s=1)
    found, _ = read(log, rates={"rlgAuditRps": 3.0})
    assert sorted(found.ids) == log.ids
    assert len(log.asked) in {1 + 3, 1 + 4}
    assert found.seconds < 1.1 * log.pages / 3 + 2


def test_pieces_of_one_query_leave_places_to_others():
    async def worth() -> list[int]:
        places, found = Places(4), []
        async with places:
            found.append(places.worth(0, 1))
            async with places, places:
                found.append(places.worth(0, 1))
                async with places:
                    found.append(places.worth(0, 1))
        return found

    assert in_virtual_time(worth()) == [4, 2, 1]


@pytest.mark.parametrize(
    "rule",
    [
        {
            "start": {"attribute": "recordedAt", "operator": "gt"},
            "end": {"attribute": "recordedAt", "operator": "lt"},
        },
        {
            "start": {"attribute": "recordedAt", "operator": "ge"},
            "end": {"attribute": "recordedAt", "operator": "le"},
        },
        {"start": {"attribute": "recordedAt", "operator": "ge"}},
    ],
    ids=["the start is left out", "the end is included", "the end is now"],
)
def test_a_range_whose_seams_would_lose_or_repeat_records_is_not_cut(rule: dict[str, Any]):
    kind = KINDS["activities"].model_dump(exclude_unset=True) | {"window": rule}
    kinds = {"activities": ResourceKind.model_validate(kind)}
    everything = [event(number + 1) for number in range(400)]

    def by_cursor(request: httpx.Request) -> httpx.Response:
        first = int(request.url.params.get("cursor", "0"))
        onward = link(str(first + 4)) if first + 4 < len(everything) else None
        return ok(page(everything[first : first + 4], next=onward))

    tenant = Tenant(by_cursor)
    found = fetched(tenant, query(kinds=kinds, last="14d", parameters={"limit": "4"}), kinds=kinds)
    assert found.end.complete, found.end.failure
    assert len(tenant.asked) == 100


def test_a_piece_that_fails_ends_the_query_and_leaves_nothing_running():
    log, numbers = Log(evenly(4_000), size=40, latency_s=1), count()

    async def now_and_then(request: httpx.Request) -> httpx.Response:
        if next(numbers) == 6:
            return httpx.Response(403, json={})
        return await log(request)

    found = fetched(Tenant(now_and_then), asked_for(log))
    assert found.failure.code == "query.forbidden"
    assert found.end.assurance is None


def test_a_piece_that_has_aged_out_before_it_is_asked_for_is_an_error_that_says_which():
    log = Log(evenly(4_000), size=40, latency_s=1)
    tenant = Tenant(log)

    async def late(request: httpx.Request) -> httpx.Response:
        tenant.clock.now = NOW + timedelta(days=13, hours=2) if len(log.asked) == 1 else tenant.clock.now
        return await log(request)

    tenant.answers = [late]
    found = fetched(tenant, asked_for(log))
    assert found.failure.code == "evidence.not-covered"
    assert format_instant(START) in found.failure.reason


@pytest.mark.parametrize("fault", ["small-pages=25", "disorder", "repeat", "500 x3"])
def test_slices_of_the_simulator_bring_what_one_walk_brings(fault: str):
    with simulated(fault, page_size=30) as tenant:
        asked = tenant.query(last="6d", parameters={"limit": "30"})
        whole = tenant.fetched(asked, concurrency=1)
        sliced = tenant.fetched(asked)
    assert whole.end.complete
    assert sliced.end.complete, sliced.end.failure
    assert sorted(sliced.ids) == sorted(whole.ids)
    assert sliced.end.pages > whole.end.pages  # it was cut


def test_the_first_and_last_instant_are_those_of_all_pieces():
    log = Log(evenly(4_000), size=40)
    found, _ = read(log)
    instants = [parse_instant(one["recordedAt"]) for one in log.events]
    assert (found.end.first, found.end.last) == (min(instants), max(instants))
    assert isinstance(found.end.first, datetime)
