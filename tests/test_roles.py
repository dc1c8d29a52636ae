"""The least roles: enough for every resource, none that could be spared, and none that could change less."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.model.plan import reads_only
from auditor.planner import least
from tests.pages import KINDS
from tests.support import ROOT, examples
from tests.test_cli import Ran, auditor  # noqa: F401  # a fixture

PROJECT = """\
version: 1
policies:
  - {pack: pingone-activity, variables: {admin_clients: [], license_cap: 10}}
  - pack: pingone-posture
organization_id: 7a1e0d4c-0000-4000-8000-000000000000
environments: {prod: {id: abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6, region: NA}}
"""


def of(*kinds: str) -> tuple[str, ...]:
    return least({kind: KINDS[kind].roles for kind in kinds})


@pytest.mark.parametrize(
    ("kinds", "roles"),
    [
        (["activities"], ["Identity Data Read Only"]),
        (["activities", "applications"], ["Configuration Read Only"]),
        (["users", "keys"], ["Configuration Read Only", "Identity Data Read Only"]),
        (["user_activities"], ["Identity Data Admin"]),
        (["user_activities", "users"], ["Identity Data Admin"]),
        (["user_activities", "activities", "keys"], ["Configuration Read Only", "Identity Data Admin"]),
        ([], []),
    ],
)
def test_the_least_roles_are_those_that_can_change_least_and_as_few_as_will_do(
    kinds: list[str], roles: list[str]
):
    assert sorted(of(*kinds)) == roles


ROLES = [
    "Configuration Read Only",
    "Identity Data Read Only",
    "Environment Admin",
    "Identity Data Admin",
    "Owner",
]
READERS = st.dictionaries(
    st.text("abc", min_size=1, max_size=2), st.lists(st.sampled_from(ROLES), min_size=1, unique=True)
)


@given(READERS)
@settings(max_examples=examples(100), deadline=None)
def test_least_roles_read_all_can_not_be_spared_and_no_others_change_less(readers: dict[str, list[str]]):
    def reads_all(chosen: tuple[str, ...]) -> bool:
        return all(set(roles) & set(chosen) for roles in readers.values())

    def writers(chosen: tuple[str, ...]) -> int:
        return sum(not reads_only(role) for role in chosen)

    found = least(readers)
    assert reads_all(found)
    assert not any(reads_all(fewer) for fewer in combinations(found, max(len(found) - 1, 0)) if found)
    others = [chosen for size in range(6) for chosen in combinations(ROLES, size) if reads_all(chosen)]
    assert writers(found) == min(map(writers, others))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the two shipped packs, which is the working directory too."""
    (tmp_path / "auditor.yaml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(run: Callable[..., Ran], *words: str) -> list[dict[str, Any]]:
    ran = run("plan", "--roles", "--json", *words)
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["format_version"] == "1.0"
    roles: list[dict[str, Any]] = document["roles"]
    return roles


@pytest.mark.usefixtures("project")
def test_the_example_for_terraform_gives_the_roles_that_the_shipped_packs_need(
    auditor: Callable[..., Ran],  # noqa: F811
):
    needed = {role["role"] for role in planned(auditor)}
    text = (ROOT / "examples" / "terraform" / "main.tf").read_text("utf-8")
    (listed,) = re.findall(r"roles = toset\(\[(.*?)\]\)", text, re.DOTALL)
    assert set(re.findall(r'"(.*?)"', listed)) == needed


@pytest.mark.usefixtures("project")
def test_a_role_that_can_change_something_stands_with_the_checks_that_need_it(
    auditor: Callable[..., Ran],  # noqa: F811
):
    shown = auditor("plan", "--roles").out
    reader, admin = planned(auditor)
    assert (reader["role"], reader["reads_only"], reader["checks"]) == ("Configuration Read Only", True, [])
    assert (admin["role"], admin["reads_only"]) == ("Identity Data Admin", False)
    assert "prod/pingone-activity/sign-on-failure-ratio" in admin["checks"]
    assert "prod/pingone-posture/users-sign-on" not in admin["checks"]
    for word in (
        "Configuration Read Only",
        "Identity Data Admin",
        "sign-on-failure-ratio",
        "user_activities",
    ):
        assert word in shown


@pytest.mark.usefixtures("project")
def test_without_those_checks_roles_that_only_read_will_do(
    auditor: Callable[..., Ran],  # noqa: F811
    project: Path,
):
    _, admin = planned(auditor)
    spared = ", ".join(f"{name.rpartition('/')[2]}: not needed here" for name in admin["checks"])
    text = PROJECT.replace("{pack: pingone-activity,", f"{{pack: pingone-activity, exclude: {{{spared}}},")
    (project / "auditor.yaml").write_text(text)
    assert [role["role"] for role in planned(auditor)] == [
        "Configuration Read Only",
        "Identity Data Read Only",
    ]
