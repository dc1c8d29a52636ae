"""A merge request may change every file of the project: no byte of a secret or a token goes elsewhere for it."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import stamina
from ruamel.yaml import YAML

from auditor import cli
from auditor.fetcher.paging import RawPage, Walk
from tests.pages import Simulated
from tests.support import ROOT
from tests.test_fetcher_secrets import CANARY, tenant_of

CASES: list[dict[str, Any]] = YAML(typ="safe").load(
    (ROOT / "tests" / "spec" / "fetcher-trust.yaml").read_text("utf-8")
)
PROD: Mapping[str, Any] = {"id": "${env.PINGONE_ENVIRONMENT_ID}"}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Listener:
    """A server of somebody else on this machine that keeps every byte it is sent and answers nothing."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.name = f"elsewhere.example:{self.port}"
        self.connections = 0
        self.heard = bytearray()

    def listen(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.settimeout(2)
                try:
                    self.heard += connection.recv(65_536)
                except OSError:
                    continue


@contextmanager
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """Listen on the machine to which every name leads, whosever it is."""
    listener = Listener()
    thread = threading.Thread(target=listener.listen, daemon=True)
    thread.start()
    resolve = socket.getaddrinfo

    def lead_astray(host: Any, port: Any, *how: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is None or re.fullmatch(r"localhost|[0-9.]+|[0-9a-f:]+", name):
            return resolve(host, port, *how, **more)
        return resolve("127.0.0.1", port, *how, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lead_astray)
    try:
        yield listener
    finally:
        listener.socket.shutdown(socket.SHUT_RDWR)
        listener.socket.close()
        thread.join()


def write_project(folder: Path, case: Mapping[str, Any]) -> None:
    """Write the project as the merge request has it."""
    yaml = YAML(typ="safe")
    kind = yaml.load((ROOT / "schemas" / "resources" / "activities.yaml").read_text("utf-8"))
    kind |= {"kind": "own_activities"} | case.get("descriptor", {})
    own = "descriptor" in case
    query = {"resource": "own_activities" if own else "activities", "window": "1d"} | case.get("policy", {})
    documents = {
        "auditor.yaml": {
            "version": 1,
            "policies": ["policy.yaml"],
            "environments": {"prod": {**PROD, **case.get("prod", {})}},
        }
        | ({"resources": ["own.yaml"]} if own else {}),
        "policy.yaml": {
            "version": 1,
            "pack": {"id": "mine"},
            "variables": {"who": {"type": "string", "default": "nobody"}},
            "checks": {
                "one": {"title": "One thing holds", "severity": "low", "query": query, "expect": "none"}
            },
        },
    } | ({"own.yaml": kind} if own else {})
    for name, document in documents.items():
        with (folder / name).open("w", encoding="utf-8") as file:
            yaml.dump(document, file)


def mislead(monkeypatch: pytest.MonkeyPatch, name: str, target: str) -> None:
    """Let the tenant's pages have a link to somewhere else, before the fetcher looks at them."""
    make = Walk._page

    def with_link(self: Walk, *how: Any) -> RawPage:
        found = make(self, *how)
        found.document.setdefault("_links", {})[name] = {"href": target}
        return found

    monkeypatch.setattr(Walk, "_page", with_link)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["because"]) for case in CASES])
def test_a_merge_request_gets_nothing_out(
    case: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(0)
    monkeypatch.chdir(tmp_path)
    wanted = case.get("tenant", {})
    with elsewhere(monkeypatch) as listener, ExitStack() as stack:
        write_project(tmp_path, json.loads(json.dumps(case).replace("elsewhere.example", listener.name)))
        faults = [f"redirect=https://{listener.name}/"] if wanted.get("redirect") else []
        tenant = stack.enter_context(tenant_of(monkeypatch, *faults))
        monkeypatch.setenv("PINGONE_CLIENT_SECRET", CANARY)
        monkeypatch.setenv("HOST", listener.name)
        monkeypatch.setenv("GIT_SSH_COMMAND", f"touch {tmp_path}/ran")
        if "link" in wanted:
            path = f"/v1/environments/{tenant.world.environment_id}/activities"
            mislead(monkeypatch, wanted["link"], f"https://{listener.name}{path}?cursor=1")
        code = cli.run(["check", "--as-of", "2026-11-21T10:20:00Z"])
    shown = "".join(capsys.readouterr())
    assert code == (0 if case["code"] == "none" else 1), shown
    assert case["code"] == "none" or f"[{case['code']}]" in shown, shown
    assert (listener.connections, bytes(listener.heard)) == (0, b"")
    assert_kept(tenant)
    left = "".join(
        path.read_bytes().decode("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file()
    )
    assert CANARY not in shown + caplog.text + left
    assert not (tmp_path / "ran").exists()


def test_a_merge_request_that_changes_nothing_of_the_kind_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """So that the refusals above are not for something else."""
    write_project(tmp_path, {"descriptor": {}})
    monkeypatch.chdir(tmp_path)
    with elsewhere(monkeypatch) as listener, tenant_of(monkeypatch):
        monkeypatch.setenv("PINGONE_CLIENT_SECRET", CANARY)
        code = cli.run(["check", "--as-of", "2026-11-21T10:20:00Z"])
    shown = "".join(capsys.readouterr())
    assert code == 2, shown
    assert "1 failed" in shown
    assert listener.connections == 0


def assert_kept(tenant: Simulated) -> None:
    """The secret has gone to the token endpoint alone, and into no address."""
    for seen in tenant.running.requests:
        told = f"{seen.path} {dict(seen.query)} {seen.body}"
        assert CANARY not in told


def test_the_listener_hears_whoever_does_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Allowed from outside of the project, a host is asked: so that silence above means something."""
    monkeypatch.chdir(tmp_path)
    with elsewhere(monkeypatch) as listener, tenant_of(monkeypatch):
        origin = f"https://{listener.name}"
        write_project(tmp_path, {"prod": {"api_url": f"{origin}/v1", "auth_url": origin}})
        monkeypatch.setenv("PINGONE_CLIENT_SECRET", CANARY)
        with stamina.set_testing(True, attempts=1):
            code = cli.run(["check", "--allow-host", listener.name])
    assert code == 1
    assert listener.connections > 0
    assert CANARY.encode() not in bytes(listener.heard)  # which did not prove who it is
    capsys.readouterr()


# --- proxies --------------------------------------------------------------------------------------------


def checked_behind(proxy: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a check of an environment of PingOne's own hosts behind a proxy."""
    write_project(folder, {"prod": {"region": "NA"}})
    monkeypatch.chdir(folder)
    with tenant_of(monkeypatch):
        for name in ("PINGONE_API_URL", "PINGONE_AUTH_URL"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("PINGONE_CLIENT_SECRET", CANARY)
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with stamina.set_testing(True, attempts=1):
            return cli.run(["check"])


def test_a_proxy_of_the_environment_is_asked_for_a_tunnel_and_told_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(0)
    with elsewhere(monkeypatch) as proxy:
        code = checked_behind(f"http://me:proxy-canary@127.0.0.1:{proxy.port}", tmp_path, monkeypatch)
    assert code == 1
    lines = bytes(proxy.heard).lower().splitlines()
    assert lines[0] == b"connect auth.pingone.com:443 http/1.1"
    assert not [line for line in lines if line.startswith(b"authorization")]
    assert CANARY.encode() not in proxy.heard
    assert "proxy-canary" not in "".join(capsys.readouterr()) + caplog.text


def test_hosts_that_need_no_proxy_are_asked_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("NO_PROXY", "pingone.com")
    with elsewhere(monkeypatch) as proxy:
        code = checked_behind(f"http://127.0.0.1:{proxy.port}", tmp_path, monkeypatch)
    assert code == 1
    assert "auth.pingone.com can not be reached" in " ".join("".join(capsys.readouterr()).split())
    assert proxy.connections == 0
