"""An answer is all of it, or the query fails: counts, periods, repeated and strange records, coverage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.model.instant import Window
from auditor.model.resource import ResourceKind
from tests.pages import (
    KINDS,
    NOW,
    Clock,
    Tenant,
    answer,
    buckets,
    days,
    event,
    events,
    fetched,
    link,
    ok,
    page,
    query,
    table,
)

METRICS, HOURS, SIGN_ONS = "metrics_active_identity_counts", "active_identity_counts", "user_activities"
WEEK = ("2026-11-02", "2026-11-09")


def one(records: list[Any], *, resource: str = METRICS, count: int | None = None) -> Tenant:
    """Return a tenant that answers everything on one page."""
    return Tenant(ok(page(records, resource=resource, count=count)))


def kinds_with(resource: str, **changes: Any) -> Mapping[str, ResourceKind]:
    """Return the catalogue with one descriptor changed."""
    return {
        **KINDS,
        resource: ResourceKind.model_validate(KINDS[resource].model_dump(exclude_unset=True) | changes),
    }


# --- counted --------------------------------------------------------------------------------------------


def test_as_many_records_as_the_endpoint_counts_are_all():
    found = fetched(one(days("2026-11-02", 7), count=7), query(METRICS, between=WEEK))
    assert (found.end.failure, found.end.assurance, found.end.count) == (None, "counted", 7)


@pytest.mark.parametrize("count", [6, 8, 0])
def test_another_number_of_records_than_the_endpoint_counts_is_an_error(count: int):
    found = fetched(one(days("2026-11-02", 7), count=count), query(METRICS, between=WEEK))
    assert found.failure.code == "evidence.wrong-count"
    assert f"counts {count} records and answered 7" in found.failure.reason
    assert found.end.assurance is None


def test_no_count_where_one_is_due_is_an_error():
    found = fetched(one(days("2026-11-02", 7)), query(METRICS, between=WEEK))
    assert found.failure.code == "evidence.incomplete"
    assert found.end.count is None


@pytest.mark.parametrize("count", ["7", 7.5, True, None, {"total": 7}])
def test_a_count_that_is_no_number_of_records_is_none(count: Any):
    document = page(days("2026-11-02", 7), resource=METRICS) | {"count": count}
    found = fetched(Tenant(ok(document)), query(METRICS, between=WEEK))
    assert found.failure.code == "evidence.incomplete"


def test_of_two_counts_the_larger_is_believed():
    """A page may count what another has not yet, or no longer; the smaller one would hide what is missing."""
    week = days("2026-11-02", 7)
    tenant = Tenant(
        ok(page(week[:4], resource=METRICS, count=9, next=link("b", METRICS))),
        ok(page(week[4:], resource=METRICS, count=7)),
    )
    found = fetched(tenant, query(METRICS, between=WEEK))
    assert found.failure.code == "evidence.wrong-count"
    assert found.end.count == 9


def test_a_record_that_comes_twice_counts_once():
    week = days("2026-11-02", 7)
    tenant = Tenant(
        ok(page(week[:4], resource=METRICS, count=7, next=link("b", METRICS))),
        ok(page(week[3:], resource=METRICS, count=7)),
    )
    found = fetched(tenant, query(METRICS, between=WEEK))
    assert found.end.complete
    assert (found.end.records, found.end.duplicates) == (7, 1)


def test_a_count_is_that_of_its_slice():
    """Each slice is a request of its own with a count of its own."""
    kinds = kinds_with("activities", page=KINDS["activities"].page.model_dump() | {"count": "items"})
    middle = NOW - timedelta(hours=1)
    asked = query(kinds=kinds, last="2h")
    assert asked.window is not None
    slices = (Window(asked.window.start, middle), Window(middle, asked.window.end))
    tenant = Tenant(ok(page(events(61, 62), count=2)), ok(page(events(1), count=1)))
    found = fetched(tenant, query(kinds=kinds, last="2h", slices=slices), kinds=kinds)
    assert found.end.complete, found.end
    assert (found.end.count, found.end.assurance) == (3, "counted")

    tenant = Tenant(ok(page(events(61, 62), count=1)), ok(page(events(1), count=2)))
    found = fetched(tenant, query(kinds=kinds, last="2h", slices=slices), kinds=kinds)
    assert found.failure.code == "evidence.wrong-count"


# --- periods --------------------------------------------------------------------------------------------


def test_every_period_of_the_window_makes_an_answer_whole():
    found = fetched(
        one(buckets("2026-11-02T00:00:00+00:00", 7), resource=SIGN_ONS), query(SIGN_ONS, between=WEEK)
    )
    assert (found.end.assurance, found.end.warnings) == ("whole buckets", ())
    assert found.end.first == datetime(2026, 11, 2, tzinfo=UTC)
    assert found.end.last == datetime(2026, 11, 8, tzinfo=UTC)


@pytest.mark.parametrize("gone", [0, 3, 6])
def test_a_period_that_is_missing_is_an_error_that_names_it(gone: int):
    week = buckets("2026-11-02T00:00:00+00:00", 7)
    del week[gone]
    found = fetched(one(week, resource=SIGN_ONS), query(SIGN_ONS, between=WEEK))
    assert found.failure.code == "evidence.incomplete"
    assert f"1 of 7 periods are missing, the first from 2026-11-0{2 + gone}" in found.failure.reason


def test_no_period_at_all_is_an_error():
    found = fetched(one([], resource=SIGN_ONS), query(SIGN_ONS, between=WEEK))
    assert found.failure.code == "evidence.incomplete"
    assert "7 of 7" in found.failure.reason


def test_a_right_count_does_not_excuse_a_missing_period():
    week = days("2026-11-02", 9)
    del week[3]
    found = fetched(one(week, count=8), query(METRICS, between=WEEK))
    assert found.failure.code == "evidence.incomplete"


def test_an_endpoint_that_answers_up_to_now_may_answer_more_than_the_window():
    found = fetched(one(days("2026-11-02", 12), count=12), query(METRICS, between=WEEK))
    assert found.end.assurance == "counted"
    assert found.end.records == 12


def test_periods_of_another_time_zone_are_whole_and_what_they_leave_out_is_named():
    """The documented sample has days of the offset -04:00."""
    week = buckets("2026-11-02T00:00:00-04:00", 6)
    found = fetched(one(week, resource=SIGN_ONS), query(SIGN_ONS, between=WEEK))
    assert found.end.complete
    assert found.end.warnings == (
        "The endpoint's periods leave out 2026-11-02T00:00:00.000Z .. 2026-11-02T04:00:00.000Z.",
        "The endpoint's periods leave out 2026-11-08T04:00:00.000Z .. 2026-11-09T00:00:00.000Z.",
    )


def test_a_shifted_period_that_reaches_out_of_the_window_is_left_out_and_named():
    """It is no whole period of the window, so nothing counts it; what of the window it holds is named."""
    week = buckets("2026-11-02T00:00:00-04:00", 7)
    found = fetched(one(week, resource=SIGN_ONS), query(SIGN_ONS, between=WEEK))
    assert (
        "The endpoint's periods leave out 2026-11-08T04:00:00.000Z .. 2026-11-09T00:00:00.000Z."
        in found.end.warnings
    )


def test_a_shifted_period_that_is_still_running_is_counted_where_partial_ones_are():
    open_days = [
        record | {"startDate": record["startDate"].replace("T00", "T08"), "endDate": end}
        for record, end in zip(
            days("2026-11-18", 4),
            ["2026-11-19T07:59:59Z", "2026-11-20T07:59:59Z", "2026-11-21T07:59:59Z", "2026-11-21T10:30:00Z"],
            strict=True,
        )
    ]
    asked = query(METRICS, last="3d", include_partial=True)
    found = fetched(one(open_days, count=4), asked)
    assert found.end.warnings == (
        "The endpoint's periods leave out 2026-11-18T00:00:00.000Z .. 2026-11-18T08:00:00.000Z.",
    )


@pytest.mark.parametrize(
    ("first", "count"),
    [
        pytest.param("2026-11-03T04:00:00+00:00", 5, id="at the beginning"),
        pytest.param("2026-11-02T04:00:00+00:00", 5, id="at the end"),
        pytest.param("2026-11-08T04:00:00+00:00", 1, id="all but a part of one"),
    ],
)
def test_a_whole_period_that_is_missing_beside_shifted_ones_is_an_error(first: str, count: int):
    found = fetched(one(buckets(first, count), resource=SIGN_ONS), query(SIGN_ONS, between=WEEK))
    assert found.failure.code == "evidence.incomplete"


@pytest.mark.parametrize("gone", [1, 4])
def test_a_period_missing_between_shifted_ones_is_an_error(gone: int):
    week = buckets("2026-11-02T04:00:00+00:00", 6)
    del week[gone]
    found = fetched(one(week, resource=SIGN_ONS), query(SIGN_ONS, between=WEEK))
    assert found.failure.code == "evidence.incomplete"
    assert f"2026-11-0{2 + gone}T04" in found.failure.reason


def test_periods_that_overlap_are_an_error():
    """Their numbers would be counted twice."""
    week = buckets("2026-11-02T00:00:00+00:00", 7)
    shifted = buckets("2026-11-03T12:00:00+00:00", 1)
    found = fetched(one(week + shifted, resource=SIGN_ONS), query(SIGN_ONS, between=WEEK))
    assert found.failure.code == "evidence.drift"
    assert "2026-11-03T12" in found.failure.reason


def test_shifted_periods_that_overlap_are_an_error():
    week = buckets("2026-11-02T04:00:00+00:00", 6) + buckets("2026-11-03T12:00:00+00:00", 1)
    found = fetched(one(week, resource=SIGN_ONS), query(SIGN_ONS, between=WEEK))
    assert found.failure.code == "evidence.incomplete"


def test_periods_of_another_length_are_an_error():
    """Asked for days, the endpoint answers hours: its default for so short a range."""
    hours = buckets("2026-11-08T00:00:00+00:00", 24, timedelta(hours=1))
    found = fetched(one(hours, resource=SIGN_ONS), query(SIGN_ONS, between=("2026-11-08", "2026-11-09")))
    assert found.failure.code == "evidence.drift"
    assert "periods of 1d were asked for" in found.failure.reason


@pytest.mark.parametrize(
    ("end", "whole"),
    [
        ("2026-11-02T23:59:59Z", True),
        ("2026-11-02T23:59:59.999Z", True),
        ("2026-11-03T00:00:00Z", True),
        ("2026-11-02T23:59:58Z", False),
        ("2026-11-03T00:00:01Z", False),
    ],
)
def test_a_period_ends_with_its_last_second_or_where_the_next_begins(end: str, *, whole: bool):
    week = days("2026-11-02", 7)
    week[0]["endDate"] = end
    assert fetched(one(week, count=7), query(METRICS, between=WEEK)).end.complete is whole


def test_the_period_that_is_still_running_may_be_shorter_where_it_is_asked_for():
    running = days("2026-11-19", 3)
    running[-1]["endDate"] = "2026-11-21T10:30:00Z"
    found = fetched(one(running, count=3), query(METRICS, last="2d", include_partial=True))
    assert found.end.complete, found.end


def test_no_other_period_may_be_shorter():
    running = days("2026-11-19", 3)
    running[1]["endDate"] = "2026-11-20T10:30:00Z"
    found = fetched(one(running, count=3), query(METRICS, last="2d", include_partial=True))
    assert found.failure.code == "evidence.drift"


def test_months_are_as_long_as_they_are():
    months = [
        {
            "value": 1,
            "startDate": f"2026-{month:02}-01T00:00:00Z",
            "endDate": f"2026-{month:02}-{last}T23:59:59Z",
        }
        for month, last in ((8, 31), (9, 30), (10, 31))
    ]
    asked = query(METRICS, last="3mo", options={"sampling": "MONTH"})
    assert fetched(one(months, count=3), asked).end.complete


def test_periods_counted_in_hours_keep_the_time_of_day_of_the_start():
    day = [
        {
            "value": 1,
            "startDate": f"2026-11-{number:02}T19:00:00Z",
            "endDate": f"2026-11-{number + 1:02}T18:59:59Z",
        }
        for number in (2, 3, 4)
    ]
    asked = query(HOURS, between=("2026-11-02T19:00:00Z", "2026-11-05T19:00:00Z"))
    assert fetched(one(day, resource=HOURS, count=3), asked).end.assurance == "counted"


# --- records --------------------------------------------------------------------------------------------


def test_records_at_the_seams_of_pages_are_dropped_when_they_repeat():
    tenant = Tenant(
        ok(page(events(1, 2, 3), next=link("b"))),
        ok(page(events(3, 4), next=link("c"))),
        ok(page(events(4, 4, 5))),
    )
    found = fetched(tenant)
    assert found.ids == [f"event-{number}" for number in range(1, 6)]
    assert (found.end.records, found.end.duplicates) == (5, 3)


def test_an_identifier_that_repeats_at_another_instant_is_another_record():
    """Captured logs hold such events."""
    found = fetched(Tenant(ok(page([event(1, id="same"), event(2, id="same")]))))
    assert (found.end.records, found.end.duplicates) == (2, 0)


def test_a_record_that_comes_back_changed_is_an_error():
    tenant = Tenant(ok(page(events(1), next=link("b"))), ok(page([event(1, result={"status": "FAILED"})])))
    found = fetched(tenant)
    assert found.failure.code == "evidence.changed-record"
    assert "event-1" in found.failure.reason


def test_a_period_that_comes_back_in_another_spelling_is_the_same_period():
    """Two numbers for one period would both be counted."""
    week = days("2026-11-02", 7)
    again = week[0] | {"startDate": "2026-11-02T01:00:00.000+01:00", "value": 17}
    found = fetched(one([*week, again], count=8), query(METRICS, between=WEEK))
    assert found.failure.code == "evidence.changed-record"


def test_the_order_of_fields_is_no_change():
    first = event(1, name="\ud800", big=2**70, nested={"a": 1, "b": {"c": 2, "d": 3}})
    second = event(1, name="\ud800", big=2**70, nested={"b": {"d": 3, "c": 2}, "a": 1})
    reordered = dict(reversed(second.items()))
    assert fetched(one([first, reordered], resource="activities")).end.duplicates == 1


@pytest.mark.parametrize(
    ("depth", "codes"),
    [(100, {None}), (500, {None}), (1_015, {None, "evidence.drift"}), (5_000, {"query.broken"})],
)
def test_a_record_of_many_levels_is_compared_or_refused(depth: int, codes: set[str | None]):
    """Where the interpreter can read more levels than it can write, some records can not be compared."""
    record = json.dumps(event(1, deep="here")).replace('"here"', "[" * depth + "]" * depth)
    body = json.dumps(page([event(1)])).replace(json.dumps(event(1)), f"{record}, {record}")
    end = fetched(Tenant(answer(200, body.encode())), attempts=1).end
    assert (end.failure.code if end.failure else None) in codes
    assert end.duplicates == end.complete


@pytest.mark.parametrize(
    "instant",
    [
        pytest.param("2026-11-20T10:29:59.999Z", id="just before"),
        pytest.param("2026-11-21T10:30:00.000Z", id="at the end, which is excluded"),
        pytest.param("2014-11-21T00:00:00Z", id="years before"),
    ],
)
def test_a_record_outside_of_the_window_is_an_error(instant: str):
    found = fetched(Tenant(ok(page([event(1), event(2, recordedAt=instant)]))))
    assert found.failure.code == "evidence.outside-window"
    assert "2026-11-20T10:30:00.000Z .. 2026-11-21T10:30:00.000Z was asked for" in found.failure.reason


def test_both_edges_of_the_window_are_exact():
    edges = [
        event(1, recordedAt="2026-11-20T10:30:00.000Z"),
        event(2, recordedAt="2026-11-21T12:29:59.999+02:00"),
    ]
    assert fetched(Tenant(ok(page(edges)))).end.complete


def test_a_record_must_lie_in_the_slice_that_was_asked_for():
    middle = NOW - timedelta(hours=12)
    asked = query()
    assert asked.window is not None
    halves = (Window(asked.window.start, middle), Window(middle, asked.window.end))
    older, newer = event(1, recordedAt="2026-11-20T20:00:00Z"), event(2)
    tenant = Tenant(ok(page([older])), ok(page([newer])))
    assert fetched(tenant, query(slices=halves)).end.complete
    tenant = Tenant(ok(page([newer])), ok(page([older])))
    assert fetched(tenant, query(slices=halves)).failure.code == "evidence.outside-window"


def test_a_period_from_before_the_window_is_an_error():
    found = fetched(one(days("2026-11-01", 8), count=8), query(METRICS, between=WEEK))
    assert found.failure.code == "evidence.outside-window"


# --- drift ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [pytest.param(case, id=case["because"]) for case in table("drift")])
def test_a_record_of_another_shape_is_an_error_that_names_the_place(case: dict[str, Any]):
    strange = event(2, **case.get("with", {}))
    for name in case.get("without", ()):
        del strange[name]
    found = fetched(Tenant(ok(page([event(1), strange]))))
    assert found.failure.code == "evidence.drift"
    assert case["says"] in found.failure.reason


def test_drift_does_not_repeat_the_value():
    found = fetched(Tenant(ok(page([event(1, actors={"user": {"id": ["ada@example.com"]}})]))))
    assert found.failure.code == "evidence.drift"
    assert "actors.user.id" in found.failure.reason
    assert "ada@example.com" not in found.failure.reason


def test_a_field_that_nobody_documented_is_no_drift():
    assert fetched(Tenant(ok(page([event(1, brand={"new": [1, 2]})])))).end.complete


@pytest.mark.parametrize(
    ("record", "place"),
    [
        pytest.param({"id": "a"}, "recordedAt: 'None' is no ISO 8601 instant", id="no instant"),
        pytest.param({"id": "a", "recordedAt": 7}, "recordedAt: '7' is no", id="a number for an instant"),
        pytest.param({"recordedAt": "2026-11-21"}, "id: there is no value", id="no identity"),
        pytest.param({"recordedAt": "2026-11-21", "id": {}}, "id: there is no value", id="an object for one"),
    ],
)
def test_a_descriptor_that_documents_nothing_still_needs_identity_and_instant(record: Any, place: str):
    """A project's own descriptor may leave the schema of a record open."""
    kinds = kinds_with("activities", item={})
    found = fetched(Tenant(ok(page([record]))), kinds=kinds)
    assert found.failure.code == "evidence.drift"
    assert place in found.failure.reason


def test_a_period_without_a_readable_end_is_drift_whatever_the_descriptor_documents():
    kinds = kinds_with(METRICS, item={})
    week = days("2026-11-02", 7, endDate="soon")
    found = fetched(one(week, count=7), query(METRICS, between=WEEK, kinds=kinds), kinds=kinds)
    assert found.failure.code == "evidence.drift"
    assert "endDate" in found.failure.reason


def test_a_kind_without_windows_is_known_by_identity_alone():
    inventory = ResourceKind.model_validate(
        {
            "version": 1,
            "kind": "things",
            "summary": "Things that are there now.",
            "scope": "environment",
            "path": "/environments/{environment_id}/activities",
            "page": {"items": "_embedded.activities"},
            "identity": ["id"],
            "order_key": "name",
            "empty": "error",
            "rate": {"group": "slow", "requests": 1, "per_s": 1},
            "roles": ["Any"],
            "item": {"type": "object"},
            "sources": [],
        }
    )
    kinds = {"things": inventory}
    things = [{"id": "a", "name": 1}, {"id": "b", "name": 1}, {"id": "a", "name": 1}]
    tenant = Tenant(ok(page(things)))
    found = fetched(tenant, query("things", kinds=kinds), kinds=kinds, rates={"slow": 0.0})
    assert found.end.complete, found.end
    assert (found.end.records, found.end.duplicates, found.end.first) == (2, 1, None)
    assert "?" not in tenant.urls[0]


@given(
    st.lists(st.sampled_from(range(8)), unique=True, min_size=1).flatmap(
        lambda numbers: st.tuples(
            st.just(numbers), st.lists(st.integers(min_value=1, max_value=4), min_size=1, max_size=8)
        )
    ),
    st.integers(min_value=0, max_value=9),
)
def test_however_periods_are_cut_into_pages_a_count_holds_or_the_query_fails(
    cut: tuple[list[int], list[int]], count: int
):
    """The law of completeness: no failure means every period of the window, each once."""
    numbers, sizes = cut
    week = days("2026-11-02", 8)
    chosen = [week[number] for number in numbers]
    pages: list[list[Any]] = []
    while chosen:
        size = sizes[len(pages) % len(sizes)]
        pages.append(chosen[:size])
        chosen = chosen[size:]
    tenant = Tenant(
        *(
            ok(
                page(
                    records,
                    resource=METRICS,
                    count=count,
                    **({"next": link(f"{number}", METRICS)} if number < len(pages) else {}),
                )
            )
            for number, records in enumerate(pages, 1)
        )
    )
    found = fetched(tenant, query(METRICS, between=WEEK))
    whole = set(range(7)) <= set(numbers) and count == len(numbers)
    assert found.end.complete is whole
    assert found.end.records == len(numbers)


# --- coverage -------------------------------------------------------------------------------------------


def test_a_window_that_is_held_when_it_is_asked_for_is_read_however_late_the_plan_is_run():
    old = query(last="1d")
    clock = Clock(NOW + timedelta(days=13))
    assert fetched(Tenant(ok(page(events(1))), clock=clock), old).end.complete


def test_a_window_that_has_aged_out_since_it_was_planned_is_not_asked_for():
    clock = Clock(NOW + timedelta(days=13, hours=12))
    tenant = Tenant(ok(page([])), clock=clock)
    found = fetched(tenant, query(last="1d"))
    assert found.failure.code == "evidence.not-covered"
    assert "2026-11-20T10:30:00.000Z .. 2026-11-20T22:30:00.000Z is missing" in found.failure.reason
    assert "Older events must be restored first" in found.failure.help
    assert tenant.asked == []


def test_a_window_that_ends_in_the_future_is_not_asked_for():
    tenant = Tenant(ok(page([])), clock=Clock(NOW - timedelta(hours=1)))
    found = fetched(tenant)
    assert found.failure.code == "evidence.not-covered"
    assert "2026-11-21T09:30:00.000Z .. 2026-11-21T10:30:00.000Z is missing" in found.failure.reason
    assert found.failure.help.startswith("The window ends in the future. ")
    assert tenant.asked == []


def test_a_window_that_ages_out_while_it_is_read_is_an_error():
    """Events are read newest first: the oldest, which are asked for last, may be gone by then."""
    clock = Clock(NOW)
    tenant = Tenant(clock=clock)

    def slowly(_: object) -> Any:
        clock.now += timedelta(hours=1)
        return ok(page(events(len(tenant.asked)), next=link(f"{len(tenant.asked)}")))

    tenant.answers = [slowly]
    found = fetched(tenant, query(between=("2026-11-07T14:00:00Z", "2026-11-21T10:30:00Z")))
    assert found.failure.code == "evidence.not-covered"
    assert "2026-11-07T14:00:00.000Z .. " in found.failure.reason
    assert 4 <= len(tenant.asked) <= 5  # from 10:30 on every hour, with an hour of grace at most


def test_a_window_that_ages_out_between_two_tries_is_an_error():
    clock = Clock(NOW)
    tenant = Tenant(clock=clock)

    def busy(_: object) -> Any:
        clock.now += timedelta(hours=3)
        return answer(503, {})

    tenant.answers = [busy]
    found = fetched(tenant, query(between=("2026-11-07T11:00:00Z", "2026-11-21T10:30:00Z")))
    assert found.failure.code == "evidence.not-covered"
    assert len(tenant.asked) == 1


def test_nothing_is_asked_of_a_window_without_length():
    tenant = Tenant(ok(page([])))
    found = fetched(tenant, query(window=Window(NOW, NOW), slices=()))
    assert found.failure.code == "evidence.not-covered"
    assert tenant.asked == []


def test_counts_are_held_for_ever():
    tenant = one(days("2026-11-02", 7), count=7)
    tenant.clock.now += timedelta(days=3650)
    assert fetched(tenant, query(METRICS, between=WEEK)).end.complete
