"""What the compiler says of mistakes: where, what, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from auditor import app, compiler
from auditor.model.diagnostic import Diagnostic
from auditor.model.resource import Attribute, Filter, Option
from tests.support import ROOT
from tests.test_compiler import KINDS, QUERIES, project

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
  - every: passwordResets > `1`
    message: "{passwordResets"
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


def test_a_project_can_accept_values_that_are_not_known_yet(tmp_path):
    assert [problem.code for problem in diagnostics(tmp_path, WHERE)] == ["policy.unknown-value"]
    assert diagnostics(tmp_path, WHERE, "{action.type: [NEW.NAME]}") == ()


def test_of_the_order_of_names_nothing_is_known(tmp_path):
    check = "query: {resource: activities, window: hot, where: 'action.type gt \"A\"'}\nexpect: none\n"
    assert diagnostics(tmp_path, check) == ()


def found_in(query: Mapping[str, Any], **fields: Any) -> list[tuple[str, str, str]]:
    """Return what is said of a query on a kind that is activities with some fields changed."""
    kind = KINDS["activities"].model_copy(update=fields)
    compiled = compiler.compile(project({"check": {"query": query}}, kinds={"activities": kind}))
    return [(problem.code, problem.detail, problem.help) for problem in compiled.diagnostics]


NAMES = Filter(
    attributes={
        "who": Attribute(
            operators=("eq",),
            path="actors.user.name",
            case_exact=False,
            values=("Ada",),
            aliases=("actors.who",),
        )
    }
)


@pytest.mark.parametrize("where", ['who eq "ADA"', 'who sw "aD"', 'not (who co "D")', 'actors.who eq "ada"'])
def test_where_case_does_not_matter_known_values_are_known_in_any(where):
    assert found_in({**QUERIES["activities"], "where": where}, filter=NAMES) == []


def test_an_alias_can_not_lead_out_of_its_value_path():
    where = 'actors[who eq "ada" and user.name pr]'
    kind = KINDS["activities"].filter
    assert kind is not None
    aliases = {"tags": Attribute(operators=("eq",), path="tags", aliases=("actors.who",))}
    found = found_in({**QUERIES["activities"], "where": where}, filter=Filter(attributes=aliases))
    assert found == [
        (
            "scim.value-path",
            "actors.who is not found inside an element of actors",
            "compare actors.who outside of the brackets",
        )
    ]


def test_a_kind_that_shows_what_is_there_now_has_no_window():
    assert found_in(QUERIES["activities"], window=None) == [
        ("policy.bad-window", '"activities" shows what is there now.', "Remove the window.")
    ]


@pytest.mark.parametrize(
    ("bounds", "help"),
    [
        ({}, "It must be a whole number. Some number."),
        ({"minimum": 2}, "It must be a whole number from 2. Some number."),
        ({"maximum": 8}, "It must be a whole number to 8. Some number."),
    ],
)
def test_an_option_names_the_bounds_that_it_has(bounds, help):
    option = Option(summary="Some number.", type="integer", default=5, parameter="n", **bounds)
    query = {**QUERIES["activities"], "number": "many"}
    assert found_in(query, options={"number": option}) == [
        ("policy.bad-option", "'many' is no number of activities.", help)
    ]


def test_an_option_without_known_values_takes_any_text():
    option = Option(summary="Some text.", type="string", default="x", parameter="t")
    assert found_in({**QUERIES["activities"], "text": "y"}, options={"text": option}) == []
    assert found_in({**QUERIES["activities"], "text": 5}, options={"text": option}) == [
        ("policy.bad-option", "5 is no text of activities.", "It must be a text.")
    ]


def test_a_contradiction_between_many_alternatives_is_seen_all_the_same():
    arms = [f'correlationid eq "{n % 2}" and actors.user.id eq "{n % 2}" and id eq "{n}"' for n in range(80)]
    where = f'({" or ".join(arms)}) and correlationid eq "0" and actors.user.id eq "1"'
    (found,) = found_in({**QUERIES["activities"], "where": where})
    assert found[0] == "policy.never-true"


def test_a_mistake_is_told_once_for_all_environments(tmp_path):
    ids = [f"abfba8f6-49eb-49f5-a5d9-80ad5c98f9f{number}" for number in range(3)]
    environments = "".join(f"  e{n}: {{id: {id_}, region: EU}}\n" for n, id_ in enumerate(ids))
    diagnostics(tmp_path, WHERE)
    with (tmp_path / "auditor.yaml").open("a", encoding="utf-8") as stream:
        stream.write(f"environments:\n{environments}")
    assert len(app.validate(app.Job(folder=tmp_path, environ={})).diagnostics) == 1
