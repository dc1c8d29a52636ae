"""JUnit XML, as CI systems read it."""

from __future__ import annotations

import re
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
from auditor.reporter import JUNIT_FLAVORS, render
from auditor.reporter.junit import (
    BODY_CHARACTERS,
    DOCUMENT_BYTES,
    MESSAGE_CHARACTERS,
    NAME_CHARACTERS,
    VIOLATIONS,
)
from auditor.reporter.neutral import one_line, shorten
from tests.reports import (
    HOSTILE,
    NOW,
    SAMPLES,
    asked,
    end,
    everywhere,
    failed,
    outcome,
    problems,
    report,
    verdict,
    violation,
)
from tests.support import SHARED, needs_shared

ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from(HOSTILE))


def junit(of, flavor="strict"):
    return ET.fromstring(render(of, "junit", junit_flavor=flavor))  # noqa: S314  # made here


def shown(text):
    """A text as it stands in the document, in one line."""
    return one_line(text).replace("[[ATTACHMENT|", r"[[ATTACHMENT\u007c")


ACCEPTED = [
    ("strict", "junit-10.xsd"), ("strict", "windyroad-junit.xsd"),
    ("azure", "junit-10.xsd"), ("azure", "windyroad-junit.xsd"),
    ("jenkins", "junit-10.xsd"),
    ("gitlab", "junit-10.xsd"), ("gitlab", "windyroad-junit.xsd"),
]  # fmt: skip
"""Which schema accepts which flavour: windyroad has no output of a case that did not pass."""


def for_a_schema(document, flavor):
    """A document as the schemas know it: none of them has the `file` of a case, which GitLab reads."""
    return re.sub(r'(<testcase [^>]*) file="[^"]*"', r"\1", document) if flavor == "gitlab" else document


@pytest.fixture(scope="module")
def schemas():
    names = {name for _, name in ACCEPTED}
    return {name: xmlschema.XMLSchema(str(SHARED / "data/xsd" / name)) for name in names}


@needs_shared
@pytest.mark.parametrize(("flavor", "name"), ACCEPTED)
def test_every_report_is_valid_under_the_schemas_of_its_flavour(schemas, flavor, name):
    for of in SAMPLES.values():
        schemas[name].validate(for_a_schema(render(of, "junit", junit_flavor=flavor), flavor))


@needs_shared
@pytest.mark.parametrize(("flavor", "name"), ACCEPTED)
@settings(max_examples=5, deadline=None)
@given(text=ANY_TEXT)
def test_a_report_is_valid_whatever_text_it_holds(schemas, flavor, name, text):
    schemas[name].validate(for_a_schema(render(everywhere(text), "junit", junit_flavor=flavor), flavor))


@needs_shared
@pytest.mark.parametrize("name", ["junit-10.xsd", "windyroad-junit.xsd"])
def test_the_schemas_can_tell_a_wrong_document(schemas, name):
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        schemas[name].validate(
            render(SAMPLES["all-pass"], "junit").replace("<testcase ", '<testcase file="a" ')
        )


@pytest.mark.parametrize("flavor", JUNIT_FLAVORS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_another_reader_finds_the_same_cases(sample, flavor):
    of = SAMPLES[sample]
    suites = list(JUnitXml.fromstring(render(of, "junit", junit_flavor=flavor).encode()))
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


@pytest.mark.parametrize(("took_s", "suite_s"), [(0.4, "0.400"), (0.9, "0.900"), (20, "1.000")])
def test_a_suite_takes_the_time_of_its_queries_once_and_no_longer_than_the_run(took_s: float, suite_s: str):
    verdicts = [verdict(check=name, elapsed_s=took_s) for name in "abc"]
    timed = report(*verdicts, asked=(asked(end(elapsed_s=took_s)),), finished_at=NOW + timedelta(seconds=1))
    (suite,) = junit(timed).findall("testsuite")
    assert (suite.get("time"), {case.get("time") for case in suite.iter("testcase")}) == (
        suite_s,
        {f"{took_s:.3f}"},
    )


def test_a_suite_names_the_address_that_was_asked():
    properties = {each.get("name"): each.get("value") for each in junit(report(verdict())).iter("property")}
    assert properties["api-url"] == "https://api.pingone.com/v1"


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
    timed = report(
        verdict(elapsed_s=seconds),
        asked=(asked(end(elapsed_s=seconds)),),
        finished_at=NOW + timedelta(seconds=seconds),
    )
    root = junit(timed)
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


@pytest.mark.parametrize("flavor", JUNIT_FLAVORS)
def test_a_flavour_says_no_less_than_the_strict_form(flavor):
    results = {"failure", "error", "skipped"}

    def said(root: ET.Element) -> list[tuple[str, str | None, str | None]]:
        return [(each.tag, each.get("type"), each.text) for each in root.iter() if each.tag in results]

    for of in SAMPLES.values():
        strict = junit(of)
        assert said(junit(of, flavor)) == said(strict)
        names = [case.get("name") for case in strict.iter("testcase")]
        assert [case.get("name") for case in junit(of, flavor).iter("testcase")] == names


def test_gitlab_is_told_the_file_of_a_policy():
    files = {case.get("file") for case in junit(SAMPLES["failures"], "gitlab").iter("testcase")}
    assert files == {"policies/pingone-activity/applications.yaml"}


def test_azure_and_jenkins_are_told_the_reason_of_a_skip_as_a_message():
    for flavor in ("azure", "jenkins"):
        messages = [each.get("message") for each in junit(SAMPLES["skips"], flavor).iter("skipped")]
        assert messages[0] == "not used here, see TICKET-1"
    waived = next(junit(SAMPLES["waivers"], "azure").iter("skipped"))
    assert (waived.get("message") or "").startswith("Waived until 2026-12-31 by security-board: ")


def test_jenkins_is_told_what_every_case_examined_and_of_which_environment():
    cases = list(junit(SAMPLES["no-occurrences"], "jenkins").iter("testcase"))
    assert [case.get("classname") for case in cases] == ["prod.pingone-activity"]
    assert [case.findtext("system-out") for case in cases] == [
        "PASS  app-deletion-by-admin-clients · 0 examined, 0 exceptions · no occurrences"
    ]


def test_a_name_is_of_limited_length_and_still_its_own():
    """Azure DevOps takes 512 characters; of two cases with one name GitLab shows one."""
    long = "x" * 600
    names = [
        case.get("name") or ""
        for case in junit(report(failed(check=long), failed(check=f"{long}y"))).iter("testcase")
    ]
    assert len(set(names)) == 2
    assert {len(name) for name in names} == {NAME_CHARACTERS - 1}


@pytest.mark.slow
@pytest.mark.parametrize("flavor", ["gitlab", "jenkins"])
def test_a_thousand_checks_of_ten_thousand_exceptions_fit_into_what_gitlab_takes(flavor):
    """Also where every message is long: what is shortened says so, and every case is there."""
    long = replace(violation(), message="a long message " * 100)
    found = failed(10_000)
    found = replace(found, outcomes=(replace(found.outcomes[0], violations=(long,) * VIOLATIONS),))
    many = report(*(replace(found, check=f"check-{number}") for number in range(1_000)))
    document = render(many, "junit", junit_flavor=flavor)
    assert 20_000_000 / 4 < len(document.encode()) <= DOCUMENT_BYTES < 30_000_000
    assert document.count("<failure ") == document.count("\n[shortened: the whole text has ") == 1_000
    assert document.count("10000 of 10011 records are not as expected [policy.violation]") == 1_000
