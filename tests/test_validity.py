"""`auditor validate`, the second time: the same words, and never of a project that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auditor import cli, compiler

POLICY = """\
version: 1
pack: {id: p}
checks:
  c: {title: C, query: {resource: activities, window: 1d}, expect: none}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policies" / "one.yaml"
    path.parent.mkdir()
    path.write_text(POLICY)
    return path


@pytest.fixture
def compiled(monkeypatch) -> list[object]:
    """The projects that are compiled; `PINGONE_*` of whoever runs the tests are left out."""
    for name in (
        "PINGONE_ENVIRONMENT_ID",
        "PINGONE_CLIENT_ID",
        "PINGONE_CLIENT_SECRET",
        "PINGONE_REGION_CODE",
    ):
        monkeypatch.delenv(name, raising=False)
    found: list[object] = []
    original = compiler.compile

    def spy(project: Any, **options: Any) -> Any:
        found.append(project)
        return original(project, **options)

    monkeypatch.setattr(compiler, "compile", spy)
    return found


def validated(policy: Path, capsys, *words: str) -> tuple[int, str, str]:
    code = cli.run(["validate", str(policy.parent), *words])
    return (code, *capsys.readouterr())


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_the_second_time_the_same_is_said_without_compiling(policy, capsys, compiled, words):
    first = validated(policy, capsys, *words)
    assert first[0] == 0
    assert validated(policy, capsys, *words) == first
    assert len(compiled) == 1


def test_a_mistake_is_said_each_time(policy, capsys, compiled):
    policy.write_text(POLICY.replace("activities", "activites"))
    first = validated(policy, capsys)
    assert first[0] == 1
    assert "activities" in first[2]
    assert validated(policy, capsys) == first
    assert len(compiled) == 2


def test_a_mistake_that_comes_to_a_valid_project_is_found(policy, capsys, compiled):
    assert validated(policy, capsys)[0] == 0
    policy.write_text(POLICY.replace("expect: none", "expect: sum(@)"))
    assert validated(policy, capsys)[0] == 1
    assert len(compiled) == 2


def test_a_plan_is_always_compiled(policy, capsys, compiled):
    assert validated(policy, capsys)[0] == 0
    assert cli.run(["plan", str(policy.parent)]) == 0
    assert len(compiled) == 2
