from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jmespath.functions
import pytest
from ruamel.yaml import YAML

from auditor.jmes import FUNCTIONS, Kind, Missing, NullRule, Undecided, compile, parse  # noqa: A004
from auditor.jmes.functions import AS_OF
from auditor.model.diagnostic import Mistake
from auditor.model.instant import parse_instant

TABLES = {
    file.stem: YAML(typ="safe").load(file)
    for file in sorted((Path(__file__).parent / "spec" / "functions").glob("*.yaml"))
}


def cases() -> list[Any]:
    return [
        pytest.param(table.get("as_of"), case, id=f"{name}-{number}")
        for name, table in TABLES.items()
        for number, case in enumerate(table["cases"])
    ]


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal; here 1, 1.0 and true are three."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def search(text: str, given: Any, as_of: str | None) -> Any:
    return compile(parse(text), as_of=parse_instant(as_of) if as_of else None).search(given)


def decide(text: str, given: Any, as_of: str | None = None) -> Any:
    missing = Missing(select=False)
    result = compile(parse(text), as_of=parse_instant(as_of) if as_of else AS_OF).decide(given, missing)
    assert not missing.found
    return result


@pytest.mark.parametrize(("as_of", "case"), [c for c in cases() if "result" in c.values[1]])
def test_a_function_gives_the_result_in_its_table(as_of, case):
    text, given = case["expression"], case.get("given")

    assert same(decide(text, given, as_of), case["result"])
    if "plain" in case:
        with pytest.raises(Mistake) as raised:
            search(text, given, as_of)
        assert raised.value.code == case["plain"]
    else:
        assert same(search(text, given, as_of), case["result"])


@pytest.mark.parametrize(("as_of", "case"), [c for c in cases() if "undecided" in c.values[1]])
def test_a_function_of_what_is_null_is_undecided_and_names_the_operands(as_of, case):
    result = decide(case["expression"], case.get("given"), as_of)

    assert isinstance(result, Undecided)
    assert [operand.text for operand in result.operands] == case["undecided"]
    for operand in result.operands:
        start, end = operand.span
        assert case["expression"][start:end] == operand.text


@pytest.mark.parametrize("evaluate", [search, decide])
@pytest.mark.parametrize(("as_of", "case"), [c for c in cases() if "error" in c.values[1]])
def test_a_function_refuses_what_its_table_says_and_blames_the_argument(as_of, case, evaluate):
    with pytest.raises(Mistake) as raised:
        evaluate(case["expression"], case.get("given"), as_of)

    assert raised.value.code == case["error"]
    assert raised.value.span is not None
    start, end = raised.value.span
    assert case["expression"][start:end] == case.get("at", case["expression"][start:end])


def test_every_function_beyond_the_standard_has_a_table_of_ten_cases_that_shows_each_outcome():
    assert set(TABLES) == {f.name for f in FUNCTIONS.values() if not f.standard}
    for name, table in TABLES.items():
        assert table["function"] == name
        assert len(table["cases"]) >= 10
        assert {"result", "undecided", "error"} <= {key for case in table["cases"] for key in case}
        assert all(f"{name}(" in case["expression"] for case in table["cases"])


def test_the_standard_functions_are_those_of_jmespath():
    expected = {
        name: (
            len(spec["signature"]),
            None if spec["signature"][-1].get("variadic") else len(spec["signature"]),
        )
        for name, spec in jmespath.functions.Functions.FUNCTION_TABLE.items()
    }

    assert {f.name: (f.fewest, f.most) for f in FUNCTIONS.values() if f.standard} == expected


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_example_of_each_function_holds(name):
    example = FUNCTIONS[name].example

    result = compile(parse(example.expression), as_of=AS_OF).search(example.given)

    assert f"{name}(" in example.expression
    assert same(result, example.result)


SAMPLES: dict[str, Any] = {
    "any": "a",
    "boolean, number or string": "a",
    "number": 1,
    "string": "a",
    "number or string": 1,
    "array": [],
    "object": {},
    "array or string": "a",
    "string, array or object": "a",
    "array of numbers": [1],
    "array of strings": ["a"],
    "array of numbers or of strings": ["a"],
    "instant": "2026-11-21T09:00:00Z",
    "duration": 60,
    "hour, day, week or month": "day",
    "time zone": "UTC",
    "network": "10.0.0.0/8",
    "address": "10.0.0.1",
    "pattern": "a",
}


def literal(kind: Kind) -> str:
    return f"`{json.dumps(SAMPLES[kind.name])}`"


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_null_makes_a_call_undecided_exactly_where_the_rule_of_the_parameter_says_so(name):
    function = FUNCTIONS[name]
    for position, parameter in enumerate(function.parameters):
        if parameter.kind.literal:
            continue
        # A reference is evaluated on elements, so a list with one element stands where it is null.
        texts = [
            ("&absent" if at == position else "&@") if p.reference
            else "absent" if at == position
            else '`["2026-11-21T09:00:00Z"]`' if p.kind.name == "array"
            else literal(p.kind)
            for at, p in enumerate(function.parameters)
        ]  # fmt: skip

        result = decide(f"{name}({', '.join(texts)})", {})

        assert isinstance(result, Undecided) == (parameter.null is NullRule.UNDECIDED)


def test_not_null_does_not_look_behind_the_first_value():
    assert decide("not_null(a, lower(absent), b)", {"a": 1}) == 1
    assert isinstance(decide("not_null(absent, lower(absent), b)", {"b": 1}), Undecided)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_says_how_it_is_called(name):
    function = FUNCTIONS[name]
    usage = str(function)

    assert usage.startswith(f"{name}(")
    assert usage.endswith(")")
    assert all(parameter.name in usage for parameter in function.parameters)
    assert function.summary.endswith(".")


def test_the_usage_marks_references_optional_and_repeated_arguments():
    assert str(FUNCTIONS["rate_max"]) == "rate_max(list, &key, &instant, duration)"
    assert str(FUNCTIONS["truncate"]) == "truncate(instant, unit[, zone])"
    assert str(FUNCTIONS["not_null"]) == "not_null(value, …)"


def test_no_message_of_a_refused_argument_holds_its_value():
    for text, given in [
        ("cidr_contains('10.0.0.0/8', @)", "canary"),
        ("age_days(@)", "canary"),
        ("hour_of('2026-11-21T09:00:00Z', @)", "canary"),
        ("rate_max(`[]`, &a, &b, @)", "canary"),
        ("truncate('2026-11-21T09:00:00Z', @)", "canary"),
        ("ceil(@)", "canary"),
        ("contains('text', @)", ["canary"]),
        ("@ < `1`", "canary"),
    ]:
        with pytest.raises(Mistake) as raised:
            compile(parse(text), as_of=AS_OF).search(given)
        shown = (str(raised.value), raised.value.detail, raised.value.help, raised.value.summary)
        assert not any("canary" in each for each in shown)
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__ or raised.value.__context__ is None
