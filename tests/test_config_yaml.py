"""YAML as people write it: what is read, what is refused, and that nothing breaks the reader."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from auditor.config import yaml
from auditor.config.nodes import MAX_DEPTH, MAX_NODES
from auditor.config.plain import plain
from tests.support import ROOT

SPEC = ROOT / "tests" / "spec" / "config" / "yaml-oddities.yaml"
REFUSED = "refused"


def read_spec(path) -> Any:
    return YAML(typ="safe").load(path.read_text("utf-8"))


CASES = [
    pytest.param(case, id=f"{group['comment']}: {case['text']!r}")
    for group in read_spec(SPEC)
    for case in group["cases"]
]


def elsewhere(text: str) -> Any:
    """What ruamel.yaml's own safe loader makes of a text."""
    try:
        return YAML(typ="safe").load(text)
    except (YAMLError, ValueError, KeyError):
        return REFUSED


def codes(text: str) -> list[str]:
    return [diagnostic.code for diagnostic in yaml.load(text, "file.yaml").diagnostics]


def mistakes(case: dict[str, Any]) -> list[str]:
    told = case.get("mistake", [])
    return [told] if isinstance(told, str) else told


def same(one: object, other: object) -> bool:
    """Tell whether two values are equal and of equal types: 1 is neither true nor 1.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.mark.parametrize("read", [yaml.load, yaml.carefully])
@pytest.mark.parametrize("case", CASES)
def test_every_oddity_is_read_as_the_table_says(case, read):
    loaded = read(case["text"], "file.yaml")
    assert [diagnostic.code for diagnostic in loaded.diagnostics] == mistakes(case)
    assert same(loaded.value, case.get("value", case.get("data")))


@pytest.mark.parametrize("case", CASES)
def test_what_we_read_is_what_other_readers_read(case):
    """Where the table names no difference, the library's safe loader gives the same value, or refuses too."""
    found = elsewhere(case["text"])
    ours = case.get("value", REFUSED)
    if "elsewhere" not in case:
        assert same(found, ours)
    else:
        assert (found == REFUSED) == (case["elsewhere"] == REFUSED)
        assert found != ours


@settings(deadline=None)
@given(st.text(alphabet="0123456789+-._eExXobBaFInNtT:", min_size=1, max_size=12))
@example("1_000.5e+3")
@example("-.INF")
def test_plain_scalars_have_the_value_that_the_library_gives_them(text):
    loaded = yaml.load(f"[{text}]", "file.yaml")
    found = elsewhere(f"[{text}]")
    if loaded.diagnostics or loaded.value == [text]:
        # Refused, or kept as text: never taken for another number.
        assert found in (REFUSED, [text]) or not _is_json_number(found)
    else:
        assert same(loaded.value, found)


def _is_json_number(value: object) -> bool:
    if not isinstance(value, list) or isinstance(value[0], date):
        return False
    return isinstance(value[0], int | float) and abs(value[0]) < 2**63


# Line ends of YAML that are none of JSON, and what JSON may hold unescaped and YAML may not.
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Zl", "Zp"]), max_size=8)
DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(DATA)
def test_json_is_read_as_json_reads_it(data):
    loaded = yaml.load(json.dumps(data, ensure_ascii=False), "file.yaml")
    assert loaded.diagnostics == ()
    assert same(loaded.value, data)


PIECES = st.sampled_from(
    [
        *"ab:'\"\\ \t\n\r#-|>[]{},&*!%@`?~\0\ufeff\u2028",
        "\r\n",
        "<<: ",
        "&a ",
        "*a",
        "!!int ",
        "? ",
        "- ",
        "a: ",
        ".inf",
    ]
)


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join)))
def test_no_text_breaks_the_reader(text):
    """Whatever stands in a file, there is a value or a mistake, and every mistake has a place in the text."""
    loaded = yaml.load(text, "file.yaml")
    lines = text.count("\n") + text.count("\r") + 1
    for diagnostic in loaded.diagnostics:
        assert diagnostic.location is not None
        assert 1 <= diagnostic.location.line <= lines
        assert diagnostic.location.column >= 1
        assert diagnostic.detail
        assert diagnostic.help


def assert_the_readers_agree(text: str) -> None:
    quick = plain(text)
    if quick is not None:
        careful = yaml.carefully(text, "file.yaml")
        assert careful.diagnostics == ()
        assert same(quick, careful.value)


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join)))
@example("%YAML 1.1\n---\nyes")
@example("%TAG !! tag:x,2000:\n---\n!!int 3")
@example("a: 1\n---\nb: 2")
@example("a: 1\n...\n")
@example("{<<: a}")
@example("? a\n: b\n? c")
@example("{~: a}")
@example("[- a]")
@example("'a': 1\n\"a\": 2")
@example("\ufeffa: 1")
def test_both_readers_agree(text):
    assert_the_readers_agree(text)


@settings(deadline=None)
@given(DATA)
def test_both_readers_agree_on_json(data):
    assert_the_readers_agree(json.dumps(data, ensure_ascii=False))


@settings(deadline=None)
@given(st.text(alphabet="0123456789+-._eExXobBaFInNtTrRuUlLsSyY:~<=", min_size=1, max_size=10))
def test_both_readers_agree_on_scalars_without_quotes(text):
    for place in (text, f"[{text}]", f"a: {text}", f"{text}: a"):
        assert_the_readers_agree(place)


SHIPPED = [
    path
    for folder in ("policies", "schemas/resources", "examples", "tests/policies")
    for path in sorted((ROOT / folder).rglob("*.yaml"))
]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_both_readers_agree_on_the_documents_of_this_project(path):
    assert_the_readers_agree(path.read_text("utf-8"))


def test_shipped_policies_are_plain_and_so_read_quickly():
    policies = [path for path in SHIPPED if ROOT / "policies" in path.parents and ".test." not in path.name]
    assert policies
    assert [path for path in policies if plain(path.read_text("utf-8")) is None] == []


def test_all_mistakes_of_a_document_are_found_at_once():
    text = "a: 1\na: !x y\n~: 2\nb: .inf\nc: &c [*c]\n"
    assert codes(text) == [
        "yaml.duplicate-key",
        "yaml.tag",
        "yaml.bad-key",
        "yaml.bad-number",
        "yaml.recursive-alias",
    ]


def test_a_duplicate_key_tells_where_the_first_one_is():
    (found,) = yaml.load("# a comment\n\na: 1\nb: 2\na: 3\n", "file.yaml").diagnostics
    assert found.location
    assert (found.location.line, found.location.column, found.location.snippet) == (5, 1, "a: 3")
    assert "line 3" in found.detail


def test_the_same_key_three_times_points_at_the_first_each_time():
    found = yaml.load("a: 1\na: 2\na: 3\n", "file.yaml").diagnostics
    assert [d.detail.endswith("line 1.") for d in found] == [True, True]


def test_a_key_may_stand_in_a_mapping_and_in_what_it_merges():
    assert codes("- &x {a: 1}\n- {<<: *x, a: 2}") == []


def test_what_is_missing_at_the_end_is_shown_where_it_began():
    (found,) = yaml.load("a: 1\nb: 'x\n\nc: 2\n\n", "file.yaml").diagnostics
    assert found.location
    assert (found.location.line, found.location.column) == (2, 4)


@pytest.mark.parametrize("character", ["\0", "\x07", "\x1b", "\x7f", "\ufffe", "\ud800"])
def test_a_forbidden_character_is_named_and_not_printed(character):
    (found,) = yaml.load(f"a: x{character}y\n", "file.yaml").diagnostics
    assert found.location
    assert (found.location.line, found.location.column) == (1, 5)
    assert f"U+{ord(character):04X}" in found.detail
    assert character not in found.detail


def test_what_only_the_slow_scanner_reads_is_refused_in_a_long_document():
    """Documents come from strangers, and must not take minutes."""
    assert codes("[12:00]\n" + "# a comment\n" * 30_000) == ["yaml.syntax"]


# Bounds


def test_a_document_as_deep_as_allowed_is_read():
    assert codes("[" * MAX_DEPTH + "]" * MAX_DEPTH) == []
    assert codes("- " * MAX_DEPTH + "x") == []


def test_one_level_more_is_refused():
    assert codes("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) == ["yaml.too-large"]
    assert codes("- " * (MAX_DEPTH + 1) + "x") == ["yaml.too-large"]


def test_aliases_count_as_deep_as_they_reach():
    levels = "\n".join(f"- &a{n} [*a{n - 1}]" for n in range(1, 70))
    assert codes(f"- &a0 x\n{levels}\n") == ["yaml.too-large"]


def test_a_billion_laughs_are_refused_before_they_are_written_out():
    bomb = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
    )
    assert codes(bomb) == ["yaml.too-large"]


def test_a_billion_merges_are_refused_too():
    bomb = "- &a0 {k: v}\n" + "".join(
        f"- &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 10)
    )
    assert codes(bomb) == ["yaml.too-large"]


def test_more_values_than_allowed_are_refused():
    assert codes("- x\n" * (MAX_NODES + 1)) == ["yaml.too-large"]
    assert codes("- x\n" * (2 * MAX_NODES + 1)) == ["yaml.too-large"]


# A reader that recursed in C over one of these would kill the process, and the tests with it.
DEEP = {
    "100,000 brackets": "'[' * 100_000",
    "brackets that are closed only inside of texts": "'[\"]\",' * 800_000",
    "brackets that are closed only inside of comments": "'[ # ]\\n' * 600_000",
    "braces": "'{a: ' * 100_000",
    "list items on one line": "'- ' * 100_000",
    "keys of keys": "'? ' * 100_000",
    "stairs of list items": "'\\n'.join(' ' * n + '- ' * 900 for n in range(0, 110_000, 1800))",
    "stairs of keys": "'\\n'.join(' ' * n + '? ' * 900 for n in range(0, 70_000, 1800))",
    "indentation": "'\\n'.join(' ' * n + '-' for n in range(2_600))",
}


@pytest.mark.parametrize("shape", DEEP)
def test_no_depth_reaches_the_stack_of_the_parser(shape):
    program = textwrap.dedent(
        f"""
        from auditor.config import yaml
        print([diagnostic.code for diagnostic in yaml.load({DEEP[shape]}, "file.yaml").diagnostics])
        """
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "['yaml.too-large']")
