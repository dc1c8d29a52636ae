"""Markdown: the summary of a job, as GitHub and GitLab show it (GitHub Flavored Markdown 0.29)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import Final

from auditor.model.verdict import Report, Status, Verdict
from auditor.model.wording import quantity
from auditor.reporter import render_diagnostics, wording
from auditor.reporter.neutral import one_line, shorten, visible

DOCUMENT_BYTES: Final = 65_535
"""What GitHub takes as a comment or the summary of a check; that of a job may have 1 MiB."""
VIOLATIONS: Final = 10
"""Exceptions listed of each expectation."""

_FACT_CHARACTERS: Final = 1_000
_TITLE_CHARACTERS: Final = 120
_MARKS: Final = {"pass": "✅", "fail": "❌", "error": "🛑", "skip": "⏭️", "waived": "🟡"}


def render(report: Report, **_options: object) -> str:
    """
    Write a report as Markdown of at most `DOCUMENT_BYTES`.

    Shape: how the run ended, its counts and whom it asked; a table of the selected checks for each environment and
    pack, those that did not pass first; why each did not, in a block of plain text, in which no text from outside is
    markup. What does not fit is left out from the end of the tables and of the reasons, and how many are is said.
    """
    head = "\n\n".join(_head(report))
    groups = wording.groups(report, only_selected=True)
    rows = [row for verdicts in groups for row in _table(verdicts)]
    reasons = [_reason(report, verdict) for verdict in _by_gravity(chain(*groups)) if _has_reason(verdict)]
    reasons += _problems(report) + _frameworks(report)
    room = DOCUMENT_BYTES - _size(head) - 400  # for the notes and the empty lines around them
    shown = _fitting(rows, max(room // 2, room - sum(map(_size, reasons))))
    parts = [head, *filter(None, ["\n".join(rows[:shown]).lstrip("\n")])]
    if shown < len(rows):
        parts.append(_note(shown, len(rows), "checks"))
    room -= sum(_size(part) + 2 for part in parts[1:])
    told = _fitting(reasons, room)
    parts += reasons[:told]
    if told < len(reasons):
        parts.append(_note(told, len(reasons), "reasons"))
    return "\n\n".join(parts) + "\n"


def _head(report: Report) -> Iterator[str]:
    total = wording.totals(report)
    yield f"# {_MARKS[_run_word(report)]} PingOne audit: {escaped(report.exit_reason or 'done')}"
    for sentence in wording.provenance(report):
        yield f"> **{escaped(shorten(sentence, _FACT_CHARACTERS))}**"
    if wording.nothing_selected(report):
        yield f"**{wording.NOTHING_SELECTED}**"
    counts = f"{quantity(total['checks'], 'check')}: {total['passed']} passed, {total['failed']} failed"
    waived = f" ({total['waived']} waived)" if total["waived"] else ""
    yield (
        f"{counts}{waived}, {quantity(total['errors'], 'error')}, {total['skipped']} skipped · "
        f"{quantity(total['records'], 'record')} in {quantity(total['requests'], 'request')} · "
        f"exit {report.exit_code}"
    )
    for line in filter(None, (wording.left_out(report), wording.run_line(report), *wording.tenants(report))):
        yield escaped(shorten(line, _FACT_CHARACTERS))


def _run_word(report: Report) -> str:
    return {0: "pass", 2: "fail"}.get(report.exit_code, "error")


def _table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield a row for each verdict of a table, the first with what stands above it."""
    title = escaped(shorten(wording.heading(verdicts[0]), _TITLE_CHARACTERS))
    head = f"\n## {title}\n\n| | Check | Severity | Examined | Title |\n| --- | --- | --- | --- | --- |\n"
    for verdict in _by_gravity(verdicts):
        yield head + _row(verdict)
        head = ""


def _row(verdict: Verdict) -> str:
    word = wording.word(verdict)
    label = ", no occurrences" if wording.no_occurrences(verdict) else ""
    cells = (
        f"{_MARKS[word]} {word.upper()}",
        escaped(one_line(verdict.check)),
        verdict.severity,
        f"{wording.examined(verdict)}{label}",
        escaped(shorten(one_line(verdict.title), _TITLE_CHARACTERS)),
    )
    return f"| {' | '.join(cells)} |"


def _by_gravity(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return the gravest first: errors, failures, waived ones, skips, passes."""
    order = ("error", "fail", "waived", "skip", "pass")
    return sorted(verdicts, key=lambda verdict: order.index(wording.word(verdict)))


def _has_reason(verdict: Verdict) -> bool:
    return verdict.status is not Status.PASS


def _reason(report: Report, verdict: Verdict) -> str:
    heading = f"### {_MARKS[wording.word(verdict)]} {escaped(one_line(verdict.name))}"
    facts = wording.told(wording.facts(report, verdict, violations=VIOLATIONS), _FACT_CHARACTERS)
    lines = (f"{label:11}  {text}".replace("\n", "\n" + " " * 13) for label, text in facts)
    return f"{heading}\n\n{_block(lines)}"


def _problems(report: Report) -> list[str]:
    blocks = [_block([render_diagnostics([problem]).rstrip()]) for problem in report.problems]
    return ["## Problems", *blocks] if blocks else []


def _frameworks(report: Report) -> list[str]:
    """Return the verdicts by criterion, where that was asked for."""
    return [
        f"## {escaped(view.title)}\n\n{escaped(wording.covered(view))}\n\n"
        + _block(
            f"{one_line(each.id):10}  {wording.supported(each, view.period_days)}" for each in view.criteria
        )
        for view in report.frameworks
    ]


def _block(lines: Iterable[str]) -> str:
    """Return lines as a fenced block, in which nothing is markup (GFM, section 4.5)."""
    text = visible("\n".join(lines))
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


_MARKUP: Final = re.compile(r"[\\`*_\[\]<>&|~#@!$]|:(?=//|[A-Za-z+-])|(?<=www)\.", re.IGNORECASE)
"""Markup, and what makes links, mentions and pictures of plain words."""


def escaped(text: str) -> str:
    """Return a text as one line in which nothing is markup (GFM, section 6.1)."""
    return _MARKUP.sub(r"\\\g<0>", one_line(text))


def _note(shown: int, all_: int, what: str) -> str:
    return f"_[shortened: {shown} of {all_} {what} are shown; all stand in the JSON report: `--report json=PATH`]_"


def _fitting(texts: Iterable[str], room: int) -> int:
    """Return how many texts from the first on fit, with the empty line behind each."""
    return sum(size <= room for size in accumulate(_size(text) + 2 for text in texts))


def _size(text: str) -> int:
    return len(text.encode())
