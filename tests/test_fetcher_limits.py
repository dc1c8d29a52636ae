"""Rate limits are listened to: refusals slow a group, answers bring it back; page sizes are negotiated once."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import httpx
import pytest

from auditor.fetcher.limits import MARGIN, Pacer
from auditor.model.evidence import Failure
from auditor.model.plan import PlannedQuery
from tests.pages import (
    Fetched,
    Tenant,
    answer,
    days,
    events,
    fetched,
    fetching,
    in_virtual_time,
    link,
    nothing_left_running,
    ok,
    page,
    query,
    simulated,
)

LIMITED = answer(429, {"code": "REQUEST_LIMITED", "message": "The request limit is exceeded."})
RATES = {"rlgAuditRps": 2.0, "rlgAnalyticsRpm": 2.0}


def gaps(tenant: Tenant) -> list[float]:
    """Return the seconds between requests."""
    return [later - earlier for earlier, later in pairwise(tenant.at)]


def moments(tenant: Tenant) -> list[float]:
    """Return the seconds from the first request to each."""
    return [at - tenant.at[0] for at in tenant.at]


def pages(count: int, *, first: int = 0) -> list[httpx.Response]:
    return [
        ok(page(events(first + n + 1), next=link(str(n)) if n < count - 1 else None)) for n in range(count)
    ]


def test_a_refusal_halves_the_rate_and_answers_bring_it_back_little_by_little():
    tenant = Tenant(LIMITED, *pages(80))
    found = fetched(tenant, rates=RATES, first_wait_s=0)
    assert found.end.complete
    between = gaps(tenant)
    assert between[1] == pytest.approx(MARGIN / 1, rel=0.05)
    assert between[1:24:8] == sorted(between[1:24:8], reverse=True)
    assert between[-1] == pytest.approx(MARGIN / 2, rel=0.01)


def test_refusals_of_requests_that_were_on_their_way_together_count_once():
    async def refused_together() -> float:
        pacer = Pacer(1_000)
        sent = [await pacer.turn() for _ in range(8)]
        await asyncio.sleep(1)
        for at in sent:
            pacer.slow_down(at)
        return pacer.current

    assert in_virtual_time(refused_together()) == 500


def test_refusals_without_end_leave_a_rate_that_still_gets_on():
    async def refused_always() -> float:
        pacer = Pacer(16)
        for _ in range(100):
            pacer.slow_down(await pacer.turn())
            await asyncio.sleep(1)
        return pacer.current

    assert in_virtual_time(refused_always()) == 1


def test_a_rate_never_rises_above_the_plan():
    async def answered_always() -> float:
        pacer = Pacer(3)
        for _ in range(1_000):
            pacer.speed_up()
        return pacer.current

    assert in_virtual_time(answered_always()) == 3


def limited_then(tenant: Tenant, **headers: str) -> None:
    """Let a tenant refuse the first request, and answer every other."""

    def first_refused(_: httpx.Request) -> httpx.Response:
        return answer(429, {}, **headers) if len(tenant.asked) == 1 else ok(page(events(1)))

    tenant.answers = [first_refused]


def several(count: int) -> list[PlannedQuery]:
    return [query(id=f"q{number}") for number in range(count)]


def test_a_wait_that_the_server_asks_for_holds_the_whole_group():
    tenant = Tenant(ok({}))
    limited_then(tenant, Retry_After="20")
    found = fetched(tenant, *several(4), rates={"rlgAuditRps": 10.0})
    assert all(end.complete for end in found.ends)
    # Whoever was on the way when it was said has arrived; nobody else sets out before.
    assert [at >= 20 for at in moments(tenant)] == [False] + [True] * 4


def test_a_wait_holds_no_other_group():
    metrics = query("metrics_active_identity_counts", between=("2026-11-02", "2026-11-09"))

    def by_path(request: httpx.Request) -> httpx.Response:
        if "metrics" in request.url.path:
            return ok(page(days("2026-11-02", 7), resource="metrics_active_identity_counts", count=7))
        tenant.answers = [lambda r: by_path(r) if "metrics" in r.url.path else ok(page(events(1)))]
        return answer(429, {}, Retry_After="20")

    tenant = Tenant(by_path)
    found = fetched(tenant, query(), metrics, rates=RATES)
    assert all(end.complete for end in found.ends)
    assert found.ends[0].query == metrics.id
    assert moments(tenant)[1] < 1


def test_a_wait_that_is_too_long_to_grant_holds_nobody():
    tenant = Tenant(ok({}))
    limited_then(tenant, Retry_After="6000")
    found = fetched(tenant, *several(4), rates={"rlgAuditRps": 10.0})
    assert [codes(found).count(code) for code in ("query.rate-limited", None)] == [1, 3]
    assert found.seconds < 2


def codes(found: Fetched) -> list[str | None]:
    return [end.failure.code if isinstance(end.failure, Failure) else None for end in found.ends]


def test_a_limit_below_the_planned_rate_is_found_out():
    with simulated(rate_limits={"rlgAuditRps": "5/s"}, allow_listed=True, page_size=150) as tenant:
        found = tenant.fetched(tenant.query(last="7d"), rates={"rlgAuditRps": 50.0})
    assert found.end.complete, found.end.failure
    assert found.end.pages == 7
    assert 1 <= found.end.retries <= 3


# --- bounds of a run ------------------------------------------------------------------------------------


def test_after_so_many_requests_a_run_stops_and_says_so():
    tenant = Tenant(*pages(10))
    found = fetched(tenant, max_requests=4)
    assert found.failure.code == "evidence.stopped"
    assert "after 4 requests" in found.failure.reason
    assert "--max-requests" in found.failure.help
    assert (len(tenant.asked), found.end.pages, found.end.records) == (4, 4, 4)
    assert found.end.assurance is None


def test_repetitions_count_as_requests():
    tenant = Tenant(answer(503, {}), answer(503, {}), *pages(10))
    assert fetched(tenant, max_requests=4).end.pages == 2
    assert len(tenant.asked) == 4


@pytest.mark.parametrize("bound", [{"max_requests": 10}, {"max_duration_s": 1e6}])
def test_what_is_within_the_bounds_is_complete(bound: dict[str, Any]):
    assert fetched(Tenant(*pages(10)), **bound).end.complete


def test_what_was_complete_before_the_run_stopped_stays_so():
    def by_query(request: httpx.Request) -> httpx.Response:
        onward = "cursor" in request.url.params or '"A"' in request.url.params["filter"]
        return ok(page(events(len(tenant.asked)), next=link(str(len(tenant.asked))) if onward else None))

    tenant = Tenant(by_query)
    small = query(id="small")
    large = query(id="large", filter=f'{small.filter} and action.type eq "A"')
    found = fetched(tenant, small, large, max_requests=20)
    assert found.of(small).complete
    assert codes(found).count("evidence.stopped") == 1
    assert len(tenant.asked) == 20


def slowly(tenant: Tenant, seconds: float) -> None:
    """Let a tenant have a next page always, each after some time."""

    async def another(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(seconds)
        return ok(page(events(len(tenant.asked)), next=link(str(len(tenant.asked)))))

    tenant.answers = [another]


@pytest.mark.parametrize("seconds", [0.3, 3600])
def test_after_so_long_a_run_stops_also_within_a_request(seconds: float):
    tenant = Tenant(ok({}))
    slowly(tenant, seconds)
    found = fetched(tenant, *several(3), max_duration_s=10, timeout_s=1e6)
    assert codes(found) == ["evidence.stopped"] * 3
    assert found.ends[0].failure is not None
    assert "after 10 s" in found.ends[0].failure.reason
    assert "--max-duration" in found.ends[0].failure.help
    assert found.seconds == pytest.approx(10, abs=0.5)


def test_a_run_stops_within_a_wait_that_the_server_asks_for():
    tenant = Tenant(answer(429, {}, Retry_After="200"))
    found = fetched(tenant, *several(3), max_duration_s=10)
    assert codes(found) == ["evidence.stopped"] * 3
    assert found.seconds == pytest.approx(10, abs=0.5)


def test_a_run_that_was_stopped_leaves_nothing_running():
    async def stopped() -> list[str | None]:
        tenant = Tenant(ok({}))
        slowly(tenant, 3)
        with nothing_left_running():
            return codes(await fetching(tenant, *several(20), max_duration_s=10, concurrency=3))

    assert in_virtual_time(stopped()) == ["evidence.stopped"] * 20


# --- page sizes -----------------------------------------------------------------------------------------


def test_the_largest_page_is_remembered_for_other_queries():
    with simulated(page_size=100) as tenant:
        first, second = tenant.query(last="1d", id="q1"), tenant.query(last="1d", id="q2")
        found = tenant.fetched(first, second, concurrency=1)
        limits = [read.query.get("limit") for read in tenant.reads if "limit" in read.query]
    assert all(end.complete for end in found.ends)
    assert [str(limit) for limit in limits] == ["500", "100", "100"]


def test_a_page_that_is_small_enough_is_asked_for_as_it_is():
    with simulated(page_size=100) as tenant:
        wide = tenant.query(last="1d", id="q1")
        narrow = tenant.query(last="1d", id="q2", parameters={"limit": "7"})
        tenant.fetched(wide, narrow, concurrency=1)
        limits = [read.query.get("limit") for read in tenant.reads if "limit" in read.query]
    assert [str(limit) for limit in limits] == ["500", "100", "7"]
