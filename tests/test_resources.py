"""Every resource kind that ships, from the policy to the verdict: data alone makes it work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from auditor import app, cli
from auditor.config import shipped_kinds
from auditor.simulator import Settings, World, create_app, serve
from tests.support import ROOT
from tests.test_descriptors import SEEDS

AS_OF = "2026-11-21T09:00:00Z"
KINDS = {name: kind for name, kind in shipped_kinds().items() if name not in SEEDS}
CASES: Mapping[str, Any] = YAML(typ="safe").load((ROOT / "tests/spec/resources.yaml").read_text("utf-8"))
FACTS = World.generate(seed=1, events=5_000, now=datetime(2026, 11, 21, 9, tzinfo=UTC)).facts
NOBODY = "nobody has this identifier"


def check(name: str, expect: Any, **query: Any) -> dict[str, Any]:
    return {"title": f"Something holds of {name}", "query": {"resource": name, **query}, "expect": expect}


def checks() -> dict[str, Any]:
    """Three checks a kind: one that holds, one that does not, and one that examines nothing."""
    made = {}
    for name, case in CASES.items():
        query = case.get("query", {})
        made[f"{name}-passes"] = check(name, case["passes"], **query)
        made[f"{name}-fails"] = check(name, case["fails"], **query)
        if KINDS[name].window is None:
            made[f"{name}-empty"] = check(
                name, "none", **query | {"where": f'{KINDS[name].identity[0]} eq "{NOBODY}"'}
            )
    return {identifier.replace("_", "-"): made[identifier] for identifier in made}


@dataclass(frozen=True)
class Run:
    """One run of all checks through the command line, over loopback HTTP: its JSON report, and all that it told."""

    report: dict[str, Any]
    told: str

    def verdict(self, name: str, what: str) -> dict[str, Any]:
        assert [problem for problem in self.report["problems"] if problem["level"] == "error"] == []
        check = f"{name}-{what}".replace("_", "-")
        found: dict[str, Any]
        (found,) = [verdict for verdict in self.report["verdicts"] if verdict["check"] == check]
        return found


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("posture") / "posture.yaml"
    document = {"version": 1, "pack": {"id": "posture"}, "checks": checks()}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(policy: Path) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDITOR_DATA_DIR", str(policy.parent / "data"))
        reports = {name: policy.parent / f"report.{name}" for name in app.formats()}
        wanted = [word for name, path in reports.items() for word in ("--report", f"{name}={path}")]
        assert cli.run(["check", "--simulate", "--as-of", AS_OF, *wanted, str(policy)]) == 1
    told = "".join(path.read_text("utf-8") for path in reports.values())
    return Run(json.loads(reports["json"].read_text("utf-8")), told)


def test_every_kind_has_checks():
    assert set(CASES) == set(KINDS)


@pytest.mark.parametrize("name", CASES)
def test_a_check_that_holds_passes_on_records_that_were_read(run, name):
    found = run.verdict(name, "passes")
    assert found["status"] == "pass", found["reason"]
    assert found["population"] > 0


@pytest.mark.parametrize("name", CASES)
def test_a_check_that_does_not_hold_finds_the_weakness_and_nothing_else(run, name):
    found = run.verdict(name, "fails")
    assert found["status"] == "fail", found["reason"]
    if "finds" in CASES[name]:
        weak = FACTS.weaknesses[CASES[name]["finds"]]
        (outcome,) = found["outcomes"]
        assert found["exceptions"] == len(weak) > 0
        assert {violation["identity"] for violation in outcome["violations"]} <= set(weak)
    else:
        assert found["exceptions"] == CASES[name]["exceptions"]


@pytest.mark.parametrize("name", [name for name in CASES if KINDS[name].window is None])
def test_an_inventory_without_what_is_examined_is_an_error_and_not_a_pass(run, name):
    found = run.verdict(name, "empty")
    expected = "error" if KINDS[name].empty == "error" else "pass"
    assert (found["status"], found["population"]) == (expected, 0)


def test_every_query_was_read_to_its_end(run):
    ends = [(asked["query"]["resource"], asked["end"]["failure"]) for asked in run.report["asked"]]
    assert set(ends) == {(name, None) for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
def test_a_plan_says_what_will_be_asked_and_who_may_ask(policy, name):
    planned = app.plan(app.Job(folder=policy.parent, environ={}, paths=[policy.name]))
    assert planned.value, planned.diagnostics
    queries = [query for query in planned.value.plan.queries if query.resource == name]
    assert {(query.method, query.path, query.roles) for query in queries} == {
        ("GET", KINDS[name].path, KINDS[name].roles)
    }


@pytest.mark.parametrize("name", KINDS)
def test_the_vocabulary_of_a_kind_can_be_looked_up(name):
    text = app.schema(name, as_json=False, width=100, color=False)
    shown = " ".join(text.split())
    assert KINDS[name].summary in shown
    rule = KINDS[name].for_each
    assert (rule is None) == ("once for each record of" not in shown)
    if rule:
        assert f"once for each record of {rule.resource}, which is {rule.name} in every record" in shown
    assert json.loads(app.schema(name, as_json=True, width=100, color=False))["kind"] == name


def test_what_may_be_a_secret_is_in_no_report(run):
    """The simulated tenant answers with secrets where PingOne may, and gateways and webhooks are among the findings."""
    assert "not-to-be-shown" not in run.told


def test_what_may_be_a_secret_is_taken_out_of_given_records_too(tmp_path, monkeypatch):
    gateway = {
        "id": "g1",
        "name": "Directory",
        "type": "LDAP",
        "enabled": True,
        "bindPassword": "not-to-be-shown",
    }
    (tmp_path / "gateways.json").write_text(json.dumps([gateway]), encoding="utf-8")
    document = {"version": 1, "pack": {"id": "mine"}, "checks": {"none": check("gateways", "none")}}
    (tmp_path / "policy.yaml").write_text(json.dumps(document), encoding="utf-8")
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    report = tmp_path / "report.json"
    words = ("check", "--records", f"gateways={tmp_path}/gateways.json", "--report", f"json={report}")
    assert cli.run([*words, str(tmp_path / "policy.yaml")]) == 2
    text = report.read_text("utf-8")
    (violation,) = json.loads(text)["verdicts"][0]["outcomes"][0]["violations"]
    assert violation["item"] == {name: gateway[name] for name in gateway if name != "bindPassword"}
    assert "not-to-be-shown" not in text


@pytest.mark.parametrize("field", ["bindPassword", "httpEndpoint.headers", "clientSecret"])
def test_a_policy_can_not_name_a_secret(tmp_path, field):
    name = next(name for name, kind in KINDS.items() if field in kind.secret)
    document = {
        "version": 1,
        "pack": {"id": "mine"},
        "checks": {"one": check(name, {"every": f"{field} != `null`"})},
    }
    (tmp_path / "policy.yaml").write_text(json.dumps(document), encoding="utf-8")
    checked = app.validate(app.Job(folder=tmp_path, environ={}, paths=["policy.yaml"]))
    assert [problem.code for problem in checked.diagnostics] == ["jmes.unknown-field"]


def test_without_an_organization_what_belongs_to_one_is_an_error_that_says_so(tmp_path, monkeypatch):
    """And nothing is asked of it; what belongs to the environment is read all the same."""
    now = datetime.now(UTC)  # noqa: TID251  # tokens are good now
    world = World.generate(seed=1, events=40, now=now)
    checks = {name: check(name, "some") for name in ("licenses", "groups")}
    document = {"version": 1, "pack": {"id": "mine"}, "checks": checks}
    (tmp_path / "policy.yaml").write_text(json.dumps(document), encoding="utf-8")
    report = tmp_path / "report.json"
    with serve(create_app(world, shipped_kinds(), Settings(), lambda: now)) as running:
        monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setenv("PINGONE_API_URL", running.api_url)
        monkeypatch.setenv("PINGONE_AUTH_URL", running.auth_url)
        monkeypatch.setenv("PINGONE_ENVIRONMENT_ID", world.environment_id)
        monkeypatch.setenv("PINGONE_CLIENT_ID", Settings().client_id)
        monkeypatch.setenv("PINGONE_CLIENT_SECRET", Settings().client_secret)
        cli.run(["check", "--report", f"json={report}", str(tmp_path / "policy.yaml")])
    groups, licenses = json.loads(report.read_text("utf-8"))["verdicts"]
    assert (groups["status"], licenses["status"], licenses["code"]) == (
        "pass",
        "error",
        "credentials.missing",
    )
    assert "organization" in licenses["reason"]
    assert "organization_id" in licenses["help"]
    assert not [request for request in running.requests if "organizations" in request.path]
