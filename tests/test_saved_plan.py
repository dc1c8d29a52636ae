"""A plan that was saved is run as it was shown, or refused with what differs."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from auditor import __version__
from auditor.config import shipped_kinds
from auditor.model.instant import format_instant, parse_instant
from auditor.simulator import Settings, World, create_app, serve
from tests.test_cli import AS_OF, auditor, policy, project, tenant  # noqa: F401  # fixtures

OTHER = 'action.type eq "APPLICATION.DELETED"'


@pytest.fixture
def saved(auditor, policy, tmp_path, monkeypatch):  # noqa: F811
    """Return the path of a saved plan of one policy."""
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "plan.json"
    assert auditor("plan", policy(), "--out", path).code == 0
    return path


def change(path, **fields: str):
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **fields}), encoding="utf-8")


def test_what_is_asked_is_what_was_planned(auditor, policy, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "plan.json"
    with tenant(monkeypatch) as running:
        assert auditor("plan", policy(), "--out", path).code == 0
        assert running.requests == []
        ran = auditor("apply", path, "--rate", "activities=0")
        asked = [dict(request.query)["filter"] for request in running.requests if request.method == "GET"]
    planned = json.loads(path.read_text("utf-8"))
    assert ran.code == 0, ran
    assert asked[: len(planned["queries"])] == [query["filter"] for query in planned["queries"]]


def test_a_saved_plan_runs_on_the_simulator_too(auditor, saved):  # noqa: F811
    ran = auditor("check", saved, "--simulate", "--events", "300")
    assert (ran.code, ran.errors.count("exit 0")) == (0, 1), ran


def test_another_policy_is_another_plan(auditor, saved, policy):  # noqa: F811
    policy(where=OTHER)
    ran = auditor("check", saved, "--simulate", "--events", "300")
    assert ran.code == 1
    assert "plan.changed" in ran.out
    shown = " ".join(ran.out.split())
    assert "policy_digest was" in shown
    assert "queries[default/activities/1].filter_template was" in shown


def test_another_value_is_another_plan(auditor, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    path, policy_path = tmp_path / "plan.json", tmp_path / "policy.yaml"
    policy_path.write_text(
        "version: 1\npack: {id: mine}\nvariables: {kind: {type: string, default: USER.CREATED}}\nchecks:\n"
        "  one: {title: One, query: {resource: activities, window: hot, where: 'action.type eq ${var.kind}'},"
        " expect: {that: 'length(@) >= `0`'}}\n",
        encoding="utf-8",
    )
    assert auditor("plan", policy_path, "--var", "kind=GROUP.CREATED", "--out", path).code == 0
    assert json.loads(path.read_text("utf-8"))["inputs"]["variables"] == [["--var", "kind=GROUP.CREATED"]]
    assert auditor("check", path, "--simulate", "--events", "300").code == 0
    ran = auditor("check", path, "--simulate", "--events", "300", "--var", "kind=USER.DELETED")
    assert (ran.code, "plan.changed" in ran.out) == (1, True)


def test_another_version_of_the_tool_or_a_resource_kind_is_another_plan(auditor, saved):  # noqa: F811
    change(saved, tool_version="0.0.1")
    ran = auditor("check", saved, "--simulate", "--events", "300")
    assert f'tool_version was "0.0.1" and is "{__version__}"' in " ".join(ran.out.split())


def test_a_plan_that_has_expired_is_not_run(auditor, policy, tmp_path, monkeypatch):  # noqa: F811
    """`hot` leaves an hour: a plan is valid that long."""
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "plan.json"
    world = World.generate(seed=1, events=300, now=parse_instant(AS_OF))
    with serve(create_app(world, shipped_kinds(), Settings(), lambda: parse_instant(AS_OF))) as running:
        monkeypatch.setenv("PINGONE_API_URL", running.api_url)
        monkeypatch.setenv("PINGONE_AUTH_URL", running.auth_url)
        monkeypatch.setenv("PINGONE_ENVIRONMENT_ID", world.environment_id)
        assert auditor("plan", policy(), "--out", path, "--as-of", "2020-01-01").code == 0
        ran = auditor("check", path)
        assert running.requests == []
    assert (ran.code, "plan.expired" in ran.out) == (1, True)
    valid_until = json.loads(path.read_text("utf-8"))["valid_until"]
    assert valid_until == format_instant(parse_instant("2020-01-01") + timedelta(hours=1))


def test_a_sensitive_value_is_not_saved(auditor, tmp_path):  # noqa: F811
    path, policy_path = tmp_path / "plan.json", tmp_path / "policy.yaml"
    policy_path.write_text(
        "version: 1\npack: {id: mine}\nvariables: {token: {type: string, sensitive: true}}\nchecks:\n"
        "  one: {title: One, query: {resource: activities, window: hot, where: 'correlationid eq ${var.token}'},"
        " expect: none}\n",
        encoding="utf-8",
    )
    assert auditor("plan", policy_path, "--var", "mine.token=canary-55", "--out", path).code == 0
    text = path.read_text("utf-8")
    assert "canary-55" not in text
    assert json.loads(text)["inputs"]["variables"] == []


# --- how much there is to read ---------------------------------------------------------------------------------------


def test_an_earlier_run_tells_what_a_plan_takes(auditor, policy, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    report = tmp_path / "report.json"
    path = policy("{that: 'length(@) >= `0`'}", where="tags pr")
    auditor("check", path, "--simulate", "--events", "9000", "--report", f"json={report}")
    counted = json.loads(report.read_text("utf-8"))["asked"][0]["end"]["records"]
    planned = json.loads(auditor("plan", path, "--stats", report, "--json").out)
    assert planned["queries"][0]["requests"] == {
        "at_least": 1,
        "exact": False,
        "expected": -(-counted // 500),
    }
    assert "expected" in auditor("plan", path, "--stats", report).out


TWO = (
    "version: 1\npack: {id: mine}\nchecks:\n"
    "  a: {title: A, query: {resource: activities, window: 1d, where: 'actors.user.id eq \"ada\"'}, expect: none}\n"
    "  b: {title: B, query: {resource: activities, window: hot, where: 'action.type eq \"GROUP.DELETED\"'},"
    " expect: {that: 'length(@) >= `0`'}}\n"
)


def test_a_probe_tells_what_a_plan_takes_and_filters_become_one_scan(auditor, tmp_path, monkeypatch):  # noqa: F811
    """To read both windows with both filters would read more; but the log is so short that one scan is cheaper."""
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "policy.yaml"
    path.write_text(TWO, encoding="utf-8")
    words = ("plan", path, "--json")
    apart = json.loads(auditor(*words).out)
    with tenant(monkeypatch) as running:
        probed = json.loads(auditor(*words, "--probe").out)
        asked = [request for request in running.requests if request.method == "GET"]
    assert len(asked) == 4  # two filters, and a scan of each window
    assert (len(apart["queries"]), len(probed["queries"])) == (2, 1)
    assert "action.type" not in probed["queries"][0]["filter"]
    assert probed["queries"][0]["requests"]["expected"] == 1
    assert len(probed["inputs"]["counts"]) == 4


def test_a_plan_that_was_probed_can_be_saved_and_run(auditor, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    path, saved_to = tmp_path / "policy.yaml", tmp_path / "plan.json"
    path.write_text(TWO, encoding="utf-8")
    with tenant(monkeypatch):
        assert auditor("plan", path, "--probe", "--out", saved_to).code == 0
        ran = auditor("check", saved_to, "--rate", "activities=0")
    assert ran.code == 0, ran
