"""What a program holds: every default decided, every value named, one digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from auditor import compiler
from auditor.config import shipped_kinds
from auditor.model.environment import Environment
from auditor.model.policy import PolicyFile
from auditor.model.project import LoadedPack, Project
from auditor.model.query import CompiledCheck, Program, Pushdown, WindowRequest
from auditor.model.resource import ResourceKind
from auditor.model.value import JSON, Value, Values

KINDS = shipped_kinds()
PROD = Environment(name="prod", id="abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6", region="NA")

QUERIES: Mapping[str, Mapping[str, Any]] = {
    "activities": {"resource": "activities", "window": "hot"},
    "active_identity_counts": {"resource": "active_identity_counts", "window": "7d"},
    "metrics_active_identity_counts": {"resource": "metrics_active_identity_counts", "window": "7d"},
    "user_activities": {"resource": "user_activities", "window": "7d"},
}
"""The shortest query on each shipped kind."""


def policy_file(checks: Mapping[str, Mapping[str, Any]]) -> PolicyFile:
    """Return a policy file with these checks; what a check leaves out is filled in."""
    default = {"title": "A check", "query": QUERIES["activities"], "expect": "none"}
    return PolicyFile.model_validate(
        {
            "version": 1,
            "pack": {"id": "pack"},
            "checks": {name: {**default, **check} for name, check in checks.items()},
        }
    )


def pack_of(*files: PolicyFile, **changes: Any) -> LoadedPack:
    """Return the pack `pack` with some files."""
    named = {f"{number}.yaml": file for number, file in enumerate(files)}
    return LoadedPack(id="pack", title="Pack", files=named, **changes)


def project(
    checks: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    packs: tuple[LoadedPack, ...] = (),
    variables: Values | None = None,
    kinds: Mapping[str, ResourceKind] = KINDS,
    environments: tuple[Environment, ...] = (PROD,),
    **changes: Any,
) -> Project:
    """Return a project with packs, or one with *checks* in one file; *changes* are fields of the project."""
    made = Project(
        packs=packs or (pack_of(policy_file(checks or {})),),
        environments=environments,
        catalogue=kinds,
        values={(environment.name, "pack"): variables or {} for environment in environments},
    )
    return replace(made, **changes)


def program(
    checks: Mapping[str, Mapping[str, Any]] | None = None, *, pushdown: Pushdown = "documented", **of: Any
) -> Program:
    """Compile a project that has no mistakes."""
    compiled = compiler.compile(project(checks, **of), pushdown=pushdown)
    assert compiled.value is not None, compiled.diagnostics
    return compiled.value


def check(
    pushdown: Pushdown = "documented", variables: Values | None = None, **written: Any
) -> CompiledCheck:
    """Compile one check."""
    (compiled,) = program({"check": written}, pushdown=pushdown, variables=variables).checks
    return compiled


def query(where: str, resource: str = "activities", **more: Any) -> dict[str, Any]:
    """Return a query with a filter."""
    return {**QUERIES[resource], "where": where, **more}


# --- order -------------------------------------------------------------------------------------------


def test_checks_stand_in_the_order_of_environment_pack_and_name():
    files = {"z.yaml": policy_file({"b": {}, "d": {}}), "a.yaml": policy_file({"c": {}, "a": {}})}
    packs = (
        LoadedPack(id="second", title="", files=files),
        LoadedPack(id="first", title="", files={"x.yaml": policy_file({"e": {}})}),
    )
    environments = (replace(PROD, name="test"), PROD)
    names = [entry.name for entry in program(packs=packs, environments=environments).checks]
    of_one = ["first/e", "second/a", "second/b", "second/c", "second/d"]
    assert names == [f"{environment}/{name}" for environment in ("test", "prod") for name in of_one]


def test_neither_the_order_of_files_nor_their_names_change_a_program():
    one, other = policy_file({"a": {}}), policy_file({"b": {}})
    programs = [
        program(packs=(LoadedPack(id="pack", title="", files=files),))
        for files in ({"1": one, "2": other}, {"2": other, "1": one}, {"x": other, "y": one})
    ]
    assert programs[0] == programs[1]
    assert programs[0].digest == programs[2].digest
    assert [entry.id for entry in programs[2].checks] == ["a", "b"]


# --- defaults ----------------------------------------------------------------------------------------


FORMS = {"every": "_links.x == 'x'", "none": "[]", "some": "[]", "that": "length(@) > `3`"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("resource", QUERIES)
def test_what_nothing_counts_as_comes_from_the_kind_and_the_form(resource, form):
    compiled = check(query=QUERIES[resource], expect={form: FORMS[form]})
    events = {"every": {"": "pass"}, "none": {"": "pass"}, "some": {"": "fail"}, "that": {}}
    assert compiled.expectations[0].on_empty == (events[form] if resource == "activities" else {"": "error"})


def test_an_expectation_says_it_before_its_check_and_the_check_before_the_kind():
    compiled = check(
        on_empty="skip",
        on_missing="fail",
        message="of the check",
        severity="high",
        expect=[
            {
                "every": "id == 'x'",
                "on_empty": "error",
                "on_missing": "pass",
                "message": "mine",
                "severity": "low",
            },
            {"every": "id == 'x'"},
        ],
    )
    first, second = compiled.expectations
    assert (first.on_empty[""], first.on_missing, first.message, first.severity) == (
        "error",
        "pass",
        "mine",
        "low",
    )
    assert (second.on_empty[""], second.on_missing, second.message, second.severity) == (
        "skip",
        "fail",
        "of the check",
        "high",
    )


@pytest.mark.parametrize(
    ("written", "form", "expression"),
    [
        ("none", "none", "[]"),
        ("some", "some", "[]"),
        ("length(@) > `3`", "that", "length(@) > `3`"),
        ({"every": "id == 'x'"}, "every", "id == 'x'"),
    ],
)
def test_short_forms_are_written_out(written, form, expression):
    (expectation,) = check(expect=written).expectations
    assert (expectation.form, expectation.expression) == (form, expression)


def test_a_project_can_change_severities_and_exclude_checks():
    pack = pack_of(
        policy_file({"a": {"severity": "high"}, "b": {}}),
        excluded={"b": "not used, TICKET-1"},
        severities={"a": "low"},
    )
    a, b = program(packs=(pack,)).checks
    assert (a.severity, a.expectations[0].severity, a.excluded) == ("low", "low", None)
    assert (b.severity, b.excluded) == ("medium", "Excluded by the project: not used, TICKET-1")


@pytest.mark.parametrize(
    ("window", "request_"),
    [
        ("hot", WindowRequest(hot=True)),
        ("24h", WindowRequest(last="24h")),
        ({"last": "30d", "align": "day"}, WindowRequest(last="30d", align="day")),
        (
            {"last": "1mo", "align": "month", "timezone": "Europe/Berlin"},
            WindowRequest(last="1mo", align="month", timezone="Europe/Berlin"),
        ),
        (
            {"from": "2026-01-01", "to": "2026-02-01T01:00:00+01:00"},
            WindowRequest(start="2026-01-01T00:00:00.000Z", end="2026-02-01T00:00:00.000Z"),
        ),
    ],
)
def test_a_window_is_kept_as_it_was_asked_for(window, request_):
    compiled = check(query={"resource": "activities", "window": window})
    assert compiled.queries[""].window == request_


def test_a_window_says_what_was_asked_for():
    windows = [
        WindowRequest(hot=True),
        WindowRequest(last="7d"),
        WindowRequest(last="7d", align="day", timezone="Europe/Berlin"),
        WindowRequest(start="2026-01-01T00:00:00.000Z", end="2026-02-01T00:00:00.000Z"),
    ]
    assert [str(window) for window in windows] == [
        "hot",
        "last 7d",
        "last 7d, whole days in Europe/Berlin",
        "2026-01-01T00:00:00.000Z .. 2026-02-01T00:00:00.000Z",
    ]


def test_a_kind_that_shows_what_is_there_now_needs_no_window():
    now = KINDS["activities"].model_copy(update={"kind": "now", "window": None})
    compiled = program({"check": {"query": {"resource": "now"}}}, kinds={"now": now}).checks[0]
    assert compiled.queries[""].window is None


@pytest.mark.parametrize(
    ("resource", "given", "options"),
    [
        ("activities", {}, {}),
        ("user_activities", {}, {"sampling": "DAY"}),
        ("user_activities", {"sampling": "HOURS"}, {"sampling": "HOUR"}),
        ("metrics_active_identity_counts", {"sampling": "MONTH", "window": "12mo"}, {"sampling": "MONTH"}),
        ("active_identity_counts", {"sampling": "DAY"}, {"sampling": 24}),
        ("active_identity_counts", {"sampling": 1}, {"sampling": 1}),
        ("active_identity_counts", {"sampling": 8784, "window": "2y"}, {"sampling": 8784}),
    ],
)
def test_every_option_has_a_value_that_the_endpoint_knows(resource, given, options):
    compiled = check(query={**QUERIES[resource], **given})
    assert compiled.queries[""].options == options


def test_a_clock_is_there_for_expressions_and_messages():
    compiled = check(expect={"every": "age_days(recordedAt) < `3`", "message": "{age_days(recordedAt)} days"})
    assert compiled.expectations[0].expression == "age_days(recordedAt) < `3`"


# --- values ------------------------------------------------------------------------------------------

VALUES: Values = {
    f"var.{name}": Value(value)
    for name, value in {
        "where": "A",
        "list": ["A"],
        "item": "A",
        "expect": 1,
        "message": 2,
        "unused": 3,
    }.items()
}


def test_a_check_keeps_the_values_that_it_names_and_no_others():
    compiled = check(
        variables=VALUES,
        query=query(
            "tags eq ${var.where} and tags in ${var.list} and not (correlationid in [${var.item}]) "
            'and tags ne "$${var.unused}"'
        ),
        expect={"every": "length(tags) > ${var.expect}", "message": "{id}: ${var.message}, $${var.unused}"},
    )
    assert sorted(compiled.values) == [f"var.{n}" for n in ("expect", "item", "list", "message", "where")]


def test_a_message_of_the_check_is_read_for_every_expectation_without_one():
    compiled = check(
        variables=VALUES, message="${var.message}", expect=[{"none": "[]", "message": "x"}, "some"]
    )
    assert [expectation.message for expectation in compiled.expectations] == ["x", "${var.message}"]
    assert list(compiled.values) == ["var.message"]


def test_a_value_stands_in_a_filter_as_a_literal_and_a_sensitive_one_as_its_name():
    values = {"var.a": Value('x" or tags pr or tags eq "'), "var.b": Value("y", sensitive=True)}
    compiled = check(variables=values, query=query("tags eq ${var.a} and correlationid eq ${var.b}"))
    assert (
        compiled.queries[""].where == r'tags eq "x\" or tags pr or tags eq \"" and correlationid eq ${var.b}'
    )


# --- digest ------------------------------------------------------------------------------------------


def digest(values: Mapping[str, JSON] | None = None, **written: Any) -> str:
    made = {f"var.{name}": Value(value) for name, value in (values or {}).items()}
    return program({"check": written}, variables=made).digest


PLAIN = digest()


@pytest.mark.parametrize(
    "written",
    [
        {"expect": "some"},
        {"expect": {"none": "[]", "on_missing": "fail"}},
        {"expect": {"none": "[]", "on_empty": "skip"}},
        {"severity": "low"},
        {"query": {"resource": "activities", "window": "1d"}},
        {"query": query('tags eq "x"')},
        {"query": QUERIES["user_activities"]},
    ],
    ids=str,
)
def test_what_can_change_a_verdict_changes_the_digest(written):
    assert digest(**written) != PLAIN


@pytest.mark.parametrize(
    "written",
    [
        {"title": "Another"},
        {"description": "Why it matters"},
        {"remediation": "What to do"},
        {"message": "{id}"},
        {"controls": {"soc2": ["CC6.1"]}},
        {"tags": ["x"]},
    ],
    ids=str,
)
def test_prose_does_not(written):
    assert digest(**written) == PLAIN


def test_the_digest_knows_every_part_of_a_value():
    written = {"expect": "length(${var.x}) == `1`"}
    values = [
        {"address": 1},
        {"address": 2},
        {"json": 1, "sensitive": True, "origin": "x"},
        {"json": 2, "sensitive": True, "origin": "x"},
    ]
    assert len({digest({"x": value}, **written) for value in values}) == len(values)


def test_the_digest_knows_nothing_of_a_sensitive_value_nor_of_where_a_value_came_from():
    written = {"check": {"expect": "length(@) == ${var.x}"}}

    def of(value: Value) -> str:
        return program(written, variables={"var.x": value}).digest

    assert of(Value(1, sensitive=True)) == of(Value(2, sensitive=True))
    assert of(Value(1, origin="--var")) == of(Value(1))


def test_the_digest_is_the_same_whatever_is_pushed():
    checks = {"check": {"query": query('action.type eq "USER.CREATED"')}}
    levels: list[Pushdown] = ["proven", "documented", "range"]
    assert len({program(checks, pushdown=level).digest for level in levels}) == 1


def test_the_digest_knows_the_resource_kind():
    kind = KINDS["activities"].model_copy(update={"settling": "1h"})
    assert program({"check": {}}, kinds={**KINDS, "activities": kind}).digest != PLAIN


def test_an_excluded_check_is_known_to_the_digest():
    pack = pack_of(policy_file({"check": {}}), excluded={"check": "x"})
    assert program(packs=(pack,)).digest != PLAIN


# --- environments ------------------------------------------------------------------------------------


def test_each_environment_has_its_own_values():
    environments = (PROD, replace(PROD, name="test"))
    values = {("prod", "pack"): {"var.x": Value("A")}, ("test", "pack"): {"var.x": Value("B")}}
    checks = {"check": {"query": query("tags eq ${var.x}")}}
    compiled = program(checks, environments=environments, values=values)
    assert [entry.queries[""].where for entry in compiled.checks] == ['tags eq "A"', 'tags eq "B"']
