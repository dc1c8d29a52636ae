"""The command line as people type it, over real loopback HTTP where a tenant is asked."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest
import stamina
import zstandard
from jsonschema import Draft202012Validator

from auditor import __version__, app, cli
from auditor.config import shipped_kinds
from auditor.simulator import Fault, Running, Settings, World, create_app, serve
from tests.support import ROOT

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
AS_OF = "2026-11-21T09:00:00Z"
QUICKSTART = ROOT / "examples" / "quickstart"
CANARY = "canary-8f2e61d0-secret"
CHECKS = 3 + len(list((ROOT / "policies" / "pingone-activity").glob("*.test.yaml")))
"""Checks of a fresh project: its own, and the pack's, of which every file holds one."""


class Ran(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> str:
        """Standard error as one line."""
        return " ".join(self.err.split())


@pytest.fixture
def auditor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run a command line in this process, in an environment without any of the program's variables."""
    for name in list(os.environ):
        if name.startswith(("PINGONE_", "AUDITOR_")) or name in {"NO_COLOR", "COLUMNS"}:
            monkeypatch.delenv(name)

    def run(*words: str | Path) -> Ran:
        capsys.readouterr()
        code = cli.run([str(word) for word in words])
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def project(tmp_path: Path, auditor: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh project, which is the working directory too."""
    assert auditor("init", tmp_path / "my-audit").code == 0
    monkeypatch.chdir(tmp_path / "my-audit")
    return tmp_path / "my-audit"


@contextmanager
def tenant(
    monkeypatch: pytest.MonkeyPatch, *faults: str, events: int = 300, **settings: Any
) -> Iterator[Running]:
    """A simulated tenant on a loopback port, to which the environment variables lead."""
    clock = lambda: datetime.now(UTC)  # noqa: E731, TID251  # the tenant lives now
    world = (
        World.generate(seed=1, events=events, now=clock())
        if events
        else World.from_records([], now=clock(), environment_id="abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6")
    )
    configured = Settings(faults=tuple(Fault.parse(fault) for fault in faults), **settings)
    with serve(create_app(world, shipped_kinds(), configured, clock)) as running:
        monkeypatch.setenv("PINGONE_API_URL", running.api_url)
        monkeypatch.setenv("PINGONE_AUTH_URL", running.auth_url)
        monkeypatch.setenv("PINGONE_ENVIRONMENT_ID", world.environment_id)
        monkeypatch.setenv("PINGONE_CLIENT_ID", configured.client_id)
        monkeypatch.setenv("PINGONE_CLIENT_SECRET", configured.client_secret)
        yield running


@pytest.fixture
def policy(tmp_path: Path) -> Callable[..., Path]:
    """Write a policy file with one check."""

    def write(
        expect: str = "none",
        *,
        where: str = 'action.type eq "ENVIRONMENT.DELETED"',
        window: str = "hot",
        extra: str = "",
    ) -> Path:
        path = tmp_path / "policy.yaml"
        path.write_text(
            "version: 1\npack: {id: mine}\nchecks:\n  one:\n    title: One thing holds\n    severity: medium\n"
            f"    query:\n      resource: activities\n      window: {window}\n      where: {where}\n"
            f"    expect: {expect}\n{extra}",
            encoding="utf-8",
        )
        return path

    return write


def cases(xml: str) -> list[ET.Element]:
    return list(ET.fromstring(xml).iter("testcase"))  # noqa: S314  # our own document


# Getting to know it


def test_help_names_every_command_and_the_exit_codes(auditor):
    ran = auditor("--help")
    assert ran.code == 0
    for command in ("check", "init", "plan", "schema", "simulate", "validate", "version"):
        assert f"\n  {command} " in ran.out
    assert "Exit codes:" in ran.out


@pytest.mark.parametrize("command", ["check", "init", "plan", "schema", "simulate", "validate", "version"])
def test_every_command_has_help(auditor, command):
    ran = auditor(command, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: auditor {command}")


def test_an_unknown_command_gets_a_suggestion(auditor):
    ran = auditor("chekc")
    assert (ran.code, ran.out) == (1, "")
    assert 'There is no command "chekc"; did you mean "check"?' in ran.err


def test_an_unknown_option_gets_a_suggestion(auditor):
    ran = auditor("check", "--simulat")
    assert ran.code == 1
    assert "--simulate" in ran.err


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_the_version_is_printed(auditor, words):
    assert auditor(*words) == (0, f"auditor {__version__}\n", "")


def test_the_version_needs_no_import_beyond_the_package():
    code = (
        "import sys; sys.argv = ['auditor', '--version']; from auditor.__main__ import main; main();"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in {'click', 'httpx', 'pydantic', 'auditor'}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == f"auditor {__version__}\n['auditor', 'auditor.__main__']\n"


# Starting out


def test_a_new_project_runs_at_once(auditor, project):
    assert auditor("validate").code == 0
    ran = auditor("check", "--simulate", "--as-of", AS_OF)
    assert ran.code == 2
    assert "Simulated: the records come from the built-in simulator" in ran.out
    assert re.search(
        rf"{CHECKS} checks: \d+ passed, \d+ failed, 0 errors, 2 skipped", " ".join(ran.out.split())
    )
    assert len(cases((project / ".auditor/latest/junit.xml").read_text(encoding="utf-8"))) == CHECKS


def test_init_overwrites_nothing(auditor, project):
    before = (project / "auditor.yaml").read_text(encoding="utf-8")
    (project / "auditor.yaml").write_text(before + "# mine\n", encoding="utf-8")
    ran = auditor("init")
    assert ran.code == 1
    assert "exists already, and nothing was written" in ran.err
    assert "auditor init my-audit" in ran.err
    assert (project / "auditor.yaml").read_text(encoding="utf-8") == before + "# mine\n"


def test_init_into_a_file_says_what_to_do(auditor, project):
    ran = auditor("init", "auditor.yaml")
    assert ran.code == 1
    assert "no folder" in ran.err
    assert "auditor init my-audit" in ran.err
    assert (project / "auditor.yaml").is_file()


def test_a_new_project_is_canonical_and_shows_what_it_teaches(auditor, project):
    assert auditor("fmt", "--check").code == 0
    text = "".join(path.read_text("utf-8") for path in sorted(project.rglob("*.yaml")))
    for word in (
        "exclude:",
        "controls:",
        "# staging:",
        "--framework soc2",
        "auditor suggest --from-run",
        "blind_spots:",
    ):
        assert word in text, word


def test_a_new_project_keeps_what_runs_leave_out_of_git(project):
    assert ".auditor/" in (project / ".gitignore").read_text(encoding="utf-8").split()


def test_the_template_names_the_admin_tools_of_the_simulated_tenant(project):
    facts = World.generate(seed=1, events=5_000, now=NOW).facts
    variables = (project / "auditor.vars.yaml").read_text(encoding="utf-8")
    assert all(client in variables for client in facts.admin_client_ids)
    assert not any(client in variables for client in facts.other_client_ids)


# The main job


def test_the_quickstart_finds_what_was_planted(auditor, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    ran = auditor("check", "--chdir", QUICKSTART, "--simulate", "--as-of", AS_OF, "--json")
    report = json.loads(ran.out)
    facts = World.generate(seed=1, events=5_000, now=NOW).facts
    verdicts = {verdict["check"]: verdict for verdict in report["verdicts"]}
    deletions = verdicts["app-deletion-by-admin-clients"]
    wrong = {*facts.deletions_by_other_clients, *facts.deletions_without_client}
    assert {v["identity"] for v in deletions["outcomes"][0]["violations"]} == wrong
    assert deletions["population"] == len(wrong) + len(facts.deletions_by_admin_clients)
    assert ran.code == report["exit_code"] == 2


def test_a_tenant_is_asked_over_http_as_the_plan_says(auditor, monkeypatch, policy, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    path = policy()
    with tenant(monkeypatch) as running:
        planned = json.loads(auditor("plan", path, "--as-of", _today(), "--json").out)
        ran = auditor("check", path, "--as-of", _today())
        asked = [request for request in running.requests if request.method == "GET"]
    assert ran.code == 0, ran
    assert "PASS   medium    one · 0 examined, 0 exceptions · no occurrences" in ran.out
    # The tenant is quiet, so that the probe is asked too.
    planned_filters = [query["filter"] for query in (*planned["queries"], *planned["probes"])]
    assert [dict(request.query)["filter"] for request in asked] == planned_filters


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H}:00:00Z"  # noqa: TID251


def test_apply_is_check(auditor, policy, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    assert auditor("apply", policy(), "--simulate", "--events", "300").code == 0


def test_the_same_run_of_the_same_instant_gives_the_same_verdicts(auditor, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    first, second = (
        _verdicts(auditor("check", "--chdir", QUICKSTART, "--simulate", "--as-of", AS_OF, "--json").out)
        for _ in range(2)
    )
    assert first == second


def _verdicts(document: str) -> list[dict[str, Any]]:
    """The verdicts of a JSON report, without how long they took and on which port."""
    found = json.loads(re.sub(r"127\.0\.0\.1:[0-9]+", "127.0.0.1", document))["verdicts"]
    return [{key: value for key, value in verdict.items() if key != "elapsed_s"} for verdict in found]


@pytest.mark.parametrize(
    ("severity", "fail_on", "code"),
    [
        ("low", "low", 2),
        ("low", "medium", 0),
        ("high", "medium", 2),
        ("info", "low", 0),
        ("critical", "critical", 2),
    ],
)
def test_fail_on_decides_which_failures_count(
    auditor, policy, monkeypatch, tmp_path, severity, fail_on, code
):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    path = policy("some")
    path.write_text(
        path.read_text(encoding="utf-8").replace("severity: medium", f"severity: {severity}"),
        encoding="utf-8",
    )
    ran = auditor("check", path, "--simulate", "--events", "300", "--fail-on", fail_on)
    assert ran.code == code
    assert f"(exit {code})" in ran.err
    assert "1 failed" in ran.out


def test_an_undecided_check_beats_a_failed_one(auditor, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    path = tmp_path / "two.yaml"
    path.write_text(
        "version: 1\npack: {id: two}\nchecks:\n"
        "  failed: {title: Fails, query: {resource: activities, window: hot}, expect: {none: '[]'}}\n"
        "  undecided:\n    title: Is not decided\n    query: {resource: activities, window: hot}\n"
        "    expect: {every: actors.user.id == actors.client.id}\n",
        encoding="utf-8",
    )
    ran = auditor("check", path, "--simulate", "--events", "300")
    assert ran.code == 1
    assert "1 check could not be decided (exit 1)" in ran.err
    assert "1 failed, 1 error" in ran.out


# Standard output holds the document and nothing else


def test_json_on_standard_output_is_json_and_follows_its_schema(auditor, policy, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    ran = auditor("check", policy(), "--simulate", "--events", "300", "--json")
    schema = json.loads((ROOT / "schemas" / "report.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(json.loads(ran.out))
    assert "1 check: 1 passed" in ran.errors


def test_junit_on_standard_output_is_xml(auditor, policy, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    ran = auditor("check", policy(), "--simulate", "--events", "300", "--report", "junit=-")
    assert [case.get("name") for case in cases(ran.out)] == ["one"]


def test_several_reports_are_written_at_once(auditor, policy, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    out = tmp_path / "deep" / "out"
    ran = auditor(
        "check", policy(), "--simulate", "--events", "300",
        "--report", f"junit={out}/junit.xml",
        "--report", f"json={out}/report.json",
        "--report", f"text={out}/report.txt",
    )  # fmt: skip
    assert ran.code == 0
    assert len(cases((out / "junit.xml").read_text(encoding="utf-8"))) == 1
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["summary"]["passed"] == 1
    assert "1 passed" in (out / "report.txt").read_text(encoding="utf-8")


def test_text_fits_a_narrow_terminal(auditor, policy, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "60")
    ran = auditor("check", policy("some"), "--simulate", "--events", "300")
    assert max(len(line) for line in ran.out.splitlines()) <= 60


def test_a_pipe_gets_no_colours(auditor, policy, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    assert "\x1b" not in auditor("check", policy("some"), "--simulate", "--events", "300").out


def test_a_reader_that_leaves_early_causes_no_traceback():
    command = f"{sys.executable} -m auditor schema activities | head -1"
    ran = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout == "activities\n"
    assert ran.stderr == ""


# JUnit in any case


def test_without_credentials_every_check_is_an_error_and_junit_is_written(auditor, project):
    ran = auditor("check", "--report", "junit=junit.xml")
    assert ran.code == 1
    assert "Not set: PINGONE_ENVIRONMENT_ID, a region (PINGONE_REGION_CODE)" in " ".join(ran.out.split())
    found = cases((project / "junit.xml").read_text(encoding="utf-8"))
    types = [each.get("type") for case in found for each in case if each.tag == "error"]
    skipped = [each for case in found for each in case if each.tag == "skipped"]
    assert set(types) == {"credentials.missing"}
    assert len(types) + len(skipped) == len(found) == CHECKS
    assert len(skipped) == 2  # what needs an archive asks nobody


def test_a_host_that_is_down_is_an_error_and_junit_is_written(auditor, policy, monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for name, value in {
        "API_URL": f"http://127.0.0.1:{port}/v1",
        "AUTH_URL": f"http://127.0.0.1:{port}",
        "ENVIRONMENT_ID": "abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6",
        "CLIENT_ID": "someone",
        "CLIENT_SECRET": CANARY,
    }.items():
        monkeypatch.setenv(f"PINGONE_{name}", value)
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    with stamina.set_testing(True, attempts=2):  # no waiting
        ran = auditor("check", policy(), "--report", f"junit={tmp_path}/junit.xml")
    assert ran.code == 1
    (case,) = cases((tmp_path / "junit.xml").read_text(encoding="utf-8"))
    assert case[0].get("type") == "query.unreachable"
    assert CANARY not in ran.out + ran.err + (tmp_path / "junit.xml").read_text(encoding="utf-8")


def test_a_wrong_secret_is_an_error_that_says_what_to_check(auditor, policy, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    path = policy()
    with tenant(monkeypatch):
        monkeypatch.setenv("PINGONE_CLIENT_SECRET", CANARY)
        ran = auditor("check", path)
    assert ran.code == 1
    assert "[credentials.refused]" in ran.out
    assert "Check client id, client secret" in " ".join(ran.out.split())
    assert CANARY not in ran.out + ran.err


def test_a_token_endpoint_that_answers_html_is_an_error(auditor, policy, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    path = policy()
    with tenant(monkeypatch, "token-html"):
        ran = auditor("check", path)
    assert ran.code == 1
    assert "[credentials.token-endpoint]" in ran.out
    assert "an HTML page" in " ".join(ran.out.split())


def test_a_mistake_in_a_policy_is_in_junit_too(auditor, policy, tmp_path, monkeypatch):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    ran = auditor(
        "check", policy(where='action.typ eq "X"'), "--simulate", "--report", f"junit={tmp_path}/junit.xml"
    )
    assert ran.code == 1
    (case,) = cases((tmp_path / "junit.xml").read_text(encoding="utf-8"))
    assert case[0].get("type") == "policy.unknown-attribute"


def test_a_bug_is_reported_in_junit_and_on_standard_error(auditor, policy, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("auditor.evaluator.Audit.finish", broken)
    ran = auditor(
        "check", policy(), "--simulate", "--events", "300", "--report", f"junit={tmp_path}/junit.xml"
    )
    assert ran.code == 1
    assert "ZeroDivisionError: by nothing" in ran.err
    assert "This is a bug of the auditor" in ran.errors
    (case,) = cases((tmp_path / "junit.xml").read_text(encoding="utf-8"))
    assert case[0].get("type") == "internal.error"


def test_an_interrupted_run_ends_with_130(auditor, policy, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("auditor.app.check", interrupted)
    assert auditor("check", policy(), "--simulate").code == 130


# Bad input


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["check", "--report", "jnit=x.xml"], "option.bad-value", "--report junit=x.xml"),
        (["check", "--report", "pdf=x.pdf"], "option.bad-value", "--report FORMAT=PATH with junit, "),
        (["check", "--report", "junit"], "option.bad-value", "--report FORMAT=PATH"),
        (["check", "--report", "junit=x", "--report", "json=x"], "option.bad-value", "a path of its own"),
        (["check", "--rate", "activities=fast"], "option.bad-value", "--rate activities=10/s"),
        (["check", "--rate", "activities=-1"], "option.bad-value", "--rate activities=10/s"),
        (["check", "--simulate", "--rate", "activites=1"], "option.bad-value", 'did you mean "activities"?'),
        (["check", "--simulate", "--rate", "rlgAudit=1"], "option.bad-value", 'did you mean "rlgAuditRps"?'),
        (["check", "--as-of", "2019-02-31"], "option.bad-instant", "no day or time of the calendar"),
        (["check", "--as-of", "yesterday"], "option.bad-instant", "2026-11-21T09:00:00Z"),
        (["check", "--var", "nonsense"], "variable.bad-option", "--var license_cap=10000"),
        (["check", "--records", "activities"], "records.bad-option", "--records activities=events.ndjson"),
        (["check", "--records", "activitis=x"], "records.unknown-kind", 'did you mean "activities"?'),
        (["check", "--records", "activities=nothing-here"], "records.unreadable", "one JSON object a line"),
        (["check", "--environment", "prd"], "project.unknown-environment", 'did you mean "prod"?'),
        (["check", "--simulate", "--activities", "nothing-here"], "records.unreadable", "No such file"),
        (["check", "--simulate", "--events", "-1"], "simulator.not-started", "fewer than none"),
        (["plan", "--chdir", "no-such-folder"], "file.not-found", "There is no folder"),
        (["plan", "no-such-policy.yaml"], "file.not-found", "There is no file or folder"),
        (["plan", "pack:pingone-activty"], "project.unknown-pack", 'did you mean "pingone-activity"?'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
@pytest.mark.usefixtures("project")
def test_bad_options_get_a_diagnostic(auditor, words, code, hint):
    ran = auditor(*words)
    said = " ".join((ran.out + ran.err).split())
    assert ran.code == 1
    assert f"[{code}]" in said
    assert hint in said
    assert "Traceback" not in said


def test_every_mistake_of_every_file_is_reported_in_one_run(auditor, project):
    (project / "policies" / "second.yaml").write_text(
        "version: 1\npack: {id: second}\nvariabels: {}\nchecks:\n  a:\n    title: A\n"
        "    query: {resource: activites, window: hot}\n    expect: none\n"
        "  b:\n    title: B\n    severity: hihg\n    query: {resource: activities, window: 0d}\n    expect: none\n",
        encoding="utf-8",
    )
    (project / "policies" / "third.yaml").write_text("version: 1\nversion: 1\n", encoding="utf-8")
    (project / "policies" / "fourth.yaml").write_text(
        "version: 1\npack: {id: fourth}\nchecks:\n  c:\n    title: C\n"
        '    query: {resource: activities, window: hot, where: action.typ eq "X"}\n'
        "    expect:\n      every: lenght(resources) == `1`\n",
        encoding="utf-8",
    )
    ran = auditor("validate")
    assert ran.code == 1
    for place, hint in {
        "on policies/second.yaml line 3, column 1:": 'did you mean "variables"?',
        "on policies/second.yaml line 11, column 15:": 'did you mean "high"?',
        "on policies/third.yaml line 2, column 1:": "stands twice in one mapping",
        "on policies/fourth.yaml line 6, column 55:": 'did you mean "action.type"?',
        "on policies/fourth.yaml line 8, column 14:": 'did you mean "length"?',
    }.items():
        assert place in ran.err
        assert hint in ran.err
    assert "nothing was asked of any tenant (exit 1)" in ran.err


def test_mistakes_as_json_have_places(auditor, policy):
    ran = auditor("validate", policy(where='action.type eq "APPLICATION.DELETD"'), "--json")
    document = json.loads(ran.out)
    (found,) = document["diagnostics"]
    assert (ran.code, document["valid"], document["error_count"]) == (1, False, 1)
    assert found["code"] == "policy.unknown-value"
    assert found["range"]["start"] == {"line": 10, "column": 29}
    assert 'did you mean "APPLICATION.DELETED"?' in found["help"]


@pytest.mark.usefixtures("project")
def test_valid_policies_say_how_many_checks_there_are(auditor):
    assert auditor("validate").out == f"Valid: {CHECKS} checks in first-policy, pingone-activity.\n"
    assert json.loads(auditor("validate", "--json").out)["valid"] is True


def test_a_report_path_that_is_a_folder_is_told_before_anything_is_asked(
    auditor, policy, monkeypatch, tmp_path
):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "out").mkdir()
    ran = auditor(
        "check", policy(), "--simulate", "--events", "300",
        "--report", f"junit={tmp_path}/out", "--report", f"json={tmp_path}/report.json",
    )  # fmt: skip
    assert ran.code == 1
    assert "[report.not-written]" in ran.out
    written = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (written["summary"]["requests"], written["summary"]["problem_errors"]) == (0, 1)
    assert list((tmp_path / "out").iterdir()) == []


def test_where_no_evidence_can_be_left_nothing_is_asked(auditor, policy, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "file" / "below"))
    ran = auditor("check", policy(), "--simulate", "--events", "300")
    assert ran.code == 1
    assert "Evidence not written [run.not-written]" in ran.out
    assert "AUDITOR_DATA_DIR" in ran.out
    assert "0 requests" in ran.out


def test_excluded_checks_are_skipped_with_their_reason(auditor, project):
    path = project / "auditor.yaml"
    text = path.read_text(encoding="utf-8").replace(
        '    # exclude: {some-check: "why it is not used here"}',
        '    exclude: {app-deletion-by-admin-clients: "covered elsewhere, see TICKET-1"}',
    )
    path.write_text(text, encoding="utf-8")
    ran = auditor("check", "--simulate", "--as-of", AS_OF, "--report", "junit=junit.xml")
    assert "covered elsewhere, see TICKET-1" in ran.out
    found = {case.get("name"): case for case in cases((project / "junit.xml").read_text(encoding="utf-8"))}
    assert found["app-deletion-by-admin-clients"][0].tag == "skipped"


def test_no_policies_selected_is_exit_1(auditor, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    ran = auditor("check", "empty", "--report", "junit=junit.xml")
    assert ran.code == 1
    assert "[file.no-policies]" in ran.out
    assert len(cases((tmp_path / "junit.xml").read_text(encoding="utf-8"))) == 1


# Variables


def test_the_later_of_var_and_var_file_wins(auditor, project):
    (project / "cap.yaml").write_text("license_cap: 111\n", encoding="utf-8")

    def cap(*words: str) -> tuple[Any, str]:
        document = json.loads(auditor("check", "--simulate", "--as-of", AS_OF, "--json", *words).out)
        (found,) = [v for v in document["variables"] if v["name"] == "license_cap"]
        return found["value"], found["origin"]

    assert cap() == (440, "auditor.vars.yaml")
    assert cap("--var", "license_cap=222", "--var-file", "cap.yaml") == (111, "cap.yaml")
    assert cap("--var-file", "cap.yaml", "--var", "pingone-activity.license_cap=222") == (222, "--var")


def written(path: Path) -> str:
    """Return what a file holds, also a compressed one; nothing for a folder."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        if path.suffix == ".zst":
            return zstandard.ZstdDecompressor().stream_reader(file).read().decode()
        return file.read().decode()


def test_a_sensitive_variable_is_in_no_output(auditor, policy, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("AUDITOR_VAR_who", CANARY)
    path = policy(
        "{every: 'actors.client.id != ${var.who}', on_missing: pass}",
        where="actors.client.id ne ${var.who}",
        extra="variables:\n  who: {type: string, sensitive: true}\n",
    )
    everything = ""
    for words in (
        ["plan", path], ["plan", path, "--json"], ["validate", path],
        ["check", path, "--simulate", "--events", "300", "--json"],
        ["check", path, "--simulate", "--events", "300", "--report", f"json={tmp_path}/r.json"],
    ):  # fmt: skip
        ran = auditor(*words)
        assert ran.code == 0, ran
        everything += ran.out + ran.err
    everything += "".join(map(written, tmp_path.rglob("*.*")))
    assert CANARY not in everything
    assert "${var.who}" in everything


# Planning


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("columns", ["20", "40", "41", "60"])
def test_a_plan_fits_a_narrow_terminal(auditor, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    ran = auditor("plan", "--as-of", AS_OF)
    assert ran.code == 0
    assert max(map(len, ran.out.splitlines())) <= max(int(columns), 40)


@pytest.mark.usefixtures("project")
def test_a_plan_asks_nothing_and_needs_no_credentials(auditor):
    ran = auditor("plan", "--as-of", AS_OF)
    assert ran.code == 0
    assert "GET /environments/{environment_id}/activities" in ran.out
    assert "Nothing has been asked yet." in " ".join(ran.out.split())


def test_a_plan_is_written_whole_and_is_the_same_as_json(auditor, project):
    ran = auditor("plan", "--as-of", AS_OF, "--out", "plan.json", "--json")
    assert json.loads((project / "plan.json").read_text(encoding="utf-8")) == json.loads(ran.out)
    assert auditor("plan", "--as-of", AS_OF, "--json").out == ran.out


@pytest.mark.usefixtures("project")
def test_a_plan_that_can_not_be_written_is_an_error(auditor):
    ran = auditor("plan", "--out", "policies")
    assert (ran.code, ran.out) == (1, "")
    assert "can not be written to policies: it is a folder" in ran.err


def test_a_coverage_gap_shows_in_the_plan_and_in_its_exit_code(auditor, policy):
    path = policy(window="30d")
    ran = auditor("plan", path)
    assert ran.code == 0
    assert "NOT COVERED" in ran.out
    assert auditor("plan", path, "--detailed-exitcode").code == 2


def test_a_window_that_is_not_covered_is_never_a_pass(auditor, policy, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    ran = auditor("check", policy(window="30d"), "--simulate", "--events", "300")
    assert ran.code == 1
    assert "[evidence.not-covered]" in ran.out
    assert "write window: hot" in " ".join(ran.out.split())


def test_a_plan_and_a_run_tell_the_same_of_what_is_not_covered(auditor, policy, monkeypatch, tmp_path):
    """A window of three slices, of which the first is gone and the second in part."""
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    path = policy(window="30d")
    (query,) = json.loads(auditor("plan", path, "--as-of", AS_OF, "--json").out)["queries"]
    assert len(query["slices"]) == 3
    ran = auditor("check", path, "--as-of", AS_OF, "--simulate", "--events", "300", "--json")
    reason = json.loads(ran.out)["verdicts"][0]["reason"]
    (told,) = re.findall(r"window: (\S+) \.\. (\S+) is missing", reason)
    planned = query["coverage"]["uncovered"]
    minutes = len("2026-11-07T09:00")  # a run asks a moment after its plan was made
    assert [one[:minutes] for one in told] == [planned[end][:minutes] for end in ("from", "to")]


# Vocabulary


@pytest.mark.parametrize("name", app.schema_names())
def test_every_part_of_the_vocabulary_is_shown_and_is_json(auditor, name):
    assert auditor("schema", name).code == 0
    assert isinstance(json.loads(auditor("schema", name, "--json").out), dict)


def test_the_vocabulary_lists_its_kinds(auditor):
    assert "active_identity_counts" in auditor("schema").out
    assert "activities" in json.loads(auditor("schema", "--json").out)["names"]


def test_an_unknown_part_of_the_vocabulary_gets_a_suggestion(auditor):
    ran = auditor("schema", "activites")
    assert ran.code == 1
    assert 'did you mean "activities"?' in ran.err


# The simulator


def test_the_simulator_lists_its_faults(auditor):
    ran = auditor("simulate", "--fault", "help")
    assert ran.code == 0
    assert set(Fault.NAMES) <= set(ran.out.split())


@pytest.mark.parametrize(
    "words",
    [
        ["--fault", "no-such-fault"],
        ["--role", "Configuration Admin"],
        ["--as-of", "never"],
        ["--hot-span", "0d"],
        ["--activities", "none"],
    ],
)
def test_a_simulator_that_can_not_start_says_why(auditor, words):
    ran = auditor("simulate", *words)
    assert ran.code == 1
    assert "Traceback" not in ran.err


def test_the_simulator_announces_how_to_reach_it(policy, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "auditor", "simulate", "--port", "0", "--events", "300"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        announced = dict(
            process.stdout.readline().strip().removeprefix("export ").split("=", 1) for _ in range(5)
        )
        ran = subprocess.run(
            [sys.executable, "-m", "auditor", "check", policy()],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, **announced, "PYTHONPATH": str(ROOT)},
        )
    finally:
        process.terminate()
        process.wait(timeout=10)
        if process.stdout is not None:
            process.stdout.close()
    assert ran.returncode == 0, ran
    assert "complete (end of links)" in ran.stdout


def test_a_variable_that_an_unread_file_may_declare_is_no_mistake_yet(auditor, project):
    (project / "policies" / "second.yaml").write_text(
        "version: 1\npack: {id: second}\nchecks:\n  a:\n    title: A\n"
        "    query: {resource: activities, window: hot, where: 'action.typ eq \"X\"'}\n"
        "    expect: {every: 'action.type == ${var.elsewhere}'}\n",
        encoding="utf-8",
    )
    (project / "policies" / "third.yaml").write_text("version: 1\nversion: 1\n", encoding="utf-8")
    ran = auditor("validate")
    assert 'did you mean "action.type"?' in ran.err
    assert "elsewhere" not in ran.err
    (project / "policies" / "third.yaml").unlink()
    assert "elsewhere" in auditor("validate").err


def test_the_default_of_a_sensitive_variable_is_not_shown_beside_a_mistake_of_an_expression(
    auditor, tmp_path
):
    path = tmp_path / "policy.yaml"
    variables = '{"token": {"type": "string", "sensitive": true, "default": "' + CANARY + '"}}'
    query = '{"resource": "activities", "window": "1d"}'
    check = '{"title": "T", "query": ' + query + ', "expect": {"every": "lenght(id) > `1`"}}'
    path.write_text(
        f'{{"version": 1, "pack": {{"id": "p"}}, "variables": {variables}, "checks": {{"c": {check}}}}}',
        encoding="utf-8",
    )
    for words in (("validate", path), ("validate", path, "--json"), ("plan", path), ("check", path)):
        ran = auditor(*words)
        assert ran.code == 1
        assert "jmes.unknown-function" in ran.out + ran.err
        assert CANARY not in ran.out + ran.err


def test_the_newest_of_given_records_is_examined_whatever_the_window(auditor, policy, tmp_path, monkeypatch):
    """A file holds all its records at once: there is nothing to wait for, as `hot` does with a tenant."""
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    deleted = {"action": {"type": "ENVIRONMENT.DELETED"}}
    events = [
        {"id": "1", "recordedAt": "2026-11-20T09:00:00Z", **deleted},
        {"id": "2", "recordedAt": "2026-11-20T09:00:01Z", **deleted},
        {"id": "3", "recordedAt": "2026-11-01T09:00:00Z", **deleted},
    ]
    (tmp_path / "events.json").write_text(json.dumps(events), encoding="utf-8")
    for window, examined in (("hot", 2), ("14d", 2), ("1d", 2), ("30d", 3)):
        ran = auditor("check", policy(window=window), "--records", f"activities={tmp_path}/events.json")
        assert ran.code == 2
        assert f"{examined} examined, {examined} exceptions" in ran.out
        told = " ".join(ran.out.split())
        assert "whether they are all of the window can not be told" in told
        assert ("1 given record lies outside the window" in told) is (examined == 2)


def test_a_silent_tenant_proves_nothing(auditor, policy, monkeypatch, tmp_path):
    """Whoever asks the wrong environment, or one whose log is broken, must not be told that all is well."""
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    clock = lambda: datetime.now(UTC)  # noqa: E731, TID251  # the tenant lives now
    world = World.from_records([], now=clock(), environment_id="abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6")
    configured = Settings()
    with serve(create_app(world, shipped_kinds(), configured, clock)) as running:
        monkeypatch.setenv("PINGONE_API_URL", running.api_url)
        monkeypatch.setenv("PINGONE_AUTH_URL", running.auth_url)
        monkeypatch.setenv("PINGONE_ENVIRONMENT_ID", world.environment_id)
        monkeypatch.setenv("PINGONE_CLIENT_ID", configured.client_id)
        monkeypatch.setenv("PINGONE_CLIENT_SECRET", configured.client_secret)
        ran = auditor("check", policy())
        asked = [dict(request.query)["limit"] for request in running.requests if request.method == "GET"]
    assert (ran.code, asked) == (1, ["500", "1"])
    assert "evidence.silent" in ran.out


def test_a_refused_filter_loses_nothing(auditor, tmp_path, monkeypatch):
    """The server refuses the filter of both checks, and then one of the two: the window is read whole."""
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "policy.yaml"
    path.write_text(
        "version: 1\npack: {id: mine}\nchecks:\n"
        "  a: {title: A, query: {resource: activities, window: hot, where: 'action.type eq \"SESSION.CREATED\"'},"
        " expect: {that: 'length(@) >= `0`'}}\n"
        "  b: {title: B, query: {resource: activities, window: hot, where: 'tags eq \"adminIdentityEvent\"'},"
        " expect: {that: 'length(@) >= `0`'}}\n",
        encoding="utf-8",
    )

    def examined(*faults: str) -> tuple[list[str], Ran]:
        with tenant(monkeypatch, *faults):
            ran = auditor("check", path, "--rate", "activities=0", "--as-of", _today())
        return re.findall(r"PASS   medium    \w · (\d+) examined", ran.out), ran

    expected, _ = examined()
    found, ran = examined("refuse-filter=adminIdentityEvent")
    assert found == expected
    assert "0" not in found
    assert "Another filter was asked instead." in " ".join(ran.out.split())


def test_beside_misspelt_keys_further_mistakes_of_the_same_file_are_found(auditor, tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(
        "version: 1\npack: {id: x}\nchecks:\n  a:\n    title: A\n    sevrity: high\n"
        "    query: {resource: activities, window: 1d, were: x}\n    expct: none\n"
        "  b:\n    title: B\n    query: {resource: activities, window: 1d, where: 'action.typ eq \"X\"'}\n"
        "    expect:\n      every: >-\n        actors.cliant.id\n        == 'x'\n      message: '{actors.usr.name}'\n"
        "  c: {title: [C], query: {resource: activities, window: 1d}, expect: none}\n",
        encoding="utf-8",
    )
    document = json.loads(auditor("validate", path, "--json").out)
    found = [(told["code"], told["range"]["start"]["line"], told["help"]) for told in document["diagnostics"]]
    assert [(code, line) for code, line, _ in found] == [
        ("schema.unknown-key", 6),
        ("policy.unknown-option", 7),
        ("schema.unknown-key", 8),
        ("policy.unknown-attribute", 11),
        ("jmes.unknown-field", 14),
        ("jmes.unknown-field", 16),
        ("schema.wrong-type", 17),
    ]
    hints = [help for _, _, help in found]
    for word, hint in zip(
        ("severity", "where", "expect", "action.type", "client", "user"), hints, strict=False
    ):
        assert f'did you mean "{word}"?' in hint


def test_a_name_that_stands_for_nothing_hides_no_other_mistake_of_its_expression(auditor, policy):
    path = policy("{every: 'actors.cliant.id == ${var.nope} || lenght(tags) > `1`'}")
    found = [told["code"] for told in json.loads(auditor("validate", path, "--json").out)["diagnostics"]]
    assert found == ["jmes.unknown-function"]  # what is no expression is told first
    path = policy("{every: 'actors.cliant.id == ${var.nope} && length(tagz) > `1`'}")
    told = json.loads(auditor("validate", path, "--json").out)["diagnostics"]
    assert [each["code"] for each in told] == [
        "jmes.unknown-field",
        "jmes.unknown-placeholder",
        "jmes.unknown-field",
    ]
    assert told[1]["help"] == "declare it under variables"
