"""The doctor: whether everything that is planned can be read, and what is missing or too much."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stamina
from ruamel.yaml import YAML

from auditor.model.plan import HeldRole
from auditor.planner import partial_reads, superfluous
from tests.pages import KINDS, environment, plan_of, query
from tests.support import ROOT
from tests.test_cli import Ran, auditor, tenant  # noqa: F401  # a fixture
from tests.test_fetcher_secrets import CANARY

CASES: list[dict[str, Any]] = YAML(typ="safe").load(
    (ROOT / "tests" / "spec" / "doctor.yaml").read_text("utf-8")
)
POLICY = """\
version: 1
pack: {id: pack}
checks:
  log: {title: Log, query: {resource: activities, window: hot}, expect: some}
  users: {title: Users, query: {resource: users}, expect: some}
  keys: {title: Keys, query: {resource: keys}, expect: some}
  actions: {title: Actions, query: {resource: sign_on_policy_actions}, expect: some}
  counts: {title: Counts, query: {resource: active_identity_counts, window: 7d}, expect: some}
"""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the tenants of these tests as fast as they answer."""
    monkeypatch.setattr("auditor.fetcher.limits.MARGIN", 0)


LEAST = ("Identity Data Read Only", "Configuration Read Only")


@pytest.mark.parametrize("case", [pytest.param(case, id=case["because"]) for case in CASES])
def test_the_doctor_says_what_is_wrong_and_what_to_do(
    case: Mapping[str, Any],
    auditor: Callable[..., Ran],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "policy.yaml").write_text(POLICY)
    monkeypatch.chdir(tmp_path)
    settings: dict[str, Any] = {"roles": tuple(case.get("roles", LEAST)), "client_secret": CANARY}
    with tenant(monkeypatch, *case.get("faults", ()), **settings), stamina.set_testing(True, attempts=2):
        for name, value in case.get("environ", {}).items():
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
        words = ("doctor", "policy.yaml", *case.get("options", ()))
        document = auditor(*words, "--json")
        shown = auditor(*words) if case.get("says") else document
    assert (shown.code, document.code) == (case["exit"], case["exit"]), shown
    told = json.loads(document.out)
    assert (told["format_version"], told["healthy"]) == ("1.0", case["exit"] == 0)
    assert sorted({problem["code"] for problem in told["problems"]}) == sorted(case.get("codes", []))
    (found,) = told["environments"]
    unreadable = {read["resource"] for read in found["reads"] if not read["readable"]}
    assert unreadable == set(case.get("unreadable", []))
    one_line = " ".join(shown.out.split())
    for text in case.get("says", []):
        assert text in one_line
    assert all(problem["help"] for problem in told["problems"])
    assert CANARY not in "".join((*shown[1:], *document[1:]))


def test_one_small_read_is_made_of_each_endpoint(
    auditor: Callable[..., Ran],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "policy.yaml").write_text(POLICY)
    with tenant(monkeypatch, roles=LEAST) as running:
        assert auditor("doctor", tmp_path / "policy.yaml").code == 0
    reads = [seen for seen in running.requests if seen.method == "GET"]
    assert sorted(seen.path.rpartition("/")[2] for seen in reads) == [
        "actions",
        "activeIdentityCounts",
        "activities",
        "keys",
        "roleAssignments",
        "roles",
        "signOnPolicies",
        "users",
    ]
    assert {seen.query["limit"] for seen in reads if "limit" in seen.query} == {"1"}
    assert not any(seen.ignored for seen in reads)


def test_each_environment_stands_apart(
    auditor: Callable[..., Ran],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """One whose worker application is refused spoils no other."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    own = "{client_secret: '${env.OTHER_SECRET}'}"
    ids = "id: '${env.PINGONE_ENVIRONMENT_ID}'"
    (tmp_path / "auditor.yaml").write_text(
        f"version: 1\npolicies: [policy.yaml]\nenvironments: {{well: {{{ids}}}, ill: {{{ids}, credentials: {own}}}}}\n"
    )
    monkeypatch.setenv("OTHER_SECRET", "wrong")
    with tenant(monkeypatch, roles=LEAST):
        ran = auditor("doctor", "--chdir", tmp_path, "--json")
        alone = auditor("doctor", "--chdir", tmp_path, "--environment", "well")
    told = json.loads(ran.out)
    assert (ran.code, alone.code) == (1, 0)
    assert {found["name"]: found["token"] for found in told["environments"]} == {"well": True, "ill": False}
    assert {problem["subject"] for problem in told["problems"]} == {"ill"}


def test_a_narrow_page_has_no_long_lines(
    auditor: Callable[..., Ran],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "policy.yaml").write_text(POLICY)
    monkeypatch.setenv("COLUMNS", "60")
    with tenant(monkeypatch):
        ran = auditor("doctor", tmp_path / "policy.yaml")
    assert max(map(len, ran.out.splitlines())) <= 60
    assert "\x1b" not in ran.out


# --- what is too much -----------------------------------------------------------------------------------

PROD = environment()
ELSEWHERE = ("ENVIRONMENT", "another")
ORGANIZATION = ("ORGANIZATION", "the-organization")


def held(*roles: str, scope: tuple[str, str] = ("ENVIRONMENT", str(PROD.id))) -> list[HeldRole]:
    return [HeldRole(role=role, scope_type=scope[0], scope_id=scope[1]) for role in roles]


def spared(kinds: list[str], roles: list[HeldRole], *, whole: bool = False) -> list[str]:
    queries = [replace(query(), resource=kind, roles=KINDS[kind].roles) for kind in kinds]
    found = superfluous(plan_of(*queries), [PROD], roles, whole_organization=whole)
    assert all(found.values())
    return [one.role for one in found]


@pytest.mark.parametrize(
    ("kinds", "roles", "expected"),
    [
        (["activities"], held("Identity Data Read Only"), []),
        (["activities"], held("Configuration Read Only"), []),
        (["activities"], held(*LEAST), ["Configuration Read Only"]),
        (["activities"], held("Environment Admin"), ["Environment Admin"]),
        (["user_activities"], held("Identity Data Admin"), []),
        (["user_activities"], held("Environment Admin", "Identity Data Admin"), ["Environment Admin"]),
        (["activities"], held("Identity Data Read Only", "DaVinci Admin"), ["DaVinci Admin"]),
        (["activities"], held("Identity Data Read Only", scope=ORGANIZATION), ["Identity Data Read Only"]),
        (["activities"], held("Identity Data Read Only", scope=ELSEWHERE), ["Identity Data Read Only"]),
        (
            ["activities"],
            [*held("Identity Data Read Only"), *held("Identity Data Read Only", scope=ORGANIZATION)],
            ["Identity Data Read Only"],
        ),
    ],
)  # fmt: skip
def test_what_can_be_spared_is_too_much(kinds: list[str], roles: list[HeldRole], expected: list[str]):
    assert spared(kinds, roles) == expected


def test_what_belongs_to_the_organization_may_be_read_for_all_of_it():
    assert spared(["licenses"], held("Configuration Read Only", scope=ORGANIZATION), whole=True) == []


def test_a_role_for_a_population_reads_in_part():
    plan = plan_of(replace(query(), resource="users", roles=KINDS["users"].roles))
    part = held("Identity Data Read Only", scope=("POPULATION", "one"))
    assert partial_reads(plan, PROD, part) == {"users": "Identity Data Read Only"}
    assert partial_reads(plan, PROD, [*part, *held("Identity Data Read Only")]) == {}
    assert partial_reads(plan, PROD, []) == {}
