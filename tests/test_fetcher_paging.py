"""Pages: links are followed verbatim, in one direction, on the query's own endpoint, and not for ever."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.fetcher import paging
from auditor.fetcher.session import Request, Response
from auditor.fetcher.slicing import Places
from auditor.model.resource import ResourceKind
from tests.pages import (
    ENVIRONMENT_ID,
    KINDS,
    Tenant,
    answer,
    buckets,
    days,
    event,
    events,
    fetched,
    in_virtual_time,
    link,
    ok,
    page,
    query,
    raw,
    table,
)

METRICS = "metrics_active_identity_counts"
WEEK = ("2026-11-02", "2026-11-09")


def out_of_range(largest: Any, target: str = "limit", spelling: str = "innerError") -> httpx.Response:
    detail = {"code": "OUT_OF_RANGE", "target": target, spelling: {"rangeMaximumValue": largest}}
    return answer(400, {"id": "1", "code": "INVALID_DATA", "message": "Too many.", "details": [detail]})


# --- onwards --------------------------------------------------------------------------------------------


def test_a_page_without_next_is_the_last():
    tenant = Tenant(ok(page(events(1, 2))))
    found = fetched(tenant)
    assert found.ids == ["event-1", "event-2"]
    assert found.end.complete
    assert found.end.assurance == "end of links"
    assert len(tenant.asked) == 1


def test_next_is_followed_to_the_end_and_the_pages_are_numbered():
    tenant = Tenant(
        ok(page(events(1, 2), next=link("b"))), ok(page(events(3), next=link("c"))), ok(page(events(4)))
    )
    found = fetched(tenant)
    assert [(p.number, len(p.records)) for p in found.pages] == [(1, 2), (2, 1), (3, 1)]
    assert tenant.urls[1:] == [link("b"), link("c")]
    assert (found.end.pages, found.end.records, found.end.requests) == (3, 4, 3)


def test_the_first_request_alone_carries_filter_and_page_size():
    tenant = Tenant(ok(page(events(1), next=link("b"))), ok(page(events(2))))
    fetched(tenant, query(between=("2026-11-21T00:00:00Z", "2026-11-21T10:30:00Z")))
    first, second = (parse_qs(urlsplit(url).query) for url in tenant.urls)
    assert first == {
        "filter": [
            'recordedAt ge "2026-11-21T00:00:00.000Z" and recordedAt lt "2026-11-21T10:30:00.000Z"',
        ],
        "limit": ["500"],
    }
    assert second == {"cursor": ["b"]}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["because"]) for case in table("links")])
def test_a_link_may_be_relative_and_its_cursor_goes_back_verbatim(case: dict[str, Any]):
    url = link("").partition("?")[0]
    href = case["href"].replace("{url}", url).replace("{environment}", ENVIRONMENT_ID)
    tenant = Tenant(ok(page(events(1), next=href)), ok(page(events(2))))
    assert fetched(tenant).end.complete
    assert tenant.urls[1] == url + case["asks"]


def test_identifiers_may_come_back_in_another_case():
    href = link("b").replace(ENVIRONMENT_ID, ENVIRONMENT_ID.upper())
    tenant = Tenant(ok(page(events(1), next=href)), ok(page(events(2))))
    assert fetched(tenant).end.complete


def test_an_empty_page_with_a_link_is_not_the_end():
    tenant = Tenant(ok(page([], next=link("b"))), ok(page([], next=link("c"))), ok(page(events(1))))
    found = fetched(tenant)
    assert found.ids == ["event-1"]
    assert found.end.pages == 3


def test_a_page_smaller_than_asked_is_not_the_end():
    tenant = Tenant(
        ok(page(events(1), next=link("b"))), ok(page(events(2, 3, 4), next=link("c"))), ok(page([]))
    )
    assert fetched(tenant).ids == ["event-1", "event-2", "event-3", "event-4"]


def test_an_endpoint_without_paging_is_asked_once():
    """User activities answer everything at once; whatever they link to is none of the query's pages."""
    week = query("user_activities", between=WEEK)
    document = page(buckets("2026-11-02T00:00:00+00:00", 7), resource="user_activities", next=link("b"))
    tenant = Tenant(ok(document))
    assert fetched(tenant, week).end.assurance == "whole buckets"
    assert len(tenant.asked) == 1


# --- backwards ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["previous", "prev"])
def test_a_first_page_with_nothing_but_a_link_back_is_followed_back(name: str):
    """As in the sample in descending order, which shows the earliest periods first."""
    week = days("2026-11-02", 7)
    tenant = Tenant(
        ok(page(week[2::-1], resource=METRICS, count=7, **{name: link("b", METRICS)})),
        ok(page(week[5:2:-1], resource=METRICS, count=7, **{name: link("c", METRICS)})),
        ok(page(week[6:], resource=METRICS, count=7)),
    )
    found = fetched(tenant, query(METRICS, between=WEEK))
    assert len(found.records) == 7
    assert found.end.assurance == "counted"


def test_a_walk_onwards_does_not_turn_back():
    tenant = Tenant(
        ok(page(events(1), next=link("b"))),
        ok(page(events(2), next=link("c"), previous=link("a"))),
        ok(page(events(3), previous=link("b2"))),
    )
    assert fetched(tenant).ids == ["event-1", "event-2", "event-3"]
    assert len(tenant.asked) == 3


def test_a_walk_back_does_not_turn_round():
    """Each page of the way back links onwards too, to where the walk came from."""
    tenant = Tenant(
        ok(page(events(1), previous=link("b"))),
        ok(page(events(2), previous=link("c"), next=link("a"))),
        ok(page(events(3), next=link("b2"))),
    )
    found = fetched(tenant)
    assert found.end.complete, found.end
    assert found.ids == ["event-1", "event-2", "event-3"]
    assert len(tenant.asked) == 3


def test_a_first_page_in_the_middle_is_followed_both_ways():
    tenant = Tenant(
        ok(page(events(3), next=link("onward"), previous=link("back"))),
        ok(page(events(4), previous=link("first"))),
        ok(page(events(2), next=link("first"), previous=link("further"))),
        ok(page(events(1), next=link("back"))),
    )
    found = fetched(tenant)
    assert sorted(found.ids) == ["event-1", "event-2", "event-3", "event-4"]
    assert tenant.urls[1:] == [link("onward"), link("back"), link("further")]


# --- without end ----------------------------------------------------------------------------------------


def test_the_next_page_is_on_its_way_while_a_page_is_looked_at_but_for_the_first():
    """The first page may show that its window had better be cut, and then the second is not asked for."""
    asked: list[str] = []
    stopped: list[int] = []

    async def send(request: Request) -> Response:
        cursor = len(asked)
        asked.append(request.url)
        if cursor == 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                stopped.append(cursor)
                raise
        document = page(events(cursor), next=link(str(cursor)))
        return Response(status=200, headers={}, body=b"", document=document)

    async def read() -> list[int]:
        url = link("").partition("?")[0]
        walk = paging.Walk(kind=KINDS["activities"], url=url, parameters={}, form=None, send=send)
        seen, places = [], Places(1)
        async with aclosing(walk.pages()) as pages:
            async for _ in pages:
                async with places.turn():
                    seen.append(len(asked))
                if len(seen) == 3:
                    break
        return seen

    assert in_virtual_time(read()) == [1, 3, 4]
    assert stopped == [3]


def test_a_link_to_the_page_itself_is_a_loop():
    tenant = Tenant(ok(page(events(1), next=link("b"))), ok(page(events(2), next=link("b"))))
    found = fetched(tenant)
    assert found.failure.code == "evidence.loop"
    assert len(tenant.asked) == 2


def test_a_link_to_the_first_request_is_a_loop():
    def to_itself(request: httpx.Request) -> httpx.Response:
        return ok(page(events(1), next=str(request.url)))

    tenant = Tenant(to_itself)
    assert fetched(tenant).failure.code == "evidence.loop"
    assert len(tenant.asked) == 1


def test_two_pages_that_link_to_each_other_are_a_loop():
    tenant = Tenant(
        ok(page(events(1), next=link("b"))),
        ok(page(events(2), next=link("c"))),
        ok(page(events(3), next=link("b"))),
    )
    assert fetched(tenant).failure.code == "evidence.loop"
    assert len(tenant.asked) == 3


def test_a_loop_can_not_hide_behind_a_fragment():
    tenant = Tenant(ok(page(events(1), next=link("b#1"))), ok(page(events(2), next=link("b#2"))))
    assert fetched(tenant).failure.code == "evidence.loop"


@pytest.mark.parametrize(
    "records", [pytest.param([], id="empty"), pytest.param(events(1), id="the same again")]
)
def test_pages_that_bring_nothing_new_do_not_go_on_for_ever(records: list[Any]):
    def with_another_cursor(_: httpx.Request) -> httpx.Response:
        return ok(page(records, next=link(f"{len(tenant.asked)}")))

    tenant = Tenant(with_another_cursor)
    failure = fetched(tenant).failure
    assert failure.code == "evidence.endless"
    assert "1,001 pages without a new record" in failure.reason
    assert len(tenant.asked) < 1_010


def test_pages_that_always_bring_something_new_do_not_go_on_for_ever_either(monkeypatch: pytest.MonkeyPatch):
    def another(_: httpx.Request) -> httpx.Response:
        number = len(tenant.asked)
        return ok(page([event(1, id=f"event-{number}")], next=link(f"{number}")))

    monkeypatch.setattr(paging, "MAX_PAGES", 50)
    tenant = Tenant(another)
    failure = fetched(tenant).failure
    assert failure.code == "evidence.endless"
    assert "50 pages" in failure.reason
    assert len(tenant.asked) == 50


# --- elsewhere ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [pytest.param(case, id=case["because"]) for case in table("foreign-links")])
def test_a_link_elsewhere_ends_the_query_and_nothing_is_sent_there(case: dict[str, Any]):
    href = case["href"]
    if isinstance(href, str):
        href = href.replace("{environment}", ENVIRONMENT_ID)
    tenant = Tenant(ok(page(events(1), next=href)), ok(page(events(2))))
    found = fetched(tenant)
    assert found.failure.code == case["code"]
    assert case.get("names", "").replace("{environment}", ENVIRONMENT_ID) in found.failure.reason
    assert len(tenant.asked) == 1


@given(st.one_of(st.text(), st.text().map(lambda text: f"https://{text}"), st.text().map(link)))
def test_whatever_a_link_says_a_token_goes_to_the_endpoint_alone(href: str):
    tenant = Tenant(ok(page(events(1), next=href)), ok(page(events(2))))
    found = fetched(tenant)
    assert found.end.complete or found.failure.code in {
        "evidence.foreign-link",
        "evidence.drift",
        "evidence.loop",
    }
    for request in tenant.asked:
        assert (request.url.scheme, request.url.host, request.url.port) == ("https", "api.pingone.com", None)
        assert request.url.path == f"/v1/environments/{ENVIRONMENT_ID}/activities"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("id", "recordedAt", "action", "actors", "resources", "tags"), JSON)
    ),
    max_size=2,
)
PAGES = st.fixed_dictionaries(
    {},
    optional={
        "_links": st.fixed_dictionaries({}, optional=dict.fromkeys(("next", "previous", "prev"), JSON))
        | JSON,
        "_embedded": st.fixed_dictionaries({"activities": RECORDS}) | JSON,
        "count": JSON,
        "offset": JSON,
        "details": JSON,
        "code": JSON,
        "message": JSON,
    },
)


@given(
    PAGES | JSON, st.sampled_from([200, 200, 400, 401, 403, 404, 418, 500]), st.sampled_from(["GET", "POST"])
)
def test_whatever_a_server_answers_the_query_ends_with_a_name_for_it(document: Any, status: int, method: str):
    tenant = Tenant(answer(status, document), ok(page([])))
    found = fetched(tenant, query(method=method), attempts=2)
    assert found.end.complete or found.failure.code != "internal.error", found.end


@given(JSON)
def test_whatever_a_token_endpoint_answers_the_query_ends_with_a_name_for_it(document: Any):
    for token in (ok(document), ok({"access_token": document}), answer(401, document)):
        found = fetched(Tenant(ok(page([])), tokens=[token]), attempts=1)
        assert found.end.complete or found.failure.code.startswith("credentials."), found.end


# --- the page size --------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["innerError", "innererror"])
@pytest.mark.parametrize("target", ["limit", "query.limit"])
def test_a_page_size_that_is_refused_becomes_the_largest_that_is_allowed(spelling: str, target: str):
    tenant = Tenant(out_of_range(100, target, spelling), ok(page(events(1))))
    found = fetched(tenant)
    assert found.end.complete
    assert tenant.limits == ["500", "100"]


def test_a_page_size_is_haggled_over_once():
    tenant = Tenant(out_of_range(100), out_of_range(50))
    found = fetched(tenant)
    assert found.failure.code == "query.refused"
    assert "rangeMaximumValue = 50" in found.failure.reason
    assert tenant.limits == ["500", "100"]


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(out_of_range(1000), id="a larger one"),
        pytest.param(out_of_range(0), id="none at all"),
        pytest.param(out_of_range("100"), id="a text"),
        pytest.param(out_of_range(100, target="filter"), id="of something else"),
        pytest.param(answer(400, b"no JSON"), id="without a body"),
        pytest.param(answer(400, {"details": ["?", 7]}), id="with details that are none"),
        pytest.param(answer(400, {"details": 7}), id="with no list of details"),
        pytest.param(answer(400, []), id="with a list"),
    ],
)
def test_a_refusal_without_a_smaller_page_size_is_final(refusal: httpx.Response):
    tenant = Tenant(refusal)
    assert fetched(tenant).failure.code == "query.refused"
    assert len(tenant.asked) == 1


def test_an_endpoint_that_knows_no_page_size_is_not_haggled_with():
    tenant = Tenant(out_of_range(100))
    assert fetched(tenant, query("user_activities", between=WEEK)).failure.code == "query.refused"
    assert len(tenant.asked) == 1


# --- as POST --------------------------------------------------------------------------------------------


def bodies(tenant: Tenant) -> list[Any]:
    return [json.loads(request.content) for request in tenant.asked]


def test_a_long_filter_goes_as_a_post_with_its_page_size_as_a_number():
    tenant = Tenant(ok(page(events(1))))
    found = fetched(tenant, query(method="POST"))
    assert found.end.complete
    (asked,) = tenant.asked
    assert (asked.method, asked.headers["content-type"]) == ("POST", "application/json")
    assert raw(asked) == f"/v1/environments/{ENVIRONMENT_ID}/activities"
    assert bodies(tenant) == [
        {
            "filter": 'recordedAt ge "2026-11-20T10:30:00.000Z" and recordedAt lt "2026-11-21T10:30:00.000Z"',
            "limit": 500,
        }
    ]


def test_a_post_goes_on_by_its_offset_with_the_same_filter():
    tenant = Tenant(
        ok(page(events(1)) | {"offset": "two"}),
        ok(page(events(2)) | {"offset": 3}),
        ok(page(events(3)) | {"offset": ""}),
    )
    found = fetched(tenant, query(method="POST"))
    assert found.ids == ["event-1", "event-2", "event-3"]
    first, second, third = bodies(tenant)
    assert second == first | {"offset": "two"}
    assert third == first | {"offset": 3}


def test_a_post_that_is_answered_with_a_link_goes_on_by_it():
    tenant = Tenant(ok(page(events(1), next=link("b")) | {"offset": "two"}), ok(page(events(2))))
    assert fetched(tenant, query(method="POST")).ids == ["event-1", "event-2"]
    assert [request.method for request in tenant.asked] == ["POST", "GET"]


def test_the_offset_of_the_page_itself_is_a_loop():
    """The documentation leaves open whether `offset` names the next page or this one."""
    tenant = Tenant(ok(page(events(1)) | {"offset": "b"}))
    assert fetched(tenant, query(method="POST")).failure.code == "evidence.loop"
    assert len(tenant.asked) == 2


def test_an_offset_means_nothing_to_a_get():
    tenant = Tenant(ok(page(events(1)) | {"offset": "b"}))
    assert fetched(tenant).end.complete
    assert len(tenant.asked) == 1


def test_a_post_has_the_names_of_its_descriptor_and_its_page_size_is_haggled_over():
    post = {"filter": "criteria", "limit": "size", "offset": "after"}
    kind = KINDS["activities"]
    kinds = {"activities": ResourceKind.model_validate(kind.model_dump() | {"post": post})}
    tenant = Tenant(
        out_of_range(100, target="size"), ok(page(events(1)) | {"after": "b"}), ok(page(events(2)))
    )
    found = fetched(tenant, query(method="POST", kinds=kinds), kinds=kinds)
    assert found.ids == ["event-1", "event-2"]
    assert [(sorted(body), body["size"], body.get("after")) for body in bodies(tenant)] == [
        (["criteria", "size"], 500, None),
        (["criteria", "size"], 100, None),
        (["after", "criteria", "size"], 100, "b"),
    ]


# --- what is no page ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        pytest.param([], id="a list"),
        pytest.param("text", id="a text"),
        pytest.param({}, id="nothing"),
        pytest.param({"_embedded": []}, id="a list in place of an object"),
        pytest.param({"_embedded": {"activities": None}}, id="no list"),
        pytest.param({"_embedded": {"events": []}}, id="another list"),
        pytest.param({"_embedded": {"activities": [event(1), "text"]}}, id="a record that is no object"),
    ],
)
def test_an_answer_of_another_shape_is_drift(document: Any):
    found = fetched(Tenant(ok(document)))
    assert found.failure.code == "evidence.drift"
    assert "_embedded.activities" in found.failure.reason
    assert found.pages == []


def test_what_came_before_a_failure_is_handed_over_with_it():
    tenant = Tenant(ok(page(events(1), next=link("b"))), answer(404, {}))
    found = fetched(tenant)
    assert found.ids == ["event-1"]
    assert found.failure.code == "query.not-found"
    assert (found.end.pages, found.end.assurance) == (1, None)
