"""Markdown, annotations of GitHub, CSV, SARIF and OSCAL, each as its own readers have it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt

from auditor.model.source import Address
from auditor.model.verdict import Status
from auditor.reporter import render, wording
from auditor.reporter.csv_document import COLUMNS
from auditor.reporter.github import ANNOTATIONS, MESSAGE_CHARACTERS, TITLE_CHARACTERS
from auditor.reporter.markdown import DOCUMENT_BYTES
from tests.reports import HOSTILE, SAMPLES, everywhere, failed, outcome, report, verdict, violation
from tests.support import ROOT, examples

ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from(HOSTILE))
few = settings(deadline=None, max_examples=examples(25))


def parsed(of, format_):
    return json.loads(render(of, format_))


def all_values(value: Any) -> Any:
    """Yield every value of a JSON document."""
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from all_values(inner)


# --- Markdown ------------------------------------------------------------------------------------------

READER = MarkdownIt("commonmark").enable("table")
PLAIN = {"heading", "paragraph", "table", "thead", "tbody", "tr", "th", "td", "blockquote", "strong", "em"}


def tokens(of):
    """What a reader of Markdown makes of a report: blocks, and what stands in their lines."""
    for block in READER.parse(render(of, "markdown")):
        yield block
        yield from block.children or ()


@few
@given(text=ANY_TEXT | st.sampled_from([
    "<img src=x onerror=alert(1)>", "[a](https://example.org)", "![a](b)", "https://example.org", "www.example.org",
    "@everyone", "a@example.org", "```\n# b", "| a | b |", "*a* _b_ ~~c~~", "&lt;b&gt;", "$x$", "#1", ":tada:",
]))  # fmt: skip
def test_no_text_is_markup(text):
    kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in tokens(everywhere(text))}
    assert kinds <= PLAIN | {"fence", "inline", "text", "text_special", "code_inline"}
    raw = render(everywhere(text), "markdown")
    outside = "".join(raw.split("```")[::2])
    assert not re.search(r"(?<!\\)(https?://|www\.|@)", outside)


def test_a_block_of_text_can_not_be_left_from_inside():
    fenced = [token.content for token in tokens(everywhere("```\n# forged")) if token.type == "fence"]
    assert any("# forged" in content for content in fenced)
    assert "forged" not in [
        token.content for token in tokens(everywhere("```\n# forged")) if token.type == "heading_open"
    ]


def test_the_table_has_the_gravest_first():
    cells = [token.content for token in READER.parse(render(SAMPLES["waivers"], "markdown"))]
    words = [cell.split()[-1] for cell in cells if cell.endswith((" FAIL", " WAIVED"))]
    assert words == ["FAIL", "WAIVED", "WAIVED"]


@pytest.mark.parametrize("count", [1, 60, 700])
def test_a_summary_fits_github_and_says_what_it_leaves_out(count):
    long = violation(message="🙂" * 500)
    found = failed(5, check="")
    found = replace(found, outcomes=(replace(found.outcomes[0], violations=(long,) * 5),))
    document = render(report(*(replace(found, check=f"check-{n}") for n in range(count))), "markdown")
    assert len(document.encode()) <= DOCUMENT_BYTES
    notes = re.findall(r"_\[shortened: (\d+) of (\d+) (\w+) are shown", document)
    reasons = document.count("\n### ")
    assert ("reasons" in {what for _, _, what in notes}) == (reasons < count)
    for shown, all_, what in notes:
        assert int(all_) == count
        assert int(shown) == (reasons if what == "reasons" else document.count("\n| ❌"))


# --- GitHub ------------------------------------------------------------------------------------------

COMMAND = re.compile(r"::(error|warning|notice) ((?:[^:,=]+=[^:,]*)(?:,[^:,=]+=[^:,]*)*)::(.*)")


def commands(of):
    """What a runner makes of a report: kind, properties, message (actions/toolkit, unescaped)."""
    for line in render(of, "github").splitlines():
        match = COMMAND.fullmatch(line)
        assert match, line
        given_ = dict(each.split("=", 1) for each in match[2].split(","))
        yield match[1], {name: unescaped(text) for name, text in given_.items()}, unescaped(match[3])


def unescaped(text: str) -> str:
    for code, sign in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, sign)
    return text


@few
@given(
    text=ANY_TEXT
    | st.sampled_from(["\n::set-env name=x::y", "::error::x", "a%0A::stop-commands::x", "%25,a=b:c"])
)
def test_no_text_is_a_command_of_its_own(text):
    kinds = [kind for kind, _, _ in commands(everywhere(text))]
    assert kinds == ["error", "warning", "notice"]


def test_an_annotation_stands_at_its_policy():
    (_, properties, message), *_ = commands(SAMPLES["failures"])
    assert properties["file"] == "policies/pingone-activity/applications.yaml"
    assert (properties["line"], properties["col"]) == ("14", "3")
    assert properties["title"].startswith("prod/pingone-activity/app-deletion-by-admin-clients: ")
    assert "reason: 2 of 13 records are not as expected [policy.violation]" in message


def test_a_step_has_no_more_annotations_than_github_shows():
    many = report(*(failed(check=f"check-{n}") for n in range(40)), verdict(Status.ERROR, check="error"))
    found = list(commands(many))
    assert Counter(kind for kind, _, _ in found) == {"error": ANNOTATIONS, "notice": 1}
    assert found[0][1]["title"].startswith("prod/pingone-activity/error: ")
    assert "31 more are left out here" in found[-1][2]


def test_an_annotation_is_of_limited_length():
    long = report(verdict(Status.FAIL, title="t" * 1_000, remediation="r\n" * 5_000))
    (_, properties, message), *_ = commands(long)
    assert len(properties["title"]) == TITLE_CHARACTERS
    assert len(message) <= MESSAGE_CHARACTERS


def test_severities_are_levels():
    of = report(*(failed(check=s, severity=s) for s in ("critical", "high", "medium", "low", "info")))
    assert [kind for kind, _, _ in commands(of)] == ["error", "error", "error", "warning", "notice", "notice"]


# --- CSV ---------------------------------------------------------------------------------------------


def rows(of):
    return list(csv.DictReader(io.StringIO(render(of, "csv"), newline="")))


@few
@given(
    text=ANY_TEXT
    | st.sampled_from(
        ["=1+1", " =1", "+x", "-x", "@SUM(A1)", "\t=1", "a;=1", '";=1', "\u200b=1", "\uff1d1", "|x"]
    )
)
def test_no_cell_is_a_formula(text):
    for row in rows(everywhere(text)):
        assert list(row) == list(COLUMNS)
        for cell in row.values():
            assert not re.match(r"[\s\"']*[=+\-@|%＝＋－＠]", cell.removeprefix("'")) or "'" in cell[:20]  # noqa: RUF001
            assert not re.search(r";\s*[=+\-@]", cell)


def test_every_line_ends_as_the_standard_says():
    """RFC 4180, section 2."""
    document = render(SAMPLES["hostile"], "csv")
    assert document.count("\n") == document.count("\r\n") == len(rows(SAMPLES["hostile"])) + 1


def test_every_exception_has_a_row_and_a_check_without_any_has_one():
    found = rows(SAMPLES["failures"])
    assert Counter(row["check"] for row in found) == {
        "app-deletion-by-admin-clients": 2,
        "many": 7,
        "fine": 1,
    }
    assert [row["exception"] for row in found if row["check"] == "many"] == list("1234567")
    assert found[0]["identity"] == "b1f4c2d0-0000-4000-8000-000000000001"
    assert found[-1]["status"] == "pass"


# --- SARIF -------------------------------------------------------------------------------------------

SARIF = json.loads((ROOT / "tests/spec/reporter/sarif-subset.schema.json").read_text("utf-8"))


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_log_is_valid_under_the_part_of_sarif_that_we_use(sample):
    Draft202012Validator(SARIF, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(
        parsed(SAMPLES[sample], "sarif")
    )


@few
@given(text=ANY_TEXT | st.sampled_from(["[click](https://example.org)", "a b/c%.yaml", "../x", "C:\\x"]))
def test_a_log_is_valid_whatever_text_it_holds(text):
    log = parsed(everywhere(text), "sarif")
    Draft202012Validator(SARIF).validate(log)
    for value in all_values(log):
        assert not (isinstance(value, dict) and "](" in str(value.get("text", "")))


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_result_has_its_rule_its_place_and_a_fingerprint_of_its_own(sample):
    (run,) = parsed(SAMPLES[sample], "sarif")["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    assert all(result["locations"] for result in run["results"])
    keys = [(result["ruleId"], result["partialFingerprints"]["auditor/v1"]) for result in run["results"]]
    assert len(set(keys)) == len(keys)


def test_only_what_failed_or_was_not_decided_is_a_finding():
    (run,) = parsed(SAMPLES["failures"], "sarif")["runs"]
    assert len(run["results"]) == 9
    assert len(run["tool"]["driver"]["rules"]) == 3
    (run,) = parsed(SAMPLES["all-pass"], "sarif")["runs"]
    assert run["results"] == []


def test_a_waived_exception_is_suppressed_and_another_is_not():
    (run,) = parsed(SAMPLES["waivers"], "sarif")["runs"]
    suppressed = [bool(result.get("suppressions")) for result in run["results"]]
    assert suppressed == [True, True, True, True, False, True]


def test_a_run_that_could_not_do_its_job_was_no_success():
    of = {
        name: parsed(SAMPLES[name], "sarif")["runs"][0]["invocations"][0] for name in ("failures", "errors")
    }
    assert {name: each["executionSuccessful"] for name, each in of.items()} == {
        "failures": True,
        "errors": False,
    }


def test_exceptions_beyond_those_that_are_listed_are_counted_in_a_result():
    (run,) = parsed(report(failed(25)), "sarif")["runs"]
    assert "5 further exceptions" in run["results"][-1]["message"]["text"]


# --- OSCAL -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def oscal():
    """Return the model of assessment results of compliance-trestle."""
    from trestle.oscal.assessment_results import Model

    return Model


@pytest.mark.parametrize("sample", SAMPLES)
def test_trestle_reads_the_assessment_results(oscal, sample):
    oscal.model_validate_json(render(SAMPLES[sample], "oscal"))


@few
@given(text=ANY_TEXT)
def test_trestle_reads_the_assessment_results_whatever_text_they_hold(oscal, text):
    oscal.model_validate_json(render(everywhere(text), "oscal"))


def test_trestle_can_tell_a_wrong_document(oscal):
    wrong = render(SAMPLES["failures"], "oscal").replace('"state": "', '"stat": "')
    with pytest.raises(ValueError, match="stat"):
        oscal.model_validate_json(wrong)


def findings(of):
    (result,) = parsed(of, "oscal")["assessment-results"]["results"]
    return {each["target"]["target-id"]: each for each in result.get("findings", [])}


def test_a_control_is_satisfied_only_where_every_check_that_speaks_to_it_passed():
    cc6 = {"soc2": ("CC6.1",)}
    both = {"soc2": ("CC6.1", "CC8.1"), "nist800-53": ("AC-6",), "pcidss": ("7.2.1",)}
    skipped = verdict(Status.SKIP, check="c", controls={"soc2": ("A1.1",)})
    found = findings(report(verdict(check="a", controls=both), failed(check="b", controls=cc6), skipped))
    states = {name: each["target"]["status"] for name, each in found.items()}
    assert states == {
        "ac-6": {"state": "satisfied", "reason": "pass"},
        "pcidss-7.2.1": {"state": "satisfied", "reason": "pass"},
        "soc2-CC6.1": {"state": "not-satisfied", "reason": "fail"},
        "soc2-CC8.1": {"state": "satisfied", "reason": "pass"},
    }
    error = findings(report(verdict(Status.ERROR, controls=cc6), failed(check="b", controls=cc6)))
    assert error["soc2-CC6.1"]["target"]["status"] == {"state": "not-satisfied", "reason": "other"}


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_reference_leads_somewhere_and_no_identifier_is_used_twice(sample):
    document = parsed(SAMPLES[sample], "oscal")["assessment-results"]
    uuids = [value["uuid"] for value in all_values(document) if isinstance(value, dict) and "uuid" in value]
    assert len(set(uuids)) == len(uuids)
    objects = [value for value in all_values(document) if isinstance(value, dict)]
    referred = {each["observation-uuid"] for each in objects if "observation-uuid" in each}
    referred |= {each["href"].removeprefix("#") for each in objects if "href" in each}
    assert referred <= set(uuids)


def test_an_observation_leads_to_what_was_asked():
    (result,) = parsed(SAMPLES["failures"], "oscal")["assessment-results"]["results"]
    evidence = result["observations"][0]["relevant-evidence"]
    assert [each["description"] for each in evidence] == [wording.request(SAMPLES["failures"].asked[0])]
    assert outcome().population == 12


def test_a_check_of_a_shipped_pack_stands_in_the_project_file():
    """Its own file is in nobody's repository."""
    shipped = Address(file="pack:pingone-activity/a.yaml", route=("checks", "a"))
    of = report(failed(address=shipped, location=None))
    (result,) = parsed(of, "sarif")["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "auditor.yaml"}, "region": {"startLine": 1}}
    assert result["properties"]["policy"] == "pack:pingone-activity/a.yaml, checks.a"
    (_, properties, message), *_ = commands(of)
    assert properties["file"] == "auditor.yaml"
    assert "policy: pack:pingone-activity/a.yaml, checks.a" in message


def test_two_expectations_on_one_record_are_two_findings():
    found = failed()
    (run,) = parsed(report(replace(found, outcomes=found.outcomes * 2)), "sarif")["runs"]
    keys = [result["partialFingerprints"]["auditor/v1"] for result in run["results"]]
    assert keys == ["f0001", "f0001:1"]
