"""Annotations of GitHub Actions: workflow commands on standard output, which show at the lines of policies."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final, Literal, TypeAlias

from auditor.model.diagnostic import Diagnostic, Level
from auditor.model.source import Address, Location
from auditor.model.verdict import Report, Status, Verdict
from auditor.model.wording import quantity
from auditor.reporter import wording
from auditor.reporter.neutral import one_line, shorten, visible

ANNOTATIONS: Final = 10
"""Of each kind that GitHub shows of one step (docs.github.com, "Workflow commands for GitHub Actions")."""
TITLE_CHARACTERS: Final = 255
MESSAGE_CHARACTERS: Final = 4_000
"""Far below the 64 KiB of an annotation: the rest stands in the other reports."""
VIOLATIONS: Final = 5
"""Exceptions listed of each expectation."""

_FACT_CHARACTERS: Final = 400

Kind: TypeAlias = Literal["error", "warning", "notice"]
Command: TypeAlias = tuple[Kind, str, str, Location | Address | None]
"""A kind, a title, a message and a place."""


def render(report: Report, **_options: object) -> str:
    """
    Write a report as workflow commands: one annotation for each check that is an error or failed, and each problem.

    Shape: a line each; the gravest first; at most `ANNOTATIONS` of a kind, and where more are left out, the last line
    says how many. That line is a notice that sums the run up, also where nothing failed.
    """
    lines = []
    left_out = 0
    for _, same in groupby(sorted(_commands(report), key=_rank), key=lambda command: command[0]):
        commands = list(same)
        room = ANNOTATIONS - (commands[0][0] == "notice")
        lines += [_line(*command) for command in commands[:room]]
        left_out += max(len(commands) - room, 0)
    total = wording.totals(report)
    counts = (
        f"{quantity(total['checks'], 'check')}: {total['passed']} passed, {total['failed']} failed, "
        f"{quantity(total['errors'], 'error')}, {total['skipped']} skipped, {total['waived']} waived"
    )
    examined = (
        f"{quantity(total['population'], 'record')} examined, "
        f"{quantity(total['exceptions'], 'exception')}, "
        f"{quantity(sum(map(wording.no_occurrences, report.verdicts)), 'check')} with no occurrences"
    )
    more = f"{left_out} more are left out here: GitHub shows {ANNOTATIONS} of a kind; see the other reports."
    nothing = wording.NOTHING_SELECTED if wording.nothing_selected(report) else ""
    said = (
        counts,
        examined,
        wording.run_line(report),
        nothing,
        *wording.provenance(report),
        more if left_out else "",
    )
    title = f"PingOne audit: exit {report.exit_code}, {report.exit_reason}"
    return "".join(
        f"{line}\n" for line in (*lines, _line("notice", title, "\n".join(filter(None, said)), None))
    )


def _rank(command: Command) -> int:
    return ("error", "warning", "notice").index(command[0])


def _commands(report: Report) -> Iterator[Command]:
    for problem in report.problems:
        yield _problem(problem)
    for status in (Status.ERROR, Status.FAIL):
        for verdict in report.verdicts:
            if verdict.status is status:
                place = wording.repository_place(verdict)
                yield _kind(verdict), f"{verdict.name}: {verdict.title}", _message(report, verdict), place


def _kind(verdict: Verdict) -> Kind:
    if verdict.is_waived or (verdict.status is Status.FAIL and verdict.severity == "info"):
        return "notice"
    return "warning" if verdict.status is Status.FAIL and verdict.severity == "low" else "error"


def _message(report: Report, verdict: Verdict) -> str:
    facts = wording.told(wording.facts(report, verdict, violations=VIOLATIONS), _FACT_CHARACTERS)
    return "\n".join(f"{label}: {text}" if label else f"  {text}" for label, text in facts)


def _problem(problem: Diagnostic) -> Command:
    kind: Kind = "error" if problem.level is Level.ERROR else "warning"
    message = "\n".join(filter(None, (problem.detail, problem.help, problem.subject)))
    return (
        kind,
        f"{problem.summary} [{problem.code}]",
        message or problem.summary,
        problem.location or problem.address,
    )


def _line(kind: Kind, title: str, message: str, place: Location | Address | None) -> str:
    properties = _place(place) | {"title": shorten(one_line(title), TITLE_CHARACTERS)}
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {written}::{_data(shorten(visible(message), MESSAGE_CHARACTERS))}"


def _place(place: Location | Address | None) -> dict[str, str]:
    if place is None:
        return {}
    found = {"file": one_line(place.file)}
    if isinstance(place, Location):
        found |= {"line": str(place.line), "endLine": str(place.end_line)}
        if place.line == place.end_line:  # columns of two lines mean nothing to GitHub
            found |= {"col": str(place.column), "endColumn": str(place.end_column)}
    return found


# The escapes of actions/toolkit (packages/core, command.ts): without them a text could give commands of its own.


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
