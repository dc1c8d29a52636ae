"""Collections that each record of another kind has of its own, read over loopback HTTP: all of them, or an error."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auditor import cli
from auditor.config import shipped_kinds
from auditor.fetcher.completeness import Part
from auditor.fetcher.failures import FetchError
from auditor.fetcher.holders import Holders
from auditor.model.resource import ForEach
from auditor.simulator import Fault, Running, Settings, World, create_app, serve

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
WORLD = World.generate(seed=1, events=300, now=NOW)
PATH = "/environments/{environment_id}/applications"
APPLICATIONS = WORLD.collection(PATH, {"environment_id": WORLD.environment_id}, {}) or ()
POLICY = {
    "version": 1,
    "pack": {"id": "roles"},
    "checks": {
        "no-organization-admin": {
            "title": "No application administers the organization",
            "query": {"resource": "application_role_assignments"},
            "expect": {
                "none": "[?scope.type == 'ORGANIZATION']",
                "message": "{application.name} ({application.type})",
            },
        }
    },
}


def checked(
    folder: Path, patch: pytest.MonkeyPatch, *faults: str, **settings: Any
) -> tuple[dict[str, Any], Running]:
    """Run the check on a simulated tenant; return the report, and the tenant with what it was asked."""
    (folder / "policy.yaml").write_text(json.dumps(POLICY), encoding="utf-8")
    configured = Settings(faults=tuple(Fault.parse(fault) for fault in faults), **settings)
    clock = lambda: datetime.now(UTC)  # noqa: E731, TID251  # tokens are good now
    with serve(create_app(WORLD, shipped_kinds(), configured, clock)) as running:
        patch.setenv("AUDITOR_DATA_DIR", str(folder / "data"))
        patch.setenv("PINGONE_API_URL", running.api_url)
        patch.setenv("PINGONE_AUTH_URL", running.auth_url)
        patch.setenv("PINGONE_ENVIRONMENT_ID", WORLD.environment_id)
        patch.setenv("PINGONE_CLIENT_ID", configured.client_id)
        patch.setenv("PINGONE_CLIENT_SECRET", configured.client_secret)
        report = folder / "report.json"
        words = [
            "check",
            "--rate",
            "rlgConfigRpm=0",
            "--report",
            f"json={report}",
            str(folder / "policy.yaml"),
        ]
        cli.run(words)
    return json.loads(report.read_text("utf-8")), running


def test_the_collection_of_every_record_is_asked_for_once(tmp_path, monkeypatch):
    report, running = checked(tmp_path, monkeypatch)
    (verdict,), (asked,) = report["verdicts"], report["asked"]
    (violation,) = verdict["outcomes"][0]["violations"]
    assert violation["message"] == "Legacy sync (WORKER)"
    paths = Counter(request.path for request in running.requests if request.path.endswith("/roleAssignments"))
    prefix = f"/v1/environments/{WORLD.environment_id}/applications"
    expected = {f"{prefix}/{application['id']}/roleAssignments" for application in APPLICATIONS}
    assert paths == dict.fromkeys(expected, 1)
    # The list of applications is a request of this query too.
    assert asked["end"]["requests"] == len(expected) + 1
    assert asked["end"]["records"] == verdict["population"] == 6


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("403@/applications", "query.forbidden"),
        ("404@/roleAssignmentsx1", "query.not-found"),
        ("types@/roleAssignments", "evidence.drift"),
    ],
)
def test_one_collection_that_can_not_be_read_makes_the_whole_an_error(tmp_path, monkeypatch, fault, code):
    report, _ = checked(tmp_path, monkeypatch, fault)
    (verdict,) = report["verdicts"]
    assert (verdict["status"], verdict["code"]) == ("error", code)


def test_a_failure_of_the_list_itself_says_which_list_it_was(tmp_path, monkeypatch):
    report, running = checked(tmp_path, monkeypatch, "403@/applications")
    (verdict,) = report["verdicts"]
    assert verdict["reason"].startswith("applications, of which each is to be read, came to no end: ")
    assert not [request for request in running.requests if request.path.endswith("/roleAssignments")]


def test_a_collection_that_is_gone_may_be_that_of_a_record_that_was_deleted(tmp_path, monkeypatch):
    report, _ = checked(tmp_path, monkeypatch, "404@/roleAssignmentsx1")
    (verdict,) = report["verdicts"]
    assert verdict["help"].startswith("If it was deleted after applications were listed, run again.")


def test_weather_in_between_changes_nothing(tmp_path, monkeypatch):
    report, _ = checked(tmp_path, monkeypatch, "503@/roleAssignmentsx3", "reset@/roleAssignmentsx2")
    (verdict,), (asked,) = report["verdicts"], report["asked"]
    assert (verdict["status"], verdict["population"]) == ("fail", 6)
    assert asked["end"]["retries"] == 5


def test_a_plan_shows_what_is_read_first_and_who_may(tmp_path, capsys):
    (tmp_path / "policy.yaml").write_text(json.dumps(POLICY), encoding="utf-8")
    assert cli.run(["plan", "--as-of", "2026-11-21T09:00:00Z", str(tmp_path / "policy.yaml")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "/applications/{each}/roleAssignments" in shown.replace(" ", "")
    assert "each of GET /environments/{environment_id}/applications (one of Configuration Read Only" in shown
    assert re.search(r"requests at least 1 request", shown)


RULE = ForEach.model_validate(
    {"resource": "things", "field": "id", "name": "thing", "keep": ["id", "owner.name"]}
)
HOLDERS = Holders(RULE, lambda _: pytest.fail("nothing is read here"))


@pytest.mark.parametrize(
    ("identifier", "path"),
    [
        ("a1", "/things/a1/roles"),
        ("a b?c=d#e%", "/things/a%20b%3Fc%3Dd%23e%25/roles"),
        ("…", "/things/%E2%80%A6/roles"),
        ("{environment_id}", "/things/%7Benvironment_id%7D/roles"),
    ],
)
def test_an_identifier_is_one_step_of_the_path_whatever_it_holds(identifier, path):
    assert HOLDERS.path("/things/{each}/roles", Part(holder={"id": identifier})) == path


@pytest.mark.parametrize("identifier", ["", ".", "..", "a/b", "../../as/token", None, 7, {"a": 1}, ["a"]])
def test_what_is_no_step_of_a_path_is_refused_before_anything_is_sent(identifier):
    with pytest.raises(FetchError) as refused:
        HOLDERS.path("/things/{each}/roles", Part(holder={"id": identifier}))
    assert refused.value.failure.code == "evidence.drift"


def test_every_record_is_told_whose_it_is():
    part = Part(holder={"id": "a1", "owner": {"name": "Ada", "phone": "1"}, "secret": "x"})
    named = HOLDERS.named([{"id": "r1"}, {"id": "r2", "thing": "theirs"}], part)
    whose = {"id": "a1", "owner": {"name": "Ada"}}
    assert named == [{"id": "r1", "thing": whose}, {"id": "r2", "thing": whose}]
