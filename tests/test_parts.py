"""The law of parts: whatever records are cut into, and in whatever order what is known of the parts is merged."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor import planner
from auditor.evaluator import Audit
from auditor.model.evidence import Page
from auditor.model.plan import Plan
from auditor.model.policy import PolicyFile
from auditor.model.query import Program
from auditor.model.value import JSON, parse_json
from auditor.model.verdict import Verdict, Violation
from auditor.model.waiver import WaiverUse
from tests.support import examples
from tests.test_compiler import KINDS, pack_of, program
from tests.test_evaluator import CASES, WINDOW, event, events
from tests.test_evaluator_counting import QUERY as MONTHS
from tests.test_evaluator_counting import month
from tests.test_onepass import CONDITIONS, LISTS, WHERES, ends, records, written
from tests.test_planner_windows import NOW
from tests.test_waiving import SOUND

Numbered = tuple[int, JSON]
"""A record with the number of its page, which no cut changes."""

Feed = Callable[[Audit, Plan, Sequence[Numbered]], None]


@dataclass
class Judging:
    """The audits of one program, and what they show of violations."""

    compiled: Program
    options: Mapping[str, Any] = field(default_factory=dict)
    plan: Plan = field(init=False)
    violations: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.plan = planner.plan(self.compiled, KINDS, as_of=NOW, tool_version="test")

    def audit(self) -> Audit:
        return Audit(self.compiled, self.plan, KINDS, day=NOW.date(), **self.options)

    def show(self, check: str, violation: Violation) -> None:
        self.violations.append(f"{check} {violation!r}")

    def ended(self, audit: Audit) -> tuple[tuple[Verdict, ...], tuple[WaiverUse, ...]]:
        verdicts = audit.finish(replace(end, assurance="given") for end in ends(self.plan))
        return verdicts, audit.uses(verdicts)

    def undivided(
        self, feed: Feed, found: Sequence[Numbered]
    ) -> tuple[tuple[Verdict, ...], tuple[WaiverUse, ...]]:
        audit = self.audit()
        feed(audit, self.plan, found)
        return self.ended(audit)

    def divided(
        self, feed: Feed, parts: Iterable[Sequence[Numbered]], random: Random
    ) -> tuple[tuple[Verdict, ...], tuple[WaiverUse, ...]]:
        """Judge parts by themselves, and merge two of what is known, in any order, until nothing is left to merge."""
        states = []
        for part in parts:
            audit = self.audit()
            feed(audit, self.plan, part)
            states.append(pickle.dumps(audit.state()))
        while True:
            random.shuffle(states)
            audit = self.audit()
            for state in states[:2]:
                audit.merge(pickle.loads(state))  # noqa: S301  # made above
            if len(states) < 3:
                return self.ended(audit)
            states[:2] = [pickle.dumps(audit.state())]


def cut(found: Sequence[Numbered], random: Random) -> list[list[Numbered]]:
    """Return records in one to five parts, each in any order; some may be empty."""
    parts: list[list[Numbered]] = [[] for _ in range(random.randint(1, 5))]
    for each in random.sample(found, len(found)):
        random.choice(parts).append(each)
    return parts


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # nothing is kept secret by it


def in_pages(audit: Audit, plan: Plan, found: Sequence[Numbered]) -> None:
    for query in plan.queries:
        for number, record in found:
            if ("value" in record) is (query.resource != "activities"):
                audit.add(Page(query=query.id, number=number, records=(record,)))


def in_lines(audit: Audit, plan: Plan, found: Sequence[Numbered]) -> None:
    one_pass = audit.one_pass([query.id for query in plan.queries])
    for number, line in found:
        one_pass.judge(one_pass.decode(line if number % 2 else [line]), number)


# --- any checks on any records ------------------------------------------------------------------------

WHOLES = (
    "length([?{0}]) < `3`",
    "count_by([?{0}], &action.type)[?count > `1`].key == `[]`",
    "max_by([?{0}], &id).id != '3'",
    "sort_by([?{0}], &id)[0].tags[0] != 'x'",
    "[?{0}] == `[]`",
    "avg([?{0}].length(tags)) <= `1`",
    "rate_max([?{0}], &action.type, &recordedAt, '10s')[0].count < `3`",
    "unique([?{0}].result.status) == `[]` && !contains([].id, '2')",
)
"""Expressions that are true or false of a list, of a condition."""
UNGUARDED = (
    *CONDITIONS,
    "result.status == 'FAILED'",
    "actors.user.id != resources[0].id",
    "length(tags) > `1`",
)
MESSAGES = {
    "every": ("{id}: {tags}", "{actors.user.name || 'nobody'}"),
    "none": ("found: {@}",),
    "some": ("{@}",),
    "that": ("{[].id} of {length(@)}", "{max_by(@, &id).tags}"),
}


@st.composite
def expectations(draw: st.DrawFn) -> dict[str, JSON]:
    condition = draw(st.sampled_from(UNGUARDED))
    form = draw(st.sampled_from(("every", "none", "some", "that")))
    lists = {"every": ("{0}",), "none": LISTS, "some": LISTS, "that": WHOLES}[form]
    given_expectation = {form: draw(st.sampled_from(lists)).format(condition), "on_empty": "pass"}
    if form == "every" and condition == "actors.user":
        given_expectation[form] = "actors.user != `null`"
    on_missing = draw(st.sampled_from((None, "fail", "pass", "skip")))
    message = draw(st.sampled_from((None, *MESSAGES[form])))
    more = {"on_missing": on_missing, "message": message}
    return given_expectation | {name: value for name, value in more.items() if value is not None}


@st.composite
def checks(draw: st.DrawFn) -> dict[str, JSON]:
    where = draw(st.sampled_from(sorted(WHERES)))
    query = {**WINDOW, "where": where} if where else WINDOW
    return {"query": query, "expect": draw(st.lists(expectations(), min_size=1, max_size=2))}


JOINED: Mapping[str, JSON] = {
    "bound": {
        "queries": ["created", "deleted"],
        "bind": {
            "ids": "created[?actors.user.id].actors.user.id",
            "first": "sort_by(created, &id)[0].recordedAt",
        },
        "expect": [
            {"every": "contains(${bind.ids}, actors.user.id)", "over": "deleted", "on_missing": "fail"},
            {"none": "[?recordedAt > ${bind.first}]", "over": "deleted"},
        ],
    },
    "joined": {
        "queries": ["created", "deleted"],
        "expect": [
            {"that": "length(created) >= length(deleted)", "message": "{length(created)} of {deleted[].id}"},
            {"none": "[].tags[]", "over": "created", "on_missing": "skip"},
        ],
    },
    "counted": {
        "query": MONTHS,
        "expect": [
            {"every": "value <= `30`"},
            {"that": "sum([].value) < `100`", "message": "{max([].value)}"},
        ],
    },
}
QUERIES = {
    name: {**WINDOW, "where": f'action.type eq "USER.{name.upper()}"'} for name in ("created", "deleted")
}


def joined(checks_written: Mapping[str, JSON] = JOINED) -> Program:
    default = {"title": "A check"}
    policy = {"created": QUERIES["created"], "deleted": QUERIES["deleted"]}
    written_checks = {name: {**default, **check} for name, check in checks_written.items()}
    file = {"version": 1, "pack": {"id": "pack"}, "queries": policy, "checks": written_checks}
    return program(packs=(pack_of(PolicyFile.model_validate(file)),))


EXCEPTION = replace(SOUND, name="all", check="pack/check-0")
NAMED = replace(
    EXCEPTION,
    name="named",
    kind="disposition",
    check="pack/check-1",
    records=("1", "3"),
    starts=None,
    expires=None,
)
WAIVERS = (
    EXCEPTION,
    replace(EXCEPTION, name="some", check="pack/check-1", where='tags eq "x"'),
    NAMED,
    replace(EXCEPTION, name="over", check="pack/check-2", starts=date(2026, 1, 1), expires=date(2026, 2, 1)),
    replace(EXCEPTION, name="joined", check="pack/bound", where="tags pr"),
)


def numbered(given_records: Sequence[JSON], random: Random) -> list[dict[str, JSON]]:
    """Return records with what the law needs of each, the first of them outside of the window, some of them twice."""
    found: list[dict[str, JSON]] = [
        {**record, **event(number)} | record for number, record in enumerate(given_records, -2)
    ]
    return found + found[: random.randrange(3)]


def assert_parts_make_the_whole(
    compiled: Program, feed: Feed, found: Sequence[Numbered], random: Random, **options: Any
) -> None:
    whole, parts = Judging(compiled, options), Judging(compiled, options)
    if random.getrandbits(1):
        for each in (whole, parts):
            each.options = {**options, "on_violation": each.show}
    expected = whole.undivided(feed, found)
    assert repr(parts.divided(feed, cut(found, random), random)) == repr(expected)
    assert sorted(parts.violations) == sorted(whole.violations)


@settings(max_examples=examples(120), deadline=None)
@given(
    st.lists(checks(), min_size=1, max_size=4),
    st.lists(records, max_size=40),
    st.sampled_from(("pages", "lines", "reference")),
    st.randoms(use_true_random=False),
)
def test_what_is_known_of_parts_is_what_is_known_of_the_whole(given_checks, given_records, how, random):
    compiled = program({f"check-{number}": check for number, check in enumerate(given_checks)})
    found = numbered(given_records, random)
    options: dict[str, Any] = {"max_items": random.choice((None, 5, 20))}
    if how == "reference":
        options["engine"] = "reference"
    lines = written(found, random)
    given_numbers = range(len(lines))
    if random.getrandbits(1):
        compiled = replace(compiled, waivers=WAIVERS[:4])
        options["known"] = known(compiled, found[::2])
    feed = in_lines if how == "lines" else in_pages
    sent: Sequence[JSON] = [line + b"\n" for line in lines] if how == "lines" else [*map(parse_json, lines)]
    assert_parts_make_the_whole(compiled, feed, [*zip(given_numbers, sent, strict=True)], random, **options)


def known(compiled: Program, found: Sequence[JSON]) -> dict[str, frozenset[str]]:
    """Return the violations of an earlier run."""
    shown: dict[str, set[str]] = {}
    judging = Judging(
        compiled, {"on_violation": lambda check, one: shown.setdefault(check, set()).add(one.fingerprint)}
    )
    judging.undivided(in_pages, [*enumerate(found)])
    return {check: frozenset(fingerprints) for check, fingerprints in shown.items()}


@settings(max_examples=examples(80), deadline=None)
@given(
    st.lists(records, max_size=30),
    st.lists(st.integers(0, 60), max_size=9),
    st.randoms(use_true_random=False),
)
def test_what_is_bound_joined_and_counted_needs_no_whole(given_records, values, random):
    compiled = replace(joined(), waivers=WAIVERS)
    months = [month(number, value) for number, value in enumerate(values, 1)]
    found = [*enumerate([*numbered(given_records, random), *months])]
    options = {"max_items": random.choice((None, 3, 10))}
    assert_parts_make_the_whole(compiled, in_pages, found, random, **options)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['expect']} of {case['records']}"[:150])
def test_an_expectation_comes_to_its_verdict_record_by_record(case: Mapping[str, Any]):
    compiled = program({"check": {"query": WINDOW, "expect": case["expect"], **case.get("check", {})}})
    found = [*enumerate(events(case["records"]))]
    judging = Judging(compiled)
    parts = judging.divided(in_pages, [[each] for each in found], seeded(0))
    assert repr(parts) == repr(judging.undivided(in_pages, found))


# --- what is merged -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expect", [{"every": "tags == `null`"}, {"every": "id == 'x'"}, {"none": "[].{tags: tags}"}]
)
@pytest.mark.parametrize("feed", [in_pages, in_lines])
def test_of_records_of_one_identity_what_they_say_decides_which_are_shown(expect, feed):
    compiled = program({"check": {"query": WINDOW, "expect": expect}})
    found = [event(0, tags=[str(number)]) for number in range(300)]
    sent = written(found, seeded(1)) if feed is in_lines else found
    judging = Judging(compiled)
    for seed in range(3):
        random = seeded(seed)
        parts = judging.divided(feed, cut([(1, each) for each in sent], random), random)
        assert repr(parts) == repr(judging.undivided(feed, [(1, each) for each in sent]))


@pytest.mark.parametrize(
    "check",
    [
        {
            "query": WINDOW,
            "expect": {"that": "max_by(@, &recordedAt).tags[0] == '7'", "message": "{[:30].tags[]}"},
        },
        {"query": WINDOW, "expect": {"none": "sort_by(@, &id)[].tags"}},
        {"query": WINDOW, "expect": {"none": "[?length(tags[0]) > `1`].tags[]", "on_missing": "fail"}},
        {
            "queries": ["created"],
            "bind": {"first": "created[0].tags[0]"},
            "expect": {"every": "tags[0] == ${bind.first}", "over": "created", "message": "${bind.first}"},
        },
    ],
    ids=str,
)
def test_of_records_of_one_identity_the_first_received_is_the_first_of_the_list(check):
    compiled = joined({"check": check})
    found = [(number, event(0, tags=[str(number)])) for number in range(60)]
    judging = Judging(compiled)
    expected = repr(judging.undivided(in_pages, found))
    for seed in range(3):
        random = seeded(seed)
        assert repr(judging.divided(in_pages, cut(found, random), random)) == expected


def test_what_nests_deeper_than_pickle_follows_is_handed_over():
    deep: JSON = []
    for _ in range(450):
        deep = {"a": [deep]}
    expect = [{"none": "sort_by(@, &id)"}, {"every": "id == 'x'"}]
    judging = Judging(program({"check": {"query": WINDOW, "expect": expect}}))
    found = [(number, event(number, _embedded=deep)) for number in range(4)]
    with pytest.raises(RecursionError):
        pickle.dumps(found)
    parts = judging.divided(in_pages, [[each] for each in found], seeded(0))
    assert repr(parts) == repr(judging.undivided(in_pages, found))


def test_a_state_of_other_checks_is_refused():
    one, other = (Judging(program({name: {"query": WINDOW}})) for name in ("one", "other"))
    with pytest.raises(ValueError, match="other checks"):
        one.audit().merge(other.audit().state())


def test_what_is_handed_over_does_not_grow_with_the_records():
    checks = {
        "every": {"every": "id == 'x'", "message": "{id}"},
        "none": {"none": "[?action.type == 'USER.CREATED'].{id: id}"},
        "that": {"that": "max_by(@, &recordedAt).id == 'x'"},
    }
    judging = Judging(program({name: {"query": WINDOW, "expect": each} for name, each in checks.items()}))
    sizes = []
    for length in (300, 3_000):
        audit = judging.audit()
        in_lines(
            audit, judging.plan, [*enumerate(written(events([{"tags": ["x" * 500]}] * length), seeded(0)))]
        )
        sizes.append(len(pickle.dumps(audit.state())))
    assert sizes[1] < 1.1 * sizes[0] < 100_000
