"""What holds of every expression and every value. jmespath.py is the oracle for values."""

from __future__ import annotations

import json
import warnings
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import jmespath
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from auditor.jmes import FUNCTIONS, Missing, Undecided, compile, parse, render, walk  # noqa: A004
from auditor.model.diagnostic import Mistake
from auditor.model.value import Value
from tests.support import examples

if TYPE_CHECKING:
    from collections.abc import Callable

bounded = settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))

# --- values and expressions

NAMES = ("a", "b", "c", "x y", "é")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 2, 10**30, -(10**20), 0.0, -0.0, 1.0, 1.5, 1e300]),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "ab", "é", "1", "2026-11-21T09:00:00Z", "\x00", "\ud800"]),
    st.text(max_size=3).filter(lambda text: "${" not in text),  # which is a placeholder to us alone
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4))


values = st.recursive(scalars, containers, max_leaves=12)
documents = st.one_of(
    values, st.fixed_dictionaries({"a": values, "b": st.lists(values, max_size=3), "c": values})
)

literals = st.one_of(
    scalars.map(lambda value: "`" + json.dumps(value).replace("`", "\\`") + "`"),
    st.sampled_from(
        ["`null`", "`[]`", "`{}`", "`[true, 0]`", '`{"a": [1]}`', "'a'", "''", "'it\\'s'", "`a`"]
    ),
)
atoms = st.one_of(
    st.sampled_from(["a", "b", "c", '"x y"', '"\\u00e9"', "a.b", "b[0].c"]),
    st.sampled_from(["@", "a", "*", "[*]", "[]", "[0]", "[-1]", "[::-1]"]),
    literals,
)

STANDARD = [f for f in FUNCTIONS.values() if f.standard and f.name != "map"]
WITH_REFERENCE = [f.name for f in STANDARD if f.parameters[-1].reference]
ONE_ARGUMENT = [f.name for f in STANDARD if f.fewest == 1]
# jmespath.py looks at the type of only the first argument of `merge`, and then merges texts and lists.
TWO_ARGUMENTS = [f.name for f in STANDARD if f.fewest == 2 and f.name not in WITH_REFERENCE] + ["not_null"]


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Build expressions from smaller ones as people write them: parentheses only sometimes."""
    operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "&&", "||", "|"])
    suffixes = st.sampled_from(
        ["[*]", "[]", "[0]", "[-2]", "[1:]", "[:2]", ".*", ".a", ".b", '."x y"', ".{a: a, b: @}", ".[a, b]"]
    )
    return st.one_of(
        st.builds("({})".format, inner),
        st.builds("!{}".format, inner),
        st.builds("{} {} {}".format, inner, operators, inner),
        st.builds("({}) {} ({})".format, inner, operators, inner),
        st.builds("{}{}".format, inner, suffixes),
        st.builds("{}[?{}]".format, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{a: {}, b: {}}}".format, inner, inner),
        st.builds("{}({})".format, st.sampled_from(ONE_ARGUMENT), inner),
        st.builds("{}({}, {})".format, st.sampled_from(TWO_ARGUMENTS), inner, inner),
        st.builds("{}({}, &{})".format, st.sampled_from(WITH_REFERENCE), inner, inner),
        st.builds("map(&{}, {})".format, inner, inner),
    )


texts = st.recursive(atoms, larger, max_leaves=8)

# --- both engines


def oracle(text: str, value: Any) -> str:
    """Return what jmespath.py finds, as JSON, or that it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # strings in backticks without quotes
        try:
            return json.dumps(jmespath.search(text, value))
        except (ValueError, TypeError, OverflowError):
            return "error"


def found(text: str, value: Any) -> str:
    try:
        return json.dumps(compile(parse(text)).search(value))
    except Mistake:
        return "error"


def accepted_by_oracle(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        try:
            jmespath.compile(text)
        except ValueError:
            return False
    return True


def outcome(run: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a call returns, or the mistake that it raises."""
    try:
        return run(*arguments)
    except (Mistake, OverflowError) as mistake:
        return mistake


def parsed(text: str) -> Any:
    """Return the tree of a text that is an expression; others are not of interest."""
    node = outcome(parse, text)
    assume(not isinstance(node, Mistake))
    return node


# --- the laws of JMESPath


@settings(bounded, max_examples=examples(1200))
@given(texts, documents)
@example("a == b", {"a": 1, "b": True})
@example("contains(@, `1`)", [True])
@example("[a] == [b]", {"a": 0, "b": False})
@example("a < b", {"a": "1", "b": 2})
@example("!a.b", {"a": {"b": 0}})
@example("a.*.a.b", {"a": {"b": {"a": {"b": 1}}}})
@example("avg(@)", [10**400])
@example("sum(@)", [10**400, 0.5])
@example("ceil(to_number(@))", "inf")
@example("to_number(@)", "1_000")
@example("to_string(@)", ["é", "\ud800", -0.0])
@example("[a b] | contains(@ `1`)", {"a": 1})
@example("[0][1:][*]", [[None, {}]])
@example("[0][0:].a", [[None, {"a": 1}]])
@example("(a[0])[:2][0:][0]", {"a": [[None, 1]]})
@example("a.b[0][::-1] | [0]", {"a": {"b": [[None, 1]]}})
@example("a[1:][0]", {"a": [1, [2]]})
@example("a[*][0][1:]", {"a": [[[1, None, 2]]]})
def test_search_finds_what_jmespath_finds_or_both_are_errors(text, value):
    assert found(text, value) == oracle(text, value)


@settings(bounded, max_examples=examples(1500))
@given(texts)
@example("a.[*]")
@example("[@.*]")
@example("(a.b)[0]")
@example("(a[*].b)[?c]")
@example("a[*].[b].c")
@example("a[*][b].c")
@example("(a.*.b).c.d")
@example("!(a.b) || !a.b")
@example("(a || b) || c && (d || e)")
@example("(a | b) | c")
@example("a[][*][].b[]")
@example("a[0][1:].b[1:]")
@example("(a[0] | @)[1:]")
@example("(a[0][1:])[*]")
@example("a.b[0][1:][2:][0]")
@example("[0][:1]")
@example('`"\\u0060 ${`'.replace("${", "$${"))
def test_a_canonical_text_is_the_same_expression_and_stays_as_it_is(text):
    node = parsed(text)
    canonical = render(node)

    assert parse(canonical) == node
    assert render(parse(canonical)) == canonical
    assert "\n" not in canonical


@bounded
@given(texts, documents)
def test_a_canonical_text_means_the_same_to_jmespath(text, value):
    canonical = render(parsed(text))

    assert oracle(canonical, value) == oracle(text, value)


WORDS = """
    a b length contains "x" 't' `1` `x` 1 -1 0 : . . * [ [ ] ] [] [? ( ) { } , | || && ! == < >= @
    a.b [*] [0] [?a] .* {a:b} .[a,b] ${var.x} $ # ' ` " \\
"""
TOKENS = [*WORDS.split(), " ", "\n"]
STRICTER = {
    "jmes.unknown-function",
    "jmes.wrong-argument-count",
    "jmes.zero-step",
    "jmes.number-out-of-range",
    "jmes.unknown-placeholder",
    "jmes.placeholder-in-quotes",
}
"""What is refused on purpose although jmespath.py accepts it until it is evaluated, or for ever."""


@settings(bounded, max_examples=examples(1500))
@given(st.lists(st.sampled_from(TOKENS), max_size=10).map("".join))
@example("contains(a b)")
@example("{a: a b: b}")
@example("(length)(@)")
@example("a[?b][]")
@example("a [0]")
@example("[ ]")
@example("a[0 1]")
def test_the_grammar_is_that_of_jmespath(text):
    node = outcome(parse, text)

    if isinstance(node, Mistake):
        assert node.code in STRICTER or not accepted_by_oracle(text)
    else:
        assert accepted_by_oracle(text)


# --- the laws of mistakes


@settings(bounded, max_examples=examples(1500))
@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(st.sampled_from(TOKENS), max_size=12).map("".join),
        st.text(alphabet="ab01.'`\"\\${}[]()|&!=<>?*@:, ", max_size=30),
    ),
    values,
)
def test_no_text_and_no_value_raises_anything_but_a_mistake_with_a_span_inside_the_text(text, value):
    mistakes = [
        outcome(lambda: compile(parse(text)).search(value)),
        outcome(lambda: compile(parse(text)).decide(value, Missing(select=True))),
    ]

    for mistake in mistakes:
        if isinstance(mistake, Mistake):
            assert mistake.code.startswith("jmes.")
            assert mistake.span is not None
            start, end = mistake.span
            assert 0 <= start <= end <= len(text)


@bounded
@given(texts)
def test_the_span_of_a_node_is_the_text_that_it_was_read_from(text):
    """Of a field, of a call and of the whole expression, the characters in the span say the same by themselves."""
    node = parsed(text)

    for below in walk(node):
        start, end = below.span
        assert node.span[0] <= start <= end <= node.span[1]
        if type(below).__name__ in {"Field", "Call", "Literal", "MultiSelectList", "MultiSelectHash"}:
            assert parse(text[start:end]) == below


# --- the laws of decisions


def is_exact(text: str) -> bool:
    """Whether an expression adds no floats, which decisions add exactly and jmespath.py one by one."""
    return "sum(" not in text and "avg(" not in text


@settings(bounded, max_examples=examples(1200))
@given(
    texts.filter(
        lambda text: "&&" not in text and "||" not in text and "not_null" not in text and is_exact(text)
    ),
    values,
)
def test_a_decision_without_anything_undecided_is_the_result_of_search(text, value):
    expression = compile(parsed(text))
    missing = Missing(select=False)
    decided = outcome(expression.decide, value, missing)
    assume(not isinstance(decided, Mistake | Undecided) and not missing.found)

    assert json.dumps(decided) == json.dumps(expression.search(value))


FIELDS = ("n", "m", "s", "t", "f", "g")
complete_records = st.fixed_dictionaries(
    {
        "n": st.integers(0, 3),
        "m": st.one_of(st.integers(0, 3), st.sampled_from([0.5, 1.0])),
        "s": st.sampled_from(["", "a", "ab"]),
        "t": st.sampled_from(["a", "ab", "b"]),
        "f": st.booleans(),
        "g": st.booleans(),
    }
)
terms = st.one_of(
    st.builds(
        "{} {} {}".format, st.sampled_from("nm"), st.sampled_from(["==", "<", ">="]), st.sampled_from("nm")
    ),
    st.builds("{} {} `{}`".format, st.sampled_from("nm"), st.sampled_from(["!=", "<="]), st.integers(0, 2)),
    st.builds(
        "{} {} '{}'".format,
        st.sampled_from("st"),
        st.sampled_from(["==", "!=", ">"]),
        st.sampled_from(["a", "ab"]),
    ),
    st.builds("{} == `{}`".format, st.sampled_from("fg"), st.sampled_from(["true", "false"])),
    st.builds("{}(s, t)".format, st.sampled_from(["contains", "starts_with", "ends_with"])),
    st.sampled_from(["length(s) == n", "add(n, m) > `2`", "lower(t) == 'a'", "sum([n, `1`]) > `2`"]),
)
conditions = st.recursive(
    terms,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=8,
)


@bounded
@given(conditions, complete_records)
def test_with_no_null_anywhere_a_decision_is_the_result_of_search(text, record):
    expression = compile(parse(text))
    missing = Missing(select=False)

    assert expression.decide(record, missing) is expression.search(record)
    assert not missing.found


@settings(bounded, max_examples=examples(1200))
@given(conditions.filter(lambda text: "sum" not in text), complete_records, st.sets(st.sampled_from(FIELDS)))
def test_what_is_decided_without_a_field_holds_whatever_the_field_turns_out_to_be(text, record, hidden):
    """This is why no absent field can make a check pass: a decision never rests on one."""
    expression = compile(parse(text))
    partial = {name: value for name, value in record.items() if name not in hidden}

    decided = expression.decide(partial, Missing(select=False))

    if isinstance(decided, Undecided):
        assert {operand.text for operand in decided.operands} <= hidden
    else:
        assert decided is expression.search(record)


partial_records = st.builds(
    lambda record, hidden: {k: v for k, v in record.items() if k not in hidden},
    complete_records,
    st.sets(st.sampled_from(FIELDS)),
)


@bounded
@given(conditions.filter(lambda text: "sum" not in text), st.lists(partial_records, max_size=6))
def test_an_outermost_filter_selects_what_is_true_and_hands_over_what_is_undecided(text, records):
    condition, selection = compile(parse(text)), compile(parse(f"[?{text}]"))
    verdicts = [condition.decide(record, Missing(select=False)) for record in records]
    undecided = [r for r, v in zip(records, verdicts, strict=True) if isinstance(v, Undecided)]

    for select in (False, True):
        missing = Missing(select=select)
        selected = selection.decide(records, missing)

        assert [element for element, _ in missing.found] == undecided
        assert selected == [
            r
            for r, v in zip(records, verdicts, strict=True)
            if (select if isinstance(v, Undecided) else v is True)
        ]


@bounded
@given(conditions.filter(lambda text: "sum" not in text), st.lists(partial_records, max_size=4))
@pytest.mark.parametrize("inner", ["[?length([?{}]) > `0`]", "map(&length([?{}]), @)"])
def test_a_filter_inside_a_condition_or_a_reference_is_undecided_as_soon_as_one_element_is(
    inner, text, records
):
    verdicts = [compile(parse(text)).decide(record, Missing(select=False)) for record in records]
    missing = Missing(select=False)

    result = compile(parse(inner.format(text))).decide([records], missing)

    undecided = isinstance(result, Undecided) or bool(missing.found)
    assert undecided == any(isinstance(verdict, Undecided) for verdict in verdicts)


# --- placeholders


@bounded
@given(values, st.booleans(), values)
def test_a_placeholder_is_its_value_and_nothing_else(value, sensitive, given_value):
    """Whatever a variable holds, it cannot change the shape of an expression."""
    known = {"var.x": Value(value, sensitive=sensitive)}
    node = parse("[a, ${var.x}, b]", known)
    canonical = render(node)

    assert canonical == "[a, ${var.x}, b]"
    assert parse(canonical, known) == node
    record = {"a": given_value, "b": 1}
    assert json.dumps(compile(node).search(record)) == json.dumps([given_value, value, 1])
    if not sensitive:
        assert compile(parse(render(node, placeholders=False))).search(record) == compile(node).search(record)


@bounded
@given(st.text(max_size=20))
@example("${var.x}")
@example("$${")
@example("it's")
@example("\\'")
@example("\u202e")
def test_any_text_survives_as_a_literal_and_as_a_name(text):
    known = {"var.x": Value(text)}
    literal = render(parse("${var.x}", known), placeholders=False)

    assert compile(parse(literal)).search(None) == text
    name = render(parse(f"@.{json.dumps(text).replace('${', '$${')}"))
    assert compile(parse(name)).search({text: 1}) == 1
    assert literal.isprintable()
    assert name.isprintable()


# --- sums

numbers = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.1, 1e300, -1e300, 2**60]),
)


@settings(bounded, max_examples=examples(150))
@given(st.lists(numbers, min_size=1, max_size=12), st.randoms(use_true_random=False))
@example([0.1] * 10, None)
@example([1e308, 1e308, -1e308], None)
@example([2**53, 1, 0.0], None)
@example([10**400, 0.5], None)
def test_a_decided_sum_is_exact_and_rounded_once_in_whatever_order(items, random):
    shuffled = random.sample(items, len(items)) if random else items[::-1]
    total = sum(map(Fraction, items), Fraction())
    whole = all(isinstance(item, int) for item in items)

    for text, exact, as_integer in (("sum(@)", total, whole), ("avg(@)", total / len(items), False)):
        expected = outcome(int if as_integer else float, exact)
        for order in (items, shuffled):
            result = outcome(compile(parse(text)).decide, order, Missing(select=False))

            if isinstance(expected, OverflowError):
                assert isinstance(result, Mistake)
                assert result.code == "jmes.too-large"
            else:
                assert repr(result) == repr(expected)
