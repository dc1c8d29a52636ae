"""Instants, durations, windows and the edges of calendars."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.model.instant import Duration, Window, ceil_to, edges, floor_to, format_instant, parse_instant

unhurried = settings(deadline=None)
EARLY, LATE = datetime(1, 1, 8, tzinfo=UTC), datetime(9990, 1, 1, tzinfo=UTC)
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(EARLY.replace(tzinfo=None), LATE.replace(tzinfo=None), timezones=st.just(UTC))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]  # year, month, day, …


# --- instants ----------------------------------------------------------------------------------------

READ = {
    "2026-11-21T09:10:11Z": utc(2026, 11, 21, 9, 10, 11),
    "2026-11-21T09:10:11.123Z": utc(2026, 11, 21, 9, 10, 11, 123_000),
    "2026-11-21T09:10:11.5Z": utc(2026, 11, 21, 9, 10, 11, 500_000),
    "2026-11-21T09:10:11,5Z": utc(2026, 11, 21, 9, 10, 11, 500_000),
    "2026-11-21T09:10:11.123456789Z": utc(2026, 11, 21, 9, 10, 11, 123_456),
    "2026-11-21T09:10:11-04:00": utc(2026, 11, 21, 13, 10, 11),
    "2026-11-21T09:10:11+0530": utc(2026, 11, 21, 3, 40, 11),
    "2026-11-21T00:30:00+23:59": utc(2026, 11, 20, 0, 31),
    "2024-05-11T19:00Z": utc(2024, 5, 11, 19),
    "2026-11-21 09:10": utc(2026, 11, 21, 9, 10),
    "2026-11-21t09:10:11z": utc(2026, 11, 21, 9, 10, 11),
    "2026-11-21": utc(2026, 11, 21),
    "2024-02-29": utc(2024, 2, 29),
    "0001-01-01T00:00:00Z": utc(1, 1, 1),
    "9999-12-31T23:59:59.999Z": utc(9999, 12, 31, 23, 59, 59, 999_000),
}


@pytest.mark.parametrize("text", READ)
def test_an_instant_is_read_as_pingone_and_people_write_it(text):
    assert parse_instant(text) == READ[text]
    assert parse_instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "2019-02-31",
        "2026-02-29",
        "2026-13-01",
        "2026-11-00",
        "2026-11-21T24:00:00Z",
        "2026-11-21T09:60:00Z",
        "2026-11-21T09:10:60Z",
        "2026-11-21T09:10:11+24:00",
        "0000-01-01",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_what_the_calendar_does_not_have_is_no_instant(text):
    with pytest.raises(ValueError, match="is no day or time of the calendar"):
        parse_instant(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1763716211",
        "20261121",
        "20261121T091011Z",
        "2026-11-21T",
        "2026-11-21T09",
        "2026-11-21T09Z",
        "2026-11-21Z",
        "2026-11-21T09:10:11 Z",
        " 2026-11-21",
        "2026-11-21\n",
        "2026-W47-6",
        "2026-325",
        "26-11-21",
        "12026-11-21",
        "2026-1-2",
        "\u0662\u0660\u0662\u0666-11-21",
        "2026-11-21T09:10:11.1234567890Z",
        "2026-11-21T09:10:11+05",
        "x" * 1_000,
    ],
    ids=lambda text: text[:30],
)
def test_anything_else_is_no_instant_either(text):
    with pytest.raises(ValueError, match="is no ISO 8601 instant") as raised:
        parse_instant(text)
    assert len(str(raised.value)) < 200


@unhurried
@given(st.text())
def test_any_text_is_an_instant_or_a_value_error(text):
    try:
        parse_instant(text)
    except ValueError as error:
        assert "is no" in str(error)  # noqa: PT017  # both are right


@unhurried
@given(st.datetimes(EARLY.replace(tzinfo=None), LATE.replace(tzinfo=None), timezones=offsets))
def test_an_instant_is_written_in_utc_with_milliseconds_and_read_again(instant):
    text = format_instant(instant)
    assert text.endswith("Z")
    assert len(text) == len("2026-11-21T09:00:00.000Z")
    assert parse_instant(text) == instant.replace(microsecond=instant.microsecond // 1_000 * 1_000)


@unhurried
@given(instants, offsets)
def test_the_offset_of_a_text_does_not_matter(instant, offset):
    assert parse_instant(instant.astimezone(offset).isoformat()) == instant


# --- durations ---------------------------------------------------------------------------------------

DURATIONS = {
    "90s": (Duration(seconds=90), "90s"),
    "15m": (Duration(seconds=900), "15m"),
    "15min": (Duration(seconds=900), "15m"),
    "24h": (Duration(seconds=86_400), "1d"),
    "14d": (Duration(seconds=1_209_600), "14d"),
    "2w": (Duration(seconds=1_209_600), "14d"),
    "12mo": (Duration(months=12), "12mo"),
    "1y": (Duration(months=12), "12mo"),
    "1y6mo": (Duration(months=18), "18mo"),
    "1h30m": (Duration(seconds=5_400), "90m"),
    "1d1s": (Duration(seconds=86_401), "86401s"),
    "250ms": (Duration(seconds=0.25), "250ms"),
    "1009ms": (Duration(seconds=1.009), "1009ms"),
    "999999999ms": (Duration(seconds=999_999.999), "999999999ms"),
    "0d1h": (Duration(seconds=3_600), "1h"),
    "007d": (Duration(seconds=604_800), "7d"),
}


@pytest.mark.parametrize("text", DURATIONS)
def test_a_duration_is_read_and_written(text):
    duration, written = DURATIONS[text]
    assert Duration.parse(text) == duration
    assert str(duration) == written
    assert Duration.parse(written) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "24",
        "h",
        "24H",
        "1.5h",
        "-1d",
        "+1d",
        "1 d",
        " 1d",
        "1d ",
        "1d,2h",
        "٣h",
        "1000000000s",
        "P1D",
        "1h x",
    ],
)
def test_what_is_no_duration_is_a_value_error(text):
    with pytest.raises(ValueError, match="is no duration such as 24h"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["0d", "0mo", "0h0m"])
def test_a_duration_has_a_length(text):
    with pytest.raises(ValueError, match="is a length of zero"):
        Duration.parse(text)


def test_months_and_fixed_lengths_do_not_mix():
    with pytest.raises(ValueError, match="mixes months with a fixed length"):
        Duration.parse("1mo1d")


durations = st.one_of(
    st.builds(Duration, months=st.integers(1, 100)),
    st.integers(1, 999_999_999).map(lambda ms: Duration(seconds=ms / 1_000)),
)


@unhurried
@given(durations)
def test_what_is_written_is_read_as_the_same(duration):
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize(
    ("start", "text", "end"),
    [
        ("2026-01-31T10:00:00Z", "1mo", "2026-02-28T10:00:00Z"),
        ("2024-01-31T10:00:00Z", "1mo", "2024-02-29T10:00:00Z"),
        ("2024-02-29T10:00:00Z", "1y", "2025-02-28T10:00:00Z"),
        ("2026-11-30T10:00:00Z", "3mo", "2027-02-28T10:00:00Z"),
        ("2026-12-15T10:00:00Z", "1mo", "2027-01-15T10:00:00Z"),
        ("2026-12-31T10:00:00Z", "36h", "2027-01-01T22:00:00Z"),
    ],
)
def test_months_keep_the_day_or_take_the_last(start, text, end):
    assert Duration.parse(text).after(parse_instant(start)) == parse_instant(end)


def test_before_is_the_other_way():
    assert Duration.parse("1mo").before(utc(2026, 3, 31)) == utc(2026, 2, 28)
    assert Duration.parse("1mo").before(utc(2026, 1, 31)) == utc(2025, 12, 31)
    assert Duration.parse("1d").before(utc(2026, 3, 1)) == utc(2026, 2, 28)


@unhurried
@given(instants, durations)
def test_after_is_later_and_before_is_earlier(instant, duration):
    for moved, direction in ((duration.after, 1), (duration.before, -1)):
        try:
            assert (moved(instant) - instant).total_seconds() * direction > 0
        except ValueError as error:
            assert "leaves the calendar" in str(error)  # noqa: PT017  # both are right


@pytest.mark.parametrize("text", ["9999y", "999999999mo", "999999999w", "120000mo"])
def test_who_leaves_the_calendar_is_told_so(text):
    with pytest.raises(ValueError, match="leaves the calendar"):
        Duration.parse(text).before(utc(2026, 1, 1))
    with pytest.raises(ValueError, match="leaves the calendar"):
        Duration.parse(text).after(utc(2026, 1, 1))


# --- windows -----------------------------------------------------------------------------------------


def test_a_window_holds_its_start_and_not_its_end():
    window = Window(utc(2026, 11, 1), utc(2026, 11, 2))
    assert window.start in window
    assert window.end - timedelta(microseconds=1) in window
    assert window.end not in window
    assert window.length_s == 86_400
    assert str(window) == "2026-11-01T00:00:00.000Z .. 2026-11-02T00:00:00.000Z"


@pytest.mark.parametrize(
    ("text", "length", "floor"),
    [
        ("2026-11-21T09:10:11Z", "1h", "2026-11-21T09:00:00Z"),
        ("2026-11-21T09:10:11Z", "1d", "2026-11-21"),
        ("2026-11-21T09:10:11Z", "1w", "2026-11-16"),
        ("2026-11-15T23:59:59Z", "1w", "2026-11-09"),
        ("1969-12-31T09:00:00Z", "1w", "1969-12-29"),
        ("2026-11-21T09:10:11Z", "1mo", "2026-11-01"),
        ("2026-11-21T09:10:11Z", "3mo", "2026-10-01"),
        ("2026-11-21T09:10:11Z", "1y", "2026-01-01"),
        ("2026-11-21", "1d", "2026-11-21"),
    ],
)
def test_calendars_are_cut_at_hours_days_mondays_and_firsts(text, length, floor):
    assert floor_to(parse_instant(text), Duration.parse(length)) == parse_instant(floor)


cuts = st.sampled_from(["1h", "6h", "1d", "1w", "1mo", "3mo", "1y"]).map(Duration.parse)


@unhurried
@given(instants, cuts)
def test_an_edge_lies_at_or_before_and_the_next_one_after(instant, length):
    floor, ceiling = floor_to(instant, length), ceil_to(instant, length)
    assert floor <= instant < length.after(floor)
    assert ceiling == (floor if floor == instant else length.after(floor))
    assert floor_to(floor, length) == floor == ceil_to(floor, length)


@unhurried
@given(instants, cuts, st.integers(0, 40))
def test_pieces_follow_one_another_from_the_start_of_a_window(start, length, count):
    end = start
    for _ in range(count):
        end = length.after(end)
    starts = list(edges(Window(start, end), length))
    assert starts[:1] == [start] * bool(count)
    assert all(earlier < later < end for earlier, later in pairwise(starts))
    assert floor_to(start, length) != start or len(starts) == count


def test_pieces_of_months_do_not_drift():
    window = Window(utc(2026, 1, 31), utc(2026, 6, 1))
    days = [(edge.month, edge.day) for edge in edges(window, Duration(months=1))]
    assert days == [(1, 31), (2, 28), (3, 31), (4, 30), (5, 31)]


def test_pieces_end_with_the_calendar():
    window = Window(utc(9999, 12, 30), utc(9999, 12, 31, 23))
    assert list(edges(window, Duration(seconds=86_400))) == [utc(9999, 12, 30), utc(9999, 12, 31)]
    with pytest.raises(ValueError, match="leaves the calendar"):
        ceil_to(utc(9999, 12, 31, 1), Duration(seconds=86_400))
