"""What every format for people says in the same words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple, TypeAlias

from auditor.model.diagnostic import Diagnostic, Level
from auditor.model.instant import format_instant, parse_instant
from auditor.model.plan import PlannedEnvironment
from auditor.model.source import Address, Location
from auditor.model.verdict import (
    Asked,
    Criterion,
    FrameworkView,
    Outcome,
    Report,
    Status,
    Verdict,
    Violation,
)
from auditor.model.waiver import Waiver
from auditor.model.wording import quantity
from auditor.reporter.neutral import one_line, shorten, visible

NOT_LISTED: Final = "(not listed in this view)"
"""In place of a title: the criterion is one that a check alone names."""

NOT_SELECTED: Final = "policy.not-selected"
"""The code of what the command line leaves out."""

NOTHING_SELECTED: Final = "No check was selected, so nothing was examined."

Fact: TypeAlias = tuple[str, str]
"""A label and what it says; a fact without a label continues the one before it."""

_CORRELATION_IDS: Final = 5
"""Enough for a support case."""


def totals(report: Report) -> dict[str, int]:
    """Return what a report counts, over all its verdicts, queries and problems."""
    ends = [asked.end for asked in report.asked if asked.end]
    return {
        "checks": len(report.verdicts),
        "passed": report.count(Status.PASS),
        "failed": report.count(Status.FAIL),
        "waived": sum(verdict.is_waived for verdict in report.verdicts),
        "errors": report.count(Status.ERROR),
        "skipped": report.count(Status.SKIP),
        "population": sum(verdict.population for verdict in report.verdicts),
        "exceptions": sum(verdict.exceptions for verdict in report.verdicts),
        "undecided": sum(verdict.undecided for verdict in report.verdicts),
        "requests": sum(end.requests for end in ends),
        "records": _records(report),
        "problem_errors": sum(problem.level is Level.ERROR for problem in report.problems),
        "problem_warnings": sum(problem.level is Level.WARNING for problem in report.problems),
    }


def _records(report: Report) -> int:
    """Return how many records were read: of those that are given, which all queries on a kind look at, each once."""
    total, given = 0, Counter[str]()
    for asked in report.asked:
        # A probe serves no check, and looks at records that the queries have read.
        if asked.end is None or not asked.query.uses:
            continue
        if asked.end.assurance == "given":
            given[asked.query.resource] = max(given[asked.query.resource], asked.end.records)
        else:
            total += asked.end.records
    return total + given.total()


def nothing_selected(report: Report) -> bool:
    """Tell a run that looked at nothing, and for no mistake that it names."""
    return not report.verdicts and not any(problem.level is Level.ERROR for problem in report.problems)


def groups(report: Report, *, only_selected: bool = False) -> list[list[Verdict]]:
    """
    Return the verdicts of each environment and pack together, in the order of the report.

    With *only_selected* those of checks that the command line is about: `left_out` sums up the others.
    """
    found: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in report.verdicts:
        if not (only_selected and verdict.code == NOT_SELECTED):
            found.setdefault((verdict.environment, verdict.pack), []).append(verdict)
    return list(found.values())


def left_out(report: Report) -> str:
    """Return `35 checks: Not selected by --check x. [policy.not-selected]`; empty where every check was."""
    reasons = [verdict.reason for verdict in report.verdicts if verdict.code == NOT_SELECTED]
    return one_line(f"{quantity(len(reasons), 'check')}: {reasons[0]} [{NOT_SELECTED}]") if reasons else ""


def heading(verdict: Verdict) -> str:
    """Return the environment and pack of a verdict, as people name them."""
    return one_line(f"{verdict.environment} / {verdict.pack_title or verdict.pack}")


def supported(criterion: Criterion, period_days: int) -> str:
    """Return `2 checks: 1 fail (some-check), 1 pass · observed 14 of 365 days`, from the least to the most days."""
    if not criterion.support:
        return "no check speaks to it"
    names: dict[tuple[Status, str], list[str]] = {}
    for each in criterion.support:
        how = (each.status, "waived" if each.waived else each.status.word)
        names.setdefault(how, []).append(each.verdict.rpartition("/")[2])
    counts = ", ".join(
        f"{len(names[status, how])} {how}"
        + (f" ({', '.join(dict.fromkeys(names[status, how]))})" if status >= Status.FAIL else "")
        for status, how in sorted(names, reverse=True)
    )
    days = sorted({each.observed_days for each in criterion.support})
    least = f"{days[0]} to " if len(days) > 1 else ""
    observed = f"observed {least}{days[-1]} of {period_days} days"
    return one_line(f"{quantity(len(criterion.support), 'check')}: {counts} · {observed}")


def covered(view: FrameworkView) -> str:
    """Return which criteria of a view no check speaks to."""
    listed = [criterion for criterion in view.criteria if criterion.title]
    missing = [criterion.id for criterion in listed if criterion.status is None]
    told = f"; no check speaks to {one_line(', '.join(missing))}" if missing else ""
    return f"Checks speak to {len(listed) - len(missing)} of {len(listed)} criteria{told}."


def run_line(report: Report) -> str:
    """Return `run 20261121T090000Z-5f2c · as of 2026-11-21T09:00:00.000Z · auditor 0.1.0`."""
    as_of = f" · as of {format_instant(report.as_of)}" if report.as_of else ""
    evidence = f" · evidence {report.root_digest}" if report.root_digest else ""
    return one_line(f"run {report.run_id}{as_of} · auditor {report.tool_version}{evidence}")


class MatrixRow(NamedTuple):
    """A check in every environment of a report: `FAIL 2` with the number of exceptions, `-` where it was not judged."""

    pack: str
    check: str
    cells: tuple[str, ...]
    status: Status


def matrix(report: Report) -> tuple[tuple[str, ...], list[MatrixRow]]:
    """Return the environments of a report, and a row for each check; none of one environment, which needs no table."""
    found: dict[tuple[str, str], dict[str, Verdict]] = {}
    for verdict in report.verdicts:
        if verdict.code != NOT_SELECTED:
            found.setdefault((verdict.pack, verdict.check), {})[verdict.environment] = verdict
    names = tuple(dict.fromkeys(verdict.environment for verdict in report.verdicts))
    if len(names) < 2:
        return names, []
    return names, [
        MatrixRow(
            pack=pack,
            check=check,
            cells=tuple(_cell(own.get(name)) for name in names),
            status=max(verdict.status for verdict in own.values()),
        )
        for (pack, check), own in sorted(found.items())
    ]


def _cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return "-"
    status = word(verdict).upper()
    return f"{status} {verdict.exceptions}" if verdict.exceptions else status


def provenance(report: Report) -> list[str]:
    """Return a sentence for each reason why the records are not those of a PingOne tenant."""
    sentences = []
    if report.simulated:
        sentences.append("Simulated: the records come from the built-in simulator, not from PingOne.")
    if report.given:
        files = one_line(", ".join(report.given))
        sentences.append(f"Given: the records come from {files}, not from PingOne.")
    return sentences


def tenants(report: Report) -> list[str]:
    """Return `prod: environment abfb…, region EU, https://api.pingone.eu/v1` for each environment that was asked."""
    asked = set() if report.given else {one.query.environment for one in report.asked if one.end is not None}
    return [
        one_line(f"{each.name}: {', '.join(parts)}")
        for each in report.environments
        if each.name in asked and (parts := list(_tenant(each)))
    ]


def _tenant(environment: PlannedEnvironment) -> Iterator[str]:
    if environment.id:
        yield f"environment {environment.id}"
    if environment.region:
        yield f"region {environment.region}"
    if environment.api_url:
        yield environment.api_url


def examined(verdict: Verdict) -> str:
    """Return `12 examined, 1 exception`; where nothing was read for the check, `not examined`."""
    if not verdict.outcomes and not verdict.population:
        return "not examined"
    text = f"{verdict.population} examined, {quantity(verdict.exceptions, 'exception')}"
    return f"{text}, {verdict.undecided} undecided" if verdict.undecided else text


def no_occurrences(verdict: Verdict) -> bool:
    """Tell a pass because there was nothing to judge from a pass because all was right."""
    return verdict.status is Status.PASS and not verdict.population and not verdict.exceptions


def controls(verdict: Verdict) -> str:
    """Return `iso27001: A.8.32; soc2: CC6.1, CC8.1`."""
    frameworks = sorted(verdict.controls.items())
    return one_line("; ".join(f"{name}: {', '.join(ids)}" for name, ids in frameworks))


def word(verdict: Verdict) -> str:
    """Return `pass`, `fail`, `error`, `skip`, or `waived` for a failure that waivers cover."""
    return "waived" if verdict.is_waived else verdict.status.word


def waivers(report: Report, verdict: Verdict) -> list[str]:
    """
    Return a sentence for each waiver that covers something of a verdict.

    Shape: `until 2026-12-31 by the board: migration (TICKET-1) [legacy-importer]`.
    """
    covering = chain.from_iterable(
        (outcome.waived_by, *(found.waived_by for found in outcome.violations))
        for outcome in verdict.outcomes
    )
    known = {use.waiver.name: use.waiver for use in report.waivers}
    return [answered_for(known[name]) for name in dict.fromkeys(covering) if name in known]


def waiver_uses(report: Report) -> Iterator[Fact]:
    """Tell what became of each waiver of a run, by its state."""
    for use in report.waivers:
        yield use.state, f"{one_line(use.waiver.check)} {answered_for(use.waiver)}, {use.matched} matched"


def answered_for(waiver: Waiver) -> str:
    """Return `until 2026-12-31 by the board: migration (TICKET-1) [legacy-importer]`."""
    until = f"until {waiver.expires} " if waiver.expires else ""
    ticket = f" ({waiver.ticket})" if waiver.ticket else ""
    return one_line(f"{until}by {waiver.approved_by}: {waiver.reason}{ticket} [{waiver.name}]")


def caveats(verdicts: Iterable[Verdict]) -> list[str]:
    """Return each caveat once, in the order of the verdicts."""
    return list(dict.fromkeys(chain.from_iterable(verdict.caveats for verdict in verdicts)))


def route(address: Address) -> str:
    """Return `checks.no-deletions.expect[0]`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in address.route)
    return "".join(steps).removeprefix(".")


def repository_place(verdict: Verdict) -> Location | Address:
    """
    Return the place of a check for a reader that looks it up in a repository.

    That of a check of a shipped pack, which is in no repository, and of one without a place is the project file.
    """
    found = verdict.location or verdict.address
    return PROJECT if found is None or found.file.startswith("pack:") else found


PROJECT: Final = Address(file="auditor.yaml")


def place(location: Location | None, address: Address | None) -> str:
    """Return `policies/a.yaml:12:5`, or `policies/a.yaml, checks.a.expect` where no line is known."""
    if location:
        return f"{location.file}:{location.line}:{location.column}"
    if address:
        return ", ".join(filter(None, (address.file, route(address))))
    return ""


def violation(found: Violation) -> str:
    """
    Return one exception as instant, identity and message, in one line; an identity that is an instant alone.

    The record itself stands in the JSON document alone.
    """
    instant = format_instant(found.at) if found.at and not _is_instant(found.identity) else ""
    waived = f"(waived: {found.waived_by})" if found.waived_by else ""
    parts = (instant, one_line(found.identity), one_line(found.message), one_line(waived))
    return "  ".join(filter(None, parts))


def _is_instant(text: str) -> bool:
    try:
        return bool(parse_instant(text))
    except ValueError:
        return False


def facts(report: Report, verdict: Verdict, *, violations: int) -> Iterator[Fact]:
    """
    Tell why a verdict is not a pass, and what to do: waivers, reason, expectations, exceptions, help, place.

    At most *violations* exceptions of each expectation are listed, and the number of the others is given.
    """
    for waiver in waivers(report, verdict):
        yield "waived", waiver
    yield "reason", f"{one_line(verdict.reason)} [{verdict.code}]"
    for number, outcome in enumerate(verdict.outcomes, 1):
        if outcome.status is not Status.PASS:
            which = f"{number} of {len(verdict.outcomes)} ({outcome.severity}): "
            yield from _outcome(outcome, verdict, which if len(verdict.outcomes) > 1 else "", violations)
    if verdict.status is not Status.SKIP:
        for one in verdict.examined:
            what = f"{one.name}: " if one.name else ""
            if one.name:
                yield "examined", f"{what}{quantity(one.population, 'record')} of {one.resource}"
            yield "window", one.window and f"{what}{one.window}"
            yield "where", one.where and f"{what}{one_line(one.where)}"
        yield "help", verdict.help
        yield "remediation", verdict.remediation
        for name, value in verdict.bound.items():
            yield "bind", one_line(f"{name} = {json.dumps(value, ensure_ascii=False)}")
    yield "policy", place(verdict.location, verdict.address)


def _outcome(outcome: Outcome, verdict: Verdict, which: str, limit: int) -> Iterator[Fact]:
    yield "expected", f"{which}{one_line(outcome.expected)}"
    if outcome.reason != verdict.reason:
        yield "because", f"{one_line(outcome.reason)} [{outcome.code}]"
    if outcome.observed.casefold() not in verdict.reason.casefold():
        yield "observed", one_line(outcome.observed)
    if outcome.undecided:
        yield "undecided", f"{outcome.undecided} of {quantity(outcome.population, 'record')}"
    lines = [f"- {violation(found)}" for found in outcome.violations[:limit]]
    if more := max(outcome.exceptions - len(lines), 0):
        lines.append(f"{more} more" if lines else str(more))
    yield from zip(("exceptions", *[""] * len(lines)), lines, strict=False)
    if outcome.help != verdict.help:
        yield "help", outcome.help


def request(asked: Asked) -> str:
    """Return `GET /environments/…/activities (prod)`."""
    return one_line(f"{asked.query.method} {asked.query.path} ({asked.query.environment})")


def answer(asked: Asked) -> str:
    """Return what a query took and brought, and whether that is known to be all: `…, complete (counted)`."""
    end = asked.end
    if end is None:
        return "never begun"
    brought = f"{quantity(end.requests, 'request')}, {quantity(end.records, 'record')}"
    if end.failure:
        return f"{brought}, not complete [{end.failure.code}]"
    return f"{brought}, complete ({end.assurance})" if end.assurance else f"{brought}, complete"


def query(asked: Asked) -> Iterator[Fact]:
    """Tell what was asked of whom, and what came of it."""
    yield "query", request(asked)
    yield "asked", one_line(asked.filter) or str(asked.query.window or "")
    yield "answer", answer(asked)
    if asked.end is None:
        return
    for warning in asked.end.warnings:
        yield "warning", one_line(warning)
    ids = asked.end.correlation_ids
    more = ", …" if len(ids) > _CORRELATION_IDS else ""
    yield "correlation", one_line(", ".join(ids[:_CORRELATION_IDS])) + more


def told(facts: Iterable[Fact], limit: int) -> Iterator[Fact]:
    """
    Leave out the facts that say nothing, and shorten those of more than *limit* characters.

    A filter over thousands of ids should not bury the reason beside it.
    """
    for label, text in facts:
        if said := visible(text).strip():
            yield label, shorten(said, limit)


def place_of(problem: Diagnostic) -> str:
    """Return where a problem stands, to the line: `policies/a.yaml:12`, else what it is about."""
    if problem.location:
        return f"{problem.location.file}:{problem.location.line}"
    return place(None, problem.address) or problem.subject
