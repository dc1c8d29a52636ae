"""Generated source means what the closures mean: values, what is undecided, and errors with their places."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from auditor.jmes import EvaluationError, Missing, Undecided, check, compile, parse, type_of  # noqa: A004
from auditor.jmes.functions import AS_OF, FUNCTIONS
from auditor.jmes.semantics import Semantics
from auditor.jmes.source import _Writer
from auditor.model.diagnostic import Mistake
from auditor.model.value import Value
from tests.support import examples, needs_shared
from tests.test_jmes_compliance import CODES, cases
from tests.test_jmes_functions import cases as function_cases
from tests.test_jmes_laws import conditions, documents, parsed, partial_records, texts

bounded = settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))


def told(value: Any) -> Any:
    """Return a result in a form in which 1, 1.0 and true, and 0.0 and -0.0 are different."""
    return value if isinstance(value, Undecided) else json.dumps(value)


def outcome(expression: Any, value: Any, *, select: bool | None) -> Any:
    """Return all that an evaluation gives; without *select* of plain JMESPath."""
    missing = Missing(select=bool(select))
    try:
        result = expression.search(value) if select is None else expression.decide(value, missing)
    except EvaluationError as error:
        return error.code, error.summary, error.detail, error.help, error.span
    return told(result), [(told(element), undecided) for element, undecided in missing.found]


def assert_same(node: Any, value: Any) -> None:
    closures, source = compile(node, as_of=AS_OF), compile(node, as_of=AS_OF, generated=True)
    for select in (None, False, True):
        assert outcome(source, value, select=select) == outcome(closures, value, select=select)


@settings(bounded, max_examples=examples(500))
@given(texts, documents)
@example("a == b", {"a": 1, "b": True})
@example("a && b", {"a": 0, "b": None})
@example("a == b && b || !a", {"a": 1})
@example("(a == b && c == a) || c == b", {"a": 1, "c": 1})
@example("[?a == b || c][].a", [{"a": 1}, {"a": [1, 2], "c": True}])
@example("[?[?a == `1`]]", [[{}], [{"a": 1}]])
@example("{a: a == b, b: c == a}", {})
@example("a.b.c", {"a": None})
@example("a.b.c", {"a": {"b": "text"}})
@example("a < `1`", {"a": "x"})
@example("`1` < a", {"a": "x"})
@example("'a' < a", {"a": 1})
@example("[-2]", [1])
@example("[-2]", [1, 2])
@example('contains(`["a", "b"]`, @)', ["a"])
@example('contains(`["a", 1]`, a)', {"a": True})
@example("contains('abc', @)", 1)
@example("[length(a), lower(b)]", {"a": "\ud800"})
@example("length(`1`)", None)
@example("not_null(a == b, c, sort(c))", {"c": 1})
@example("sum(@)", [0.1, 0.2, 0.3, 1e300, -1e300])
@example("{a: a, a: b}", {"a": 1, "b": 2})
@example("(a && b.c) || b.c || [b.c, a]", {"b": {"c": 1}})
@example("[?a == b.c && b.c][].[b.c, a] | [?a] | [[0].b.c]", [{"a": 1, "b": {"c": 1}}, {"b": {}}])
@example("[map(&a.b, @), a.b, @[?a.b].a.b, sort_by(@, &a.b), a.b]", [{"a": {"b": 2}}, {"a": {"b": 1}}])
def test_of_every_expression_on_every_value(text, value):
    assert_same(parsed(text), value)


@settings(bounded, max_examples=examples(80))
@given(conditions, st.lists(partial_records, max_size=4))
def test_of_conditions_on_records_that_lack_fields(text, records):
    for record in records:
        assert_same(parse(text), record)
    for whole in ("[?{}].n", "[?[@][?{}]]", "map(&{}, @)", "max_by([?{}], &n).m", "[].[{}]"):
        assert_same(parse(whole.format(text)), records)


@pytest.mark.parametrize("case", [case.values[1] for case in function_cases()], ids=lambda c: c["expression"])
def test_of_every_case_of_every_function(case):
    try:
        node = parse(case["expression"])
    except Mistake:
        return  # refused before anything is evaluated
    assert_same(node, case.get("given"))


@needs_shared
@pytest.mark.parametrize(("given", "case"), cases("result"))
def test_an_expression_finds_what_the_suite_of_jmespath_says(given, case):
    assert compile(parse(case["expression"]), generated=True).search(given) == case["result"]
    assert_same(parse(case["expression"]), given)


@needs_shared
@pytest.mark.parametrize(("given", "case"), cases("error"))
def test_an_expression_is_the_error_that_the_suite_of_jmespath_says(given, case):
    with pytest.raises(Mistake) as raised:
        compile(parse(case["expression"]), generated=True).search(given)

    assert raised.value.code == CODES[case["error"]]


@needs_shared
@pytest.mark.parametrize(("given", "case"), cases("bench"))
def test_of_the_benchmarks_of_the_suite_of_jmespath(given, case):
    assert_same(parse(case["expression"]), given)


INSTANTS = {
    "type": "object",
    "properties": {name: {"type": "string", "format": "date-time"} for name in ("at", "until")},
}


@pytest.mark.parametrize("at", ["2026-11-21T09:00:00Z", "2026-11-21", "soon", 5, None])
@pytest.mark.parametrize("until", ["2026-11-21T10:00:00+01:00", None])
@pytest.mark.parametrize("text", ["at < until", "at == until", "at != '2026-11-21'", "at >= '2026-11-21'"])
def test_of_instants(text, at, until):
    assert_same(check(parse(text), type_of(INSTANTS)).node, {"at": at, "until": until})


@pytest.mark.parametrize("value", [None, 1, True, "a", ["a"], {}])
def test_of_placeholders(value):
    known = {"var.x": Value(value)}
    for text in ("a == ${var.x}", "contains(${var.x}, a)", "${var.x} || a == b", "[?a == ${var.x}]"):
        for given_value in ({"a": 1}, {}, [{"a": True}, {}]):
            assert_same(parse(text, known), given_value)


@pytest.mark.parametrize(
    "text",
    [
        "[*]" * 100,
        "a" + "[?b" * 60 + "]" * 60,
        "[" * 60 + "a == b" + "]" * 60,
        "{a: " * 60 + "a == b" + "}" * 60,
        "(" * 60 + "a" + " == b || c)" * 60,
        "map(&" * 60 + "a" + ", @)" * 60,
        "a" + ".b" * 500,
    ],
    ids=lambda text: text[:12],
)
def test_of_what_nests_deeper_than_python_follows(text):
    """Also of a value that nests as deep."""
    value: Any = {"a": 1, "b": 2}
    for _ in range(130):
        value = [value, {"a": value, "b": []}] if isinstance(value, dict) else {"a": value, "b": value}

    assert_same(parse(text), {"a": [{"b": 1}, {}]})
    assert_same(parse(text), [[[{"a": 1}, {}]]])
    assert_same(parse(text), [value])


def test_a_value_that_nests_too_deep_to_be_compared_is_an_error():
    value: Any = []
    other: Any = []
    for _ in range(20_000):
        value, other = [value], [other]

    for generated in (True, False):
        with pytest.raises(EvaluationError) as raised:
            compile(parse("a == b"), generated=generated).search({"a": value, "b": other})
        assert raised.value.code == "jmes.too-large"


CANARY = "canary'\"\\\n#{}"


@pytest.mark.parametrize(
    "text",
    [
        '"{}".b == a."{}"',
        "a == '{}' || contains(`[\"{}\"]`, b)",
        '{{"{}": a, b: "{}"}}',
        "[?a == '{}'].\"{}\"",
        "matches(a, '{}') && starts_with(b, '{}')",
        "sort_by(a, &\"{}\")[?b < '{}']",
    ],
)
@pytest.mark.parametrize("decides", [True, False])
def test_no_text_of_an_expression_stands_in_the_source(text, decides):
    inside = json.dumps("canary")[1:-1]
    node = parse(text.format(inside, inside))

    writer = _Writer(Semantics(AS_OF, decides=decides))
    source = writer.function(node)

    assert "canary" not in source
    assert any("canary" in str(constant) for constant in writer.constants.values())


@pytest.mark.parametrize("text", ["[`12345`]", "a[12345]", "a[12345:67890]", "a == `12345`", "{n12345: a}"])
def test_no_number_of_an_expression_stands_in_the_source(text):
    assert "12345" not in _Writer(Semantics(AS_OF, decides=True)).function(parse(text))


@settings(bounded, max_examples=examples(100))
@given(st.text(min_size=1, max_size=20))
@example(CANARY)
@example("v1 = __import__('os')")
@example("\u2028")
@example("\x00")
def test_expressions_of_one_shape_have_one_source(name):
    def source(name: str) -> str:
        known = {"var.x": Value(name)}
        node = parse(f"@.{json.dumps(name).replace('${', '$${')} == ${{var.x}}", known)
        return _Writer(Semantics(AS_OF, decides=True)).function(node)

    assert source(name) == source("other")


def test_a_path_is_read_once_wherever_it_was_read_before():
    def reads(text: str) -> int:
        source = _Writer(Semantics(AS_OF, decides=True)).function(parse(text))
        return source.count(".get(")

    assert reads("a == 'x' || a == 'y' || contains(a, 'z')") == 1
    assert reads("[?a == 'x' && a != b]") == 2
    assert reads("(b && a) || a") == 3  # the first is read only where b is true
    assert reads("[[?a], a]") == 2  # of an element, and of the whole


def test_every_function_has_a_generated_form():
    """Each example of the table, on values that it takes and on those that it does not."""
    for function in FUNCTIONS.values():
        node = parse(function.example.expression)
        for value in (function.example.given, None, 1, -0.5, "a", [], [1], ["a", None], {}, {"a": 1}, True):
            assert_same(node, value)
