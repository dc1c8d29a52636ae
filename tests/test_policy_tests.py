"""`auditor test`: what tests of policies find, as a person and as a program sees it."""

# ruff: noqa: F811  # `auditor` is a fixture

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from auditor.app.scaffold import init
from auditor.config import schemas
from tests.support import ROOT, SHARED, needs_shared
from tests.test_cli import Ran, auditor  # noqa: F401  # `auditor` is a fixture

Run = Callable[..., Ran]

TABLE: list[Mapping[str, Any]] = YAML(typ="safe").load(
    (ROOT / "tests" / "spec" / "policy-tests.yaml").read_text("utf-8")
)
EXAMPLE = ROOT / "examples" / "policy-tests"
SCHEMA = Draft202012Validator(json.loads((ROOT / "schemas" / "test-report.schema.json").read_text("utf-8")))

POLICY = """\
version: 1
pack: {id: pack}
variables:
  clients: {type: list(string), default: [hr]}
  hush: {type: string, sensitive: true, default: canary-default}
checks:
  deletions:
    title: Deletions by known clients
    query: {resource: activities, window: 2d, where: action.type eq "USER.DELETED"}
    expect: {every: "contains(${var.clients}, actors.client.id)", on_missing: fail, message: "{id}"}
"""
EVENT = (
    '{id: e, recordedAt: "2026-11-20T10:00:00Z", action: {type: USER.DELETED}, actors: {client: {id: hr}}}'
)
OTHER = EVENT.replace("USER.DELETED", "USER.CREATED").replace("id: e,", "id: other,")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a policy."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    return tmp_path


def write(folder: Path, *named: str, more: str = "") -> None:
    """Write tests, each as `name: {…}` in flow style."""
    lines = "".join(f"  {test}\n" for test in named)
    (folder / "policy.test.yaml").write_text(
        f'version: 1\nas_of: "2026-11-21"\ntests:\n{lines}{more}', "utf-8"
    )


def passing(records: str = EVENT) -> str:
    return f"a known client: {{records: {{activities: [{records}]}}, expect: pass}}"


# What is told


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case["what"])
def test_a_test_is_told_as_the_table_says(case: Mapping[str, Any], folder: Path, auditor: Run):
    (folder / "policy.yaml").write_text(case.get("policy", POLICY), "utf-8")
    for name, text in case.get("files", {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    ran = auditor(*case.get("run", ["test"]))
    assert ran.code == case["exit"], ran
    said = " ".join((ran.out + ran.err).split())
    for text in case["says"]:
        assert text in said, said
    assert "Traceback" not in said
    assert "canary" not in said


def test_a_failed_test_shows_what_was_expected_and_what_was_observed(folder: Path, auditor: Run):
    wrong = "{verdict: fail, code: policy.empty, population: 2, violations: [e, f], message: no}"
    write(
        folder,
        f"a: {{records: {{activities: [{EVENT}, {OTHER}]}}, variables: {{clients: [x]}}, expect: {wrong}}}",
    )
    ran = auditor("test")
    assert ran == (
        2,
        """
policy.test.yaml
  FAIL  deletions · a
        policy.test.yaml line 4 [test.failed]
        - code: policy.empty
        + code: policy.violation
        - population: 2
        + population: 1
          violations:
            e
        -   f
        - message: no
        + message: e
        False of 1 of 1 record. [policy.violation]

1 test: 0 passed, 1 failed
""",
        "auditor: 1 of 1 test failed (exit 2)\n",
    )


def test_a_narrow_terminal_and_a_pipe_get_lines_that_fit_and_no_colour(
    folder: Path, auditor: Run, monkeypatch
):
    write(folder, f"{'a long name ' * 10}: {{records: {{activities: [{EVENT}]}}, expect: fail}}")
    monkeypatch.setenv("COLUMNS", "40")
    out = auditor("test", "--coverage", "--mutate").out
    assert max(map(len, out.splitlines())) <= 40
    assert "\x1b" not in out


def test_what_tests_say_can_not_act_on_a_terminal_or_on_a_report(folder: Path, auditor: Run):
    write(
        folder,
        '"\\e[2J\\u202e<b>&": {records: {activities: []}, expect: {verdict: fail, message: "\\e]0;x\\a"}}',
    )
    ran = auditor("test", "--report", "junit=-")
    (case,) = ET.fromstring(ran.out).iter("testcase")  # noqa: S314  # our own document
    assert case.attrib["name"] == r"\u001b[2J\u202e<b>&"
    for text in (ran.out, ran.err, auditor("test").out, auditor("test", "--json").out):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_a_sensitive_value_is_printed_nowhere(folder: Path, auditor: Run):
    """Also where it is wrong, and where its line is at fault."""
    policy = POLICY.replace(
        'where: action.type eq "USER.DELETED"', "where: actors.client.name eq ${var.hush}"
    )
    (folder / "policy.yaml").write_text(policy, "utf-8")
    for given in ("canary-1", "[canary-2]"):
        write(
            folder, f"a: {{records: {{activities: [{EVENT}]}}, variables: {{hush: {given}}}, expect: pass}}"
        )
        for more in (
            ["--coverage", "--mutate"],
            ["--json", "--coverage", "--mutate"],
            ["--report", "junit=-"],
        ):
            ran = auditor("test", *more)
            assert "canary" not in ran.out + ran.err


def test_a_test_sees_what_a_run_sees(folder: Path, auditor: Run):
    """Verdict, code, population and violations of each test of the example, by the main job."""
    document = YAML(typ="safe").load((EXAMPLE / "deletions.test.yaml").read_text("utf-8"))
    tested = {
        result["name"]: result for result in json.loads(auditor("test", EXAMPLE, "--json").out)["results"]
    }
    for name, test in document["tests"].items():
        (folder / "events.json").write_text(json.dumps(test["records"]["activities"]), "utf-8")
        (folder / "values.json").write_text(
            json.dumps({**document["variables"], **test.get("variables", {})}), "utf-8"
        )
        ran = auditor(
            "check", EXAMPLE / "deletions.yaml", "--records", "activities=events.json",
            "--var-file", "values.json", "--as-of", document["as_of"], "--json",
        )  # fmt: skip
        (verdict,) = json.loads(ran.out)["verdicts"]
        assert (verdict["status"], verdict["code"], verdict["reason"]) == (
            tested[name]["verdict"],
            tested[name]["code"],
            tested[name]["reason"],
        )
    assert tested.keys() == document["tests"].keys()


# For programs


def test_json_follows_its_schema_and_says_the_same(folder: Path, auditor: Run):
    write(folder, passing(), f"wrong: {{records: {{activities: [{OTHER}]}}, expect: pass}}")
    (folder / "other.test.yaml").write_text("version: 1\ntests: {a: {expect: pass}}\n", "utf-8")
    ran = auditor("test", "--coverage", "--mutate", "--json")
    report = json.loads(ran.out)
    SCHEMA.validate(report)
    assert (ran.code, report["exit_code"], report["summary"]) == (
        1,
        1,
        {"tests": 2, "passed": 1, "failed": 1},
    )
    assert [result["passed"] for result in report["results"]] == [True, False]
    assert report["results"][1]["differences"] == [
        {"what": "population", "expected": "some record (else say population: 0)", "observed": 0}
    ]
    assert report["results"][1]["line"] == 5
    assert [problem["code"] for problem in report["problems"]] == ["test.no-policy"]
    SCHEMA.validate(json.loads(auditor("test", EXAMPLE, "--coverage", "--mutate", "--json").out))


def test_junit_has_a_case_for_each_test_and_for_everything_that_was_asked(folder: Path, auditor: Run):
    write(
        folder,
        passing(),
        "idle: {records: {activities: []}, expect: error}",
        more="equivalent: {nothing: at all}\n",
    )
    assert auditor("test", "--coverage", "--mutate", "--report", "junit=out/tests.xml").code == 2
    root = ET.fromstring((folder / "out" / "tests.xml").read_text("utf-8"))  # noqa: S314  # our own document
    suites = {suite.attrib["name"]: suite for suite in root}
    assert list(suites) == ["policy.test.yaml", "coverage", "mutation"]
    for suite in root:
        cases = list(suite.iter("testcase"))
        assert int(suite.attrib["tests"]) == len(cases) > 0
        assert int(suite.attrib["failures"]) == sum(case.find("failure") is not None for case in cases)
    assert suites["policy.test.yaml"].attrib["failures"] == "0"
    kinds = {failure.attrib["type"] for failure in root.iter("failure")}
    assert kinds == {"test.not-covered", "test.not-noticed", "test.idle", "test.needless-excuse"}


@needs_shared
@pytest.mark.parametrize("schema", ["junit-10.xsd", "windyroad-junit.xsd"])
def test_junit_follows_the_schemas_of_its_readers(schema: str, folder: Path, auditor: Run):
    write(
        folder, passing(), "wrong: {records: {activities: []}, expect: pass}", "bad: {chekc: x, expect: pass}"
    )
    for more in ([], ["--coverage", "--mutate"]):
        for path in (EXAMPLE, "policy.yaml"):
            document = auditor("test", path, *more, "--report", "junit=-").out
            xmlschema.XMLSchema(str(SHARED / "data/xsd" / schema)).validate(document)


def test_a_report_that_can_not_be_written_is_a_mistake(folder: Path, auditor: Run):
    write(folder, passing())
    (folder / "out").mkdir()
    ran = auditor("test", "--report", "junit=out")
    assert ran.code == 1
    assert "[report.not-written]" in ran.err


# Where tests are looked for


def test_a_project_runs_the_tests_of_its_own_policies_with_its_own_kinds(folder: Path, auditor: Run):
    """And neither those of a shipped pack, nor anything else of the project: values are the tests' own."""
    (folder / "policies").mkdir()
    (folder / "policy.yaml").rename(folder / "policies" / "policy.yaml")
    write(folder, passing())
    (folder / "policy.test.yaml").rename(folder / "policies" / "policy.test.yaml")
    (folder / "auditor.yaml").write_text(
        "version: 1\npolicies: [policies, {pack: pingone-posture}, {pack: policies, exclude: {deletions: why}}]\n",
        "utf-8",
    )
    (folder / "auditor.vars.yaml").write_text("clients: [nobody]\n", "utf-8")
    report = json.loads(auditor("test", "--json").out)
    assert [result["file"] for result in report["results"]] == ["policies/policy.test.yaml"]
    assert report["exit_code"] == 0


@pytest.mark.parametrize("path", ["deletions.yaml", "deletions.test.yaml", "."])
def test_a_policy_its_tests_and_their_folder_name_the_same_tests(path: str, auditor: Run):
    report = json.loads(auditor("test", "--chdir", EXAMPLE, path, "--coverage", "--json").out)
    assert len(report["results"]) == 5
    assert [check["check"] for check in report["coverage"]] == ["users-deleted-by-automation"]


def test_a_new_project_comes_with_tests_that_show_all_and_notice_all(tmp_path: Path, auditor: Run):
    init(tmp_path)
    ran = auditor("test", "--chdir", tmp_path, "--coverage", "--mutate")
    assert ran.code == 0, ran.out
    assert ran.err == "auditor: every test passed (exit 0)\n"


def test_validate_finds_the_mistakes_of_tests_and_remembers_only_what_is_still_so(
    folder: Path,
    tmp_path_factory,
    monkeypatch,
    auditor: Run,
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    (folder / "auditor.yaml").write_text("version: 1\npolicies: [policy.yaml]\n", "utf-8")
    (folder / "policy.yaml").write_text(POLICY.replace(", sensitive: true", ""), "utf-8")
    write(folder, passing())
    for _ in range(2):
        assert auditor("validate").code == 0
    write(folder, passing().replace("activities", "activites"))
    ran = auditor("validate")
    assert ran.code == 1
    assert 'There is no resource kind "activites".' in ran.err
    assert 'did you mean "activities"?' in ran.err


def test_what_a_run_received_is_judged_as_of_the_run(folder: Path, auditor: Run):
    policy = POLICY.replace("2d", "hot").replace("USER.DELETED", "APPLICATION.DELETED")
    (folder / "policy.yaml").write_text(policy, "utf-8")
    assert auditor("check", "policy.yaml", "--simulate", "--events", "400", "--as-of", "2026-11-21").code == 2
    (run,) = (folder / ".auditor" / "runs").iterdir()
    shutil.copytree(run, folder / "recorded")
    write(
        folder,
        "found: {run: recorded, expect: {verdict: fail, code: policy.violation}}",
        "instead: {run: recorded, records: {activities: []}, expect: {code: evidence.silent}}",
    )
    text = (folder / "policy.test.yaml").read_text("utf-8").replace('as_of: "2026-11-21"\n', "")
    (folder / "policy.test.yaml").write_text(text, "utf-8")
    assert auditor("test").out == (
        "\npolicy.test.yaml\n  PASS  deletions · found\n  PASS  deletions · instead\n\n"
        "2 tests: 2 passed, 0 failed\n"
    )
    page = next(path for path in (folder / "recorded" / "pages").rglob("*") if path.is_file())
    page.chmod(0o600)
    page.write_bytes(page.read_bytes() + b" ")
    assert "[run.changed]" in auditor("test").err


def test_a_file_of_tests_stands_for_its_policy_where_a_shell_names_every_file(folder: Path, auditor: Run):
    write(folder, passing())
    assert auditor("validate", *sorted(path.name for path in folder.glob("*.yaml"))).code == 0
    assert auditor("validate", "policy.test.yaml").out == "Valid: 1 check in pack.\n"
    (folder / "policy.yaml").unlink()
    assert "[test.no-policy]" in auditor("validate", "policy.test.yaml").err


# The document


def test_the_schema_accepts_what_the_program_accepts():
    schema = Draft202012Validator(json.loads(schemas.exported()["test.schema.json"]))
    right = {"version": 1, "tests": {"a": {"records": {"activities": [{"id": "e"}]}, "expect": "pass"}}}
    assert list(schema.iter_errors(right)) == []
    for wrong in (
        {"version": 1, "tests": {}},
        {"version": 1, "tests": {"a": {"expect": {}}}},
        {"version": 1, "tests": {"a": {"expect": "passes"}}},
        {"version": 1, "tests": {"a": {"expect": "pass", "record": {}}}},
        {"version": 1, "tests": {"a": {"expect": "pass", "records": {"activities": [1]}}}},
    ):
        assert list(schema.iter_errors(wrong)), wrong


def test_the_page_on_testing_shows_the_example_that_is_run():
    page = (ROOT / "docs" / "testing-policies.md").read_text("utf-8")
    for name in ("deletions.yaml", "deletions.test.yaml"):
        text = (EXAMPLE / name).read_text("utf-8").partition("\n")[2]
        assert f"```yaml\n{text}```" in page


@pytest.mark.parametrize(
    "records",
    ["[{id: e}]", "[{id: e, recordedAt: yesterday}]", "gone.json"],
    ids=["required", "format", "file"],
)
def test_validate_finds_what_a_test_could_not_be_run_with(auditor, tmp_path, monkeypatch, records: str):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    (tmp_path / "policy.test.yaml").write_text(
        f"version: 1\nas_of: 2026-11-21\ntests: {{a: {{records: {{activities: {records}}}, expect: pass}}}}\n",
        "utf-8",
    )
    told = [auditor(command, "policy.yaml") for command in ("validate", "test")]
    assert [ran.code for ran in told] == [1, 1]
    mistakes = [ran.err.rpartition("auditor:")[0] for ran in told]
    assert mistakes[0] == mistakes[1] != ""
