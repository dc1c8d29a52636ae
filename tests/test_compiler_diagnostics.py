"""What the compiler says of mistakes: where, what, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from auditor import app
from auditor.model.diagnostic import Diagnostic
from tests.support import ROOT

CASES = YAML(typ="safe").load((ROOT / "tests" / "spec" / "messages" / "diagnostics.yaml").read_text("utf-8"))

CANARY = "canary-5f1e"
HEADER = f"""\
version: 1
pack: {{id: pack}}
variables:
  texts: {{type: list(string), default: [one, two]}}
  empty: {{type: list(string), default: []}}
  secret: {{type: string, default: {CANARY}, sensitive: true}}
checks:
  check:
    title: A check
"""


def diagnostics(tmp_path: Path, check: str, accept_values: str = "{}") -> tuple[Diagnostic, ...]:
    """Return what is said of a policy with one check, in a project of its own."""
    body = "".join(f"    {line}\n" for line in check.splitlines())
    (tmp_path / "policy.yaml").write_text(HEADER + body, "utf-8")
    (tmp_path / "auditor.yaml").write_text(
        f"version: 1\npolicies: [policy.yaml]\naccept_values: {accept_values}\n", "utf-8"
    )
    return app.validate(app.Job(folder=tmp_path, environ={})).diagnostics


def pointed_at(diagnostic: Diagnostic) -> list[Any]:
    """Return line in the check, column, and the text that a diagnostic points at."""
    where = diagnostic.location
    assert where is not None
    assert where.line == where.end_line
    text = where.snippet[where.column - 1 : where.end_column - 1]
    return [where.line - HEADER.count("\n"), where.column, text]


@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case['code']}" for number, case in enumerate(CASES)])
def test_a_mistake_is_told_with_its_place_and_what_to_do(case: Mapping[str, Any], tmp_path: Path):
    first, *others = diagnostics(tmp_path, case["check"])
    assert (first.code, pointed_at(first)) == (case["code"], case["at"])
    assert [[other.code, *pointed_at(other)] for other in others] == case.get("also", [])
    assert first.summary
    assert first.detail == case.get("detail", first.detail)
    assert first.help == case.get("help", first.help)
    assert CANARY not in repr((first, others))


def test_every_mistake_of_a_check_is_told_at_once(tmp_path):
    check = """\
query:
  resource: user_activities
  window: hot
  sampling: day
  include_partial: true
  where: usersignons.failures gt "x" and userSignOns.succeses gt 1
expect:
  - every: lenght(@)
  - every: id
    message: "{id"
"""
    found = [(problem.code, pointed_at(problem)[0]) for problem in diagnostics(tmp_path, check)]
    assert found == [
        ("policy.bad-window", 3),
        ("policy.bad-option", 4),
        ("policy.unknown-option", 5),
        ("policy.unknown-attribute", 6),
        ("jmes.unknown-function", 8),
        ("message.open-brace", 10),
    ]


WHERE = """\
query: {resource: activities, window: hot, where: 'action.type eq "NEW.NAME"'}
expect: none
"""


@pytest.mark.parametrize("key", ["action.type", "ACTION.Type"])
def test_a_project_can_accept_values_that_are_not_known_yet(key, tmp_path):
    assert diagnostics(tmp_path, WHERE, f"{{{key}: [NEW.NAME]}}") == ()


def test_an_accepted_value_counts_for_its_own_attribute_alone(tmp_path):
    (found,) = diagnostics(tmp_path, WHERE, "{tags: [NEW.NAME], nothing: [NEW.NAME]}")
    assert found.code == "policy.unknown-value"


def test_a_mistake_is_told_once_for_all_environments(tmp_path):
    ids = [f"abfba8f6-49eb-49f5-a5d9-80ad5c98f9f{number}" for number in range(3)]
    environments = "".join(f"  e{n}: {{id: {id_}, region: EU}}\n" for n, id_ in enumerate(ids))
    diagnostics(tmp_path, WHERE)
    with (tmp_path / "auditor.yaml").open("a", encoding="utf-8") as stream:
        stream.write(f"environments:\n{environments}")
    assert len(app.validate(app.Job(folder=tmp_path, environ={})).diagnostics) == 1
