"""What stands on the page, chosen, ordered and bounded; how it looks is the template's business."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from auditor.model.environment import REGION_DOMAINS, region_urls
from auditor.model.instant import Window, format_instant, parse_instant
from auditor.model.plan import PlannedEnvironment
from auditor.model.policy import SEVERITIES
from auditor.model.source import Address, Location
from auditor.model.verdict import (
    Asked,
    Criterion,
    Examined,
    FrameworkView,
    Outcome,
    Report,
    Status,
    Verdict,
    Violation,
)
from auditor.model.wording import quantity
from auditor.reporter import wording
from auditor.reporter.html import charts
from auditor.reporter.neutral import one_line, shorten

DETAILED: Final = 1_000
"""Checks with all that there is to say of them; of those beyond, the one line that says how they ended."""

LISTED: Final = 500
"""Rows of a list beside the checks."""

LINKED: Final = 20
"""Checks named beside one control."""

CHARACTERS: Final = 2_000
"""Characters of one text."""

READ: Final = 12
"""Fields of a record that are shown with a violation."""

_LOOKS: Final = ("error", "fail", "waived", "pass", "skip")
"""How checks end, what an auditor looks at first in front."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A check on the page; `number` is its place there and names it in links, `look` is how it ended."""

    number: int
    verdict: Verdict
    look: str
    is_detailed: bool

    @property
    def found(self) -> str:
        """What was examined and found, in a few words."""
        waived = f", {self.verdict.waived:,} waived" if self.verdict.waived else ""
        nothing = " · no occurrences" if wording.no_occurrences(self.verdict) else ""
        return f"{wording.examined(self.verdict)}{waived}{nothing}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Checks counted together."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""
    observed: str = ""

    @property
    def population(self) -> int:
        """Records examined; one that two checks examine counts twice."""
        return sum(row.verdict.population for row in self.rows)

    @property
    def exceptions(self) -> int:
        """Exceptions found."""
        return sum(row.verdict.exceptions for row in self.rows)

    def count(self, look: str) -> int:
        """Return how many of the checks ended so."""
        return sum(row.look == look for row in self.rows)

    @property
    def look(self) -> str:
        """How the gravest of them ended; empty where there is none."""
        return next((look for look in _LOOKS if self.count(look)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """The checks by the controls of a framework."""

    title: str
    scope: str
    controls: tuple[Tally, ...]
    note: str = ""


class Page:
    """A report as it stands on the page."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.totals = wording.totals(report)
        self.notices = wording.provenance(report)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The checks, what an auditor looks at first in front."""
        ordered = sorted(
            self.report.verdicts,
            key=lambda verdict: (_LOOKS.index(wording.word(verdict)), -SEVERITIES.index(verdict.severity)),
        )
        return tuple(
            Row(number=number, verdict=verdict, look=wording.word(verdict), is_detailed=number <= DETAILED)
            for number, verdict in enumerate(ordered, 1)
        )

    @cached_property
    def all(self) -> Tally:
        """All checks together."""
        return Tally(title="All", rows=self.rows)

    @cached_property
    def look(self) -> str:
        """How the run ended: as its gravest check, and as an error where mistakes kept it from being done."""
        if self.totals["problem_errors"] or not self.report.verdicts:
            return "error"
        return self.all.look

    @cached_property
    def headline(self) -> str:
        """The result in one sentence."""
        if errors := self.totals["problem_errors"]:
            return f"Not done: {quantity(errors, 'mistake')} must be mended first"
        if not self.report.verdicts:
            return "Nothing was examined: no check was selected"
        if errors := self.all.count("error"):
            return f"Not decided: {quantity(errors, 'check')} could not be decided"
        if failed := self.all.count("fail"):
            return f"Failed: {failed} of {quantity(len(self.rows), 'check')}"
        if self.all.count("skip") == len(self.rows):
            return "Nothing was examined: every check was skipped"
        return "Passed: no check found an exception that is not waived"

    @cached_property
    def tenants(self) -> str:
        """The names of the environments."""
        return ", ".join(one_line(each.name) for each in self.report.environments)

    @cached_property
    def endpoints(self) -> Mapping[str, int]:
        """The records that were read, by method and path."""
        found: dict[str, int] = {}
        for asked in self.report.asked:
            endpoint = f"{asked.query.method} {asked.query.path}"
            found[endpoint] = found.get(endpoint, 0) + (asked.end.records if asked.end else 0)
        return found

    @cached_property
    def severities(self) -> tuple[Tally, ...]:
        """The checks by severity, the gravest first; a severity that no check has is left out."""
        tallies = (
            Tally(title=severity, rows=tuple(row for row in self.rows if row.verdict.severity == severity))
            for severity in reversed(SEVERITIES)
        )
        return tuple(tally for tally in tallies if tally.rows)

    @cached_property
    def environments(self) -> tuple[str, ...]:
        """The environments of the checks, in the order of the report."""
        return tuple(dict.fromkeys(verdict.environment for verdict in self.report.verdicts))

    @cached_property
    def packs(self) -> tuple[str, ...]:
        """The packs of the checks, in the order of the report."""
        return tuple(dict.fromkeys(verdict.pack for verdict in self.report.verdicts))

    @cached_property
    def matrix(self) -> tuple[tuple[str, tuple[Row | None, ...]], ...]:
        """Each check with how it ended in each environment; nothing where there is only one."""
        if len(self.environments) < 2:
            return ()
        found: dict[str, dict[str, Row]] = {}
        for row in self.rows:
            verdict = row.verdict
            found.setdefault(f"{verdict.pack}/{verdict.check}", {})[verdict.environment] = row
        return tuple(
            (name, tuple(own.get(environment) for environment in self.environments))
            for name, own in found.items()
        )

    @cached_property
    def frameworks(self) -> tuple[Framework, ...]:
        """The checks by control: as the views that were asked for list them, else as the checks name them."""
        by_name = {row.verdict.name: row for row in self.rows}
        viewed = {view.framework: _view(view, by_name) for view in self.report.frameworks}
        named: dict[str, dict[str, list[Row]]] = {}
        for row in self.rows:
            for framework, controls in row.verdict.controls.items():
                for control in controls:
                    named.setdefault(framework, {}).setdefault(control, []).append(row)
        for framework, found in sorted(named.items()):
            tallies = tuple(
                Tally(title=control, rows=tuple(found[control])) for control in sorted(found, key=_natural)
            )
            viewed.setdefault(framework, Framework(title=framework, scope="", controls=tallies))
        return tuple(viewed.values())

    @cached_property
    def timeline(self) -> charts.Timeline | None:
        """The violations of events; those of counts stand in the graphs of their checks."""
        rows = [row for row in self.rows if not any(one.series for one in row.verdict.examined)]
        found = [
            (outcome.severity, violation)
            for row in rows
            for outcome in row.verdict.outcomes
            for violation in outcome.violations
        ]
        queries = {query for row in rows if row.verdict.exceptions for query in row.verdict.queries}
        windows = [
            asked.query.window
            for asked in self.report.asked
            if asked.query.id in queries and asked.query.window
        ]
        return charts.timeline(found, windows)

    @cached_property
    def exceptions_of_events(self) -> int:
        """The exceptions of which the timeline shows those that are listed."""
        return sum(
            row.verdict.exceptions for row in self.rows if not any(one.series for one in row.verdict.examined)
        )

    @cached_property
    def requests(self) -> Mapping[str, int]:
        """The places of the queries on the page, by id."""
        return {asked.query.id: number for number, asked in enumerate(self.report.asked[:LISTED], 1)}

    @cached_property
    def period(self) -> Window | None:
        """The time that all windows together lie in."""
        windows = [asked.query.window for asked in self.report.asked if asked.query.window]
        if not windows:
            return None
        return Window(min(each.start for each in windows), max(each.end for each in windows))

    @cached_property
    def undecided(self) -> tuple[Row, ...]:
        """The checks that could not be decided, and those with records that could not."""
        return tuple(row for row in self.rows if row.verdict.undecided or row.verdict.status is Status.ERROR)

    @cached_property
    def caveats(self) -> tuple[str, ...]:
        """Each caveat once."""
        return tuple(wording.caveats(self.report.verdicts))

    def waivers(self, verdict: Verdict) -> list[str]:
        """Return a sentence for each waiver that covers something of a verdict."""
        return wording.waivers(self.report, verdict)

    def environment(self, verdict: Verdict) -> PlannedEnvironment | None:
        """Return the environment of a verdict."""
        return next((each for each in self.report.environments if each.name == verdict.environment), None)

    def console(self, environment: PlannedEnvironment | None) -> str:
        """
        Return the address of an environment in PingOne's admin console; empty where there is none.

        Source: PingOne documentation, "Administrators: Managing your PingOne environment", Console Login URL:
        `https://console.pingone.<region>/?env=<environmentID>`.
        """
        if environment is None or self.notices or not _UUID.fullmatch(environment.id or ""):
            return ""
        domain = _CONSOLES.get(environment.api_url or "")
        return f"https://console.{domain}/?env={environment.id}" if domain else ""

    def addresses(self, verdict: Verdict) -> tuple[str, ...]:
        """Return the addresses in the API that a record's identity is the end of."""
        found = (
            violation.link.removesuffix(f"/{violation.identity}")
            for outcome in verdict.outcomes
            for violation in outcome.violations
            if violation.link and _at_end(violation)
        )
        return tuple(dict.fromkeys(map(one_line, found)))

    def graphs(self, verdict: Verdict, examined: Examined) -> tuple[charts.Graph, ...]:
        """Return the counts that a query of a check found."""
        return tuple(charts.graph(series, verdict.outcomes) for series in examined.series)


_CONSOLES: Final = {region_urls(region)[0]: domain for region, domain in REGION_DOMAINS.items()}
"""The domains of PingOne by the base of their API."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _view(view: FrameworkView, rows: Mapping[str, Row]) -> Framework:
    return Framework(
        title=view.title or view.framework,
        scope=view.scope,
        controls=tuple(
            Tally(
                title=criterion.id,
                note=criterion.title or wording.NOT_LISTED,
                rows=tuple(rows[each.verdict] for each in criterion.support if each.verdict in rows),
                observed=_observed(criterion, view.period_days),
            )
            for criterion in view.criteria
        ),
        note=wording.covered(view),
    )


def _observed(criterion: Criterion, period_days: int) -> str:
    """Return how much of the period the checks of a criterion rest on, from the least to the most."""
    days = sorted({each.observed_days for each in criterion.support})
    least = f"{days[0]:,} to " if len(days) > 1 else ""
    return f"{least}{days[-1]:,} of {period_days:,}" if days else ""


def _natural(text: str) -> tuple[tuple[str, int], ...]:
    """Return a key that sorts CC6.2 before CC6.10."""
    return tuple((word, int(digits or -1)) for word, digits in re.findall(r"(\D*)(\d{0,9})", text))


# What the template calls filters


def _instant(value: datetime | None) -> str:
    """Return an instant for people: `2026-11-21 09:00:00 UTC`, with milliseconds where it has any."""
    if value is None:
        return ""
    return format_instant(value).replace("T", " ").replace(".000Z", "Z").replace("Z", " UTC")


def _window(window: Window | None) -> str:
    return f"{_instant(window.start)} – {_instant(window.end)}" if window else ""  # noqa: RUF001  # a dash between two


def _cut(text: object, limit: int = CHARACTERS) -> str:
    """Return a text that says so where it is cut."""
    whole = str(text)
    return whole if len(whole) <= limit else f"{whole[:limit]} … (shortened, {len(whole):,} characters)"


def _value(value: object) -> str:
    """Return a value as JSON in one line, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    except (RecursionError, ValueError):
        text = "(too large)"
    return _cut(text, 400)


def _place(verdict: Verdict) -> str:
    location: Location | None = verdict.location
    address: Address | None = verdict.address
    return one_line(wording.place(location, address))


def _answer(asked: Asked) -> str:
    return one_line(wording.answer(asked))


def _coverage(asked: Asked) -> tuple[charts.Bar, ...]:
    window, end, held = asked.query.window, asked.end, asked.query.coverage
    if window is None:
        return ()
    read: Sequence[Window] = end.slices if end else ()
    if end and end.complete and not read:
        read = (window,)
    return charts.coverage(window, read, held.uncovered if held else None)


def _covered(asked: Asked) -> str:
    """Return in one sentence which part of its window a query rests on."""
    end, held = asked.end, asked.query.coverage
    if end is None:
        return "Never begun: nothing of it was read."
    if held and not held.covered:
        return f"Not covered: {_window(held.uncovered) or 'the window'}. {held.note}".strip()
    if end.failure:
        return f"Not complete: {one_line(end.failure.reason)}"
    whole = "The whole window was read" if asked.query.window else "All that is there was read"
    return f"{whole} ({end.assurance})." if end.assurance else "One record was asked for, and it came."


def _listed(outcome: Outcome) -> str:
    """Return how many exceptions are not listed, as a sentence; empty where all are."""
    more = outcome.exceptions - len(outcome.violations)
    return f"{len(outcome.violations):,} of {outcome.exceptions:,} exceptions are listed." if more > 0 else ""


def _identity(violation: Violation) -> str:
    """Return what names a record, where its instant does not say the same."""
    try:
        same = violation.at is not None and parse_instant(violation.identity) == violation.at
    except ValueError:
        same = False
    return "" if same else one_line(violation.identity)


def _at_end(violation: Violation) -> bool:
    """Tell whether the address of a record ends with its identity, so that both need not be told."""
    return bool(violation.identity) and (violation.link or "").endswith(f"/{violation.identity}")


def _span(text: str) -> str:
    """Return a window as an examined population names it, as all windows on the page are written."""
    try:
        start, end = map(parse_instant, text.split(" .. "))
        return _window(Window(start, end))
    except ValueError:
        return one_line(text)


def _read(violation: Violation) -> tuple[tuple[str, str], ...]:
    return tuple((path, _value(value)) for path, value in sorted(violation.values.items())[:READ])


def _first(items: Iterable[object], limit: int = LISTED) -> list[object]:
    return list(items)[:limit]


def _more(items: Sized, limit: int = LISTED) -> str:
    """Return a sentence about what a list leaves out; empty where it does not."""
    return f"The first {limit:,} of {len(items):,} are listed." if len(items) > limit else ""


BOUNDS: Final = {"LINKED": LINKED, "LISTED": LISTED, "READ": READ}
"""How much the template lists."""

FILTERS: Final[Mapping[str, Callable[..., object]]] = {
    "answer": _answer,
    "at_end": _at_end,
    "controls": wording.controls,
    "coverage": _coverage,
    "covered": _covered,
    "cut": _cut,
    "first_of": _first,
    "identity": _identity,
    "instant": _instant,
    "iso": format_instant,
    "line": one_line,
    "listed": _listed,
    "more": _more,
    "number": charts.number,
    "place": _place,
    "place_of": wording.place_of,
    "quantity": quantity,
    "read": _read,
    "span": _span,
    "short": lambda text, limit: shorten(one_line(str(text)), limit),
    "value": _value,
    "window": _window,
}
"""What the template can do with values."""
