"""What holds of every report format; the name of a test is its sentence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from auditor.model.verdict import Status, VariableUse
from auditor.reporter import FORMATS, render, render_diagnostics
from auditor.reporter.neutral import one_line, shorten, visible
from tests.reports import HOSTILE, SAMPLES, everywhere, failed, outcome, report, verdict, violation
from tests.support import ROOT

GOLDEN = ROOT / "tests/golden/reporter"
SPEC = ROOT / "tests/spec/reporter"
LAYOUTS: dict[str, dict[str, Any]] = {
    ".xml": {"format": "junit"},
    ".json": {"format": "json"},
    ".txt": {"format": "text"},
    ".60.txt": {"format": "text", "width": 60},
    ".color.txt": {"format": "text", "color": True},
}
ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from(HOSTILE))
CHARACTERS = YAML(typ="safe").load(SPEC / "hostile-characters.yaml")


@pytest.mark.parametrize("suffix", LAYOUTS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_report_reads_as_its_golden_file(sample, suffix):
    """`UPDATE_GOLDEN=1` writes the golden files anew, to be read before they are kept."""
    path = GOLDEN / f"{sample}{suffix}"
    document = render(SAMPLES[sample], **LAYOUTS[suffix])
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(document, encoding="utf-8", newline="")
    assert document == path.read_text(encoding="utf-8")


def test_every_golden_file_belongs_to_a_sample():
    expected = {f"{sample}{suffix}" for sample in SAMPLES for suffix in LAYOUTS}
    assert {path.name for path in GOLDEN.iterdir()} == expected


@pytest.mark.parametrize("format_", FORMATS)
def test_equal_reports_give_equal_documents(format_):
    """Also where mappings were filled in another order."""
    controls = {"soc2": ("CC6.1",), "iso27001": ("A.8.32",)}
    item = {"id": 1, "action": {"type": "A", "description": "B"}}
    one, other = (
        verdict(
            Status.FAIL,
            controls=dict(order(controls.items())),
            outcomes=(outcome(Status.FAIL, violations=(violation(item=dict(order(item.items()))),)),),
        )
        for order in (list, reversed)
    )
    assert report(one) == report(other)
    assert render(report(one), format_) == render(report(other), format_)


@pytest.mark.parametrize("format_", FORMATS)
@settings(deadline=None)
@given(text=ANY_TEXT)
def test_no_text_can_act_on_whoever_reads_a_report(format_, text):
    document = render(everywhere(text), format_)
    assert visible(document) == document
    assert document.endswith("\n")
    assert document.encode("utf-8").decode("utf-8") == document


@pytest.mark.parametrize("format_", FORMATS)
def test_the_value_of_a_sensitive_variable_stands_in_no_report(format_):
    uses = [
        VariableUse(environment="prod", pack="p", name=name, value="canary", origin="--var", sensitive=True)
        for name in ("one", "two")
    ]
    assert "canary" not in render(report(verdict(), variables=tuple(uses)), format_)
    shown = replace(uses[0], sensitive=False)
    assert ("canary" in render(report(verdict(), variables=(shown,)), format_)) == (format_ != "junit")


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_says_that_the_records_are_not_those_of_a_tenant(format_):
    plain = render(report(verdict()), format_)
    for sample in ("simulated", "given"):
        assert render(SAMPLES[sample], format_) != plain
    assert "simulat" in render(SAMPLES["simulated"], format_)
    assert "records/b.json" in render(SAMPLES["given"], format_)


def test_an_unknown_format_is_refused():
    with pytest.raises(KeyError, match="pdf"):
        render(SAMPLES["all-pass"], "pdf")


def test_formats_are_imported_only_when_they_are_used():
    code = (
        "import sys, auditor.reporter;"
        "print([name for name in sys.modules if name.startswith(('rich', 'auditor.reporter.'))])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_no_mistakes_make_an_empty_text():
    assert render_diagnostics([]) == ""


@pytest.mark.slow
@pytest.mark.parametrize("format_", FORMATS)
def test_ten_thousand_checks_are_all_rendered(format_):
    many = report(
        *(
            failed(25, check=f"check-{number}") if number % 20 == 0 else verdict(check=f"check-{number}")
            for number in range(10_000)
        )
    )
    document = render(many, format_)
    assert {f"check-{number}" for number in range(10_000)} <= set(re.findall(r"check-\d+", document))


@pytest.mark.parametrize("row", CHARACTERS, ids=lambda row: str(row["name"]))
def test_a_hostile_character_is_shown_and_another_stays(row):
    character = chr(row["code"])
    assert visible(f"a{character}b") == f"a{row.get('shown', character)}b"


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_what_is_visible_is_plain_text_and_stays_as_it_is(text):
    assert visible(visible(text)) == visible(text)
    assert visible(text).encode("utf-8").decode("utf-8") == visible(text)
    assert all(character.isprintable() or character in "\t\n" or visible(character) == character
               for character in visible(text))  # fmt: skip


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_one_line_keeps_everything_but_the_white_space(text):
    line = one_line(text)
    assert line.splitlines() in ([], [line])
    assert "".join(line.split()) == "".join(visible(text).split())


@settings(deadline=None)
@given(text=st.text(), limit=st.integers(min_value=1, max_value=20))
def test_a_shortened_text_is_no_longer_than_its_limit_and_says_that_it_was_cut(text, limit):
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))
