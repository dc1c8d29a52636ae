"""From records to verdicts: never a pass unless everything was read, selected and decided."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from auditor import planner
from auditor.evaluator import Audit
from auditor.evaluator.violations import TOO_DEEP
from auditor.model.evidence import Failure, Page, QueryEnd
from auditor.model.instant import format_instant, parse_instant
from auditor.model.query import Program
from auditor.model.resource import ResourceKind
from auditor.model.value import JSON, Value, Values
from auditor.model.verdict import Status, Verdict, Violation
from tests.support import ROOT, examples
from tests.test_cli import auditor, policy  # noqa: F401  # fixtures
from tests.test_compiler import KINDS, pack_of, policy_file, program, query
from tests.test_planner_windows import NOW

unhurried = settings(deadline=None)
TABLE = YAML(typ="safe").load((ROOT / "tests" / "spec" / "verdicts.yaml").read_text("utf-8"))
CASES = [{**group, **case} for group in TABLE for case in group["cases"]]
WINDOW = {"resource": "activities", "window": {"from": "2026-11-01", "to": "2026-11-20"}}
START = parse_instant("2026-11-01")
CUT = Failure(code="evidence.incomplete", reason="The links broke off.", help="Run again.")


def event(number: int, **fields: JSON) -> dict[str, JSON]:
    """Return the event of a number: each a second after the one before it."""
    at = format_instant(START + timedelta(seconds=number))
    return {"id": str(number), "recordedAt": at, "action": {"type": "USER.CREATED"}, **fields}


def events(records: Sequence[Mapping[str, JSON]]) -> list[dict[str, JSON]]:
    """Return records with what they leave out filled in."""
    return [event(number, **record) for number, record in enumerate(records)]


def audit(
    compiled: Program,
    pages: Iterable[Sequence[JSON]],
    failure: Failure | None = None,
    kinds: Mapping[str, ResourceKind] = KINDS,
    **options: Any,
) -> tuple[Verdict, ...]:
    """Judge the same pages for every query of a program."""
    plan = planner.plan(compiled, kinds, as_of=NOW, tool_version="test")
    running = Audit(compiled, plan, kinds, **options)
    received = [tuple(page) for page in pages]
    for planned in plan.queries:
        for number, records in enumerate(received):
            running.add(Page(query=planned.id, number=number, records=records))
    return running.finish(
        QueryEnd(query=planned.id, failure=failure, assurance=None, elapsed_s=1.5, warnings=("Old.",))
        for planned in plan.queries
    )


def judge(
    *records: JSON,
    failure: Failure | None = None,
    variables: Values | None = None,
    kinds: Mapping[str, ResourceKind] = KINDS,
    options: Mapping[str, Any] | None = None,
    **check: Any,
) -> Verdict:
    """Judge records by one check."""
    written = {"query": WINDOW, **check}
    compiled = program({"check": written}, variables=variables, kinds=kinds)
    (verdict,) = audit(compiled, [records], failure, kinds, **options or {})
    return verdict


def without_pages(verdict: Verdict) -> Verdict:
    """Return a verdict that does not say which answer brought its violations."""
    outcomes = (
        replace(outcome, violations=tuple(replace(violation, page="") for violation in outcome.violations))
        for outcome in verdict.outcomes
    )
    return replace(verdict, outcomes=tuple(outcomes))


def summary(verdict: Verdict) -> list[Any]:
    """Return what the table says of a verdict."""
    counts = [verdict.population, verdict.exceptions, verdict.undecided]
    return [verdict.status.word, verdict.code, *counts]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['expect']} of {case['records']}"[:150])
def test_an_expectation_comes_to_a_verdict(case: Mapping[str, Any]):
    failure = CUT if case.get("cut") else None
    verdict = judge(*events(case["records"]), failure=failure, expect=case["expect"], **case.get("check", {}))
    assert summary(verdict) == case["gives"]
    first = verdict.outcomes[0]
    assert first.observed == case.get("observed", first.observed)
    assert first.reason == case.get("reason", first.reason)
    assert first.reason
    # Whatever is an error says what to do.
    assert first.help or first.status is not Status.ERROR


# --- the algebra of statuses -------------------------------------------------------------------------

statuses = st.sampled_from(Status)


@unhurried
@given(statuses, statuses, statuses)
def test_statuses_merge_in_any_order_and_the_higher_wins(a: Status, b: Status, c: Status):
    assert a.merge(b) is b.merge(a)
    assert a.merge(b.merge(c)) is a.merge(b).merge(c)
    assert a.merge(a) is a
    assert Status.SKIP.merge(a) is a
    assert Status.ERROR.merge(a) is Status.ERROR
    assert list(Status) == [Status.SKIP, Status.PASS, Status.FAIL, Status.ERROR]


EXPECTATIONS: Mapping[Status, Mapping[str, Any]] = {
    Status.SKIP: {"every": "result.status == 'x'", "on_missing": "skip"},
    Status.PASS: {"every": "id == '0'"},
    Status.FAIL: {"every": "id == 'x'"},
    Status.ERROR: {"every": "result.status == 'x'"},
}
severities = st.sampled_from(["info", "low", "medium", "high", "critical"])


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(statuses, severities), min_size=1, max_size=4), severities)
@example([(Status.FAIL, "high"), (Status.ERROR, "low")], "medium")
def test_a_check_has_the_highest_status_and_the_gravest_severity_of_what_is_amiss(outcomes, severity):
    expect = [{**EXPECTATIONS[status], "severity": own} for status, own in outcomes]
    verdict = judge(event(0), expect=expect, severity=severity)
    highest = max(status for status, _ in outcomes)
    assert verdict.status is highest
    assert [outcome.status for outcome in verdict.outcomes] == [status for status, _ in outcomes]
    order = ["info", "low", "medium", "high", "critical"]
    deciding = max((own for status, own in outcomes if status is highest), key=order.index)
    amiss = [own for status, own in outcomes if status >= Status.FAIL]
    assert verdict.severity == (max(amiss, key=order.index) if amiss else severity)
    code = next(o.code for o in verdict.outcomes if (o.status, o.severity) == (highest, deciding))
    assert verdict.code == code


# --- what a verdict says -----------------------------------------------------------------------------


def test_a_verdict_says_on_what_it_rests():
    verdict = judge(
        event(0),
        query={**WINDOW, "where": 'action.type eq "USER.CREATED"'},
        expect={"every": "id == 'x'"},
        title="A title",
        description="Why",
        controls={"soc2": ["CC6.1"]},
        tags=["t"],
        remediation="What to do",
        references=["r"],
        severity="high",
    )
    assert (verdict.environment, verdict.pack, verdict.pack_title, verdict.check) == (
        "prod",
        "pack",
        "Pack",
        "check",
    )
    assert (verdict.title, verdict.description, verdict.remediation) == ("A title", "Why", "What to do")
    assert (verdict.controls, verdict.tags, verdict.references) == ({"soc2": ("CC6.1",)}, ("t",), ("r",))
    (examined,) = verdict.examined
    assert (examined.resource, examined.where) == ("activities", 'action.type eq "USER.CREATED"')
    assert examined.window == "2026-11-01T00:00:00.000Z .. 2026-11-20T00:00:00.000Z"
    assert (verdict.queries, verdict.elapsed_s, verdict.severity) == (("prod/activities/1",), 1.5, "high")
    assert verdict.caveats == (*KINDS["activities"].caveats, "Old.")
    assert verdict.address is not None
    assert verdict.address.route == ("checks", "check")
    (outcome,) = verdict.outcomes
    assert (outcome.form, outcome.expression) == ("every", "id == 'x'")
    assert outcome.expected == "true of every record: id == 'x'"


@pytest.mark.parametrize(
    ("expect", "expected"),
    [
        ({"every": "id == '{}'"}, "true of every record: id == '{}'"),
        ({"none": "[].{a: id}"}, "nothing is yielded by: [].{a: id}"),
        ({"some": "[]"}, "some record is selected"),
        ({"that": "length(@) > `1`"}, "true of the whole list: length(@) > `1`"),
    ],
)
def test_an_outcome_says_what_was_expected(expect, expected):
    assert judge(event(0), expect=expect).outcomes[0].expected == expected


def test_a_query_that_was_never_carried_out_is_an_error():
    compiled = program({"check": {"query": WINDOW}})
    plan = planner.plan(compiled, KINDS, as_of=NOW, tool_version="test")
    running = Audit(compiled, plan, KINDS)
    running.add(Page(query=plan.queries[0].id, number=1, records=(event(0),)))
    (verdict,) = running.finish([])
    assert summary(verdict) == ["error", "evidence.incomplete", 1, 1, 0]
    assert verdict.help == "Run again."


def test_an_excluded_check_is_skipped_with_the_reason():
    pack = pack_of(policy_file({"a": {}, "b": {"query": WINDOW}}), excluded={"a": "TICKET-1"})
    first, second = audit(program(packs=(pack,)), [[event(0)]])
    assert (first.check, first.status, first.code) == ("a", Status.SKIP, "policy.excluded")
    assert first.reason == "Excluded by the project: TICKET-1"
    assert (first.outcomes, first.queries) == ((), ())
    assert (second.check, second.status) == ("b", Status.FAIL)


def test_verdicts_stand_in_the_order_of_the_program():
    checks: dict[str, dict[str, Any]] = {
        "a": {"query": query('action.type eq "USER.DELETED"')},
        "b": {"query": WINDOW},
        "c": {"query": query('action.type eq "USER.DELETED"')},
    }
    assert [verdict.check for verdict in audit(program(checks), [])] == ["a", "b", "c"]


def test_a_query_without_a_window_has_none_in_its_verdict():
    now = KINDS["activities"].model_copy(update={"kind": "now", "window": None})
    assert judge(event(0), query={"resource": "now"}, kinds={"now": now}).examined[0].window == ""


# --- which records count -----------------------------------------------------------------------------


def test_records_outside_of_the_window_are_not_counted():
    outside = [
        event(0, recordedAt="2026-10-31T23:59:59.999Z"),
        event(1, recordedAt="2026-11-20T00:00:00Z"),
    ]
    inside = [event(2, recordedAt="2026-11-01"), event(3, recordedAt="2026-11-20T00:59:59.999+01:00")]
    assert summary(judge(*outside, *inside)) == ["fail", "policy.violation", 2, 2, 0]


def test_records_that_the_filter_does_not_select_are_not_counted():
    where = {**WINDOW, "where": 'action.type eq "USER.CREATED" and not (tags eq "x")'}
    records = [event(0), event(1, tags=["x"]), event(2, action={"type": "USER.DELETED"})]
    assert judge(*records, query=where).population == 1


def test_a_sensitive_value_is_compared_with_and_shown_nowhere():
    values = {"var.secret": Value("canary-5f1e", sensitive=True)}
    verdict = judge(
        event(0, tags=["canary-5f1e"]),
        event(1, tags=["x"]),
        variables=values,
        query={**WINDOW, "where": "tags eq ${var.secret}"},
        expect={"every": "id == ${var.secret}", "message": "{id}"},
    )
    assert summary(verdict) == ["fail", "policy.violation", 1, 1, 0]
    shown = [verdict.examined[0].where, verdict.reason, verdict.outcomes[0].expected]
    shown += [violation.message for violation in verdict.outcomes[0].violations]
    assert "canary" not in repr(shown)


def test_a_record_that_can_not_be_selected_is_an_error_and_hides_no_other():
    where = {**WINDOW, "where": 'createdAt gt "2020-01-01"'}
    good, bad = event(0, createdAt="2026-11-01"), event(1, createdAt="yesterday")
    broken = event(2, recordedAt="tomorrow", createdAt="2026-11-01")
    verdict = judge(bad, broken, good, query=where)
    assert summary(verdict) == ["error", "evaluation.not-comparable", 1, 1, 0]
    assert verdict.reason == (
        "Of 2 records it can not be told whether the check is about them: "
        "'tomorrow' is no ISO 8601 instant such as 2026-11-21T09:00:00Z."
    )
    assert summary(judge(bad, query=where)) == ["error", "evaluation.not-comparable", 0, 0, 0]


def test_one_broken_expectation_leaves_the_others_their_verdict():
    expect = [{"every": "id == '0'"}, "length(sort_by(@, &id)) == `3`", "length(@) == `3`"]
    verdict = judge(*events([{}, {}, {}]), expect=expect, options={"max_items": 2})
    assert [(o.status.word, o.code, o.exceptions) for o in verdict.outcomes] == [
        ("fail", "policy.violation", 2),
        ("error", "evaluation.too-many", 0),
        ("pass", "policy.holds", 0),
    ]
    assert verdict.reason == (
        "The expression can not be evaluated: the list is too long: @ has more than 2 items."
    )
    few = judge(*events([{}, {}]), expect="length(sort_by(@, &id)) == `2`", options={"max_items": 2})
    assert few.status is Status.PASS


@pytest.mark.parametrize(
    ("expect", "keeps"),
    [
        ({"every": "id == 'x'"}, ""),
        ("none", ""),
        ({"some": "[?id == '1'].tags | [].{x: @}"}, ""),
        ({"none": "[].{x: id}"}, ""),
        ({"none": "count_by(@, &id)[?count > `1`]"}, ""),
        ({"that": "length(@) == `3`"}, ""),
        ({"that": "max_by(@, &id).id == '2'", "message": "{length(@)} events"}, ""),
        ({"none": "sort_by(@, &id)"}, "@, since sort_by is a function of the whole list"),
        ({"that": "length(group_by(@, &id)) == `9`"}, "@, since group_by is a function of the whole list"),
        (
            {"that": "length(@) == `9`", "message": "{reverse([].id)}"},
            "[].id, since reverse is a function of the whole list",
        ),
    ],
)
def test_a_plan_says_which_checks_keep_what_and_no_others_do(expect, keeps):
    compiled = program({"check": {"query": WINDOW, "expect": expect}})
    (query,) = planner.plan(compiled, KINDS, as_of=NOW, tool_version="test").queries
    assert query.uses[0].keeps == keeps
    (verdict,) = audit(compiled, [events([{}, {}, {}])], max_items=0)
    shown = [violation.message for violation in verdict.outcomes[0].violations]
    assert (verdict.code == "evaluation.too-many" or "(absent)" in shown) is bool(keeps)


def test_what_is_bound_needs_all_records_at_once():
    check = {
        "query": None,
        "queries": {"all": WINDOW},
        "bind": {"last": "max(all[].id) || 'none'"},
        "expect": {"every": "id != ${bind.last}", "over": "all"},
    }
    compiled = program({"check": check})
    codes = [audit(compiled, [events([{}] * n)], max_items=2)[0].code for n in (2, 3)]
    assert codes == ["policy.violation", "evaluation.too-many"]


@pytest.mark.parametrize(
    ("name", "where", "window"),
    [
        ("user_activities", "userSignOns.failures ge 5", {"from": "2026-11-01", "to": "2026-11-04"}),
        ("metrics_active_identity_counts", "value ge 5", {"from": "2026-11-01", "to": "2026-11-04"}),
    ],
)
def test_periods_count_whole(name, where, window):
    def period(start: str, count: int) -> dict[str, JSON]:
        return {"startDate": start, "value": count, "userSignOns": {"failures": count}}

    days = [period(f"2026-11-0{day}T00:00:00Z", 5) for day in (1, 2, 3, 4)]
    cut = period("2026-11-03T00:00:01Z", 5)
    few = period("2026-11-02T00:00:00Z", 4)
    verdict = judge(*days, cut, few, query={"resource": name, "window": window, "where": where})
    assert summary(verdict) == ["fail", "policy.violation", 3, 3, 0]


def test_no_counts_are_news():
    window = {"resource": "user_activities", "window": "7d"}
    assert summary(judge(query=window)) == ["error", "evidence.empty", 0, 0, 0]


# --- violations --------------------------------------------------------------------------------------


def test_a_violation_names_its_record():
    link = "https://api.pingone.eu/v1/activities/7"
    record = event(7, _links={"self": {"href": link}})
    (violation,) = judge(record, expect={"every": "id == 'x'"}).outcomes[0].violations
    assert (violation.identity, violation.at, violation.link) == ("7", START + timedelta(seconds=7), link)
    assert violation.item == record
    assert violation.message == "not true: id == 'x'"


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ({"every": "id == 'x'"}, "not true: id == 'x'"),
        ({"none": "[?id == '0']"}, "found by: [?id == '0']"),
        ({"that": "length(@) == `5`"}, "not true: length(@) == `5`"),
        ({"none": "[]", "message": "{id} at {recordedAt}"}, "0 at 2026-11-01T00:00:00.000Z"),
        ({"that": "length(@) == `5`", "message": "{length(@)} of 5: {[0].id}"}, "1 of 5: 0"),
        ({"every": "id == 'x'", "message": "{age_days(recordedAt)} days"}, "20.38207318287037 days"),
    ],
)
def test_a_violation_has_a_message(expect, message):
    (violation,) = judge(event(0), expect=expect).outcomes[0].violations
    assert violation.message == message


def test_what_is_no_record_is_named_by_its_value():
    found = judge(
        event(0, actors={"user": {"id": "zoë"}}),
        event(1, actors={"user": {"id": "zoë"}}),
        expect={"none": "count_by(@, &actors.user.id)"},
    )
    (violation,) = found.outcomes[0].violations
    assert (violation.identity, violation.at) == ('{"count": 2, "key": "zoë"}', None)
    assert violation.item == {"key": "zoë", "count": 2}
    (text,) = judge(event(0), expect={"none": "[].id"}).outcomes[0].violations
    assert text.identity == "0"
    (long,) = judge(event(0, tags=["x" * 500]), expect={"none": "[].tags[]"}).outcomes[0].violations
    assert long.identity == "x" * 119 + "…"
    assert long.item == "x" * 500


def test_what_nests_deeper_than_reports_hold_is_told_without_it(auditor, policy, tmp_path):  # noqa: F811
    deep: JSON = []
    for _ in range(150):
        deep = [{"a": deep}]
    lines = [
        json.dumps(event(number, _embedded={"a": inner})) for number, inner in enumerate([deep, deep, [{}]])
    ]
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join(lines), encoding="utf-8")
    expect = """[{every: "id == 'x'"}, {none: "[]._embedded"}]"""
    ran = auditor("check", policy(expect, where="id pr"), "--records", f"activities={path}", "--json")
    (verdict,) = json.loads(ran.out)["verdicts"]
    assert [outcome["exceptions"] for outcome in verdict["outcomes"]] == [3, 3]
    items = [[each["item"] for each in outcome["violations"]] for outcome in verdict["outcomes"]]
    assert items[0][:2] == items[1][:2] == [TOO_DEEP, TOO_DEEP]
    assert items[0][2]["_embedded"] == items[1][2] == {"a": [{}]}


def test_an_item_nested_deeper_than_python_follows_is_a_violation_all_the_same():
    deep: JSON = []
    for _ in range(5_000):
        deep = [deep]
    expect = {"none": "[].{x: tags}", "message": "all of {x}"}
    (violation,) = judge(event(0, tags=deep), expect=expect).outcomes[0].violations
    assert (violation.identity, violation.message) == ("(too large)", "all of (absent)")


def test_an_item_that_shows_no_instant_has_none():
    expect = {"none": "[].{recordedAt: id, _links: tags}"}
    (violation,) = judge(event(0), expect=expect).outcomes[0].violations
    assert (violation.at, violation.link) == (None, None)


def test_the_whole_list_is_one_violation_without_its_records():
    (violation,) = judge(event(0), expect="length(@) == `5`").outcomes[0].violations
    assert (violation.identity, violation.item, violation.at) == ("the whole list", None, None)


def test_the_first_twenty_violations_are_shown_and_all_are_counted():
    records = events([{}] * 500)
    backwards = list(reversed(records))
    outcome = judge(*backwards, expect={"every": "id == 'x'"}).outcomes[0]
    assert outcome.exceptions == 500
    assert [violation.identity for violation in outcome.violations] == [str(n) for n in range(20)]
    outcome = judge(*backwards, expect="none").outcomes[0]
    assert outcome.exceptions == 500
    assert [violation.identity for violation in outcome.violations] == [str(n) for n in range(20)]


def test_violations_that_an_expression_puts_in_order_keep_it():
    expect = {"none": "reverse(sort_by(@, &recordedAt))"}
    outcome = judge(*events([{}] * 30), expect=expect).outcomes[0]
    assert [violation.identity for violation in outcome.violations] == [str(n) for n in range(29, 9, -1)]


def test_records_are_in_the_order_of_their_instants_however_they_are_written():
    """PingOne leaves milliseconds out where there are none, so texts would sort otherwise."""
    texts = [
        "2026-11-02T01:00:00+01:00",
        "2026-11-02T00:00:00.5Z",
        "2026-11-02T00:00:01Z",
        "2026-11-02T00:00:01.5Z",
    ]
    records = [event(9 - number, recordedAt=text) for number, text in enumerate(texts)]
    same = event(1, recordedAt="2026-11-02T00:00:00Z")
    for expect in ("none", {"every": "id == 'x'"}):
        outcome = judge(*reversed(records), same, expect=expect).outcomes[0]
        assert [violation.identity for violation in outcome.violations] == ["1", "9", "8", "7", "6"]


def test_numbers_among_the_keys_sort_as_numbers_and_values_of_any_type_sort():
    kind = KINDS["activities"].model_copy(update={"identity": ("source.port",)})
    ports: list[JSON] = [10, 9, "x", None, [1], 2.5]
    records = [event(0, source={"port": port}) for port in ports]
    expect = {"every": "id == 'x'", "message": "{source.port}"}
    outcome = judge(*records, expect=expect, kinds={"activities": port_kind(kind)}).outcomes[0]
    assert [violation.message for violation in outcome.violations] == [
        "(absent)",
        "2.5",
        "9",
        "10",
        "[1]",
        "x",
    ]


def test_records_without_a_window_sort_also_by_what_is_no_instant():
    now = KINDS["activities"].model_copy(update={"kind": "now", "window": None})
    records = [event(0, recordedAt="tomorrow"), event(1), event(2, recordedAt="later")]
    (outcome,) = judge(*records, query={"resource": "now"}, kinds={"now": now}).outcomes
    assert [violation.identity for violation in outcome.violations] == ["1", "2", "0"]


def port_kind(kind: ResourceKind) -> ResourceKind:
    """Return a kind whose records have a port of any type."""
    item = {**kind.item, "properties": {**kind.item["properties"], "source": {}}}
    return kind.model_copy(update={"item": item})


# --- what a violation rests on, and who is shown it ----------------------------------------------------


def test_a_violation_says_which_answer_brought_it_and_what_was_read_of_it():
    records = [
        event(0, actors={"user": {"id": "ada"}}, tags=["a", "b"]),
        event(1, resources=[{"id": "r", "type": "USER"}, {"id": "s"}]),
    ]
    reads: Mapping[str, list[dict[str, JSON]]] = {
        "actors.user.id == 'x' || tags == `[]` || id == 'x'": [
            {"actors.user.id": "ada", "tags": ["a", "b"], "id": "0"},
            {"actors.user.id": None, "tags": None, "id": "1"},
        ],
        "resources[].type == `[]`": [{"resources.type": None}, {"resources.type": ["USER", None]}],
    }
    for text, values in reads.items():
        found = judge(*records, expect={"every": text, "on_missing": "fail"}).outcomes[0].violations
        assert [(violation.page, violation.values) for violation in found] == [
            ("prod/activities/1#0", value) for value in values
        ]
    (one,) = judge(*records, expect={"none": "[?tags].tags[0]"}).outcomes[0].violations
    assert (one.item, one.page, one.values) == ("a", "prod/activities/1#0", {"tags": ["a", "b"]})
    for expect in ("none", {"none": "reverse(sort_by(@, &id))"}):
        one, _ = judge(*records, expect=expect).outcomes[0].violations
        assert one.page == "prod/activities/1#0"
    for made in ({"none": "count_by(@, &id)"}, {"that": "length(@) == `5`"}):
        one, *_ = judge(*records, expect=made).outcomes[0].violations
        assert (one.page, one.values) == ("", {})


def test_what_is_compared_with_a_sensitive_value_is_not_told():
    values = {"var.secret": Value("canary", sensitive=True)}
    expect = {"every": "id == ${var.secret}"}
    (found,) = judge(event(0), variables=values, expect=expect).outcomes[0].violations
    assert found.values == {}


@pytest.mark.parametrize(
    "expect",
    [
        {"every": "id == 'x'"},
        "none",
        {"none": "[].{x: id}"},
        {"none": "sort_by(@, &id)"},
        {"none": "[?result.status == 'x']", "on_missing": "fail"},
        {"none": "[?id != '0'].{x: length(result.status)}", "on_missing": "fail"},
    ],
)
def test_every_violation_is_shown_once_whatever_the_number(expect):
    shown: list[tuple[str, Violation]] = []
    verdict = judge(
        *reversed(events([{}] * 50)),
        expect=expect,
        options={"on_violation": lambda name, violation: shown.append((name, violation))},
    )
    (outcome,) = verdict.outcomes
    assert outcome.exceptions == (49 if "id != '0'" in str(expect) else 50)
    assert {name for name, _ in shown} == {verdict.name}
    assert len({violation.fingerprint for _, violation in shown}) == len(shown) == outcome.exceptions
    assert all(violation in [each for _, each in shown] for violation in outcome.violations)
    assert len(outcome.violations) == 20
    plain = judge(*events([{}] * 50), expect=expect).outcomes[0]
    assert [v.fingerprint for v in plain.violations] == [v.fingerprint for v in outcome.violations]


# --- fingerprints ------------------------------------------------------------------------------------


def fingerprints(*records: JSON, **check: Any) -> list[str]:
    return [violation.fingerprint for violation in judge(*records, **check).outcomes[0].violations]


def test_a_fingerprint_is_stable():
    """It is kept in waivers and in the history of runs: a new value breaks both."""
    assert fingerprints(event(0)) == ["f5b2a03396a6f6ff728cfcd4d2f4207e"]


def test_a_fingerprint_depends_on_check_environment_and_record_alone():
    alone = fingerprints(event(3))
    assert fingerprints(event(1), event(2), event(3))[2:] == alone
    assert fingerprints(event(3, result={"status": "x"}), title="Another", message="{id}") == alone
    assert fingerprints(event(3), expect={"every": "id == 'x'"}) == alone
    assert fingerprints(event(3, recordedAt="2026-11-01T00:00:03Z")) == alone
    assert fingerprints(event(4)) != alone


def test_the_same_record_has_another_fingerprint_in_another_check_or_environment():
    checks: dict[str, dict[str, Any]] = {"a": {"query": WINDOW}, "b": {"query": WINDOW}}
    prints = {v.outcomes[0].violations[0].fingerprint for v in audit(program(checks), [[event(0)]])}
    assert len(prints) == 2


def test_the_fingerprint_of_a_list_does_not_depend_on_its_records():
    expect = "length(@) == `5`"
    assert fingerprints(event(0), expect=expect) == fingerprints(event(1), event(2), expect=expect)


def test_items_that_look_alike_have_fingerprints_of_their_own():
    tags = ["x" * 500 + "a", "x" * 500 + "b"]
    assert len(set(fingerprints(event(0, tags=tags), expect={"none": "[].tags[]"}))) == 2


# --- order of arrival --------------------------------------------------------------------------------

some_events = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "result": st.sampled_from([{"status": "SUCCESS"}, {"status": "FAILED"}, {"status": 5}, {}]),
            "tags": st.lists(st.sampled_from(["a", "b"]), max_size=2),
            "actors": st.sampled_from([{"user": {"id": "ada"}}, {"user": {"id": "bob"}}, {}]),
        },
    ),
    max_size=30,
)
expectations = st.sampled_from(
    [
        {"every": "result.status == 'SUCCESS'"},
        {"every": "length(result.status) > `6`"},
        {"none": "[?contains(tags, 'a')]"},
        {"none": "count_by([?actors.user.id], &actors.user.id)[?count > `2`]"},
        {"some": "[?result.status == 'FAILED']"},
        {"that": "length([?result.status == 'SUCCESS']) > length([?result.status == 'FAILED'])"},
        {"that": "[0].id == '0' && [-1].actors.user.id == 'ada'"},
    ]
)
missing = st.sampled_from([{}, {"on_missing": "fail"}, {"on_missing": "pass"}, {"on_missing": "skip"}])


@settings(max_examples=examples(150), deadline=None)
@given(some_events, expectations, missing, st.randoms(use_true_random=False), st.integers(1, 10))
def test_neither_the_order_of_arrival_nor_the_pages_change_a_verdict(
    records, expect, on_missing, random, size
):
    compiled = program({"check": {"query": WINDOW, "expect": {**expect, **on_missing}}})
    ordered = events(records)
    shuffled = list(ordered)
    random.shuffle(shuffled)
    pages = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    shown = [[without_pages(verdict) for verdict in audit(compiled, given)] for given in (pages, [ordered])]
    assert shown[0] == shown[1]


@settings(max_examples=examples(100), deadline=None)
@given(some_events, expectations)
def test_what_a_record_counts_as_is_ordered_from_fail_to_pass(records, expect):
    """Whoever counts missing as pass finds no more than who skips it, and so on to fail."""

    def exceptions(on_missing: str) -> int:
        return judge(*events(records), expect={**expect, "on_missing": on_missing}).exceptions

    assert exceptions("pass") <= exceptions("skip") <= exceptions("fail")


@settings(max_examples=examples(100), deadline=None)
@given(some_events, expectations, missing)
def test_an_incomplete_read_is_never_a_pass_and_lists_what_a_complete_one_does(records, expect, on_missing):
    merged = {**expect, **on_missing}
    whole = judge(*events(records), expect=merged)
    cut = judge(*events(records), expect=merged, failure=CUT)
    assert cut.status is Status.ERROR
    assert (cut.code, cut.reason, cut.help) == (CUT.code, CUT.reason, CUT.help)
    if records:
        assert [o.violations for o in cut.outcomes] == [o.violations for o in whole.outcomes]


@settings(max_examples=examples(100), deadline=None)
@given(
    some_events,
    expectations,
    st.lists(st.sampled_from(["{to_string(@)}", "{type(@)}", "{length(@)}", "{{", "x"])).map("".join),
)
def test_a_message_never_changes_a_verdict(records, expect, message):
    plain = judge(*events(records), expect=expect)
    told = judge(*events(records), expect={**expect, "message": message or "x"})
    assert summary(told) == summary(plain)
    assert told.reason == plain.reason
    ids = [[v.fingerprint for v in verdict.outcomes[0].violations] for verdict in (plain, told)]
    assert ids[0] == ids[1]
