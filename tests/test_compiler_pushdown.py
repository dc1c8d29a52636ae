"""What of a filter the server evaluates, as a table and as a law: `server(pushed) ∩ where == where`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from auditor import compiler, scim
from auditor.model.query import CompiledQuery, Pushdown
from auditor.model.resource import Filter, ResourceKind, Shape, Slot, fields
from auditor.model.value import Value
from auditor.simulator import filters as simulator
from tests.support import ROOT, examples
from tests.test_compiler import KINDS, QUERIES, check, project, query

TABLE = YAML(typ="safe").load((ROOT / "tests" / "spec" / "pushdown.yaml").read_text("utf-8"))
CASES = [(group, case) for group in TABLE for case in group["cases"]]


@pytest.mark.parametrize(("group", "case"), CASES, ids=[case["where"] for _, case in CASES])
def test_a_filter_is_split(group: Mapping[str, Any], case: Mapping[str, Any]):
    values = {name: Value(**value) for name, value in group.get("values", {}).items()}
    resource = case.get("resource", "activities")
    compiled = check(case.get("level", "documented"), values, query=query(case["where"], resource))
    split = {"pushed": compiled.queries[""].pushed, "residual": compiled.queries[""].residual}
    assert split == {"pushed": case.get("pushed", ""), "residual": case.get("residual", "")}


# --- the law -----------------------------------------------------------------------------------------

MARKS: dict[Pushdown, set[str]] = {
    "range": set(),
    "proven": {"proven"},
    "documented": {"proven", "documented"},
}
"""Which shapes each level may push."""
ACTIVITIES = KINDS["activities"]
assert ACTIVITIES.filter is not None


def variant(name: str, shapes: list[list[Slot]], **filter_changes: Any) -> ResourceKind:
    """Return activities with other shapes."""
    assert ACTIVITIES.filter is not None
    attributes = dict(ACTIVITIES.filter.attributes)
    attributes["actors.user.name"] = attributes["actors.user.name"].model_copy(update={"case_exact": False})
    made = [Shape(all=tuple(slots), mark="proven", source="") for slots in shapes]
    filter_ = Filter(attributes=attributes, shapes=tuple(made), **filter_changes)
    return ACTIVITIES.model_copy(update={"kind": name, "filter": filter_})


def place(attribute: str, *, any_of: bool = False) -> Slot:
    return Slot(attribute=attribute, any_of=any_of)


VARIANTS = [
    variant("single", [[place("tags")], [place("action.type")]]),
    variant(
        "several",
        [
            [place("actors.user.name", any_of=True), place("action.type", any_of=True)],
            [place("resources.id", any_of=True), place("tags")],
            [place("actors.user.name")],
            [],
        ],
        disjunction="documented",
    ),
    variant("either", [[place("action.type"), place("tags")], [place("action.type", any_of=True)]]),
]
ALL_KINDS = {**{name: KINDS[name] for name in QUERIES}, **{kind.kind: kind for kind in VARIANTS}}
"""Kinds with few texts, which meet often. The law holds of all kinds: tests/test_pushdown_law.py."""

TEXTS = ["a", "b", "A", "B", ""]
ACTIONS = ["USER.CREATED", "USER.DELETED", "APPLICATION.DELETED"]
INSTANTS = ["2026-11-20T00:00:00Z", "2026-11-21T01:00:00+01:00", "2026-11-21T00:00:00.5Z"]


def records_of(schema: Mapping[str, Any], path: str = "") -> st.SearchStrategy[Any]:
    """Return values that a JSON Schema of a descriptor allows, few enough to meet the filters' own."""
    match schema:
        case {"type": "array"}:
            return st.lists(records_of(schema["items"], path), max_size=2)
        case {"format": "date-time"}:
            return st.sampled_from(INSTANTS)
        case {"type": "string"}:
            return st.sampled_from([*ACTIONS, "NEW.NAME"] if path == ".action.type" else TEXTS)
        case {"type": "integer"}:
            return st.integers(0, 3)
    fields = {
        name: records_of(inner, f"{path}.{name}") for name, inner in schema.get("properties", {}).items()
    }
    required = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: made for name, made in fields.items() if name in required},
        optional={name: made for name, made in fields.items() if name not in required},
    )


def terms_of(kind: ResourceKind) -> st.SearchStrategy[scim.Filter]:
    """Return terms that a policy could hold: each attribute with operators and values that fit its type."""
    rules = scim.rules(kind)
    leaves = [path for path, schema, _ in fields(kind.item) if schema.get("type") != "object"]
    attributes = list(kind.filter.attributes.items()) if kind.filter else []
    pushable = [name for name, attribute in attributes if attribute.path]
    # What the endpoint knows is drawn as often as all the rest.
    names = st.sampled_from([*leaves, *pushable, *pushable, *pushable])

    @cache
    def term(name: str) -> st.SearchStrategy[scim.Filter]:
        attribute = scim.Attribute(name)
        pools: dict[str, list[Any]] = {"instant": INSTANTS, "number": [0, 1, 2]}
        pool = ACTIONS if name == "action.type" else pools.get(rules(name).type, TEXTS)
        values = st.sampled_from(pool).map(scim.Literal)
        operators = ["eq", "eq", "eq", "ne"]
        operators += ["gt", "le"] if name != "action.type" else ["sw"]
        return st.one_of(
            st.builds(
                scim.Compare, st.just(attribute), st.sampled_from(operators).map(scim.Operator), values
            ),
            st.lists(values, max_size=3).map(lambda items: scim.In(attribute, scim.Literals(tuple(items)))),
            st.just(scim.Present(attribute)),
            st.just(scim.Compare(attribute, scim.Operator.EQ, scim.Literal(None))),
        )

    return names.flatmap(term)


def joined(terms: st.SearchStrategy[scim.Filter]) -> st.SearchStrategy[scim.Filter]:
    """Return filters made of such terms."""
    return st.recursive(
        terms,
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(scim.all_of),
            st.lists(inner, min_size=2, max_size=3).map(scim.any_of),
            st.builds(scim.Not, inner),
        ),
        max_leaves=8,
    )


RESOURCE_TERMS = st.builds(
    scim.Compare,
    st.sampled_from(["id", "population.id", "type"]).map(scim.Attribute),
    st.just(scim.Operator.EQ),
    st.sampled_from(TEXTS).map(scim.Literal),
)


def filters_of(kind: ResourceKind) -> st.SearchStrategy[scim.Filter]:
    """Return filters on a kind, on events with value paths too."""
    terms = terms_of(kind)
    if "resources" in kind.item["properties"]:
        resources = scim.Attribute("resources")
        terms |= joined(RESOURCE_TERMS).map(lambda inner: scim.ValuePath(resources, inner))
    return joined(terms)


FILTERS = {name: filters_of(kind) for name, kind in ALL_KINDS.items()}
RECORDS = {name: st.lists(records_of(kind.item), min_size=1, max_size=8) for name, kind in ALL_KINDS.items()}


def compiled_or_never(where: scim.Filter, kind: ResourceKind, level: Pushdown) -> CompiledQuery | None:
    """Compile a filter; None where the compiler says that it is never true."""
    shortest = QUERIES.get(kind.kind, QUERIES["activities"])
    written = {"query": {**shortest, "resource": kind.kind, "where": scim.render(where)}}
    made = compiler.compile(project({"check": written}, kinds=ALL_KINDS), pushdown=level)
    if made.value is None:
        assert [problem.code for problem in made.diagnostics] == ["policy.never-true"]
        return None
    return made.value.checks[0].queries[""]


def asked(pushed: str, kind: ResourceKind) -> Callable[[Mapping[str, Any]], bool]:
    """Return what a server answers; it is the simulator's, which shares no line with the auditor's filters."""
    return simulator.predicate(simulator.parse_filter(pushed), kind, {}) if pushed else lambda _: True


@pytest.mark.parametrize("name", ALL_KINDS)
@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_the_server_answers_every_record_that_the_filter_selects(name, data):
    """And what was pushed and what is left are together the whole filter."""
    kind = ALL_KINDS[name]
    where, records = data.draw(FILTERS[name]), data.draw(RECORDS[name])
    selects = scim.predicate(where, scim.rules(kind))
    for level in MARKS:
        compiled = compiled_or_never(where, kind, level)
        if compiled is None:
            assert not any(map(selects, records))
            continue
        server = asked(compiled.pushed, kind)
        here = scim.predicate(scim.parse(compiled.residual), scim.rules(kind)) if compiled.residual else None
        for record in records:
            assert server(record) or not selects(record)
            assert (server(record) and (here is None or here(record))) == selects(record)


def parts_of(tree: scim.Filter, junction: type[scim.And | scim.Or]) -> tuple[scim.Filter, ...]:
    return tree.terms if isinstance(tree, scim.And | scim.Or) and isinstance(tree, junction) else (tree,)


def instances(pushed: str, kind: ResourceKind) -> list[dict[str, list[str]]]:
    """Read a pushed filter as alternatives, each the values by attribute; values of one list are one alternative."""
    found: list[dict[str, list[str]]] = []
    for arm in parts_of(scim.parse(pushed), scim.Or):
        read: dict[str, list[str]] = {}
        for part in parts_of(arm, scim.And):
            names = set()
            for term in parts_of(part, scim.Or):
                assert isinstance(term, scim.Compare)
                assert isinstance(term.value, scim.Literal)
                assert term.operator is scim.Operator.EQ
                names.add(term.attribute.name)
                read.setdefault(term.attribute.name, []).append(str(term.value.value))
            assert len(names) == 1
        found.append(read)
    assert kind.filter is not None
    listed = {
        s.attribute for shape in kind.filter.shapes for s in shape.all if s.any_of and len(shape.all) == 1
    }
    for name in listed:
        alone = [arm for arm in found if list(arm) == [name]]
        if len(alone) > 1:
            others = [arm for arm in found if list(arm) != [name]]
            found = [*others, {name: [value for arm in alone for value in arm[name]]}]
    return found


@pytest.mark.parametrize("name", ["activities", *(kind.kind for kind in VARIANTS)])
@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_what_is_pushed_has_the_shapes_of_the_descriptor(name, data):
    kind = ALL_KINDS[name]
    assert kind.filter is not None
    where = data.draw(FILTERS[name])
    for level, marks in MARKS.items():
        compiled = compiled_or_never(where, kind, level)
        found = instances(compiled.pushed, kind) if compiled and compiled.pushed else []
        for arm in found:
            assert any(
                shape.mark in marks
                and {slot.attribute for slot in shape.all} == set(arm)
                and all(slot.any_of or len(arm[slot.attribute]) == 1 for slot in shape.all)
                for shape in kind.filter.shapes
            )
        assert len(found) <= 1 or kind.filter.disjunction in marks


ACTION = scim.Attribute("action.type")
ACTION_TERMS = st.one_of(
    st.builds(
        scim.Compare,
        st.just(ACTION),
        st.sampled_from([scim.Operator.EQ, scim.Operator.NE]),
        st.sampled_from([*ACTIONS, None]).map(scim.Literal),
    ),
    st.lists(st.sampled_from(ACTIONS).map(scim.Literal), max_size=3).map(
        lambda items: scim.In(ACTION, scim.Literals(tuple(items)))
    ),
    st.just(scim.Present(ACTION)),
)


@settings(max_examples=examples(200), deadline=None)
@given(joined(ACTION_TERMS))
def test_of_one_attribute_the_strongest_filter_is_pushed(where):
    """A value is pushed exactly if a record with it can match; nothing is pushed if a record without one can."""
    selects = scim.predicate(where, scim.rules(ACTIVITIES))
    matching = {value for value in [*ACTIONS, "NEW.NAME", "", None] if selects({"action": {"type": value}})}
    compiled = compiled_or_never(where, ACTIVITIES, "proven")
    if compiled is None:
        assert not matching
        return
    pushed = instances(compiled.pushed, ACTIVITIES)[0]["action.type"] if compiled.pushed else []
    assert set(pushed) == (matching if matching <= set(ACTIONS) else set())
    assert matching


ATTEMPTS = scim.Attribute("userSignOns.failures")
RANGES: st.SearchStrategy[scim.Filter] = st.one_of(
    st.builds(
        scim.Compare,
        st.just(ATTEMPTS),
        st.sampled_from([scim.Operator(word) for word in ("eq", "ne", "gt", "ge", "lt", "le")]),
        st.integers(0, 2).map(scim.Literal),
    ),
    st.lists(st.integers(0, 2).map(scim.Literal), max_size=2).map(
        lambda items: scim.In(ATTEMPTS, scim.Literals(tuple(items)))
    ),
    st.sampled_from([scim.Present(ATTEMPTS), scim.Compare(ATTEMPTS, scim.Operator.EQ, scim.Literal(None))]),
)


@settings(max_examples=examples(200), deadline=None)
@given(joined(RANGES))
def test_of_one_number_a_filter_is_never_true_exactly_if_no_number_satisfies_it(where):
    kind = KINDS["user_activities"]
    selects = scim.predicate(where, scim.rules(kind))
    values = [None, *(number / 2 for number in range(-1, 6))]
    matching = [value for value in values if selects({"userSignOns": {"failures": value}})]
    assert scim.never_true(where, kind) == (not matching)


@pytest.mark.parametrize(
    ("resource", "where"),
    [
        ("user_activities", "userSignOns.failures gt 5 and userSignOns.failures lt 3"),
        ("user_activities", "userSignOns.failures gt 5 and userSignOns.failures le 5"),
        ("activities", 'recordedAt ge "2026-11-20" and recordedAt lt "2026-11-20T01:00:00+01:00"'),
        ("activities", 'resources[id eq "a" and id eq "b"]'),
        ("activities", "tags in []"),
        ("activities", 'createdAt lt "2026-11-20" and createdAt gt "2026-11-20" and tags eq "t"'),
    ],
)
def test_a_contradiction_is_told_before_anything_is_asked(resource, where):
    made = compiler.compile(project({"check": {"query": query(where, resource)}}))
    assert [problem.code for problem in made.diagnostics] == ["policy.never-true"]


# --- bounds ------------------------------------------------------------------------------------------


def pushed_of(where: str) -> str:
    return check(query=query(where)).queries[""].pushed


def quoted(count: int, prefix: str = "") -> str:
    return ", ".join(f'"{prefix}{number}"' for number in range(count))


def test_a_list_of_values_may_be_long_where_the_shape_takes_one():
    kind = ALL_KINDS["several"]
    where = scim.parse(f'resources.id in [{quoted(500)}] and tags eq "t"')
    compiled = compiled_or_never(where, kind, "documented")
    assert compiled is not None
    assert len(instances(compiled.pushed, kind)[0]["resources.id"]) == 500


def test_too_many_alternatives_are_left_out_for_another_shape():
    few, many = pushed_of(f"resources.id in [{quoted(64)}]"), pushed_of(f"resources.id in [{quoted(65)}]")
    assert few.count(" or ") == 63
    assert many == ""
    action = 'action.type eq "USER.CREATED"'
    assert pushed_of(f"resources.id in [{quoted(65)}] and {action}") == action


def test_too_many_alternatives_together_are_weakened_to_what_they_have_in_common():
    arms = [f'resources.id eq "{n}" and tags eq "{n}" and action.type eq "USER.CREATED"' for n in range(65)]
    assert pushed_of(" or ".join(arms)) == 'action.type eq "USER.CREATED"'
    assert pushed_of(" or ".join(arms[:64])).count("resources.id eq") == 64


def test_alternatives_that_are_few_but_many_once_written_out_are_weakened_too():
    arms = [f'resources.id in [{quoted(40, prefix=tag)}] and tags eq "{tag}"' for tag in ("a", "b")]
    assert pushed_of(" or ".join(arms)) == 'tags eq "a" or tags eq "b"'


def test_a_long_filter_takes_no_time_to_split():
    sides = [" or ".join(f'{name} eq "{n}"' for n in range(1_800)) for name in ("resources.id", "tags")]
    conjunction = [f'(resources.id eq "{n}" or tags eq "{n}")' for n in range(1_000)]
    started = perf_counter()
    assert pushed_of(f"({sides[0]}) and ({sides[1]})") == ""
    assert pushed_of(" and ".join(conjunction)) == 'resources.id eq "0" or tags eq "0"'
    assert perf_counter() - started < 10
