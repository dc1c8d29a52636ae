"""Several environments in one run: values of their own, and one table of which check ended how in which."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from auditor import cli

POLICY = """\
version: 1
pack: {id: pack}
variables: {most: {type: integer, description: Deletions that are plausible., default: 0}}
checks:
  few-deletions:
    title: Few applications are deleted
    query: {resource: activities, window: hot, where: action.type eq "APPLICATION.DELETED"}
    expect: {that: "length(@) <= ${var.most}"}
  no-environment-is-deleted:
    title: No environment is deleted
    query: {resource: activities, window: hot, where: action.type eq "ENVIRONMENT.DELETED"}
    expect: none
"""
PROJECT = """\
version: 1
policies: [policy.yaml]
environments:
  production: {id: fb5e1379-7127-400b-ad44-dc0a9fae4886, region: EU}
  staging-of-the-web-shop: {id: ae994a16-b7bb-4c70-ab69-008af03e96b8, region: EU, variables: {most: 1000}}
"""


@pytest.fixture
def check(capsys, monkeypatch, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "auditor.yaml").write_text(PROJECT, encoding="utf-8")

    def run(*words: str) -> tuple[int, str]:
        both = ("--environment", "production", "--environment", "staging-of-the-web-shop")
        simulated = ("--simulate", "--events", "500", "--as-of", "2026-11-21T09:00:00Z")
        code = cli.run(["check", "--chdir", str(tmp_path), *simulated, *(words or both)])
        return code, capsys.readouterr().out

    return run


def test_each_environment_is_judged_by_its_own_values(check):
    code, out = check("--environment", "production", "--environment", "staging-of-the-web-shop", "--json")
    report = json.loads(out)
    statuses = {(each["environment"], each["check"]): each["status"] for each in report["verdicts"]}
    assert code == 2
    assert statuses["production", "few-deletions"] == "fail"
    assert statuses["staging-of-the-web-shop", "few-deletions"] == "pass"
    assert {(use["environment"], use["value"]) for use in report["variables"]} == {
        ("production", 0), ("staging-of-the-web-shop", 1000),
    }  # fmt: skip


def test_a_table_shows_which_check_ended_how_in_which_environment(check):
    _, out = check()
    table = out.partition("Checks by environment\n")[2].partition("\n\n")[0]
    assert table.splitlines() == [
        "                                  production  staging-of-the-web-shop",
        "  pack/few-deletions              FAIL 1      PASS",
        "  pack/no-environment-is-deleted  PASS        PASS",
    ]


@pytest.mark.parametrize("columns", [40, 60])
def test_on_a_narrow_terminal_the_environments_stand_below_each_check(check, monkeypatch, columns: int):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out = check()
    table = out.partition("Checks by environment\n")[2].partition("\n\n")[0]
    assert table.splitlines()[0] == "  pack/few-deletions"
    assert " ".join(table.split()).startswith(
        "pack/few-deletions production FAIL 1 · staging-of-the-web-shop PASS"
    )
    assert max(map(len, out.splitlines())) <= columns


def test_one_environment_needs_no_table(check):
    _, out = check("--environment", "production")
    assert "Checks by environment" not in out
