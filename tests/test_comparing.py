# ruff: noqa: F811  # a fixture that is imported is asked for by its name
"""Runs beside one another: what is new, persists, was fixed or has aged out, and what only is new counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.test_cli import Ran, auditor  # noqa: F401  # a fixture

Run = Callable[..., Ran]

POLICY = """\
version: 1
pack: {id: mine}
checks:
  deletions:
    title: Nothing is deleted
    severity: high
    query: {resource: activities, window: 7d, where: action.type ew "DELETED"}
    expect: {none: "@", message: "{action.type} by {actors.user.name}"}
  quiet:
    title: Nobody is locked
    query: {resource: activities, window: 7d, where: action.type eq "USER.LOCKED"}
    expect: none
"""


def event(number: int, at: str, action: str = "APPLICATION.DELETED") -> dict[str, Any]:
    return {
        "id": f"event-{number}",
        "recordedAt": f"2026-11-{at}T12:00:00.000Z",
        "action": {"type": action},
        "actors": {"user": {"id": "u", "name": "canary-name"}},
    }


FIRST = [event(1, "10"), event(2, "15"), event(3, "16")]
SECOND = [event(2, "15"), event(4, "18"), event(5, "19", "USER.LOCKED")]


@pytest.fixture
def two(tmp_path: Path, auditor: Run, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two runs, six days apart: of the first three deletions one has aged out, one persists and one is gone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    names = []
    for records, as_of in ((FIRST, "2026-11-17T00:00:00Z"), (SECOND, "2026-11-20T00:00:00Z")):
        (tmp_path / "events.json").write_text(json.dumps(records), "utf-8")
        ran = auditor(
            "check", "policy.yaml", "--records", "activities=events.json", "--as-of", as_of, "--json"
        )
        names.append(json.loads(ran.out)["run_id"])
    return names[0], names[1]


def fates(document: str) -> dict[str, list[tuple[str, str]]]:
    return {
        check["name"].rpartition("/")[2]: [(one["fate"], one["identity"]) for one in check["violations"]]
        for check in json.loads(document)["checks"]
    }


def test_every_violation_of_two_runs_has_its_fate(two: tuple[str, str], auditor: Run):
    ran = auditor("diff", *two, "--json")
    assert ran.code == 2
    assert fates(ran.out) == {
        "deletions": [
            ("new", "event-4"),
            ("persisting", "event-2"),
            ("fixed", "event-3"),
            ("aged_out", "event-1"),
        ],
        "quiet": [("new", "event-5")],
    }
    assert json.loads(ran.out)["counts"] == {
        "new": 2,
        "persisting": 1,
        "fixed": 1,
        "aged_out": 1,
        "not_judged": 0,
    }
    assert "2 violations of 2 checks are new (exit 2)" in ran.err


def test_a_run_is_not_worse_than_itself(two: tuple[str, str], auditor: Run):
    ran = auditor("diff", two[0], two[0])
    assert ran.code == 0
    assert "nothing is new" in ran.out


def test_two_runs_read_as_a_text_and_as_markdown(two: tuple[str, str], auditor: Run):
    text = auditor("diff", *two).out
    assert "+ 2026-11-18T12:00:00.000Z event-4: APPLICATION.DELETED by canary-name" in " ".join(text.split())
    assert "pass → FAIL · 1 new" in text
    markdown = auditor("diff", *two, "--format", "markdown").out
    assert "| high | FAIL | FAIL | 1 | 1 | 1 | 1 | 0 |" in markdown
    assert "canary" not in markdown
    assert "canary" in auditor("diff", *two, "--format", "markdown", "--privacy", "full").out
    for form in ("text", "json", "markdown"):
        told = auditor("diff", *two, "--format", form, "--privacy", "ids").out
        assert "event-4" in told
        assert "canary" not in told


def test_a_misspelt_run_is_told_as_it_was_meant(two: tuple[str, str], auditor: Run):
    assert 'did you mean "latest"?' in auditor("report", "latset").errors
    assert f'did you mean "{two[0]}"?' in auditor("verify", two[0][:-1]).errors


def test_what_the_newer_run_did_not_decide_is_neither_fixed_nor_an_all_clear(
    two: tuple[str, str], auditor: Run, tmp_path: Path
):
    undecided = "    expect: {every: \"actors.client.id == 'c'\", message: gone}\n    # {none"
    (tmp_path / "policy.yaml").write_text(POLICY.replace("    expect: {none", undecided), "utf-8")
    third = auditor(
        "check",
        "policy.yaml",
        "--records",
        "activities=events.json",
        "--as-of",
        "2026-11-20T00:00:00Z",
        "--json",
    )
    ran = auditor("diff", two[0], json.loads(third.out)["run_id"], "--json")
    assert ran.code == 1
    assert {fate for fate, _ in fates(ran.out)["deletions"]} == {"not_judged"}
    assert "could not be decided" in ran.err
    assert "The policies, their values or the resource kinds are others" in auditor("diff", two[0]).out


def test_with_a_baseline_only_what_is_new_counts(two: tuple[str, str], auditor: Run):
    words = ["check", "policy.yaml", "--records", "activities=events.json", "--as-of", "2026-11-20T00:00:00Z"]
    known = auditor(
        *words, "--baseline", two[1], "--json", "--report", "junit=junit.xml", "--report", "html=r.html"
    )
    assert known.code == 0
    report = json.loads(known.out)
    assert {verdict["status"] for verdict in report["verdicts"]} == {"fail"}
    assert all(verdict["is_waived"] for verdict in report["verdicts"])
    assert "baseline" in Path("junit.xml").read_text("utf-8")
    new = auditor(*words, "--baseline", two[0], "--json")
    assert new.code == 2
    by_check = {verdict["check"]: verdict for verdict in json.loads(new.out)["verdicts"]}
    assert (by_check["deletions"]["exceptions"], by_check["deletions"]["waived"]) == (2, 1)


def test_what_was_known_of_a_record_does_not_hide_what_is_worse(
    tmp_path: Path, auditor: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    policy = (
        POLICY.partition("  deletions:")[0]
        + """\
  gentle:
    title: Only applications are deleted, by somebody known
    query: {resource: activities, window: 7d}
    expect:
      - every: action.type == 'APPLICATION.DELETED'
        severity: high
      - every: actors.user.name == 'known'
        on_missing: fail
        severity: low
"""
    )
    (tmp_path / "policy.yaml").write_text(policy, "utf-8")
    words = ["check", "policy.yaml", "--records", "activities=e.json", "--as-of", "2026-11-20T00:00:00Z"]
    ran = []
    for action, baseline in (("APPLICATION.DELETED", []), ("USER.DELETED", ["--baseline", "latest"])):
        (tmp_path / "e.json").write_text(json.dumps([event(1, "18", action)]), "utf-8")
        ran.append(auditor(*words, "--json", *baseline))
    (verdict,) = json.loads(ran[1].out)["verdicts"]
    assert [outcome["waived"] for outcome in verdict["outcomes"]] == [0, 1]
    assert ran[1].code == 2
    assert auditor("replay").code == 2


def test_a_run_that_was_changed_is_not_in_the_history(two: tuple[str, str], auditor: Run):
    report = Path(".auditor/runs", two[0], "report.json")
    report.write_text(report.read_text("utf-8").replace("FAIL", "PASS") + "\n", "utf-8")
    ran = auditor("history", "--json")
    assert ran.code == 1
    assert "run.changed" in ran.err
    assert [run["run_id"] for run in json.loads(ran.out)["runs"]] == [two[1]]


def test_the_history_has_a_column_for_each_run(two: tuple[str, str], auditor: Run):
    document = json.loads(auditor("history", "--json").out)
    assert [run["run_id"] for run in document["runs"]] == list(two)
    verdicts = {check["name"]: check["verdicts"] for check in document["checks"]}
    assert [one["status"] for one in verdicts["default/mine/quiet"]] == ["pass", "fail"]
    text = auditor("history").out
    assert "1: pass  2: FAIL 1" in text
    assert auditor("history", "--last", "1").out.count("FAIL") == 2


def test_where_there_is_no_run_there_is_no_history(
    auditor: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    ran = auditor("history")
    assert ran.code == 0
    assert "no run" in ran.out
