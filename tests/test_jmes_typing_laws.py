"""What holds of every expression, type and record: where nothing is wrong, nothing goes wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st

from auditor.config import shipped_kinds
from auditor.jmes import (
    ANY,
    EvaluationError,
    Missing,
    Type,
    Undecided,
    check,
    compile,  # noqa: A004
    list_of,
    parse,
    render,
    sample,
    type_of,
    walk,
)
from auditor.jmes.tree import Comparison, transform
from auditor.model.diagnostic import Mistake
from auditor.model.instant import parse_instant

bounded = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
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
instants = st.sampled_from(
    ["2026-11-21T09:00:00Z", "2026-11-21T09:00:00.000Z", "2026-11-21T10:00:00+01:00", "2026-11-21", "2026-11-20"]
)
numbers = st.integers(-2, 3)


def value_of(schema: dict[str, Any], *, full: bool) -> st.SearchStrategy[Any]:
    """Values of a schema: with every field, or with optional ones left out at will."""
    match schema:
        case {"enum": values}:
            return st.sampled_from(values)
        case {"type": "object"}:
            children = {name: value_of(inner, full=full) for name, inner in schema["properties"].items()}
            needed = [name for name in children if full or name in schema["required"]]
            return st.fixed_dictionaries(
                {name: children[name] for name in needed},
                optional={name: inner for name, inner in children.items() if name not in needed},
            )
        case {"type": "array"}:
            return st.lists(value_of(schema["items"], full=full), min_size=1 if full else 0, max_size=3)
        case {"format": _}:
            return instants
    return {"string": texts, "integer": numbers, "number": st.sampled_from([0, 0.5, 2]), "boolean": st.booleans()}[
        schema["type"]
    ]


full_records = value_of(SCHEMA, full=True)
records = value_of(SCHEMA, full=False)

# --- expressions that mean something

PATHS = {
    "record": {
        "number": ["n", "ratio", "counts.good", "counts.bad", "parts[0].n", "parts[-1].n"],
        "text": ["id", "kind", "user.id", "user.name", "tags[0]", "parts[0].type"],
        "instant": ["at", "later", "user.at", "parts[0].at"],
        "boolean": ["ok", "maybe"],
        "texts": ["tags"],
        "parts": ["parts"],
        "any": ["@", "user", "counts", "tags", "parts[0]"],
    },
    "part": {
        "number": ["n"],
        "text": ["type"],
        "instant": ["at"],
        "boolean": ["n == `1`"],
        "texts": ["[type]"],
        "parts": ["[@]"],
        "any": ["@", "n"],
    },
}


@st.composite
def expressions(draw: st.DrawFn, kind: str, scope: str = "record", depth: int = 3) -> str:
    """Expressions whose parts fit: of numbers, texts, instants, booleans, lists of texts, of numbers, of parts."""

    def a(kind: str, scope: str = scope) -> str:
        return draw(expressions(kind, scope, depth - 1))

    def one(*forms: str) -> str:
        return draw(st.sampled_from(forms))

    paths = PATHS[scope]
    if depth <= 0 or draw(st.integers(0, 3)) == 0:
        literal = {
            "number": f"`{draw(numbers)}`",
            "text": f"'{draw(texts)}'",
            "instant": one(*paths["instant"]),
            "boolean": one(*paths["boolean"], "`true`"),
            "numbers": "[`1`, `2`]",
            "texts": one(*paths["texts"], "['a', 'ab']"),
            "parts": one(*paths["parts"]),
            "any": one(*paths["any"]),
        }[kind]
        return literal if kind not in paths or draw(st.booleans()) else one(*paths[kind])
    match kind:
        case "number":
            form = one("add({}, {})", "length({t})", "sum({ns})", "max({ns})", "div({}, {})", "seconds_between({i}, {i})",
                       "not_null({}, `0`)", "({} || `1`)", "length({ps})", "age_days({i})", "to_number({x})", "hour_of({i})",
                       "({b} && {} || `3`)", "max_gap({ps}, &at).seconds", "count_by({ps}, &{P})[0].count")  # fmt: skip
        case "text":
            form = one("lower({t})", "join('-', {ts})", "not_null({t}, 'x')", "({t} || 'y')", "to_string({x})", "type({x})",
                       "max({ts})", "{ps} | [0].type", "max_by({ps}, &at).type", "{ps}[?{B}] | [0].type",
                       "group_by({ps}, &{P})[0].items[0].type", "merge(@, {{id: {t}}}).id")  # fmt: skip
        case "instant":
            form = one("truncate({i}, 'day')", "not_null({i}, '2026-01-01')", "max({ps}[*].at)", "max_gap({ps}, &at).to",
                       "rate_max({ps}, &{P}, &at, '1h')[0].from", "({i} || '2026-01-01T00:00:00Z')")  # fmt: skip
        case "boolean":
            form = one("{} == {}", "{n} < {n}", "{n} == {n}", "{t} == {t}", "{t} != {t}", "{i} >= {i}", "{i} == {i}", "!({})",
                       "({}) && ({})", "({}) || ({})", "contains({ts}, {t})", "starts_with({t}, {t})", "contains({ns}, {n})",
                       "({x} != `null` && {})", "{x} == `null`", "length({ps}[?{B}]) > `0`", "{ps} | length(@) > `1`",
                       "user != `null` && user.id == {t}", "user && user.id == {t}", "!user || user.at < {i}",
                       "parts[0].n != `null` && parts[0].n > {n}", "type({x}) == 'string'", "{i} < '2026-11-21'",
                       "not_null(maybe, `false`)", "type(user.name) == 'string' && lower(user.name) == {t}")  # fmt: skip
        case "numbers":
            form = one("[{n}, {n}]", "{ps}[*].n", "{ps}[?{B}].n", "map(&length(type), {ps})", "sort({})", "unique({})", "values(counts)",
                       "{ps}[].n", "count_by({ps}, &{P})[*].count", "{ps}[1:].n", "counts.*")  # fmt: skip
        case "texts":
            form = one("[{t}, {t}]", "{ps}[*].type", "{ps}[?{B}].type", "sort({})", "reverse({})", "unique({})", "keys(counts)",
                       "map(&{P}, {ps})", "{ps}[*].[type, type][]", "to_array({t})", "{}[?@ != {t}]")  # fmt: skip
        case "parts":
            form = one("{}[?{B}]", "sort_by({}, &at)", "reverse({})", "{ps}[?n] | [?n > `0`]", "unique({})", "{}[*]", "{}[:1]",
                       "{ps}[*].{{type: type, n: n, at: at}}", "group_by({}, &{P})[].items[]", "to_array({}[0] | not_null(@, {}[0]))")  # fmt: skip
        case _:
            form = one("{n}", "{t}", "{i}", "{ts}", "{ps}", "{b}")
    if scope == "part" and ("user" in form or "counts" in form or "maybe" in form or "parts" in form or "(@, {{" in form):
        form = {"boolean": "{n} == {n}"}.get(kind, "{}") if kind != "any" else "{t}"
    parts = {"n": "number", "t": "text", "i": "instant", "b": "boolean", "ns": "numbers", "ts": "texts", "ps": "parts", "x": "any"}
    fill = {name: a(part) for name, part in parts.items() if f"{{{name}}}" in form}
    fill |= {"B": a("boolean", "part")} if "{B}" in form else {}
    fill |= {"P": a("text", "part")} if "{P}" in form else {}
    own = [f"({a(kind)})" if kind == "boolean" else a(kind) for _ in range(form.replace("{{", "").count("{}"))]
    return form.format(*own, **fill)


def decided(node: Any, value: Any) -> Any:
    """What a decision gives: a value, `Undecided`, or the error; also `Undecided` where a filter could not decide."""
    missing = Missing(select=False)
    try:
        result = compile(node, as_of=AS_OF).decide(value, missing)
    except EvaluationError as error:
        return error
    return missing.found[0][1] if missing.found else result


def holds(found: Type, value: Any) -> bool:
    """Whether a value is one of a type."""
    if found.any:
        return True
    match value:
        case None:
            return found.null
        case bool():
            return found.boolean
        case int() | float():
            return found.number is not None and found.number.whole in (None, float(value).is_integer())
        case str():
            part = found.string
            return part is not None and (part.values is None or value in part.values) and (not part.instant or bool(parse_instant(value)))
        case list():
            array = found.array
            return array is not None and all(holds(array.items, item) for item in value) and all(
                -len(value) <= at < len(value) and holds(inner, value[at]) for at, inner in array.known.items()
            )
    each = found.object
    return each is not None and all(holds(each.fields[n], value.get(n)) for n in each.fields) and all(
        each.rest is not None and holds(each.rest, inner) for n, inner in value.items() if n not in each.fields
    )


meaningful = st.sampled_from(["boolean", "number", "text", "instant", "numbers", "texts", "parts"]).flatmap(expressions)


@settings(bounded, max_examples=3000)
@given(meaningful, st.one_of(records, full_records))
def test_what_has_no_mistake_gives_a_value_of_its_type_or_is_undecided(text, record):
    checking = check(parse(text), GIVEN)
    assume(not checking.mistakes)
    result = decided(checking.node, record)
    if isinstance(result, EvaluationError):
        assert result.code != "jmes.type-error" or checking.warnings
    else:
        assert isinstance(result, Undecided) or holds(checking.type, result)
