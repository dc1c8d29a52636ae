"""
What a run says while it works: records of the standard `logging`, on standard error.

Nothing is shown that a run knows to be a secret, whatever logged it. Of other libraries only warnings are shown:
what they tell of their work, such as the addresses that are asked, is told by the auditor where it may be.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Literal

from auditor.model.secret import Concealed
from auditor.reporter.neutral import one_line

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]

OURS: Final = "auditor"
"""The logger above all of this program's."""


@contextmanager
def logging_to_stderr(level: LogLevel, form: LogFormat, concealed: Concealed) -> Iterator[None]:
    """Show, while the block runs, what is logged at a level or above it, as lines of text or of JSON."""
    handler = _Stderr()
    handler.setFormatter(_Json(concealed) if form == "json" else _Text(concealed))
    handler.addFilter(_is_shown)
    ours, root = logging.getLogger(OURS), logging.getLogger()
    before = ours.level
    ours.setLevel(level.upper())
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        ours.setLevel(before)


def _is_shown(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] == OURS


class _Stderr(logging.Handler):
    """Writes to whatever standard error is at the moment: a live view takes its place for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.format(record)}\n")
        sys.stderr.flush()


class _Text(logging.Formatter):
    """One line a record: the message, behind its level unless that is `info`."""

    def __init__(self, concealed: Concealed) -> None:
        super().__init__()
        self._concealed = concealed

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        trace = f" {self.formatException(record.exc_info)}" if record.exc_info else ""
        return one_line(self._concealed(f"{level}{record.getMessage()}{trace}"))


class _Json(logging.Formatter):
    """One JSON object a record: `time`, `level`, `logger`, `message`, and what else it tells by name."""

    def __init__(self, concealed: Concealed) -> None:
        super().__init__()
        self._concealed = concealed

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "told", {}),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        # Value by value: inside of JSON a secret may be spelt otherwise.
        shown = {
            name: self._concealed(value) if isinstance(value, str) else value for name, value in told.items()
        }
        return json.dumps(shown)
