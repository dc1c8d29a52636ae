"""What was saved is shown to people: plans as they will run, reports as they were."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditor import planner
from tests.support import ROOT
from tests.test_cli import Ran, auditor  # noqa: F401  # a fixture

Run = Callable[..., Ran]

POLICY = """\
version: 1
pack: {id: mine}
checks:
  deletions:
    title: Nothing is deleted
    severity: medium
    query: {resource: activities, window: 7d, where: action.type ew "DELETED"}
    expect: none
"""
AS_OF = ("--as-of", "2026-11-20T00:00:00Z")
PLANS = sorted((ROOT / "tests" / "golden").rglob("plan.json"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy in the working directory, with an event that breaks it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    event = {"id": "e", "recordedAt": "2026-11-19T00:00:00Z", "action": {"type": "USER.DELETED"}}
    (tmp_path / "events.json").write_text(json.dumps([event]), "utf-8")
    return tmp_path


def plan_of(auditor: Run, *more: str) -> str:  # noqa: F811
    return auditor("plan", "policy.yaml", *AS_OF, *more).out


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.parent.name)
def test_a_plan_that_was_read_back_is_the_one_that_was_written(path: Path):
    document = json.loads(path.read_text("utf-8"))
    assert planner.to_document(planner.from_document(document)) == document


@pytest.mark.usefixtures("here")
def test_a_saved_plan_is_shown_as_it_was_made(auditor: Run):  # noqa: F811
    made = plan_of(auditor, "--out", "plan.json")
    assert auditor("show", "plan.json").out == made
    assert auditor("show", "plan.json", "--json").out == Path("plan.json").read_text("utf-8")


@pytest.mark.usefixtures("here")
def test_a_plan_that_would_ask_for_something_else_than_it_says_is_not_shown(auditor: Run):  # noqa: F811
    plan_of(auditor, "--out", "plan.json")
    document = json.loads(Path("plan.json").read_text("utf-8"))
    for name, value in {"filter_template": 'id eq "x"', "filter": "(", "method": "GET"}.items():
        query: dict[str, Any] = {**document["queries"][0], name: value}
        Path("plan.json").write_text(json.dumps({**document, "queries": [query]}), "utf-8")
        ran = auditor("show", "plan.json")
        assert (ran.code, "show.unreadable" in ran.err) == ((0, False) if name == "method" else (1, True))


@pytest.mark.usefixtures("here")
def test_no_part_that_a_plan_lacks_is_a_crash(auditor: Run):  # noqa: F811
    plan_of(auditor, "--out", "plan.json")
    whole = json.loads(Path("plan.json").read_text("utf-8"))
    query = whole["queries"][0]
    less = [{k: v for k, v in whole.items() if k != name} for name in whole]
    less += [{**whole, "queries": [{k: v for k, v in query.items() if k != name}]} for name in query]
    less += [
        {**whole, "as_of": "2026-13-01T00:00:00.000Z"},
        {**whole, "queries": [{**query, "checks": [{}]}]},
    ]
    for document in less:
        Path("plan.json").write_text(json.dumps(document), "utf-8")
        ran = auditor("show", "plan.json")
        assert ran.code == 1
        assert "This is a bug" not in ran.err


@pytest.mark.usefixtures("here")
def test_a_report_and_a_run_are_shown_as_they_were_told(auditor: Run):  # noqa: F811
    words = ("check", "policy.yaml", "--records", "activities=events.json", *AS_OF)
    told = auditor(*words, "--report", "json=report.json").out
    assert "FAIL" in told
    assert "0 requests, 1 record " in " ".join(told.split())
    assert auditor("show", "report.json").out == told
    assert auditor("show").out == auditor("report").out == told
    assert json.loads(auditor("show", "--json").out) == json.loads(Path("report.json").read_text("utf-8"))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("text", ["{}", "[]", '{"format_version": "1.0"}', '{"format_version": "9.0", "verdicts": []}',
                                  '{"format_version": "1.0", "verdicts": [{}]}', "[" * 100_000, ""])  # fmt: skip
def test_what_can_not_be_shown_is_told(text: str, auditor: Run):  # noqa: F811
    Path("file").write_text(text, "utf-8")
    ran = auditor("show", "file")
    assert (ran.code, ran.out) == (1, "")
    assert "show.unreadable" in ran.err


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("options", "code"),
    [((), 0), (("--fail-on", "low"), 2), (("--fail-on", "high"), 0), (("--soft-fail",), 0)],
)
def test_a_report_counts_as_a_gate_only_where_that_is_asked(
    options: tuple[str, ...],
    code: int,
    auditor: Run,  # noqa: F811
):
    auditor("check", "policy.yaml", "--records", "activities=events.json", *AS_OF)
    ran = auditor("report", *options)
    assert ran.code == code, ran
    assert ("(exit" in ran.err) is bool(options)


@pytest.mark.usefixtures("here")
def test_a_report_of_what_could_not_be_decided_is_let_through_by_no_gate(auditor: Run):  # noqa: F811
    Path("events.json").write_text('[{"id": "e"}]', "utf-8")
    auditor("check", "policy.yaml", "--records", "activities=events.json", *AS_OF)
    assert auditor("report", "--soft-fail").code == 1
    assert auditor("report", "--fail-on", "critical").code == 1
