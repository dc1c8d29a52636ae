"""Resource kinds of a project's own: sound ones are known, contradictions and secrets are refused."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from auditor.config import PROJECT_FILE, shipped, shipped_kinds, yaml
from auditor.config import catalogue as config_catalogue
from auditor.config import files as config_files
from auditor.config.descriptors import lint
from auditor.model.diagnostic import Checked
from auditor.model.project import Project
from auditor.model.resource import ResourceKind
from tests.support import ROOT
from tests.test_config_project import codes, loaded, only, policy, project, sound

ACTIVITIES = (ROOT / "schemas" / "resources" / "activities.yaml").read_text("utf-8")

FLAWS: Any = yaml.load(
    (ROOT / "tests/spec/config/resource-kinds.yaml").read_text("utf-8"), "flaws.yaml"
).value

SOUND: Any = yaml.load(
    """
version: 1
kind: widgets
summary: Widgets of one environment.
scope: environment
path: /environments/{environment_id}/widgets
page:
  items: _embedded.widgets
  limit: {parameter: limit, default: 100, maximum: 500, by_option: {sampling: {HOUR: 500}}}
post: {}
window:
  start: {attribute: stamp, operator: ge}
  end: {attribute: stamp, operator: lt}
buckets:
  start: stamp
  end: until
  end_inclusive: false
  period: {option: sampling, lengths: {DAY: 1d, HOUR: 1h}}
retention: {hot: 30d, total: 2mo, older: They are gone.}
options:
  sampling:
    {summary: S, type: string, values: [DAY, HOUR], default: DAY, aliases: {D: DAY}, refused: {W: No.}, parameter: s}
  hours: {summary: Hours, type: integer, minimum: 1, maximum: 24, default: 24, aliases: {DAY: 24}, attribute: hours}
filter:
  attributes:
    stamp: {type: instant, operators: [ge, lt], path: stamp, aliases: [moment, Stamp]}
    name: {operators: [eq], path: name, values: [a, b], aliases: [title]}
    size: {type: number, operators: [eq], path: size}
    open: {operators: [eq], path: more.of.it}
    hours: {type: number, operators: [eq]}
  shapes:
    - {all: [{attribute: name, any_of: true}, {attribute: size}], mark: proven, source: seen}
identity: [name, owner.name]
order_key: stamp
instant: stamp
empty: normal
rate: {group: g, requests: 10, per_s: 1}
roles: [Reader]
personal: [owner.name, tags]
item:
  type: object
  required: [name, stamp, until, owner]
  properties:
    name: {type: string}
    stamp: {type: string}
    until: {type: string}
    size: {type: integer}
    note: {type: string}
    tags: {type: array, items: {type: string}}
    owner: {type: object, required: [name], properties: {name: {type: string}, id: {type: string}}}
    more: {type: object, additionalProperties: true}
sources: [{title: Documentation, read: "2026-11-21"}]
""",
    "widgets.yaml",
).value


def changed(changes: dict[str, Any]) -> Any:
    """The sound kind with other values at some dotted paths."""
    kind = deepcopy(SOUND)
    for path, value in changes.items():
        *steps, last = path.split(".")
        here = kind
        for step in steps:
            here = here[step]
        here[last] = value
    return kind


def with_kinds(folder: Path, *kinds: Any) -> Checked[Project]:
    files = {f"{number}.yaml": json.dumps(kind, indent=1) for number, kind in enumerate(kinds)}
    names = ", ".join(files)
    more = f"resources: [{names}]\n"
    return loaded(folder, {PROJECT_FILE: project(more=more), "policies/a.yaml": policy(), **files})


def test_a_kind_of_the_project_is_known_and_marked_as_its_own(tmp_path):
    found = sound(with_kinds(tmp_path, SOUND))
    assert found.own_resources == {"widgets"}
    assert set(found.catalogue) == {*shipped_kinds(), "widgets"}


def test_without_own_kinds_the_shipped_ones_are_known(tmp_path):
    found = sound(with_kinds(tmp_path))
    assert found.own_resources == frozenset()
    assert found.catalogue == shipped_kinds()


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=f"{g['comment']}: {c['set']}") for g in FLAWS for c in g["cases"]]
)
def test_a_kind_that_contradicts_itself_is_told_where(case):
    flaws = list(lint(ResourceKind.model_validate(changed(case["set"]))))
    if "why" not in case:
        assert flaws == []
        return
    assert len(flaws) == case.get("times", 1)
    assert list(flaws[0].route) == case["at"]
    assert case["why"] in flaws[0].detail
    assert case.get("help", "") in flaws[0].help


def test_contradictions_stop_a_run_and_are_shown_in_the_file(tmp_path):
    checked = with_kinds(tmp_path, changed({"identity": ["nmae"], "order_key": "size"}))
    assert codes(checked) == ["resource.incoherent", "resource.incoherent"]
    shown = [d.location.snippet.strip() for d in checked.diagnostics if d.location]
    assert shown == ['"nmae"', '"order_key": "size",']
    assert all(d.help for d in checked.diagnostics)


@pytest.mark.parametrize(
    "path",
    [
        "/environments/{environment_id}/applications/secret",
        "/environments/{environment_id}/resources/Secrets",
        "/environments/{environment_id}/tokens",
        "/environments/{environment_id}/as/token",
        "/environments/{environment_id}/as/introspect",
        "/environments/{environment_id}/users/password",
        "/environments/{environment_id}/gateways/credentials",
        "/environments/{environment_id}/x/../applications",
        "/environments/{environment_id}/%73ecret",
        "/environments/{environment_id}/widgets?x=1",
        "/environments/{environment_id}/widgets#x",
        "/environments/{environment_id}//evil.example",
        "/environments/{environment_id}/{other}",
        "/environments/{environment_id}widgets",
        "/environments/abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6/widgets",
        "/organizations/{organization_id}/licenses",
        "/widgets",
        "//evil.example/widgets",
        "/",
    ],
)
def test_paths_to_secrets_and_out_of_the_tenant_are_refused(tmp_path, path):
    found = only(with_kinds(tmp_path, changed({"path": path})), "resource.refused-path")
    assert found.location
    assert f'"path": "{path}"' in found.location.snippet


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ("environment", "/environments/{environment_id}/passwordPolicies"),
        ("environment", "/environments/{environment_id}/metrics/v1.2/widgets"),
        ("environment", "/environments/{environment_id}"),
        ("organization", "/organizations/{organization_id}/licenses"),
    ],
)
def test_other_paths_of_the_tenant_may_be_read(tmp_path, scope, path):
    assert sound(with_kinds(tmp_path, changed({"path": path, "scope": scope}))).own_resources == {"widgets"}


def test_a_kind_may_not_take_the_place_of_another(tmp_path):
    checked = with_kinds(tmp_path, SOUND, changed({"kind": "activities"}), SOUND)
    assert [(d.code, d.location and d.location.file) for d in checked.diagnostics] == [
        ("resource.duplicate-kind", "1.yaml"),
        ("resource.duplicate-kind", "2.yaml"),
    ]


def test_mistakes_of_all_kinds_are_told_at_once(tmp_path):
    checked = with_kinds(tmp_path, {"version": 1}, changed({"summery": "x"}))
    assert {d.location.file for d in checked.diagnostics if d.location} == {"0.yaml", "1.yaml"}


def test_a_kind_that_is_not_there_is_a_mistake(tmp_path):
    text = project(more="resources: [widgets.yaml]\n")
    found = only(loaded(tmp_path, {PROJECT_FILE: text, "policies/a.yaml": policy()}), "file.not-found")
    assert found.subject == "widgets.yaml"


def test_what_ships_lies_in_the_installed_package_or_beside_it(tmp_path, monkeypatch):
    assert shipped("schemas", "resources") == ROOT / "schemas" / "resources"
    monkeypatch.setattr(config_files, "PACKAGE", tmp_path)
    (tmp_path / "_shipped" / "schemas").mkdir(parents=True)
    assert shipped("schemas") == tmp_path / "_shipped" / "schemas"


@pytest.mark.parametrize("text", ["version: 1\n", ACTIVITIES])
def test_a_broken_installation_is_told_as_such(tmp_path, monkeypatch, text):
    """Also a kind in a file of another name, which would not be found."""
    monkeypatch.setattr(config_files, "PACKAGE", tmp_path)
    monkeypatch.setattr(config_catalogue, "_shipped_names", lambda: ("x",))
    (tmp_path / "_shipped" / "schemas" / "resources").mkdir(parents=True)
    (tmp_path / "_shipped" / "schemas" / "resources" / "x.yaml").write_text(text)
    with pytest.raises(RuntimeError, match="the shipped resource kind x is broken"):
        config_catalogue._shipped_kind.__wrapped__("x")


def test_a_kind_is_read_when_it_is_asked_for_and_no_other():
    config_catalogue._shipped_kind.cache_clear()
    kinds = shipped_kinds()
    assert "activities" in kinds
    assert {"activities", "users"} < set(kinds)
    assert config_catalogue._shipped_kind.cache_info().currsize == 0
    assert kinds["activities"].kind == "activities"
    assert config_catalogue._shipped_kind.cache_info().currsize == 1


def test_every_kind_can_be_asked_for_by_its_name():
    kinds = shipped_kinds()
    assert [kind.kind for kind in kinds.values()] == sorted(kinds)
    assert len(kinds) == len(list(shipped("schemas", "resources").glob("*.yaml")))
    assert kinds.get("nothing") is None
