"""The SCIM filter language, as tables: tests/spec/scim."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from auditor.model.diagnostic import Mistake
from auditor.model.value import Value
from auditor.scim import (
    MAX_DEPTH,
    MAX_LENGTH,
    And,
    Attribute,
    Compare,
    Constant,
    Filter,
    In,
    Literal,
    Literals,
    Not,
    NotComparable,
    Operator,
    Or,
    Placeholder,
    Predicate,
    Present,
    Rule,
    ValuePath,
    all_of,
    any_of,
    attributes,
    bind,
    operands,
    parse,
    predicate,
    render,
    render_operand,
    terms,
    walk,
)
from tests.support import ROOT, SHARED, needs_shared

SPEC = ROOT / "tests" / "spec" / "scim"
OUTCOMES = frozenset({"tree", "prints", "result", "error", "not_comparable"})


class Case(NamedTuple):
    """One filter of a table, what is given to its group, and one thing that is expected of it."""

    filter: str
    given: dict[str, Any]
    expected: Any

    @property
    def values(self) -> dict[str, Value]:
        """The values of the placeholders."""
        return {name: Value(**value) for name, value in self.given.get("values", {}).items()}

    def parse(self) -> Filter:
        """Read the filter."""
        return parse(self.filter, self.values)

    def predicate(self) -> Predicate:
        """Read and compile the filter."""
        return predicate(self.parse(), self.rule)

    def rule(self, name: str) -> Rule:
        """Return what the table says of an attribute, or else its dotted path, any type and exact case."""
        default = {"path": name.split("."), "type": "any", "case_exact": True}
        rule = default | self.given.get("attributes", {}).get(name, {})
        return Rule(tuple(rule["path"]), rule["type"], rule["case_exact"])


def load(name: str) -> Any:
    """Read a table."""
    return YAML(typ="safe").load((SPEC / name).read_text("utf-8"))


def cases(outcome: str) -> list[Any]:
    """Return the cases of all tables that expect something of this kind."""
    found = []
    for path in sorted(SPEC.glob("*.yaml")):
        if path.name == "identity.yaml":
            continue
        for group in load(path.name):
            assert group.keys() <= {"comment", "given", "cases"}, path
            for case in group["cases"]:
                assert case.keys() - {"filter"} <= OUTCOMES, case
                assert len(case) > 1, case
                if outcome in case:
                    name = f"{path.stem}: {json.dumps(case['filter'])[1:-1]}"
                    found.append(
                        pytest.param(Case(case["filter"], group.get("given", {}), case[outcome]), id=name)
                    )
    return found


def shape(tree: Filter) -> list[Any]:
    """Write a tree as the tables do."""
    match tree:
        case Present(attribute):
            return ["pr", attribute.name]
        case Compare(attribute, operator, value):
            return [operator.value, attribute.name, shown(value)]
        case In(attribute, Literals(items)):
            return ["in", attribute.name, [shown(item) for item in items]]
        case In(attribute, values):
            return ["in", attribute.name, render_operand(values)]
        case ValuePath(attribute, inner):
            return ["path", attribute.name, shape(inner)]
        case Not(term):
            return ["not", shape(term)]
        case And(terms) | Or(terms):
            return [type(tree).__name__.lower(), *map(shape, terms)]
        case Constant(value):
            return [str(value).lower()]


def shown(operand: Literal | Placeholder) -> Any:
    """Write an operand as the tables do."""
    return operand.value if isinstance(operand, Literal) else render_operand(operand)


@pytest.mark.parametrize("case", cases("tree"))
def test_a_text_parses_to_its_tree(case: Case):
    actual = shape(case.parse())

    # As JSON, which unlike Python tells 1, 1.0 and true apart.
    assert json.dumps(actual) == json.dumps(case.expected)


@pytest.mark.parametrize("case", cases("prints"))
def test_a_filter_prints_in_its_canonical_form(case: Case):
    assert render(case.parse()) == case.expected


@pytest.mark.parametrize("text", load("identity.yaml"))
def test_a_canonical_text_prints_as_itself(text: str):
    assert render(parse(text)) == text


@pytest.mark.parametrize("case", cases("result"))
def test_a_filter_selects_a_record_or_does_not(case: Case):
    assert case.predicate()(case.given["record"]) is case.expected


@pytest.mark.parametrize("case", cases("error"))
def test_a_mistake_says_where_it_is_and_what_to_write(case: Case):
    with pytest.raises(Mistake) as caught:
        case.predicate()

    assert (caught.value.code, caught.value.span) == (case.expected["code"], tuple(case.expected["span"]))
    assert case.expected["help"] in caught.value.help
    assert caught.value.summary
    assert caught.value.detail


@pytest.mark.parametrize("case", cases("not_comparable"))
def test_a_value_that_is_no_instant_is_named_with_its_attribute(case: Case):
    test = case.predicate()

    with pytest.raises(NotComparable) as caught:
        test(case.given["record"])

    assert (caught.value.attribute, caught.value.value) == (
        case.expected["attribute"],
        case.expected["value"],
    )
    assert caught.value.attribute in str(caught.value)


@pytest.mark.parametrize("text", load("identity.yaml"))
def test_every_span_cuts_out_the_text_of_its_node(text: str):
    for node in walk(parse(text)):
        assert node.span
        assert parse(text[slice(*node.span)]) == node
    for _, term in terms(parse(text)):
        assert term.attribute.span
        assert text[slice(*term.attribute.span)] == term.attribute.name
        for operand in operands(term):
            assert operand.span
            assert text[slice(*operand.span)] == render_operand(operand)


def test_the_span_of_a_list_runs_from_bracket_to_bracket():
    text = 'a in [ "x" , 1 ] or b in ${bind.ids}'

    spans = [term.values.span for _, term in terms(parse(text)) if isinstance(term, In)]

    assert [text[slice(*span)] for span in spans if span] == ['[ "x" , 1 ]', "${bind.ids}"]


@pytest.mark.parametrize(
    "text", ["a pr and b in ${var.ids}", "a eq ${var.x} or b pr", "a in [1.5, ${var.x}]"]
)
def test_a_bound_value_points_at_its_placeholder(text: str):
    tree = parse(text, {"var.ids": Value(["p", "q"]), "var.x": Value("p")})

    bound = [o for _, term in terms(tree) for o in operands(term) if isinstance(o, Literal) and o.placeholder]

    assert bound
    for operand in bound:
        assert operand.span
        assert text[slice(*operand.span)] == f"${{{operand.placeholder}}}"


def test_a_bound_literal_remembers_its_placeholder():
    tree = parse("a eq ${var.x}", {"var.x": Value("hush", sensitive=True)})

    assert isinstance(tree, Compare)
    assert isinstance(tree.value, Literal)
    assert (tree.value.value, tree.value.placeholder, tree.value.sensitive) == ("hush", "var.x", True)


def test_binding_later_is_binding_at_once():
    text = "a eq ${bind.x} and not (b[c in ${bind.ids} or d in [1, ${bind.x}]])"
    values = {"bind.x": Value("v"), "bind.ids": Value(["p", "q"])}

    assert bind(parse(text), values) == parse(text, values)


def test_binding_leaves_what_has_no_value():
    tree = parse("a eq ${bind.x} or b in ${bind.ids} or c pr")

    assert bind(tree, {}) == tree


def test_a_placeholder_cannot_be_evaluated():
    with pytest.raises(ValueError, match=r"\$\{bind\.x\} has no value yet"):
        predicate(parse("a in [1, ${bind.x}]"), Case("", {}, None).rule)


def test_a_sensitive_value_shows_in_no_representation():
    values = {"var.x": Value("canary", sensitive=True), "var.ids": Value(["canary"], sensitive=True)}
    tree = parse("a eq ${var.x} or a in ${var.ids} or a in [${var.x}]", values)

    assert "canary" not in repr(tree)
    assert "canary" not in render(tree)


@pytest.mark.parametrize("text", ["at eq ${var.x}", "at in ${var.ids}", "at sw ${var.x}"])
def test_a_sensitive_value_shows_in_no_mistake(text: str):
    values = {"var.x": Value("canary", sensitive=True), "var.ids": Value(["canary"], sensitive=True)}

    with pytest.raises(Mistake) as caught:
        predicate(parse(text, values), lambda _: Rule(("at",), "instant", case_exact=True))

    assert "canary" not in repr(caught.value.diagnostic())


def test_the_rule_of_an_attribute_is_asked_for_once_and_by_its_full_name():
    asked = []

    def rules(name: str) -> Rule:
        asked.append(name)
        return Rule(tuple(name.split(".")), "any", case_exact=True)

    predicate(parse('r[t eq "x" or t eq "y"] and r.t pr and r[u pr] and a ne 1 and a ne 2'), rules)

    assert asked == ["r", "r.t", "r.u", "a"]


def test_attributes_are_told_by_their_full_names():
    tree = parse('r[t eq "x" and s[u pr]] or not (a.b in [1] and c pr)')

    assert attributes(tree) == {"r", "r.t", "r.s", "r.s.u", "a.b", "c"}


def test_a_constant_names_no_attribute_and_is_what_it_says():
    for value in (True, False):
        assert attributes(Constant(value)) == frozenset()
        assert predicate(Constant(value), Case("", {}, None).rule)({}) is value


def test_a_constant_cannot_be_printed():
    with pytest.raises(ValueError, match="always false"):
        render(Not(Constant(value=False)))


def test_a_length_of_the_limit_is_read_and_one_more_is_refused():
    text = 'a eq "' + "x" * (MAX_LENGTH - 7) + '"'

    assert isinstance(parse(text), Compare)
    with pytest.raises(Mistake) as caught:
        parse(text + " ")
    assert (caught.value.code, caught.value.span) == ("scim.too-large", (MAX_LENGTH, MAX_LENGTH + 1))


@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("not (", ")"), ("a[", "]")])
def test_a_depth_of_the_limit_works_and_one_more_is_refused(opening: str, closing: str):
    def nested(depth: int) -> str:
        return opening * depth + "a pr" + closing * depth

    tree = parse(nested(MAX_DEPTH))
    assert parse(render(tree)) == tree
    assert predicate(tree, lambda name: Rule(tuple(name.split(".")), "any", case_exact=True))({}) is False
    with pytest.raises(Mistake) as caught:
        parse(nested(MAX_DEPTH + 1))
    assert caught.value.code == "scim.too-large"
    end = len(opening) * (MAX_DEPTH + 1)
    assert caught.value.span == (end - 1, end)


def test_groups_beside_one_another_are_not_nested():
    count = 2 * MAX_DEPTH
    tree = parse(" or ".join(["(a[b pr])"] * count))

    assert isinstance(tree, Or)
    assert len(tree.terms) == count


@pytest.mark.parametrize("text", ["(" * MAX_LENGTH, "a[" * 50_000, "not (" * 20_000, "not " * 25_000])
def test_a_text_of_openings_alone_is_a_mistake(text: str):
    with pytest.raises(Mistake):
        parse(text)


@pytest.mark.parametrize("digits", [309, 5000])
def test_a_number_beyond_a_double_is_a_mistake(digits: int):
    with pytest.raises(Mistake) as caught:
        parse("a eq " + "9" * digits)

    assert (caught.value.code, caught.value.span) == ("scim.too-large", (5, 5 + digits))


def test_a_number_of_three_hundred_and_eight_digits_is_kept_exactly():
    text = "a eq " + "9" * 308

    assert render(parse(text)) == text


def test_only_the_first_mistake_of_a_text_is_reported():
    with pytest.raises(Mistake) as caught:
        parse("a == 1 and b eq 'x' and c eq \"unclosed")

    assert caught.value.span == (2, 4)


def test_arrays_nested_beyond_the_stack_are_walked():
    record: dict[str, Any] = {"a": "x"}
    for _ in range(5000):
        record = {"a": [record["a"]]}

    assert predicate(parse('a eq "x"'), Case("", {}, None).rule)(record)


NOT_FILTERS = {
    "an attribute with a space": lambda: Attribute("a b"),
    "an attribute that is a keyword": lambda: Attribute("NOT"),
    "an attribute that is empty": lambda: Attribute(""),
    "a placeholder with a brace": lambda: Placeholder("var.x}"),
    "a literal that is infinite": lambda: Literal(float("inf")),
    "a literal beyond a double": lambda: Literal(10**309),
    "a literal that is not a number": lambda: Literal(float("nan")),
    "a literal that is a list": lambda: Literal([]),  # type: ignore[arg-type]
    "a literal from no placeholder's name": lambda: Literal("x", "var x"),
    "a sensitive literal without a name": lambda: Literal("x", sensitive=True),
    "a sensitive list without a name": lambda: Literals((), sensitive=True),
    "a junction of one": lambda: And((Present(Attribute("a")),)),
    "a rule without a path": lambda: Rule((), "any", case_exact=True),
}


@pytest.mark.parametrize("make", NOT_FILTERS.values(), ids=NOT_FILTERS.keys())
def test_what_could_not_be_printed_or_found_cannot_be_made(make: Any):
    with pytest.raises(ValueError, match=r"no |finite|two terms|one key|has none"):
        make()


def test_true_and_one_and_one_point_zero_are_three_literals():
    assert len({Literal(value) for value in (True, 1, 1.0)}) == 3


def test_a_junction_takes_up_the_terms_of_its_own_kind():
    a, b, c = (Present(Attribute(name)) for name in "abc")

    assert And((a, And((b, c)))) == And((a, b, c))
    assert Or((And((a, b)), c)) == Or((And((a, b)), c))
    assert len({And((a, b)), Or((a, b))}) == 2


def test_none_of_and_is_true_and_none_of_or_is_false():
    a = Present(Attribute("a"))

    assert (all_of(()), any_of(())) == (Constant(value=True), Constant(value=False))
    assert (all_of([a]), any_of([a])) == (a, a)
    assert (all_of([a, a]), any_of([a, a])) == (And((a, a)), Or((a, a)))


@needs_shared
def test_every_value_of_real_events_is_found_again():
    """Whatever a real event holds at a path, `eq` of it at that path selects the event."""
    text = (SHARED / "data" / "elastic_ping_one_audit_activities.ndjson").read_text("utf-8")
    examined = 0
    for line in text.splitlines():
        event = json.loads(line)
        for path, value in leaves(event):
            tree = Compare(Attribute(".".join(path)), Operator.EQ, Literal(value))
            assert predicate(parse(render(tree)), Case("", {}, None).rule)(event), render(tree)
            examined += 1

    assert examined > 1000


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Return every scalar of a JSON value, with the keys on the way to it."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner, path)]
    return [(path, value)]
