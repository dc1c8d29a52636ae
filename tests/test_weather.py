"""A run under any weather: the same verdicts, or an error that names the cause and loses no other check."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import stamina
from ruamel.yaml import YAML

from auditor import cli
from auditor.app.clock import wall_clock
from auditor.config import shipped_kinds
from auditor.simulator import Fault, Settings, World, create_app, serve
from tests.support import ROOT

(SURVIVED,), (REFUSED,) = (
    list(part.values())
    for part in YAML(typ="safe").load((ROOT / "tests" / "spec" / "weather.yaml").read_text("utf-8"))
)
POLICY = """\
version: 1
pack: {id: pack}
checks:
  activities: {title: Log, query: {resource: activities, window: hot}, expect: {every: "result.status != 'FAILED'"}}
  users: {title: Users, query: {resource: users}, expect: {every: enabled}}
  keys: {title: Keys, query: {resource: keys}, expect: some}
"""


@pytest.fixture(autouse=True)
def _in_a_hurry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Wait neither for turns nor between tries."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("auditor.fetcher.limits.MARGIN", 0)
    with stamina.set_testing(True, attempts=4):
        yield


def verdicts(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Run the three checks; return what was found by each."""
    cli.run(["check", "policy.yaml", "--json", "--quiet"])
    report = json.loads(capsys.readouterr().out)
    told = ("status", "code", "population", "exceptions", "reason", "help")
    return {verdict["check"]: {name: verdict[name] for name in told} for verdict in report["verdicts"]}


@contextmanager
def tenant(monkeypatch: pytest.MonkeyPatch, *faults: str) -> Iterator[None]:
    """A simulated tenant to which the environment variables lead; it lives now, and is made once."""
    settings = Settings(faults=tuple(map(Fault.parse, faults)))
    with serve(create_app(world(), shipped_kinds(), settings, wall_clock)) as running:
        lead_to(running.api_url, running.auth_url, monkeypatch)
        yield


def lead_to(api_url: str, auth_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINGONE_API_URL", api_url)
    monkeypatch.setenv("PINGONE_AUTH_URL", auth_url)
    monkeypatch.setenv("PINGONE_ENVIRONMENT_ID", world().environment_id)
    monkeypatch.setenv("PINGONE_CLIENT_ID", Settings().client_id)
    monkeypatch.setenv("PINGONE_CLIENT_SECRET", Settings().client_secret)


@cache
def world() -> World:
    return World.generate(seed=1, events=300, now=wall_clock())


@pytest.fixture
def well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What is found where there is no fault."""
    if not WELL:
        with tenant(monkeypatch):
            WELL.update(counted(verdicts(capsys)))
    assert {name: status for name, (status, _) in WELL.items()} == {
        "activities": "fail",
        "users": "fail",
        "keys": "pass",
    }
    return dict(WELL)


WELL: dict[str, Any] = {}


@pytest.mark.parametrize("fault", SURVIVED)
def test_a_fault_that_is_survived_leaves_every_verdict_as_it_is(
    fault: str, well: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with tenant(monkeypatch, fault):
        found = verdicts(capsys)
    assert counted(found) == well, found


def counted(found: dict[str, Any]) -> dict[str, Any]:
    """Leave out what time alone may change: the tenant lives now."""
    return {name: (verdict["status"], verdict["code"]) for name, verdict in found.items()}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["fault"])
def test_a_fault_that_is_refused_names_the_cause_and_loses_no_other_check(
    case: dict[str, str],
    well: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    with tenant(monkeypatch, case["fault"]):
        found = verdicts(capsys)
    struck = "users" if "@/users" in case["fault"] else "activities"
    lost = found.pop(struck)
    assert (lost["status"], lost["code"]) == ("error", case["code"]), lost
    assert case["says"] in f"{lost['reason']} {lost['help']}"
    well.pop(struck)
    assert counted(found) == well


def test_a_server_that_is_not_there_yet_is_waited_for(
    well: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Its connections are refused until it was tried once."""
    with serve(create_app(world(), shipped_kinds(), Settings(), wall_clock)) as running, ExitStack() as stack:
        there = urlsplit(running.api_url)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        lead_to(f"http://127.0.0.1:{port}/v1", running.auth_url, monkeypatch)
        refused: list[object] = []

        def open_late(*told: object) -> None:
            if not refused:
                stack.enter_context(forwarding(port, str(there.hostname), int(there.port or 0)))
            refused.append(told)

        monkeypatch.setattr("auditor.fetcher.session._log.info", open_late)
        found = verdicts(capsys)
    assert refused
    assert counted(found) == well


@contextmanager
def forwarding(port: int, host: str, there: int) -> Iterator[None]:
    """Let connections to a port go to another one while the block runs."""
    listener = socket.create_server(("127.0.0.1", port))
    opened = [listener]

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(65_536):
                target.sendall(block)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((host, there))
                opened.extend((near, far))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=copy, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        for one in opened:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.mark.parametrize("command", [("check",), ("plan", "--probe"), ("doctor",)], ids=" ".join)
def test_every_read_carries_the_id_of_its_run(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """PingOne's audit events repeat it, so that the auditor's own footprint can be told from others'."""
    with serve(create_app(world(), shipped_kinds(), Settings(), wall_clock)) as running:
        lead_to(running.api_url, running.auth_url, monkeypatch)
        cli.run([*command, "policy.yaml", "--json"])
    report = json.loads(capsys.readouterr().out)
    reads = [seen for seen in running.requests if seen.method == "GET"]
    (run_id,) = {seen.headers["x-ping-external-transaction-id"] for seen in reads}
    assert re.fullmatch(r"[0-9]{8}T[0-9]{6,9}Z-[0-9a-f]{8}", run_id)
    assert report.get("run_id", run_id) == run_id
