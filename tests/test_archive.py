"""Checks that need older records than PingOne holds at once: skipped, with the reason, until they are given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditor import cli

POLICY = """\
version: 1
pack: {{id: pack}}
checks:
  check:
    title: No environment is deleted in a year
    requires: {requires}
    query: {{resource: activities, window: 12mo, where: action.type eq "ENVIRONMENT.DELETED"}}
    expect: none
"""
AS_OF = "2026-11-21T09:00:00Z"


@pytest.fixture
def verdict(capsys, monkeypatch, tmp_path: Path) -> Callable[..., Any]:
    """Judge events of given instants, which are deletions where marked so; without any, the simulator's."""
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))

    def run(*instants: str, requires: str = "archive") -> Any:
        (tmp_path / "policy.yaml").write_text(POLICY.format(requires=requires), encoding="utf-8")
        events = [
            {
                "id": str(number),
                "recordedAt": instant.removesuffix("!"),
                "action": {"type": "ENVIRONMENT.DELETED" if instant.endswith("!") else "USER.CREATED"},
                "result": {"status": "SUCCESS"},
            }
            for number, instant in enumerate(instants)
        ]
        (tmp_path / "events.json").write_text(json.dumps(events), encoding="utf-8")
        given = (
            ["--records", f"activities={tmp_path}/events.json"]
            if instants
            else ["--simulate", "--events", "50"]
        )
        cli.run(["check", str(tmp_path / "policy.yaml"), "--as-of", AS_OF, "--json", *given])
        (found,) = json.loads(capsys.readouterr().out)["verdicts"]
        return found

    return run


def test_a_tenant_is_not_asked_for_what_it_no_longer_holds(verdict):
    found = verdict()
    assert (found["status"], found["code"], found["queries"]) == ("skip", "evidence.no-archive", [])
    assert found["reason"].endswith("--records activities=FILE")


@pytest.mark.parametrize(
    ("status", "instants"),
    [
        pytest.param("pass", ("2025-11-21T09:00:00Z", "2026-11-21T08:00:00Z"), id="they reach over the window"),
        pytest.param("pass", ("2025-11-22T08:00:00Z", "2026-11-20T10:00:00Z"), id="a quiet day at either end"),
        pytest.param("fail", ("2025-11-21T09:00:00Z", "2026-03-01T09:00:00Z!", "2026-11-21T08:00:00Z"), id="deleted"),
        pytest.param("skip", ("2025-11-22T10:00:00Z", "2026-11-21T08:00:00Z"), id="they begin too late"),
        pytest.param("skip", ("2025-11-21T09:00:00Z", "2026-11-20T08:00:00Z"), id="they end too early"),
        pytest.param("skip", ("2026-11-20T09:00:00Z!",), id="a deletion, in records that are too few to judge by"),
    ],
)  # fmt: skip
def test_given_records_are_judged_where_they_reach_over_the_window(
    verdict, status: str, instants: tuple[str, ...]
):
    found = verdict(*instants)
    assert found["status"] == status, found["reason"]
    if status == "skip":
        assert found["code"] == "evidence.no-archive"
        assert "The given records" in found["reason"]


def test_a_check_may_say_how_far_is_far_enough(verdict):
    instants = ("2026-11-01T09:00:00Z", "2026-11-10T09:00:00Z")
    assert verdict(*instants, requires="{archive: 15d}")["status"] == "pass"
    assert verdict(*instants, requires="{archive: 30d}")["status"] == "skip"
