"""Clocks that differ, and records that come late: neither makes a window look read that was not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from auditor.fetcher import reading
from tests.pages import NOW, Answer, Clock, Tenant, events, fetched, link, ok, page, query, simulated

HOUR_S = 3_600


# --- clocks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "skew_s", "code"),
    [
        ({"last": "1d"}, 0, None),
        ({"last": "1d"}, 50, None),
        ({"last": "1d"}, -50, None),
        ({"last": "1d"}, -HOUR_S, "evidence.clock"),
        ({"between": ("2026-11-20", "2026-11-21T10:28:00Z")}, -90, "evidence.clock"),
        ({"between": ("2026-11-20", "2026-11-21T10:00:00Z")}, -90, None),
        ({"between": ("2026-11-19", "2026-11-20")}, -HOUR_S, None),
        ({"between": ("2026-11-07T11:30:00Z", "2026-11-20")}, HOUR_S + 1, "evidence.clock"),
        ({"between": ("2026-11-08", "2026-11-20")}, HOUR_S, None),
    ],
    ids=[
        "right",
        "a little ahead",
        "a little behind",
        "behind: the end is still to come",
        "behind: what is newest has not settled",
        "behind: what is newest has settled by both",
        "behind: a window of the past",
        "ahead: the old edge is gone",
        "ahead: the old edge is there by both",
    ],
)
def test_a_clock_that_is_off_is_an_error_where_the_window_would_be_another(
    window: dict[str, Any], skew_s: int, code: str | None
):
    with simulated(*([f"clock-skew={skew_s}"] if skew_s else [])) as tenant:
        end = tenant.fetched(tenant.query(**window)).end
    assert (end.failure.code if end.failure else None) == code, end
    assert end.clock_skew_s == skew_s


def test_the_error_of_a_clock_names_both_instants():
    with simulated("clock-skew=-3600") as tenant:
        failure = tenant.fetched().failure
    assert "says 2026-11-21T09:30:00.000Z and ours 2026-11-21T10:30:00.000Z" in failure.reason
    assert "3,600 s apart" in failure.reason
    assert "clock of this machine" in failure.help


def test_what_has_no_window_is_read_under_any_clock():
    with simulated("clock-skew=-3600") as tenant:
        path = f"/environments/{tenant.environment.id}/groups"
        groups = replace(
            tenant.query(),
            resource="groups",
            path=path,
            parameters={},
            filter="",
            filter_parameter=None,
            window=None,
            slices=(),
            page_size=None,
        )
        end = tenant.fetched(groups).end
    assert end.complete, end
    assert end.clock_skew_s == -HOUR_S


def test_the_time_that_an_answer_took_is_no_difference_of_clocks():
    """A slow answer was dated when it was begun, or when it was done."""

    async def slowly(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(300)
        return ok(page(events(1)), Date=format_datetime(NOW - timedelta(minutes=4), usegmt=True))

    assert fetched(Tenant(slowly)).end.clock_skew_s == 0


def test_a_server_without_a_date_is_believed():
    assert fetched(Tenant(ok(page(events(1))))).end.clock_skew_s is None


# --- late records ---------------------------------------------------------------------------------------


def passing(clock: Clock, minutes: float, *numbers: int, onward: str | None = None) -> Answer:
    """Return an answer that takes some minutes."""

    def answer(_: httpx.Request) -> httpx.Response:
        clock.now += timedelta(minutes=minutes)
        return ok(page(events(*numbers), next=onward))

    return answer


def test_what_came_late_while_a_long_window_was_read_is_found_at_its_end():
    clock = Clock()
    answers = [passing(clock, 3, 1, 3, onward=link("b")), passing(clock, 0, 20), passing(clock, 0, 1, 2, 3)]
    tenant = Tenant(*answers, clock=clock)
    found = fetched(tenant)
    assert found.end.complete
    assert sorted(found.ids) == ["event-1", "event-2", "event-20", "event-3"]
    assert found.end.duplicates == 2
    assert 'recordedAt ge "2026-11-21T10:20:00.000Z"' in tenant.asked[-1].url.params["filter"]


@pytest.mark.parametrize(
    ("minutes", "between"),
    [(1, None), (60, ("2026-11-20T10:00:00Z", "2026-11-21T10:15:00Z"))],
    ids=["read at once", "a window of the past"],
)
def test_what_can_not_have_come_late_is_asked_for_once(minutes: float, between: tuple[str, str] | None):
    clock = Clock()
    tenant = Tenant(passing(clock, minutes, 20), clock=clock)
    assert fetched(tenant, query(between=between) if between else query()).end.complete
    assert len(tenant.asked) == 1


def test_records_that_appear_later_do_not_change_what_is_found(monkeypatch: pytest.MonkeyPatch):
    """Over the network: every tenth record of the first page is not there yet."""
    monkeypatch.setattr(reading, "LATE", 10_000)
    with simulated() as well:
        expected = well.fetched(well.query(last="1d")).ids
    with simulated("late x1") as tenant:
        tenant.clock.step = timedelta(minutes=1)
        found = tenant.fetched(tenant.query(last="1d"))
    assert found.end.complete, found.end
    assert len(expected) > 20
    assert sorted(found.ids) == sorted(expected)
    assert found.end.duplicates > 0
