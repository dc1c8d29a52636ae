"""The report for people, on terminals wide and narrow."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from auditor.model.diagnostic import Diagnostic
from auditor.model.source import Location
from auditor.model.verdict import Report, Status
from auditor.reporter import render, render_diagnostics
from auditor.reporter.neutral import one_line, visible
from auditor.reporter.page import Page
from tests.reports import HOSTILE, SAMPLES, everywhere, failed, outcome, problems, report, verdict

ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from(HOSTILE))
WIDTHS = st.integers(min_value=40, max_value=200)


def text(of: Report, **layout: Any) -> str:
    return render(of, "text", **layout)


def without_spaces(document):
    return "".join(document.split())


@settings(deadline=None)
@given(words=ANY_TEXT, width=WIDTHS)
def test_no_line_is_wider_than_the_terminal(words, width):
    assert max(map(cell_len, text(everywhere(words), width=width).split("\n"))) <= width


@settings(deadline=None)
@given(words=st.text(max_size=300), width=WIDTHS)
def test_nothing_is_lost_where_lines_are_wrapped(words, width):
    """All that a wrapped line misses is white space."""
    document = text(report(failed(title=words, remediation=words)), width=width)
    assert without_spaces(document).count(without_spaces(visible(words))) >= 2
    assert without_spaces(one_line(words)) in without_spaces(document)


@pytest.mark.parametrize("sample", SAMPLES)
def test_colour_changes_no_word(sample):
    coloured = text(SAMPLES[sample], color=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == text(SAMPLES[sample])


def test_a_terminal_too_narrow_for_words_is_taken_as_forty_cells_wide():
    assert text(SAMPLES["failures"], width=1) == text(SAMPLES["failures"], width=40)


@pytest.mark.parametrize("status", Status)
def test_the_status_of_a_check_is_a_word(status):
    line = next(line for line in text(report(verdict(status))).splitlines() if "app-deletion" in line)
    assert line.split()[:3] == [status.name, "high", "app-deletion-by-admin-clients"]


def test_every_check_says_what_was_examined():
    document = text(SAMPLES["several-environments"])
    lines = [line for line in document.splitlines() if re.match(r"  (PASS|FAIL|ERROR|SKIP) ", line)]
    assert len(lines) == len(SAMPLES["several-environments"].verdicts)
    assert all(re.search(r" · \d+ examined, \d+ exceptions?$", line) for line in lines)


def test_nothing_to_judge_is_told_apart_from_all_was_right():
    assert "· no occurrences" in text(SAMPLES["no-occurrences"])
    assert "no occurrences" not in text(SAMPLES["all-pass"])


def test_an_error_on_no_records_is_not_called_no_occurrences():
    silent = outcome(Status.ERROR, code="evidence.silent", population=0)
    assert "no occurrences" not in text(report(verdict(Status.ERROR, outcomes=(silent,))))


def test_what_was_not_read_is_called_not_examined():
    assert "never-asked · not examined" in text(SAMPLES["errors"])


def test_a_passing_check_takes_no_more_than_its_name_and_title():
    document = text(report(verdict()))
    assert "remediation" not in document
    assert "expected" not in document


def test_expectations_that_hold_are_not_explained():
    assert "3 of 3" not in text(SAMPLES["undecided"])
    assert "expected     2 of 3 (low): " in text(SAMPLES["undecided"])


def test_the_first_exceptions_are_listed_and_the_others_counted():
    document = text(SAMPLES["long-lists"])
    assert document.count("Legacy importer") == 5
    assert "40 more" in document


def test_a_caveat_of_several_checks_is_said_once():
    caveats = ("DaVinci users are not counted.",)
    document = text(report(verdict(caveats=caveats), verdict(check="other", caveats=caveats)))
    assert document.count(caveats[0]) == 1


def test_a_query_says_that_it_is_not_complete():
    document = text(SAMPLES["errors"])
    assert "2 requests, 100 records, not complete [query.refused]" in document
    assert "never begun" in document
    assert "c-1, c-2, c-3, c-4, c-5, …" in document


def test_an_error_that_many_checks_share_is_explained_once():
    down = outcome(
        Status.ERROR, code="query.unreachable", reason="The host is down.", help="Try again later."
    )
    verdicts = [
        verdict(Status.ERROR, check=name, outcomes=(down,), reason=down.reason, code=down.code)
        for name in "abc"
    ]
    document = text(report(*verdicts))
    assert document.count("The host is down.") == 1
    assert document.count("as above [query.unreachable]") == 2


def test_what_keeps_many_checks_from_being_decided_stands_at_the_end_too():
    down = outcome(Status.ERROR, code="query.unreachable", reason="The host is down.", help="Try again.")
    verdicts = [
        verdict(
            Status.ERROR, check=name, outcomes=(down,), reason=down.reason, code=down.code, help=down.help
        )
        for name in "abcde"
    ]
    assert text(report(*verdicts), width=200).splitlines()[-5:-1] == [
        "",
        "  ERROR  5 checks: The host is down. [query.unreachable]",
        "         Help: Try again.",
        "",
    ]


def test_a_text_beside_a_long_name_begins_below_it():
    page = Page(60, color=False)
    page.put("a text that needs more than what is left", head="prod/a-pack/a-check-with-a-long-name  ")
    page.put("short", head="prod/a-pack/a-check-with-a-long-name  ")
    assert str(page).splitlines() == [
        "prod/a-pack/a-check-with-a-long-name",
        "    a text that needs more than what is left",
        "prod/a-pack/a-check-with-a-long-name  short",
    ]


def test_without_a_verdict_nothing_is_told_of_what_would_have_been_asked():
    document = text(report(problems=problems(), variables=SAMPLES["several-environments"].variables))
    assert "Problems" in document
    assert "Queries" not in document
    assert "Variables" not in document


def test_a_reason_to_skip_is_told_once_and_never_left_out():
    skips = [verdict(Status.SKIP, check=name, reason="TICKET-1", code="policy.excluded") for name in "abc"]
    document = text(report(*skips))
    assert document.count("TICKET-1") == 1
    assert document.count("as above [policy.excluded]") == 2


NOT_SELECTED = tuple(
    verdict(Status.SKIP, check=name, reason="Not selected by --check x.", code="policy.not-selected")
    for name in "abc"
)


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_what_was_not_selected_is_one_line(form: Any):
    document = render(report(verdict(), *NOT_SELECTED), form)
    assert document.count("Not selected") == 1
    assert "3 checks: Not selected by --check x." in document
    assert document.count("SKIP") == (form == "text")
    assert "3 skipped" in document


def test_of_several_environments_only_what_was_selected_is_compared():
    document = text(report(verdict(), verdict(environment="test"), *NOT_SELECTED))
    (table,) = re.findall(r"^Checks by environment\n.*\n((?:  \S.*\n)+)", document, re.MULTILINE)
    assert table.split() == ["pingone-activity/app-deletion-by-admin-clients", "PASS", "PASS"]


def test_verdicts_and_their_reasons_stand_last():
    """Where a terminal stops: what was asked, with which values, comes before."""
    sample = replace(SAMPLES["by-framework"], variables=SAMPLES["several-environments"].variables)
    titles = ("run ", "prod: ", "Queries", "Variables", "SOC 2", "prod / ", "1 check: ")
    document = "\n" + text(sample)
    order = [document.index(f"\n{title}") for title in titles]
    assert order == sorted(order)


ASKED = "environment abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6, region NA, https://api.pingone.com/v1"


@pytest.mark.parametrize("form", ["text", "html", "ctrf", "oscal"])
def test_a_report_names_what_was_asked(form: Any):
    assert ASKED in re.sub("<[^>]+>", "", render(report(verdict()), form, width=200))


@pytest.mark.parametrize("form", ["text", "markdown", "junit", "csv", "ctrf", "oscal"])
def test_where_records_were_given_no_host_was_asked(form: Any):
    named = re.compile(r"api\W+pingone\W+com")  # as Markdown has it, too
    assert named.search(render(report(verdict()), form))
    assert not named.search(render(report(verdict(), given=("records.json",)), form))


def test_the_last_line_sums_up():
    assert text(SAMPLES["failures"], width=200).splitlines()[-1] == (
        "3 checks: 1 passed, 2 failed, 0 errors, 0 skipped · 3 requests, 134 records"
        " · exit 2: 2 checks failed at or above low"
    )
    assert text(report(verdict(), exit_reason=""), width=200).splitlines()[-1].endswith("· exit 0")


def test_the_first_line_says_that_the_tenant_is_simulated():
    assert text(SAMPLES["simulated"]).startswith("Simulated: ")
    assert text(SAMPLES["given"]).startswith("Given: the records come from records/a.json")


def test_a_run_of_nothing_says_so():
    assert "No check was selected" in text(report())
    assert "No check was selected" not in text(report(problems=problems()))


LINE = st.text(st.sampled_from("ab \t漢é🙂"), max_size=30)


@settings(deadline=None)
@given(before=LINE, marked=LINE, after=LINE, row=st.integers(min_value=1, max_value=99_999))
def test_carets_stand_beneath_what_is_meant(before, marked, after, row):
    """In terminal cells: an ideograph takes two, a tab is shown as one."""
    snippet = f"{before}{marked}{after}|"
    start, end = len(before) + 1, len(before + marked) + 1
    mistake = Diagnostic(
        code="a.b",
        summary="Wrong",
        location=Location(file="f", line=row, column=start, end_line=row, end_column=end, snippet=snippet),
    )
    *_, source, carets = render_diagnostics([mistake], width=200).splitlines()
    gutter = f"  {row} | "
    assert source == gutter + snippet.replace("\t", " ")
    assert len(carets) - len(carets.lstrip()) == cell_len(gutter + before.replace("\t", " "))
    assert carets.strip() == "^" * max(cell_len(marked.replace("\t", " ")), 1)


@settings(deadline=None)
@given(
    length=st.integers(min_value=0, max_value=400),
    start=st.integers(min_value=0, max_value=400),
    width=WIDTHS,
)
def test_of_a_long_line_the_part_that_is_meant_is_in_sight(length, start, width):
    snippet = f"{'字' * start}needle{'y' * length}"
    location = Location(file="f", line=1, column=start + 1, end_line=1, end_column=start + 7, snippet=snippet)
    *_, source, carets = render_diagnostics(
        [Diagnostic(code="a.b", summary="Wrong", location=location)], width=width
    ).splitlines()
    assert carets == " " * cell_len(source[: source.index("needle")]) + "^" * 6
    assert cell_len(source) <= width


@settings(deadline=None)
@given(words=ANY_TEXT, width=WIDTHS)
def test_a_mistake_fits_the_terminal_and_is_harmless(words, width):
    mistake = Diagnostic(code="a.b", summary=words, detail=words, help=words, subject=words)
    document = render_diagnostics([mistake], width=width)
    assert visible(document) == document
    assert max(map(cell_len, document.split("\n"))) <= width


def test_a_detail_can_not_pass_for_another_mistake():
    forged = Diagnostic(code="a.b", summary="Wrong", detail="so\nError: forged", help="so\nError: forged")
    lines = render_diagnostics([forged]).splitlines()
    assert [line for line in lines if line.startswith("Error:")] == ["Error: Wrong [a.b]"]
