"""The changes that tests of a policy should notice: what is changed, and that each is another check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, reject, settings
from ruamel.yaml import YAML

from auditor import compiler, jmes, tester
from auditor.config import shipped_kinds
from auditor.model.diagnostic import Mistake
from auditor.model.environment import Environment
from auditor.model.policy import PolicyFile
from auditor.model.project import LoadedPack, Project
from auditor.model.query import CompiledCheck
from auditor.model.value import Value
from tests.support import ROOT, examples
from tests.test_jmes_laws import texts

TABLE: list[Mapping[str, Any]] = YAML(typ="safe").load(
    (ROOT / "tests" / "spec" / "mutants.yaml").read_text("utf-8")
)
VALUES = {"var.x": Value("v", sensitive=True)}
"""Sensitive, as for mutants: a compiled filter holds the names of no others."""


def compiled(case: Mapping[str, Any]) -> CompiledCheck:
    """Return the check of a row."""
    expect = {key: value for key, value in case.items() if key not in ("where", "query", "mutants")}
    query = {"resource": "activities", "window": "hot", **case.get("query", {})}
    if "where" in case:
        query["where"] = case["where"]
    document = PolicyFile.model_validate(
        {
            "version": 1,
            "pack": {"id": "pack"},
            "checks": {"check": {"title": "A check", "query": query, "expect": expect}},
        }
    )
    project = Project(
        packs=(LoadedPack(id="pack", title="", files={"policy.yaml": document}),),
        environments=(Environment(name="test"),),
        catalogue=shipped_kinds(),
        values={("test", "pack"): VALUES},
    )
    program = compiler.compile(project).value
    assert program is not None
    return program.checks[0]


PLAIN = compiled({"that": "[0].id == 'x'"})


@pytest.mark.parametrize("case", TABLE, ids=lambda case: f"{next(iter(case.values()))}")
def test_every_change_of_a_check_is_tried(case: Mapping[str, Any]):
    check = compiled(case)
    found = list(tester.mutants(check, shipped_kinds()))
    assert [mutant.name for mutant in found] == case["mutants"]
    for mutant in found:
        assert mutant.check != check
        assert mutant.check.values == check.values


@settings(deadline=None, max_examples=examples(100))
@given(texts)
def test_a_changed_expression_is_another_one_that_can_be_read(text: str):
    """Whatever the expression; and each change has a name of its own."""
    try:
        tree = jmes.parse(text)
    except Mistake:
        reject()
    (expectation,) = PLAIN.expectations
    check = replace(PLAIN, expectations=(replace(expectation, expression=text),))
    found = list(tester.mutants(check, shipped_kinds()))
    assert len({mutant.name for mutant in found}) == len(found)
    for mutant in found:
        changed = mutant.check.expectations[0]
        if changed.expression != text:
            assert jmes.parse(changed.expression) != tree
        else:
            assert mutant.check != check
