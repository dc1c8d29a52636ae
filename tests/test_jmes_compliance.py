"""The official compliance suite of JMESPath (jmespath.test), where it is on the machine."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import jmespath
import pytest

from auditor.jmes import Missing, Undecided, compile, parse, render  # noqa: A004
from auditor.model.diagnostic import Mistake
from tests.support import SHARED, needs_shared

if TYPE_CHECKING:
    from collections.abc import Callable

CODES = {
    "syntax": "jmes.syntax",
    "invalid-type": "jmes.type-error",
    "invalid-arity": "jmes.wrong-argument-count",
    "unknown-function": "jmes.unknown-function",
    "invalid-value": "jmes.zero-step",
}
"""The suite's words for errors, and ours."""


def outcome(run: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a call returns, or the mistake or error that it raises."""
    try:
        return run(*arguments)
    except (Mistake, ValueError, TypeError, OverflowError) as error:
        return error


def cases(kind: str) -> list[Any]:
    return [
        pytest.param(group["given"], case, id=f"{file.stem}-{case['expression'][:40]}")
        for file in sorted((SHARED / "data" / "jmespath-compliance").glob("*.json"))
        for group in json.loads(file.read_text())
        for case in group["cases"]
        if kind in case
    ]


@needs_shared
@pytest.mark.parametrize(("given", "case"), cases("result"))
def test_an_expression_finds_what_the_suite_says_also_in_its_canonical_text(given, case):
    node = parse(case["expression"])
    again = parse(render(node))

    assert again == node
    assert compile(node).search(given) == case["result"]
    assert compile(again).search(given) == case["result"]


@needs_shared
@pytest.mark.parametrize(("given", "case"), cases("error"))
def test_an_expression_is_the_error_that_the_suite_says(given, case):
    with pytest.raises(Mistake) as raised:
        compile(parse(case["expression"])).search(given)

    assert raised.value.code == CODES[case["error"]]
    assert raised.value.span is not None
    start, end = raised.value.span
    assert 0 <= start <= end <= len(case["expression"])


@needs_shared
@pytest.mark.parametrize(("given", "case"), cases("bench"))
def test_the_benchmarks_of_the_suite_give_the_results_of_jmespath(given, case):
    expected = jmespath.search(case["expression"], given)

    assert compile(parse(case["expression"])).search(given) == expected
    assert parse(render(parse(case["expression"]))) == parse(case["expression"])


@needs_shared
@pytest.mark.parametrize(("given", "case"), cases("result"))
def test_a_decision_without_anything_undecided_is_the_result_of_the_suite(given, case):
    missing = Missing(select=False)

    decided = outcome(compile(parse(case["expression"])).decide, given, missing)

    if isinstance(decided, Mistake):
        # Orderings that JMESPath answers with null are errors where a decision is due.
        assert decided.summary == "values of these types have no order"
    else:
        assert isinstance(decided, Undecided) or missing.found or decided == case["result"]


@needs_shared
def test_every_expression_of_the_suite_finds_the_same_as_jmespath_in_every_document():
    """Each of the suite's expressions on each of its documents, values or the fact of an error."""
    files = sorted((SHARED / "data" / "jmespath-compliance").glob("*.json"))
    groups = [group for file in files for group in json.loads(file.read_text())]
    documents = list({json.dumps(group["given"]): group["given"] for group in groups}.values())
    texts = {case["expression"] for group in groups for case in group["cases"]}
    compared = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # strings in backticks without quotes
        for text in sorted(texts):
            node = outcome(parse, text)
            if isinstance(node, Mistake):
                continue
            ours, theirs = compile(node), jmespath.compile(text)
            for document in documents:
                expected = outcome(theirs.search, document)
                found = outcome(ours.search, document)
                if isinstance(expected, Exception):
                    assert isinstance(found, Mistake), (text, document)
                else:
                    assert repr(found) == repr(expected), (text, document)
                compared += 1

    assert compared > 50_000
