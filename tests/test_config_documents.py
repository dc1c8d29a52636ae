"""Policies, projects and resource kinds as documents: what is right passes, what is wrong is told in its place."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from auditor import app
from auditor.config import documents, schemas, yaml
from auditor.config.request import PROJECT_FILE
from auditor.model.diagnostic import Diagnostic
from auditor.model.document import Document
from auditor.model.policy import PolicyFile
from auditor.model.project import ProjectFile
from auditor.model.resource import ResourceKind
from auditor.model.value import JSON
from tests.support import ROOT

POLICIES = ROOT / "tests" / "policies"
GOOD = sorted((POLICIES / "good").glob("*.yaml"))
BAD = sorted((POLICIES / "bad").glob("*.yaml"))
EXPECTED = re.compile(r"# E:(?P<column>\d+): (?P<code>[a-z]+\.[a-z-]+)(?P<told>.*?)\s*(?=# E:|$)")

EXPORTED = {name: Draft202012Validator(json.loads(text)) for name, text in schemas.exported().items()}


def plain(path: Path) -> Any:
    """A document without mistakes as data."""
    return yaml.load(path.read_text("utf-8"), path.name).value


def validated(path: Path) -> tuple[Diagnostic, ...]:
    return app.validate(app.Job(folder=path.parent, environ={}, paths=[path.name])).diagnostics


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_policy_gets_no_diagnostic(path):
    assert validated(path) == ()


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_policy_is_good_by_the_exported_schema_too(path):
    assert list(EXPORTED["policy.schema.json"].iter_errors(plain(path))) == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_policy_gets_the_diagnostics_that_stand_on_its_lines(path):
    """
    Each line with a mistake ends with `# E:COLUMN: CODE`, and words that its detail or help must say.

    All mistakes of a file are found in one run, and nothing else is.
    """
    expected = [
        (number, int(match["column"]), match["code"], match["told"].strip())
        for number, line in enumerate(path.read_text("utf-8").split("\n"), start=1)
        for match in EXPECTED.finditer(line)
    ]
    assert expected
    found = [(d, d.location) for d in validated(path) if d.location]
    assert [(where.line, where.column, d.code) for d, where in found] == [row[:3] for row in expected]
    for (diagnostic, where), (*_, told) in zip(found, expected, strict=True):
        assert told in diagnostic.detail + diagnostic.help
        assert where.snippet == path.read_text("utf-8").split("\n")[where.line - 1]


def test_mistakes_of_several_files_are_found_in_one_run():
    with_mistakes = {
        path.name for path in BAD if re.search(r"# E:\d+: (yaml|schema|variable)", path.read_text("utf-8"))
    }
    job = app.Job(folder=POLICIES / "bad", environ={}, paths=[path.name for path in BAD])
    found = {d.location.file for d in app.validate(job).diagnostics if d.location}
    assert len(with_mistakes) > 20
    assert with_mistakes <= found


# Laws over mutated documents

MODELS: dict[str, type[Document]] = {"policy": PolicyFile, "project": ProjectFile, "resource": ResourceKind}
PROJECT: JSON = {
    "version": 1,
    "policies": [
        "policies",
        {"pack": "p", "exclude": {"a": "b"}, "severity": {"a": "low"}, "variables": {"x": 1}},
    ],
    "resources": ["r.yaml"],
    "accept_values": {"action.type": ["X"]},
    "organization_id": "${env.X}",
    "environments": {
        "prod": {"id": "x", "region": "NA", "credentials": {"client_id": "y"}, "variables": {"x": [1]}},
    },
}
SEEDS: dict[str, list[JSON]] = {
    "policy": [plain(path) for path in GOOD],
    "project": [PROJECT],
    "resource": [plain(path) for path in sorted((ROOT / "schemas" / "resources").glob("*.yaml"))],
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2000),
    # JSON Schema takes 5.0 for a whole number.
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer()),
    st.sampled_from(
        ["", "none", "1d", "hot", "low", "Bad Name", "x" * 200, "list(string)", "integer", "a.b"]
    ),
    st.sampled_from(
        [[], {}, [[]], [{}], {"x": {}}, {"last": "1d"}, {"every": "x"}, {"from": "x", "to": "y"}]
    ),
)


@st.composite
def mutated(draw: st.DrawFn, kind: str) -> JSON:
    """A good document in which up to three things were replaced, removed, added or renamed."""
    document = deepcopy(draw(st.sampled_from(SEEDS[kind])))
    for _ in range(draw(st.integers(1, 3))):
        here: Any = document
        while isinstance(here, dict | list) and here:
            keys = list(here) if isinstance(here, dict) else range(len(here))
            key = draw(st.sampled_from(keys))
            deeper = isinstance(here[key], dict | list) and here[key] and draw(st.integers(0, 3))
            if deeper:
                here = here[key]
                continue
            match draw(st.sampled_from(["replace", "remove", "add", "rename"])):
                case "replace":
                    here[key] = deepcopy(draw(VALUES))
                case "remove":
                    del here[key]
                case "add" if isinstance(here, dict):
                    here[draw(st.sampled_from(["extra", "Bad Name", "1", *here]))] = deepcopy(draw(VALUES))
                case _ if isinstance(here, dict):
                    here[f"{key}s"] = here.pop(key)
            break
    return document


STRUCTURAL = {"schema.unknown-key", "schema.missing-key", "schema.wrong-type", "schema.bad-name"}


@pytest.mark.parametrize("kind", MODELS)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_document_is_read_or_told_in_our_own_words(kind, data):
    """Every mistake has a place in the file and a sentence; none of the words of the validating library show."""
    text = json.dumps(data.draw(mutated(kind)), ensure_ascii=False, indent=1)
    checked = documents.read(MODELS[kind], text, "file.yaml")
    assert (checked.value is None) == bool(checked.diagnostics)
    lines = text.split("\n")
    for diagnostic in checked.diagnostics:
        where = diagnostic.location
        assert where is not None
        assert where.snippet == lines[where.line - 1]
        assert where.column <= len(where.snippet) + 1
        assert diagnostic.summary
        assert re.fullmatch(r"[^a-z].*[.?]", diagnostic.detail, re.DOTALL), diagnostic.detail
        assert not re.search(r"[Ii]nput|should|valid |pydantic|must be ,|None", diagnostic.detail)
        assert not re.search(r"one of \.|None", diagnostic.help)


@pytest.mark.parametrize("kind", MODELS)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_editors_and_the_program_agree_about_a_document(kind, data):
    """What the program accepts the exported schema accepts; what is wrong in its structure the schema refuses."""
    document = data.draw(mutated(kind))
    # Python, and so pydantic, takes True for 1.
    assume(not isinstance(document, dict) or document.get("version") is not True)
    checked = documents.validate(MODELS[kind], document, "file.yaml")
    refused = [error.message for error in EXPORTED[f"{kind}.schema.json"].iter_errors(document)]
    if checked.value is not None:
        assert refused == []
    if STRUCTURAL & {diagnostic.code for diagnostic in checked.diagnostics}:
        assert refused


# Single rules


def diagnostics(text: str, model: type[Document] = PolicyFile) -> list[tuple[str, str, str]]:
    return [(d.code, d.detail, d.help) for d in documents.read(model, text, "file.yaml").diagnostics]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n"])
def test_an_empty_document_says_how_to_begin(text):
    assert diagnostics(text) == [
        (
            "schema.empty",
            "The file holds nothing but comments or white space.",
            'Begin with "version: 1".',
        )
    ]


def test_a_key_under_a_wrong_name_is_not_missing_too():
    head = "version: 1\npack: {id: x}\n"
    assert [code for code, *_ in diagnostics(head + "chekcs: {}\n")] == ["schema.unknown-key"]


def test_a_key_that_is_missing_beside_an_unknown_one_is_told():
    assert [code for code, *_ in diagnostics("version: 1\nchecks: {}\nowner: x\n")] == [
        "schema.missing-key",
        "schema.bad-value",
        "schema.unknown-key",
    ]


def test_of_a_union_only_the_arm_that_is_meant_is_told():
    text = "version: 1\npolicies: [5, {pack: x, exlude: {}}, {exclude: {}}, [a], {pack: 5}]\n"
    assert [(code, detail) for code, detail, _ in diagnostics(text, ProjectFile)] == [
        ("schema.wrong-type", 'Entry 1 of "policies" must be a text or a mapping, not a whole number.'),
        ("schema.unknown-key", '"exlude" is no key here.'),
        ("schema.missing-key", 'The key "pack" is needed here.'),
        ("schema.wrong-type", 'Entry 4 of "policies" must be a text or a mapping, not a list.'),
        ("schema.wrong-type", '"pack" must be a text, not a whole number.'),
    ]


def test_a_value_that_yaml_refuses_is_not_blamed_again():
    text = (
        "version: 1\npack: {id: x}\nchecks:\n  one: {title: !t 5, query: {resource: .inf}, expect: !x none}\n"
    )
    assert [code for code, *_ in diagnostics(text)] == ["yaml.tag", "yaml.bad-number", "yaml.tag"]


def test_of_the_pieces_of_a_call_in_braces_only_the_first_is_blamed():
    text = (
        "version: 1\npack: {id: x}\nchecks:\n"
        "  one: {title: t, query: {resource: x}, expect: {every: f(a, b, c), severity: hihg}}\n"
    )
    assert [code for code, *_ in diagnostics(text)] == ["schema.bad-value", "schema.unknown-key"]


def test_values_are_not_shown_where_a_secret_may_stand_in_the_wrong_place():
    text = "version: 1\npolicies: [x]\nenvironments: {a: {id: x, credentials: {client_secret: 8675309}}}\n"
    (found,) = documents.read(ProjectFile, text, PROJECT_FILE).diagnostics
    assert "8675309" not in found.detail + found.help


def test_an_address_that_is_located_already_stays():
    (found,) = documents.read(PolicyFile, "version: [", "file.yaml").diagnostics
    assert documents.at(found, "another text") is found


def test_a_diagnostic_without_an_address_stays_as_it_is():
    told = Diagnostic(code="x.y", summary="No file", subject="--var")
    assert documents.at(told, "a: 1") is told
