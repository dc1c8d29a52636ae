"""What a run counts as: selections, severities, and what stops a pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from auditor.app.gate import Gate
from auditor.model.diagnostic import Diagnostic, Level
from auditor.model.policy import SEVERITIES
from auditor.model.verdict import Status
from auditor.model.waiver import WaiverState, WaiverUse
from tests.reports import outcome, verdict, violation, waiver
from tests.support import ROOT, examples
from tests.test_cli import Ran, auditor, tenant  # noqa: F401  # a fixture

Run = Callable[..., Ran]

CASES = YAML(typ="safe").load((ROOT / "tests" / "spec" / "gate.yaml").read_text("utf-8"))
IDS = ("fine", "grave", "open", "out", "slight")

POLICY = """\
version: 1
pack: {id: pack}
queries:
  all: {resource: activities, window: {from: 2026-11-01, to: 2026-11-20}}
checks:
  grave:
    {title: Grave, severity: critical, query: all, expect: none, tags: [nightly],
     controls: {soc2: [CC6.1], iso27001: [A.8.32]}}
  slight:
    {title: Slight, severity: low, query: all, expect: none, tags: [nightly, weekly], controls: {soc2: [CC6.2]}}
  fine: {title: Fine, query: all, expect: some, tags: [weekly]}
  open: {title: Open, severity: high, query: all, expect: {every: result.status == 'x'}, tags: [unclear]}
  out: {title: Out, query: all, expect: none, tags: [nightly, unused]}
"""
PROJECT = """\
version: 1
policies: [{pack: policies, exclude: {out: TICKET-1}}]
environments: {prod: {id: abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6, region: NA}}
"""
EVENT = {"id": "1", "recordedAt": "2026-11-02T00:00:00Z", "action": {"type": "USER.CREATED"}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "pack.yaml").write_text(POLICY, "utf-8")
    (tmp_path / "auditor.yaml").write_text(PROJECT, "utf-8")
    (tmp_path / "events.json").write_text(json.dumps([EVENT]), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(auditor: Run, *words: str) -> Ran:  # noqa: F811  # the fixture
    return auditor("check", "--records", "activities=events.json", *words)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["words"])
def test_options_select_checks_and_decide_what_stops_a_pipeline(
    case: Mapping[str, Any],
    auditor: Run,  # noqa: F811  # the fixture
):
    ran = check(auditor, *case["words"].split(), "--json")
    report = json.loads(ran.out)
    assert ran.code == report["exit_code"] == case["exit"]
    assert case["says"] in report["exit_reason"]
    judged = [one["check"] for one in report["verdicts"] if one["status"] != "skip"]
    assert judged == case["judged"]
    if not judged:
        assert case["help"] in ran.err
        return
    left_out = {one["check"]: one["reason"] for one in report["verdicts"] if one["status"] == "skip"}
    assert {*judged, *left_out} == set(IDS)
    assert left_out.pop("out") == "Excluded by the project: TICKET-1"
    options = case["words"].replace(" --soft-fail", "").partition(" --fail-on")[0]
    assert set(left_out.values()) <= {f"Not selected by {options}."}


def test_what_is_not_selected_is_not_asked_for_and_shows_as_skipped(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    other = POLICY.replace("id: pack", "id: other").replace("resource: activities", "resource: users")
    other = other.replace(", window: {from: 2026-11-01, to: 2026-11-20}", "").replace(
        "result.status", "email"
    )
    (project / "policies" / "other.yaml").write_text(other, "utf-8")
    (project / "auditor.yaml").write_text(PROJECT.replace("prod: {", "prod: {variables: {}, "), "utf-8")
    plan = json.loads(auditor("plan", "--json", "--check", "pack/fine").out)
    assert [query["resource"] for query in plan["queries"]] == ["activities"]
    assert {use["check"] for query in plan["queries"] for use in query["checks"]} == {"prod/pack/fine"}
    assert len(plan["skipped"]) == 9
    text = " ".join(auditor("plan", "--check", "pack/fine").out.split())
    assert "Not selected by --check pack/fine: prod/other/fine, prod/other/grave" in text
    ran = check(auditor, "--check", "pack/fine", "--report", "junit=-")
    suites = ET.fromstring(ran.out)  # noqa: S314  # our own document
    cases = {one.get("name"): one for one in suites.findall("testsuite[@package='pack']/testcase")}
    assert cases["fine"].find("skipped") is None
    assert "Not selected by --check pack/fine." in (cases["grave"].findtext("skipped") or "")
    graph = auditor("graph", "--check", "pack/fine").out
    assert graph.count(":::skipped") == 9


def test_of_many_checks_that_are_not_selected_a_plan_tells_the_number(auditor: Run):  # noqa: F811  # the fixture
    words = ("--chdir", str(ROOT / "examples" / "quickstart"), "--check", "no-self-grants")
    skipped = json.loads(auditor("plan", *words, "--json").out)["skipped"]
    text = " ".join(auditor("plan", *words).out.split())
    assert f"Not selected by --check no-self-grants: {len(skipped)} checks " in text
    assert "prod/pingone-activity/log-without-gaps" not in text


@pytest.mark.usefixtures("project")
def test_a_saved_plan_runs_with_its_own_selection(auditor: Run):  # noqa: F811  # the fixture
    words = ("--as-of", "2026-11-20T00:00:00Z", "--tag", "weekly", "--control", "soc2")
    ran = auditor("plan", *words, "--out", "plan.json", "--json")
    schema = json.loads((ROOT / "schemas" / "plan.schema.json").read_text("utf-8"))
    Draft202012Validator(schema).validate(json.loads(ran.out))
    again = json.loads(auditor("check", "plan.json", "--simulate", "--events", "300", "--json").out)
    assert [one["check"] for one in again["verdicts"] if one["status"] != "skip"] == ["slight"]
    refused = auditor("check", "plan.json", "--simulate", "--tag", "weekly")
    assert (refused.code, "[plan.fixed]" in refused.out) == (1, True)


# --- waivers -------------------------------------------------------------------------------------------

TODAY = datetime.now(UTC).date()  # noqa: TID251  # waivers are judged by the wall clock


def waive(project: Path, starts: int, expires: int, *more: str, **changes: str) -> None:
    """Write one waiver of the failure of `slight`, from and until so many days after today."""
    given = {
        "kind": "exception",
        "check": "pack/slight",
        "environments": "[prod]",
        "reason": "migration",
        "approved_by": "ciso",
        "ticket": "SEC-1",
        "starts": str(TODAY + timedelta(days=starts)),
        "expires": str(TODAY + timedelta(days=expires)),
        **changes,
    }
    lines = [f"    {key}: {value}" for key, value in given.items()]
    (project / "waivers.yaml").write_text(
        "\n".join(["version: 1", "waivers:", "  one:", *lines, *more, ""]), "utf-8"
    )


SLIGHT = ("--check", "slight")


def test_a_waived_failure_gates_like_a_pass_and_shows_the_verdict_beneath(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    waive(project, -5, 0)
    ran = check(auditor, *SLIGHT, "--json", "--strict-waivers")
    report = json.loads(ran.out)
    (found,) = (one for one in report["verdicts"] if one["check"] == "slight")
    assert (ran.code, report["exit_reason"]) == (0, "every check passed, was waived or was skipped")
    assert (found["status"], found["code"], found["is_waived"], found["waived"]) == (
        "fail",
        "policy.violation",
        True,
        1,
    )
    assert [one["waived_by"] for one in found["outcomes"][0]["violations"]] == ["one"]
    assert [(use["waiver"]["name"], use["state"], use["matched"]) for use in report["waivers"]] == [
        ("one", "active", 1)
    ]
    assert report["waivers_as_of"] == str(TODAY)
    schema = json.loads((ROOT / "schemas" / "report.schema.json").read_text("utf-8"))
    Draft202012Validator(schema).validate(report)
    assert "1 failed (1 waived)" in ran.err
    junit = check(auditor, *SLIGHT, "--report", "junit=-").out
    assert "Waived until" in junit
    assert "underlying verdict: fail" in junit


def test_without_waivers_the_raw_posture_is_shown(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    waive(project, -5, 5)
    ran = check(auditor, *SLIGHT, "--json", "--no-waivers")
    report = json.loads(ran.out)
    assert (ran.code, report["waivers"], report["waivers_as_of"]) == (2, [], None)
    assert not any(one["is_waived"] or one["waived"] for one in report["verdicts"])


@pytest.mark.parametrize(
    ("starts", "expires", "strict", "code", "reason"),
    [
        (-5, -1, False, 2, "1 check failed at or above --fail-on low"),
        (-5, -1, True, 2, "1 check failed at or above --fail-on low, 1 expired waiver with --strict-waivers"),
        (1, 5, True, 2, "1 check failed at or above --fail-on low"),
        (-5, 5, True, 0, "every check passed, was waived or was skipped"),
    ],
)
def test_a_live_run_judges_days_by_the_clock_whatever_the_window(
    starts: int,
    expires: int,
    strict: bool,  # noqa: FBT001  # a column of the table
    code: int,
    reason: str,
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    """A waiver that has expired does not come back with a window of the days when it held."""
    waive(project, starts, expires)
    then = f"{TODAY + timedelta(days=starts)}T12:00:00Z"
    words = ("--strict-waivers",) if strict else ()
    ran = check(auditor, *SLIGHT, "--as-of", then, "--json", *words)
    assert (ran.code, json.loads(ran.out)["exit_reason"]) == (code, reason)


def test_expired_and_unused_waivers_are_reported_and_with_strict_waivers_stop_the_pipeline(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    waive(project, -5, 5, check="pack/fine")
    ran = check(auditor, "--check", "fine")
    assert (ran.code, "unused" in ran.out) == (0, True)
    ran = check(auditor, "--check", "fine", "--strict-waivers")
    assert (ran.code, "1 unused waiver with --strict-waivers (exit 2)" in ran.err) == (2, True)
    assert check(auditor, "--check", "fine", "--strict-waivers", "--soft-fail").code == 0
    waive(project, -5, -1, check="pack/fine")
    assert (
        "1 expired waiver with --strict-waivers (exit 2)"
        in check(auditor, "--check", "fine", "--strict-waivers").err
    )
    # Of what is not judged, nothing is said.
    assert (
        check(auditor, "--check", "grave", "--strict-waivers", "--fail-on", "critical", "--soft-fail").code
        == 0
    )


def test_what_is_undecided_or_incomplete_is_never_waived(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    waive(project, -5, 5, check="pack/open")
    ran = check(auditor, "--check", "open", "--json")
    report = json.loads(ran.out)
    assert (ran.code, report["summary"]["errors"], report["summary"]["waived"]) == (1, 1, 0)


def test_what_was_found_in_an_incomplete_read_stays_an_error(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    waive(project, -5, 5, check="pack/grave", environments="[default]")
    (project / "auditor.yaml").write_text("version: 1\npolicies: [policies]\n", "utf-8")
    policy = POLICY.replace("{from: 2026-11-01, to: 2026-11-20}", "hot")
    (project / "policies" / "pack.yaml").write_text(policy, "utf-8")
    words = ("check", "--check", "grave", "--json")
    with tenant(monkeypatch, "small-pages=20"):
        whole = auditor(*words)
    with tenant(monkeypatch, "small-pages=20", "link-self"):
        broken = auditor(*words)
    found, lost = (
        next(one for one in json.loads(ran.out)["verdicts"] if one["check"] == "grave")
        for ran in (whole, broken)
    )
    assert (whole.code, found["status"], found["is_waived"]) == (0, "fail", True)
    assert (broken.code, lost["status"], lost["is_waived"]) == (1, "error", False)
    assert lost["outcomes"][0]["violations"]


def test_a_simulated_tenant_has_its_own_time(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    """So the same words give the same verdicts on any day."""
    then = TODAY - timedelta(days=400)
    waive(project, -401, -399, check="pack/grave")
    policy = POLICY.replace("{from: 2026-11-01, to: 2026-11-20}", "2d")
    (project / "policies" / "pack.yaml").write_text(policy, "utf-8")
    words = ("--simulate", "--events", "300", "--as-of", f"{then}T12:00:00Z", "--check", "grave")
    ran = auditor("check", *words, "--json")
    assert (ran.code, json.loads(ran.out)["waivers_as_of"]) == (0, str(then))


def test_a_replay_judges_days_by_those_of_the_run(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    waive(project, -5, 0)
    assert check(auditor, *SLIGHT).code == 0
    later = datetime.now(UTC) + timedelta(days=400)  # noqa: TID251  # long after the waiver has expired
    for module in ("run", "simulation", "jobs"):
        monkeypatch.setattr(f"auditor.app.{module}.wall_clock", lambda: later)
    ran = auditor("replay", "--json", "--strict-waivers")
    report = json.loads(ran.out)
    assert (ran.code, report["waivers_as_of"], report["summary"]["waived"]) == (0, str(TODAY), 1)
    # Also where the file has changed since.
    (project / "waivers.yaml").unlink()
    assert json.loads(auditor("replay", "--json").out)["summary"]["waived"] == 1
    assert auditor("replay", "--no-waivers").code == 2
    assert check(auditor, *SLIGHT).code == 2


# --- the gate as a function ----------------------------------------------------------------------------

severities = st.sampled_from(SEVERITIES)
outcomes = st.builds(
    lambda status, severity, is_waived: outcome(
        status,
        severity=severity,
        exceptions=1 if status is Status.FAIL else 0,
        violations=(violation(),) if status is Status.FAIL else (),
        waived=int(is_waived and status is Status.FAIL),
    ),
    st.sampled_from(Status),
    severities,
    st.booleans(),
)
verdicts = st.lists(outcomes, min_size=1, max_size=3).map(
    lambda found: verdict(max(one.status for one in found), outcomes=tuple(found))
)
runs = st.lists(verdicts, max_size=4)
states = st.sampled_from(get_args(WaiverState))
uses = st.lists(states.map(lambda state: WaiverUse(waiver=waiver(), state=state)), max_size=3)
gates = st.builds(Gate, fail_on=severities, strict_waivers=st.booleans(), soft_fail=st.booleans())
MISTAKE = Diagnostic(code="a.b", summary="A mistake")


@settings(deadline=None, max_examples=examples(200))
@given(gates, runs, uses)
def test_nothing_hides_what_could_not_be_done_or_decided(gate, found, waivers):
    code, reason = gate.conclude(found, (), waivers)
    assert reason
    undone = not found or any(one.status is Status.ERROR for one in found)
    assert (code == 1) is undone
    assert gate.conclude(found, (MISTAKE,), waivers)[0] == 1
    warning = replace(MISTAKE, level=Level.WARNING)
    assert gate.conclude(found, (warning,), waivers) == (code, reason)


@settings(deadline=None, max_examples=examples(200))
@given(gates, runs, uses)
def test_a_failure_stops_the_pipeline_unless_it_is_slight_or_waived_or_let_through(gate, found, waivers):
    code, _ = gate.conclude(found, (), waivers)
    grave = [
        one
        for verdict in found
        for one in verdict.outcomes
        if one.status is Status.FAIL and not one.is_waived
        if SEVERITIES.index(one.severity) >= SEVERITIES.index(gate.fail_on)
    ]
    stale = [use for use in waivers if use.state in ("expired", "unused")]
    stops = bool(grave or (gate.strict_waivers and stale))
    if code != 1:
        assert (code == 2) is (stops and not gate.soft_fail)


def test_what_no_outcome_explains_is_no_less_a_failure():
    """A verdict of another making may come without outcomes."""
    bare = verdict(Status.FAIL, outcomes=(), severity="high")
    assert not bare.is_waived
    assert Gate(fail_on="high").conclude((bare,)) == (2, "1 check failed at or above --fail-on high")
    assert Gate(fail_on="critical").conclude((bare,))[0] == 0
