"""The benchmarks run and compare like with like; how long things take is never tested."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from auditor import app
from benchmarks import checks, corpus, engines, measure, pack, startup, validate
from tests.support import ROOT


def test_the_generated_policies_are_valid_and_no_two_alike(tmp_path):
    validate.write(tmp_path, 30)
    texts = {path.read_text("utf-8") for path in tmp_path.iterdir()}
    assert len(texts) == 30
    checked = app.validate(app.Job(folder=tmp_path, environ={}, paths=(".",)))
    assert checked.diagnostics == ()
    assert checked.value
    assert len(checked.value.program.checks) == 30


def test_the_yardstick_reads_every_policy(tmp_path):
    """A policy that it can not read makes it fail, so none is passed over."""
    validate.write(tmp_path, 3)
    command = [sys.executable, "-c", validate.LOAD, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == 0
    (tmp_path / "policy-0001.yaml").write_text("[")
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0


def test_the_launcher_is_the_program(tmp_path):
    launcher = tmp_path / "auditor"
    launcher.write_text(startup.LAUNCHER, encoding="utf-8")
    command = [sys.executable, str(launcher), "--version"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout.startswith("auditor ")


@pytest.fixture
def thousand_events(tmp_path, monkeypatch):
    if not corpus.is_available():
        pytest.skip(corpus.MISSING)
    monkeypatch.setattr(corpus, "CACHE", tmp_path / "corpora")
    return corpus.Corpus(1_000)


def test_policies_and_plain_jmespath_count_the_same_for_every_generated_check(thousand_events):
    given = checks.make(30, thousand_events)
    events = [json.loads(line) for line in thousand_events.lines.read_bytes().splitlines()]
    counts = [sum(checks.breaks(event, check) for event in events) for check in given]
    assert sum(counts) > 0
    assert max(counts) <= 2
    assert engines.jmespath(thousand_events.folder, given)() == counts
    assert engines.judge(thousand_events.folder, given)() == counts
    assert engines.judge_pages(thousand_events.folder, given)() == counts
    assert engines.auditor(thousand_events.folder, given)() == counts
    assert engines.pages(thousand_events.folder, given)() == counts


def test_generated_checks_survive_their_way_into_another_process(thousand_events, tmp_path):
    given = checks.make(200, thousand_events)
    checks.dump(given, tmp_path / "checks.json")
    assert checks.load(tmp_path / "checks.json") == given
    assert len(set(given)) > 190


def test_pages_that_must_be_are_counted_by_window_and_resource():
    """Two queries on one window fill its pages together; a window without records still takes a request."""

    def asked(resource: str, window: str, requests: int, records: int) -> dict[str, object]:
        query = {"resource": resource, "window": {"start": window}, "options": {}}
        return {"query": query, "end": {"requests": requests, "records": records}}

    report = {
        "asked": [
            asked("activities", "a", 2, 600),
            asked("activities", "a", 2, 501),
            asked("activities", "b", 1, 0),
            asked("user_activities", "a", 1, 14),
        ]
    }
    assert pack.asked(report) == (6, 3, 3 + 1 + 1)


def test_what_a_process_took_is_what_it_took():
    found = measure.spent([sys.executable, "-c", "print('x' * 10); len(bytes(50_000_000))"])
    assert found.output == b"xxxxxxxxxx\n"
    assert found.peak_mib > 50
    assert 0 < found.cpu_s < found.seconds * 64


def test_a_command_that_fails_is_not_measured():
    with pytest.raises(subprocess.CalledProcessError):
        measure.process([sys.executable, "-c", "raise SystemExit(1)"])()


def test_modules_keep_their_bytecode_while_commands_are_measured(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    measure.process([sys.executable, "-c", "import sys; raise SystemExit(sys.dont_write_bytecode)"])()


def test_calls_are_timed_in_turn_after_one_warm_up():
    called: list[str] = []
    seconds = measure.functions({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, rounds=2)
    assert "".join(called) == "ababab"
    assert {name: len(found) for name, found in seconds.items()} == {"a": 2, "b": 2}


def test_ratios_are_taken_pair_by_pair():
    """The machine is noisy: what was measured in one round is compared with the same round."""
    table = measure.table({"one": [1.0, 2.0, 4.0], "other": [2.0, 4.0, 8.0]}, "one")
    assert table.splitlines()[-1].split()[-4:] == ["2.00", "(2.00", "..", "2.00)"]


def test_the_version_needs_neither_the_command_line_nor_a_library():
    program = (
        "import sys; before = set(sys.modules); sys.argv[1:] = ['--version'];"
        "from auditor.__main__ import main; main();"
        "print(sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert ran.stdout.splitlines()[-1] == "['auditor', 'auditor.__main__']"


def test_what_is_remembered_is_recalled_without_the_libraries_that_validate(tmp_path):
    """Recalling must not import what only validating needs, or it would hardly be quicker."""
    program = (
        "import sys; from pathlib import Path; from auditor.config import Request, recall;"
        f"recall(Request(folder=Path({str(tmp_path)!r}), environ={{'HOME': '/nowhere'}}));"
        "print([name for name in ('pydantic', 'ruamel.yaml', 'httpx', 'rich', 'orjson') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert ran.stdout.strip() == "[]"
