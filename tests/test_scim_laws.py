"""Laws of the SCIM filter language, over generated texts, trees and records."""

from __future__ import annotations

import string
import unicodedata
from copy import deepcopy
from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditor.model.diagnostic import Mistake
from auditor.model.value import Value, Values
from auditor.scim import (
    And,
    Attribute,
    Compare,
    Constant,
    Filter,
    In,
    Literal,
    Literals,
    Not,
    Operator,
    Or,
    Placeholder,
    Present,
    Rule,
    Scalar,
    ValuePath,
    all_of,
    any_of,
    bind,
    operands,
    parse,
    predicate,
    render,
    render_operand,
    terms,
    walk,
)
from tests.support import examples

unhurried = settings(deadline=None)

# Texts that quoting could get wrong: quotes, backslashes, placeholders, controls, halves of characters.
pieces = st.sampled_from(
    ["${", "$${", "$", "{", "}", "${var.x}", '"', "\\", "\n", "\x7f", "😀", "\ud83d", "\ude00"]
)
texts = st.lists(st.one_of(pieces, st.characters(exclude_categories=())), max_size=8).map("".join)
scalars: st.SearchStrategy[Scalar] = st.one_of(
    texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()
)


def trees(
    names: st.SearchStrategy[str],
    single: st.SearchStrategy[Literal | Placeholder],
    several: st.SearchStrategy[Literals | Placeholder],
) -> st.SearchStrategy[Filter]:
    """Return filters of these attributes, with these operands of comparisons and of `in`."""
    named = st.builds(Attribute, names)
    leaves = st.one_of(
        st.builds(Compare, named, st.sampled_from(Operator), single),
        st.builds(In, named, several),
        st.builds(Present, named),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=4).map(all_of),
            st.lists(inner, min_size=2, max_size=4).map(any_of),
            st.builds(Not, inner),
            st.builds(ValuePath, named, inner),
        ),
        max_leaves=8,
    )


# --- Text and tree -----------------------------------------------------------------------------------

SECRETS: Values = {
    "var.secret": Value('" or a pr', sensitive=True),
    "var.pin": Value(1234, sensitive=True),
    "var.secrets": Value(["x", None, "${"], sensitive=True),
}

steps = st.from_regex(r"[A-Za-z_$][A-Za-z0-9_$-]{0,5}", fullmatch=True)
paths = st.lists(steps, min_size=1, max_size=3).map(".".join)
attribute_names = st.one_of(
    paths,
    paths.map("urn:ietf:params:scim:schemas:core:2.0:User:{}".format),
    st.sampled_from(["eq", "in", "true"]),
).filter(lambda name: name.lower() not in {"and", "or", "not"})
literals = st.one_of(
    scalars.map(Literal),
    scalars.map(lambda value: Literal(value, "var.plain")),
    st.sampled_from(["var.secret", "var.pin"]).map(
        lambda name: Literal(SECRETS[name].json, name, sensitive=True)
    ),
    st.builds(Placeholder, st.sampled_from(["bind.x", "window.from"])),
)
lists = st.one_of(
    st.lists(literals, max_size=3).map(lambda items: Literals(tuple(items))),
    st.just(
        Literals(
            tuple(Literal(item, "var.secrets", sensitive=True) for item in SECRETS["var.secrets"].json),
            "var.secrets",
            sensitive=True,
        )
    ),
    st.just(Placeholder("bind.ids")),
)
any_tree = trees(attribute_names, literals, lists)


@unhurried
@given(any_tree)
def test_what_is_printed_parses_to_the_same_tree(tree: Filter):
    assert parse(render(tree), SECRETS) == tree


@unhurried
@given(any_tree)
def test_what_is_printed_is_one_line_that_every_encoding_carries(tree: Filter):
    text = render(tree)

    assert not [character for character in text if unicodedata.category(character) in {"Cc", "Cs"}]


@unhurried
@given(texts)
@example("${")
@example("$${")
@example("$$${")
@example("\ud83d\ude00")
def test_a_string_never_escapes_its_quotes(text: str):
    tree = parse(f"before pr and a eq {render_operand(Literal(text))} and after pr")

    assert isinstance(tree, And)
    assert tree.terms[1] == Compare(Attribute("a"), Operator.EQ, Literal(text))


def skeleton(tree: Filter) -> Filter:
    """Return the tree with every operand replaced by one and the same."""
    nothing = Literal(None)
    match tree:
        case Compare():
            return replace(tree, value=nothing)
        case In():
            return replace(tree, values=Literals((nothing,)))
        case And() | Or():
            return replace(tree, terms=tuple(map(skeleton, tree.terms)))
        case Not():
            return replace(tree, term=skeleton(tree.term))
        case ValuePath():
            return replace(tree, filter=skeleton(tree.filter))
        case Present() | Constant():
            return tree


@unhurried
@given(
    trees(
        attribute_names,
        st.just(Placeholder("bind.x")),
        st.sampled_from([Placeholder("bind.ids"), Literals((Placeholder("bind.x"), Literal(1)))]),
    ),
    st.builds(Value, scalars, st.booleans()),
    st.builds(Value, st.lists(scalars, max_size=3), st.booleans()),
)
def test_no_value_changes_the_shape_of_a_filter(tree: Filter, one: Value, many: Value):
    values = {"bind.x": one, "bind.ids": many}
    bound = bind(tree, values)

    assert skeleton(bound) == skeleton(tree)
    assert parse(render(bound), values) == bound
    assert parse(render(tree), values) == bound
    assert not [o for _, term in terms(bound) for o in operands(term) if isinstance(o, Placeholder)]


TOKENS = """( ) [ ] , a b.c urn:x:y and or not AND pr in eq Ne co gt == = != < && || ! "x" "${var.x}" "$${"
"x\\n" "\\ud800" 'x' 1 -2.5 01 1e9 true null True ${var.x} ${bind.x} ${ $ { } " \\ . * ? @ é 😀"""
words = st.sampled_from(TOKENS.split())
soups = st.lists(st.one_of(words, st.sampled_from([" ", "\n"])), max_size=12).flatmap(
    lambda tokens: st.sampled_from(["", " "]).map(lambda space: space.join(tokens))
)


def attempt(text: str) -> Filter | Mistake:
    """Return the filter, or the mistake that the parser finds."""
    try:
        return parse(text, SECRETS)
    except Mistake as mistake:
        return mistake


@settings(unhurried, max_examples=examples(500))
@given(st.one_of(st.text(), soups, texts))
def test_any_text_is_a_filter_or_a_mistake_that_says_where_and_what_to_do(text: str):
    outcome = attempt(text)

    if isinstance(outcome, Mistake):
        assert outcome.span
        start, end = outcome.span
        assert 0 <= start <= end <= len(text)
        assert outcome.code.startswith("scim.")
        assert outcome.summary
        assert outcome.help
    else:
        assert attempt(render(outcome)) == outcome


@unhurried
@given(any_tree, st.data())
def test_a_text_with_one_character_changed_is_a_filter_or_a_mistake(tree: Filter, data: st.DataObject):
    text = render(tree)
    place = data.draw(st.integers(0, len(text)))
    put = data.draw(st.sampled_from(["", *'"\\$ {}()[],=!x1']))
    outcome = attempt(text[:place] + put + text[place + 1 :])

    assert outcome.help if isinstance(outcome, Mistake) else attempt(render(outcome)) == outcome


@unhurried
@given(any_tree)
def test_every_node_knows_the_text_that_it_was_read_from(tree: Filter):
    text = render(tree)

    for node in walk(parse(text, SECRETS)):
        assert node.span
        assert parse(text[slice(*node.span)], SECRETS) == node


# --- Trees and records -------------------------------------------------------------------------------

KEYS = ["a", "b", "c"]

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 2),
        st.sampled_from([0.0, 1.0, -0.5]),
        st.sampled_from(["", "a", "ab", "B", "1"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner)),
    max_leaves=12,
)
records = st.dictionaries(st.sampled_from(KEYS), json_values)
record_names = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3).map(".".join)
record_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from(["", "a", "b", "A", "1"]),
).map(Literal)
record_trees = trees(
    record_names, record_values, st.lists(record_values, max_size=3).map(lambda items: Literals(tuple(items)))
)
record_terms = st.builds(Attribute, record_names)


def exact(name: str) -> Rule:
    """Return the rule of an attribute that is found at its dotted path."""
    return Rule(tuple(name.split(".")), "any", case_exact=True)


def folding(name: str) -> Rule:
    """Return the same rule with any case for any other."""
    return replace(exact(name), case_exact=False)


def holds(tree: Filter, record: dict[str, Any]) -> bool:
    """Tell whether a record satisfies a filter, in exact case."""
    return predicate(tree, exact)(record)


@unhurried
@given(record_trees, records)
def test_not_not_is_nothing(tree: Filter, record: dict[str, Any]):
    assert holds(Not(Not(tree)), record) is holds(tree, record)
    assert holds(Not(tree), record) is not holds(tree, record)


@unhurried
@given(record_trees, records)
@example(Present(Attribute("a")), {"a": [[1]]})
def test_a_record_stays_as_it_is(tree: Filter, record: dict[str, Any]):
    before = deepcopy(record)

    holds(tree, record)

    assert record == before


@unhurried
@given(st.lists(record_trees, min_size=2, max_size=4), records)
def test_not_turns_and_into_or(parts: list[Filter], record: dict[str, Any]):
    """De Morgan's laws, also for more than two terms."""
    negated = [Not(part) for part in parts]

    assert holds(Not(all_of(parts)), record) is holds(any_of(negated), record)
    assert holds(Not(any_of(parts)), record) is holds(all_of(negated), record)


@unhurried
@given(record_terms, st.lists(record_values, max_size=4), records, st.sampled_from([exact, folding]))
def test_in_is_eq_of_one_of_the_values(
    attribute: Attribute, values: list[Literal], record: dict[str, Any], rules: Any
):
    by_eq = any_of(Compare(attribute, Operator.EQ, value) for value in values)

    assert predicate(In(attribute, Literals(tuple(values))), rules)(record) is predicate(by_eq, rules)(record)


@unhurried
@given(record_terms, record_values.filter(lambda literal: literal.value is not None), records)
def test_order_with_equality_is_order_or_equality(
    attribute: Attribute, value: Literal, record: dict[str, Any]
):
    """Except of booleans, which are equal and in no order."""
    equal = Compare(attribute, Operator.EQ, value)
    for strict, loose in ((Operator.GT, Operator.GE), (Operator.LT, Operator.LE)):
        either = Or((Compare(attribute, strict, value), equal))
        ordered = not isinstance(value.value, bool)

        assert holds(Compare(attribute, loose, value), record) is (ordered and holds(either, record))


@unhurried
@given(st.sampled_from(KEYS), record_values, json_values)
def test_of_a_single_value_ne_is_not_eq(key: str, value: Literal, held: Any):
    attribute = Attribute(key)
    record = {key: None if isinstance(held, list) else held}
    present = holds(Compare(attribute, Operator.NE, Literal(None)), record)
    equal = holds(Compare(attribute, Operator.EQ, value), record)

    assert present is (record[key] is not None)
    assert holds(Compare(attribute, Operator.NE, value), record) is (present and not equal)


@unhurried
@given(record_trees, records, st.integers(1, 3))
def test_how_deep_an_attribute_lies_does_not_matter(tree: Filter, record: dict[str, Any], depth: int):
    def deeper(name: str) -> Rule:
        return replace(exact(name), path=("x",) * depth + exact(name).path)

    nested = record
    for _ in range(depth):
        nested = {"x": nested}

    assert predicate(tree, deeper)(nested) is holds(tree, record)


@unhurried
@given(record_trees, records)
def test_a_list_of_one_value_is_that_value(tree: Filter, record: dict[str, Any]):
    def wrap(value: Any) -> Any:
        if isinstance(value, dict):
            return [{key: wrap(inner) for key, inner in value.items()}]
        return [[wrap(inner) for inner in value]] if isinstance(value, list) else [value]

    (wrapped,) = wrap(record)

    assert holds(tree, wrapped) is holds(tree, record)


@unhurried
@given(record_trees, records)
def test_a_filter_reads_nothing_but_its_attributes(tree: Filter, record: dict[str, Any]):
    reached = {name.split(".")[0] for name, _ in terms(tree)}
    cut = {key: value for key, value in record.items() if key in reached}

    assert holds(tree, cut) is holds(tree, record)


ascii_texts = st.text(string.ascii_letters, max_size=4)


@unhurried
@given(st.sampled_from(Operator), ascii_texts, st.one_of(ascii_texts, st.lists(ascii_texts)))
def test_case_does_not_matter_where_the_rule_folds_it(operator: Operator, text: str, held: Any):
    def test(value: str, record: Any) -> bool:
        return predicate(Compare(Attribute("a"), operator, Literal(value)), folding)({"a": record})

    swapped = held.swapcase() if isinstance(held, str) else [item.swapcase() for item in held]

    assert test(text, held) is test(text.swapcase(), held) is test(text, swapped)
