"""
JSON Schemas of the documents that people write, exported from the models so that the two can not drift.

`python -m auditor.config.schemas` writes them into the folder `schemas`.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from auditor.config.catalogue import shipped_kinds
from auditor.config.waivers import KEYS
from auditor.model.document import Document, JSONSchema
from auditor.model.framework import Framework
from auditor.model.policy import PolicyFile
from auditor.model.policy_test import PolicyTestFile
from auditor.model.project import ProjectFile
from auditor.model.resource import ResourceKind
from auditor.model.waiver import WaiversFile

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

_DOCUMENTS: Final[dict[str, tuple[type[Document], str]]] = {
    "policy": (PolicyFile, "Policy file"),
    "project": (ProjectFile, "Project file auditor.yaml"),
    "framework": (Framework, "Framework"),
    "resource": (ResourceKind, "Resource kind"),
    "waivers": (WaiversFile, "Waivers file waivers.yaml"),
    "test": (PolicyTestFile, "Tests of a policy file, NAME.test.yaml beside NAME.yaml"),
}


def exported() -> dict[str, str]:
    """Return the text of every exported schema by file name."""
    schemas = {name: _described(model) for name, (model, _) in _DOCUMENTS.items()}
    _complete_query(schemas["policy"]["$defs"]["Query"])
    _complete_expect(schemas["policy"]["$defs"]["Check"]["properties"]["expect"])
    _complete_waiver(schemas["waivers"]["$defs"]["WaiverDocument"])
    _complete_records(schemas["test"]["$defs"]["PolicyTest"]["properties"]["records"])
    for schema in schemas.values():
        _close_names(schema)
    return {f"{name}.schema.json": _text(schema, _DOCUMENTS[name][1]) for name, schema in schemas.items()}


def _described(model: type[Document]) -> JSONSchema:
    """
    Return the JSON Schema of a model with the texts below its fields as descriptions.

    pydantic can do that too, when it makes the class: every command would then parse the source of every model.
    """
    schema = model.model_json_schema()
    models = {each.__name__: each for each in _below(Document)}
    for name, part in (*schema.get("$defs", {}).items(), (model.__name__, schema)):
        for key, text in _texts(models[name]) if name in models else ():
            rule = part["properties"][key]
            part["properties"][key] = dict(sorted({"description": text, **rule}.items()))
    return schema


def _below(model: type[Document]) -> Iterator[type[Document]]:
    for each in model.__subclasses__():
        yield each
        yield from _below(each)


def _texts(model: type[Document]) -> Iterator[tuple[str, str]]:
    """Yield the keys of a model with the text that stands below each in the source."""
    (source,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(source, ast.ClassDef)  # noqa: S101  # the source of a class is one
    for field, below in pairwise(source.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))) if (
                name in model.model_fields
            ):
                yield model.model_fields[name].alias or name, inspect.cleandoc(text)


def _complete_query(query: JSONSchema) -> None:
    """Name the shipped kinds and their options, so that editors complete them."""
    kinds = shipped_kinds()
    query["properties"]["resource"]["anyOf"] = [
        {"enum": sorted(kinds)},
        {"type": "string", "description": "A kind that the project defines."},
    ]
    for name in sorted({option for kind in kinds.values() for option in kind.options}):
        told = {kind.kind: kind.options[name] for kind in kinds.values() if name in kind.options}
        query["properties"][name] = {
            "description": " ".join(f"{kind}: {option.summary}" for kind, option in told.items()),
            "type": ["string", "integer"],
            "examples": sorted({v for o in told.values() for v in (*o.values, *o.aliases)}),
        }


def _complete_records(records: JSONSchema) -> None:
    """Name the shipped kinds, so that editors complete them."""
    records["properties"] = dict.fromkeys(sorted(shipped_kinds()), records["additionalProperties"])


def _complete_expect(expect: JSONSchema) -> None:
    """Say of the list of expectations what pydantic says of every form: that it is not empty."""
    del expect["minLength"]
    for form in expect["anyOf"]:
        if form.get("type") == "array":
            form["minItems"] = 1


def _complete_waiver(waiver: JSONSchema) -> None:
    """Say of each kind of waiver which keys it has, as the reader of the file does."""
    waiver["oneOf"] = [
        {
            "properties": {
                "kind": {"const": kind},
                "records": {"minItems": 1},
                **dict.fromkeys(refused, False),
                **{key: {"not": {"type": "null"}} for key in needed if key != "records"},
            },
            "required": list(needed),
        }
        for kind, (needed, refused) in KEYS.items()
    ]


def _close_names(schema: JSONSchema) -> None:
    """Refuse names that are not of the form of a mapping's names, as pydantic does and its schemas do not."""
    for node in _nodes(schema):
        if "patternProperties" in node:
            node["additionalProperties"] = False


def _nodes(value: Any) -> Iterator[JSONSchema]:
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(child)


def _text(schema: JSONSchema, title: str) -> str:
    return json.dumps({"$schema": _DRAFT, **schema, "title": title}, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for file, text in exported().items():
        Path("schemas", file).write_text(text, encoding="utf-8")
