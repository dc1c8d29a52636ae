"""Streams: records in any parts, in any order, give what the expression gives on the whole list."""

from __future__ import annotations

import copy
import json
import pickle
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.jmes import EvaluationError, Missing, Undecided, compile, stream  # noqa: A004
from auditor.jmes.functions import AS_OF
from tests.test_jmes_laws import conditions, is_exact, parsed, partial_records, texts, values

bounded = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


def told(value: Any) -> Any:
    """Return a result in a form in which 1, 1.0 and true are three, and sets have no order."""
    return value if isinstance(value, Undecided) else json.dumps(value)


def problem(error: EvaluationError) -> Any:
    return error.code, error.summary, error.detail, error.help, error.span


def whole(node: Any, records: list[Any], select: Any) -> Any:
    """Return what an expression gives on the whole list: the reference of every law here."""
    expression, missing = compile(node, as_of=AS_OF), Missing(select=bool(select))
    try:
        result = expression.search(records) if select is None else expression.decide(records, missing)
    except EvaluationError as error:
        return problem(error)
    operands = Counter(operand for _, undecided in missing.found for operand in undecided.operands)
    found = {id(element) for element, _ in missing.found}
    return told(result), len(missing.found), operands, sum(id(record) in found for record in records)


def streamed(node: Any, parts: list[list[tuple[Any, Any]]], select: Any, **bounds: int) -> Any:
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
        assert streamed(node, parts, select) == whole(node, records, select)


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


@settings(bounded, max_examples=600)
@given(wholes(), st.lists(records_of_audits, max_size=6), st.randoms(use_true_random=False))
def test_of_what_audits_ask(text, records, random):
    assert_same(parsed(text), records, random)


@settings(bounded, max_examples=600)
@given(texts, st.lists(values, max_size=6), st.randoms(use_true_random=False))
def test_of_every_expression_on_lists_of_anything(text, records, random):
    assert_same(parsed(text), records, random, (False, True, None) if is_exact(text) else (False, True))
