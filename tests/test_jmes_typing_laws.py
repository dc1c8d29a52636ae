"""What holds of every expression, type and record: where nothing is wrong, nothing goes wrong."""

from __future__ import annotations

import json
import operator
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from auditor.config import shipped_kinds
from auditor.jmes import (
    ANY,
    EvaluationError,
    Missing,
    Node,
    Type,
    Undecided,
    check,
    compile,  # noqa: A004
    parse,
    render,
    sample,
    type_of,
)
from auditor.jmes.tree import Comparison, transform
from auditor.model.diagnostic import Mistake
from auditor.model.instant import format_instant, parse_instant
from auditor.model.value import Value
from tests.support import examples
from tests.test_jmes_laws import parsed
from tests.test_jmes_laws import texts as any_texts
from tests.test_jmes_laws import values as any_values

bounded = settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))
AS_OF = datetime(2026, 11, 21, 9, tzinfo=UTC)

# --- records of one closed schema with a field of every type, required and optional

INSTANT = {"type": "string", "format": "date-time"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id", "at", "kind", "n", "ok", "tags", "parts", "counts"],
    "properties": {
        "id": {"type": "string"},
        "at": INSTANT,
        "later": INSTANT,
        "kind": {"type": "string", "enum": ["A.MADE", "B.MADE", "B.GONE"]},
        "n": {"type": "integer"},
        "ratio": {"type": "number"},
        "ok": {"type": "boolean"},
        "maybe": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "user": {
            "type": "object",
            "required": ["id"],
            "properties": {"id": {"type": "string"}, "name": {"type": "string"}, "at": INSTANT},
        },
        "parts": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "at"],
                "properties": {"type": {"type": "string"}, "at": INSTANT, "n": {"type": "integer"}},
            },
        },
        "counts": {
            "type": "object",
            "required": ["good", "bad"],
            "properties": {"good": {"type": "integer"}, "bad": {"type": "integer"}},
        },
    },
}
GIVEN = type_of(SCHEMA)

texts = st.sampled_from(["", "a", "ab", "B.MADE", "1"])
numbers = st.integers(-2, 3)
INSTANTS = (
    "2026-11-20",
    "2026-11-21",
    "2026-11-21T00:00:00.000Z",
    "2026-11-21T09:00:00Z",
    "2026-11-21T09:00:00.500Z",
    "2026-11-21T10:00:00+01:00",
)
instants = st.sampled_from(INSTANTS)
same_format = instants.map(lambda text: format_instant(parse_instant(text)))


def value_of(
    schema: dict[str, Any], *, full: bool = False, instant: st.SearchStrategy[str] = instants
) -> st.SearchStrategy[Any]:
    """Values of a schema: with every field and no list empty, or with what is optional left out at will."""

    def inner(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        return value_of(schema, full=full, instant=instant)

    match schema:
        case {"enum": values}:
            return st.sampled_from(values)
        case {"type": list(names)}:
            return st.one_of(*(inner({**schema, "type": name}) for name in names))
        case {"type": "object", "properties": children}:
            needed = [name for name in children if full or name in schema["required"]]
            return st.fixed_dictionaries(
                {name: inner(children[name]) for name in needed},
                optional={name: inner(children[name]) for name in children if name not in needed},
            )
        case {"type": "array", "items": items}:
            return st.lists(inner(items), min_size=1 if full else 0, max_size=3)
        case {"format": _}:
            return instant
    return {
        "string": texts,
        "integer": numbers,
        "number": st.sampled_from([0, 0.5, 2]),
        "boolean": st.booleans(),
        "null": st.none(),
    }[schema["type"]]


partial_records = value_of(SCHEMA)
full_records = value_of(SCHEMA, full=True)

# --- expressions that mean something

LEAVES = {
    "record": {
        "number": ["n", "ratio", "counts.good", "parts[0].n", "parts[-1].n", "`2`"],
        "text": ["id", "kind", "user.id", "user.name", "tags[0]", "parts[0].type", "'a'", "'B.MADE'"],
        "instant": ["at", "later", "user.at", "parts[0].at"],
        "boolean": ["ok", "maybe", "`true`"],
        "numbers": ["[`1`, `2`]", "[n, counts.bad]", "values(counts)", "counts.*"],
        "texts": ["tags", "['a', 'ab']", "keys(counts)"],
        "parts": ["parts"],
        "any": ["@", "user", "counts", "tags", "parts[0]"],
    },
    "part": {
        "number": ["n", "`1`"],
        "text": ["type", "'a'"],
        "instant": ["at"],
        "boolean": ["n == `1`", "n != `null`"],
        "numbers": ["[n]"],
        "texts": ["[type]"],
        "parts": ["[@]"],
        "any": ["@", "n"],
    },
}
LARGER = {
    "number": """
        add(<number>, <number>)
        length(<text>)
        length(<parts>)
        sum(<numbers>)
        max(<numbers>)
        div(<number>, <number>)
        seconds_between(<instant>, <instant>)
        age_days(<instant>)
        hour_of(<instant>)
        to_number(<any>)
        not_null(<number>, `0`)
        (<number> || `1`)
        (<boolean> && <number> || `3`)
        max_gap(<parts>, &at).seconds
        count_by(<parts>, &<text of a part>)[0].count
    """,
    "text": """
        lower(<text>)
        join('-', <texts>)
        to_string(<any>)
        type(<any>)
        max(<texts>)
        not_null(<text>, 'x')
        (<text> || 'y')
        (<parts> | [0].type)
        (<parts>[?<boolean of a part>] | [0].type)
        max_by(<parts>, &at).type
        group_by(<parts>, &<text of a part>)[0].items[0].type
        merge({id: <text>}, {n: <number>}).id
    """,
    "instant": """
        truncate(<instant>, 'day')
        not_null(<instant>, '2026-01-01T00:00:00.000Z')
        (<instant> || '2026-01-01T00:00:00.000Z')
        max(<parts>[*].at)
        max_gap(<parts>, &at).to
        rate_max(<parts>, &<text of a part>, &at, '1h')[0].from
    """,
    "boolean": """
        <number> == <number>
        <number> < <number>
        <text> == <text>
        <text> != <text>
        <instant> == <instant>
        <instant> >= <instant>
        <instant> < '2026-11-21T00:00:00.000Z'
        <any> == `null`
        (<boolean>) == (<boolean>)
        !(<boolean>)
        (<boolean>) && (<boolean>)
        (<boolean>) || (<boolean>)
        <any> != `null` && (<boolean>)
        type(<any>) == 'string'
        contains(<texts>, <text>)
        contains(<numbers>, <number>)
        starts_with(<text>, <text>)
        length(<parts>[?<boolean of a part>]) > `0`
        (<parts> | length(@) > `1`)
    """,
    "numbers": """
        [<number>, <number>]
        <parts>[*].n
        <parts>[1:].n
        <parts>[].n
        <parts>[?<boolean of a part>].n
        map(&<number of a part>, <parts>)
        sort(<numbers>)
        unique(<numbers>)
        count_by(<parts>, &<text of a part>)[*].count
    """,
    "texts": """
        [<text>, <text>]
        <parts>[*].type
        <parts>[*].[type, <text of a part>][]
        <parts>[?<boolean of a part>].type
        map(&<text of a part>, <parts>)
        sort(<texts>)
        reverse(<texts>)
        unique(<texts>)
        to_array(<text>)
        (<texts>)[?@ != 'a']
    """,
    "parts": """
        (<parts>)[?<boolean of a part>]
        (<parts>)[?n] | [?n > `0`]
        (<parts>)[*]
        (<parts>)[:1]
        <parts>[*].{type: type, n: n, at: at}
        sort_by(<parts>, &at)
        reverse(<parts>)
        unique(<parts>)
        group_by(<parts>, &<text of a part>)[].items[]
    """,
    "any": "<number>\n<text>\n<instant>\n<boolean>\n<numbers>\n<texts>\n<parts>",
}
GUARDED = """
    user && user.id == <text>
    user != `null` && user.id == <text>
    !user || user.id == <text>
    user == `null` || user.id == <text>
    parts[0].n != `null` && parts[0].n > <number>
    type(user.name) == 'string' && lower(user.name) == <text>
    not_null(maybe, `false`)
"""


def forms(kind: str, scope: str) -> list[str]:
    text = LARGER[kind] + (GUARDED if (kind, scope) == ("boolean", "record") else "")
    return [line.strip() for line in text.splitlines() if line.strip()]


@st.composite
def expressions(draw: st.DrawFn, kind: str, scope: str = "record", depth: int = 3) -> str:
    """Expressions of one kind whose parts mostly fit together."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(LEAVES[scope][kind]))

    def part(found: re.Match[str]) -> str:
        inner = "part" if found["part"] else scope
        text = draw(expressions(found["kind"], inner, depth - 1))
        # A projection goes on over what follows it, and a pipe ends early: both stand in parentheses.
        return f"({text})" if found["kind"] == "parts" or " | " in text else text

    return re.sub(r"<(?P<kind>\w+)(?P<part> of a part)?>", part, draw(st.sampled_from(forms(kind, scope))))


KINDS = ("boolean", "number", "text", "instant", "numbers", "texts", "parts")
meaningful = st.sampled_from(KINDS).flatmap(expressions)

# --- schemas at random, for expressions at random

leaves = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "enum": ["a", "ab"]},
        INSTANT,
        {"type": "integer"},
        {"type": "boolean"},
        {"type": ["integer", "string"]},
        {"type": ["string", "null"]},
    ]
)


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.sampled_from(["a", "b", "c", "x y"]), inner, min_size=2))
    required = [name for name in properties if draw(st.booleans())]
    return {"type": "object", "properties": properties, "required": required}


schemas: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.one_of(objects(inner), inner.map(lambda items: {"type": "array", "items": items})),
    max_leaves=6,
)

# --- what a decision gives


def decided(node: Node, value: Any) -> Any:
    """A value, `Undecided` (also where a filter could not decide an element), or the error."""
    missing = Missing(select=False)
    try:
        result = compile(node, as_of=AS_OF).decide(value, missing)
    except EvaluationError as error:
        return error
    return missing.found[0][1] if missing.found else result


def holds(found: Type, value: Any) -> bool:
    """Whether a value is one of those of a type."""
    if found.any:
        return True
    match value:
        case None:
            return found.null
        case bool():
            return value in found.boolean
        case int() | float():
            return found.number is not None and found.number.whole in (None, float(value).is_integer())
        case str():
            text = found.string
            readable = text is None or not text.instant or isinstance(parse_instant(value), datetime)
            return text is not None and (text.values is None or value in text.values) and readable
        case list():
            array = found.array
            return (
                array is not None
                and all(holds(array.items, item) for item in value)
                and all(-len(value) <= at < len(value) for at in array.known)
                and all(holds(inner, value[at]) for at, inner in array.known.items())
            )
    each = found.object
    return (
        each is not None
        and all(holds(inner, value.get(name)) for name, inner in each.fields.items())
        and all(each.rest and holds(each.rest, value[name]) for name in value.keys() - each.fields.keys())
    )


# --- the laws


@settings(bounded, max_examples=examples(600))
@given(meaningful, partial_records)
def test_without_mistakes_and_warnings_everything_is_decided_and_of_the_type_that_was_found(text, record):
    checking = check(parse(text), GIVEN)
    assume(not checking.mistakes and not checking.warnings)

    result = decided(checking.node, record)

    assert not isinstance(result, EvaluationError | Undecided)
    assert holds(checking.type, result)


@settings(bounded, max_examples=examples(400))
@given(meaningful, full_records)
def test_without_mistakes_no_complete_record_meets_a_type_error(text, record):
    """A list of what an empty selection leaves over may hold null, and a number may divide by 0: undecided."""
    checking = check(parse(text), GIVEN)
    assume(not checking.mistakes)

    result = decided(checking.node, record)

    if isinstance(result, EvaluationError):
        assert result.code != "jmes.type-error" or checking.warnings
    elif not isinstance(result, Undecided):
        assert holds(checking.type, result)


@settings(bounded, max_examples=examples(800))
@given(any_texts, schemas.flatmap(lambda schema: st.tuples(st.just(schema), value_of(schema))))
def test_the_same_holds_of_any_expression_and_any_schema_that_says_all(text, schema_and_value):
    schema, value = schema_and_value
    checking = check(parsed(text), type_of(schema))
    assume(not checking.mistakes)

    result = decided(checking.node, value)

    if isinstance(result, EvaluationError):
        assert result.code != "jmes.type-error" or checking.warnings
    elif isinstance(result, Undecided):
        assert checking.warnings
    else:
        assert holds(checking.type, result)


CODES = {
    "jmes.unknown-field",
    "jmes.unknown-value",
    "jmes.impossible-comparison",
    "jmes.no-order",
    "jmes.not-an-instant",
    "jmes.wrong-type",
    "jmes.not-a-list",
    "jmes.not-boolean",
    "jmes.not-a-list-result",
    "jmes.maybe-missing",
}


@settings(bounded, max_examples=examples(800))
@given(
    st.one_of(any_texts, meaningful),
    st.one_of(schemas.map(type_of), st.just(ANY), st.just(GIVEN)),
    st.sampled_from(["boolean", "list", None]),
    st.builds(Value, any_values, st.booleans()),
)
def test_check_never_raises_blames_characters_of_the_text_and_changes_nothing_but_marks(
    text, given, result, value
):
    text = re.sub(r"'a'|`-?[01]`", "${var.x}", text)
    try:
        node = parse(text, {"var.x": value})
    except Mistake:
        return

    checking = check(node, given, result=result)

    for mistake in (*checking.mistakes, *checking.warnings):
        assert mistake.code in CODES
        assert mistake.span is not None
        start, end = mistake.span
        assert 0 <= start <= end <= len(text)
        assert mistake.detail
    assert render(checking.node) == render(node)
    assert transform(checking.node, unmarked) == node


def unmarked(node: Node) -> Node:
    return replace(node, instants=False) if isinstance(node, Comparison) else node


@bounded
@given(meaningful, value_of(SCHEMA, instant=same_format))
def test_instants_in_one_format_compare_as_their_texts_do(text, record):
    marked = check(parse(text), GIVEN).node

    as_instants, as_texts = decided(marked, record), decided(transform(marked, unmarked), record)

    if isinstance(as_texts, EvaluationError):
        assert as_instants.code == as_texts.code
    else:
        assert as_instants == as_texts


@pytest.mark.parametrize("mark", ["==", "!=", "<", "<=", ">", ">="])
@given(instants, instants)
def test_instants_in_any_format_compare_as_instants(mark, at, later):
    """Offsets, dates, and missing milliseconds change no order."""
    compare = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt}
    expected = compare.get(mark, operator.ge)(parse_instant(at), parse_instant(later))

    for text, record in (
        (f"at {mark} later", {"at": at, "later": later}),
        (f"at {mark} '{later}'", {"at": at}),
    ):
        node = check(parse(text), GIVEN).node
        assert compile(node).decide(record, Missing(select=False)) is expected
        assert compile(node).search(record) is expected


@bounded
@given(
    st.sampled_from(["a", "_embedded.a", "a[0].b", "a[*].b.c", "a.*.b", "a[?b].c[]"]),
    st.sampled_from(["a", "b[0]"]),
)
def test_of_what_is_unknown_nothing_is_said(path, other):
    for text in (
        path,
        f"{path} == {other}",
        f"{path} < {other}",
        f"x[?{path} && !({other})] | [0]",
        f"length({path})",
    ):
        for given_type in (ANY, type_of({"type": "object"})):
            checking = check(parse(text), given_type)
            assert not checking.mistakes
            assert not checking.warnings


# --- samples


@pytest.mark.parametrize("name", sorted(shipped_kinds()))
def test_the_sample_of_a_shipped_kind_is_a_full_record_of_it(name):
    kind = shipped_kinds()[name]
    record = sample(kind.item)

    jsonschema.validate(record, kind.item, format_checker=jsonschema.FormatChecker())
    assert record.keys() == kind.item["properties"].keys()
    assert json.dumps(sample(kind.item)) == json.dumps(record)
    assert holds(type_of(kind.item), record)


@bounded
@given(schemas)
def test_a_sample_is_a_value_of_its_schema_and_of_its_type(schema):
    jsonschema.validate(sample(schema), schema)
    assert holds(type_of(schema), sample(schema))


bounds = st.integers(-20, 20)


@bounded
@given(st.sampled_from(["integer", "number"]), bounds, st.integers(2, 20), st.booleans(), st.booleans())
def test_a_sample_of_a_number_keeps_its_bounds(kind, low, span, above, below):
    schema = {
        "type": kind,
        "exclusiveMinimum" if above else "minimum": low,
        "exclusiveMaximum" if below else "maximum": low + span,
    }

    jsonschema.validate(sample(schema), schema)
    jsonschema.validate(sample({**schema, "multipleOf": 2, "maximum": low + span + 4}), {"multipleOf": 2})


@bounded
@given(st.integers(0, 40), st.integers(0, 40))
def test_a_sample_of_a_text_keeps_its_length(shortest, more):
    schema = {"type": "string", "minLength": shortest, "maxLength": shortest + more}

    jsonschema.validate(sample(schema), schema)


@settings(bounded, max_examples=examples(300))
@given(meaningful)
def test_what_has_no_mistake_has_no_type_error_on_the_sample(text):
    checking = check(parse(text), GIVEN)
    assume(not checking.mistakes)

    result = decided(checking.node, sample(SCHEMA))

    assert not isinstance(result, EvaluationError) or result.code != "jmes.type-error" or checking.warnings
