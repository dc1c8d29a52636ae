from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jmespath
import pytest
from ruamel.yaml import YAML

import auditor.jmes
from auditor.jmes import (
    EvaluationError,
    Expression,
    Missing,
    Operand,
    Undecided,
    compile,  # noqa: A004
    parse,
    render,
    walk,
)
from auditor.jmes.functions import AS_OF
from auditor.jmes.lexer import MAX_CHARACTERS, MAX_NESTING
from auditor.jmes.tree import Call, Field, Literal, Placeholder, Reference
from auditor.model.diagnostic import Mistake
from auditor.model.source import Address
from auditor.model.value import Value

SPEC = Path(__file__).parent / "spec" / "jmes"
VALUES = {
    "var.cap": Value(10),
    "var.clients": Value(["c1", "c2"]),
    "local.name": Value("O'Brien || `true`"),
    "var.nothing": Value(None),
    "var.key": Value("canary", sensitive=True),
}


def table(name: str) -> Any:
    return YAML(typ="safe").load(SPEC / f"{name}.yaml")


def decide(text: str, value: Any, *, select: bool = False) -> Any:
    return compile(parse(text, VALUES)).decide(value, Missing(select=select))


# --- the package


def test_the_package_exports_what_it_lists_in_order():
    assert auditor.jmes.__all__ == sorted(auditor.jmes.__all__, key=lambda name: (name.upper() != name, name))
    assert all(hasattr(auditor.jmes, name) for name in auditor.jmes.__all__)


# --- mistakes


@pytest.mark.parametrize("case", table("mistakes"), ids=lambda case: case["text"])
def test_a_mistake_has_a_code_and_blames_the_right_characters_and_says_what_to_type(case):
    with pytest.raises(Mistake) as raised:
        parse(case["text"], {"var.cap": Value(1)})

    mistake = raised.value
    start = case.get("from", case["text"].find(case["at"]) if case["at"] else len(case["text"]))
    assert mistake.code == case["code"]
    assert mistake.span == (start, start + len(case["at"]))
    assert case.get("help", "") in mistake.help
    assert mistake.summary


def test_a_mistake_becomes_a_diagnostic_at_its_characters():
    with pytest.raises(Mistake) as raised:
        parse("a = b")

    diagnostic = raised.value.diagnostic(Address(file="p.yaml", route=("checks", "x", "expect")))

    assert diagnostic.address == Address(file="p.yaml", route=("checks", "x", "expect"), span=(2, 3))


TOO_DEEP = {
    "parentheses": "(" * 5000 + "a" + ")" * 5000,
    "negations": "!" * 5000 + "a",
    "filters": "a[?" * 5000 + "a" + "]" * 5000,
    "filters one after another": "a" + "[?b]" * 5000,
    "multi-select lists": "[" * 5000 + "a" + "]" * 5000,
    "multi-select hashes": "{a: " * 5000 + "a" + "}" * 5000,
    "calls": "abs(" * 5000 + "a" + ")" * 5000,
    "references": "map(&" * 5000 + "a" + ", a)" * 5000,
    "projections": "a" + "[*].a" * 5000,
    "flattenings": "a" + "[]" * 5000,
    "indices": "a" + "[0]" * 5000,
    "comparisons": "a" + " == a" * 5000,
    "literals": "`" + "[" * 5000 + "]" * 5000 + "`",
    "unclosed brackets": "[" * 50_000,
    "characters": "a" * (MAX_CHARACTERS + 1),
}


@pytest.mark.parametrize("text", TOO_DEEP.values(), ids=TOO_DEEP.keys())
def test_what_is_too_deep_or_too_long_is_refused_and_not_a_crash(text):
    with pytest.raises(Mistake) as raised:
        parse(text)

    assert raised.value.code == "jmes.too-large"


DEEPEST = {
    "parentheses": "(" * (MAX_NESTING - 1) + "a" + ")" * (MAX_NESTING - 1),
    "negations": "!" * (MAX_NESTING - 1) + "a",
    "filters": "a[?" * (MAX_NESTING - 2) + "a" + "]" * (MAX_NESTING - 2),
    "multi-select lists": "[" * (MAX_NESTING - 1) + "a" + "]" * (MAX_NESTING - 1),
    "multi-select hashes": "{a: " * (MAX_NESTING - 1) + "a" + "}" * (MAX_NESTING - 1),
    "calls": "to_array(" * (MAX_NESTING - 1) + "a" + ")" * (MAX_NESTING - 1),
    "projections": "a" + "[*].a" * (MAX_NESTING - 1),
    "indices": "a" + "[0]" * (MAX_NESTING - 1),
    "comparisons": "a" + " == a" * (MAX_NESTING - 1),
    "literals": "`" + "[" * (MAX_NESTING - 1) + "]" * (MAX_NESTING - 1) + "`",
}


@pytest.mark.parametrize("text", DEEPEST.values(), ids=DEEPEST.keys())
def test_the_deepest_expression_that_is_read_is_also_written_and_evaluated(text):
    node = parse(text)

    assert parse(render(node)) == node
    assert compile(node).search({"a": 1}) == jmespath.search(text, {"a": 1})
    decided = compile(node).decide({"a": 1}, Missing(select=False))
    assert isinstance(decided, Undecided) or decided == jmespath.search(text, {"a": 1})


@pytest.mark.parametrize(("mark", "result"), [(".", None), (" | ", None), (" || ", 1), (" && ", 1)])
def test_a_long_chain_is_not_deep(mark, result):
    text = mark.join(["a"] * 10_000)
    node = parse(text)

    assert render(node) == text
    assert compile(node).search({"a": 1}) == result


@pytest.mark.parametrize(
    "text", [f"`{'9' * 309}`", f"`-{'9' * 5000}`", f"a[{'9' * 400}]", "`1e999`", "`-Infinity`"]
)
def test_a_number_that_is_not_finite_is_refused(text):
    with pytest.raises(Mistake) as raised:
        parse(text)

    assert raised.value.code == "jmes.number-out-of-range"


def test_a_value_that_nests_deeper_than_the_machine_allows_is_an_error_and_not_a_crash():
    deep: list[Any] = []
    other: list[Any] = []
    for _ in range(100_000):
        deep, other = [deep], [other]
    expression = compile(parse("a == b"))

    for evaluate in (expression.search, lambda value: expression.decide(value, Missing(select=False))):
        with pytest.raises(EvaluationError) as raised:
            evaluate({"a": deep, "b": other})
        assert raised.value.code == "jmes.too-large"


def test_a_variable_that_nests_too_deep_is_refused():
    deep: list[Any] = []
    for _ in range(MAX_NESTING):
        deep = [deep]

    with pytest.raises(Mistake) as raised:
        parse("${var.x}", {"var.x": Value(deep)})

    assert raised.value.code == "jmes.too-large"


# --- canonical text


@pytest.mark.parametrize("case", table("canonical"), ids=lambda case: case["text"])
def test_an_expression_is_written_back_in_its_canonical_text(case):
    node = parse(case["text"])

    assert render(node) == case["canonical"]
    assert parse(case["canonical"]) == node


def test_nodes_are_equal_by_meaning_and_not_by_place():
    assert parse("a  .b") == parse("a.b")
    assert hash(parse("a  == `[1]`")) == hash(parse("a == `[1]`"))
    assert parse("`1`") != parse("`1.0`")
    assert parse("`1`") != parse("`true`")
    assert parse("`[0]`") != parse("`[false]`")


def test_walk_yields_nodes_in_the_order_in_which_they_are_written():
    node = parse("a[?b == c].d | merge({x: e}, max_by(f, &g), h[0] || !i)")

    names = [below.name for below in walk(node) if isinstance(below, Field | Call)]

    assert names == ["a", "b", "c", "d", "merge", "e", "max_by", "f", "g", "h", "i"]


# --- placeholders


def test_a_placeholder_is_a_literal_that_remembers_where_it_came_from():
    node = parse("contains(${var.clients}, actors.client.id)", VALUES)

    literal = next(n for n in walk(node) if isinstance(n, Literal))
    assert literal == Literal(["c1", "c2"], "var.clients")
    assert literal.span == (9, 23)
    assert compile(node).search({"actors": {"client": {"id": "c2"}}}) is True


def test_a_placeholder_is_written_as_itself_or_as_its_value():
    node = parse("a == ${local.name} && b < ${ var.cap }", VALUES)

    assert render(node) == "a == ${local.name} && b < ${var.cap}"
    assert render(node, placeholders=False) == "a == 'O\\'Brien || `true`' && b < `10`"


def test_a_sensitive_value_is_compared_with_and_never_shown():
    node = parse("token == ${var.key} || lower(${var.key}) < n", VALUES)

    assert compile(node).search({"token": "canary"}) is True
    with pytest.raises(EvaluationError) as raised:
        compile(node).search({"token": "x", "n": 1})
    shown = [
        render(node),
        render(node, placeholders=False),
        repr(node),
        str(raised.value),
        raised.value.detail,
    ]
    assert not any("canary" in text for text in shown)
    assert "${var.key}" in raised.value.detail


def test_a_sensitive_literal_needs_the_name_that_it_is_shown_by():
    with pytest.raises(ValueError, match="name of its placeholder"):
        Literal("canary", sensitive=True)


def test_a_sensitive_pattern_that_cannot_be_read_is_not_shown():
    with pytest.raises(Mistake) as raised:
        parse("matches(a, ${var.p})", {"var.p": Value("canary(", sensitive=True)})

    assert raised.value.code == "jmes.bad-value"
    assert "canary" not in f"{raised.value}{raised.value.detail}{raised.value.help}"


def test_a_value_bound_later_stays_a_placeholder_until_it_is_known():
    node = parse("contains(${bind.ids}, id)")

    assert Placeholder("bind.ids") in walk(node)
    assert render(node) == render(node, placeholders=False) == "contains(${bind.ids}, id)"
    with pytest.raises(Mistake) as raised:
        compile(node)
    assert raised.value.code == "jmes.unresolved-placeholder"
    assert raised.value.span == (9, 20)
    known = parse(render(node), {"bind.ids": Value(["x"])})
    assert compile(known).search({"id": "x"}) is True


def test_a_placeholder_that_happens_to_be_null_is_not_the_literal_null():
    assert decide("a == `null`", {"a": 1}) is False
    assert decide("a == ${var.nothing}", {"a": 1}) == Undecided((Operand("${var.nothing}", (5, 19)),))
    assert decide("contains(a, ${var.nothing})", {"a": []}) == Undecided(
        (Operand("${var.nothing}", (12, 26)),)
    )


def test_a_dollar_and_a_brace_are_escaped_inside_quotes_and_nowhere_else():
    assert compile(parse("'$${x}'")).search(None) == "${x}"
    assert compile(parse('`"$${x}"`')).search(None) == "${x}"
    assert compile(parse('"$${x}"')).search({"${x}": 1}) == 1
    assert compile(parse("'$x $ {y} $$'")).search(None) == "$x $ {y} $$"


def test_a_placeholder_continues_like_any_value():
    known = {"var.map": Value({"k": [1, 2]})}

    assert compile(parse("${var.map}.k[1]", known)).search(None) == 2


# --- decisions

OPERANDS = {"true": "yes == `1`", "false": "yes == `2`", "undecided": "absent == `1`"}


def word(result: Any) -> str:
    return "undecided" if isinstance(result, Undecided) else json.dumps(result)


@pytest.mark.parametrize("row", table("kleene")["pairs"], ids=lambda row: f"{row['left']}-{row['right']}")
def test_and_and_or_follow_kleenes_table(row):
    left, right = OPERANDS[row["left"]], OPERANDS[row["right"]]

    assert word(decide(f"{left} && {right}", {"yes": 1})) == row["and"]
    assert word(decide(f"{left} || {right}", {"yes": 1})) == row["or"]


@pytest.mark.parametrize(("operand", "expected"), table("kleene")["not"].items())
def test_not_follows_kleenes_table(operand, expected):
    assert word(decide(f"!({OPERANDS[operand]})", {"yes": 1})) == expected


def test_the_documentation_of_the_package_holds_kleenes_table():
    letters = {"true": "T", "false": "F", "undecided": "U"}
    kleene = table("kleene")
    rows = [line.split("|") for line in (auditor.jmes.__doc__ or "").splitlines() if line.count("|") == 3]

    documented = {
        (row[0].strip(), right): (conjunction, disjunction)
        for row in rows
        for right, conjunction, disjunction in zip("TFU", row[1].split()[:3], row[2].split()[:3], strict=True)
    }

    assert documented == {
        (letters[row["left"]], letters[row["right"]]): (letters[row["and"]], letters[row["or"]])
        for row in kleene["pairs"]
    }
    assert {row[0].strip(): row[3].strip() for row in rows} == {
        letters[operand]: letters[result] for operand, result in kleene["not"].items()
    }


DECISIONS = [case for group in table("decisions").values() for case in group]


@pytest.mark.parametrize("case", DECISIONS, ids=lambda case: case["expression"])
def test_what_is_null_is_decided_as_the_table_says(case):
    expression = compile(parse(case["expression"]), as_of=AS_OF)
    missing = Missing(select=case.get("select", False))

    if "error" in case:
        with pytest.raises(EvaluationError) as raised:
            expression.decide(case["given"], missing)
        assert raised.value.code == case["error"]
        if "plain" in case:
            assert expression.search(case["given"]) == case["plain"]
        return
    result = expression.decide(case["given"], missing)

    assert [element for element, _ in missing.found] == case.get("found", [])
    if "undecided" in case:
        assert isinstance(result, Undecided)
        assert [operand.text for operand in result.operands] == case["undecided"]
    else:
        assert result == case["result"]


def test_undecided_elements_are_kept_with_the_operands_that_were_null():
    missing = Missing(select=False)

    compile(parse("events[?actors.user.id == id && age > `1`]")).decide(
        {"events": [{"id": 1}, {"id": 1, "age": 0}, {}]}, missing
    )

    assert missing.found == [
        ({"id": 1}, Undecided((Operand("actors.user.id", (8, 22)), Operand("age", (32, 35))))),
        (
            {},
            Undecided(
                (Operand("actors.user.id", (8, 22)), Operand("id", (26, 28)), Operand("age", (32, 35)))
            ),
        ),
    ]


def test_an_undecided_value_has_no_truth():
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(decide("a == `1`", {}))


def test_operands_that_were_null_are_named_once_for_many_elements():
    result = decide("map(&lower(name), @)", [{}] * 1000)

    assert result == Undecided((Operand("name", (11, 15)),))


# --- evaluation


def test_merge_refuses_what_is_no_object_in_every_place():
    """jmespath.py lets all but the first argument through, and merges `["ab"]` as the key a."""
    with pytest.raises(EvaluationError) as raised:
        compile(parse("merge(a, b)")).search({"a": {}, "b": ["ab"]})

    assert raised.value.code == "jmes.type-error"
    assert raised.value.span == (9, 10)


def test_a_tree_that_the_parser_does_not_make_is_a_defect_and_no_policy_error():
    with pytest.raises(AssertionError, match="let no such node through"):
        compile(Reference(Field("a"))).search({"a": 1})


def test_an_expression_holds_no_state_between_values():
    expression = compile(parse("[?n > `1`].n | [0]"))

    assert [expression.search(value) for value in ([{"n": 2}], [], [{"n": 3}])] == [2, None, 3]


@pytest.mark.parametrize(
    ("text", "value", "span"),
    [
        ("a < b", {"a": "1", "b": 2}, (0, 5)),
        ("contains('abc', `1`)", None, (16, 19)),
        ("[0].a < 'b'", [{"a": 1}], (0, 11)),
    ],
)
def test_what_jmespath_lets_crash_is_an_evaluation_error_with_a_span(text, value, span):
    with pytest.raises(EvaluationError) as raised:
        compile(parse(text)).search(value)

    assert raised.value.code == "jmes.type-error"
    assert raised.value.span == span


def test_a_type_error_says_what_was_due_and_what_was_found():
    with pytest.raises(EvaluationError) as raised:
        compile(parse("starts_with(action.type, 'USER.')")).search({"action": {"type": ["x"]}})

    assert raised.value.detail == "text of starts_with is action.type: it must be a string, and is an array"
    assert raised.value.help == "type starts_with(text, prefix)"
    assert raised.value.span == (12, 23)


def test_the_age_of_something_needs_a_clock():
    node = parse("age_days(a) > `90`")

    with pytest.raises(Mistake) as raised:
        compile(node)
    assert raised.value.code == "jmes.no-clock"
    assert raised.value.span == (0, 11)
    assert isinstance(compile(node, as_of=AS_OF), Expression)
