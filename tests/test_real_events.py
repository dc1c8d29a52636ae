"""Captured PingOne events, judged twice: served by the simulator, and given as a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from auditor import app
from auditor.model.diagnostic import Level
from tests.support import ROOT, SHARED, needs_shared

EVENTS = SHARED / "data" / "elastic_ping_one_audit_activities.ndjson"
POLICIES = str(ROOT / "tests" / "real" / "policies.yaml")
TABLE = YAML(typ="safe").load((ROOT / "tests" / "spec" / "real-events.yaml").read_text(encoding="utf-8"))

pytestmark = needs_shared


def judge(tmp_path: Path, as_of: str, **job: Any) -> dict[str, list[Any]]:
    report = app.check(app.Job(folder=tmp_path, environ={}, paths=[POLICIES], as_of=as_of, **job))
    assert [problem.detail for problem in report.problems if problem.level is Level.ERROR] == []
    return {
        verdict.check: [
            verdict.status.word,
            verdict.code,
            verdict.population,
            verdict.exceptions,
            verdict.undecided,
        ]
        for verdict in report.verdicts
    }


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case["as_of"])
def test_served_by_the_simulator_the_verdicts_are_right(case, tmp_path):
    simulation = app.Simulation(activities=str(EVENTS))
    assert judge(tmp_path, case["as_of"], simulation=simulation) == case["verdicts"]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case["as_of"])
def test_given_as_a_file_the_verdicts_are_the_same(case, tmp_path):
    assert judge(tmp_path, case["as_of"], records=[f"activities={EVENTS}"]) == case["verdicts"]


@pytest.mark.parametrize("pushdown", ["proven", "documented", "range"])
def test_what_the_server_filters_changes_no_verdict(pushdown, tmp_path):
    case = TABLE[0]
    simulation = app.Simulation(activities=str(EVENTS))
    found = judge(tmp_path, case["as_of"], simulation=simulation, pushdown=pushdown)
    assert found == case["verdicts"]


def test_the_order_of_the_events_in_the_file_changes_no_verdict(tmp_path):
    lines = EVENTS.read_text(encoding="utf-8").splitlines()
    backwards = tmp_path / "backwards.ndjson"
    backwards.write_text("\n".join(reversed(lines)), encoding="utf-8")
    found = judge(tmp_path, TABLE[0]["as_of"], records=[f"activities={backwards}"])
    assert found == TABLE[0]["verdicts"]


def test_a_page_of_a_published_connector_is_judged(tmp_path):
    policy = tmp_path / "groups.yaml"
    policy.write_text(
        "version: 1\npack: {id: groups}\nchecks:\n  by-worker:\n    title: Groups are created by the worker\n"
        '    query: {resource: activities, window: 1d, where: action.type eq "GROUP.CREATED"}\n'
        "    expect:\n      every: ends_with(actors.client.name, 'Worker')\n",
        encoding="utf-8",
    )
    page = SHARED / "data" / "elastic_ping_one_activities_page.json"
    report = app.check(
        app.Job(folder=tmp_path, environ={}, paths=[str(policy)], records=[f"activities={page}"])
    )
    (verdict,) = report.verdicts
    assert (verdict.status.word, verdict.population) == ("pass", 3)
    assert report.given == (f"activities={page}",)


def test_a_webhook_event_is_judged(tmp_path):
    policy = tmp_path / "address.yaml"
    policy.write_text(
        "version: 1\npack: {id: access}\nchecks:\n  address:\n    title: Access comes from the office\n"
        "    query: {resource: activities, window: 1d}\n"
        "    expect: {every: \"starts_with(source.ipAddress, '185.64.')\"}\n",
        encoding="utf-8",
    )
    event = SHARED / "data" / "datadog_ping_one_event.json"
    report = app.check(
        app.Job(folder=tmp_path, environ={}, paths=[str(policy)], records=[f"activities={event}"])
    )
    assert [verdict.status.word for verdict in report.verdicts] == ["pass"]
    assert json.loads(event.read_text(encoding="utf-8"))["source"]["ipAddress"] == "185.64.148.0"
