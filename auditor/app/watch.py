"""What is seen while a run reads: a live view on a terminal, else one line for each query that has ended."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeAlias

from auditor.app.jobs import Job
from auditor.app.logs import LogFormat, LogLevel, logging_to_stderr
from auditor.model.evidence import Page, QueryEnd
from auditor.model.plan import Plan, PlannedQuery
from auditor.model.verdict import Report
from auditor.reporter.neutral import one_line

if TYPE_CHECKING:
    from rich.console import Console, Group

Event: TypeAlias = Plan | Page | QueryEnd
"""What a run is about to ask, then what comes of it."""

_log = logging.getLogger(__name__)

NOTICE_S: Final = 10
"""How long a live view shows what the fetcher said last: that it waits, or tries again."""


WIDE: Final = 70
"""Columns of a terminal below which a live view leaves out rates and what is left."""


@contextmanager
def watching(
    job: Job, *, quiet: bool = False, level: LogLevel | None = None, form: LogFormat = "text"
) -> Iterator[Callable[[Event], None]]:
    """
    Show on standard error what a job does while the block runs; yield what is to be given its events.

    On a terminal there is a live view, and warnings above it. Else each query that has ended is a line of its
    own, or a JSON object. With *quiet* there are errors alone; a *level* that is named shows just that.
    """
    terminal = sys.stderr.isatty() and job.environ.get("TERM") not in ("dumb", "unknown")
    live = terminal and form == "text" and not quiet
    default: LogLevel = "error" if quiet else "warning" if live else "info"
    with logging_to_stderr(level or default, form, job.concealed):
        if not live:
            yield _tell
            return
        from rich.console import Console

        plain = bool(job.environ.get("NO_COLOR"))
        with _View(Console(file=sys.stderr, color_system=None if plain else "auto")).shown() as view:
            yield view.take


def _tell(event: Event) -> None:
    """Log how a query has ended."""
    if not isinstance(event, QueryEnd):
        return
    told = {
        "query": event.query,
        "complete": event.complete,
        "assurance": event.assurance,
        "code": event.failure and event.failure.code,
        "pages": event.pages,
        "records": event.records,
        "requests": event.requests,
        "retries": event.retries,
        "waited_s": round(event.waited_s, 3),
        "elapsed_s": round(event.elapsed_s, 3),
    }
    how = f"NOT complete [{event.failure.code}]" if event.failure else _complete(event)
    again = f", {_number(event.retries, 'retry', 'retries')}" if event.retries else ""
    read = f"{_number(event.pages, 'page')}, {_number(event.records, 'record')}"
    _log.info("%s: %s, %s, %.1f s%s", event.query, read, how, event.elapsed_s, again, extra={"told": told})


def _complete(end: QueryEnd) -> str:
    """Say why an answer is complete; a probe asks for one record, and is as complete as it can be."""
    return f"complete ({end.assurance})" if end.assurance else "complete"


def log_end(report: Report) -> None:
    """Log how a run has ended: its exit code and why, and what its evidence is known by."""
    level = {0: logging.INFO, 2: logging.WARNING}.get(report.exit_code, logging.ERROR)
    told = {"run_id": report.run_id, "exit_code": report.exit_code, "root_digest": report.root_digest}
    _log.log(level, "%s (exit %d)", report.exit_reason, report.exit_code, extra={"told": told})


def _number(count: int, noun: str, nouns: str = "") -> str:
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


@dataclass(slots=True)
class _Row:
    """How far one query has come."""

    query: PlannedQuery | None
    begun_s: float
    pages: int = 0
    records: int = 0
    count: int | None = None

    def take(self, page: Page) -> None:
        """Take in one more page."""
        self.pages += 1
        self.records += len(page.records)
        # Of one slice of several, or one filter of several, a count says nothing of the whole.
        if self.query is not None and not self.query.further_filters and not self.query.each:
            self.count = page.count if len(self.query.slices) < 2 else None

    @property
    def left(self) -> str:
        """What is still to come, where counts are known: of the endpoint, or of an earlier run."""
        if self.query is None:
            return ""
        expected = self.query.expected_records if self.count is None else self.count
        if expected is not None:
            return f"{max(expected - self.records, 0):,} left"
        if self.query.requests_expected is not None:
            return f"about {_number(max(self.query.requests_expected - self.pages, 0), 'page')} left"
        return ""


class _Notices(logging.Handler):
    """Keeps what the fetcher said last."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._latest: tuple[float, str] = (-NOTICE_S, "")

    def emit(self, record: logging.LogRecord) -> None:
        self._latest = (monotonic(), one_line(record.getMessage()))

    @property
    def latest(self) -> str:
        """The last record's message, unless it is an old story."""
        at, text = self._latest
        return text if monotonic() - at < NOTICE_S else ""


class _View:
    """The live view: a line for the whole, one for what the fetcher says, one for each query that is being read."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._notices = _Notices()
        self._begun_s = monotonic()
        self._queries: dict[str, PlannedQuery] = {}
        self._reading: dict[str, _Row] = {}
        self._ended = self._pages = self._records = 0

    @contextmanager
    def shown(self) -> Iterator[_View]:
        from rich.live import Live

        fetcher = logging.getLogger("auditor.fetcher")
        before = fetcher.level
        # The view shows what it waits for, also where the log does not.
        fetcher.setLevel(min(fetcher.getEffectiveLevel(), logging.INFO))
        fetcher.addHandler(self._notices)
        try:
            with Live(
                console=self._console, get_renderable=self._lines, transient=True, redirect_stdout=False
            ):
                yield self
        finally:
            fetcher.removeHandler(self._notices)
            fetcher.setLevel(before)

    def take(self, event: Event) -> None:
        """Take in what a run has done."""
        if isinstance(event, Plan):
            self._queries = {query.id: query for query in event.queries}
        elif isinstance(event, Page):
            row = self._reading.setdefault(event.query, _Row(self._queries.get(event.query), monotonic()))
            row.take(event)
            self._pages, self._records = self._pages + 1, self._records + len(event.records)
        else:
            self._reading.pop(event.query, None)
            self._ended += 1
            _tell(event)

    def _lines(self) -> Group:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        elapsed_s = monotonic() - self._begun_s
        whole = (
            f"{self._ended} of {_number(len(self._queries), 'query', 'queries')} · {_number(self._pages, 'page')} · "
            f"{_number(self._records, 'record')} · {self._records / max(elapsed_s, 1):,.0f}/s · {elapsed_s:.0f} s"
        )
        lines = [Text(whole if self._queries else "Planning", "bold", no_wrap=True, overflow="ellipsis")]
        if latest := self._notices.latest:
            lines.append(Text(latest, "yellow", no_wrap=True, overflow="ellipsis"))
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for _ in range(4 if self._console.width >= WIDE else 2):
            table.add_column(justify="right", no_wrap=True)
        room = max(self._console.height - len(lines) - 2, 1)
        for name, row in list(self._reading.items())[:room]:
            rate = row.records / max(monotonic() - row.begun_s, 1)
            cells = _number(row.pages, "page"), _number(row.records, "record"), f"{rate:,.0f}/s", row.left
            table.add_row(name, *cells[: len(table.columns) - 1])
        return Group(*lines, table)
