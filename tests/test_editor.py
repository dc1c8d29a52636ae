"""The schema in an editor: completion and diagnostics from `yaml-language-server`, spoken to over its protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

VERSION = "2.0.0"
"""Release of yaml-language-server that the schema is tried with."""

pytestmark = pytest.mark.skipif(
    shutil.which("npm") is None or shutil.which("node") is None, reason="npm and node are not on this machine"
)


class LanguageServer:
    """A language server as an editor sees it (Language Server Protocol 3.17, base protocol over stdio)."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.requests = 0
        self.published: dict[str, list[dict[str, Any]]] = {}

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while (line := self.process.stdout.readline().strip()) or not length:
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        message: dict[str, Any] = json.loads(self.process.stdout.read(length))
        if message.get("method") == "textDocument/publishDiagnostics":
            self.published[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            # The server asks for its configuration, or to register something; it may have all defaults.
            asked = message.get("params", {}).get("items", [])
            self.send({"id": message["id"], "result": [None] * len(asked) if asked else None})
        return message

    def request(self, method: str, params: dict[str, Any]) -> Any:
        self.requests += 1
        number = self.requests
        self.send({"id": number, "method": method, "params": params})
        while True:
            message = self.receive()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, message
                return message["result"]

    def notify(self, method: str, params: dict[str, Any]) -> None:
        self.send({"method": method, "params": params})

    def diagnostics(self, uri: str) -> list[dict[str, Any]]:
        while uri not in self.published:
            self.receive()
        return self.published.pop(uri)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    """The language server, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("npm")
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder)]
    try:
        subprocess.run(
            [*install, f"yaml-language-server@{VERSION}"], capture_output=True, check=True, timeout=120
        )
    except subprocess.SubprocessError as error:
        pytest.skip(f"npm can not install yaml-language-server here: {error}")
    server = LanguageServer([str(folder / "node_modules/.bin/yaml-language-server"), "--stdio"])
    try:
        server.request("initialize", {"processId": os.getpid(), "rootUri": ROOT.as_uri(), "capabilities": {}})
        server.notify("initialized", {})
        yield server
        server.request("shutdown", {})
        server.notify("exit", {})
        server.process.wait(timeout=10)
    finally:
        server.process.kill()
        server.process.wait()
        for stream in (server.process.stdin, server.process.stdout):
            if stream:
                stream.close()


def opened(server: LanguageServer, folder: Path, text: str) -> str:
    """Open a document that names our schema, and return its address."""
    path = folder / "policy.yaml"
    uri = path.as_uri()
    schema = (ROOT / "schemas" / "policy.schema.json").as_uri()
    whole = f"# yaml-language-server: $schema={schema}\n{text}"
    document = {"uri": uri, "languageId": "yaml", "version": 1, "text": whole}
    server.notify("textDocument/didOpen", {"textDocument": document})
    return uri


POLICY = """\
version: 1
pack: {id: mine}
checks:
  one:
    title: One
    query: {resource: activities, window: hot}
    expect: none
"""


def test_a_right_policy_has_no_diagnostics(server, tmp_path):
    assert server.diagnostics(opened(server, tmp_path, POLICY)) == []


def test_a_misspelt_key_is_marked_where_it_stands(server, tmp_path):
    uri = opened(server, tmp_path, POLICY.replace("    title: One", "    title: One\n    sevrity: high"))
    (found,) = server.diagnostics(uri)
    assert "sevrity" in found["message"]
    assert found["range"]["start"] == {"line": 6, "character": 4}


def test_keys_and_values_are_completed(server, tmp_path):
    uri = opened(
        server, tmp_path, POLICY.replace("    expect: none\n", "    expect: none\n    \n    severity: \n")
    )
    server.diagnostics(uri)

    def completed(line: int, character: int) -> set[str]:
        position = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        return {item["label"] for item in server.request("textDocument/completion", position)["items"]}

    assert {"remediation", "controls", "on_empty"} <= completed(8, 4)
    assert {"info", "low", "medium", "high", "critical"} <= completed(9, 14)


def test_a_key_explains_itself(server, tmp_path):
    uri = opened(server, tmp_path, POLICY)
    server.diagnostics(uri)
    hover = server.request(
        "textDocument/hover", {"textDocument": {"uri": uri}, "position": {"line": 6, "character": 6}}
    )
    assert "Which records a check is about" in json.dumps(hover)
