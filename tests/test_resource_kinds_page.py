"""The page on resource kinds says what the models say, and its example works."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auditor import cli
from auditor.config import schemas, shipped_kinds, yaml
from auditor.config.descriptors import lint, refused_path
from auditor.model.resource import ResourceKind
from auditor.simulator import Settings, World, create_app, serve
from tests.support import ROOT

PAGE = ROOT / "docs" / "resource-kinds.md"
SCHEMA: dict[str, Any] = json.loads(schemas.exported()["resource.schema.json"])
ENVIRONMENT = "abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6"


def kinds_table() -> str:
    rows = [
        f"| `{kind.kind}` | {kind.summary} | `{kind.path}` |"
        for kind in sorted(shipped_kinds().values(), key=lambda kind: kind.kind)
    ]
    return "\n".join(["| Kind | Records | Path |", "| --- | --- | --- |", *rows])


def keys_tables() -> str:
    """Every key of every object of a descriptor, with what its model says of it."""
    parts = {"": SCHEMA} | {name: SCHEMA["$defs"][name] for name in reached("", [])}
    return "\n\n".join(table(name, part) for name, part in parts.items())


def reached(name: str, before: list[str]) -> list[str]:
    """Return the names of the objects below one, in the order in which a reader meets them."""
    part = SCHEMA["$defs"][name] if name else SCHEMA
    for key in part["properties"].values():
        for other in re.findall(r'"#/\$defs/(\w+)"', json.dumps(key)):
            if other not in before:
                before.append(other)
                reached(other, before)
    return before


def table(name: str, part: dict[str, Any]) -> str:
    required = part.get("required", [])
    rows = [
        f"| `{key}`{' !' if key in required else ''} | {' '.join(told(rule).split())} |"
        for key, rule in part["properties"].items()
    ]
    head = f"### {name}\n\n{' '.join(part['description'].split())}\n\n" if name else ""
    return "\n".join([f"{head}| Key | Meaning |", "| --- | --- |", *rows])


def told(rule: dict[str, Any]) -> str:
    """Return what a key means: its own description, with a link to the object that it holds."""
    links = [f"[{name}](#{name.lower()})" for name in re.findall(r'"#/\$defs/(\w+)"', json.dumps(rule))]
    given = rule.get("default")
    default = f"Default: `{json.dumps(given)}`." if given not in (None, "", [], {}) else ""
    text = rule.get("description", "")
    return " ".join(part for part in (text, *links, default) if part).replace("|", "\\|")


@pytest.mark.parametrize(("mark", "made"), [("kinds", kinds_table()), ("keys", keys_tables())])
def test_a_table_of_the_page_is_that_of_the_models(mark, made):
    """`UPDATE_GOLDEN=1` writes it anew."""
    text = PAGE.read_text("utf-8")
    part = re.compile(rf"<!-- {mark} -->\n(.*?)<!-- /{mark} -->", re.DOTALL)
    if os.environ.get("UPDATE_GOLDEN"):
        whole = f"<!-- {mark} -->\n\n{made}\n\n<!-- /{mark} -->"
        text = part.sub(lambda _: whole, text)
        PAGE.write_text(text, encoding="utf-8")
    (shown,) = part.findall(text)
    assert shown.strip() == made


def test_every_key_says_what_it_means():
    for name, part in {"ResourceKind": SCHEMA, **SCHEMA["$defs"]}.items():
        assert part["description"], name
        for key, rule in part["properties"].items():
            assert told(rule), f"{name}.{key}"


def blocks() -> list[Any]:
    """The YAML of the page."""
    texts = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return [yaml.load(text, "page.yaml").value for text in texts]


def test_the_page_has_a_whole_kind_that_contradicts_nothing():
    kind = ResourceKind.model_validate(blocks()[1])
    assert list(lint(kind)) == []
    assert refused_path(kind) == ""


def test_parts_of_kinds_on_the_page_are_parts_of_kinds():
    whole = blocks()[1]
    parts = [block for block in blocks()[2:] if "query" not in block]
    assert len(parts) == 3
    for part in parts:
        ResourceKind.model_validate({**whole, **part})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project of the page, and a tenant that has agreements."""
    listed, kind, check, *_ = blocks()
    check = {"title": "Consents are asked for again every year", **check}
    policy = {"version": 1, "pack": {"id": "mine"}, "checks": {"reconsent": check}}
    (tmp_path / "resources").mkdir()
    (tmp_path / listed["resources"][0]).write_text(json.dumps(kind), encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(json.dumps(policy), encoding="utf-8")
    environments = {"prod": {"id": "${env.PINGONE_ENVIRONMENT_ID}"}}
    document = {"version": 1, "policies": ["policy.yaml"], **listed, "environments": environments}
    (tmp_path / "auditor.yaml").write_text(json.dumps(document), encoding="utf-8")
    agreements = [
        {"id": "a1", "name": "Terms", "enabled": True, "reconsentPeriodDays": 180},
        {"id": "a2", "name": "Cookies", "enabled": True},
        {"id": "a3", "name": "Old terms", "enabled": False},
    ]
    now = datetime.now(UTC)  # noqa: TID251  # tokens are good now
    own = ResourceKind.model_validate(kind)
    world = World.from_records([], environment_id=ENVIRONMENT, now=now, collections={own.path: agreements})
    with serve(create_app(world, {own.kind: own}, Settings(), lambda: now)) as running:
        monkeypatch.setenv("PINGONE_API_URL", running.api_url)
        monkeypatch.setenv("PINGONE_AUTH_URL", running.auth_url)
        monkeypatch.setenv("PINGONE_ENVIRONMENT_ID", ENVIRONMENT)
        monkeypatch.setenv("PINGONE_CLIENT_ID", Settings().client_id)
        monkeypatch.setenv("PINGONE_CLIENT_SECRET", Settings().client_secret)
        monkeypatch.chdir(tmp_path)
        yield tmp_path


def test_the_kind_of_the_page_works_from_the_policy_to_the_verdict(project, capsys):
    assert cli.run(["plan"]) == 0
    assert "(defined by this project)" in " ".join(capsys.readouterr().out.split())
    assert cli.run(["check", "--report", "json=report.json"]) == 2
    (verdict,) = json.loads((project / "report.json").read_text("utf-8"))["verdicts"]
    assert (verdict["status"], verdict["population"], verdict["exceptions"]) == ("fail", 2, 1)
    assert verdict["outcomes"][0]["violations"][0]["identity"] == "a2"
