"""A filter that the server refuses is replaced as the plan says; a log that shows nothing is probed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest

from auditor import fetcher
from auditor.model.evidence import Page, QueryEnd
from auditor.model.instant import Window
from auditor.model.plan import PlannedQuery
from tests.pages import (
    CLIENT_SECRET,
    KINDS,
    Tenant,
    answer,
    environment,
    event,
    events,
    fetched,
    in_virtual_time,
    link,
    ok,
    page,
    plan_of,
    query,
    simulated,
)
from tests.test_fetcher_completeness import kinds_with

RANGE = "recordedAt ge ${window.start} and recordedAt lt ${window.end}"
MERGED = f'{RANGE} and (action.type eq "A" or action.type eq "B")'
ONE, TWO = f'{RANGE} and action.type eq "A"', f'{RANGE} and action.type eq "B"'
REFUSAL = {
    "id": "1",
    "code": "INVALID_REQUEST",
    "message": "Unsupported filter operator.",
    "details": [{"code": "INVALID_FILTER", "innerError": {"supportedOperators": ["eq", "gt"]}}],
}


class Picky:
    """An endpoint that refuses some filters, and answers the others from a list of pages by filter."""

    def __init__(self, *refused: str, status: int = 400, **pages: Sequence[int]) -> None:
        self.refused, self.status, self.pages = refused, status, pages

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = request.url.params["filter"].partition(" and action.type ")[2] or "range"
        if any(text == asked for text in self.refused):
            return answer(self.status, REFUSAL)
        return ok(page(events(*self.pages.get({'eq "A"': "a", 'eq "B"': "b"}.get(asked, asked), ()))))


def planned(*fallbacks: tuple[str, ...], **changes: Any) -> PlannedQuery:
    return query(filter=ONE, fallbacks=fallbacks, **changes)


def filters(tenant: Tenant) -> list[str]:
    """Return what was asked, beside the range."""
    return [request.url.params["filter"].partition(" and action.type ")[2] for request in tenant.asked]


def test_a_filter_that_is_refused_is_replaced_by_the_first_step():
    tenant = Tenant(Picky('eq "A"', range=[1, 2]))
    found = fetched(tenant, planned((RANGE,)))
    assert (found.end.failure, found.end.fallback, found.end.assurance) == (None, 1, "end of links")
    assert filters(tenant) == ['eq "A"', ""]
    assert found.ids == ["event-1", "event-2"]


def test_of_a_step_every_filter_is_asked_and_a_record_found_by_two_comes_once():
    refused = '(action.type eq "A" or action.type eq "B")'
    tenant = Tenant(
        lambda request: answer(400, REFUSAL) if refused in request.url.params["filter"] else picky(request)
    )
    picky = Picky(a=[1, 2], b=[2, 3])
    found = fetched(tenant, query(filter=MERGED, fallbacks=((ONE, TWO), (RANGE,))))
    assert found.end.complete
    assert found.ids == ["event-1", "event-2", "event-3"]
    assert (found.end.records, found.end.duplicates, found.end.fallback) == (3, 1, 1)
    assert len(tenant.asked) == 3


def test_a_step_of_which_one_filter_is_refused_is_left_for_the_next():
    """Pages that it had brought are no loss: nothing of them comes twice."""
    tenant = Tenant(Picky('eq "A"', 'eq "C"', b=[1, 2], range=[1, 2, 3]))
    found = fetched(tenant, planned((TWO, f'{RANGE} and action.type eq "C"'), (RANGE,)))
    assert filters(tenant) == ['eq "A"', 'eq "B"', 'eq "C"', ""]
    assert found.end.complete
    assert found.ids == ["event-1", "event-2", "event-3"]
    assert found.end.fallback == 2


def test_where_every_step_is_refused_the_last_refusal_is_the_end():
    tenant = Tenant(lambda _: answer(400, REFUSAL | {"message": f"No. {len(tenant.asked)}"}))
    found = fetched(tenant, planned((TWO,), (RANGE,)))
    assert found.failure.code == "query.refused"
    assert "No. 3" in found.failure.reason
    assert (found.end.fallback, found.end.assurance, len(found.end.warnings)) == (3, None, 2)


def test_a_refusal_is_told_in_the_servers_words():
    found = fetched(Tenant(Picky('eq "A"', range=[1])), planned((RANGE,)))
    (warning,) = found.end.warnings
    for told in ("status 400", "Unsupported filter operator", "supportedOperators = eq, gt", "instead"):
        assert told in warning


def test_a_secret_that_a_refusal_repeats_is_not_told():
    tenant = Tenant(answer(400, {"code": "X", "message": f"who sends {CLIENT_SECRET}?"}), ok(page(events(1))))
    found = fetched(tenant, planned((RANGE,)))
    assert found.end.complete
    assert CLIENT_SECRET not in repr(found)


@pytest.mark.parametrize("status", [401, 403, 404, 415, 422, 302])
def test_nothing_but_a_bad_request_calls_for_another_filter(status: int):
    tenant = Tenant(Picky('eq "A"', status=status, range=[1]))
    found = fetched(tenant, planned((RANGE,)))
    assert not found.end.complete
    assert set(filters(tenant)) == {'eq "A"'}


def test_a_cursor_that_is_refused_is_no_refused_filter():
    tenant = Tenant(ok(page(events(1), next=link("b"))), answer(400, REFUSAL))
    found = fetched(tenant, planned((RANGE,)))
    assert found.failure.code == "query.refused"
    assert (found.end.fallback, len(tenant.asked)) == (0, 2)


def test_each_slice_of_the_window_is_asked_with_each_filter_of_a_step():
    asked = planned((TWO, RANGE))
    assert asked.window is not None
    middle = asked.window.start + (asked.window.end - asked.window.start) / 2
    slices = (Window(asked.window.start, middle), Window(middle, asked.window.end))
    tenant = Tenant(
        lambda request: answer(400, REFUSAL) if '"A"' in request.url.params["filter"] else ok(page([]))
    )
    found = fetched(tenant, replace(asked, slices=slices))
    assert found.end.complete
    taken = {text for request in tenant.asked if '"A"' not in (text := request.url.params["filter"])}
    assert len(taken) == 4


def test_counts_are_met_filter_by_filter():
    kinds = kinds_with("activities", page=KINDS["activities"].page.model_dump() | {"count": "items"})
    pages = {'eq "A"': page(events(1, 2), count=2), 'eq "B"': page(events(2, 3), count=2)}

    def by_filter(request: httpx.Request) -> httpx.Response:
        asked = request.url.params["filter"].partition(" and action.type ")[2]
        return ok(pages[asked]) if asked in pages else answer(400, REFUSAL)

    asked = query(filter=MERGED, fallbacks=((ONE, TWO),), kinds=kinds)
    found = fetched(Tenant(by_filter), asked, kinds=kinds)
    assert (found.end.failure, found.end.assurance) == (None, "counted")
    assert (found.end.records, found.end.count) == (3, None)

    pages['eq "B"']["count"] = 3
    found = fetched(Tenant(by_filter), asked, kinds=kinds)
    assert found.failure.code == "evidence.wrong-count"
    assert "counts 3 records and answered 2" in found.failure.reason


def test_the_simulator_is_asked_by_the_range_where_it_refuses_a_type():
    pushed = 'action.type eq "USER.CREATED"'
    with simulated() as tenant:
        expected = tenant.fetched(tenant.query(pushed=pushed))
    assert expected.end.records > 0
    with simulated("refuse-filter=action.type") as tenant:
        found = tenant.fetched(tenant.query(pushed=pushed, fallbacks=((RANGE,),)))
    assert (found.end.failure, found.end.fallback) == (None, 1)
    wanted = [record["id"] for record in expected.records]
    assert [r["id"] for r in found.records if r["action"]["type"] == "USER.CREATED"] == wanted


# --- probes ---------------------------------------------------------------------------------------------


def probe(resource: str = "activities", **changes: Any) -> PlannedQuery:
    return query(resource, id=f"probe/{resource}", filter=RANGE, page_size=1, **changes)


class Log:
    """An endpoint whose log holds some events, none of which any filter but the range finds."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def __call__(self, request: httpx.Request) -> httpx.Response:
        of_type = "action.type" in request.url.params["filter"]
        return ok(page([] if of_type else events(*self.numbers), next=None if of_type else link("b")))


@pytest.mark.parametrize("held", [0, 1])
def test_a_log_that_shows_nothing_is_probed_by_its_first_page(held: int):
    tenant = Tenant(Log(*range(1, held + 1)))
    found = fetched(tenant, planned(), probes=[probe()])
    assert [end.query for end in found.ends] == [planned().id, "probe/activities"]
    assert (found.ends[1].failure, found.ends[1].records, found.ends[1].requests) == (None, held, 1)
    assert filters(tenant) == ['eq "A"', ""]
    assert all(each.query != "probe/activities" for each in found.pages)


def test_a_log_that_shows_something_is_not_probed():
    tenant = Tenant(ok(page(events(1))))
    found = fetched(tenant, planned(), probes=[probe()])
    assert found.end.complete
    assert len(tenant.asked) == 1


def test_one_query_that_fails_or_finds_something_is_enough_to_ask_no_probe():
    for other in (ok(page(events(1))), answer(403, {})):

        def by_filter(request: httpx.Request, other: httpx.Response = other) -> httpx.Response:
            return other if '"B"' in request.url.params["filter"] else ok(page([]))

        found = fetched(Tenant(by_filter), planned(), query(id="q2", filter=TWO), probes=[probe()])
        assert sorted(end.query for end in found.ends) == sorted([planned().id, "q2"])


def test_what_another_environment_shows_is_no_reason_against_a_probe():
    other = environment("other", id="11111111-1111-4111-8111-111111111111")

    def by_environment(request: httpx.Request) -> httpx.Response:
        return ok(page(events(1) if "11111111" in request.url.path else []))

    asked = query(id="other/activities/1", asked=other)
    found = fetched(Tenant(by_environment), planned(), asked, asked=[other], probes=[probe()])
    assert [end.query for end in found.ends if end.records == 0] == [planned().id, "probe/activities"]


def test_a_probe_that_fails_says_why():
    tenant = Tenant(ok(page([])), answer(403, REFUSAL))
    found = fetched(tenant, planned(), probes=[probe()])
    failure = found.ends[1].failure
    assert failure is not None
    assert failure.code == "query.forbidden"


def test_a_record_outside_of_the_probes_window_fails_it():
    tenant = Tenant(ok(page([])), ok(page([event(1, recordedAt="2018-08-22T21:47:12.859Z")])))
    found = fetched(tenant, planned(), probes=[probe()])
    failure = found.ends[1].failure
    assert failure is not None
    assert failure.code == "evidence.outside-window"


@pytest.mark.parametrize(("number", "held"), [(1, 1), (60 * 24 * 30, 0)])
def test_a_probe_of_given_records_counts_those_of_its_window(number: int, held: int):
    ends = given_ends({"activities": tuple(events(number, number))})
    assert [(end.query, end.records) for end in ends] == [(planned().id, 1), ("probe/activities", held)]
    assert ends[1].assurance == "given"


@pytest.mark.parametrize("records", [{}, {"activities": ({"id": 7},)}])
def test_given_records_that_are_none_or_not_sound_answer_no_probe(records: dict[str, Any]):
    (end,) = given_ends(records)
    assert not end.complete


def given_ends(records: dict[str, Any]) -> list[QueryEnd]:
    async def read() -> list[Page | QueryEnd]:
        plan = plan_of(planned(), probes=[probe()])
        return [event async for event in fetcher.given(plan, KINDS, records)]

    return [event for event in in_virtual_time(read()) if isinstance(event, QueryEnd)]
