"""Of instants it is told quickly, and rightly, from where to where they reach."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.model.instant import parse_instant
from auditor.model.timeline import span
from tests.support import examples

usual = st.datetimes().map(lambda at: f"{at.isoformat(timespec='milliseconds')}Z")
parts = [st.sampled_from(("00", "05", "23", "59"))] * 3
near = st.builds("2026-06-30T{}:{}:{}.{}Z".format, *parts, st.sampled_from(("000", "999")))
odd = st.sampled_from(
    (
        *(
            "",
            "x",
            "2026-06-30",
            "2026-06-30T23:00:00Z",
            "2026-06-30T24:00:00.000Z",
            "2026-06-30T23:60:00.000Z",
        ),
        *("2026-06-30T23:00:60.000Z", "2026-06-31T23:00:00.000Z", "2026-06-30T23:00:00.000z"),
        *("2026-06-30T23:00:00.0000Z", "2026-06-30T23:00:00.00Z", "2026-06-30T23:00:00.00\u0661Z"),
        *("2026-06-30T23:00:00.00\ud800Z", "0000-01-01T00:00:00.000Z", "2026-06-30T2:300:00.000Z"),
        *("2026-06-30T23:00:00.000Z2026-06-30T23:00:00.000Z", "2026-06-30T99:00:00.000Z"),
    )
)


def is_usual(text: str) -> bool:
    try:
        at = parse_instant(text)
    except ValueError:
        return False
    return text == f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.one_of(near, near, near, usual, odd), max_size=6))
def test_a_span_is_told_of_instants_of_the_usual_form_alone(texts):
    expected = (min(texts), max(texts)) if texts and all(map(is_usual, texts)) else None
    assert span(texts) == expected


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.one_of(near.filter(is_usual), usual), min_size=1, max_size=6))
def test_texts_of_the_usual_form_are_in_the_order_of_time(texts):
    assert span(texts) == (min(texts, key=parse_instant), max(texts, key=parse_instant))
