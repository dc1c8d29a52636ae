"""What holds of every report format; the name of a test is its sentence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from auditor.model.diagnostic import Level
from auditor.model.verdict import Report, Status, VariableUse
from auditor.reporter import FORMATS, neutral, render, render_diagnostics
from auditor.reporter.neutral import one_line, shorten, visible
from tests.reports import HOSTILE, SAMPLES, everywhere, failed, outcome, problems, report, verdict, violation
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
FURTHER = [name for name in FORMATS if name not in {"junit", "json", "text", "html"}]
ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from(HOSTILE))
CHARACTERS = YAML(typ="safe").load(SPEC / "hostile-characters.yaml")


TYPICAL = ("errors", "failures", "hostile", "problems-beside-verdicts", "several-environments", "waivers")
"""The samples of which every further format has a golden file."""
GOLDEN_FILES = [
    *((sample, suffix) for sample in SAMPLES for suffix in LAYOUTS),
    *((sample, FORMATS[name].suffix) for sample in TYPICAL for name in FURTHER),
]


@pytest.mark.parametrize(("sample", "suffix"), GOLDEN_FILES)
def test_a_report_reads_as_its_golden_file(sample, suffix):
    """`UPDATE_GOLDEN=1` writes the golden files anew, to be read before they are kept."""
    path = GOLDEN / f"{sample}{suffix}"
    by_suffix = {FORMATS[name].suffix: {"format": name} for name in FURTHER}
    document = render(SAMPLES[sample], **(LAYOUTS | by_suffix)[suffix])
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(document, encoding="utf-8", newline="")
    assert document == path.read_bytes().decode()


def test_every_golden_file_belongs_to_a_sample():
    expected = {f"{sample}{suffix}" for sample, suffix in GOLDEN_FILES}
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
    lines = document.replace("\r\n", "\n") if format_ == "csv" else document  # RFC 4180, section 2
    assert visible(lines) == lines
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
    if format_ in {"json", "text"}:
        assert "canary" in render(report(verdict(), variables=(shown,)), format_)


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


# --- what every format says, whatever its form ---------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_says_how_much_a_pass_rests_on(format_):
    passed = report(verdict(outcomes=(outcome(population=4711),)))
    assert "4711" in render(passed, format_)


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_tells_no_occurrences_from_all_right(format_):
    nothing = render(SAMPLES["no-occurrences"], format_)
    labels = (
        "no occurrences",
        '"noOccurrences": true',
        "policy.no-occurrences",
        "1 check with no occurrences",
    )
    assert any(label in nothing for label in labels)
    assert nothing != render(report(verdict(outcomes=(outcome(population=0),), population=1)), format_)


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_says_what_failed_and_what_was_found(format_):
    document = render(SAMPLES["failures"], format_, width=200)
    for said in ("many", "false of 7 of 18 records", "Legacy importer deleted Shop 2"):
        assert said in document
    assert "b1f4c2d0-0000-4000-8000-000000000002" in document


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_says_how_many_exceptions_there_are_beyond_those_that_it_lists(format_):
    document = render(report(failed(4711)), format_)
    assert "4711" in document
    assert "Legacy importer deleted Shop 21" not in document


@pytest.mark.parametrize("format_", FORMATS)
def test_no_format_takes_an_error_for_a_pass_or_a_failure(format_):
    """Why, and what to do, stands in each."""
    document = render(SAMPLES["errors"], format_)
    assert "PingOne answered 403 to the second page" in document
    assert "evidence.incomplete" in document
    failure = render(SAMPLES["failures"], format_)
    assert "evidence.incomplete" not in failure


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_says_what_could_not_be_decided(format_):
    assert "actors.client.id is absent in 3 of 12 records" in render(SAMPLES["undecided"], format_)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_skip_is_no_pass(format_):
    skipped = verdict(Status.SKIP, code="policy.excluded", reason="not used here, see TICKET-1")
    document = render(report(skipped), format_)
    assert document != render(report(verdict()), format_)
    assert "skip" in document


@pytest.mark.parametrize("format_", FORMATS)
def test_a_waived_failure_is_told_with_who_answers_for_it(format_):
    document = render(SAMPLES["waivers"], format_).casefold()
    for said in ("waived", "security-board", "migration", "sec-12", "2026-12-31", "fail"):
        assert said in document


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_names_the_evidence(format_):
    of = report(verdict(), root_digest="sha256:4711abcd")
    assert "4711abcd" in render(of, format_, width=200)


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_says_that_nothing_was_examined(format_):
    said = "No check was selected, so nothing was examined"
    if format_ == "json":
        assert '"checks": 0' in render(SAMPLES["nothing-selected"], format_)
    else:
        assert said in render(SAMPLES["nothing-selected"], format_)
    assert said not in render(SAMPLES["configuration-problems"], format_)


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_tells_every_mistake(format_):
    document = render(SAMPLES["configuration-problems"], format_)
    codes = {problem.code for problem in problems() if problem.level is Level.ERROR}
    assert [code for code in codes if code not in document] == []


@pytest.mark.slow
@pytest.mark.parametrize("format_", FORMATS)
def test_ten_thousand_checks_are_all_told_or_it_is_said_that_they_are_not(format_):
    document = render(ten_thousand(), format_)
    told = set(re.findall(r"check-\d+", document))
    everything = {f"check-{number}" for number in range(10_000)}
    shortened = re.search(r"\[shortened: \d+ of 10000 checks|(\d+) more are left out", document)
    assert everything <= told or shortened


@cache
def ten_thousand() -> Report:
    """Return a report of ten thousand checks, of which every hundredth failed."""
    return report(
        *(
            failed(25, check=f"check-{number}") if number % 100 == 0 else verdict(check=f"check-{number}")
            for number in range(10_000)
        )
    )


@pytest.mark.parametrize("row", CHARACTERS, ids=lambda row: str(row["name"]))
def test_a_hostile_character_is_shown_and_another_stays(row):
    character = chr(row["code"])
    assert visible(f"a{character}b") == f"a{row.get('shown', character)}b"


def test_no_hostile_character_is_taken_for_a_printable_one():
    """Texts of printable characters are not looked at further."""
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    hostile = neutral._HOSTILE.findall(every)
    assert len(hostile) > 2_000
    assert [f"{ord(one):x}" for one in hostile if one.isprintable() or one in "\t\n"] == []


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
