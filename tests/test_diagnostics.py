"""Every code of docs/diagnostics.md, provoked by a command line: it is told, with its exit code and with help."""

from __future__ import annotations

import asyncio
import builtins
import json
import re
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import stamina
from ruamel.yaml import YAML

from auditor import fetcher
from auditor.model.diagnostic import Checked
from auditor.model.instant import format_instant
from tests.support import ROOT
from tests.test_cli import Ran, auditor, tenant  # noqa: F401  # `auditor` is a fixture
from tests.test_fetcher_network import certificate

PAGE = (ROOT / "docs" / "diagnostics.md").read_text("utf-8")
CODES = re.findall(r"^\| `([a-z0-9-]+\.[a-z0-9-]+)` \|", PAGE, re.MULTILINE)

GROUPS = YAML(typ="safe").load((ROOT / "tests" / "spec" / "codes.yaml").read_text("utf-8"))
CASES = [{**group, **case} for group in GROUPS for case in group["cases"]]

RUN = [pytest.param(case, id=f"{number}-{case['code']}") for number, case in enumerate(CASES)]

Run = Callable[..., Ran]


def test_every_code_of_the_page_has_a_case_and_no_case_is_of_another_code():
    assert {case["code"] for case in CASES} == set(CODES)
    assert len(CODES) == len(set(CODES))


@pytest.mark.parametrize("case", RUN)
def test_a_code_is_told_with_what_to_do(
    case: Mapping[str, Any],
    auditor: Run,  # noqa: F811  # the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    write(tmp_path, case)
    monkeypatch.chdir(tmp_path)
    words = case.get("run", ["validate", "policy.yaml"])
    with ExitStack() as stack:
        stack.enter_context(stamina.set_testing(True, attempts=2))  # no waiting
        stack.enter_context(answering(case.get("tenant"), tmp_path, monkeypatch))
        for name, value in case.get("environ", {}).items():
            monkeypatch.setenv(name, value)
        for name, value in case.get("patch", {}).items():
            replace(name, value, monkeypatch)
        for earlier in case.get("before", ()):
            auditor(*earlier)
        for pattern, content in case.get("later", {}).items():
            folder, _, name = pattern.rpartition("/")
            there = list(tmp_path.glob(pattern))
            for path in there or [each / name for each in tmp_path.glob(folder)]:
                write_file(path, content)
        ran = auditor(*words)
        told = told_as_json(auditor(*words, "--json")) if words[0] in {"check", "validate"} else None
    check_text(case, ran)
    if told is not None:
        check_json(case, *told)


MANY = """\
version: 1
pack: {{id: {pack}}}
variables:
  cap: {{type: integr}}
checks:
  second:
    title: A check
    query: {{resource: activities, window: 0d, where: 'actin.type pr'}}
    expect: {{every: lenght(id)}}
  first:
    titel: A check
    query: {{resource: activitis, window: hot}}
    expect: none
  third:
    title: A check
    query: {{resource: activities, window: hot, where: 'tags eq 5 and tags gt true'}}
    expect: {{every: "id == ${{var.cap}}", message: "{{id"}}
"""


def test_all_mistakes_of_a_run_are_told_in_the_order_of_file_and_line(
    auditor: Run,  # noqa: F811  # the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """Whatever stage found them; as text and as JSON, by `validate` and by `check`."""
    monkeypatch.chdir(tmp_path)
    for name in ("b", "a", "c"):
        text = MANY.format(pack=name)
        sound = text.replace("integr}", "integer, default: 1}").replace("titel", "title")
        (tmp_path / f"{name}.yaml").write_text(text if name == "c" else sound, "utf-8")
    words = ("b.yaml", "c.yaml", "a.yaml")
    document = json.loads(auditor("validate", *words, "--json").out)
    told = [(one["range"]["filename"], one["range"]["start"]["line"]) for one in document["diagnostics"]]
    assert told == sorted(told)
    assert {file for file, _ in told} == {"a.yaml", "b.yaml", "c.yaml"}
    assert document["error_count"] == len(told) > 15
    codes = [one["code"] for one in document["diagnostics"]]
    assert re.findall(r"^Error: .* \[(.+)\]$", auditor("validate", *words).err, re.MULTILINE) == codes
    problems = json.loads(auditor("check", *words, "--simulate", "--json").out)["problems"]
    assert [problem["code"] for problem in problems] == codes


def check_text(case: Mapping[str, Any], ran: Ran) -> None:
    """Check what people read."""
    said = " ".join((ran.out + ran.err).split())
    assert ran.code == case.get("exit", 1), said
    if case["code"] not in {"policy.holds", "policy.no-occurrences"}:  # of a pass, no code is shown
        assert f"[{case['code']}]" in said
    if case.get("help") is not False:
        assert "help" in said.casefold()
        assert case.get("help", "") in said
    assert "Traceback" not in said
    assert "canary" not in said


def told_as_json(ran: Ran) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code of a run with `--json` and everything with a code in its document."""
    document = json.loads(ran.out)
    verdicts = document.get("verdicts", [])
    outcomes = [outcome for verdict in verdicts for outcome in verdict["outcomes"]]
    assert "canary" not in ran.out
    return ran.code, [*document.get("diagnostics", document.get("problems")), *verdicts, *outcomes]


def check_json(case: Mapping[str, Any], code: int, told: list[dict[str, Any]]) -> None:
    """Check what programs read."""
    assert code == case.get("exit", 1)
    assert {one["code"] for one in told} == {case["code"], *case.get("also", [])}
    if case.get("help") is not False:
        helps = [one["help"] for one in told if one["code"] == case["code"]]
        assert any(help_ and case.get("help", "") in help_ for help_ in helps), helps


# --- what is written ---------------------------------------------------------------------------------


def write(folder: Path, case: Mapping[str, Any]) -> None:
    """Write the files of a case."""
    query = {"resource": "activities", "window": "1d", **case.get("query", {})}
    check = {
        "title": "A check",
        "query": {key: value for key, value in query.items() if value is not None},
        "expect": case.get("expect", "none"),
        **case.get("check", {}),
    }
    policy = {
        "version": 1,
        "pack": {"id": "pack"},
        "variables": case.get("variables", {}),
        "checks": {"check": check},
    }
    (folder / "policy.yaml").write_text(
        case.get("policy", json.dumps(policy, default=str, indent=1)), "utf-8"
    )
    if "project" in case:
        (folder / "auditor.yaml").write_text(case["project"], "utf-8")
    if "records" in case:
        events = [{**event(), **changes} for changes in case["records"]]
        (folder / "events.json").write_text(json.dumps(events), "utf-8")
    for name, content in case.get("files", {}).items():
        write_file(folder / name, content)


def write_file(path: Path, content: Any) -> None:
    """Write one file as the table says it."""
    match content:
        case str(text):
            path.write_text(text, "utf-8")
        case bytes():
            path.write_bytes(content)
        case int(size):
            with path.open("wb") as stream:
                stream.truncate(size)
        case {"folder": True}:
            path.mkdir()
        case {"named": name}:
            path.rename(path.parent / name)
        case {"folder": False}:
            path.unlink()
        case {"link": target}:
            path.symlink_to(target)
        case {"kind": kind, **more}:
            shipped = ROOT / "schemas" / "resources" / f"{kind}.yaml"
            changed = YAML(typ="safe").load(shipped.read_text("utf-8")) | more.get("change", {})
            kept = {key: value for key, value in changed.items() if value is not None}
            path.write_text(json.dumps(kept, default=str), "utf-8")


def event() -> dict[str, Any]:
    """Return an event of an hour ago."""
    at = datetime.now(UTC) - timedelta(hours=1)  # noqa: TID251  # windows count from now
    return {"id": "event", "recordedAt": format_instant(at), "action": {"type": "USER.CREATED"}}


# --- what answers ------------------------------------------------------------------------------------


@contextmanager
def answering(wanted: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the environment variables lead to a tenant while the block runs."""
    with ExitStack() as stack:
        match wanted:
            case list(faults):
                stack.enter_context(tenant(monkeypatch, *faults))
            case "down":
                with socket.create_server(("127.0.0.1", 0)) as listener:
                    lead_to(f"http://127.0.0.1:{listener.getsockname()[1]}", monkeypatch)
            case "untrusted":
                port = stack.enter_context(untrusted(certificate(folder)))
                lead_to(f"https://127.0.0.1:{port}", monkeypatch)
        yield


def lead_to(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment variables for a tenant at an origin."""
    for name, value in {
        "API_URL": f"{origin}/v1",
        "AUTH_URL": origin,
        "ENVIRONMENT_ID": "abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6",
        "CLIENT_ID": "someone",
        "CLIENT_SECRET": "canary-5f1e",
    }.items():
        monkeypatch.setenv(f"PINGONE_{name}", value)


@contextmanager
def untrusted(context: ssl.SSLContext) -> Iterator[int]:
    """Listen on a port, and shake hands with a certificate that nobody vouches for."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # it was closed
                return
            with connection:
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:  # the client does not go on
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def replace(name: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace a part of the program: a default of the fetcher's settings, a constant, or a function."""
    owner, _, last = name.rpartition(".")
    match value:
        case {"returns": result}:
            monkeypatch.setattr(name, lambda *_, **__: result)
        case {"checked": value}:
            monkeypatch.setattr(name, lambda *_, **__: Checked(value))
        case {"interrupts": True}:

            async def interrupting(*_: Any, **__: Any) -> None:
                signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(60)

            monkeypatch.setattr(name, interrupting)
        case {"raises": text, **more}:
            kind: type[BaseException] = vars(builtins)[str(more.get("kind", "ZeroDivisionError"))]

            def broken(*_: Any, **__: Any) -> None:
                raise kind(text)

            monkeypatch.setattr(name, broken)
        case _ if owner == "auditor.fetcher.Settings":
            monkeypatch.setattr(fetcher, "Settings", partial(fetcher.Settings, **{last: value}))
        case _:
            monkeypatch.setattr(name, value)
