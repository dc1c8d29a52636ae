"""The shipped packs: what each check says of given records, and that none of them lacks an explanation."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from auditor import cli
from auditor.simulator import World
from tests.support import ROOT, SHARED, needs_shared

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
QUICKSTART = ROOT / "examples" / "quickstart"

Document = Mapping[str, Any]


def _read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


PACKS: Mapping[str, Mapping[Path, Document]] = {
    folder.name: {path: _read(path) for path in sorted(folder.glob("*.yaml")) if ".test." not in path.name}
    for folder in sorted((ROOT / "policies").iterdir())
}
"""The policy files of each pack."""

TESTS: Mapping[str, Mapping[str, Document]] = {
    pack: {path.stem: _read(path.with_suffix(".test.yaml")) for path in files}
    for pack, files in PACKS.items()
}
"""The tests of each policy file, which holds the check of its name."""

REQUIRED: Mapping[str, Document] = {
    "pingone-activity": {"admin_clients": ["adminui"], "license_cap": 100},
    "pingone-posture": {},
}
"""What must be given to each pack, since nobody can guess it."""

CHECKS = [
    pytest.param(file, check, id=f"{pack}/{name}")
    for pack, files in PACKS.items()
    for file in files.values()
    for name, check in file["checks"].items()
]


@pytest.fixture
def auditor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Any]:
    """Run a command in this process and read the JSON that it prints; the exit code stands beside it."""
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*words: str | Path) -> tuple[int, Any]:
        capsys.readouterr()
        code = cli.run([*map(str, words), "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out)

    return run


# What the checks say


@pytest.mark.parametrize("pack", PACKS)
def test_every_check_says_what_its_tests_say_and_they_show_all_of_it(pack: str, auditor):
    """A verdict of each kind, and every condition decided both ways."""
    code, report = auditor("test", f"pack:{pack}", "--coverage")
    assert [result["name"] for result in report["results"] if not result["passed"]] == []
    assert (code, report["exit_reason"]) == (0, "every test passed")
    assert {check["check"] for check in report["coverage"]} == TESTS[pack].keys()
    assert all(check["kinds"] == ["pass", "fail", "neither"] for check in report["coverage"])


@pytest.mark.skipif("AUDITOR_THOROUGH" not in os.environ, reason="takes half a minute (make thorough)")
@pytest.mark.parametrize("pack", PACKS)
def test_no_change_of_a_check_goes_unnoticed(pack: str, auditor):
    code, report = auditor("test", f"pack:{pack}", "--mutate")
    assert report["mutation"]["survivors"] == []
    assert (code, report["exit_reason"]) == (0, "every test passed")


@pytest.mark.parametrize("pack", PACKS)
def test_every_check_has_a_test_of_its_message(pack: str):
    for name, document in TESTS[pack].items():
        assert any("message" in test["expect"] for test in document["tests"].values()), name


def _approving(pack: str) -> Iterator[str]:
    """Yield the checks that use a list of which nothing is known until somebody gives it."""
    empty = {
        name
        for file in PACKS[pack].values()
        for name, variable in file.get("variables", {}).items()
        if variable.get("default") == []
    }
    for path, file in PACKS[pack].items():
        if any(f"${{var.{name}}}" in path.read_text(encoding="utf-8") for name in empty):
            yield from file["checks"]


def test_what_passes_by_a_list_fails_while_the_list_is_not_given(auditor, tmp_path: Path):
    """The passing tests of such checks, without their values, with the opposite verdict."""
    pack = "pingone-activity"
    for path in PACKS[pack]:
        shutil.copy(path, tmp_path)
    approving = list(_approving(pack))
    for name in approving:
        document = TESTS[pack][name]
        passing = {what: test for what, test in document["tests"].items() if test["expect"] == "pass"}
        assert passing
        without = {what: {**test, "variables": {}, "expect": "fail"} for what, test in passing.items()}
        (tmp_path / f"{name}.test.yaml").write_text(json.dumps({**document, "tests": without}), "utf-8")
    code, report = auditor("test", tmp_path)
    assert [result["name"] for result in report["results"] if not result["passed"]] == []
    assert code == 0
    assert {result["check"] for result in report["results"]} == set(approving)


# What the checks are


@pytest.mark.parametrize(("file", "check"), CHECKS)
def test_every_check_explains_itself(file: Document, check: Document):
    for part in ("title", "description", "blind_spots", "severity", "remediation", "references", "tags"):
        assert check[part], part
    assert len(re.findall(r"\.(?:\s|$)", check["description"])) >= 2, "a reason has two or three sentences"
    assert "lind spot" not in check["description"]
    assert not check["title"].endswith(".")
    assert {"soc2", "iso27001", "nist800-53"} <= check["controls"].keys() <= {
        "soc2", "iso27001", "nist800-53", "pcidss4",
    }  # fmt: skip
    expectations = check["expect"] if isinstance(check["expect"], list) else [check["expect"]]
    assert all(expectation["message"] for expectation in expectations)
    for name, variable in file.get("variables", {}).items():
        assert variable["description"].endswith("."), name


@pytest.mark.parametrize("pack", PACKS)
def test_every_check_has_a_file_of_its_name(pack: str):
    for path, file in PACKS[pack].items():
        assert list(file["checks"]) == [path.stem]
        assert file["pack"]["id"] == pack


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_is_valid_without_a_warning(pack: str, auditor, tmp_path: Path):
    (tmp_path / "values.json").write_text(json.dumps(REQUIRED[pack]), encoding="utf-8")
    code, found = auditor("validate", f"pack:{pack}", "--var-file", tmp_path / "values.json")
    assert (code, found["diagnostics"]) == (0, [])


@pytest.mark.parametrize("pack", PACKS)
def test_only_what_nobody_can_guess_must_be_given(pack: str):
    required = {
        name
        for file in PACKS[pack].values()
        for name, variable in file.get("variables", {}).items()
        if "default" not in variable
    }
    assert required == REQUIRED[pack].keys()


def test_what_one_check_takes_for_a_change_of_the_configuration_the_others_do_too():
    """Who changes it at night is asked about every change that security administrators alone may make."""
    pack = {path.stem: file for path, file in PACKS["pingone-activity"].items()}
    variables = pack["configuration-changes-in-change-windows"]["variables"]
    changes = set(variables["configuration_events"]["default"])
    for name in (
        "authentication-policy-changes",
        "trust-changed-by-security-administrators",
        "webhooks-changed-by-security-administrators",
    ):
        where = pack[name]["checks"][name]["query"]["where"]
        assert set(re.findall(r'"([A-Z_]+\.[A-Z_]+)"', where)) <= changes, name


# All of them together


def _identity(violation: Document) -> str:
    item = violation["item"]
    return str(item["key"] if isinstance(item, dict) and "key" in item else violation["identity"])


def _hot(pack: str) -> Iterator[str]:
    for file in PACKS[pack].values():
        for name, check in file["checks"].items():
            queries = check["queries"].values() if "queries" in check else [check["query"]]
            if any(query["resource"] == "activities" and query["window"] == "hot" for query in queries):
                yield name


def test_all_checks_of_the_hot_log_share_one_query(auditor, monkeypatch):
    monkeypatch.setenv("PINGONE_ENVIRONMENT_ID", "fb5e1379-7127-400b-ad44-dc0a9fae4886")
    _, plan = auditor("plan", "--chdir", QUICKSTART, "--as-of", "2026-11-21T09:00:00Z")
    (query,) = [query for query in plan["queries"] if query["resource"] == "activities"]
    served = {each["check"].rpartition("/")[2] for each in query["checks"]}
    assert served >= set(_hot("pingone-activity"))
    assert len(served) >= 20


def test_the_quickstart_has_violations_of_every_planted_kind_and_no_errors(auditor):
    code, report = auditor("check", "--chdir", QUICKSTART, "--simulate", "--as-of", "2026-11-21T09:00:00Z")
    facts = World.generate(seed=1, events=5_000, now=NOW).facts
    found = {
        verdict["check"]: {
            _identity(each) for outcome in verdict["outcomes"] for each in outcome["violations"]
        }
        for verdict in report["verdicts"]
    }
    assert (code, report["summary"]["errors"]) == (2, 0)
    assert found["no-organization-admin-grants"] == set(facts.organization_admin_grants)
    assert found["no-self-grants"] == set(facts.self_grants)
    assert found["failed-password-checks-per-user"] == {facts.sprayed_user_id}
    assert found["events-are-complete"] == set(facts.deletions_without_client)


def test_another_tenant_leaves_no_check_undecided(auditor):
    _, report = auditor(
        "check", "--chdir", QUICKSTART, "--simulate", "--seed", "2", "--as-of", "2026-11-21T09:00:00Z"
    )  # fmt: skip
    assert report["summary"]["errors"] == 0


WEAKNESSES = {
    "users-sign-on": "dormant_users",
    "password-policies-are-strong": "weak_password_policies",
    "no-implicit-grant": "implicit_applications",
    "redirect-uris-are-exact": "insecure_redirects",
    "confidential-clients-use-keys": "shared_secrets",
    "mfa-methods-resist-phishing": "weak_methods",
    "ldap-gateways-verify-tls": "untrusted_gateways",
}
"""Checks of the posture with the weakness of the simulated tenant that each finds, and nothing else."""


def test_the_posture_of_a_simulated_tenant_shows_its_planted_weaknesses(auditor, tmp_path: Path):
    world = World.generate(seed=1, events=300, now=NOW)
    (tmp_path / "auditor.yaml").write_text(
        "version: 1\npolicies: [pack:pingone-posture]\n"
        f"organization_id: {world.facts.organization_id}\n"
        f"environments: {{prod: {{id: {world.facts.environment_id}, region: NA}}}}\n",
        encoding="utf-8",
    )
    code, report = auditor(
        "check", "--chdir", tmp_path, "--simulate", "--events", "300", "--as-of", "2026-11-21T09:00:00Z"
    )  # fmt: skip
    found = {
        verdict["check"]: {
            _identity(each) for outcome in verdict["outcomes"] for each in outcome["violations"]
        }
        for verdict in report["verdicts"]
    }
    assert (code, report["summary"]["errors"]) == (2, 0)
    for check, weakness in WEAKNESSES.items():
        assert found[check] == set(world.facts.weaknesses[weakness]), check
    assert found["webhooks-are-protected"] >= set(world.facts.weaknesses["blind_webhooks"])
    assert found["keys-are-current"] >= set(world.facts.weaknesses["expiring_keys"])
    holders = {identity.partition(",")[0] for identity in found["users-with-roles-have-mfa"]}
    assert holders == set(world.facts.weaknesses["administrators_without_mfa"])


@needs_shared
def test_no_real_event_leaves_a_check_undecided(auditor, tmp_path: Path):
    """Captured events, one a minute: their identifiers and times were anonymised into a few."""
    lines = (
        (SHARED / "data" / "elastic_ping_one_audit_activities.ndjson")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    events = []
    for number, line in enumerate(lines):
        at = f"2026-11-18T{9 + number // 60:02}:{number % 60:02}:00Z"
        events.append({**json.loads(line), "id": str(number), "recordedAt": at, "createdAt": at})
    (tmp_path / "events.json").write_text(json.dumps(events), encoding="utf-8")
    (tmp_path / "values.json").write_text(json.dumps(REQUIRED["pingone-activity"]), encoding="utf-8")
    _, report = auditor(
        "check", "pack:pingone-activity", "--records", f"activities={tmp_path}/events.json",
        "--var-file", tmp_path / "values.json", "--as-of", "2026-11-21T09:00:00Z",
    )  # fmt: skip
    judged = [verdict for verdict in report["verdicts"] if verdict["code"] != "evidence.not-given"]
    assert {verdict["check"] for verdict in judged if verdict["status"] == "error"} == set()
    found = {verdict["check"]: verdict["exceptions"] for verdict in judged}
    # Nobody is approved, so whatever is there is an exception; a role over the organization is among it.
    assert found["no-organization-admin-grants"] == 1
    assert found["role-assignments-by-role-administrators"] == 2
    assert found["secrets-read-by-security-administrators"] == 1
