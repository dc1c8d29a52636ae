"""Checks that rest on several queries: shared queries, `over`, `bind` and `locals`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from auditor import app
from auditor.model.diagnostic import Level
from auditor.model.verdict import Report
from tests.support import ROOT

CASES = YAML(typ="safe").load((ROOT / "tests" / "spec" / "joins.yaml").read_text("utf-8"))
START = datetime(2026, 11, 21, 9, tzinfo=UTC)
CANARY = "canary-77aa"


def event(number: int, **fields: Any) -> dict[str, Any]:
    """Return the event of a number with what it leaves out filled in."""
    at = f"{START + timedelta(minutes=number):%Y-%m-%dT%H:%M:%S.000Z}"
    return {"id": str(number), "recordedAt": at, "action": {"type": "USER.CREATED"}, **fields}


def judge(
    folder: Path, policy: dict[str, Any], records: dict[str, list[dict[str, Any]]], **job: Any
) -> Report:
    """Run one policy file on given records."""
    path = folder / "policy.yaml"
    path.write_text(json.dumps({"version": 1, "pack": {"id": "pack"}, **policy}), encoding="utf-8")
    given = []
    for kind, found in records.items():
        file = folder / f"{kind}.json"
        filled = [event(n, **each) for n, each in enumerate(found)] if kind == "activities" else found
        file.write_text(json.dumps(filled), encoding="utf-8")
        given.append(f"{kind}={file}")
    return app.check(app.Job(folder=folder, environ={}, paths=[str(path)], records=given, **job))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_a_join_comes_to_its_verdict(case, tmp_path):
    report = judge(tmp_path, case["policy"], case["records"])
    assert [problem for problem in report.problems if problem.level is Level.ERROR] == []
    (verdict,) = report.verdicts
    gives = [verdict.status.word, verdict.code, verdict.population, verdict.exceptions]
    assert gives == case["gives"], verdict.reason
    assert case.get("bound", verdict.bound) == verdict.bound
    assert case.get("reason", "") in verdict.reason
    if "message" in case:
        assert verdict.outcomes[0].violations[0].message == case["message"]


def test_a_verdict_says_what_each_query_selected(tmp_path):
    report = judge(tmp_path, CASES[0]["policy"], CASES[0]["records"])
    (verdict,) = report.verdicts
    assert [(one.name, one.resource, one.population) for one in verdict.examined] == [
        ("created", "activities", 1),
        ("deleted", "activities", 2),
    ]
    assert {one.query for one in verdict.examined} == set(verdict.queries) == {"default/activities/1"}


def test_what_is_bound_with_a_sensitive_value_is_shown_nowhere(tmp_path):
    policy = {
        "variables": {"secret": {"type": "string", "sensitive": True}},
        "locals": {"both": "['other', ${var.secret}]"},
        "checks": {
            "check": {
                "title": "Nobody uses it",
                "queries": {"events": {"resource": "activities", "window": "1d"}},
                "bind": {
                    "used": "events[?contains(${local.both}, correlationId)].[correlationId, ${var.secret}][]"
                },
                "expect": {
                    "every": "!contains(${bind.used}, correlationId)",
                    "over": "events",
                    "on_missing": "pass",
                },
            }
        },
    }
    records = {"activities": [{"correlationId": "x"}, {"correlationId": "other"}]}
    report = judge(tmp_path, policy, records, variables=[("--var", f"secret={CANARY}")])
    (verdict,) = report.verdicts
    assert (verdict.status.word, verdict.exceptions, verdict.bound) == ("fail", 1, {})
    from auditor.reporter import FORMATS, render

    for name in FORMATS:
        assert CANARY not in render(report, name)


def test_the_worked_examples_run_on_the_simulator():
    job = app.Job(
        folder=ROOT / "examples" / "joins",
        environ={},
        simulation=app.Simulation(),
        as_of="2026-11-21T09:00:00Z",
    )
    report = app.check(job)
    assert {verdict.check: (verdict.status.word, verdict.population) for verdict in report.verdicts} == {
        "highest-count-within-licence": ("pass", 1),
        "secrets-renewed": ("fail", 25),
        "sign-ons-are-logged": ("pass", 91),
    }
