"""What tests of policies found, as JUnit XML in the same strict form as the reports of runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final
from xml.etree import ElementTree as ET

from auditor.model.diagnostic import Diagnostic, Level
from auditor.model.testing import TestReport, TestResult
from auditor.reporter import render_diagnostics
from auditor.reporter.neutral import one_line, shorten, unattached
from auditor.reporter.tests import FAILED, IDLE, NEEDLESS, NOT_COVERED, NOT_NOTICED, gaps, lines

_EPOCH: Final = "1970-01-01T00:00:00"
"""What the schema demands and tests have no use for: when they ran says nothing about a policy."""
_MESSAGE_CHARACTERS: Final = 255


def render(report: TestReport) -> str:
    """
    Write tests as JUnit XML: a suite for each file, a case for each test.

    A test that failed is a `failure` of the type `test.failed`, a mistake an `error` of its code. Gaps of the
    coverage, mutants that no test notices, tests that no mutant could break, and excuses without need are failures
    of suites of their own, where they were asked for.
    """
    root = ET.Element("testsuites")
    for file, results in groupby(report.results, key=lambda result: result.file):
        _suite(root, file, [_case(result) for result in results])
    for name, cases in (("coverage", list(_coverage(report))), ("mutation", list(_mutation(report)))):
        if cases:
            _suite(root, name, cases)
    mistakes = [problem for problem in report.problems if problem.level is Level.ERROR]
    if mistakes:
        _suite(root, "auditor test", [_mistake(number, each) for number, each in enumerate(mistakes, 1)])
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(root: ET.Element, name: str, cases: list[ET.Element]) -> None:
    suite = _element(
        "testsuite",
        name=_token(name),
        package="auditor.test",
        id=str(len(root)),
        timestamp=_EPOCH,
        hostname="localhost",
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        skipped="0",
        time=f"{sum(float(case.attrib['time']) for case in cases):.3f}",
    )
    suite.append(_element("properties"))
    suite.extend([*cases, _element("system-out"), _element("system-err")])
    root.append(suite)


def _case(result: TestResult) -> ET.Element:
    case = _named(f"{result.pack}.{result.check}", result.name, elapsed_s=result.elapsed_s)
    if not result.passed:
        body = "\n".join(f"{sign} {text}" for sign, text in lines(result.differences))
        told = ", ".join(f"{each.what} is not as expected" for each in result.differences)
        failure = _element("failure", type=FAILED, message=shorten(_token(told), _MESSAGE_CHARACTERS))
        failure.text = unattached(f"{body}\n{one_line(result.reason)} [{result.code}]")
        case.append(failure)
    return case


def _coverage(report: TestReport) -> Iterator[ET.Element]:
    for check in report.coverage or ():
        case = _named("coverage", check.check)
        if check.covered < check.possible:
            body = "\n".join(gaps(check)) or "no test"
            _fail(case, NOT_COVERED, f"{check.covered} of {check.possible} covered", body)
        yield case


def _mutation(report: TestReport) -> Iterator[ET.Element]:
    if report.mutation is None:
        return
    for each in report.mutation.survivors:
        name = f"{each.check}: {each.name}"
        yield _fail(_named("mutation", name), NOT_NOTICED, "No test notices this change.", each.name)
    for kind, message, found in (
        (IDLE, "No mutant could break this test.", report.mutation.idle),
        (NEEDLESS, "There is nothing to excuse.", report.mutation.needless),
    ):
        for file, name in found:
            yield _fail(_named("mutation", f"{file}: {name}"), kind, message, name)


def _mistake(number: int, problem: Diagnostic) -> ET.Element:
    case = _named("configuration", f"{problem.code} {number}")
    error = _element("error", type=problem.code, message=shorten(_token(problem.detail), _MESSAGE_CHARACTERS))
    error.text = unattached(render_diagnostics([problem]))
    case.append(error)
    return case


def _fail(case: ET.Element, kind: str, message: str, body: str) -> ET.Element:
    failure = _element("failure", type=kind, message=message)
    failure.text = unattached(body)
    case.append(failure)
    return case


def _named(classname: str, name: str, elapsed_s: float = 0) -> ET.Element:
    return _element("testcase", classname=_token(classname), name=_token(name), time=f"{elapsed_s:.3f}")


def _element(tag: str, **attributes: str) -> ET.Element:
    return ET.Element(tag, {name: unattached(value) for name, value in attributes.items()})


def _token(text: str) -> str:
    """Return a text fit for an `xs:token` of at least one character."""
    return one_line(text) or "-"
