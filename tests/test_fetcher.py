"""Queries side by side: each ends once, none spoils another, and nothing is left running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from auditor import fetcher
from auditor.model.evidence import Page, QueryEnd
from auditor.model.plan import PlannedQuery
from auditor.model.resource import ResourceKind
from tests.pages import (
    KINDS,
    Answer,
    Tenant,
    answer,
    days,
    environment,
    event,
    events,
    fetched,
    fetching,
    in_virtual_time,
    link,
    nothing_left_running,
    ok,
    page,
    plan_of,
    query,
    settings_for,
)

METRICS = "metrics_active_identity_counts"
WEEK = ("2026-11-02", "2026-11-09")


def several(count: int) -> list[PlannedQuery]:
    return [query(id=f"q{number}") for number in range(count)]


def stream(tenant: Tenant, *queries: PlannedQuery, **settings: Any) -> AsyncIterator[Page | QueryEnd]:
    environments = {"prod": environment()}
    return fetcher.fetch(plan_of(*queries), KINDS, environments, settings_for(tenant, **settings))


# --- ends -----------------------------------------------------------------------------------------------


def test_a_plan_without_queries_asks_nothing():
    async def read() -> list[Any]:
        return [event async for event in stream(Tenant(ok({})))]

    assert in_virtual_time(read()) == []


def test_each_query_ends_once_after_the_last_of_its_pages():
    tenant = Tenant(ok(page(events(1))))

    async def read() -> list[Page | QueryEnd]:
        return [event async for event in stream(tenant, *several(20), concurrency=3)]

    found = in_virtual_time(read())
    for number in range(20):
        of_one = [event for event in found if event.query == f"q{number}"]
        assert [type(event) for event in of_one] == [Page, QueryEnd]


def test_an_end_says_what_was_read():
    tenant = Tenant(
        ok(page(events(3, 4), next=link("b")), Correlation_Id="one"),
        answer(503, {}),
        ok(page(events(2, 3)), Correlation_Id="two"),
    )
    end = fetched(tenant).end
    assert end == QueryEnd(
        query=query().id,
        failure=None,
        assurance="end of links",
        pages=2,
        records=3,
        duplicates=1,
        slices=query().slices,
        count=None,
        first=end.first,
        last=end.last,
        requests=3,
        retries=1,
        waited_s=end.waited_s,
        elapsed_s=0,
        correlation_ids=("one", "two"),
        warnings=(),
    )
    assert f"{end.first:%H:%M} {end.last:%H:%M}" == "10:26 10:28"


def test_an_end_is_timed_by_the_clock_that_is_given():
    tenant = Tenant(ok(page(events(1))))

    def slowly(_: httpx.Request) -> httpx.Response:
        tenant.clock.now += timedelta(seconds=90)
        return ok(page(events(1)))

    tenant.answers = [slowly]
    assert fetched(tenant).end.elapsed_s == 90


# --- side by side ---------------------------------------------------------------------------------------


def test_so_many_queries_and_no_more_are_asked_at_once():
    at_once = peak = 0

    async def meanwhile(_: httpx.Request) -> httpx.Response:
        nonlocal at_once, peak
        at_once += 1
        peak = max(peak, at_once)
        await asyncio.sleep(1)
        at_once -= 1
        return ok(page(events(1)))

    found = fetched(Tenant(meanwhile), *several(12), concurrency=4)
    assert all(end.complete for end in found.ends)
    assert peak == 4
    assert 3 <= found.seconds < 3.5


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(answer(403, {}), id="forbidden"),
        pytest.param(answer(503, {}), id="busy"),
        pytest.param(httpx.ReadTimeout("slow"), id="slow"),
        pytest.param(ok(page([{}])), id="drift"),
        pytest.param(ok(page(events(1), next="https://elsewhere.example/")), id="a foreign link"),
        pytest.param(RuntimeError("a bug"), id="a bug"),
    ],
)
def test_a_query_that_fails_spoils_no_other(bad: Answer):
    metrics = ok(page(days("2026-11-02", 7), resource=METRICS, count=7))

    async def by_endpoint(request: httpx.Request) -> httpx.Response:
        if "metrics" in request.url.path:
            await asyncio.sleep(5)
            return metrics
        if isinstance(bad, Exception):
            raise bad
        assert isinstance(bad, httpx.Response)
        return bad

    good = query(METRICS, between=WEEK)
    found = fetched(Tenant(by_endpoint), *several(3), good)
    assert found.of(good).complete
    assert [end.complete for end in found.ends].count(False) == 3


def test_a_bug_is_called_one():
    found = fetched(Tenant(RuntimeError("index out of range")))
    assert found.failure.code == "internal.error"
    assert "RuntimeError: index out of range" in found.failure.reason
    assert "report it" in found.failure.help


def test_a_query_of_a_kind_that_nobody_knows_ends_the_run():
    """Plan and catalogue do not fit together: no tenant could mend that, and nothing may wait for ever."""
    with pytest.raises(ExceptionGroup) as raised:
        fetched(Tenant(ok(page([]))), query(), kinds={})
    assert isinstance(raised.value.exceptions[0], KeyError)


def test_a_window_is_asked_for_slice_by_slice_the_oldest_first():
    kind = KINDS["activities"].model_dump(exclude_unset=True)
    kind["window"] = kind["window"] | {"longest": "6h"}
    kinds = {"activities": ResourceKind.model_validate(kind)}
    tenant = Tenant(*(ok(page(events(number))) for number in (1200, 1000, 500, 100)))
    found = fetched(tenant, query(kinds=kinds), kinds=kinds)
    assert found.end.complete, found.end
    assert [request.url.params["filter"] for request in tenant.asked] == [
        f'recordedAt ge "2026-11-{start}:30:00.000Z" and recordedAt lt "2026-11-{end}:30:00.000Z"'
        for start, end in (("20T10", "20T16"), ("20T16", "20T22"), ("20T22", "21T04"), ("21T04", "21T10"))
    ]


# --- stopping -------------------------------------------------------------------------------------------


def endless(tenant: Tenant) -> Answer:
    """Return an answer that always has a next page with something new."""

    def another(_: httpx.Request) -> httpx.Response:
        number = len(tenant.asked)
        return ok(page([event(1, id=f"event-{number}")], next=link(str(number))))

    return another


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_who_stops_early_leaves_nothing_running(taken: int):
    tenant = Tenant(ok({}))
    tenant.answers = [endless(tenant)]

    async def read() -> None:
        with nothing_left_running():
            events = stream(tenant, *several(20), concurrency=2)
            for _ in range(taken):
                await anext(events)
            async with asyncio.timeout(5):
                await events.aclose()  # type: ignore[attr-defined]

    in_virtual_time(read())


def test_who_fails_over_a_page_leaves_nothing_running():
    tenant = Tenant(ok({}))
    tenant.answers = [endless(tenant)]

    async def read() -> None:
        events = stream(tenant, *several(20))
        try:
            async for _ in events:
                raise ZeroDivisionError
        finally:
            async with asyncio.timeout(5):
                await events.aclose()  # type: ignore[attr-defined]

    async def watched() -> None:
        with nothing_left_running(), pytest.raises(ZeroDivisionError):
            await read()

    in_virtual_time(watched())


@pytest.mark.parametrize("after_s", [0, 0.5, 3])
def test_who_is_cancelled_leaves_nothing_running(after_s: float):
    """Whether in a request, in a wait between two tries, or before a page is taken."""

    async def slowly(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(1)
        return answer(503, {})

    async def read() -> None:
        with nothing_left_running():
            reading = asyncio.create_task(fetching(Tenant(slowly), *several(20)))
            await asyncio.sleep(after_s)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                async with asyncio.timeout(5):
                    await reading

    in_virtual_time(read())


def test_a_reader_that_is_in_no_hurry_is_not_run_over():
    """Memory holds some pages, not the answer: the tenant is asked for more only as pages are taken."""
    tenant = Tenant(ok({}))
    tenant.answers = [endless(tenant)]

    async def read() -> None:
        events = stream(tenant, *several(4), concurrency=4)
        await anext(events)
        await asyncio.sleep(60)
        waiting = len(tenant.asked)
        assert waiting <= 1 + 4 + 4 + 4  # taken, in hand, one in each query's hands, and one asked for ahead
        await anext(events)
        await asyncio.sleep(60)
        assert len(tenant.asked) == waiting + 1
        await events.aclose()  # type: ignore[attr-defined]

    in_virtual_time(read())


# --- given records --------------------------------------------------------------------------------------


def given(records: dict[str, Any], *queries: PlannedQuery) -> tuple[list[Page], list[QueryEnd]]:
    async def read() -> list[Page | QueryEnd]:
        plan = plan_of(*queries)
        return [event async for event in fetcher.given(plan, KINDS, records)]

    found = in_virtual_time(read())
    pages = [event for event in found if isinstance(event, Page)]
    return pages, [event for event in found if isinstance(event, QueryEnd)]


def test_given_records_answer_every_query_of_their_kind():
    pages, ends = given({"activities": tuple(events(1, 2, 2))}, *several(2))
    assert [(p.query, p.number, len(p.records)) for p in pages] == [("q0", 1, 2), ("q1", 1, 2)]
    for end in ends:
        assert (end.complete, end.assurance) == (True, "given")
        assert (end.pages, end.records, end.duplicates, end.requests) == (1, 2, 1, 0)
        assert end.first is not None
        assert end.last is not None
        assert end.first < end.last


def test_a_kind_of_which_nothing_was_given_is_an_error():
    pages, (end,) = given({METRICS: ()}, query())
    assert pages == []
    assert end.failure is not None
    assert end.failure.code == "evidence.not-given"
    assert "--records activities=FILE" in end.failure.help
    assert (end.assurance, end.pages) == (None, 0)


def test_given_records_outside_of_the_window_are_left_to_the_evaluator():
    (found,), (end,) = given({"activities": (event(1, recordedAt="2018-08-22T21:47:12.859Z"),)}, query())
    assert end.complete
    assert len(found.records) == 1


def test_a_given_record_of_another_shape_is_an_error_that_names_it():
    pages, (end,) = given({"activities": (event(1), {"id": 7})}, query())
    assert pages == []
    assert end.failure is not None
    assert end.failure.code == "evidence.drift"
    assert "Record 2" in end.failure.reason
    assert end.assurance is None


def test_nothing_counts_given_records():
    _, (end,) = given({METRICS: tuple(days("2026-11-02", 7))}, query(METRICS, between=WEEK))
    assert (end.complete, end.count) == (True, None)


def test_a_period_that_is_missing_from_given_records_is_an_error():
    _, (end,) = given({METRICS: tuple(days("2026-11-02", 6))}, query(METRICS, between=WEEK))
    assert end.failure is not None
    assert end.failure.code == "evidence.incomplete"
    assert end.records == 6
