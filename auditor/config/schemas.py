"""JSON Schemas of the documents that people write, exported from the models so that the two can not drift."""

from __future__ import annotations

import json
from typing import Any, Final

from auditor.config.catalogue import shipped_kinds
from auditor.model.policy import PolicyFile
from auditor.model.project import ProjectFile
from auditor.model.resource import ResourceKind

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def exported() -> dict[str, str]:
    """Return the text of every exported schema by file name."""
    policy = PolicyFile.model_json_schema(by_alias=True)
    _complete_query(policy["$defs"]["Query"])
    project = ProjectFile.model_json_schema(by_alias=True)
    resource = ResourceKind.model_json_schema(by_alias=True)
    titles = {"policy": "Policy file", "project": "Project file auditor.yaml", "resource": "Resource kind"}
    return {
        f"{name}.schema.json": _text(schema, titles[name])
        for name, schema in (("policy", policy), ("project", project), ("resource", resource))
    }


def _complete_query(query: dict[str, Any]) -> None:
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


def _text(schema: dict[str, Any], title: str) -> str:
    return json.dumps({"$schema": _DRAFT, **schema, "title": title}, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from pathlib import Path

    for file, text in exported().items():
        Path("schemas", file).write_text(text, encoding="utf-8")
