"""Secrets from files and commands that the environment names: fetched late, once, and never shown."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from joserfc.jwk import RSAKey

from auditor import cli
from auditor.fetcher import secrets
from auditor.model.environment import Credentials, SecretSource
from auditor.model.secret import Secret
from tests.pages import (
    CLIENT_SECRET,
    ENVIRONMENT_ID,
    Simulated,
    Tenant,
    answer,
    environment,
    fetching,
    ok,
    page,
    query,
    simulated,
)
from tests.test_config_environments import TERRAFORM
from tests.test_config_environments import environment as loaded_environment
from tests.test_config_project import ID, loaded, policy

FILE, COMMAND = "AUDITOR_PINGONE_CLIENT_SECRET_FILE", "AUDITOR_PINGONE_CLIENT_SECRET_COMMAND"
Way = Literal["file", "command"]


def prints(text: str, *, then: str = "") -> str:
    """Return a command that writes a text to standard output, and a canary to standard error."""
    code = f"import sys; sys.stdout.write({text!r}); sys.stderr.write('stderr-canary'); {then}"
    return shlex.join([sys.executable, "-c", code])


def source(way: Way, value: str) -> SecretSource:
    return SecretSource(variable=FILE if way == "file" else COMMAND, way=way, value=value)


def fetch_secret(found: SecretSource) -> Secret:
    return asyncio.run(secrets.fetched_secret(found))


# --- which variable it is -------------------------------------------------------------------------------


def configured(folder: Path, environ: dict[str, str], more: str = "") -> Secret | SecretSource | None:
    files: dict[str, Any] = {"a.yaml": policy()}
    if more:
        prod = f"{{id: {ID}, region: NA, credentials: {more}}}"
        files["auditor.yaml"] = f"version: 1\npolicies: [a.yaml]\nenvironments: {{prod: {prod}}}\n"
    found = loaded_environment(
        loaded(folder, files, environ=environ, **({} if more else {"paths": ["a.yaml"]}))
    )
    return found.credentials.client_secret if found.credentials else None


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({FILE: "/run/secret"}, source("file", "/run/secret")),
        ({COMMAND: "pass show x"}, source("command", "pass show x")),
        ({FILE: "/run/secret", COMMAND: "pass show x"}, source("file", "/run/secret")),
        ({FILE: "/run/secret", "AUDITOR_PINGONE_CLIENT_SECRET": "own"}, Secret("own")),
        ({FILE: ""}, Secret("terraform-secret")),
        ({"PINGONE_CLIENT_SECRET_FILE": "/run/secret"}, Secret("terraform-secret")),
    ],
    ids=[
        "a file",
        "a command",
        "a file before a command",
        "the variable itself first",
        "empty",
        "not the auditor's",
    ],
)
def test_a_variable_of_the_auditor_may_name_a_file_or_a_command(
    tmp_path: Path, environ: dict[str, str], expected: Secret | SecretSource
):
    assert configured(tmp_path, {**TERRAFORM, **environ}) == expected


def test_a_secret_of_ones_own_may_stand_in_a_file_if_its_variable_is_the_auditors(tmp_path: Path):
    more = "{client_secret: '${env.AUDITOR_STAGE_SECRET}'}"
    found = configured(tmp_path, {**TERRAFORM, "AUDITOR_STAGE_SECRET_FILE": "/run/stage"}, more)
    assert found == SecretSource(variable="AUDITOR_STAGE_SECRET_FILE", way="file", value="/run/stage")


@pytest.mark.parametrize("name", ["GIT_SSH", "EDITOR", "VAR_x"])
def test_a_project_can_not_choose_what_is_run(tmp_path: Path, name: str):
    """`GIT_SSH_COMMAND` is in many environments, and nobody meant it to give a secret."""
    environ = {**TERRAFORM, f"{name}_COMMAND": "ssh -i key", f"{name}_FILE": "/etc/passwd"}
    assert configured(tmp_path, environ, f"{{client_secret: '${{env.{name}}}'}}") is None


# --- fetching it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["s3cret", "s3cret\n", "s3cret\r\n"])
def test_a_line_break_at_the_end_is_no_part_of_a_secret(tmp_path: Path, written: str):
    (tmp_path / "secret").write_bytes(written.encode())
    assert fetch_secret(source("file", str(tmp_path / "secret"))) == Secret("s3cret")
    assert fetch_secret(source("command", prints(written))) == Secret("s3cret")


def test_a_command_is_run_without_a_shell():
    assert fetch_secret(source("command", "echo '$HOME' `id`; $(id) > x")) == Secret("$HOME `id`; $(id) > x")


BAD_SOURCES: dict[str, tuple[Way, str]] = {
    "a relative path": ("file", "canary/secret"),
    "no such file": ("file", "{folder}/canary-none"),
    "a folder": ("file", "{folder}"),
    "a path with a zero": ("file", "/canary\0"),
    "an empty file": ("file", "{folder}/canary-empty"),
    "no text": ("file", "{folder}/canary-bytes"),
    "too long": ("file", "{folder}/canary-long"),
    "nothing at all": ("command", "  "),
    "a quote without an end": ("command", "echo 'canary"),
    "no such program": ("command", "canary-is-no-program --token canary"),
    "a relative program": ("command", "./canary.sh"),
    "a failure": ("command", prints("canary", then="sys.exit(3)")),
    "no output": ("command", prints("")),
    "too much output": ("command", prints("canary", then="sys.stdout.write('canary' * 20_000)")),
}


@pytest.mark.parametrize("why", BAD_SOURCES)
def test_a_secret_that_is_not_to_be_had_is_told_by_the_name_of_its_variable(tmp_path: Path, why: str):
    (tmp_path / "canary-empty").write_bytes(b"\n")
    (tmp_path / "canary-bytes").write_bytes(b"\xff\xfe canary")
    (tmp_path / "canary-long").write_bytes(b"canary" * 20_000)
    way, value = BAD_SOURCES[why]
    found = source(way, value.replace("{folder}", str(tmp_path)))
    asked = environment(credentials=with_secret(found))
    tenant = Tenant(ok(page([])))
    failure = asyncio.run(fetching(tenant, query(), asked=[asked])).failure
    assert failure.code == "credentials.unusable"
    assert found.variable in failure.reason
    assert found.variable in failure.help
    assert "canary" not in f"{failure} {found!r}"
    assert tenant.asked_for_token == []


def with_secret(found: Secret | SecretSource, **changes: Any) -> Credentials:
    return Credentials(environment_id=ENVIRONMENT_ID, client_id="the-client", client_secret=found, **changes)


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(secrets, "COMMAND_TIMEOUT_S", 0.5)
    script = tmp_path / "slow"
    script.write_text(f"#!/bin/sh\nsleep 60 & echo $! > {tmp_path}/child\nwait\n")
    script.chmod(0o700)
    started = time.monotonic()
    asked = environment(credentials=with_secret(source("command", str(script))))
    failure = asyncio.run(fetching(Tenant(ok(page([]))), query(), asked=[asked])).failure
    assert failure.code == "credentials.unusable"
    assert time.monotonic() - started < 30
    child = int((tmp_path / "child").read_text())
    assert not is_running(child)


def is_running(process: int) -> bool:
    """Tell whether a process still runs; one that only waits to be noticed does not."""
    for _ in range(50):
        stat = Path(f"/proc/{process}/stat")
        if not stat.exists() or stat.read_text().split()[2] == "Z":
            return False
        time.sleep(0.05)
    return True


def test_a_command_is_run_once_for_all_queries(tmp_path: Path):
    then = f"open({str(tmp_path / 'runs')!r}, 'a').write('run ')"
    with simulated(secret="from-a-command") as tenant:
        lead(tenant, source("command", prints("from-a-command", then=then)))
        found = tenant.fetched(*(tenant.query(id=f"q{number}") for number in range(5)))
    assert all(end.complete for end in found.ends)
    assert (tmp_path / "runs").read_text() == "run "


def test_a_key_in_a_file_proves_who_asks(tmp_path: Path):
    key = RSAKey.generate_key(2048)
    (tmp_path / "key.pem").write_bytes(key.as_pem(private=True))
    with simulated(auth_method="private_key_jwt", public_key=key.as_dict(private=False)) as tenant:
        lead(tenant, source("file", str(tmp_path / "key.pem")), auth_method="private_key_jwt")
        assert tenant.fetched().end.complete


def lead(tenant: Simulated, found: SecretSource, **how: Any) -> None:
    """Let a tenant be asked with the secret of a source."""
    known = tenant.environment.credentials
    assert known is not None
    tenant.environment = environment(
        "simulated",
        id=tenant.environment.id,
        api_url=tenant.running.api_url,
        auth_url=tenant.running.auth_url,
        credentials=Credentials(
            environment_id=known.environment_id, client_id=known.client_id, client_secret=found, **how
        ),
    )


def test_a_server_that_repeats_a_fetched_secret_gets_it_into_no_end(tmp_path: Path):
    (tmp_path / "secret").write_text(CLIENT_SECRET)
    refusal = answer(401, {"error": "no", "error_description": CLIENT_SECRET})
    asked = environment(credentials=with_secret(source("file", str(tmp_path / "secret"))))
    found = asyncio.run(fetching(Tenant(ok(page([])), tokens=[refusal]), query(), asked=[asked]))
    assert found.failure.code == "credentials.refused"
    assert CLIENT_SECRET not in repr(found)


# --- the command line -----------------------------------------------------------------------------------

CANARY = "canary-4f1c/+%~9e"
POLICY = """\
version: 1
pack: {id: mine}
checks:
  one:
    title: Nobody creates users
    severity: low
    query: {resource: activities, window: 2d, where: action.type eq "USER.CREATED"}
    expect: none
"""


@contextmanager
def tenant_of(monkeypatch: pytest.MonkeyPatch, *faults: str) -> Iterator[Simulated]:
    """A simulated tenant whose secret is the canary, to which all variables but that of the secret lead."""
    for name in [name for name in os.environ if name.startswith(("PINGONE_", "AUDITOR_"))]:
        monkeypatch.delenv(name)
    with simulated(*faults, secret=CANARY) as tenant:
        monkeypatch.setenv("PINGONE_API_URL", tenant.running.api_url)
        monkeypatch.setenv("PINGONE_AUTH_URL", tenant.running.auth_url)
        monkeypatch.setenv("PINGONE_ENVIRONMENT_ID", tenant.world.environment_id)
        monkeypatch.setenv("PINGONE_CLIENT_ID", "simulator-client")
        yield tenant


def give(monkeypatch: pytest.MonkeyPatch, way: str, folder: Path, secret: str = CANARY) -> None:
    if way == "variable":
        monkeypatch.setenv("PINGONE_CLIENT_SECRET", secret)
    elif way == "file":
        kept = folder / "kept"
        kept.mkdir()
        (kept / "secret").write_text(secret)
        monkeypatch.setenv(FILE, str(kept / "secret"))
    else:
        monkeypatch.setenv(COMMAND, prints(secret))


def left_behind(folder: Path) -> str:
    return "".join(
        path.read_bytes().decode("utf-8", "replace")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != "kept"
    )


@pytest.mark.parametrize("way", ["variable", "file", "command"])
@pytest.mark.parametrize("fault", ["", "token-invalid-client", "403", "html"])
def test_no_output_log_or_file_of_a_run_shows_a_secret_or_a_token(
    fault: str,
    way: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(0)
    for name in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(1)
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    (out / "policy.yaml").write_text(POLICY)
    with tenant_of(monkeypatch, *[fault] * bool(fault)) as tenant:
        give(monkeypatch, way, tmp_path)
        reports = [
            word for name in ("junit", "json", "text") for word in ("--report", f"{name}={out}/report.{name}")
        ]
        words = ["check", "policy.yaml", "--as-of", "2026-11-21T10:20:00Z", *reports]
        code = cli.run(words)
        shown = "".join(capsys.readouterr())
    assert tenant.running.requests, shown  # it was asked
    assert code == (2 if not fault else 1), shown
    everything = shown + caplog.text + left_behind(tmp_path)
    assert len(everything) > 1_000
    for canary in (CANARY, "stderr-canary", "Bearer ", "Basic ", "canary-4f1c"):
        assert canary not in everything


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_nothing_is_run_or_read_before_a_token_is_needed(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "policy.yaml").write_text(POLICY)
    with tenant_of(monkeypatch) as tenant:
        monkeypatch.setenv(COMMAND, prints(CANARY, then=f"open({str(tmp_path / 'ran')!r}, 'w')"))
        code = cli.run([command, str(tmp_path / "policy.yaml")])
        shown = "".join(capsys.readouterr())
    assert code == 0, shown
    assert not (tmp_path / "ran").exists()
    assert tenant.running.requests == []
    assert CANARY not in shown
