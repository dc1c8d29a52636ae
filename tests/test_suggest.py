"""What records suggest for variables: with the evidence, never applied by itself, and with effect once it is taken."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from auditor import cli
from auditor.app.replaying import Replay
from auditor.model.evidence import Page, QueryEnd
from auditor.model.plan import Plan
from tests.reports import HOSTILE

AS_OF = ("--as-of", "2026-11-21T09:00:00Z")
POLICY = """\
version: 1
pack: {id: pack}
variables:
  clients: {type: list(string), description: Clients that may delete applications.}
  people: {type: list(string), description: People who may., default: [ada]}
  days: {type: list(integer), description: Days of the week., default: [1, 2, 3, 4, 5]}
  most: {type: integer, description: The most resources of an event., default: 1}
  forbidden: {type: list(string), description: Clients that may not., default: [evil]}
  hidden: {type: list(string), description: Kept to ourselves., default: [], sensitive: true}
checks:
  deletions:
    title: Applications are deleted by clients, or by people on workdays
    query: &deleted {resource: activities, window: hot, where: action.type eq "APPLICATION.DELETED"}
    expect:
      every: >-
        contains(${var.clients}, actors.client.id)
        || contains(${var.people}, actors.user.id) && contains(${var.days}, weekday_of(recordedAt))
      on_missing: fail
  few-resources:
    title: Events are about few resources
    query: *deleted
    expect: {every: "length(resources) <= ${var.most}"}
  never:
    title: What no variable can allow, and what one forbids
    query: *deleted
    expect:
      - every: contains(${var.clients}, actors.client.id) && result.status == 'FAILURE'
        on_missing: fail
      - every: "!contains(${var.forbidden}, actors.client.id)"
        on_missing: pass
      - every: contains(${var.hidden}, actors.client.id)
        on_missing: fail
"""


def _event(
    number: int, at: str, client: str | None = None, user: str | None = None, resources: int = 1
) -> dict[str, Any]:
    actors: dict[str, Any] = {}
    if client:
        actors["client"] = {"id": client, "name": f"{client} console"}
    if user:
        actors["user"] = {"id": user, "name": f"{user}@example.com"}
    return {
        "id": str(number),
        "recordedAt": at,
        "action": {"type": "APPLICATION.DELETED"},
        "result": {"status": "SUCCESS"},
        "resources": [{"id": str(each), "type": "APPLICATION"} for each in range(resources)],
        "actors": actors,
    }


EVENTS = [
    _event(1, "2026-11-16T09:00:00Z", client="admin"),  # a Monday
    _event(2, "2026-11-17T09:00:00Z", client="admin", resources=3),
    _event(3, "2026-11-18T09:00:00Z", client="admin", user="bob", resources=2),
    _event(4, "2026-11-15T09:00:00Z", user="ada"),  # a Sunday
    _event(5, "2026-11-15T10:00:00Z", user="carl"),
    _event(6, "2026-11-19T09:00:00Z"),
]


@pytest.fixture
def auditor(capsys, monkeypatch, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "events.json").write_text(json.dumps(EVENTS), encoding="utf-8")

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.run(list(words))
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


RECORDS = ("policy.yaml", "--records", "activities=events.json", *AS_OF)


def test_a_suggestion_is_what_fails_now_with_the_evidence(auditor):
    code, out, _ = auditor("suggest", *RECORDS, "--json")
    found = {each["variable"]: each for each in json.loads(out)["suggestions"]}
    assert code == 0
    assert found.keys() == {"clients", "people", "days", "most"}
    assert found["clients"]["seen"] == [
        {
            "value": "admin", "name": "admin console", "records": 3,
            "first": "2026-11-16T09:00:00.000Z", "last": "2026-11-18T09:00:00.000Z",
        }
    ]  # fmt: skip
    assert [each["value"] for each in found["people"]["seen"]] == ["bob", "carl"]
    assert [each["value"] for each in found["days"]["seen"]] == [7]
    assert [(each["value"], each["records"]) for each in found["most"]["seen"]] == [(3, 2)]


def test_it_says_which_variables_would_do_instead_and_which_are_needed_beside(auditor):
    _, out, _ = auditor("suggest", *RECORDS, "--json")
    found = {each["variable"]: each for each in json.loads(out)["suggestions"]}
    assert found["clients"]["instead"] == ["people"]
    assert found["people"]["instead"] == ["clients"]  # bob, who acted through a client
    assert found["people"]["beside"] == ["days"]  # carl, on a Sunday
    assert found["days"]["beside"] == ["people"]


def test_what_is_printed_gives_no_variable_a_value(auditor, tmp_path):
    _, out, _ = auditor("suggest", *RECORDS)
    assert all(line.startswith("#") for line in out.splitlines() if line)
    (tmp_path / "values.yaml").write_text(out, encoding="utf-8")
    assert YAML(typ="safe").load(out) is None
    assert (
        '# pack.clients:\n#   - "admin"  # admin console, 3 records, from 2026-11-16T09:00:00.000Z to' in out
    )
    assert '#   - "ada"  # as now' in out
    assert "# pack.most: 3  # now 1; 2 records" in out


def _taken(text: str) -> str:
    """Return a file of suggestions with every value taken."""
    return re.sub(r"^# ", "", text, flags=re.MULTILINE)


def test_with_all_values_taken_the_records_pass_and_another_actor_fails(auditor, tmp_path):
    _, out, _ = auditor("suggest", *RECORDS)
    (tmp_path / "taken.yaml").write_text(_taken(out), encoding="utf-8")
    common = ("check", "policy.yaml", *AS_OF, "--var-file", "taken.yaml", "--json", "--records")
    nobody = [event for event in EVENTS if event["actors"]]
    (tmp_path / "events.json").write_text(json.dumps(nobody), encoding="utf-8")
    _, passing, _ = auditor(*common, "activities=events.json")
    statuses = {each["check"]: each["status"] for each in json.loads(passing)["verdicts"]}
    assert statuses == {"deletions": "pass", "few-resources": "pass", "never": "fail"}
    (tmp_path / "other.json").write_text(
        json.dumps([*nobody, _event(7, "2026-11-19T10:00:00Z", client="stranger")]), encoding="utf-8"
    )
    _, failing, _ = auditor(*common, "activities=other.json")
    verdict = json.loads(failing)["verdicts"][0]
    assert (verdict["status"], verdict["exceptions"]) == ("fail", 1)


def test_with_all_values_taken_there_is_nothing_left_to_suggest(auditor, tmp_path):
    _, out, _ = auditor("suggest", *RECORDS)
    (tmp_path / "taken.yaml").write_text(_taken(out), encoding="utf-8")
    _, again, _ = auditor("suggest", *RECORDS, "--var-file", "taken.yaml", "--json")
    assert json.loads(again)["suggestions"] == []
    _, text, _ = auditor("suggest", *RECORDS, "--var-file", "taken.yaml")
    assert "nothing to suggest" in text


def test_names_of_a_tenant_can_not_leave_their_comment(auditor, tmp_path):
    hostile = f"evil\n# pack.people: [mallory]\n{HOSTILE}".replace("\ud800", "")
    event = _event(1, "2026-11-16T09:00:00Z", client=hostile)
    event["actors"]["client"]["name"] = "name\npack.people:\n  - mallory"
    (tmp_path / "events.json").write_text(json.dumps([event]), encoding="utf-8")
    _, out, _ = auditor("suggest", *RECORDS)
    assert all(line.startswith("#") for line in out.splitlines() if line)
    assert "\x1b" not in out
    taken = YAML(typ="safe").load(_taken(out))
    assert taken == {"pack.clients": [hostile]}


def test_a_value_that_no_file_can_hold_is_not_suggested(auditor, tmp_path):
    (tmp_path / "events.json").write_text(
        json.dumps([_event(1, "2026-11-16T09:00:00Z", client="\ud800")]), encoding="utf-8"
    )
    _, out, _ = auditor("suggest", *RECORDS, "--json")
    assert [each["seen"] for each in json.loads(out)["suggestions"]] == [[]]


def test_what_has_to_be_given_is_named_also_where_the_records_tell_nothing(auditor, tmp_path):
    (tmp_path / "events.json").write_text("[]", encoding="utf-8")
    code, out, _ = auditor("suggest", *RECORDS)
    assert code == 0
    assert "# pack.clients:  # has to be given, and the records tell nothing of it" in out


def test_records_are_needed(auditor):
    code, _, said = auditor("suggest", "policy.yaml")
    assert code == 1
    assert "--records" in said


def test_a_mistake_in_a_policy_is_told_and_nothing_is_suggested(auditor, tmp_path):
    (tmp_path / "policy.yaml").write_text(
        POLICY.replace("actors.client.id)", "actors.clint.id)"), encoding="utf-8"
    )
    code, out, said = auditor("suggest", *RECORDS)
    assert (code, out) == (1, "")
    assert "did you mean" in said


def test_the_shipped_packs_suggest_whoever_acted(auditor, tmp_path):
    events = [
        _event(1, "2026-11-16T09:00:00Z", client="admin"),
        _event(2, "2026-11-16T09:01:00Z", client="admin"),
    ]
    (tmp_path / "events.json").write_text(json.dumps(events), encoding="utf-8")
    _, out, _ = auditor(
        "suggest",
        "pack:pingone-activity",
        "pack:pingone-posture",
        "--records",
        "activities=events.json",
        *AS_OF,
        "--json",
    )
    found = {each["variable"]: each for each in json.loads(out)["suggestions"]}
    assert [each["value"] for each in found["admin_clients"]["seen"]] == ["admin"]
    assert found["license_cap"]["seen"] == []


def test_of_many_values_the_most_frequent_are_written_out(auditor, tmp_path):
    events = [
        _event(number, f"2026-11-16T09:{number % 60:02}:00Z", client=f"client-{number % 70:02}")
        for number in range(100)
    ]
    (tmp_path / "events.json").write_text(json.dumps(events), encoding="utf-8")
    _, out, _ = auditor("suggest", *RECORDS)
    assert out.count('"client-') == 50
    assert "## 20 more, each in no more records than these" in out
    assert all(f'"client-{number:02}"' in out for number in range(30))  # those of two records
    _, found, _ = auditor("suggest", *RECORDS, "--json")
    assert len(json.loads(found)["suggestions"][0]["seen"]) == 70


# From what a run received


@pytest.fixture
def run_folder(auditor, tmp_path: Path) -> Path:
    """Return the folder of a run on the simulator."""
    auditor("check", "pack:pingone-activity", "--simulate", "--events", "600", *AS_OF,
            "--var", "admin_clients=[]", "--var", "license_cap=1000")  # fmt: skip
    (found,) = (tmp_path / "data" / "runs").iterdir()
    return found


def test_a_run_suggests_what_its_records_suggest(auditor, run_folder):
    told = [
        auditor("suggest", "pack:pingone-activity", "--from-run", run, "--json")
        for run in ("latest", run_folder.name, str(run_folder))
    ]
    assert {code for code, _, _ in told} == {0}
    _, out, _ = told[0]
    assert {tuple(json.loads(found)["records"]) for _, found, _ in told} == {(f"run {run_folder.name}",)}
    found = {each["variable"]: each for each in json.loads(out)["suggestions"]}
    seen = {each["value"]: each for each in found["admin_clients"]["seen"]}
    assert {"adminui", "common-services-test"} <= seen.keys()
    assert found["license_cap"]["present"] is None
    assert found["license_cap"]["seen"][0]["value"] > 1


def test_a_project_from_a_run_holds_its_suggestions_and_is_valid_once_they_are_taken(
    auditor, run_folder, tmp_path
):
    code, out, said = auditor("init", "mine", "--from-run", str(run_folder))
    assert code == 0, said
    assert "decide in auditor.vars.yaml" in out
    variables = tmp_path / "mine" / "auditor.vars.yaml"
    assert f"Suggested by run {run_folder.name}." in variables.read_text("utf-8")
    code, _, said = auditor("validate", "--chdir", "mine")
    assert code == 1
    assert "variable.not-given" in said
    variables.write_text(_taken(variables.read_text("utf-8")), encoding="utf-8")
    assert auditor("validate", "--chdir", "mine")[0] == 0
    again = ("check", "--chdir", "mine", "--simulate", "--events", "600", *AS_OF, "--json")
    verdicts = {each["check"]: each for each in json.loads(auditor(*again)[1])["verdicts"]}
    assert verdicts["secrets-read-by-security-administrators"]["status"] == "pass"
    assert verdicts["no-organization-admin-grants"]["status"] == "fail"  # no variable could allow that
    fitting = {
        each["identity"] for each in verdicts["app-deletion-by-admin-clients"]["outcomes"][0]["violations"]
    }
    assert len(fitting) == 1  # deleted by something that is no client


@pytest.mark.parametrize("words", [("suggest", "policy.yaml"), ("init", "mine")])
def test_a_run_that_is_none_suggests_nothing(auditor, words, tmp_path):
    code, out, said = auditor(*words, "--from-run", "nothing")
    assert (code, out) == (1, "")
    assert "run.unreadable" in said
    assert "there is no such folder" in " ".join(said.split())
    assert not (tmp_path / "mine").exists()


def test_records_and_a_run_are_not_given_together(auditor):
    code, _, said = auditor("suggest", *RECORDS, "--from-run", "latest")
    assert code == 1
    assert "either --records KIND=FILE or --from-run RUN" in said


@pytest.fixture
def backwards(monkeypatch):
    """Answers that come in the opposite order."""
    events = Replay.events

    async def reverse(self: Replay, plan: Plan) -> AsyncGenerator[Page | QueryEnd]:
        for event in reversed([event async for event in events(self, plan)]):
            yield event

    monkeypatch.setattr(Replay, "events", reverse)


@pytest.mark.parametrize("order", ["forwards", "backwards"])
def test_of_a_run_of_several_environments_one_has_to_be_meant(auditor, tmp_path, order, request):
    if order == "backwards":
        request.getfixturevalue(order)
    environments = {
        name: {"id": "fb5e1379-7127-400b-ad44-dc0a9fae4886", "region": "EU"} for name in ("a", "b", "c")
    }
    (tmp_path / "auditor.yaml").write_text(
        json.dumps({"version": 1, "policies": ["policy.yaml"], "environments": environments}),
        encoding="utf-8",
    )
    (tmp_path / "auditor.vars.yaml").write_text("clients: []\n", encoding="utf-8")
    auditor("check", "--simulate", "--events", "300", *AS_OF, "--environment", "a", "--environment", "b")
    learn = ("suggest", "--from-run", "latest", "--json")
    code, out, said = auditor(*learn, "--environment", "b")
    assert code == 0, said
    assert json.loads(out)["suggestions"]
    code, out, said = auditor(*learn, "--environment", "c")
    assert (code, json.loads(out)["valid"]) == (1, False)
    assert 'The run read a, b, and not "c"' in said
    code, _, said = auditor(*learn)
    assert code == 1
    assert "project.choose-environment" in said
    assert auditor("init", "mine", "--from-run", "latest")[0] == 1
    assert auditor("init", "mine", "--from-run", "latest", "--environment", "a")[0] == 0
