"""Text for a terminal: what a person wants to see after a run."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from rich.cells import cell_len

from auditor.model.diagnostic import Diagnostic, Level
from auditor.model.source import Location
from auditor.model.verdict import FrameworkView, Report, Status, VariableUse, Verdict
from auditor.model.wording import quantity
from auditor.reporter import wording
from auditor.reporter.neutral import one_line, shorten, visible
from auditor.reporter.page import Page, head, tail

VIOLATIONS: Final = 5
"""Exceptions listed of each expectation; the other formats hold more."""

_SHARED: Final = 3
"""Reasons of many errors that are told once more at the end."""
_MANY: Final = 5
"""Errors between which a reason that was told with the first is out of sight."""

_VALUE_CHARACTERS: Final = 200

_STATUS_STYLES: Final = {
    Status.PASS: "green",
    Status.FAIL: "bold red",
    Status.ERROR: "bold magenta",
    Status.SKIP: "yellow",
}
_LEVEL_STYLES: Final = {Level.ERROR: "bold red", Level.WARNING: "bold yellow"}
_EXIT_STYLES: Final = {0: "bold green", 2: "bold red"}


def render(report: Report, *, width: int, color: bool, **_options: object) -> str:
    """
    Write a report for a terminal of *width* cells.

    Shape: where the records come from; the queries, waivers and variables; the criteria of frameworks; of several
    environments which check ended how in which; per environment and pack each check with status word, severity, id,
    what was examined and title, beneath it why it did not pass; how many checks were not selected; the problems; one
    line that sums up and gives the exit code. What a person looks for stands last, where a terminal stops. Without
    *color* there is no escape sequence.
    """
    page = Page(width, color=color)
    for sentence in wording.provenance(report):
        page.put(sentence, "bold yellow")
    page.put(wording.run_line(report), "dim")
    for tenant in wording.tenants(report):
        page.put(tenant, "dim")
    if wording.nothing_selected(report):
        page.section(wording.NOTHING_SELECTED)
    if report.verdicts:  # else nothing rests on them
        _put_basis(page, report)
    for view in report.frameworks:
        _put_view(page, view)
    _put_matrix(page, report)
    reasons: set[tuple[str, str]] = set()
    for verdicts in wording.groups(report, only_selected=True):
        page.section(wording.heading(verdicts[0]))
        for verdict in verdicts:
            _put_verdict(page, report, verdict, reasons)
        for caveat in wording.caveats(verdicts):
            page.put(caveat, "dim", head=f"  {'caveat':15}  ")
    if left_out := wording.left_out(report):
        page.blank()
        page.put(left_out, head="  SKIP   ", head_style=_STATUS_STYLES[Status.SKIP])
    _put_shared(page, report)
    if report.problems:
        page.section("Problems")
        page.blank()
        _put_diagnostics(page, report.problems)
    page.blank()
    page.put(_summary_line(report), _EXIT_STYLES.get(report.exit_code, "bold magenta"))
    return str(page)


def render_diagnostics(diagnostics: Iterable[Diagnostic], *, width: int, color: bool) -> str:
    """Write mistakes for a terminal of *width* cells: see `auditor.reporter.render_diagnostics`."""
    page = Page(width, color=color)
    _put_diagnostics(page, diagnostics)
    return str(page)


def _put_basis(page: Page, report: Report) -> None:
    """Write what the verdicts rest on: queries, waivers, variables."""
    if report.asked:
        page.section("Queries")
    warned: set[wording.Fact] = set()  # what several queries on one endpoint were told is told once
    for asked in report.asked:
        (_, what), *rest = wording.query(asked)
        page.put(what, head="  ")
        complete = asked.end is not None and asked.end.complete
        page.facts(
            fact for fact in rest if fact not in warned and not (complete and fact[0] == "correlation")
        )
        warned |= {fact for fact in rest if fact[0] == "warning"}
    if report.waivers:
        page.section("Waivers")
        page.facts(wording.waiver_uses(report))
    if report.variables:
        page.section("Variables")
        for variable in report.variables:
            page.put(_variable_line(variable), head="  ")


def _put_shared(page: Page, report: Report) -> None:
    """Write again what keeps many checks from being decided: where it was told first may be far above."""
    errors = [verdict for verdict in report.verdicts if verdict.status is Status.ERROR]
    shared = Counter((verdict.reason, verdict.code, verdict.help) for verdict in errors)
    for (reason, code, help), count in shared.most_common(_SHARED):
        if count >= _MANY:
            page.blank()
            told = f"{quantity(count, 'check')}: {one_line(reason)} [{code}]"
            page.put(told, head="  ERROR  ", head_style=_STATUS_STYLES[Status.ERROR])
            page.put(help, head=f"{'':9}Help: ")


def _put_verdict(page: Page, report: Report, verdict: Verdict, reasons: set[tuple[str, str]]) -> None:
    """Write one verdict; the reason of an error or a skip that was told before (*reasons*) is told in short."""
    label = " · no occurrences" if wording.no_occurrences(verdict) else ""
    label = " · waived" if verdict.is_waived else label
    page.put(
        f"{one_line(verdict.check)} · {wording.examined(verdict)}{label}",
        head=f"  {verdict.status.name:5}  {verdict.severity:8}  ",
        head_style=_STATUS_STYLES[Status.SKIP if verdict.is_waived else verdict.status],
    )
    why = (verdict.code, verdict.reason)
    page.put(one_line(verdict.title), "dim", head=f"{'':19}")
    if verdict.status is Status.PASS:
        return
    if verdict.status is not Status.FAIL and why in reasons and not verdict.exceptions:
        page.facts((("reason", f"as above [{verdict.code}]"),))
    else:
        page.facts(wording.facts(report, verdict, violations=VIOLATIONS))
    reasons.add(why)


def _put_matrix(page: Page, report: Report) -> None:
    """Write check by environment: as a table where it fits, else the environments of each check below it."""
    environments, rows = wording.matrix(report)
    if not rows:
        return
    page.section("Checks by environment")
    names = [one_line(name) for name in environments]
    room = [max(cell_len(name), *(cell_len(row.cells[i]) for row in rows)) for i, name in enumerate(names)]
    longest = max(cell_len(one_line(f"{row.pack}/{row.check}")) for row in rows)
    is_table = 2 + longest + sum(2 + cells for cells in room) <= page.width
    if is_table:
        page.put(_columns(names, room), "dim", head=" " * (2 + longest))
    for row in rows:
        name = one_line(f"{row.pack}/{row.check}")
        if is_table:
            padding = " " * (longest - cell_len(name))
            page.put(_columns(row.cells, room), _STATUS_STYLES[row.status], head=f"  {name}{padding}")
        else:
            page.put(name, head="  ")
            told = " · ".join(f"{where} {cell}" for where, cell in zip(names, row.cells, strict=True))
            page.put(told, _STATUS_STYLES[row.status], head="      ")


def _columns(cells: Iterable[str], room: Iterable[int]) -> str:
    return "".join(
        f"  {cell}{' ' * (width - cell_len(cell))}" for cell, width in zip(cells, room, strict=True)
    ).rstrip()


def _put_view(page: Page, view: FrameworkView) -> None:
    """Write the verdicts by criterion, those without any among them."""
    page.section(one_line(f"{view.title} ({view.framework})"))
    page.put(one_line(view.scope), "dim")
    for criterion in view.criteria:
        status = criterion.status
        page.put(
            one_line(f"{criterion.id}  {criterion.title or wording.NOT_LISTED}"),
            head=f"  {status.name if status is not None else '-':5}  ",
            head_style=_STATUS_STYLES[status] if status is not None else "dim",
        )
        page.put(wording.supported(criterion, view.period_days), "dim", head=f"{'':9}")
    page.put(wording.covered(view), "bold")


def _variable_line(variable: VariableUse) -> str:
    value = json.dumps(variable.value, ensure_ascii=False, sort_keys=True)
    shown = "(sensitive)" if variable.sensitive else shorten(value, _VALUE_CHARACTERS)
    name = f"{variable.environment} / {variable.pack}.{variable.name}"
    return one_line(f"{name} = {shown} (from {variable.origin})")


def _summary_line(report: Report) -> str:
    total = wording.totals(report)
    counts = (
        f"{quantity(total['checks'], 'check')}: {total['passed']} passed, {total['failed']} failed"
        f"{' (' + str(total['waived']) + ' waived)' if total['waived'] else ''}, "
        f"{quantity(total['errors'], 'error')}, {total['skipped']} skipped"
    )
    read = f"{quantity(total['requests'], 'request')}, {quantity(total['records'], 'record')}"
    reason = f": {one_line(report.exit_reason)}" if report.exit_reason else ""
    return f"{counts} · {read} · exit {report.exit_code}{reason}"


def _put_diagnostics(page: Page, diagnostics: Iterable[Diagnostic]) -> None:
    for number, diagnostic in enumerate(diagnostics):
        if number:
            page.blank()
        _put_diagnostic(page, diagnostic)


def _put_diagnostic(page: Page, diagnostic: Diagnostic) -> None:
    page.put(
        one_line(f"{diagnostic.summary} [{diagnostic.code}]"),
        "bold",
        head=f"{diagnostic.level.value.capitalize()}: ",
        head_style=_LEVEL_STYLES[diagnostic.level],
    )
    if location := diagnostic.location:
        page.blank()
        file = one_line(location.file)
        page.put(f"on {file} line {location.line}, column {location.column}:", head="  ")
        if location.snippet:
            _put_snippet(page, location)
    elif place := wording.place_of(diagnostic):
        page.blank()
        page.put(f"on {one_line(place)}", head="  ")
    if diagnostic.detail:
        # Further lines are indented, so that none can pass for another diagnostic.
        page.put(diagnostic.detail.replace("\n", "\n  "))
    if diagnostic.help:
        page.put(diagnostic.help, head="Help: ", head_style="bold")


def _put_snippet(page: Page, location: Location) -> None:
    """Write the line with carets beneath what is meant; of a long line, the part around it."""
    start = location.column - 1
    same_line = location.end_line == location.line
    end = max(location.end_column - 1, start) if same_line else len(location.snippet)
    before, marked, after = (
        visible(re.sub(r"[\t\n]", " ", part))
        for part in (location.snippet[:start], location.snippet[start:end], location.snippet[end:])
    )
    gutter = f"  {location.line} | "
    room = page.width - cell_len(gutter) - 1  # one for a caret behind the end of the line
    if cell_len(before + marked + after) > room and cell_len(before) > room // 3:
        before = f"…{tail(before, room // 3)}"
    rest = marked + after
    if cell_len(before + rest) > room:
        rest = f"{head(rest, room - cell_len(before) - 1)}…"
    page.put(f"{gutter}{before}{rest}")
    carets = max(min(cell_len(marked), cell_len(rest)), 1)
    page.put("^" * carets, "bold red", head=" " * cell_len(gutter + before))
