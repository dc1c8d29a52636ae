"""`auditor explain` and `auditor graph`: a check and a plan before a run."""

from __future__ import annotations

import json
import os
import re

import pytest

from auditor import jmes
from tests.support import ROOT
from tests.test_cli import AS_OF, auditor, policy  # noqa: F401  # fixtures

GOLDEN = ROOT / "tests" / "golden" / "explain"
JOINS = ("--chdir", str(ROOT / "examples" / "joins"), "--as-of", AS_OF)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("secrets-renewed.txt", ("explain", "secrets-renewed", *JOINS)),
        ("sign-ons-are-logged.txt", ("explain", "prod/joins/sign-ons-are-logged", *JOINS)),
        ("joins.mmd", ("graph", *JOINS)),
    ],
)
def test_an_explanation_reads_as_its_golden_file(auditor, name, words):  # noqa: F811
    """`UPDATE_GOLDEN=1` writes the golden files anew, to be read before they are kept."""
    ran = auditor(*words)
    assert ran.code == 0, ran
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(ran.out, encoding="utf-8")
    assert ran.out == (GOLDEN / name).read_text(encoding="utf-8")


def test_a_check_that_several_packs_have_is_explained_for_each(auditor, policy):  # noqa: F811
    ran = auditor("explain", "one", policy())
    assert ran.out.startswith("default/mine/one  One thing holds")
    assert 'server       action.type eq "ENVIRONMENT.DELETED"' in ran.out


def test_an_unknown_check_gets_a_suggestion(auditor, policy):  # noqa: F811
    ran = auditor("explain", "ones", policy())
    assert (ran.code, 'did you mean "one"?' in ran.err) == (1, True)


def test_selected_checks_are_explained_as_json(auditor):  # noqa: F811
    ran = auditor("explain", *JOINS, "--check", "secrets-renewed", "--check", "sign-ons-are-logged", "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["format_version"]) == (0, "1.0")
    renewed, logged = document["checks"]
    assert [renewed["name"], logged["name"]] == [
        "prod/joins/secrets-renewed",
        "prod/joins/sign-ons-are-logged",
    ]
    assert {query["name"]: query["planned"][0]["id"] for query in renewed["queries"]} == {
        "applications": "prod/applications/1",
        "renewals": "prod/activities/1",
    }
    assert {"path": "resources.id", "optional": True} in renewed["queries"][1]["reads"]
    assert renewed["values"]["var.secret_age_days"] == {"value": 10, "sensitive": False, "origin": "default"}
    plan = json.loads(auditor("plan", *JOINS, "--json").out)
    assert {query["id"] for query in plan["queries"]} >= {"prod/applications/1", "prod/activities/1"}


def test_beside_a_selection_what_is_named_is_a_policy(auditor, policy):  # noqa: F811
    words = (policy(), "--as-of", AS_OF)
    assert auditor("explain", *words, "--check", "one").out == auditor("explain", "one", *words).out


def test_the_checks_of_a_framework_are_explained(auditor):  # noqa: F811
    words = (
        "--framework",
        "soc2",
        "--json",
        "--chdir",
        str(ROOT / "examples" / "quickstart"),
        "--as-of",
        AS_OF,
    )
    checks = json.loads(auditor("explain", *words).out)["checks"]
    assert len(checks) > 10
    assert all("soc2" in check["controls"] for check in checks)


def test_something_has_to_be_explained(auditor, policy):  # noqa: F811
    ran = auditor("explain", "--chdir", policy().parent)
    assert (ran.code, ran.out) == (1, "")
    assert "select some with --check, --tag or --control" in ran.err


def test_values_are_written_as_in_policies(auditor, tmp_path):  # noqa: F811
    (tmp_path / "policy.yaml").write_text(
        "version: 1\npack: {id: mine}\nvariables: {flag: {type: boolean, default: true}, who: {type: list(string),"
        " default: [a]}}\nchecks:\n  one: {title: One, query: {resource: activities, window: hot},"
        " expect: {that: \"${var.flag} || contains(${var.who}, 'b')\"}}\n",
        encoding="utf-8",
    )
    out = auditor("explain", "one", tmp_path / "policy.yaml").out
    assert "var.flag = true (from default)" in out
    assert 'var.who = ["a"] (from default)' in out


@pytest.mark.parametrize(
    "words",
    [("explain", "ones"), ("replay",), ("report",), ("show",), ("prune", "--older-than", "x"),
     ("suggest", "--from-run", "latest")],
    ids=lambda words: words[0],
)  # fmt: skip
def test_mistakes_are_json_where_json_is_asked_for(auditor, policy, tmp_path, monkeypatch, words):  # noqa: F811
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    if words[0] in {"explain", "suggest"}:
        words = (*words, policy())
    ran = auditor(*words, "--json")
    assert (ran.code, json.loads(ran.out)["valid"]) == (1, False)


def test_a_sensitive_value_is_in_no_explanation(auditor, tmp_path):  # noqa: F811
    path = tmp_path / "policy.yaml"
    path.write_text(
        "version: 1\npack: {id: mine}\nvariables: {token: {type: string, sensitive: true}}\nchecks:\n"
        "  one: {title: One, query: {resource: activities, window: hot, where: 'correlationid eq ${var.token}'},"
        " expect: none}\n",
        encoding="utf-8",
    )
    for command in (("explain", "one"), ("explain", "--json", "one"), ("graph",)):
        ran = auditor(*command, path, "--var", "token=canary-91")
        assert ran.code == 0
        assert "canary" not in ran.out + ran.err
    assert "(sensitive)" in auditor("explain", "one", path, "--var", "token=canary-91").out


def test_no_text_breaks_a_graph(auditor, tmp_path):  # noqa: F811
    """Mermaid reads quotes, brackets and entities; a label holds none of them as such."""
    (tmp_path / "policy.yaml").write_text(
        "version: 1\npack: {id: mine}\nchecks:\n"
        "  one: {title: 'A \"b\" ]] --> c', query: {resource: activities, window: hot}, expect: none}\n",
        encoding="utf-8",
    )
    (tmp_path / "auditor.yaml").write_text(
        'version: 1\npolicies: [policy.yaml]\nenvironments: {"a]b": {id: "${env.X}", region: EU}}\n',
        encoding="utf-8",
    )
    lines = auditor("graph", "--chdir", tmp_path).out.splitlines()
    assert lines[0] == "flowchart LR"
    for line in lines[1:]:
        inner = re.findall(r'"([^"]*)"', line)
        assert not any(re.search(r"[\[\]{}<>|]", text.replace("<br/>", "")) for text in inner), line


def test_a_plan_with_mistakes_tells_them_as_json_too(auditor, policy):  # noqa: F811
    for command in ("plan", "validate"):
        ran = auditor(command, policy(where='action.typ eq "X"'), "--json")
        document = json.loads(ran.out)
        assert (ran.code, document["valid"]) == (1, False)
        assert document["diagnostics"][0]["code"] == "policy.unknown-attribute"


@pytest.mark.parametrize(
    ("expression", "fields"),
    [
        ("actors.user.id == 'x' && actors.user", ("actors.user.id",)),
        ("resources[0].name", ("resources.name",)),
        ("[?type == 'USER'].name", ("name", "type")),
        ("max_by([], &recordedAt).actors.user.id", ("actors.user.id", "recordedAt")),
        ("count_by(events, &truncate(recordedAt, 'day'))[].key", ("events.key", "events.recordedAt")),
        ("length(@)", ()),
        ("a.{x: b, y: c.d}", ("a.b", "a.c.d")),
        ("a[] | [0].b", ("a.b",)),
        ("a.*.b", ("a.b",)),
        ("not_null(a, b).c", ("a.c", "b")),
    ],
)
def test_the_fields_that_an_expression_reads_are_told(expression, fields):
    assert jmes.fields_read(jmes.parse(expression, {})) == fields
