"""The JSON Schemas that editors use are those of the models."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from auditor.config import schemas, shipped_kinds, yaml
from tests.support import ROOT

EXPORTED = schemas.exported()
SHIPPED_POLICIES = sorted((ROOT / "policies").glob("*/*.yaml"))


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_schema_is_that_of_its_model(name):
    """If not, write it again: `python -m auditor.config.schemas`."""
    assert (ROOT / "schemas" / name).read_text("utf-8") == EXPORTED[name], (
        "run: python -m auditor.config.schemas"
    )


def test_the_module_writes_the_schemas(tmp_path):
    (tmp_path / "schemas").mkdir()
    subprocess.run([sys.executable, "-m", "auditor.config.schemas"], cwd=tmp_path, check=True)
    written = {path.name: path.read_text("utf-8") for path in (tmp_path / "schemas").iterdir()}
    assert written == EXPORTED


@pytest.mark.parametrize("path", sorted((ROOT / "schemas").glob("*.schema.json")), ids=lambda path: path.name)
def test_every_schema_is_a_schema_and_says_what_it_is_for(path):
    schema = json.loads(path.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"]


@pytest.mark.parametrize(
    "path",
    SHIPPED_POLICIES,
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_a_shipped_policy_validates_and_points_editors_at_the_schema(path):
    text = path.read_text("utf-8")
    document = yaml.load(text, path.name)
    assert document.diagnostics == ()
    schema = "test.schema.json" if path.name.endswith(".test.yaml") else "policy.schema.json"
    assert list(Draft202012Validator(json.loads(EXPORTED[schema])).iter_errors(document.value)) == []
    assert text.startswith(f"# yaml-language-server: $schema=../../schemas/{schema}\n")


@pytest.mark.parametrize(
    "path",
    [
        *sorted((ROOT / "examples").glob("*/auditor.yaml")),
        ROOT / "auditor" / "app" / "template" / "auditor.yaml",
    ],
    ids=lambda path: path.parent.name,
)
def test_a_project_file_that_ships_validates(path):
    document = yaml.load(path.read_text("utf-8"), path.name)
    validator = Draft202012Validator(json.loads(EXPORTED["project.schema.json"]))
    assert document.diagnostics == ()
    assert list(validator.iter_errors(document.value)) == []


def test_editors_complete_resources_and_their_options():
    query = json.loads(EXPORTED["policy.schema.json"])["$defs"]["Query"]
    names, own = query["properties"]["resource"]["anyOf"]
    assert names["enum"] == sorted(shipped_kinds())
    assert own["type"] == "string"
    for kind in shipped_kinds().values():
        for name, option in kind.options.items():
            assert option.summary in query["properties"][name]["description"]
            assert {*option.values, *option.aliases} <= set(query["properties"][name]["examples"])
