"""Streams: records in any parts, in any order, give what the expression gives on the whole list."""

from __future__ import annotations

import copy
import json
import pickle
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from auditor.jmes import (
    FUNCTIONS,
    STREAMING,
    EvaluationError,
    Missing,
    Template,
    Undecided,
    compile,  # noqa: A004
    parse,
    stream,
)
from auditor.jmes.functions import AS_OF
from auditor.model.diagnostic import Mistake
from auditor.model.value import Value
from tests.support import examples, needs_shared
from tests.test_jmes_compliance import CODES, cases
from tests.test_jmes_functions import cases as function_cases
from tests.test_jmes_laws import conditions, is_exact, parsed, partial_records, texts, values

bounded = settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))


def told(value: Any) -> Any:
    """Return a result in a form in which 1, 1.0 and true are three, and sets have no order."""
    return value if isinstance(value, Undecided) else json.dumps(value)


def problem(error: EvaluationError) -> Any:
    return error.code, error.summary, error.detail, error.help, error.span


def whole(node: Any, records: Any, select: Any) -> Any:
    """Return what an expression gives on the whole list: the reference of every law here."""
    expression, missing = compile(node, as_of=AS_OF), Missing(select=bool(select))
    try:
        result = expression.search(records) if select is None else expression.decide(records, missing)
    except EvaluationError as error:
        return problem(error)
    operands = Counter(operand for _, undecided in missing.found for operand in undecided.operands)
    found = {id(element) for element, _ in missing.found}
    return told(result), len(missing.found), operands, sum(id(record) in found for record in records)


def streamed(node: Any, parts: list[list[tuple[Any, Any]]], select: Any, **bounds: Any) -> Any:
    """Return what a stream gives when each part is reduced by itself, elsewhere, and all are merged."""
    reducer = stream(node, as_of=AS_OF, select=select, **bounds)
    states = []
    for part in parts:
        state = reducer.initial()
        for key, record in part:
            reducer.step(state, key, record)
        states.append(pickle.loads(pickle.dumps(state)))  # noqa: S301  # our own
    total = reducer.initial()
    for state in states:
        total = reducer.merge(total, state)
    try:
        reduced = reducer.finish(total)
    except EvaluationError as error:
        return problem(error)
    return told(reduced.result), reduced.undecided, Counter(reduced.operands), reduced.records


def split(records: list[Any], random: Any) -> list[list[tuple[Any, Any]]]:
    """Return records with their keys, in any number of parts and any order."""
    keyed = [((number // 2, str(number)), record) for number, record in enumerate(records)]
    parts: list[list[tuple[Any, Any]]] = [[] for _ in range(random.randint(1, 4))]
    for entry in random.sample(keyed, len(keyed)):
        random.choice(parts).append(entry)
    return parts


def assert_same(node: Any, records: list[Any], random: Any, selects: tuple[Any, ...] = (False, True)) -> None:
    parts = split(records, random)
    for select in selects:
        # The states are pickled, so records are no longer the same objects: an equal copy each.
        records = [copy.deepcopy(record) for record in records]
        found, expected = streamed(node, parts, select), whole(node, records, select)
        if not all(isinstance(record, dict | list) for record in records) and len(found) == 4:
            # Records are counted by being the same object, which one null is as another.
            found, expected = found[:3], expected[:3]
        assert found == expected


# --- what audits are made of

FLOWS = (
    "@",
    "[?{}]",
    "[].n",
    "[?{}].n",
    "[].{{n: n, m: m, s: s}}",
    "[?{}] | [?n > `1`]",
    "[*].[n, m][]",
    "map(&n, @)",
    "map(&({}), @)",
    "[?{}][].s",
    "to_array([?{}])",
    "[].l[]",
    "[?{}].l[] | [?@ > `1`]",
    "[?[@][?{}]]",
)
WHOLES = (
    "{}",
    "length({})",
    "sum({})",
    "avg({})",
    "max({})",
    "min({})",
    "max_by({}, &n)",
    "min_by({}, &s).m",
    "count_by({}, &n)",
    "count_by({}, &s)[?count > `1`].key",
    "group_by({}, &s)",
    "unique({})",
    "unique({} | [].n)",
    "contains({}, `1`)",
    "contains({}, `null`)",
    "contains({}, 'a')",
    "type({})",
    "rate_max({}, &s, &at, '10m')",
    "max_gap({}, &at)",
    "({})[0]",
    "({})[-1]",
    "{} | [1]",
    "{} | [:2]",
    "{} | [1:3].n",
    "{} | [-2:]",
    "{} | [::-1]",
    "{} | [:3] | [?n > `1`]",
    "sort_by({}, &n)",
    "sort({})[0]",
    "{} | {{n: length(@), least: min([].n), all: [?n > `0`].s}}",
    "{} | [length(@), sum(@)]",
    "!({})",
    "({}) == `[]`",
    "({}) == `[1, 2]`",
    "({}) && `true`",
    "join(',', {})",
    "keys({})",
    "{} | `5`",
    "not_null(max({}), `0`)",
)
JOINS = (
    "{}",
    "{} || {}",
    "{} && {}",
    "!({})",
    "[{}, {}]",
    "{{a: {}, b: {}}}",
    "({}) == ({})",
    "length([{}, {}])",
)

instants = st.sampled_from(
    ["2026-11-21T08:00:00Z", "2026-11-21T08:09:59.999Z", "2026-11-21T08:10:00Z", "2026-11-21", "noon"]
)


@st.composite
def wholes(draw: Any) -> str:
    """Build expressions over a list such as audits are made of."""

    def fill(text: str, pool: st.SearchStrategy[str]) -> str:
        while "{}" in text:
            text = text.replace("{}", draw(pool), 1)
        return text.replace("{{", "{").replace("}}", "}")

    simple = conditions.filter(lambda text: len(text) < 60)
    flows = st.sampled_from(FLOWS).map(lambda flow: fill(flow, simple))
    one = st.sampled_from(WHOLES).map(lambda each: fill(each, flows))
    return fill(draw(st.sampled_from(JOINS)), one)


records_of_audits = st.builds(
    lambda record, more: {**record, **more},
    partial_records,
    st.fixed_dictionaries(
        {},
        optional={
            "at": instants,
            "l": st.lists(st.integers(0, 3), max_size=3),
            "n": st.none() | st.just("a"),
        },
    ),
)


@settings(bounded, max_examples=examples(250))
@given(wholes(), st.lists(records_of_audits, max_size=6), st.randoms(use_true_random=False))
def test_of_what_audits_ask(text, records, random):
    assert_same(parsed(text), records, random)


@settings(bounded, max_examples=examples(250))
@given(texts, st.lists(values, max_size=6), st.randoms(use_true_random=False))
def test_of_every_expression_on_lists_of_anything(text, records, random):
    assert_same(parsed(text), records, random, (False, True, None) if is_exact(text) else (False, True))


@bounded
@given(
    st.lists(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)), max_size=12),
    st.randoms(use_true_random=False),
)
@example([0.1, 0.2, 0.3], None)
@example([1e308, 1e308, -1e308], None)
def test_of_sums_which_no_order_of_adding_changes(numbers, random):
    assume(random is not None or numbers)
    for text in ("sum(@)", "avg(@)", "max(@)", "min(@)", "[].{n: @} | sum([].n)"):
        node = parse(text)
        parts = (
            split(numbers, random) if random else [[(number, item)] for number, item in enumerate(numbers)]
        )
        assert streamed(node, parts, select=False) == whole(node, numbers, select=False)


@settings(bounded, max_examples=examples(150))
@given(wholes(), st.lists(records_of_audits, min_size=3, max_size=7), st.randoms(use_true_random=False))
def test_merging_is_associative_and_commutative(text, records, random):
    reducer = stream(parsed(text), as_of=AS_OF)
    parts = [part for part in split(records, random) if part]
    states = []
    for part in parts:
        states.append(reducer.initial())
        for key, record in part:
            reducer.step(states[-1], key, record)

    def result(order: list[int], *, from_the_left: bool) -> Any:
        found = [copy.deepcopy(states[number]) for number in order]
        while len(found) > 1:
            if from_the_left:
                found[:2] = [reducer.merge(found[0], found[1])]
            else:
                found[-2:] = [reducer.merge(found[-2], found[-1])]
        try:
            reduced = reducer.finish(found[0])
        except EvaluationError as error:
            return problem(error)
        return told(reduced.result), reduced.undecided, Counter(reduced.operands), reduced.records

    order = list(range(len(states)))
    expected = result(order, from_the_left=True)
    assert result(order, from_the_left=False) == expected
    assert result(random.sample(order, len(order)), from_the_left=True) == expected
    assert result(random.sample(order, len(order)), from_the_left=False) == expected


def test_finishing_changes_nothing_so_that_more_records_can_follow():
    reducer = stream(parse("[length(@), max(@), [-1], unique(@), sum(@)]"))
    state = reducer.initial()
    for number in range(1, 4):
        reducer.step(state, number, number)
        expected = [number, number, number, list(range(1, number + 1)), sum(range(number + 1))]
        assert reducer.finish(state).result == reducer.finish(state).result == expected


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ("max(@)", [1, 1.0, True][:2]),
        ("min(@)", [1.0, 1, 2]),
        ("max_by(@, &n)", [{"n": 1, "x": "first"}, {"n": 1.0}, {"n": 0}]),
        ("min_by(@, &n)", [{"n": 1.0, "x": "first"}, {"n": 1}]),
        ("count_by(@, &@)", [1, 1.0, 1]),
        ("count_by(@, &@)", [1.0, 1]),
        ("unique(@)", [1.0, 1, True, [1], [1.0]]),
        ("rate_max(@, &n, &at, '1h')", [{"n": n, "at": "2026-11-21T08:00:00Z"} for n in (1, 1.0, 2)]),
        ("@ == `[1, 2]`", [1, 2, 3]),
        ("@ == `[1, 2]`", [1, 2]),
        ("@ != `[]`", [1]),
    ],
)
def test_of_equals_the_first_in_the_list_stands_for_all(text, records):
    """Whichever comes first, and whichever state is merged into which."""
    entries = list(enumerate(records))
    for parts in ([[entry] for entry in entries], [[entry] for entry in entries[::-1]], [entries[::-1]]):
        assert streamed(parse(text), parts, select=False) == whole(parse(text), records, select=False)


@pytest.mark.parametrize("start", ["", "0", "1", "4", "-1", "-2"])
@pytest.mark.parametrize("stop", ["", "0", "1", "3", "9", "-1"])
@pytest.mark.parametrize("step", ["", "1", "2", "-1"])
def test_of_every_slice(start, stop, step):
    entries = list(enumerate("abcdef"))
    for text in (f"@[{start}:{stop}:{step}]", f"[?@ > 'b'] | [{start}:{stop}:{step}] | length(@)"):
        found = streamed(parse(text), [entries[4:], entries[1:4], entries[:1]], select=False)
        assert found == whole(parse(text), list("abcdef"), select=False)


@pytest.mark.parametrize("texts_of_numbers", [["inf", "1.5"], ["inf", "-inf"], ["1", "-inf", "2"]])
def test_plain_jmespath_adds_what_is_not_finite_in_any_parts(texts_of_numbers):
    entries = list(enumerate(texts_of_numbers))
    for parts in ([[entry] for entry in entries], [[entry] for entry in entries[::-1]]):
        node = parse("[].to_number(@) | [sum(@), avg(@)]")
        assert streamed(node, parts, select=None) == whole(node, texts_of_numbers, select=None)


# --- several lists

OF_TWO = (
    "[a | ({}), b | ({})]",
    "(a | ({})) == (b | ({}))",
    "length(a[?{c}]) == length(b) || (b | ({}))",
    "{{n: length(a), m: b[?{c}].m | max(@), none: c, whole: a.n}}",
    "count_by(a[?{c}], &n)[?count > `1`]",
    "contains(a[].n, `1`) && !(b[?{c}])",
    "map(&n, a)[] | [length(@), [0]]",
    "@ | a[?{c}] | length(@)",
    "keys(@)",
    "*[] | length(@)",
    "sort_by(a, &n)[0].m || b[-1].n",
    "[a, b][] | [?{c}]",
    "a[?{c}] && b[:2]",
    "c",
    "`1`",
)


@st.composite
def of_two_lists(draw: Any) -> str:
    text: str = draw(st.sampled_from(OF_TWO))
    while "{}" in text:
        text = text.replace("{}", draw(wholes()), 1)
    return text.replace("{c}", draw(conditions)).replace("{{", "{").replace("}}", "}")


@bounded
@given(
    of_two_lists(),
    st.lists(records_of_audits, max_size=4),
    st.lists(records_of_audits, max_size=4),
    st.randoms(),
)
def test_of_an_object_of_lists(text, of_a, of_b, random):
    node = parsed(text)
    for select in (False, True):
        reducer = stream(node, as_of=AS_OF, select=select, lists=("a", "b"))
        total = reducer.initial()
        for name, records in (("b", of_b), ("a", of_a)):
            for part in split(records, random):
                state = reducer.initial()
                for key, record in part:
                    reducer.step(state, key, record, name)
                total = reducer.merge(pickle.loads(pickle.dumps(state)), total)  # noqa: S301  # our own
        try:
            reduced = reducer.finish(total)
            found = told(reduced.result), reduced.undecided, Counter(reduced.operands)
        except EvaluationError as error:
            found = problem(error)

        expected = whole(node, {"a": copy.deepcopy(of_a), "b": copy.deepcopy(of_b)}, select)
        assert found == (expected if len(expected) == 5 else expected[:3])


def test_one_of_several_lists_that_is_collected_is_named():
    reducer = stream(parse("length(a) > `1` && sort_by(b, &n)[0]"), lists=("a", "b"))

    assert reducer.collects == (("b", "sort_by is a function of the whole list"),)
    assert [collected.text for collected in stream(parse("@"), lists=("a", "b")).collects] == ["a", "b"]


# --- the tables and the suite


def as_records(given_value: Any) -> list[Any]:
    """Return the records of a case; a case on something else is one on a list of it."""
    return given_value if isinstance(given_value, list) else [given_value]


@pytest.mark.parametrize("case", [case.values[1] for case in function_cases()], ids=lambda c: c["expression"])
def test_of_every_case_of_every_function(case):
    try:
        node = parse(case["expression"])
    except Mistake:
        return  # refused before anything is evaluated
    records = as_records(case.get("given"))
    for parts in (
        [list(enumerate(records))],
        [[(number, record)] for number, record in reversed(list(enumerate(records)))],
    ):
        for select in (False, True, None):
            assert streamed(node, parts, select) == whole(node, copy.deepcopy(records), select)


@needs_shared
@settings(bounded, max_examples=3)
@pytest.mark.parametrize(
    ("given_value", "case"), [c for c in cases("result") if isinstance(c.values[0], list)]
)
@given(random=st.randoms(use_true_random=False))
def test_a_stream_gives_what_the_suite_of_jmespath_says(given_value, case, random):
    result, *_ = streamed(parse(case["expression"]), split(given_value, random), select=None)

    assert json.loads(result) == case["result"]


@needs_shared
@pytest.mark.parametrize(("given_value", "case"), cases("result"))
def test_a_stream_finds_in_a_record_what_the_suite_of_jmespath_says(given_value, case):
    """Also in each record of a list what the list gives, in a decision."""
    result, *_ = streamed(
        parse(f"[0] | ({case['expression']})"), [[(2, None)], [(1, given_value)]], select=None
    )
    assert json.loads(result) == case["result"]

    cuts = Random(case["expression"])  # noqa: S311  # the same cuts every time, and no secret
    assert_same(parse(f"[].[{case['expression']}]"), as_records(given_value) * 2, cuts, (False,))


def finish(text: str, records: list[Any]) -> Any:
    reducer = stream(parse(text), select=None)
    state = reducer.initial()
    for key, record in enumerate(records):
        reducer.step(state, key, record)
    return reducer.finish(state)


@needs_shared
@pytest.mark.parametrize(("given_value", "case"), cases("error"))
def test_a_stream_is_the_error_that_the_suite_of_jmespath_says(given_value, case):
    with pytest.raises(Mistake) as raised:
        finish(f"[0] | ({case['expression']})", [given_value])

    assert raised.value.code == CODES[case["error"]]


# --- what streams, and what does not

STREAMS = (
    "`true`",
    "length(@) > `3`",
    "length([?a == 'x'].b[]) == `0`",
    "![?a]",
    "[?a] == `[]`",
    "[?a] && `true`",
    "count_by([?a], &b)[?count > `10`].key",
    "[?a] | {n: length(@), last: [-1].at, by: count_by(@, &b), worst: max_by(@, &c).d, first: [:20]}",
    "rate_max([?a], &b, &at, '10m')[?count > `5`]",
    "max_gap(@, &at).seconds < `3600`",
    "sum([].n) <= `10` || avg([].n) < `2` || contains([].s, 'x')",
    "[-1].at",
    "map(&length(a), @) | max(@)",
    "unique([].a) | length(@)",
    "to_array([?a]) | type(@)",
)
COLLECTS = {
    "@": [("@", "it is the result, which is the list itself")],
    "[?a]": [("[?a]", "it is the result, which is the list itself")],
    "[?a] | sort_by(@, &b)[0]": [("@", "sort_by is a function of the whole list")],
    "length(sort([].a))": [("[].a", "sort is a function of the whole list")],
    "group_by(@, &a)": [("@", "group_by is a function of the whole list")],
    "contains([].a, @[0].b)": [("[].a", "contains is a function of the whole list")],
    "[?a] || `1`": [("[?a]", "its value is needed as a list")],
    "@[2:]": [("@", "a slice without an end near its start needs every element")],
    "[[?a], length(@)]": [("[?a]", "its value is needed as a list")],
    "@[200000]": [("@", "too many of its elements are needed")],
}


@pytest.mark.parametrize("text", STREAMS)
def test_what_streams_says_so_and_keeps_no_records(text):
    reducer = stream(parse(text), max_items=25)
    assert reducer.streams
    assert not reducer.collects
    state, sizes = reducer.initial(), []
    for number in range(600):
        record = {"a": ["x", "y"][number % 2], "b": number % 3, "c": number % 7, "n": 1, "s": "t"}
        at = f"2026-11-21T{number % 24:02}:00:00Z"
        reducer.step(state, number, {**record, "at": at, "d": number, "text": "long" * 100})
        if number in (299, 599):
            sizes.append(len(pickle.dumps(state)))

    reducer.finish(state)
    assert sizes[1] < sizes[0] + 300 * 16  # instants are kept, records are not


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_functions_that_stream_are_those_that_say_so(name):
    """The list is the first argument, or the second of `map`; the rest are references, or literals that fit."""
    others = {"contains": ["'x'"], "rate_max": ["&a", "&b", "'10m'"]}
    function = FUNCTIONS[name]
    given_others = others.get(name, ["&a" if p.reference else "'x'" for p in function.parameters[1:]])
    text = "map(&a, @)" if name == "map" else f"{name}({', '.join(['@', *given_others])})"
    try:
        node = parse(f"{text} | length(@)" if name in {"map", "to_array"} else text)
    except Mistake:
        assert name not in STREAMING  # it takes no list
        return

    assert stream(node, as_of=AS_OF).streams == (name in STREAMING)


@pytest.mark.parametrize("text", COLLECTS)
def test_what_does_not_stream_says_what_it_collects_and_why(text):
    reducer = stream(parse(text))

    assert not reducer.streams
    assert [tuple(collected) for collected in reducer.collects] == COLLECTS[text]


def reduced(text: str, records: list[Any], **bounds: int) -> Any:
    parts = [[(number, record)] for number, record in enumerate(records)]
    return streamed(parse(text), parts, select=False, **bounds)


@pytest.mark.parametrize(
    ("text", "bounds", "most", "what"),
    [
        ("sort_by(@, &n)[0].n == `0`", {"max_items": 5}, 5, "@ has more than 5 items"),
        ("[?n >= `0`]", {"max_items": 5}, 5, "[?n >= `0`] has more than 5 items"),
        ("length(unique([].n)) > `0`", {"max_groups": 5}, 5, "unique([].n) has more than 5 different items"),
        ("count_by(@, &n)", {"max_groups": 5}, 5, "count_by(@, &n) has more than 5 keys"),
        ("rate_max(@, &n, &at, '1h')", {"max_groups": 5}, 5, "has more than 5 keys or"),
        ("rate_max(@, &'x', &at, '1h')", {"max_instants": 5}, 5, "keys or 5 instants"),
        ("max_gap(@, &at)", {"max_instants": 5}, 5, "keys or 5 instants"),
    ],
)
def test_a_part_that_keeps_more_than_its_bound_is_an_error_and_never_cut(text, bounds, most, what):
    records = [{"n": number, "at": f"2026-11-21T0{number}:00:00Z"} for number in range(8)]

    assert reduced(text, records[:most], **bounds) == reduced(text, records[:most])
    for count in (most + 1, most + 3):
        code, summary, detail, help_, _ = reduced(text, records[:count], **bounds)
        assert code == "evaluation.too-many"
        assert summary == "the list is too long"
        assert what in detail
        assert help_


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("sort_by(@, &n)[0].n == `0`", {"max_items": 5}),
        ("length(unique([].n)) > `0`", {"max_groups": 5}),
        ("count_by(@, &n)", {"max_groups": 5}),
        ("rate_max(@, &'x', &at, '1h')", {"max_instants": 5}),
        ("max_gap(@, &at)", {"max_instants": 5}),
    ],
)
@pytest.mark.parametrize("cut", [0, 1, 4, 6, 7, 8])
def test_what_is_too_much_together_is_too_much_however_it_is_cut(text, bounds, cut):
    entries = [(n, {"n": n, "at": f"2026-11-21T0{n}:00:00Z"}) for n in range(8)]
    for parts in ([entries[:cut], entries[cut:]], [entries[cut:], entries[:cut]]):
        assert streamed(parse(text), parts, select=False, **bounds)[0] == "evaluation.too-many"


def test_a_bound_holds_only_where_the_part_is_needed():
    """An error is a value until the finished expression asks for it."""
    records = [{"n": number} for number in range(8)]
    text = "length(@) > `3` || sort_by(@, &n)[0].n == `0`"

    assert reduced(text, records, max_items=2)[0] == "true"
    assert reduced(text.replace("`3`", "`9`"), records, max_items=2)[0] == "evaluation.too-many"


def test_an_error_of_a_record_matters_only_where_the_part_is_needed():
    records = [{"n": 1}, {"n": "a"}, {"n": 2}]

    assert reduced("length(@) == `3` || sum([].n) > `0`", records)[0] == "true"
    code, _, detail, *_ = reduced("length(@) == `4` || sum([].n) > `0`", records)
    assert code == "jmes.type-error"
    assert detail == "numbers of sum is [].n: each element must be a number, and one is a string"


def test_the_first_error_in_the_order_of_the_list_is_told_whichever_came_first():
    node = parse("[?n > `1`] | length(@)")
    parts: list[list[tuple[Any, Any]]] = [[(3, {"n": True})], [(2, {"n": "a"}), (1, {"n": 5})]]

    for given_parts in (parts, parts[::-1]):
        code, _, detail, *_ = streamed(node, given_parts, select=False)
        assert code == "jmes.type-error"
        assert detail.startswith("n is a string")


def test_a_record_that_two_filters_leave_open_is_one_record():
    records = [{"a": 1}, {"b": 1}, {}]
    text = "[length([?a == `1`]), length([?b == `1`]), length(sort_by([?a == `1`], &a))]"

    _, undecided, operands, left_open = reduced(text, records)

    assert undecided == 6
    assert sorted((operand.text, count) for operand, count in operands.items()) == [
        ("a", 2),
        ("a", 2),
        ("b", 2),
    ]
    assert left_open == 3


def test_a_record_that_is_left_open_again_at_the_end_is_still_one_record():
    records = [{"a": 1}, {"b": 1}, {}, {"a": 1, "b": 1}]
    text = "[length([?a == `1`]), @[:3] | [?b == `1`] | length(@), @[-1:] | [?c == `1`]]"

    for select in (False, True):
        found = streamed(parse(text), [[(n, record)] for n, record in enumerate(records)], select=select)
        assert found == whole(parse(text), records, select=select)
        assert found[3] == 4


def test_a_filter_that_is_not_asked_leaves_nothing_open():
    records = [{"a": 1}, {}]

    assert reduced("length(@) == `2` || length([?a == `1`]) == `1`", records) == ("true", 0, Counter(), 0)
    assert reduced("length(@) == `3` || length([?a == `1`]) == `1`", records)[3] == 1


@settings(bounded, max_examples=examples(60))
@given(st.lists(wholes(), min_size=1, max_size=2), st.lists(records_of_audits, max_size=5), st.randoms())
@example(["sort([].n)", "length(@)"], [{"n": 1}, {"n": "a"}], Random(0))  # noqa: S311  # no secret
def test_a_message_about_a_list_streams(texts_of_parts, records, random):
    assume(all(is_exact(text) for text in texts_of_parts))  # which a message adds in the order of the list
    template = Template.parse(" and ".join(f"{{ {text} }}" for text in texts_of_parts) + ".", {}, as_of=AS_OF)
    reducer = template.stream()
    total = reducer.initial()
    for part in split(records, random):
        state = reducer.initial()
        for key, record in part:
            reducer.step(state, key, record)
        total = reducer.merge(total, state)

    assert reducer.finish(total) == template.pieces(records)


def test_an_expression_that_cannot_be_evaluated_yet_does_not_become_a_stream():
    for text, code in (
        ("[?a == ${bind.x}]", "jmes.unresolved-placeholder"),
        ("age_days(@)", "jmes.no-clock"),
    ):
        with pytest.raises(Mistake) as raised:
            stream(parse(text))
        assert raised.value.code == code


def test_placeholders_are_values_as_in_any_expression():
    known = {"var.x": Value("a"), "var.none": Value(None)}
    for text in ("contains([].n, ${var.x})", "contains([].n, ${var.none})", "[?n == ${var.x}]"):
        node, records = parse(text, known), [{"n": "a"}, {"n": 1}]
        parts = [list(enumerate(records))]
        assert streamed(node, parts, select=False) == whole(node, records, select=False)


def test_a_record_that_nests_too_deep_is_an_error_of_the_part_that_looks_at_it():
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]
    reducer = stream(parse("[length(@), length(unique(@))]")), stream(parse("length(@)"))
    states = [each.merge(each.initial(), each.initial()) for each in reducer]
    for number, each in enumerate(reducer):
        state = each.initial()
        each.step(state, 1, deep)
        states[number] = each.merge(states[number], state)

    assert reducer[1].finish(states[1]).result == 1
    with pytest.raises(EvaluationError) as raised:
        reducer[0].finish(states[0])
    assert raised.value.code == "jmes.too-large"
