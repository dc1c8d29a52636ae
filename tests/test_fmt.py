"""`auditor fmt`: canonical YAML that says the same, comments and all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from auditor import cli
from auditor.config import formatted
from auditor.config.formatting import _scalars
from tests.support import ROOT, examples

CASES = YAML(typ="safe").load((ROOT / "tests" / "spec" / "fmt.yaml").read_text(encoding="utf-8"))
SHIPPED = sorted(
    path for folder in ("policies", "schemas/resources", "examples", "auditor/app/template", "tests/real")
    for path in (ROOT / folder).rglob("*.yaml")
)  # fmt: skip


def fmt(text: str) -> str:
    checked = formatted(text, "policy.yaml")
    assert checked.value is not None, checked.diagnostics
    return checked.value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_a_document_gets_its_canonical_form(case):
    assert fmt(case["before"]) == case["after"]
    assert fmt(case["after"]) == case["after"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_ships_is_canonical(path):
    text = path.read_text(encoding="utf-8")
    assert fmt(text) == text


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS.filter(str.strip), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=examples(150))
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), VALUES, min_size=1, max_size=4))
def test_any_document_keeps_its_meaning_and_is_formatted_once(data):
    from io import StringIO

    out = StringIO()
    YAML().dump(data, out)
    once = fmt(out.getvalue())
    assert YAML(typ="safe").load(once) == YAML(typ="safe").load(out.getvalue())
    assert fmt(once) == once


@settings(deadline=None, max_examples=examples(150))
@given(st.lists(st.sampled_from(range(40)), max_size=6), st.integers(0, 12))
def test_no_comment_is_lost_wherever_it_stands(places, column):
    text = (ROOT / "policies/pingone-activity/app-deletion-by-admin-clients.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    inside, _ = _scalars(YAML(typ="safe").compose(text))
    folded = inside | {line + 1 for line in inside}  # inside a folded text a comment is text
    for number, place in enumerate(
        sorted({p for p in places if p < len(lines) and p not in folded}, reverse=True)
    ):
        lines.insert(place, f"{' ' * column}# remark {number}")
    once = fmt("\n".join(lines) + "\n")
    assert sorted(re.findall(r"# remark \d", once)) == sorted(re.findall(r"# remark \d", "\n".join(lines)))
    assert fmt(once) == once


def test_a_file_with_mistakes_is_left_alone(tmp_path, capsys):
    path = tmp_path / "broken.yaml"
    path.write_text("a: 1\na:   2\n", encoding="utf-8")
    assert cli.run(["fmt", str(path)]) == 1
    assert path.read_text(encoding="utf-8") == "a: 1\na:   2\n"
    assert "[yaml.duplicate-key]" in capsys.readouterr().err


def test_check_writes_nothing_and_exits_3(tmp_path, capsys):
    path = tmp_path / "policy.yaml"
    path.write_text("a:   1\n", encoding="utf-8")
    assert cli.run(["fmt", "--check", str(path)]) == 3
    assert path.read_text(encoding="utf-8") == "a:   1\n"
    captured = capsys.readouterr()
    assert captured.out == f"{path}\n"
    assert "1 file is not canonical (exit 3)" in captured.err


def test_diff_shows_what_changes(tmp_path, capsys):
    path = tmp_path / "policy.yaml"
    path.write_text("a:   1\n", encoding="utf-8")
    assert cli.run(["fmt", "--check", "--diff", str(path)]) == 3
    assert "-a:   1\n+a: 1\n" in capsys.readouterr().out


def test_as_json_each_file_is_told_with_what_changes(tmp_path, capsys):
    for name, text in {"one": "a:   1\n", "two": "a: 1\n", "three": "a: 1\na: 2\n"}.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    assert cli.run(["fmt", "--check", "--json", "--chdir", str(tmp_path), str(tmp_path)]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["format_version"] == "1.0"
    assert [(each["file"], each["canonical"], bool(each["diff"])) for each in document["files"]] == [
        ("one.yaml", False, True),
        ("two.yaml", True, False),
    ]
    assert [each["code"] for each in document["diagnostics"]] == ["yaml.duplicate-key"]
    assert (tmp_path / "one.yaml").read_text(encoding="utf-8") == "a:   1\n"


def test_a_project_is_formatted_as_a_whole(tmp_path, capsys):
    (tmp_path / "policies").mkdir()
    (tmp_path / ".auditor").mkdir()
    for name in ("auditor.yaml", "policies/one.yml", ".auditor/kept.yaml"):
        (tmp_path / name).write_text("a:   1\n", encoding="utf-8")
    assert cli.run(["fmt", "--chdir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == ["auditor.yaml", "policies/one.yml"]
    assert (tmp_path / "policies/one.yml").read_text(encoding="utf-8") == "a: 1\n"
    assert (tmp_path / ".auditor/kept.yaml").read_text(encoding="utf-8") == "a:   1\n"
    assert cli.run(["fmt", "--chdir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_an_empty_file_stays_empty(tmp_path):
    path = Path(tmp_path / "empty.yaml")
    path.write_text("# only a comment\n", encoding="utf-8")
    assert cli.run(["fmt", "--check", str(path)]) == 0
