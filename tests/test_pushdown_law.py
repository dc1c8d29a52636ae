"""The law of push-down over real loopback HTTP, and against an evaluation written from the RFC: nothing is lost."""

from __future__ import annotations

import itertools
import json
import operator
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from auditor import compiler, planner, scim, simulator
from auditor.model.environment import Credentials, Environment
from auditor.model.instant import format_instant, parse_instant
from auditor.model.plan import PlannedQuery
from auditor.model.query import Pushdown
from auditor.model.resource import ResourceKind, Shape, fields
from auditor.model.secret import Secret
from auditor.model.value import JSON
from tests.pages import Clock, Fetched, Simulated
from tests.support import ROOT, examples
from tests.test_cli import auditor  # noqa: F401  # a fixture
from tests.test_compiler import KINDS, QUERIES, project
from tests.test_compiler_pushdown import joined

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
LEVELS: tuple[Pushdown, ...] = ("proven", "documented", "range")
WAYS: tuple[tuple[Pushdown, bool], ...] = (
    ("proven", False),
    ("documented", False),
    ("documented", True),
    ("range", True),
)
"""Levels of push-down, and whether filters share queries."""

HOSTILE = [
    'a"b', "a\\", '\\"', "${var.x}", "$${x}", "${", "}", "😀", "e\u0301", "\ud800", "x\udfff", "\udc00\ud800",
    "\x00", "\n", "\x7f", "\u2028", "\u202e", "", " ", "%22", "&limit=1", "a+b", "#", "null", "true", "5", "[]",
    'x" or id pr or id eq "x', "not (id pr)", "*", "'", "A", "a", "ß", "SS",
]  # fmt: skip
"""Texts that a careless client would send as something else, and pairs that a careless one would confuse."""

ACTIONS = ["USER.CREATED", "USER.DELETED", "APPLICATION.DELETED"]
TAG = "adminIdentityEvent"
"""The only value of `tags` that the endpoint takes; others are refused, which loses nothing."""


def events(count: int) -> list[dict[str, Any]]:
    """Return events of the last week whose texts are hostile, some fields left out; the same each time."""
    draw = random.Random(7)  # noqa: S311  # data, no secret

    def some(**parts: Any) -> dict[str, Any]:
        return {name: value for name, value in parts.items() if draw.random() < 0.8}

    def text() -> str:
        return draw.choice(HOSTILE)

    def resource() -> dict[str, Any]:
        kind = draw.choice(["USER", "ENVIRONMENT", text()])
        return some(id=text(), type=kind, name=text(), population={"id": text()})

    def event(number: int) -> dict[str, Any]:
        actors = some(user={"id": text(), **some(name=text())}, client={"id": text(), **some(name=text())})
        at = NOW - timedelta(hours=1 + number % 150, milliseconds=number)
        return {
            "id": f"event-{number}",
            "recordedAt": format_instant(at),
            "action": {"type": draw.choice(ACTIONS)} | some(description=text()),
            **some(
                actors=actors,
                correlationId=text(),
                resources=[resource() for _ in range(draw.randrange(4))],
                tags=draw.choice([[], [TAG], [TAG, text()], [text()]]),
                result=some(status=draw.choice(["SUCCESS", "FAILED"]), description=text()),
                source=some(ipAddress=text()),
                createdAt=format_instant(at + timedelta(milliseconds=300)),
            ),
        }

    return [event(number) for number in range(count)]


def sample(schema: Mapping[str, Any], draw: random.Random) -> JSON:
    """Return a value that a JSON Schema of a descriptor allows; its texts are hostile."""
    match schema:
        case {"type": "array"}:
            return [sample(schema["items"], draw) for _ in range(draw.randrange(3))]
        case {"enum": values}:
            return draw.choice(values)
        case {"format": "date-time"}:
            return format_instant(NOW - timedelta(days=draw.randrange(3)))
        case {"type": "integer" | "number"}:
            return draw.randrange(4)
        case {"type": "boolean"}:
            return draw.random() < 0.5
        case {"type": "string"}:
            return draw.choice(HOSTILE)
    required = set(schema.get("required", ()))
    return {
        name: sample(inner, draw)
        for name, inner in schema.get("properties", {}).items()
        if name in required or draw.random() < 0.7
    }


EVENTS = events(60)


@pytest.fixture(scope="module")
def tenant() -> Iterator[Simulated]:
    """A tenant with hostile events, on a loopback port."""
    world = simulator.World.from_records(
        EVENTS,
        environment_id="abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6",
        now=NOW,
        collections={
            KINDS[name].path: list({record["id"]: record for record in RECORDS[name]}.values())
            for name in FILTERED
            if KINDS[name].window is None
        },
    )
    clock, configured = Clock(NOW), simulator.Settings()
    # JSON carries half of a character as an escape alone.
    escaped = lambda document: json.dumps(document).encode()  # noqa: E731
    with (
        pytest.MonkeyPatch.context() as patch,
        simulator.serve(simulator.create_app(world, KINDS, configured, clock)) as running,
    ):
        patch.setattr("auditor.simulator.server.json_body", escaped)
        environment = Environment(
            name="prod",
            id=world.environment_id,
            api_url=running.api_url,
            auth_url=running.auth_url,
            organization_id=world.organization_id,
            credentials=Credentials(
                environment_id=world.environment_id,
                client_id=configured.client_id,
                client_secret=Secret(configured.client_secret),
            ),
        )
        yield Simulated(running=running, world=world, environment=environment, clock=clock)


# --- filters -----------------------------------------------------------------------------------------


ORDERED = {"number": ("gt", "le"), "instant": ("gt", "le")}
PART: Mapping[scim.Operator, Callable[[str, int], str]] = {
    scim.Operator.SW: lambda text, cut: text[:cut],
    scim.Operator.EW: lambda text, cut: text[-cut:] if cut else "",
    scim.Operator.CO: lambda text, cut: text[cut : cut + 2],
}
"""A part of a text that is found by an operator."""


def terms_of(kind: ResourceKind, records: Sequence[Mapping[str, JSON]]) -> st.SearchStrategy[scim.Filter]:
    """Return terms on a kind: each attribute with what records hold of it, and with what is hostile."""
    rules = cache(scim.rules(kind))
    named = kind.filter.attributes if kind.filter else {}
    leaves = [
        path
        for path, schema, _ in fields(kind.item)
        if schema.get("type") in {"string", "integer", "number", "boolean"}
    ]
    pushable = [name for name, attribute in named.items() if attribute.path]
    names = st.sampled_from([*leaves, *pushable, *pushable, *pushable])
    held = {
        name: [value for record in records for value in found(record, rules(name).path)]
        for name in {*leaves, *pushable}
    }

    @cache
    def term(name: str) -> st.SearchStrategy[scim.Filter]:
        attribute, type_ = scim.Attribute(name), rules(name).type
        known = named[name].values if name in named else ()
        if name == "tags":
            pool: list[Any] = [TAG]
        elif known:
            pool = [value for value in held[name] if value in known] or [known[0]]
        elif type_ == "string":
            pool = [*held[name], *HOSTILE]
        else:
            pool = held[name] or [{"number": 1, "boolean": True}.get(type_, "2026-11-20T00:00:00Z")]
        literals = st.sampled_from(pool).map(scim.Literal)
        compared = st.builds(
            scim.Compare,
            st.just(attribute),
            st.sampled_from(
                [scim.Operator(word) for word in ("eq", "eq", "eq", "ne", *ORDERED.get(type_, ()))]
            ),
            literals,
        )
        searched = st.builds(
            lambda relation, text, cut: scim.Compare(
                attribute, relation, scim.Literal(PART[relation](text, cut))
            ),
            st.sampled_from(list(PART)),
            st.sampled_from([value for value in pool if isinstance(value, str)] or ["a"]),
            st.integers(0, 3),
        )
        listed = st.lists(literals, max_size=3).map(
            lambda items: scim.In(attribute, scim.Literals(tuple(items)))
        )
        others = st.sampled_from(
            [scim.Present(attribute), scim.Compare(attribute, scim.Operator.EQ, scim.Literal(None))]
        )
        return st.one_of(compared, listed, *([searched] if type_ == "string" else ()), others)

    return names.flatmap(term)


RESOURCES = st.builds(
    scim.Compare,
    st.sampled_from(["id", "population.id", "type", "name"]).map(scim.Attribute),
    st.sampled_from(["eq", "eq", "ne"]).map(scim.Operator),
    st.sampled_from(HOSTILE).map(scim.Literal),
)


def filters_of(kind: ResourceKind, records: Sequence[Mapping[str, JSON]]) -> st.SearchStrategy[scim.Filter]:
    """Return filters on a kind, on events with value paths too."""
    terms = terms_of(kind, records)
    if kind.kind == "activities":
        attribute = scim.Attribute("resources")
        terms |= joined(RESOURCES).map(lambda inner: scim.ValuePath(attribute, inner))
    return joined(terms)


# --- an evaluation written from the RFC, for the test alone ----------------------------------------------


def found(value: JSON, path: Sequence[str]) -> list[Any]:
    """Return what is there at a path: neither null nor missing; every element of arrays on the way."""
    if isinstance(value, list):
        return [inner for element in value for inner in found(element, path)]
    if not path:
        return [] if value is None else [value]
    return found(value.get(path[0]), path[1:]) if isinstance(value, dict) else []


Rules: TypeAlias = Callable[[str], scim.Rule]

RELATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "co": operator.contains,
    "sw": str.startswith,
    "ew": str.endswith,
}


def holds(tree: scim.Filter, record: JSON, rules: Rules, within: str = "") -> bool:
    """Tell whether a record satisfies a filter (RFC 7644, section 3.4.2.2)."""

    def values(name: str) -> tuple[list[Any], scim.Rule]:
        rule = rules(f"{within}.{name}" if within else name)
        return found(record, rule.path[len(rules(within).path) if within else 0 :]), rule

    match tree:
        case scim.And(terms):
            return all(holds(term, record, rules, within) for term in terms)
        case scim.Or(terms):
            return any(holds(term, record, rules, within) for term in terms)
        case scim.Not(term):
            return not holds(term, record, rules, within)
        case scim.ValuePath(attribute, inner):
            there, _ = values(attribute.name)
            return any(holds(inner, element, rules, attribute.name) for element in there)
        case scim.Present(attribute):
            there, _ = values(attribute.name)
            return any(value not in ("", {}) for value in there)
        case scim.In(attribute, scim.Literals(items)):
            return any(
                holds(scim.Compare(attribute, scim.Operator.EQ, item), record, rules, within)
                for item in items
            )
        case scim.Compare(attribute, relation, scim.Literal(literal)):
            there, rule = values(attribute.name)
            if relation is scim.Operator.EQ and literal is None:
                return not there
            return any(related(value, relation, literal, rule) for value in there)
    raise TypeError(tree)


def related(value: JSON, relation: scim.Operator, literal: JSON, rule: scim.Rule) -> bool:
    """Compare one value with a literal."""
    if rule.type == "instant" and literal is not None:
        value, literal = parse_instant(value), parse_instant(literal)
    elif not rule.case_exact and isinstance(value, str) and isinstance(literal, str):
        value, literal = value.casefold(), literal.casefold()
    if relation in {scim.Operator.EQ, scim.Operator.NE}:
        equal = type(value) is type(literal) and value == literal
        return equal == (relation is scim.Operator.EQ)
    if type(value) is not type(literal):
        return False
    return bool(RELATIONS[relation](value, literal))


def shapes_of(kind: ResourceKind) -> tuple[Shape, ...]:
    return kind.filter.shapes if kind.filter else ()


# The law is about every kind that has a filter; where no shape is known, nothing is pushed. Drawing is slow
# enough without making the strategies again.
FILTERED = [name for name, kind in KINDS.items() if kind.filter]
PUSHING = [name for name in FILTERED if any(shape.all for shape in shapes_of(KINDS[name]))]
RECORDS = {
    name: EVENTS if name == "activities" else [sample(KINDS[name].item, random.Random(n)) for n in range(20)]  # noqa: S311
    for name in FILTERED
}


# --- the law -----------------------------------------------------------------------------------------


def planned(
    filters: Sequence[scim.Filter | None],
    kind: ResourceKind,
    level: Pushdown,
    environment: Environment,
    *,
    merge: bool = False,
) -> list[PlannedQuery | None]:
    """Return for each filter the query that is planned for it; None where it is said to be never true."""
    query = {"resource": kind.kind} | ({"window": "7d"} if kind.window else {})
    checks = {
        f"c{number}": {
            "query": query if where is None else {**query, "where": scim.render(where)},
            "expect": {"that": "length(@) >= `0`"},
        }
        for number, where in enumerate(filters)
    }
    for problem in compiler.compile(project(checks, environments=(environment,))).diagnostics:
        assert problem.code == "policy.never-true"
        assert problem.address is not None
        del checks[str(problem.address.route[1])]
    program = compiler.compile(project(checks, environments=(environment,)), pushdown=level).value
    assert program is not None
    plan = planner.plan(program, KINDS, as_of=NOW, tool_version="0", merge=merge)
    by_check = {use.check.rpartition("/")[2]: query for query in plan.queries for use in query.uses}
    return [by_check.get(f"c{number}") for number in range(len(filters))]


def either_way(query: PlannedQuery, kind: ResourceKind) -> list[PlannedQuery]:
    """Return a query by GET, and by POST where the endpoint knows it."""
    methods: list[Any] = ["GET"] if kind.post is None else ["GET", "POST"]
    return [replace(query, id=f"{query.id}/{method}", method=method) for method in methods]


def answered(tenant: Simulated, queries: Iterable[PlannedQuery]) -> dict[str, list[Any]]:
    """Fetch queries over the network; return the records of each by its id."""
    own = {query.id: query for query in queries}
    fetched = tenant.fetched(*own.values()) if own else Fetched()
    for end in fetched.ends:
        assert end.complete, end
    records: dict[str, list[Any]] = {name: [] for name in own}
    for page in fetched.pages:
        records[page.query] += page.records
    return records


@pytest.fixture(scope="module", params=PUSHING)
def population(request: pytest.FixtureRequest, tenant: Simulated) -> tuple[ResourceKind, list[Any]]:
    """A kind, and everything that the server has of it in a week."""
    kind = KINDS[request.param]
    (query,) = planned([None], kind, "range", tenant.environment)
    assert query is not None
    fetched = tenant.fetched(query)
    if kind.kind not in QUERIES and not fetched.records:
        pytest.skip(f"the simulator does not serve {kind.kind}: {fetched.end.failure}")
    assert fetched.end.complete
    return kind, fetched.records


RULES = {name: cache(scim.rules(KINDS[name])) for name in FILTERED}
FILTERS = {name: filters_of(KINDS[name], RECORDS[name]) for name in FILTERED}


@settings(
    max_examples=4,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_over_http_the_server_answers_every_record_that_a_filter_selects(data, tenant, population):
    kind, records = population
    filters = data.draw(st.lists(FILTERS[kind.kind], min_size=6, max_size=12))
    selecting = [scim.predicate(where, RULES[kind.kind]) for where in filters]
    for level, merge in WAYS:
        queries = planned(filters, kind, level, tenant.environment, merge=merge)
        ways = {query.id: either_way(query, kind) for query in queries if query is not None}
        answers = answered(tenant, itertools.chain(*ways.values()))
        for selects, query in zip(selecting, queries, strict=True):
            expected = list(filter(selects, records))
            if query is None:
                assert expected == []
                continue
            for way in ways[query.id]:
                assert list(filter(selects, answers[way.id])) == expected


@pytest.mark.parametrize("text", [text for text in HOSTILE if "$" in text])
def test_over_http_what_looks_like_a_placeholder_is_found(text: str, tenant: Simulated):
    kind = KINDS["populations"]
    where = scim.Compare(scim.Attribute("id"), scim.Operator.EQ, scim.Literal(text))
    (query,) = planned([where], kind, "documented", tenant.environment)
    assert query is not None
    expected = list(
        {record["id"]: record for record in RECORDS["populations"] if record["id"] == text}.values()
    )
    assert answered(tenant, [query])[query.id] == expected


@pytest.mark.parametrize("name", FILTERED)
@settings(max_examples=examples(100), deadline=None)
@given(data=st.data())
def test_by_an_evaluation_of_its_own_what_is_pushed_holds_wherever_the_filter_does(name, data):
    kind, records, rules = KINDS[name], RECORDS[name], RULES[name]
    where = data.draw(FILTERS[name])
    selects = scim.predicate(where, rules)
    selected = [record for record in records if selects(record)]
    assert selected == [record for record in records if holds(where, record, rules)]
    for level in LEVELS:
        pushed = scim.push(where, kind, level)
        if isinstance(pushed, scim.Constant):
            assert pushed.value or not selected
        else:
            assert name in PUSHING
            assert all(holds(pushed, record, rules) for record in selected)


# --- through the command line ----------------------------------------------------------------------------

SPEC = ROOT / "tests" / "spec" / "pushdown-levels.yaml"
AS_OF = "2026-11-21T09:00:00Z"


def test_every_level_gives_the_same_verdicts(auditor, tmp_path, monkeypatch):  # noqa: F811  # the fixture
    """And the less is pushed, the more is read."""
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    world = simulator.World.generate(seed=1, events=600, now=parse_instant(AS_OF))
    names = values_of(next(event for event in newest(world) if "USER" in values_of(event)))
    checks = {}
    text = SPEC.read_text("utf-8")
    for name, value in names.items():
        text = text.replace(f'"{name}"', json.dumps(value))
    for number, where in enumerate(YAML(typ="safe").load(text)):
        query = {"resource": "activities", "window": "5d", "where": where}
        checks[f"check-{number:02}"] = {
            "title": where,
            "query": query,
            "expect": ["none", "some"][number % 2],
        }
    policy = tmp_path / "policy.yaml"
    document = {"version": 1, "pack": {"id": "pack"}, "checks": checks}
    policy.write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    words = ("check", policy, "--simulate", "--events", "600", "--as-of", AS_OF, "--json")
    options = {level: ("--no-merge", "--pushdown", level) for level in LEVELS} | {"merged": ()}
    reports = {name: json.loads(auditor(*words, *chosen).out) for name, chosen in options.items()}
    assert [report["summary"]["problem_errors"] for report in reports.values()] == [0, 0, 0, 0]
    verdicts = {level: list(map(told, report["verdicts"])) for level, report in reports.items()}
    for level in ("proven", "documented", "merged"):
        assert verdicts[level] == verdicts["range"]
    decided = {"policy.violation", "policy.holds", "policy.no-occurrences", "policy.empty"}
    assert {verdict["code"] for verdict in verdicts["range"]} <= decided
    filters = {level: {asked["filter"] for asked in report["asked"]} for level, report in reports.items()}
    assert len(filters["range"]) == 1 < len(filters["proven"]) <= len(filters["documented"])


def newest(world: simulator.World) -> Iterator[Mapping[str, Any]]:
    """Yield the events of a tenant, the newest first."""
    now_ms = int(parse_instant(AS_OF).timestamp() * 1_000)
    return (entry.record for entry in world.environments[0].events(now_ms - 5 * 86_400_000, now_ms))


def values_of(event: JSON) -> dict[str, str]:
    """Return what one event holds, by the names of the table."""
    paths = {
        "USER": "actors.user.id",
        "NAME": "actors.user.name",
        "CLIENT": "actors.client.id",
        "CORRELATION": "correlationId",
        "RESOURCE": "resources.id",
        "POPULATION": "resources.population.id",
    }
    there = {name: found(event, path.split(".")) for name, path in paths.items()}
    return {name: values[0] for name, values in there.items() if values}


def told(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a verdict says, without how its records were asked for."""
    left_out = {"elapsed_s", "queries", "examined", "caveats"}
    for outcome in verdict["outcomes"]:
        for violation in outcome["violations"]:
            violation["page"] = ""
    return {name: value for name, value in verdict.items() if name not in left_out}
