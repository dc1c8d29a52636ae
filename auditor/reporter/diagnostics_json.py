"""A mistake as JSON, in the shape of `terraform validate -json`."""

from __future__ import annotations

from typing import Any

from auditor.model.diagnostic import Diagnostic


def plain(diagnostic: Diagnostic) -> dict[str, Any]:
    """Return a diagnostic as plain data."""
    where = diagnostic.location
    return {
        "severity": diagnostic.level.value,
        "code": diagnostic.code,
        "summary": diagnostic.summary,
        "detail": diagnostic.detail,
        "help": diagnostic.help,
        "subject": diagnostic.subject,
        "range": where
        and {
            "filename": where.file,
            "start": {"line": where.line, "column": where.column},
            "end": {"line": where.end_line, "column": where.end_column},
            "snippet": where.snippet,
        },
    }
