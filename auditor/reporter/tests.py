"""What tests of policies found, for a terminal: a line each test, and a diff of those that failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from difflib import ndiff
from typing import Final

from auditor.model.testing import CheckCoverage, Difference, Mutation, TestReport, TestResult
from auditor.model.value import JSON
from auditor.model.wording import quantity
from auditor.reporter.neutral import one_line, shorten
from auditor.reporter.page import Page

FAILED: Final = "test.failed"
NOT_COVERED: Final = "test.not-covered"
NOT_NOTICED: Final = "test.not-noticed"
IDLE: Final = "test.idle"
NEEDLESS: Final = "test.needless-excuse"
"""The codes of what tests find."""

_CHARACTERS: Final = 300
"""Characters that one asserted value may take."""

_CONDITION_CHARACTERS: Final = 120

_EXIT_STYLES: Final = {0: "bold green", 2: "bold red"}


def render(report: TestReport, *, width: int, color: bool) -> str:
    """
    Write tests for a terminal of *width* cells.

    Shape: the tests of each file, each with PASS or FAIL; beneath a failed one, what was expected behind `-` and
    what was observed behind `+`; coverage and mutation where they were asked for; one line that sums up.
    """
    page = Page(width, color=color)
    file = ""
    for result in report.results:
        if result.file != file:
            file = result.file
            page.section(one_line(file))
        _put_result(page, result)
    if report.coverage is not None:
        _put_coverage(page, report.coverage)
    if report.mutation is not None:
        _put_mutation(page, report.mutation)
    page.blank()
    page.put(summary(report), _EXIT_STYLES.get(report.exit_code, "bold magenta"))
    return str(page)


def summary(report: TestReport) -> str:
    """Return how many tests passed and failed, in one line."""
    passed = len(report.results) - report.failed
    return f"{quantity(len(report.results), 'test')}: {passed} passed, {report.failed} failed"


def _put_result(page: Page, result: TestResult) -> None:
    word, style = ("PASS", "green") if result.passed else ("FAIL", "bold red")
    page.put(f"{one_line(result.check)} · {one_line(result.name)}", head=f"  {word}  ", head_style=style)
    if result.passed:
        return
    if result.location is not None:
        place = f"{one_line(result.location.file)} line {result.location.line}"
        page.put(f"{place} [{FAILED}]", "dim", head="        ")
    for sign, text in lines(result.differences):
        page.put(text, {"-": "red", "+": "green"}.get(sign, ""), head=f"        {sign} ")
    page.put(f"{one_line(result.reason)} [{result.code}]", "dim", head="        ")


def lines(differences: Iterable[Difference]) -> Iterator[tuple[str, str]]:
    """Yield a diff: what was expected behind `-`, what was observed behind `+`, and what is in both behind a space."""
    for difference in differences:
        expected, observed = difference.expected, difference.observed
        if not (isinstance(expected, list) and isinstance(observed, list)):
            yield "-", f"{difference.what}: {_shown(expected)}"
            yield "+", f"{difference.what}: {_shown(observed)}"
            continue
        yield " ", f"{difference.what}:"
        for line in ndiff([_shown(item) for item in expected], [_shown(item) for item in observed]):
            if line[0] != "?":
                yield line[0], f"  {line[2:]}"


def _shown(value: JSON) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shorten(one_line(text), _CHARACTERS)


def _put_coverage(page: Page, coverage: tuple[CheckCoverage, ...]) -> None:
    page.section("Coverage")
    for check in coverage:
        full = check.covered == check.possible
        percent = 100 * check.covered // check.possible
        tests = quantity(check.tests, "test") if check.tests else "no test"
        page.put(
            f"{one_line(check.check)} · {tests}{'' if full else f' [{NOT_COVERED}]'}",
            head=f"  {percent:3} %  ",
            head_style="green" if full else "bold red",
        )
        for text in gaps(check):
            page.put(text, head="         - ")
    covered, possible = sum(c.covered for c in coverage), sum(c.possible for c in coverage)
    percent = 100 * covered // possible if possible else 100
    page.put(f"{percent} % of {quantity(len(coverage), 'check')}: {covered} of {possible}", head="  ")


def gaps(check: CheckCoverage) -> Iterator[str]:
    """Yield what no test of a check shows."""
    if not check.tests:
        return
    wanting = {
        "pass": "it passes, with records that it examines",
        "fail": "it fails",
        "neither": "it is an error, is skipped, or has nothing to examine",
    }
    for kind, text in wanting.items():
        if kind in check.possible_kinds and kind not in check.kinds:
            yield f"no test in which {text}"
    for condition in check.conditions:
        if condition.missing:
            ways = " nor ".join(str(way).lower() for way in condition.missing)
            text = shorten(one_line(condition.text), _CONDITION_CHARACTERS)
            yield f"{condition.part}: never {ways}: {text}"


def _put_mutation(page: Page, mutation: Mutation) -> None:
    page.section("Mutation")
    for survivor in mutation.survivors:
        where = survivor.location
        place = one_line(f"{where.file} line {where.line}" if where else survivor.policy)
        page.put(f"{one_line(survivor.check)} · no test notices [{NOT_NOTICED}]", head="  ")
        page.put(one_line(survivor.name), "bold red", head="      ")
        page.put(place, "dim", head="      ")
    for file, name in mutation.idle:
        page.put(f"{one_line(file)} · no mutant could break [{IDLE}]", head="  ")
        page.put(one_line(name), "bold red", head="      ")
    for file, name in mutation.needless:
        page.put(f"{one_line(file)} · nothing to excuse [{NEEDLESS}]", head="  ")
        page.put(one_line(name), "bold red", head="      ")
    excused = f", {mutation.excused} excused" if mutation.excused else ""
    survived = len(mutation.survivors)
    page.put(
        f"{quantity(mutation.mutants, 'mutant')}: {mutation.killed} noticed, {survived} not{excused}",
        head="  ",
    )
