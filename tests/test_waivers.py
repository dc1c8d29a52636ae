"""Waivers: read and checked before anything is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from auditor.config import yaml
from tests.support import ROOT
from tests.test_cli import Ran, auditor  # noqa: F401  # a fixture

Run = Callable[..., Ran]

TABLE: Any = yaml.load((ROOT / "tests" / "spec" / "waivers.yaml").read_text("utf-8"), "waivers.yaml").value
CASES = [case for group in TABLE for case in group["cases"]]
SCHEMA = Draft202012Validator(json.loads((ROOT / "schemas" / "waivers.schema.json").read_text("utf-8")))

PROJECT = """\
version: 1
policies: [policies]
waiver_policy: {approvers: [security-board, ciso], max_duration: {critical: 30d, low: 2mo}, forbid: [info]}
environments:
  prod: {id: abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6, region: NA}
  test: {id: abfba8f6-49eb-49f5-a5d9-80ad5c98f9f7, region: NA}
"""
POLICY = """\
version: 1
pack: {id: pack}
queries:
  all: {resource: activities, window: {from: 2026-11-01, to: 2026-11-20}}
checks:
  grave: {title: Grave, severity: critical, query: all, expect: none}
  slight: {title: Slight, severity: low, query: all, expect: none}
  mixed: {title: Mixed, query: all, expect: [none, {none: '[]', severity: info}]}
  kinds:
    title: Kinds
    queries: {all: all, users: {resource: users}}
    expect: [{over: all, none: '[]'}, {over: users, none: '[]'}]
"""
SOUND = {
    "kind": "exception",
    "check": "pack/grave",
    "environments": ["prod"],
    "reason": "migration",
    "approved_by": "ciso",
    "ticket": "SEC-1",
    "starts": "2026-11-01",
    "expires": "2026-11-30",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "pack.yaml").write_text(POLICY, "utf-8")
    (tmp_path / "auditor.yaml").write_text(PROJECT, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(project: Path, **waivers: Mapping[str, Any]) -> dict[str, Any]:
    """Write the waivers of a project, each a key a line; days stand there without quotes, as people write them."""
    lines = ["version: 1", "waivers:"]
    for name, waiver in waivers.items():
        lines.append(f"  {name}:")
        for key, value in waiver.items():
            is_day = key in ("starts", "expires")
            lines.append(f"    {key}: {value if is_day else json.dumps(value)}")
    (project / "waivers.yaml").write_text("\n".join(lines) + "\n", "utf-8")
    return {"version": 1, "waivers": dict(waivers)}


def changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sound waiver with changes."""
    return {key: value for key, value in {**SOUND, **changes}.items() if value is not None}


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["changes"]))
def test_what_is_wrong_with_a_waiver_is_told_at_its_place(
    case: Mapping[str, Any],
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    document = write(project, waiver=changed(case["changes"]))
    ran = auditor("validate", "--json")
    told = json.loads(ran.out)["diagnostics"]
    assert [one["code"] for one in told] == case["gives"]
    assert ran.code == (1 if told else 0)
    assert SCHEMA.is_valid(document) is not (bool(told) and case.get("schema", True))
    for one in told:
        assert one["range"]["filename"] == "waivers.yaml"
    if "at" in case:
        where = told[0]["range"]
        shown = where["snippet"][where["start"]["column"] - 1 : where["end"]["column"] - 1]
        assert shown.strip('"') == case["at"]
    assert case.get("help", "") in "\n".join(one["help"] for one in told)


def test_all_mistakes_of_all_waivers_are_told_in_one_run(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    """Also those of policies."""
    write(
        project,
        first=changed({"reason": None}),
        second=changed({"check": "pack/nothing"}),
        third=changed({"expires": "2026-13-01"}),
        fourth=changed({"where": "id eq"}),
    )
    other = POLICY.replace("id: pack", "id: other").replace("title: Slight", "titel: Slight")
    (project / "policies" / "other.yaml").write_text(other, "utf-8")
    told = json.loads(auditor("validate", "--json").out)["diagnostics"]
    assert [(one["range"]["filename"], one["code"]) for one in told] == [
        ("policies/other.yaml", "schema.unknown-key"),
        ("waivers.yaml", "schema.missing-key"),
        ("waivers.yaml", "waiver.unknown-check"),
        ("waivers.yaml", "schema.bad-value"),
        ("waivers.yaml", "scim.syntax"),
    ]


def test_a_check_that_can_not_be_read_makes_no_waiver_wrong(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    write(project, waiver=SOUND)
    (project / "policies" / "pack.yaml").write_text(POLICY.replace("title: Grave", "titel: Grave"), "utf-8")
    told = json.loads(auditor("validate", "--json").out)["diagnostics"]
    assert [one["code"] for one in told] == ["schema.unknown-key"]


def test_no_waiver_goes_by_the_name_of_what_an_earlier_run_found(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    write(project, baseline=SOUND)
    ran = auditor("validate")
    assert (ran.code, "[schema.bad-name]" in ran.err) == (1, True)


def test_of_policies_on_the_command_line_only_their_own_waivers_count(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    (project / "other.yaml").write_text(POLICY.replace("id: pack", "id: other"), "utf-8")
    write(project, waiver=SOUND)
    assert auditor("validate", "other.yaml").code == 0
    write(project, waiver=changed({"check": "other/grave", "where": "id eq"}))
    assert auditor("validate", "policies").code == 0
    assert auditor("validate", "other.yaml").code == 1


def test_a_remembered_validation_is_forgotten_when_waivers_come_change_or_go(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    for changes, code in (({}, 0), ({"check": "pack/gone"}, 1), ({}, 0)):
        write(project, waiver=changed(changes))
        assert [auditor("validate").code for _ in range(2)] == [code, code]
    (project / "waivers.yaml").write_text("nonsense", "utf-8")
    assert auditor("validate").code == 1
    (project / "waivers.yaml").unlink()
    assert auditor("validate").code == 0


def test_a_link_out_of_the_project_is_not_read(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
    tmp_path_factory: pytest.TempPathFactory,
):
    outside = tmp_path_factory.mktemp("outside")
    write(outside, waiver=SOUND)
    (project / "waivers.yaml").symlink_to(outside / "waivers.yaml")
    ran = auditor("validate")
    assert (ran.code, "[file.outside-project]" in ran.err) == (1, True)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "file.not-a-file"),
        (b"\xff", "file.not-utf-8"),
        (b"x" * (4 * 1024 * 1024 + 1), "file.too-large"),
        (b"", "schema.empty"),
        (b"waivers: [\n", "yaml.syntax"),
        (b"version: 2\n", "schema.bad-value"),
        (b"- one\n", "schema.wrong-type"),
        (b"version: 1\nwaivers: {a: 1, a: 2}\n", "yaml.duplicate-key"),
        (b"version: 1\nwaiver: {}\n", "schema.unknown-key"),
        (b"version: 1\nwaivers: {One: {}}\n", "schema.bad-name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_none_is_told(
    content: bytes | None,
    code: str,
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    path = project / "waivers.yaml"
    path.mkdir() if content is None else path.write_bytes(content)
    for words in (("validate",), ("plan",), ("waiver", "list")):
        ran = auditor(*words, "--environment", "prod")
        assert (ran.code, f"[{code}]" in ran.err) == (1, True)


def test_the_page_about_waivers_shows_what_is_valid(
    auditor: Run,  # noqa: F811  # the fixture
    project: Path,
):
    page = (ROOT / "docs" / "waivers.md").read_text("utf-8")
    waivers, policy = re.findall(r"```yaml\n# .*?\n(.*?)```", page, re.DOTALL)
    assert SCHEMA.is_valid(yaml.load(waivers, "waivers.yaml").value)
    (project / "waivers.yaml").write_text(waivers, "utf-8")
    (project / "auditor.yaml").write_text(
        "version: 1\npolicies: [{pack: pingone-activity, variables: {admin_clients: [], license_cap: 5}}]\n"
        f"environments: {{prod: {{id: abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6, region: NA}}}}\n{policy}",
        "utf-8",
    )
    ran = auditor("waiver", "list", "--json")
    assert [one["name"] for one in json.loads(ran.out)["waivers"]] == ["legacy-importer", "reviewed-deletion"]
    (waiver,) = (
        one for one in auditor("explain", "app-deletion-by-admin-clients").out.splitlines() if "until" in one
    )
    assert waiver.startswith(
        "      waiver       until 2026-12-31 by security-board: The importer is replaced"
    )
