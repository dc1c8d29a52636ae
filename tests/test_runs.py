# ruff: noqa: F811  # a fixture that is imported is asked for by its name
"""Run folders: what a run leaves goes on after a kill, is judged again offline, and shows every changed byte."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stamina
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor import runs
from auditor.evaluator import Audit
from auditor.fetcher.session import Session
from auditor.runs import RunFolder
from auditor.simulator import refusal
from auditor.simulator.cursors import Cursors
from tests.support import examples
from tests.test_cli import CANARY, Ran, auditor, tenant, written  # noqa: F401  # `auditor` is a fixture

POLICY = """\
version: 1
pack: {id: mine}
checks:
  somebody:
    title: Every event has somebody
    query: {resource: activities, window: hot}
    expect: {every: "actors.user != `null`", message: "{action.type} at {recordedAt}"}
  deletions:
    title: Nothing is deleted
    query: {resource: activities, window: hot, where: action.type ew "DELETED"}
    expect: none
  counts:
    title: Few are active
    query: {resource: metrics_active_identity_counts, window: 12mo, sampling: MONTH}
    expect: {every: "value < `5`"}
"""

Run = Callable[..., Ran]


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy in the working directory, where the runs are left."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    return tmp_path


def words(*more: str) -> list[str]:
    return ["check", "policy.yaml", "--rate", "activities=0", *more]


def folder(base: Path) -> Path:
    """Return the only run."""
    (found,) = (base / ".auditor" / "runs").iterdir()
    return found


def opened(path: Path) -> RunFolder:
    run = RunFolder.open(path).value
    assert run is not None
    return run


def journal(run: Path, what: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (run / "journal.ndjson").read_text("utf-8").splitlines())
    return [line for line in lines if line["what"] == what]


def essence(document: str) -> dict[str, Any]:
    """Return what two runs of the same instant have in common: everything but times and names of runs."""
    return {
        verdict["name"]: {
            **{key: verdict[key] for key in ("status", "code", "reason", "population", "exceptions")},
            "outcomes": [
                {**outcome, "violations": [{**one, "page": ""} for one in outcome["violations"]]}
                for outcome in verdict["outcomes"]
            ],
        }
        for verdict in json.loads(document)["verdicts"]
    }


# What a run leaves


@pytest.mark.usefixtures("policy")
def test_a_run_leaves_what_it_asked_and_what_was_answered(auditor: Run, tmp_path, monkeypatch):
    with tenant(monkeypatch, "small-pages=50") as running:
        ran = auditor(*words("--json"))
    run = folder(tmp_path)
    answers = journal(run, "answer")
    assert ran.code == 2
    assert len(answers) == len(running.requests) - 1  # and the token
    assert [len(list(path.iterdir())) for path in sorted((run / "pages").iterdir())]
    for answer in answers:
        name = answer["query"].replace("/", "-")
        body = written(run / "pages" / name / f"{answer['number']:06}.json.zst")
        assert len(body.encode()) == answer["bytes"]
        assert "_embedded" in json.loads(body)
    assert {end["end"]["query"] for end in journal(run, "end")} == {answer["query"] for answer in answers}
    report = json.loads(ran.out)
    assert report["root_digest"] == opened(run).root_digest
    assert f"Evidence: run {run.name}, {report['root_digest']}" in ran.err


@pytest.mark.usefixtures("policy")
def test_evidence_is_for_its_owner_alone(auditor: Run, tmp_path):
    auditor(*words("--simulate"))
    modes = {path.stat().st_mode & 0o077 for path in folder(tmp_path).rglob("*")}
    assert modes == {0}


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(("evidence", "kept"), [("full", True), ("violations", False), ("digest", False)])
def test_pages_are_kept_as_far_as_was_asked(evidence: str, kept: bool, auditor: Run, tmp_path):  # noqa: FBT001
    assert auditor(*words("--simulate", "--evidence", evidence)).code == 2
    run = folder(tmp_path)
    assert bool(list((run / "pages").rglob("*.zst"))) is kept
    assert all(answer["kept"] is kept and len(answer["sha256"]) == 64 for answer in journal(run, "answer"))
    assert (run / "violations.ndjson.zst").exists() is (evidence != "digest")
    assert auditor("verify").code == 0
    assert auditor("replay").code == (2 if kept else 1)


@pytest.mark.usefixtures("policy")
def test_all_violations_are_kept_not_only_those_that_are_shown(auditor: Run, tmp_path):
    ran = auditor(*words("--simulate", "--json"))
    counted = {verdict["name"]: verdict["exceptions"] for verdict in json.loads(ran.out)["verdicts"]}
    kept = [one.check for one in opened(folder(tmp_path)).read_violations()]
    assert {name: kept.count(name) for name in counted} == counted
    assert max(counted.values()) > 20


@pytest.mark.usefixtures("policy")
def test_what_may_hold_a_secret_is_taken_out_of_what_is_kept(auditor: Run, tmp_path, monkeypatch):
    (tmp_path / "policy.yaml").write_text(
        "version: 1\npack: {id: mine}\nchecks:\n  hooks:\n    title: Hooks are there\n"
        "    query: {resource: subscriptions}\n    expect: some\n",
        "utf-8",
    )
    with tenant(monkeypatch):
        assert auditor("check", "policy.yaml").code == 0
    (answer,) = journal(folder(tmp_path), "answer")
    (page,) = folder(tmp_path).glob("pages/*/*")
    assert answer["stripped"]
    assert "httpEndpoint" in written(page)
    assert '"headers"' not in written(page)
    assert auditor("replay").code == 0


# Going on


@pytest.mark.usefixtures("policy")
def test_a_run_that_was_stopped_asks_only_for_what_is_missing(auditor: Run, tmp_path, monkeypatch):
    with tenant(monkeypatch, "small-pages=20") as running:
        whole = auditor(*words("--json"))
        asked = [request.path for request in running.requests]
        as_of = json.loads(whole.out)["as_of"]
        shutil.rmtree(tmp_path / ".auditor")
        running.requests.clear()
        stopped = auditor(*words("--as-of", as_of, "--max-requests", "6", "--json"))
        assert stopped.code == 1
        assert "evidence.stopped" in stopped.out
        gone_on = auditor("resume", "--rate", "activities=0", "--json")
        sent = [
            (request.path, str(request.query))
            for request in running.requests
            if "as/token" not in request.path
        ]
    assert gone_on.code == 2
    assert essence(gone_on.out) == essence(whole.out)
    assert len(sent) == len(set(sent)) == len([path for path in asked if "as/token" not in path])
    assert auditor("verify").code == 0
    assert "The run went on: " in gone_on.out
    sealed_before = json.loads(stopped.out)["root_digest"]
    before = auditor("verify", "--digest", sealed_before)
    assert before.code == 2
    assert "the run went on after it had this digest" in before.out
    again = auditor("resume")
    assert again.code == 1
    assert "could go on" in again.err + again.out


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("evidence", ["violations", "digest"])
def test_a_run_that_was_killed_goes_on_with_its_pages_though_none_are_to_stay(
    evidence: str, auditor: Run, tmp_path, monkeypatch
):
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with tenant(monkeypatch, "small-pages=20") as running:
        with monkeypatch.context() as patch:
            patch.setattr("auditor.app.run.finish", killed)
            auditor(*words("--evidence", evidence, "--max-requests", "6"))
        assert list(folder(tmp_path).glob("pages/*/*"))
        gone_on = auditor("resume", "--rate", "activities=0", "--json")
        sent = [str(request.query) for request in running.requests if "as/token" not in request.path]
    assert gone_on.code == 2
    assert len(sent) == len(set(sent)) > 6
    assert "run.asks-again" not in gone_on.out
    assert not list(folder(tmp_path).glob("pages/*"))
    assert auditor("verify").code == 0


@pytest.mark.usefixtures("policy")
def test_a_run_that_ended_with_digests_alone_says_that_it_asks_again_before_it_does(
    auditor: Run, monkeypatch
):
    with tenant(monkeypatch, "small-pages=20"):
        auditor(*words("--evidence", "digest", "--max-requests", "6"))
        gone_on = auditor("resume", "--rate", "activities=0", "--json")
    assert gone_on.code == 2
    said, first_end = (gone_on.err.index(text) for text in ("digests were kept", "complete ("))
    assert said < first_end
    assert "run.asks-again" in gone_on.out


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    ("begun", "later", "code"),
    [
        ([], [], 2),
        (["--soft-fail"], [], 0),
        (["--fail-on", "critical"], [], 0),
        (["--fail-on", "critical"], ["--fail-on", "low"], 2),
    ],
    ids=lambda how: " ".join(how) or "as it is" if isinstance(how, list) else None,
)
def test_a_run_counts_as_what_it_was_begun_to_when_it_goes_on_or_is_judged_again(
    begun: list[str], later: list[str], code: int, auditor: Run, monkeypatch
):
    with tenant(monkeypatch, "small-pages=20"):
        auditor(*words("--max-requests", "6", *begun))
        assert auditor("resume", "--rate", "activities=0", *later).code == code
    assert auditor("replay", *later).code == code


@pytest.mark.usefixtures("policy")
def test_a_run_is_judged_again_with_its_baseline_and_its_engine(auditor: Run, tmp_path, monkeypatch):
    engines = []

    class Recording(Audit):
        def __init__(self, *of: Any, **how: Any) -> None:
            engines.append(how["engine"])
            super().__init__(*of, **how)

    with tenant(monkeypatch):
        first = auditor(*words("--json"))
        assert auditor(*words("--baseline", "latest", "--engine", "reference")).code == 0
    monkeypatch.setattr("auditor.app.replaying.Audit", Recording)
    again = auditor("replay", "--json")
    assert (again.code, "replay.differs" in again.out, engines) == (0, False, ["reference"])
    shutil.rmtree(tmp_path / ".auditor" / "runs" / json.loads(first.out)["run_id"])
    without = auditor("replay", "--json")
    assert (without.code, "run.unreadable" in without.out) == (2, True), (
        "all counts as new, and it is said why"
    )


@pytest.mark.usefixtures("policy")
def test_a_refusal_is_asked_again_when_the_run_goes_on(auditor: Run, monkeypatch):
    with tenant(monkeypatch, "403@activitiesx1"):
        refused = auditor(*words("--json"))
        assert {outcome["code"] for outcome in json.loads(refused.out)["verdicts"]} >= {"query.forbidden"}
        gone_on = auditor("resume", "--rate", "activities=0", "--json")
    assert gone_on.code == 2
    assert auditor("replay", "--json").code == 2


@pytest.mark.usefixtures("policy")
def test_where_the_server_forgot_the_place_the_part_is_read_from_its_beginning(
    auditor: Run,
    monkeypatch,
    tmp_path,
):
    read = Cursors.read
    forgotten: list[str] = []

    def forgetful(self: Cursors, cursor: str, path: str) -> Any:
        if not forgotten:
            forgotten.append(cursor)
            raise refusal.invalid_value("cursor", "The cursor can not be read.")
        return read(self, cursor, path)

    with tenant(monkeypatch, "small-pages=20"):
        whole = auditor(*words("--json"))
        shutil.rmtree(tmp_path / ".auditor")
        as_of = json.loads(whole.out)["as_of"]
        auditor(*words("--as-of", as_of, "--max-requests", "8"))
        monkeypatch.setattr(Cursors, "read", forgetful)
        gone_on = auditor("resume", "--rate", "activities=0", "--json")
    assert forgotten
    assert journal(folder(tmp_path), "restart")
    assert gone_on.code == 2
    assert essence(gone_on.out) == essence(whole.out)
    assert essence(auditor("replay", "--json").out) == essence(whole.out)


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    ("number", "on_ctrl_c"),
    [
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_IGN),
    ],
    ids=["ctrl-c", "a job is cancelled", "a job is cancelled in the background of a shell"],
)
def test_an_interrupted_run_says_so_and_goes_on(
    number: int, on_ctrl_c: Any, auditor: Run, tmp_path, monkeypatch
):
    sent = Session.send

    async def interrupting(self: Session, request: Any, **more: Any) -> Any:
        if "cursor" in request.url:
            signal.raise_signal(number)
        return await sent(self, request, **more)

    with tenant(monkeypatch, "small-pages=50"):
        before = signal.signal(signal.SIGINT, on_ctrl_c)
        try:
            with monkeypatch.context() as patched:
                patched.setattr(Session, "send", interrupting)
                ran = auditor(*words("--report", "json=partial.json"))
        finally:
            signal.signal(signal.SIGINT, before)
        assert ran.code == 130
        run = folder(tmp_path)
        assert f"interrupted. Go on with it: auditor resume {run.name}" in ran.err
        partial = json.loads((tmp_path / "partial.json").read_text("utf-8"))
        assert "evidence.interrupted" in {verdict["code"] for verdict in partial["verdicts"]}
        assert auditor("resume", run.name, "--rate", "activities=0").code == 2


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(("place", "help"), [("plan", "auditor check"), ("finish", "auditor resume")])
def test_whenever_a_run_is_interrupted_its_reports_say_so(
    place: str, help: str, auditor: Run, tmp_path, monkeypatch
):
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(f"auditor.app.run.{place}", interrupted)
        ran = auditor(*words("--simulate"))
    assert ran.code == 130
    assert help in ran.err
    xml = (tmp_path / ".auditor" / "latest" / "junit.xml").read_text("utf-8")
    assert "evidence.interrupted" in xml
    assert 'errors="0"' not in xml


@pytest.mark.usefixtures("policy")
def test_a_run_that_was_interrupted_before_its_probe_proves_nothing_and_goes_on(
    auditor: Run, tmp_path, monkeypatch
):
    """Whether the log is silent was still to be asked: that nothing was found is no pass, then or later."""
    nothing = POLICY[: POLICY.index("  counts:")].replace('ew "DELETED"', 'eq "ENVIRONMENT.DELETED"')
    (tmp_path / "policy.yaml").write_text(nothing, "utf-8")
    sent = Session.send

    async def interrupting(self: Session, request: Any, **more: Any) -> Any:
        if "limit=1&" in f"{request.url}&":
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(1)
        return await sent(self, request, **more)

    with tenant(monkeypatch, events=0):
        with monkeypatch.context() as patched:
            patched.setattr(Session, "send", interrupting)
            ran = auditor(*words("--json"))
        gone_on = auditor("resume", "--json")
    for told, reason in ((ran, "interrupted"), (gone_on, "not a single record")):
        verdicts = json.loads(told.out)["verdicts"]
        assert {verdict["code"] for verdict in verdicts} == {"evidence.silent"}
        assert all(reason in verdict["reason"] for verdict in verdicts)
    assert (ran.code, gone_on.code) == (130, 1)


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("name", ["journal.ndjson", "plan.json", "program.json", "run.json"])
def test_a_run_that_was_changed_after_it_ended_does_not_go_on(name: str, auditor: Run, tmp_path, monkeypatch):
    with tenant(monkeypatch, "small-pages=50") as running:
        auditor(*words("--max-requests", "2"))
        path = folder(tmp_path) / name
        path.write_bytes(path.read_bytes().replace(b"policy", b"police") + b"\n")
        running.requests.clear()
        ran = auditor("resume")
        assert not running.requests
    assert ran.code == 1
    assert "run.changed" in ran.out
    assert f"{name}: changed" in ran.out


def test_of_two_environments_only_the_one_that_failed_is_asked_when_the_run_goes_on(
    auditor: Run, policy, monkeypatch
):
    with tenant(monkeypatch) as running:
        environment = (
            f"    id: ${{env.PINGONE_ENVIRONMENT_ID}}\n    api_url: {running.api_url}\n"
            f"    auth_url: {running.auth_url}\n"
        )
        (policy / "auditor.yaml").write_text(
            "version: 1\npolicies: [policy.yaml]\nenvironments:\n"
            f"  one:\n{environment}  two:\n{environment}    credentials:\n      client_secret: ${{env.SECOND}}\n",
            "utf-8",
        )
        both = ("--environment", "one", "--environment", "two", "--rate", "activities=0", "--json")
        monkeypatch.setenv("SECOND", "wrong")
        failed = json.loads(auditor("check", *both).out)
        assert failed["verdicts"], failed["problems"]
        asked = len([one for one in running.requests if "as/token" not in one.path])
        running.requests.clear()
        monkeypatch.setenv("SECOND", os.environ["PINGONE_CLIENT_SECRET"])
        gone_on = json.loads(auditor("resume", "--rate", "activities=0", "--json").out)
        again = len([one for one in running.requests if "as/token" not in one.path])
    before = {verdict["name"]: verdict["status"] for verdict in failed["verdicts"]}
    after = {verdict["name"]: verdict["status"] for verdict in gone_on["verdicts"]}
    assert {status for name, status in before.items() if name.startswith("two/")} == {"error"}
    assert {name for name, status in after.items() if status == "error"} == set()
    assert {name: after[name] for name in before if name.startswith("one/")} == {
        name: status for name, status in before.items() if name.startswith("one/")
    }
    assert asked == again > 0


@pytest.mark.usefixtures("policy")
def test_a_run_goes_on_to_judge_as_it_was_begun_to(auditor: Run, tmp_path, monkeypatch):
    with tenant(monkeypatch):
        auditor(*words())
        begun = ("--baseline", "latest", "--no-waivers", "--strict-waivers", "--engine", "reference")
        assert auditor(*words("--max-requests", "1", *begun)).code == 1
        itself = auditor("resume", "--baseline", "latest")
        gone_on = auditor("resume", "--rate", "activities=0", "--json")
    assert (itself.code, "option.bad-value" in itself.out) == (1, True)
    assert gone_on.code == 0, "the baseline is the run before, not the latest"
    whole, later = sorted((tmp_path / ".auditor" / "runs").iterdir())
    record = opened(later).record
    assert record.inputs["baseline"] == whole.name
    assert json.loads(gone_on.out)["run_id"] == later.name


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    "given",
    [
        ["policy.yaml"],
        ["--evidence", "digest"],
        ["--simulate"],
        ["--no-merge"],
        ["--pushdown", "documented"],
        ["--check", "somebody"],
        ["--environment", "default"],
        ["--engine", "compiled"],
    ],
    ids=" ".join,
)
def test_what_a_run_was_begun_with_is_refused_when_it_goes_on(given: list[str], auditor: Run):
    ran = auditor("check", *given, "--resume")
    assert ran.code == 1
    assert f"leave out {given[0]}" in ran.err.replace('"', "")


@pytest.mark.usefixtures("policy")
def test_two_can_not_go_on_with_one_run_at_once(auditor: Run, tmp_path, monkeypatch):
    with tenant(monkeypatch):
        auditor(*words("--max-requests", "1"))
        with opened(folder(tmp_path)).locked():
            ran = auditor("resume")
    assert ran.code == 1
    assert "run.locked" in ran.out
    assert "0 requests" in ran.out


@pytest.mark.usefixtures("policy")
def test_a_full_disk_loses_nothing(auditor: Run, tmp_path, monkeypatch):
    write, room = runs.write_whole, [3]

    def until_full(*of: Any, **more: Any) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(28, os.strerror(28))
        write(*of, **more)

    with tenant(monkeypatch, "small-pages=50"):
        with monkeypatch.context() as patched:
            patched.setattr("auditor.runs.archive.write_whole", until_full)
            ran = auditor(*words("--json"))
        assert ran.code == 1
        codes = {verdict["code"] for verdict in json.loads(ran.out)["verdicts"]}
        assert "evidence.not-kept" in codes
        assert "No space left on device" in ran.out
        assert len(list(folder(tmp_path).rglob("*.zst"))) - 1 == len(journal(folder(tmp_path), "answer"))
        assert auditor("resume", "--rate", "activities=0").code == 2
    assert auditor("replay").code == 2


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("torn", [b"", b'{"what":"ans', b'{"what":"answer"}\n', b"\x00\xff\n", b"[]\n"])
def test_a_journal_that_was_cut_short_is_read_as_far_as_it_goes(
    torn: bytes, auditor: Run, tmp_path, monkeypatch
):
    with tenant(monkeypatch, "small-pages=50"):
        auditor(*words("--max-requests", "5"))
        run = folder(tmp_path)
        (run / "manifest.json").unlink()
        with (run / "journal.ndjson").open("ab") as file:
            file.write(torn)
        assert auditor("resume", "--rate", "activities=0").code == 2
    assert auditor("replay").code == 2


@pytest.mark.usefixtures("policy")
def test_a_damaged_page_is_asked_for_again(auditor: Run, tmp_path, monkeypatch):
    with tenant(monkeypatch, "small-pages=20"):
        auditor(*words("--max-requests", "5"))
        page = next(folder(tmp_path).glob("pages/*activities*/*"))
        page.write_bytes(page.read_bytes()[:-9])
        assert auditor("resume", "--rate", "activities=0").code == 2
    assert auditor("replay").code == 2


def test_a_run_of_other_policies_does_not_go_on(auditor: Run, policy, monkeypatch):
    with tenant(monkeypatch):
        auditor(*words("--max-requests", "1"))
        (policy / "policy.yaml").write_text(POLICY.replace("`5`", "`6`"), "utf-8")
        ran = auditor("resume")
    assert ran.code == 1
    assert "plan.changed" in ran.out
    assert "start another run: auditor check" in " ".join(ran.out.split())


@pytest.mark.usefixtures("policy")
def test_a_run_does_not_go_on_over_what_has_aged_out_since(auditor: Run, monkeypatch):
    with tenant(monkeypatch, "small-pages=20"):
        auditor(*words("--max-requests", "5"))
        tomorrow = lambda: datetime.now(UTC) + timedelta(days=1)  # noqa: E731, TID251  # the tenant lives now
        monkeypatch.setattr("auditor.app.simulation.wall_clock", tomorrow)
        late = auditor("resume", "--json")
    assert late.code == 1
    codes = {verdict["name"]: verdict["code"] for verdict in json.loads(late.out)["verdicts"]}
    assert codes["default/mine/somebody"] == "evidence.not-covered"


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    "ended", [True, False], ids=["whose queries had ended", "whose queries had not ended"]
)
def test_what_was_read_in_time_counts_however_late_the_run_goes_on(
    ended: bool,  # noqa: FBT001
    auditor: Run,
    tmp_path,
    monkeypatch,
):
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with tenant(monkeypatch, "small-pages=20") as running:
        with monkeypatch.context() as patch:
            patch.setattr("auditor.app.run.finish", killed)
            auditor(*words())
        path = folder(tmp_path) / "journal.ndjson"
        lines = path.read_text("utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if ended or '"what":"end"' not in line), "utf-8")
        assert len(journal(folder(tmp_path), "end")) == (2 if ended else 0)
        running.requests.clear()
        later = lambda: datetime.now(UTC) + timedelta(days=20)  # noqa: E731, TID251  # the tenant lives now
        monkeypatch.setattr("auditor.app.simulation.wall_clock", later)
        gone_on = auditor("resume", "--json")
    assert (gone_on.code, running.requests) == (2, [])
    assert ("after it had aged out" in gone_on.out) is not ended
    assert auditor("replay").code == 2


KILLS = """\
import contextlib, io, json, os, signal, sys, time
from auditor import cli

def begin(words, out=os.devnull):
    pid = os.fork()
    if not pid:
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        code = cli.run(words)
        sys.stdout.flush()
        os._exit(code)
    return pid

def end(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

words, points = map(json.loads, sys.argv[1:])
os.environ["AUDITOR_DATA_DIR"] = "warm"
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    cli.run(words)  # all that is imported late is there
began = time.monotonic()
end(begin(words, "whole.json"))
took = time.monotonic() - began
for number, point in enumerate(points):
    folder = os.environ["AUDITOR_DATA_DIR"] = f"killed-{number}"
    pid = begin(words)
    time.sleep(took * point)
    os.kill(pid, signal.SIGKILL)
    end(pid)
    names = [name for _, _, files in os.walk(folder) for name in files]
    how = ["report", "--json"] if "report.json" in names and "manifest.sha256" in names else words
    if how is words and "program.json" in names:
        how = ["resume", "--rate", "activities=0", "--json"]
    pages = sum(name.endswith(".json.zst") for name in names)
    code = end(begin(how, f"after-{number}.json"))
    print(json.dumps({"at": point, "pages": pages, "how": how[0], "code": code}), flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_a_run_goes_on_to_the_same_verdicts(policy, monkeypatch):
    seed = random.randrange(1 << 30)  # noqa: S311
    points = [random.Random(f"{seed}-{number}").random() for number in range(20)]  # noqa: S311
    with tenant(monkeypatch, "small-pages=40", "slow=0.02"):
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251  # the tenant lives now
        command = words("--as-of", now, "--json")
        driver = subprocess.run(
            [sys.executable, "-c", KILLS, json.dumps(command), json.dumps(points)],
            cwd=policy, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
    told = [json.loads(line) for line in driver.stdout.splitlines()]
    assert len(told) == 20, driver.stderr
    assert all(one["code"] == (0 if one["how"] == "report" else 2) for one in told), (seed, told)
    assert sum(one["how"] == "resume" for one in told) >= 5, (seed, told)
    whole = essence((policy / "whole.json").read_text("utf-8"))
    for number in range(20):
        after = (policy / f"after-{number}.json").read_text("utf-8")
        assert essence(after) == whole, (seed, told[number])


# Judging again


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    "faults",
    [
        "",
        "small-pages=20",
        "repeat small-pages=20",
        "disorder",
        "429x3",
        "503@activities",
        "types",
        "outside",
        "refuse-filter=action.type",
    ],
)
def test_judged_again_every_verdict_is_the_same(faults: str, auditor: Run, monkeypatch):
    with tenant(monkeypatch, *faults.split()), stamina.set_testing(True, attempts=2):
        live = auditor(*words("--json"))
    for name in ("API_URL", "AUTH_URL", "ENVIRONMENT_ID", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.delenv(f"PINGONE_{name}")
    again = auditor("replay", "--json")
    assert again.code == live.code
    assert json.loads(again.out) == json.loads(live.out)


@pytest.mark.usefixtures("policy")
def test_a_report_can_be_shown_again_in_any_format(auditor: Run, tmp_path):
    live = auditor(*words("--simulate", "--json", "--report", "junit=first.xml"))
    again = auditor("report", folder(tmp_path).name, "--json", "--report", "junit=second.xml")
    assert again.code == 0
    assert json.loads(again.out) == json.loads(live.out)
    assert (tmp_path / "first.xml").read_bytes() == (tmp_path / "second.xml").read_bytes()


# Verifying


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run."""
    from auditor import cli

    base = tmp_path_factory.mktemp("sealed")
    (base / "policy.yaml").write_text(POLICY, "utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(base)
        patched.setenv("AUDITOR_DATA_DIR", str(base / ".auditor"))
        cli.run(words("--simulate", "--quiet"))
    return folder(base)


@contextmanager
def changed(path: Path, content: bytes | None) -> Iterator[None]:
    """Change a file, or take it away, while the block runs."""
    before = path.read_bytes() if path.exists() else None
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


@settings(
    max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_changed_byte_is_found(sealed: Path, data: st.DataObject):
    files = sorted(path for path in sealed.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    content = path.read_bytes()
    position = data.draw(st.integers(0, len(content) - 1))
    other = data.draw(st.integers(1, 255))
    flipped = content[:position] + bytes([content[position] ^ other]) + content[position + 1 :]
    what = data.draw(st.sampled_from([flipped, content[:position], content + b"\n", None]))
    with changed(path, what):
        assert runs.verify(sealed)
    assert not runs.verify(sealed)


@pytest.mark.parametrize("name", ["more.json", "pages/more.zst", ".hidden", "pages/sub/more"])
def test_a_file_that_was_added_is_found(sealed: Path, name: str):
    path = sealed / name
    path.parent.mkdir(exist_ok=True)
    with changed(path, b"{}"):
        (difference,) = runs.verify(sealed)
    assert (difference.file, difference.what) == (name, "added")


def test_a_run_that_was_sealed_again_is_not_the_one_of_the_report(sealed: Path, auditor: Run, monkeypatch):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(sealed.parents[1]))
    run = opened(sealed)
    root = run.root_digest
    with (
        changed(sealed / "report.json", b"{}"),
        changed(sealed / "manifest.json", b""),
        changed(sealed / "manifest.sha256", b""),
    ):
        run.unseal()
        run.seal()
        assert not runs.verify(sealed)
        ran = auditor("verify", sealed.name, "--digest", root)
    assert ran.code == 2
    assert "manifest.json: changed" in ran.out
    assert auditor("verify", sealed.name, "--digest", root, "--json").code == 0


HOSTILE: Mapping[str, Any] = {
    "climbs": {"../../outside": {"bytes": 1, "sha256": "0" * 64}},
    "absolute": {"/etc/passwd": {"bytes": 1, "sha256": "0" * 64}},
    "no mapping": [],
    "no digest": {"run.json": {}},
    "no number": {"run.json": {"bytes": "many", "sha256": ""}},
}


@pytest.mark.parametrize("files", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_manifest_is_a_difference_and_no_crash(sealed: Path, files: Any):
    manifest = json.dumps({"format_version": "1.0", "files": files}).encode()
    with changed(sealed / "manifest.json", manifest):
        told = " ".join(map(str, runs.verify(sealed)))
    assert "manifest.sha256: changed" in told
    assert "outside" in told or "manifest.json: unreadable" in told


def test_a_page_that_blows_up_is_refused(sealed: Path, tmp_path, auditor: Run):
    copy = tmp_path / "copy"
    shutil.copytree(sealed, copy)
    page = next(copy.rglob("*.json.zst"))
    page.write_bytes(zstandard.ZstdCompressor().compress(bytes(200 * 1024 * 1024)))
    run = opened(copy)
    run.unseal()
    run.seal()
    ran = auditor("replay", str(copy))
    assert ran.code == 1
    assert "evidence.changed" in ran.out
    assert "67,108,864" in ran.out


DAMAGED: Mapping[str, tuple[str, bytes]] = {
    "nested": ("run.json", b"[" * 100_000),
    "no report": ("report.json", b""),
    "no program": ("program.json", b"null"),
    "no journal": ("journal.ndjson", b"null\n"),
    "no violations": ("violations.ndjson.zst", b"x" * 100),
    "endless line": ("violations.ndjson.zst", zstandard.compress(bytes(80 * 1024 * 1024))),
    "no page": ("page", b"x" * 100),
}


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_run_that_somebody_damaged_and_sealed_again_is_a_mistake_and_no_crash(
    damaged: str, sealed: Path, tmp_path: Path, auditor: Run
):
    name, content = DAMAGED[damaged]
    copy = tmp_path / "copy"
    shutil.copytree(sealed, copy)
    run = opened(copy)
    path = next(copy.rglob("*.json.zst")) if name == "page" else copy / name
    path.write_bytes(content)
    run.seal()
    commands: list[tuple[str, ...]] = [
        ("report", str(copy)), ("replay", str(copy)), ("diff", str(copy), str(copy)),
        ("export", str(copy), "--check", "somebody", "--population"),
        ("export", str(copy), "--redact", "actors.user.name", "--out", str(tmp_path / "shared")),
    ]  # fmt: skip
    ended = [auditor(*words) for words in commands]
    assert not [ran.err for ran in ended if "This is a bug" in ran.err]
    assert ended[-1].code == 1
    assert "auditor verify" in ended[-1].err or "Name a folder" in ended[-1].err
    assert {path.name for path in tmp_path.iterdir()} <= {"copy", "policy.yaml"}


ODD: Mapping[str, tuple[tuple[str | int, ...], Any]] = {
    "a field without a schema": (("kinds", "activities", "item", "properties", "result"), True),
    "a schema elsewhere": (("kinds", "activities", "item", "properties", "id"), {"$ref": "http://127.0.0.1:9/x"}),
    "a record that is no object": (("kinds", "activities", "item", "type"), "string"),
    "an identity that is not there": (("kinds", "activities", "identity"), ["nothing"]),
    "no environments": (("plan", "environments"), []),
    "a check of another name": (("checks", 0, "pack"), "other"),
    "no queries of a check": (("checks", 0, "queries"), {}),
    "an expression that is none": (("checks", 0, "bind"), {"x": "("}),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_a_program_that_somebody_changed_is_a_mistake_and_no_crash(
    odd: str, sealed: Path, tmp_path: Path, auditor: Run
):
    route, value = ODD[odd]
    copy = tmp_path / "copy"
    shutil.copytree(sealed, copy)
    document = part = json.loads((copy / "program.json").read_text("utf-8"))
    for step in route[:-1]:
        part = part[step]
    part[route[-1]] = value
    (copy / "program.json").write_text(json.dumps(document), "utf-8")
    opened(copy).seal()
    commands: list[tuple[str, ...]] = [
        ("replay", str(copy)),
        ("export", str(copy), "--redact", "actors.user.name", "--out", str(tmp_path / "shared")),
    ]
    ended = [auditor(*words) for words in commands]
    assert not [ran.err for ran in ended if "Traceback" in ran.err]
    assert ended[0].code != 0
    assert re.search(r"run.unreadable|replay\.|evidence\.|internal.error", ended[0].out + ended[0].err)


def test_nothing_is_written_or_taken_away_through_a_link_in_a_run(sealed: Path, tmp_path: Path, auditor: Run):
    copy, elsewhere = tmp_path / "copy", tmp_path / "elsewhere"
    shutil.copytree(sealed, copy)
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine", "utf-8")
    (copy / "attestations").symlink_to(elsewhere)
    (copy / "manifest.json").unlink()
    ran = auditor("resume", str(copy))
    assert ran.code == 1
    assert "attestations in it leads elsewhere" in " ".join(ran.out.split())
    assert (elsewhere / "mine").exists()


def test_the_name_of_a_run_does_not_write_to_the_terminal(sealed: Path, tmp_path: Path, auditor: Run):
    copy = tmp_path / "copy"
    shutil.copytree(sealed, copy)
    record = json.loads((copy / "run.json").read_text("utf-8"))
    (copy / "run.json").write_text(json.dumps({**record, "run_id": "\x1b]0;x\x07"}), "utf-8")
    for command in ("verify", "report", "replay"):
        ran = auditor(command, str(copy))
        assert ran.code == 1
        assert "\x1b" not in ran.out + ran.err


# Secrets


@pytest.mark.usefixtures("policy")
def test_no_secret_is_in_what_a_run_leaves(auditor: Run, tmp_path, monkeypatch):
    with tenant(monkeypatch, client_secret=CANARY):
        auditor(*words("--log-level", "debug"))
    found = "".join(written(path) for path in folder(tmp_path).rglob("*"))
    assert "_embedded" in found
    assert CANARY not in found
    assert "Bearer" not in found


@pytest.mark.usefixtures("policy")
def test_a_run_of_given_records_is_never_resumed_over_its_own_evidence(auditor: Run, tmp_path):
    event = {"id": "1", "recordedAt": "2026-11-02T00:00:00Z", "action": {"type": "USER.CREATED"}}
    (tmp_path / "events.json").write_text(json.dumps([event]), "utf-8")
    auditor("check", "policy.yaml", "--records", "activities=events.json")
    run = folder(tmp_path)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    for named in ((), (run.name,)):
        ran = auditor("resume", *named)
        assert (ran.code, "[run." in ran.err + ran.out) == (1, True)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
