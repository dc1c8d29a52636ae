"""What reports draw of counts: the numbers of the buckets, and what they are held against."""

from __future__ import annotations

from datetime import datetime

import pytest
from ruamel.yaml import YAML

from auditor.evaluator import counting
from auditor.model.instant import format_instant, parse_instant
from auditor.model.value import Value, Values
from auditor.model.verdict import Verdict
from tests.support import ROOT
from tests.test_compiler import program
from tests.test_evaluator import audit

ROWS = YAML(typ="safe").load((ROOT / "tests/spec/thresholds.yaml").read_text("utf-8"))
QUERY = {
    "resource": "metrics_active_identity_counts",
    "window": {"from": "2026-01-01", "to": "2026-11-01"},
    "sampling": "MONTH",
}


def month(number: int, value: int) -> dict[str, object]:
    return {
        "startDate": f"2026-{number:02}-01T00:00:00Z",
        "endDate": f"2026-{number:02}-28T23:59:59.999Z",
        "value": value,
    }


def judged(
    expect: object, values: Values | None = None, months: int = 3, numbers_of: list[int] | None = None
) -> Verdict:
    checks = {"counts": {"title": "Counts", "query": QUERY, "expect": expect}}
    compiled = program(checks, variables=values or {})
    numbers = numbers_of or [10 * number for number in range(1, months + 1)]
    # The newest comes first.
    (verdict,) = audit(
        compiled, [list(reversed([month(number, value) for number, value in enumerate(numbers, 1)]))]
    )
    return verdict


def months(verdict: Verdict) -> list[tuple[str, float]]:
    (series,) = verdict.examined[0].series
    return [(format_instant(at)[:7], value) for at, value in series.points]


def test_the_numbers_of_the_buckets_stand_in_order_of_time():
    found = judged({"every": "value <= `100`"})
    assert months(found) == [("2026-01", 10), ("2026-02", 20), ("2026-03", 30)]
    assert found.examined[0].series[0].path == "value"


def test_of_too_many_buckets_the_newest_are_kept_and_the_others_counted(monkeypatch):
    monkeypatch.setattr(counting, "POINTS", 2)
    found = judged({"every": "value <= `100`"}, months=7)
    assert months(found) == [("2026-06", 60), ("2026-07", 70)]
    assert found.examined[0].series[0].left_out == 5


def test_what_can_not_be_drawn_is_no_point():
    found = judged({"every": "value <= `100`"}, numbers_of=[10, 10**400, 30])
    assert months(found) == [("2026-01", 10), ("2026-03", 30)]


def test_what_no_expectation_reads_is_no_series():
    assert judged({"that": "length(@) == `3`"}).examined[0].series == ()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["expect"]))
def test_a_threshold_is_a_number_whatever_the_records_are(row):
    values = {
        "var.cap": Value(100),
        "var.secret_cap": Value(100, sensitive=True),
    }
    (outcome,) = judged(row["expect"], values).outcomes
    found = [f"{each.path} {each.operator} {each.value:g}" for each in outcome.thresholds]
    assert found == row["thresholds"]


def test_events_have_neither_numbers_nor_thresholds():
    checks = {
        "events": {
            "title": "Events",
            "query": {"resource": "activities", "window": {"from": "2026-11-01", "to": "2026-11-20"}},
            "expect": {"that": "length(@) <= `5`"},
        }
    }
    (verdict,) = audit(program(checks), [[]])
    assert (verdict.examined[0].series, verdict.outcomes[0].thresholds) == ((), ())


def test_a_bucket_begins_where_its_start_says():
    (series,) = judged({"every": "value <= `100`"}).examined[0].series
    assert series.points[0][0] == parse_instant("2026-01-01")
    assert isinstance(series.points[0][0], datetime)
