"""`--engine reference`: verdicts by plain jmespath, for whoever wants to compare."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auditor import jmes
from auditor.jmes.functions import AS_OF as AS_OF_OF_TABLES
from auditor.jmes.tree import Comparison
from auditor.model.instant import parse_instant
from auditor.model.value import Value
from tests.test_cli import AS_OF, auditor, policy  # noqa: F401  # fixtures
from tests.test_evaluator import CASES, WINDOW, event, events, judge, summary
from tests.test_jmes_functions import cases, same

REFERENCE = {"engine": "reference"}

DECIDED = [
    case
    for case in CASES
    if case["gives"][0] in ("pass", "fail")
    and "on_missing" not in str(case["expect"])
    and not case.get("cut")
]


@pytest.mark.parametrize("case", DECIDED, ids=lambda case: f"{case['expect']} of {case['records']}"[:150])
def test_what_is_decided_is_decided_alike(case):
    found = [
        judge(*events(case["records"]), expect=case["expect"], options=options, **case.get("check", {}))
        for options in (None, REFERENCE)
    ]
    assert summary(found[1]) == summary(found[0])
    shown = [[v.fingerprint for outcome in verdict.outcomes for v in outcome.violations] for verdict in found]
    assert shown[1] == shown[0]


def test_what_is_absent_hides_from_jmespath():
    """The difference that the third truth value makes: here is the false pass that plain JMESPath gives."""
    expect = {"none": "[?result.status == 'FAILED']"}
    assert judge(event(0), expect=expect).code == "policy.undecided"
    assert judge(event(0), expect=expect, options=REFERENCE).code == "policy.holds"


def test_an_error_of_jmespath_is_an_error_that_tells_no_value():
    record = event(0, result={"status": ["canary"]})
    verdict = judge(record, expect={"every": "starts_with(result.status, 'x')"}, options=REFERENCE)
    assert verdict.code == "evaluation.error"
    assert "canary" not in verdict.reason


def test_a_sensitive_value_is_compared_with_and_shown_nowhere():
    values = {"var.secret": Value("canary-5f1e", sensitive=True)}
    options: dict[str, Any] = {"variables": values, "options": REFERENCE, "query": WINDOW}
    verdict = judge(event(0), expect={"every": "id != ${var.secret}"}, **options)
    assert verdict.code == "policy.holds"
    assert "canary" not in repr(verdict)


def test_a_list_that_is_too_long_is_refused():
    verdict = judge(*events([{}] * 3), expect="length(@) == `3`", options={**REFERENCE, "max_items": 2})
    assert verdict.code == "evaluation.too-many"


@pytest.mark.parametrize(("as_of", "case"), [case for case in cases() if "result" in case.values[1]])
def test_functions_that_jmespath_lacks_give_the_results_in_their_tables(as_of, case):
    node = jmes.parse(case["expression"], {})
    if any(isinstance(inner, Comparison) for inner in jmes.walk(node)):
        return  # jmespath orders numbers alone
    expression = jmes.ReferenceExpression(node, parse_instant(as_of) if as_of else AS_OF_OF_TABLES)
    if "plain" in case:
        with pytest.raises(jmes.EvaluationError):
            expression.search(case.get("given"))
    else:
        assert same(expression.search(case.get("given")), case["result"])


def test_the_command_line_knows_the_engine(auditor, policy, tmp_path):  # noqa: F811
    records = tmp_path / "events.json"
    records.write_text(json.dumps([{**event(0), "actors": {"client": {"id": "x"}}}]), encoding="utf-8")
    path = policy(expect={"every": "id == 'x'"})
    words = ("check", path, "--records", f"activities={records}", "--json", "--as-of", AS_OF)
    found = [json.loads(auditor(*words, *more).out) for more in ((), ("--engine", "reference"))]
    assert found[0]["verdicts"] == found[1]["verdicts"]
    assert auditor("check", path, "--engine", "quick").code == 1
