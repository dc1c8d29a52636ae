"""JUnit XML, as CI systems read it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped

from auditor.model.diagnostic import Level
from auditor.model.verdict import Report, Status
from auditor.reporter import render
from auditor.reporter.junit import BODY_CHARACTERS, MESSAGE_CHARACTERS, VIOLATIONS
from auditor.reporter.neutral import one_line, shorten
from tests.reports import HOSTILE, SAMPLES, everywhere, failed, outcome, problems, report, verdict, violation
from tests.support import SHARED, needs_shared

ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from(HOSTILE))


def junit(of):
    return ET.fromstring(render(of, "junit"))  # noqa: S314  # made here


def shown(text):
    """A text as it stands in the document, in one line."""
    return one_line(text).replace("[[ATTACHMENT|", r"[[ATTACHMENT\u007c")


@pytest.fixture(scope="module", params=["junit-10.xsd", "windyroad-junit.xsd"])
def schema(request):
    return xmlschema.XMLSchema(str(SHARED / "data/xsd" / request.param))


@needs_shared
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_report_is_valid_under_both_schemas(schema, sample):
    schema.validate(render(SAMPLES[sample], "junit"))


@needs_shared
@settings(max_examples=25, deadline=None)
@given(text=ANY_TEXT)
def test_a_report_is_valid_whatever_text_it_holds(schema, text):
    schema.validate(render(everywhere(text), "junit"))


@needs_shared
def test_the_schemas_can_tell_a_wrong_document(schema):
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        schema.validate(render(SAMPLES["all-pass"], "junit").replace("<testcase ", '<testcase file="a" '))


@pytest.mark.parametrize("sample", SAMPLES)
def test_another_reader_finds_the_same_cases(sample):
    of = SAMPLES[sample]
    suites = list(JUnitXml.fromstring(render(of, "junit").encode()))
    results = Counter(type(result) for suite in suites for case in suite for result in case.result)
    own = sum(len(suite) for suite in suites if suite.name == "auditor")
    assert sum(suite.tests for suite in suites) == sum(len(suite) for suite in suites)
    assert sum(suite.tests for suite in suites) == len(of.verdicts) + own
    waived = sum(found.is_waived for found in of.verdicts)
    assert sum(suite.failures for suite in suites) == results[Failure] == of.count(Status.FAIL) - waived
    assert sum(suite.errors for suite in suites) == results[Error] == of.count(Status.ERROR) + own
    assert sum(suite.skipped for suite in suites) == results[Skipped] == of.count(Status.SKIP) + waived


@pytest.mark.parametrize("sample", SAMPLES)
def test_no_two_cases_share_a_name(sample):
    """GitLab shows only the first of them."""
    names = [(case.get("classname"), case.get("name")) for case in junit(SAMPLES[sample]).iter("testcase")]
    assert len(set(names)) == len(names) > 0


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_any_text_comes_back_from_the_document(text):
    root = junit(everywhere(text))
    suite, case, failure = root.find("testsuite"), root.find(".//testcase"), root.find(".//failure")
    assert suite is not None
    assert case is not None
    assert failure is not None
    assert case.get("name") == (shown(text) or "-")
    assert suite.get("hostname") == (shown(text) or "-")
    assert failure.get("message") == shorten(shown(text), MESSAGE_CHARACTERS)
    if shown(text):
        assert f"title: {shown(text)}" in (failure.text or "").split("\n")
        assert f"expected: {shown(text)}" in (failure.text or "").split("\n")


def test_a_suite_is_an_environment_and_a_pack():
    suites = junit(SAMPLES["several-environments"]).findall("testsuite")
    attributes = [
        {name: suite.get(name) for name in ("name", "package", "hostname", "id")} for suite in suites
    ]
    assert attributes == [
        {"name": "prod / PingOne activity", "package": "pingone-activity", "hostname": "prod", "id": "0"},
        {"name": "prod / licence", "package": "licence", "hostname": "prod", "id": "1"},
        {
            "name": "staging / PingOne activity",
            "package": "pingone-activity",
            "hostname": "staging",
            "id": "2",
        },
    ]


def test_cases_name_their_environment_only_where_there_are_several():
    def classnames(of: Report) -> set[str | None]:
        return {case.get("classname") for case in junit(of).iter("testcase")}

    assert classnames(SAMPLES["all-pass"]) == {"pingone-activity"}
    assert classnames(SAMPLES["several-environments"]) == {
        "prod.pingone-activity",
        "prod.licence",
        "staging.pingone-activity",
    }


def test_the_name_of_a_case_is_the_id_of_its_check_alone():
    renamed = failed(title="Another title", pack_title="Another", severity="low")
    names = [[case.get("name") for case in junit(report(v)).iter("testcase")] for v in (failed(), renamed)]
    assert names == [["app-deletion-by-admin-clients"]] * 2


def test_the_timestamp_is_in_utc_and_names_no_zone():
    east = datetime(2026, 11, 21, 2, 30, 5, 999_999, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    suite = junit(replace(report(verdict()), started_at=east)).find("testsuite")
    assert suite is not None
    assert suite.get("timestamp") == "2026-11-20T21:00:05"


@pytest.mark.parametrize("seconds", [4.9e-05, 0, 1.0005, 123_456.789])
def test_times_are_plain_decimals_of_three_places(seconds):
    root = junit(report(verdict(elapsed_s=seconds)))
    times = {element.get("time") for element in root.iter() if element.get("time")}
    assert times == {f"{seconds:.3f}"}


def test_a_passing_case_is_empty_and_its_suite_says_what_was_examined():
    root = junit(SAMPLES["no-occurrences"])
    case = root.find(".//testcase")
    assert case is not None
    assert len(case) == 0
    properties = {element.get("name"): element.get("value") for element in root.iter("property")}
    assert properties["app-deletion-by-admin-clients.population"] == "0"
    assert properties["population"] == "0"
    assert "0 examined, 0 exceptions · no occurrences" in (root.findtext(".//system-out") or "")


def test_the_properties_of_a_suite_add_up_its_checks():
    root = junit(SAMPLES["failures"])
    properties = {element.get("name"): element.get("value") for element in root.iter("property")}
    assert properties["population"] == "43"
    assert properties["exceptions"] == "9"
    assert properties["many.exceptions"] == "7"
    assert properties["many.severity"] == "critical"
    assert properties["many.controls"] == "iso27001: A.8.32; soc2: CC6.1, CC8.1"


def test_a_check_without_controls_has_no_property_of_them():
    names = [element.get("name") for element in junit(report(verdict(controls={}))).iter("property")]
    assert "app-deletion-by-admin-clients.severity" in names
    assert "app-deletion-by-admin-clients.controls" not in names


def test_a_query_that_the_report_does_not_hold_is_left_out():
    root = junit(report(failed(queries=("elsewhere", "q1"))))
    assert (root.findtext(".//failure") or "").count("\nquery: ") == 1
    assert (root.findtext(".//system-out") or "").count("\nGET ") == 1


def test_the_type_of_a_result_is_its_code():
    errors = [
        (element.get("type"), element.get("message")) for element in junit(SAMPLES["errors"]).iter("error")
    ]
    assert errors == [
        ("evidence.incomplete", "PingOne answered 403 to the second page"),
        ("run.stopped", "the run was stopped after 3 requests"),
    ]


def test_the_reason_of_a_skip_stands_in_its_body_alone():
    """Only the body is allowed by every schema."""
    for skipped in junit(SAMPLES["skips"]).iter("skipped"):
        assert not skipped.attrib
        assert "\nreason: " in (skipped.text or "")


def test_a_waived_failure_is_skipped_and_says_what_lies_beneath():
    first, partly, reviews = (case[0] for case in junit(SAMPLES["waivers"]).iter("testcase"))
    assert [first.tag, partly.tag, reviews.tag] == ["skipped", "failure", "skipped"]
    said = "Waived until 2026-12-31 by security-board: migration (SEC-12) [legacy-importer]; underlying verdict: fail."
    assert (first.text or "").splitlines()[0] == said
    assert "reason: False of 2 of 12 records. [policy.violation]" in (first.text or "")
    assert "(waived: legacy-importer)" in (partly.text or "")


def test_a_message_is_one_line_of_limited_length():
    failure = junit(report(failed(reason="so\nlong [[ATTACHMENT|x]] " * 100))).find(".//failure")
    assert failure is not None
    message = failure.get("message") or ""
    assert len(message) == MESSAGE_CHARACTERS
    assert message.startswith(r"so long [[ATTACHMENT\u007cx]] so")
    assert message.endswith("…")
    assert "\n" not in message


@settings(deadline=None)
@given(lengths=st.lists(st.integers(min_value=0, max_value=4_000), min_size=1, max_size=60))
def test_a_body_is_of_limited_length_and_says_so(lengths):
    outcomes = tuple(
        outcome(Status.FAIL, code="policy.violation", expected="e" * length, observed="o" * length)
        for length in lengths
    )
    body = junit(report(verdict(Status.FAIL, outcomes=outcomes))).findtext(".//failure") or ""
    assert len(body) <= BODY_CHARACTERS
    whole = body.endswith("everything: the JSON report of the run: --report json=PATH")
    assert whole != ("\n[shortened: the whole text has " in body)


def test_a_long_body_is_shortened():
    outcomes = (outcome(Status.FAIL, expected="[[ATTACHMENT|" * 150),) * 60
    body = junit(report(verdict(Status.FAIL, outcomes=outcomes))).findtext(".//failure") or ""
    assert len(body) == BODY_CHARACTERS
    assert body.splitlines()[-1].startswith("[shortened: the whole text has 1")


def test_a_body_lists_the_first_exceptions_and_counts_the_others():
    body = junit(SAMPLES["long-lists"]).findtext(".//failure") or ""
    assert body.count("Legacy importer deleted") == VIOLATIONS
    assert "\n  25 more\n" in body


def test_a_report_shows_no_content_of_a_record():
    found = violation(item={"user": {"name": "canary"}})
    outcomes = (outcome(Status.FAIL, exceptions=1, violations=(found,)),)
    assert "canary" not in render(report(verdict(Status.FAIL, outcomes=outcomes)), "junit")


def test_a_text_can_not_pass_for_another_line_of_the_body():
    forged = "Restore it.\npolicy: elsewhere.yaml:1:1"
    body = junit(report(failed(remediation=forged))).findtext(".//failure") or ""
    assert [line for line in body.splitlines() if line.startswith("policy: ")] == [
        "policy: policies/pingone-activity/applications.yaml:14:3"
    ]


def test_every_mistake_in_a_file_is_in_a_case_of_its_line():
    of = SAMPLES["configuration-problems"]
    root = junit(of)
    assert [suite.get("name") for suite in root] == ["auditor"]
    bodies = {case.get("name"): case.findtext("error") or "" for case in root.iter("testcase")}
    assert next(iter(bodies)) == "yaml.unknown-key policies/a.yaml:12"
    assert '"evry"' in bodies["yaml.unknown-key policies/a.yaml:12"]
    assert '"valeu"' in bodies["yaml.unknown-key policies/a.yaml:12"]
    errors = [problem for problem in of.problems if problem.level is Level.ERROR]
    assert sum(body.count("Error: ") for body in bodies.values()) == len(errors)


def test_warnings_stand_in_the_first_suite_and_fail_nothing():
    warnings = tuple(problem for problem in problems() if problem.level is Level.WARNING)
    root = junit(report(verdict(), verdict(pack="other"), problems=warnings))
    assert [suite.get("errors") for suite in root] == ["0", "0"]
    texts = [suite.findtext("system-err") for suite in root]
    assert "policy.unused" in (texts[0] or "")
    assert not texts[1]


def test_a_run_of_nothing_is_an_error():
    for of in (report(), report(problems=problems()[6:7])):
        assert [error.get("type") for error in junit(of).iter("error")] == ["policy.nothing-selected"]
