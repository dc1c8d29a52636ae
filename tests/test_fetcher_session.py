"""Requests: what is repeated and after what wait, what is refused, and in whose words."""

from __future__ import annotations

import asyncio
import errno
import gzip
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.fetcher import session
from tests.pages import (
    NOW,
    Answer,
    Clock,
    Tenant,
    answer,
    environment,
    events,
    fetched,
    granted,
    html,
    link,
    ok,
    page,
    query,
    table,
)

GOOD = ok(page(events(1)))
ATTEMPTS = 6


class Dripping(httpx.AsyncByteStream):
    """A body that comes a byte at a time, with pauses."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(self.pause_s)
            yield b" "


def stream(*blocks: bytes, **headers: str) -> httpx.Response:
    """Return an answer whose body is not looked at before it is sent."""

    class Blocks(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for block in blocks:
                yield block

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, stream=Blocks(), headers={"Content-Type": "application/json", **named})


# --- refusals, in PingOne's words -----------------------------------------------------------------------


@pytest.mark.parametrize("case", [pytest.param(case, id=case["because"]) for case in table("errors")])
def test_a_refusal_is_told_in_the_words_of_the_server_and_not_repeated(case: dict[str, Any]):
    body = "[" * case["deep"] if "deep" in case else case["body"]
    tenant = Tenant(answer(case["status"], body.encode()))
    failure = fetched(tenant).failure
    assert failure.code == case["code"]
    for text in case.get("says", ()):
        assert text in failure.reason
    if "not" in case:
        assert case["not"] not in failure.reason
    assert case.get("help", "") in failure.help
    assert len(tenant.asked) == 1


def test_an_endless_explanation_is_cut():
    tenant = Tenant(answer(400, {"message": "x" * 1_000_000}))
    assert len(fetched(tenant).failure.reason) == 2_000


def test_an_html_page_with_status_200_is_no_answer():
    """A gateway's page to sign on, for instance; it is whole, so it is not asked for again."""
    tenant = Tenant(html())
    failure = fetched(tenant).failure
    assert failure.code == "evidence.not-json"
    assert "an HTML page" in failure.reason
    assert "sign on" not in failure.reason
    assert "proxy" in failure.help
    assert len(tenant.asked) == 1


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/hal+json", "application/vnd.x+JSON; a=b"]
)
def test_json_is_read_under_whatever_name_it_comes(content_type: str):
    tenant = Tenant(ok(page(events(1)), Content_Type=content_type))
    assert fetched(tenant).end.complete


def test_json_without_a_content_type_is_read():
    nameless = httpx.Response(200, content=GOOD.content)
    assert "content-type" not in nameless.headers
    assert fetched(Tenant(nameless)).end.complete


# --- repetition -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_asked_again(status: int):
    tenant = Tenant(answer(status, {}), answer(status, b"<html>"), GOOD)
    found = fetched(tenant)
    assert found.end.complete
    assert (found.end.requests, found.end.retries) == (3, 2)
    assert len(set(tenant.urls)) == 1


@pytest.mark.parametrize("status", [501, 505, 410, 407, 301, 418])
def test_any_other_status_is_not(status: int):
    tenant = Tenant(answer(status, {}), GOOD)
    assert not fetched(tenant).end.complete
    assert len(tenant.asked) == 1


@pytest.mark.parametrize(
    ("status", "code"), [(408, "query.failed"), (429, "query.rate-limited"), (503, "query.failed")]
)
def test_a_status_that_does_not_pass_is_told_with_the_tries_and_the_words(status: int, code: str):
    tenant = Tenant(answer(status, {"id": "9", "code": "UNEXPECTED_ERROR", "message": "Try later."}))
    found = fetched(tenant)
    assert found.failure.code == code
    assert f"status {status}" in found.failure.reason
    assert "UNEXPECTED_ERROR: Try later. (id 9)" in found.failure.reason
    assert f"tried {ATTEMPTS} times" in found.failure.reason
    assert (len(tenant.asked), found.end.requests, found.end.retries) == (ATTEMPTS, ATTEMPTS, ATTEMPTS - 1)


def test_one_try_is_not_counted():
    failure = fetched(Tenant(answer(503, {})), attempts=1).failure
    assert "tried" not in failure.reason


def test_the_waits_between_tries_grow_and_are_told():
    tenant = Tenant(answer(503, {}))
    found = fetched(tenant, first_wait_s=1)
    waits = [later - earlier for earlier, later in zip(tenant.at, tenant.at[1:], strict=False)]
    # Doubled each time, and up to a second of chance upon it.
    for number, wait in enumerate(waits):
        assert 2**number <= wait <= 2**number + 1.1
    assert found.end.waited_s == pytest.approx(sum(waits), abs=0.1)
    assert found.seconds == pytest.approx(sum(waits), abs=0.1)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(httpx.ReadError("reset"), id="reset"),
        pytest.param(httpx.RemoteProtocolError("peer closed connection"), id="closed"),
        pytest.param(httpx.ConnectTimeout("slow"), id="no connection in time"),
        pytest.param(httpx.ReadTimeout("slow"), id="no answer in time"),
        pytest.param(httpx.ProxyError("502"), id="a proxy"),
        pytest.param(stream(b'{"_embedded": {"activities": [', b'{"id": "a'), id="cut inside the body"),
        pytest.param(stream(), id="cut before the body"),
        pytest.param(
            stream(gzip.compress(GOOD.content)[:-20], Content_Encoding="gzip"), id="cut inside gzip"
        ),
        pytest.param(stream(b"no gzip", Content_Encoding="gzip"), id="damaged gzip"),
        pytest.param(stream(b"OK, but not now"), id="a text that claims to be JSON"),
        pytest.param(stream(b'{"_embedded": {"activities": [{"id": NaN}]}}'), id="a number that is none"),
        pytest.param(stream(b'{"a": "\xff"}'), id="no UTF-8"),
    ],
)
def test_an_answer_that_breaks_on_its_way_is_asked_for_again(broken: Answer):
    tenant = Tenant(broken, GOOD)
    found = fetched(tenant)
    assert found.end.complete, found.end
    assert (found.ids, found.end.retries) == (["event-1"], 1)


@pytest.mark.parametrize(
    ("broken", "code", "says"),
    [
        (httpx.ConnectError("All connection attempts failed"), "query.unreachable", "can not be reached"),
        (httpx.ProxyError("503 Service Unavailable"), "query.unreachable", "503 Service Unavailable"),
        (httpx.ReadTimeout(""), "query.timeout", "did not answer in time"),
        (httpx.ReadError(""), "query.broken", "broke off: ReadError"),
        (httpx.RemoteProtocolError("peer closed"), "query.broken", "broke off: peer closed"),
        (stream(b"no gzip", Content_Encoding="gzip"), "query.broken", "damaged answer"),
        (stream(b"{"), "query.broken", "answered with application/json that can not be read"),
    ],
)
def test_what_stays_broken_is_told_with_the_tries(broken: Answer, code: str, says: str):
    tenant = Tenant(broken)
    failure = fetched(tenant).failure
    assert failure.code == code
    assert says in failure.reason
    assert "api.pingone.com" in failure.reason
    assert f"tried {ATTEMPTS} times" in failure.reason
    assert len(tenant.asked) == ATTEMPTS


def test_of_several_addresses_that_were_tried_the_first_is_told():
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = ExceptionGroup(
        "several", [ConnectionRefusedError(errno.ECONNREFUSED, "[::1]:443"), OSError("unknown")]
    )
    failure = fetched(Tenant(error)).failure
    assert failure.reason.startswith("api.pingone.com can not be reached: Connection refused.")


def test_json_nested_too_deeply_is_told():
    deep = b'{"_embedded": ' + b"[" * 200_000
    failure = fetched(Tenant(stream(deep)), attempts=2).failure
    assert failure.code == "query.broken"
    assert "nested too deep" in failure.reason


# --- Retry-After ----------------------------------------------------------------------------------------


def waited(first: httpx.Response, clock: Clock | None = None) -> float:
    """Return the seconds between an answer and the next try, without a back-off of our own."""
    tenant = Tenant(first, GOOD, clock=clock)
    assert fetched(tenant, first_wait_s=0).end.complete
    return tenant.at[1] - tenant.at[0]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("seconds", [1, 17, 300])
def test_a_wait_in_seconds_is_obeyed(status: int, seconds: int):
    assert waited(answer(status, {}, Retry_After=str(seconds))) == pytest.approx(seconds, abs=0.1)


def test_a_wait_until_a_date_is_obeyed():
    until = format_datetime(NOW + timedelta(seconds=30), usegmt=True)
    assert waited(answer(429, {}, Retry_After=until)) == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize("skew", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_date_is_read_by_the_clock_of_the_server(skew: timedelta):
    """Where ours goes wrong we would hammer the server, or wait for an hour."""
    theirs = NOW + skew
    until = format_datetime(theirs + timedelta(seconds=30), usegmt=True)
    given = answer(429, {}, Retry_After=until, Date=format_datetime(theirs, usegmt=True))
    assert waited(given) == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize("text", [pytest.param(r["text"], id=r["because"]) for r in table("retry-after")])
def test_without_a_wait_that_can_be_read_the_back_off_is_ours(text: str):
    tenant = Tenant(answer(429, {}, Retry_After=text), GOOD)
    assert fetched(tenant, first_wait_s=2).end.complete
    assert 2 <= tenant.at[1] - tenant.at[0] <= 4.1


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_whatever_retry_after_says_the_query_ends(text: str):
    tenant = Tenant(answer(429, {}, Retry_After=text), GOOD)
    found = fetched(tenant)
    assert found.end.complete or found.failure.code == "query.rate-limited"
    assert found.seconds <= session.MAX_WAIT_S + 1


@pytest.mark.parametrize(
    "text", ["301", "86400", "999999999", format_datetime(NOW + timedelta(hours=1), usegmt=True)]
)
def test_a_wait_that_is_too_long_is_refused_at_once(text: str):
    tenant = Tenant(answer(429, {"code": "REQUEST_LIMITED"}, Retry_After=text), GOOD)
    found = fetched(tenant)
    assert found.failure.code == "query.rate-limited"
    assert "at most 300 s are granted" in found.failure.reason
    assert "REQUEST_LIMITED" in found.failure.reason
    assert "--rate" in found.failure.help
    assert len(tenant.asked) == 1
    assert found.seconds < 1


# --- bounds ---------------------------------------------------------------------------------------------


def test_an_answer_that_is_too_large_is_not_read_to_its_end():
    block = b" " * 1024 * 1024
    read = []

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                read.append(len(block))
                yield block

    tenant = Tenant(httpx.Response(200, stream=Endless()))
    failure = fetched(tenant).failure
    assert failure.code == "evidence.too-large"
    assert "64 MiB" in failure.reason
    assert len(tenant.asked) == 1
    assert len(read) == 65


def test_an_answer_that_becomes_too_large_when_it_is_unpacked_is_not_read():
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(b" " * (65 * 1024 * 1024)) + packer.flush()
    tenant = Tenant(stream(bomb, Content_Encoding="gzip"))
    assert fetched(tenant).failure.code == "evidence.too-large"


def test_an_answer_that_trickles_without_end_is_given_up():
    """A byte now and then keeps every timeout between two of them away."""
    tenant = Tenant(httpx.Response(200, stream=Dripping(pause_s=50)))
    found = fetched(tenant, timeout_s=60, attempts=2)
    assert found.failure.code == "query.timeout"
    assert found.seconds == pytest.approx(2 * 600, abs=5)


def test_gzip_is_asked_for_and_understood():
    packed = gzip.compress(GOOD.content)
    tenant = Tenant(stream(packed[:10], packed[10:], Content_Encoding="gzip"))
    assert fetched(tenant).ids == ["event-1"]
    assert tenant.asked[0].headers["accept-encoding"] == "gzip"


# --- what is sent and kept ------------------------------------------------------------------------------


def test_every_request_says_who_asks():
    tenant = Tenant(GOOD)
    fetched(tenant, run_id="20261121T103000Z-0badcafe")
    (asked,) = tenant.asked
    assert asked.headers["user-agent"] == "auditor/test"
    assert asked.headers["accept"] == "application/json"
    assert asked.headers["x-ping-external-transaction-id"] == "20261121T103000Z-0badcafe"


def test_without_a_run_no_run_is_named():
    tenant = Tenant(GOOD)
    fetched(tenant)
    assert "x-ping-external-transaction-id" not in tenant.asked[0].headers


def test_correlation_ids_are_kept_for_support_also_of_what_failed():
    tenant = Tenant(
        ok(page(events(1), next=link("b")), Correlation_Id="one"), answer(404, {}, correlation_id="t" * 500)
    )
    assert fetched(tenant).end.correlation_ids == ("one", "t" * 200)


def test_correlation_ids_are_kept_of_some_pages_only():
    def another(_: httpx.Request) -> httpx.Response:
        number = len(tenant.asked)
        onward = link(str(number)) if number < 1_200 else None
        return ok(page(events(number), next=onward), Correlation_Id=str(number))

    tenant = Tenant(another)
    found = fetched(tenant)
    assert found.end.pages == 1_200
    assert len(found.end.correlation_ids) == 1_000


def test_an_endpoint_that_announces_its_end_is_told_once():
    heads = {"api-deprecation-date": "2027-06-30", "api-deprecation-message": "x" * 500}
    tenant = Tenant(ok(page(events(1), next=link("b")), **heads), ok(page(events(2)), **heads))
    (warning,) = fetched(tenant).end.warnings
    told = f"api-deprecation-date: 2027-06-30; api-deprecation-message: {'x' * 200}"
    assert warning == f"PingOne announces the end of activities: {told}"


# --- pace -----------------------------------------------------------------------------------------------


def gaps(tenant: Tenant) -> list[float]:
    return [later - earlier for earlier, later in zip(tenant.at, tenant.at[1:], strict=False)]


def test_the_rate_of_a_group_is_kept_by_all_its_queries_together():
    tenant = Tenant(GOOD)
    found = fetched(tenant, *(query(id=f"q{number}") for number in range(8)), rates={"rlgAuditRps": 2})
    assert len(tenant.asked) == 8
    assert gaps(tenant) == [pytest.approx(0.5, abs=0.05)] * 7
    assert sum(end.waited_s for end in found.ends) == pytest.approx(0.5 * sum(range(8)), abs=0.5)


def test_repetitions_keep_the_rate_too():
    tenant = Tenant(answer(503, {}), answer(503, {}), answer(503, {}), GOOD)
    fetched(tenant, first_wait_s=0, rates={"rlgAuditRps": 2})
    assert gaps(tenant) == [pytest.approx(0.5, abs=0.05)] * 3


def test_the_pages_of_a_walk_keep_the_rate():
    pages: list[Answer] = [ok(page(events(number), next=link(str(number)))) for number in range(1, 5)]
    tenant = Tenant(*pages, ok(page(events(5))))
    fetched(tenant, rates={"rlgAuditRps": 4})
    assert gaps(tenant) == [pytest.approx(0.25, abs=0.05)] * 4


def test_without_a_rate_of_its_own_a_query_keeps_that_of_the_plan():
    tenant = Tenant(GOOD)
    fetched(tenant, query(id="a"), query(id="b"), rates={})
    assert gaps(tenant) == [pytest.approx(1 / 3.5, abs=0.05)]


def test_environments_share_the_rate_of_their_licence():
    stage = environment("stage")
    tenant = Tenant(GOOD)
    fetched(tenant, query(), query(asked=stage), asked=[stage], rates={"rlgAuditRps": 1})
    assert gaps(tenant) == [pytest.approx(1, abs=0.05)]


@pytest.mark.parametrize("first", ["user_activities", "metrics_active_identity_counts"])
def test_a_rate_for_one_resource_is_that_of_no_other_whichever_comes_first(first: str):
    """Both are of one group."""
    second = ({"user_activities", "metrics_active_identity_counts"} - {first}).pop()
    queries = [query(name, id=f"{name}/{number}") for name in (first, second) for number in range(3)]
    tenant = Tenant(answer(404, {}))
    fetched(tenant, *queries, rates={"user_activities": 1, "rlgAnalyticsRpm": 10})
    assert len(tenant.asked) == 6
    by_resource = {
        name: [at for at, request in zip(tenant.at, tenant.asked, strict=True) if name in request.url.path]
        for name in ("userActivities", "metrics")
    }
    assert by_resource["userActivities"][-1] - by_resource["userActivities"][0] == pytest.approx(2, abs=0.05)
    assert by_resource["metrics"][-1] - by_resource["metrics"][0] == pytest.approx(0.2, abs=0.05)


def test_a_token_is_not_paced():
    tenant = Tenant(GOOD, tokens=[answer(503, {}), granted()])
    assert fetched(tenant, first_wait_s=0, rates={"rlgAuditRps": 0.001}).seconds < 1
