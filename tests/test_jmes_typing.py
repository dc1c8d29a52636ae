from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from auditor.config import shipped_kinds
from auditor.jmes import (
    ANY,
    Checking,
    EvaluationError,
    Missing,
    Operand,
    Type,
    Undecided,
    check,
    compile,  # noqa: A004
    list_of,
    object_of,
    parse,
    render,
    sample,
    type_of,
    walk,
)
from auditor.jmes.tree import Comparison
from auditor.jmes.types import MAX_DEPTH, MAX_SIZE
from auditor.jmes.typing import MAX_MISTAKES
from auditor.model.resource import ResourceKind
from auditor.model.value import Value
from tests.test_jmes import DEEPEST

SPEC = Path(__file__).parent / "spec" / "typing"
TABLES = {file.stem: YAML(typ="safe").load(file) for file in sorted(SPEC.glob("*.yaml"))}


def known_values(kind: ResourceKind) -> dict[str, frozenset[str]]:
    """The known values of a kind's attributes by path, as the compiler hands them over."""
    attributes = kind.filter.attributes.values() if kind.filter else ()
    return {a.path: frozenset(a.values) for a in attributes if a.path and a.values}


def type_in(case: dict[str, Any], given: Any) -> Type:
    """The type that a case is checked against."""
    if "schema" in case:
        return type_of(case["schema"])
    given = case.get("given", given)
    kind = shipped_kinds()[given[0] if isinstance(given, list) else given]
    record = type_of(kind.item, known_values(kind))
    return list_of(record, filled=case.get("filled", False)) if isinstance(given, list) else record


def checked(case: dict[str, Any], given: Any) -> Checking:
    sensitive = case.get("sensitive", False)
    values = {name: Value(value, sensitive=sensitive) for name, value in case.get("values", {}).items()}
    return check(parse(case["expression"], values), type_in(case, given), result=case.get("result"))


def cases() -> list[Any]:
    return [
        pytest.param(table["given"], case, id=f"{name}: {case['expression']}")
        for name, table in TABLES.items()
        for case in table["cases"]
    ]


def blamed(text: str, expected: list[Any]) -> list[tuple[str, tuple[int, int]]]:
    """Codes with the spans of the texts that a case names; one that stands more than once has its position."""
    spans = []
    for code, at, *position in expected:
        start = position[0] if position else text.index(at)
        assert position or text.count(at) == 1 or at == text, f"{at} stands more than once"
        spans.append((code, (start, start + len(at))))
    return spans


@pytest.mark.parametrize(("given", "case"), cases())
def test_each_expression_has_the_mistakes_and_warnings_of_its_table_and_no_others(given, case):
    checking = checked(case, given)

    assert [(m.code, m.span) for m in checking.mistakes] == blamed(case["expression"], case.get("errors", []))
    assert [(m.code, m.span) for m in checking.warnings] == blamed(
        case["expression"], case.get("warnings", [])
    )
    told = [*checking.mistakes, *checking.warnings]
    assert not told or case.get("detail", "") in " ".join(m.detail for m in told)
    assert not told or case.get("help", "") in " ".join(m.help for m in told)
    if "type" in case:
        assert str(checking.type) == case["type"]


@pytest.mark.parametrize("case", TABLES["instants"]["cases"], ids=lambda case: case["expression"])
def test_a_comparison_of_instants_is_marked_as_such(case):
    node = checked(case, TABLES["instants"]["given"]).node

    marked = any(isinstance(below, Comparison) and below.instants for below in walk(node))
    assert marked == case.get("instants", False)


def test_no_sensitive_value_is_told():
    for table in TABLES.values():
        for case in table["cases"]:
            if case.get("sensitive"):
                checking = checked(case, table["given"])
                told = [*checking.mistakes, *checking.warnings]
                assert not any("canary" in f"{m.summary}{m.detail}{m.help}" for m in told)
                assert "canary" not in repr(checking.type)


def test_a_path_below_several_queries_is_checked_against_the_records_of_each():
    activities = list_of(type_of(shipped_kinds()["activities"].item))
    counts = list_of(type_of(shipped_kinds()["active_identity_counts"].item))
    joined = object_of({"deletions": activities, "counts": counts})

    assert not check(parse("length(deletions) < max(counts[*].value)"), joined).mistakes
    (mistake,) = check(parse("deletions[*].value"), joined).mistakes
    assert (mistake.code, mistake.span) == ("jmes.unknown-field", (13, 18))


def test_the_type_of_one_result_can_be_given_to_the_next():
    """This is how what `bind` gives is known to what uses it."""
    activities = list_of(type_of(shipped_kinds()["activities"].item))
    ids = check(parse("[?actors.user].actors.user.id"), activities).type

    assert str(check(parse("[0]"), ids).type) == "a text or null"
    assert [m.code for m in check(parse("[*].id"), ids).mistakes] == ["jmes.unknown-field"]


# --- comparisons of instants

INSTANT = {"type": "string", "format": "date-time"}
TIMES = type_of({"type": "object", "properties": {"a": INSTANT, "b": INSTANT}})


def decide(text: str, record: Any) -> Any:
    return compile(check(parse(text), TIMES).node).decide(record, Missing(select=False))


@pytest.mark.parametrize(
    ("text", "record", "result"),
    [
        ("a < b", {"a": "2026-11-21T09:00:00Z", "b": "2026-11-21T09:00:00.001Z"}, True),
        ("a == b", {"a": "2026-11-21T10:00:00+01:00", "b": "2026-11-21T09:00:00.000Z"}, True),
        ("a != '2026-11-21'", {"a": "2026-11-21T00:00:00Z"}, False),
        ("'2026-11-21' <= a", {"a": "2026-11-20T23:30:00-01:00"}, True),
    ],
)
def test_instants_are_compared_whatever_their_format(text, record, result):
    assert decide(text, record) is result
    assert compile(check(parse(text), TIMES).node).search(record) is result


def test_an_instant_that_is_not_there_leaves_a_comparison_undecided():
    assert decide("a < b", {"b": "2026-11-21"}) == Undecided((Operand("a", (0, 1)),))
    assert compile(check(parse("a < b"), TIMES).node).search({"b": "2026-11-21"}) is None
    assert compile(check(parse("a == b"), TIMES).node).search({"b": "2026-11-21"}) is False


@pytest.mark.parametrize("mark", ["==", "!=", "<"])
@pytest.mark.parametrize(("value", "code"), [("soon", "jmes.bad-value"), (5, "jmes.type-error")])
def test_what_is_no_instant_is_an_error_and_never_unequal(mark, value, code):
    with pytest.raises(EvaluationError) as raised:
        decide(f"a {mark} '2026-11-21'", {"a": value})

    assert (raised.value.code, raised.value.span) == (code, (0, 1))
    assert "soon" not in str(raised.value)


def test_a_mark_is_not_written_and_is_found_again():
    node = check(parse("a<b"), TIMES).node

    assert render(node) == "a < b"
    assert node != parse("a < b")
    assert node == check(parse(render(node)), TIMES).node


# --- bounds


@pytest.mark.parametrize("given", [ANY, type_of(shipped_kinds()["activities"].item), list_of(ANY)])
@pytest.mark.parametrize("text", DEEPEST.values(), ids=DEEPEST.keys())
def test_the_deepest_expression_that_is_read_is_also_checked(text, given):
    assert check(parse(text), given).node == parse(text)


@pytest.mark.parametrize("text", ["[@, [@]]", "{a: @, b: [@]}", "values({a: @, b: [@]})", "merge(@, {a: @})"])
def test_a_type_that_grows_without_end_is_forgotten(text):
    found = check(parse(" | ".join([text] * 300)), object_of({})).type

    assert found.size <= MAX_SIZE
    assert found.depth <= MAX_DEPTH


def test_of_very_many_mistakes_the_first_are_told():
    text = " || ".join(f"wrong{number}" for number in range(2 * MAX_MISTAKES))
    mistakes = check(parse(text), object_of({})).mistakes

    assert len(mistakes) == MAX_MISTAKES
    assert mistakes[0].span == (0, 6)


# --- schemas and samples


def test_known_values_are_those_of_a_path_through_objects_and_lists():
    schema = {
        "type": "object",
        "properties": {
            "parts": {
                "type": "array",
                "items": {"type": "object", "properties": {"kind": {"type": "string"}}},
            },
            "tags": {"type": "array", "items": {"type": "string"}},
        },
    }
    known = {"parts.kind": frozenset({"A", "B"}), "tags": frozenset({"x"})}

    def codes(text: str) -> list[str]:
        return [mistake.code for mistake in check(parse(text), type_of(schema, known)).mistakes]

    assert codes("parts[?kind == 'C']") == ["jmes.unknown-value"]
    assert codes("contains(tags, 'y')") == ["jmes.unknown-value"]
    assert codes("contains(tags, 'x') && parts[?kind == 'A']") == []
    assert sample(schema, known) == {"parts": [{"kind": "A"}], "tags": ["x"]}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "examples": ["x", "y"]}, "x"),
        ({"type": "string", "const": "x"}, "x"),
        ({"enum": [5, "x"]}, 5),
        ({"type": "null"}, None),
    ],
)
def test_a_sample_takes_what_the_schema_names(schema, value):
    assert sample(schema) == value


@pytest.mark.parametrize("form", ["date", "date-time", "email", "ipv4", "ipv6", "uri", "uuid"])
def test_a_sample_has_its_format(form):
    schema = {"type": "string", "format": form}

    jsonschema.validate(sample(schema), schema, format_checker=jsonschema.FormatChecker())
