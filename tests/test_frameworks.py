"""Views by framework: what they list, what they select, and how much of the period they say was looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from auditor import cli, config
from auditor.app.frameworks import framework_of, with_views
from auditor.model.framework import Framework
from auditor.model.instant import Window
from auditor.model.verdict import Status
from auditor.reporter.wording import supported
from tests.reports import DAY, NOW, SAMPLES, asked, end, report, verdict
from tests.support import ROOT

SHIPPED = config.shipped_frameworks()
POLICIES = [path for path in sorted((ROOT / "policies").glob("*/*.yaml")) if ".test." not in path.name]
QUICKSTART = ROOT / "examples" / "quickstart"


@pytest.fixture
def auditor(capsys, monkeypatch, tmp_path: Path) -> Callable[..., tuple[int, Any, str]]:
    """Run a command in this process; its exit code, the JSON that it prints, and what it says."""
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> tuple[int, Any, str]:
        code = cli.run([str(word) for word in words])
        told = capsys.readouterr()
        return code, json.loads(told.out) if told.out.startswith("{") else told.out, told.err

    return run


# What ships


def test_four_frameworks_ship():
    assert list(SHIPPED) == ["iso27001", "nist800-53", "pcidss4", "soc2"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_view_says_what_it_leaves_out_and_whose_reading_it_is(name: str):
    view = SHIPPED[name]
    assert view.scope.startswith("Only ")
    assert "left out" in view.scope
    assert "is our reading" in view.scope
    assert view.period_days == 365
    assert len(set(view.criteria.values())) == len(view.criteria)
    assert all(len(title) <= 90 and not title.endswith(".") for title in view.criteria.values())


@pytest.mark.parametrize(
    "path", sorted((ROOT / "schemas" / "frameworks").iterdir()), ids=lambda path: path.stem
)
def test_a_framework_points_editors_at_its_schema_and_follows_it(path: Path):
    text = path.read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=../framework.schema.json\n")
    schema = json.loads((ROOT / "schemas" / "framework.schema.json").read_text("utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(YAML(typ="safe").load(text))) == []


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_the_controls_of_a_shipped_policy_are_criteria_that_the_views_list(path: Path):
    for check in YAML(typ="safe").load(path.read_text("utf-8"))["checks"].values():
        for name, criteria in check["controls"].items():
            assert set(criteria) <= SHIPPED[name].criteria.keys(), name


# How much of the period was looked at

OURS = Framework.model_validate(
    {
        "version": 1,
        "framework": "ours",
        "title": "Our rules",
        "criteria": {"one": "The first", "two": "Another"},
    }
)
PART = Window(NOW - timedelta(days=14), NOW)


@pytest.mark.parametrize(
    ("days", "changes"),
    [
        pytest.param(14, {}, id="all of it was read"),
        pytest.param(5, {"slices": (Window(PART.start, PART.start + timedelta(days=5)),)}, id="a part was read"),
        pytest.param(0, {"slices": ()}, id="nothing was read"),
        pytest.param(14, {"slices": (Window(PART.start - timedelta(days=80), NOW),)}, id="more was read"),
        pytest.param(3, {"assurance": "given", "first": NOW - timedelta(days=3), "slices": ()}, id="given"),
        pytest.param(0, {"assurance": "given", "first": None, "last": None, "slices": ()}, id="none given"),
    ],
)  # fmt: skip
def test_observed_is_what_was_really_read(days: int, changes: dict[str, Any]):
    given: dict[str, Any] = {"slices": (PART,), "first": PART.start, "last": PART.end}
    question = asked(end(**given | changes))
    uses = tuple(replace(use, window=PART) for use in question.query.uses)
    question = replace(question, query=replace(question.query, window=PART, uses=uses))
    made = with_views(report(verdict(controls={"ours": ("one",)}), asked=(question,)), [OURS])
    assert made.frameworks[0].criteria[0].support[0].observed_days == days


def test_what_lies_before_the_period_is_no_evidence_of_it():
    short = OURS.model_copy(update={"period_days": 2})
    window = Window(NOW - timedelta(days=14), NOW)
    question = asked(end(slices=(window,)))
    uses = tuple(replace(use, window=window) for use in question.query.uses)
    question = replace(question, query=replace(question.query, uses=uses))
    (view,) = with_views(report(verdict(controls={"ours": ("one",)}), asked=(question,)), [short]).frameworks
    assert view.criteria[0].support[0].observed_days == 2


def test_a_state_is_evidence_of_one_day_and_a_skipped_check_of_none():
    question = asked(end())
    uses = tuple(replace(use, window=None) for use in question.query.uses)
    question = replace(question, query=replace(question.query, uses=uses))
    controls = {"ours": ("one",)}
    verdicts = (verdict(controls=controls), verdict(Status.SKIP, controls=controls))
    (view,) = with_views(report(*verdicts, asked=(question,)), [OURS]).frameworks
    assert [each.observed_days for each in view.criteria[0].support] == [1, 0]


def test_a_criterion_is_as_bad_as_its_worst_check_and_what_no_check_covers_has_no_status():
    verdicts = (
        verdict(controls={"ours": ("one", "three")}),
        verdict(Status.FAIL, controls={"ours": ("one",)}),
        verdict(Status.SKIP, controls={"theirs": ("one",)}),
    )
    (view,) = with_views(report(*verdicts, asked=(asked(end(slices=(DAY,))),)), [OURS]).frameworks
    assert {each.id: each.status for each in view.criteria} == {
        "one": Status.FAIL, "two": None, "three": Status.PASS,
    }  # fmt: skip
    assert [each.title for each in view.criteria] == ["The first", "Another", ""]


# On the command line

POLICY = """\
version: 1
pack: {id: pack}
checks:
  mapped:
    title: No environment is deleted
    controls: {soc2: [CC8.1]}
    query: {resource: activities, window: hot, where: action.type eq "ENVIRONMENT.DELETED"}
    expect: none
  unmapped:
    title: No user is deleted
    query: {resource: activities, window: hot, where: action.type eq "USER.DELETED"}
    expect: none
"""
PROJECT = """\
version: 1
policies:
  - pack: policy.yaml
    controls:
      mapped: {soc2: []}
      unmapped: {soc2: [CC6.2], ours: [one]}
frameworks: [ours.yaml]
environments: {prod: {id: fb5e1379-7127-400b-ad44-dc0a9fae4886, region: NA}}
"""
OWN = "version: 1\nframework: ours\ntitle: Our rules\nperiod_days: 30\ncriteria: {one: The first, two: The second}\n"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return path


def _view(document: Any) -> dict[str, tuple[str | None, list[tuple[str, int]]]]:
    (view,) = document["frameworks"]
    return {
        criterion["id"]: (
            criterion["status"],
            [(each["verdict"].rpartition("/")[2], each["observed_days"]) for each in criterion["support"]],
        )
        for criterion in view["criteria"]
    }


def test_a_view_selects_the_checks_that_speak_to_it(auditor, policy):
    code, found, _ = auditor(
        "check", policy, "--simulate", "--events", "300", "--framework", "soc2", "--json"
    )
    mapped, unmapped = found["verdicts"]
    assert (code, mapped["status"], unmapped["status"]) == (0, "pass", "skip")
    assert unmapped["code"] == "policy.not-selected"
    view = _view(found)
    assert view["CC8.1"] == ("pass", [("mapped", 14)])
    assert [criterion for criterion, (status, _) in view.items() if status is None] == [
        criterion for criterion in SHIPPED["soc2"].criteria if criterion != "CC8.1"
    ]


@pytest.mark.usefixtures("policy")
def test_a_project_changes_the_mapping_and_adds_frameworks(auditor, tmp_path):
    (tmp_path / "auditor.yaml").write_text(PROJECT, encoding="utf-8")
    (tmp_path / "ours.yaml").write_text(OWN, encoding="utf-8")
    common = ("check", "--simulate", "--events", "300", "--fail-on", "critical", "--json", "--framework")
    _, by_soc2, _ = auditor(*common, "soc2")
    assert by_soc2["verdicts"][0]["status"] == "skip"
    assert _view(by_soc2)["CC6.2"][1] == [("unmapped", 14)]
    assert _view(by_soc2)["CC8.1"] == (None, [])
    _, by_ours, _ = auditor(*common, "ours")
    assert by_ours["frameworks"][0]["period_days"] == 30
    assert _view(by_ours)["two"] == (None, [])
    _, both, _ = auditor(*common, "ours", "--framework", "soc2", "--framework", "ours")
    assert [view["framework"] for view in both["frameworks"]] == ["ours", "soc2"]


@pytest.mark.usefixtures("policy")
def test_a_file_of_the_project_takes_the_place_of_a_shipped_framework(auditor, tmp_path):
    (tmp_path / "auditor.yaml").write_text(PROJECT.replace("CC6.2", "one"), encoding="utf-8")
    (tmp_path / "ours.yaml").write_text(OWN.replace("ours", "soc2"), encoding="utf-8")
    text = (tmp_path / "auditor.yaml").read_text("utf-8").replace(", ours: [one]", "")
    (tmp_path / "auditor.yaml").write_text(text, encoding="utf-8")
    _, found, _ = auditor("check", "--simulate", "--events", "300", "--framework", "soc2", "--json")
    assert list(_view(found)) == ["one", "two"]


CONTROLS = [
    ("soc2: [CC8.1]", []),
    ("soc2: [CC8.1, CC8.l]", ['The view "soc2" lists no "CC8.l". did you mean "CC8.1"?']),
    ("SOC2: [CC8.1]", ['There is no framework "SOC2", so that no view shows it. did you mean "soc2"?']),
    ("house-rules: [one]", []),  # nobody's framework: a name that --control selects by
]


@pytest.mark.parametrize(("controls", "told"), CONTROLS, ids=[each for each, _ in CONTROLS])
def test_what_no_view_would_show_of_a_policy_is_a_warning(auditor, policy, controls: str, told: list[str]):
    policy.write_text(POLICY.replace("soc2: [CC8.1]", controls), "utf-8")
    code, found, _ = auditor("validate", policy, "--json")
    warnings = [f"{each['detail']} {each['help']}" for each in found["diagnostics"]]
    assert (code, found["warning_count"], warnings) == (0, len(told), told)


@pytest.mark.usefixtures("policy")
def test_the_criteria_of_a_policy_are_those_of_the_projects_own_view(auditor, tmp_path):
    (tmp_path / "auditor.yaml").write_text(
        "version: 1\npolicies: [policy.yaml, pingone-activity]\nframeworks: [ours.yaml]\n", "utf-8"
    )
    (tmp_path / "auditor.vars.yaml").write_text("license_cap: 1\nadmin_clients: []\n", "utf-8")
    (tmp_path / "ours.yaml").write_text(OWN.replace("ours", "soc2"), "utf-8")
    _, found, _ = auditor("validate", "--json")
    assert [each["range"]["filename"] for each in found["diagnostics"]] == ["policy.yaml"]
    (tmp_path / "ours.yaml").write_text(OWN.replace("ours", "soc2").replace("one:", "CC8.1:"), "utf-8")
    assert auditor("validate", "--json")[1]["diagnostics"] == []


def test_a_plan_asks_nothing_for_what_is_not_selected_and_remembers_the_selection(auditor, policy, tmp_path):
    auditor("plan", policy, "--as-of", "2026-11-21T09:00:00Z", "--framework", "soc2", "--out", "plan.json")
    plan = json.loads((tmp_path / "plan.json").read_text("utf-8"))
    assert plan["inputs"]["frameworks"] == ["soc2"]
    assert plan["skipped"] == {"default/pack/unmapped": "Not selected by --framework soc2."}
    assert "USER.DELETED" not in plan["queries"][0]["filter"]
    code, found, said = auditor("check", "plan.json", "--simulate", "--events", "300", "--json")
    assert code == 0, said
    assert found["frameworks"][0]["framework"] == "soc2"


def test_a_replay_shows_its_verdicts_by_the_same_criteria(auditor, policy):
    _, before, _ = auditor("check", policy, "--simulate", "--events", "300", "--framework", "soc2", "--json")
    _, after, said = auditor("replay", "latest", "--json")
    assert after["frameworks"] == before["frameworks"], said
    assert _view(after)["CC8.1"] == ("pass", [("mapped", 14)])


def test_the_report_of_an_earlier_run_is_shown_by_other_frameworks(auditor, policy, tmp_path):
    code, found, _ = auditor("check", policy, "--simulate", "--events", "300", "--json")
    assert found["frameworks"] == []
    code, found, said = auditor("report", "latest", "--framework", "soc2", "--json")
    assert code == 0, said
    assert _view(found)["CC8.1"] == ("pass", [("mapped", 14)])
    code, _, said = auditor("report", "latest", "--framework", "ours")
    assert code == 1
    assert "option.unknown-framework" in said
    (tmp_path / "auditor.yaml").write_text(PROJECT, encoding="utf-8")
    (tmp_path / "ours.yaml").write_text(OWN, encoding="utf-8")
    _, found, _ = auditor("report", "latest", "--framework", "ours", "--json")
    assert list(_view(found)) == ["one", "two"]


def test_a_view_can_be_made_again_of_other_verdicts():
    controls = {"ours": ("one", "three")}
    (view,) = with_views(report(verdict(controls=controls)), [OURS]).frameworks
    (again,) = with_views(report(verdict(Status.FAIL, controls=controls)), [framework_of(view)]).frameworks
    assert [each.status for each in again.criteria] == [Status.FAIL, None, Status.FAIL]
    assert [each.title for each in again.criteria] == [each.title for each in view.criteria]


def test_a_failure_that_waivers_cover_is_told_apart():
    name = SAMPLES["waivers"].verdicts[0].check
    waived, partly, *_ = (
        replace(each, check=name, controls={"ours": ("one",)}) for each in SAMPLES["waivers"].verdicts
    )
    (view,) = with_views(report(waived, partly), [OURS]).frameworks
    assert [each.waived for each in view.criteria[0].support] == [True, False]
    assert "1 waived" in supported(view.criteria[0], 365)


@pytest.mark.parametrize("words", [("frameworks",), ("soc2",)])
def test_frameworks_are_part_of_the_vocabulary(auditor, words):
    assert "CC6.1" in auditor("schema", *words)[1]
    _, found, _ = auditor("schema", *words, "--json")
    assert "CC6.1" in next(each for each in found["frameworks"] if each["framework"] == "soc2")["criteria"]


def test_the_quickstart_by_soc2_covers_what_its_checks_name(auditor, monkeypatch):
    monkeypatch.setenv("PINGONE_ENVIRONMENT_ID", "fb5e1379-7127-400b-ad44-dc0a9fae4886")
    _, found, _ = auditor(
        "check", "--chdir", QUICKSTART, "--simulate", "--events", "1000", "--as-of", "2026-11-21T09:00:00Z",
        "--framework", "soc2", "--json",
    )  # fmt: skip
    named = {each for one in found["verdicts"] for each in one["controls"].get("soc2", ())}
    view = _view(found)
    assert {criterion for criterion, (status, _) in view.items() if status} == named
    assert dict(view["CC8.1"][1])["configuration-changes-by-automation"] == 14
    assert dict(view["A1.1"][1])["active-identities-under-license-cap"] == 365
