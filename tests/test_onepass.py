"""The law of the pass: any checks on any records give what each gives alone, on the whole list, in plain JMESPath."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import jmespath
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jmespath.exceptions import JMESPathError

from auditor import config, jmes, planner
from auditor.evaluator import Audit
from auditor.evaluator.violations import Received
from auditor.model.evidence import Page, QueryEnd
from auditor.model.instant import parse_instant
from auditor.model.query import Program
from auditor.model.resource import value_at
from auditor.model.value import JSON, parse_json
from auditor.model.verdict import Verdict
from tests.support import examples
from tests.test_cli import auditor, policy  # noqa: F401  # fixtures
from tests.test_compiler import KINDS, program
from tests.test_evaluator import WINDOW, event, without_pages
from tests.test_planner_windows import NOW

# What filters and expectations are made of; each with what says the same in plain JMESPath, of one record.
WHERES = {
    "": "`true`",
    'action.type eq "USER.CREATED"': "action.type == 'USER.CREATED'",
    'action.type in ["USER.CREATED", "USER.DELETED"]': "contains(['USER.CREATED', 'USER.DELETED'], action.type)",
    'action.type sw "USER." and result.status eq "FAILED"': (
        "starts_with(action.type || '', 'USER.') && result.status == 'FAILED'"
    ),
    'result.status eq "FAILED"': "result.status == 'FAILED'",
    'result.status ne "FAILED" and tags eq "x"': (
        # Filters look into lists of lists, too.
        "result.status && result.status != 'FAILED' && contains(tags[] || tags || `[]`, 'x')"
    ),
    'not (action.type eq "USER.CREATED") and resources.type eq "USER"': (
        "action.type != 'USER.CREATED' && contains(resources[].type || `[]`, 'USER')"
    ),
    'action.type eq "USER.CREATED" or result.status eq "SUCCESS"': (
        "action.type == 'USER.CREATED' || result.status == 'SUCCESS'"
    ),
}
CONDITIONS = (
    "contains(tags || `[]`, 'x')",
    "actors.user.id != `null` && actors.user.id == 'ada'",
    "result.status == 'FAILED' || result.status == `null`",
    "length(resources || `[]`) > `1`",
    "starts_with(source.ipAddress || '', '10.')",
    "resources[0].population.id != `null`",
    "!contains(not_null(resources[].type, `[]`), 'USER')",
    "actors.user",
)
LISTS = (
    "[?{0}]",
    "[?{0}].actors.user.id",
    "[?{0}].tags[]",
    "[?{0}] | [?tags].{{id: id, kinds: resources[].type}}",
    "sort_by([?{0}], &id)[].id",
)
"""Expressions that yield items, of a condition."""

TYPES = ("USER.CREATED", "USER.DELETED", "FLOW.CREATED", "USER.CREATEDX", "", "🙂", 'quote"\\', "USER.\u0000")
STRANGE: tuple[JSON, ...] = (None, 5, True, [], ["x"], {}, {"id": 1}, "x", 2**70, -0.0, 1e300)
strange = st.sampled_from(STRANGE)


def maybe(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return what is as documented, mostly."""
    return st.one_of(*[usual] * 7, strange)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional={name: maybe(value) for name, value in fields.items()})


texts = st.sampled_from(("ada", "bob", "x", "USER", "10.0.0.1", "\ud800", "é"))
records = some(
    action=some(type=st.sampled_from(TYPES), description=texts),
    result=some(status=st.sampled_from(("FAILED", "SUCCESS", "x"))),
    tags=st.lists(maybe(texts), max_size=3),
    actors=some(user=some(id=texts, name=texts), client=some(id=texts)),
    resources=st.lists(maybe(some(type=texts, id=texts, population=some(id=texts))), max_size=3),
    source=some(ipAddress=texts),
    other=strange,
)
WINDOWS = (
    WINDOW["window"],
    {"from": "2026-11-01", "to": "2026-11-01T00:00:09Z"},
    {"from": "2026-11-01T00:00:03.5Z", "to": "2026-11-02"},
    {"from": "2026-11-09", "to": "2026-11-10"},
)
INSTANTS: tuple[JSON, ...] = (
    *(
        "2026-11-01T00:00:05Z",
        "2026-11-01T01:00:05.000+01:00",
        "2026-11-01T00:00:03.500Z",
        "2026-11-09T10:00:00.000Z",
    ),
    *("2026-11-01T24:00:00.000Z", "2026-11-31T00:00:00.000Z", "2026-11-01T00:60:00.000Z", "ada", "", None, 5),
)
times = st.one_of(
    *[st.none()] * 5, st.lists(st.one_of(*[st.none()] * 4, st.sampled_from(INSTANTS)), max_size=40)
)
"""What stands in records in the place of their instants; None for nothing else."""
forms = st.sampled_from(("every", "none", "some"))


@st.composite
def checks(draw: st.DrawFn) -> dict[str, Any]:
    condition = draw(st.sampled_from(CONDITIONS[:-1]))
    form = draw(forms)
    expression = (
        condition
        if form == "every"
        else draw(st.sampled_from(LISTS)).format(draw(st.sampled_from(CONDITIONS)))
    )
    where = draw(st.sampled_from(sorted(WHERES)))
    query = {**WINDOW, "window": draw(st.sampled_from((*WINDOWS[:1] * 4, *WINDOWS)))}
    query |= {"where": where} if where else {}
    return {"query": query, "expect": {form: expression, "on_empty": "skip"}}


def written(found: Sequence[JSON], random: Any) -> list[bytes]:
    """Return records as lines, some with escapes for what needs none, blanks, and keys said twice."""
    lines = []
    for number, record in enumerate(found):
        text = json.dumps(record, ensure_ascii=bool(random.getrandbits(1)) or "\ud800" in str(record))
        if random.random() < 0.2:
            text = text.replace("USER.", "\\u0055SER.").replace('"action"', '"a\\u0063tion"')
        if random.random() < 0.1:
            text = f'{{"action": {{"type": "FLOW.CREATED"}}, "id": "no", {text[1:]}'
        if random.random() < 0.1:
            text = f" {text.replace(':', ' : ')}\r" if "10.0.0.1" in text else f"\t{text} "
        lines.append(text.encode("utf-8", "surrogatepass"))
        del number
    return lines


def ends(plan: Any) -> list[QueryEnd]:
    return [QueryEnd(query=query.id, failure=None, assurance=None) for query in plan.queries]


def block(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def raw(lines: Sequence[bytes]) -> list[msgspec.Raw]:
    """Return lines as what a page is split into."""
    return list(map(msgspec.Raw, lines))


def in_one_pass(
    compiled: Program, lines: Sequence[bytes], sizes: Sequence[int], given: Callable[[Sequence[bytes]], Any]
) -> tuple[Verdict, ...]:
    """Judge lines in parts of some sizes, all queries at once."""
    plan = planner.plan(compiled, KINDS, as_of=NOW, tool_version="test")
    running = Audit(compiled, plan, KINDS)
    one_pass = running.one_pass([query.id for query in plan.queries])
    rest, number = list(lines), 0
    while rest:
        size = sizes[number % len(sizes)]
        part, rest, number = rest[:size], rest[size:], number + 1
        one_pass.judge(one_pass.decode(given(part)))
    return running.finish(ends(plan))


def in_pages(compiled: Program, found: Sequence[JSON], sizes: Sequence[int]) -> tuple[Verdict, ...]:
    """Judge decoded records in pages of some sizes."""
    plan = planner.plan(compiled, KINDS, as_of=NOW, tool_version="test")
    running = Audit(compiled, plan, KINDS)
    for query in plan.queries:
        rest, number = list(found), 0
        while rest:
            size = sizes[number % len(sizes)]
            part, rest, number = rest[:size], rest[size:], number + 1
            running.add(Page(query=query.id, number=number, records=tuple(part)))
    return running.finish(ends(plan))


def one_by_one(compiled: Program, found: Sequence[JSON]) -> tuple[Verdict, ...]:
    """Judge decoded records, each by every check by itself."""
    plan = planner.plan(compiled, KINDS, as_of=NOW, tool_version="test", merge=False)
    running = Audit(compiled, plan, KINDS)
    for query in plan.queries:
        for population in running._uses[query.id]:
            for record in found:
                population.add(record, Received(1, record))
    return running.finish(ends(plan))


def shown(verdicts: Sequence[Verdict]) -> list[Any]:
    """Return verdicts without what depends on how queries are named and shared."""
    found = []
    for verdict in map(without_pages, verdicts):
        outcomes = [
            (o.status, o.code, o.reason, o.observed, o.exceptions, o.undecided, o.violations)
            for o in verdict.outcomes
        ]
        found.append(
            (verdict.name, verdict.status, verdict.code, verdict.reason, verdict.population, outcomes)
        )
    return found


@settings(max_examples=examples(120), deadline=None)
@given(
    st.lists(checks(), min_size=1, max_size=6),
    st.lists(records, max_size=40),
    times,
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.sampled_from((block, list, raw)),
    st.randoms(use_true_random=False),
)
def test_one_pass_over_bytes_is_each_check_by_itself(
    given_checks, given_records, given_times, sizes, given_as, random
):
    compiled = program({f"check-{number}": check for number, check in enumerate(given_checks)})
    found = [{**record, **event(number)} | record for number, record in enumerate(given_records)]
    for record, at in zip(found, given_times or (), strict=False):
        record["recordedAt"] = record["recordedAt"] if at is None else at
    found += found[: random.randrange(3)]
    lines = written(found, random)
    decoded = [parse_json(line) for line in lines]
    verdicts = in_one_pass(compiled, lines, sizes, given_as)
    assert shown(verdicts) == shown(one_by_one(compiled, decoded))
    assert shown(in_pages(compiled, decoded, sizes)) == shown(verdicts)
    if given_times:
        return
    for check, verdict in zip(given_checks, verdicts, strict=True):
        with suppress(JMESPathError):  # a filter of SCIM is no error of a value of another type
            plain(check, decoded, verdict)


def plain(check: dict[str, Any], found: Sequence[JSON], verdict: Verdict) -> None:
    """Compare a verdict that could be reached with what jmespath.py finds in the whole list."""
    (form, expression), *_ = check["expect"].items()
    (outcome,) = verdict.outcomes
    if verdict.status.word in ("error", "skip") or outcome.undecided:
        return
    where = WHERES[check["query"].get("where", "")]
    start, end = map(parse_instant, (check["query"]["window"]["from"], check["query"]["window"]["to"]))
    selected = [
        record
        for record in found
        if jmespath.search(f"!!({where})", record) and start <= parse_instant(record["recordedAt"]) < end
    ]
    selected.sort(key=lambda record: (str(value_at(record, "recordedAt")), str(value_at(record, "id"))))
    assert verdict.population == len(selected)
    if form == "every":
        expected = [record for record in selected if not jmespath.search(expression, record)]
    else:
        expected = jmespath.search(expression, selected)
    if form != "some":
        assert outcome.exceptions == len(expected)
        items = [violation.item for violation in outcome.violations]
        if len({record["id"] for record in selected}) == len(selected):
            assert items == expected[:20]
        elif (
            len(expected) <= 20
        ):  # nothing says which of two that are equal comes first: readers let one through
            assert sorted(map(repr, items)) == sorted(map(repr, expected))
    else:
        assert (verdict.status.word == "pass") is bool(expected)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("actors.user.id", {"actors": {"user": {"id": "x", "name": "y"}, "z": 1}, "more": 1}),
        ("resources[?type == 'x'].id | [0]", {"resources": [{"type": "x", "id": "1", "more": 2}]}),
        ("length(actors)", {"actors": {"user": {}, "client": {}}}),
        ("actors.{u: user.id, c: client}", {"actors": {"user": {"id": "1", "n": 1}, "client": {"m": 1}}}),
        ("values(actors)[].id", {"actors": {"user": {"id": "1"}, "client": {"id": "2"}}}),
        ("actors.*.id", {"actors": {"user": {"id": "1"}, "client": {"id": "2"}}}),
        (
            "sort_by(resources, &type)[0].id",
            {"resources": [{"type": "x", "id": "1"}, {"type": "a", "id": "2"}]},
        ),
        ("to_string(@)", {"a": 1}),
    ],
)
def test_an_expression_gives_the_same_on_what_it_needs_alone(expression, value):
    node, need = jmes.parse(expression, {}), jmes.Need()
    jmes.add_needs(node, need)
    assert jmes.compile(node).search(only(value, need)) == jmes.compile(node).search(value)


def only(value: JSON, need: jmes.Need) -> JSON:
    """Return what is needed of a value."""
    if isinstance(value, list):
        return [only(element, need) for element in value]
    if need.whole or not need.fields or not isinstance(value, dict):
        return value
    return {name: only(value[name], below) for name, below in need.fields.items() if name in value}


def test_what_is_remembered_of_values_is_bounded_and_nothing_is_lost(monkeypatch):
    monkeypatch.setattr("auditor.evaluator.onepass._MOST_PLANS", 2)
    wheres = (
        'action.type sw "USER."',
        'result.status eq "FAILED"',
        'action.type eq "USER.CREATED" and tags pr',
    )
    expect = {"every": "tags == `null`", "on_empty": "skip"}
    compiled = program(
        {f"c{n}": {"query": {**WINDOW, "where": where}, "expect": expect} for n, where in enumerate(wheres)}
    )
    found = [
        event(number, action={"type": kind}, result={"status": status})
        for number, (kind, status) in enumerate(
            [(kind, status) for kind in TYPES for status in ("FAILED", "x")] * 3
        )
    ]
    lines = [json.dumps(each).encode() for each in found]
    expected = shown(one_by_one(compiled, found))
    assert shown(in_pages(compiled, found, [5])) == expected
    assert shown(in_one_pass(compiled, lines, [5], block)) == expected


def test_a_file_that_is_not_held_gives_the_same_verdicts(auditor, policy, tmp_path, monkeypatch):  # noqa: F811
    path = tmp_path / "events.ndjson"
    found = [{**event(number), "actors": {"client": {"id": "x"}}} for number in range(2_500)]
    path.write_text("".join(f"{json.dumps(each)}\n" for each in [*found, found[7]]), encoding="utf-8")
    words = ("check", policy("none", where="id pr"), "--records", f"activities={path}", "--json")
    held = json.loads(auditor(*words).out)
    monkeypatch.setattr(config, "stream_records", partial(config.stream_records, larger_than=0))
    streamed = json.loads(auditor(*words).out)
    assert streamed["as_of"] == held["as_of"]
    assert [end(report)["pages"] for report in (held, streamed)] == [1, 1]
    assert [(end(report)["records"], end(report)["duplicates"]) for report in (held, streamed)] == [
        (2_500, 1)
    ] * 2
    (one,), (other,) = held["verdicts"], streamed["verdicts"]
    assert one["outcomes"][0]["exceptions"] == 2_500
    assert {**one, "outcomes": [], "elapsed_s": 0} == {**other, "outcomes": [], "elapsed_s": 0}
    assert numberless(one) == numberless(other)


def end(report: Any) -> Any:
    return report["asked"][0]["end"]


def numberless(verdict: Any) -> list[Any]:
    violations = [violation for outcome in verdict["outcomes"] for violation in outcome["violations"]]
    return [{**violation, "page": ""} for violation in violations]


def test_whoever_asks_sees_each_record_that_is_not_as_documented_as_far_as_a_check_reads_it():
    check = {
        "query": {**WINDOW, "where": 'action.type eq "USER.CREATED"'},
        "expect": {"every": "result.status == 'SUCCESS'"},
    }
    compiled = program({"check": check})
    plan = planner.plan(compiled, KINDS, as_of=NOW, tool_version="test")
    seen: list[Any] = []
    one_pass = Audit(compiled, plan, KINDS).one_pass(
        [query.id for query in plan.queries], ensure_documented=seen.append
    )
    created = {"action": {"type": "USER.CREATED"}, "result": {"status": "SUCCESS"}}
    found: list[Any] = [
        event(1, **created),
        event(2, **created | {"tags": 5}),  # which nobody reads
        event(3, **created | {"result": {"status": 5}}),
        event(4, action={"type": "FLOW.CREATED"}, result={"status": 5}),  # which nobody is about
        event(5, action={"type": 5}),
    ]
    for _ in range(2):  # before it is known how many records checks care for, and after
        seen.clear()
        one_pass.judge(one_pass.decode(b"".join(json.dumps(each).encode() + b"\n" for each in found)))
        assert sorted(each["id"] for each in seen) == [found[2]["id"], found[4]["id"]]
