"""JSON: everything that a report holds, for programs (`schemas/report.schema.json`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from math import isfinite
from typing import Final

from auditor.model.evidence import QueryEnd
from auditor.model.instant import format_instant
from auditor.model.value import JSON
from auditor.model.verdict import Report, Status, VariableUse, Verdict, Violation
from auditor.reporter import wording
from auditor.reporter.neutral import as_json

FORMAT_VERSION: Final = "1.0"
"""Raised in the second place where keys are added, in the first where one changes its meaning or goes."""

_DEPTH: Final = 100
"""Levels below which a value is left out: a tenant can nest deeper than Python can follow."""

_DERIVED: Final[Mapping[type, tuple[str, ...]]] = {
    Verdict: ("name", "queries", "is_waived"),
    QueryEnd: ("complete",),
}
"""Properties that stand in the document beside the fields of their class."""

_HIDDEN: Final[Mapping[type, tuple[str, ...]]] = {Violation: ("redacted",)}
"""Fields that only make other documents: the report is told at one level of privacy."""


def render(report: Report, **_terminal: object) -> str:
    """
    Write a report as JSON, with the fields of the model as keys and what they count as `summary`.

    Shape: keys in the order of the model, keys of mappings sorted; two spaces of indentation; instants in
    UTC with milliseconds and Z; absent values null, absent lists empty. Parsing gives every text back as it
    was, also lone surrogates. A number that JSON lacks is a text such as `nan`. Sensitive variables have
    no value.
    """
    document = {"format_version": FORMAT_VERSION, "summary": wording.totals(report), **_plain(report)}
    return as_json(document)


def _plain(value: object, depth: int = 0) -> JSON:
    if depth > _DEPTH:
        return "(nested too deep)"
    if isinstance(value, Status):
        return value.word
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key], depth + 1) for key in sorted(value)}
    if isinstance(value, tuple | list):
        return [_plain(item, depth + 1) for item in value]
    if is_dataclass(value):
        names = (*(field.name for field in fields(value)), *_DERIVED.get(type(value), ()))
        names = tuple(name for name in names if name not in _HIDDEN.get(type(value), ()))
        plain = {name: _plain(getattr(value, name), depth + 1) for name in names}
        if isinstance(value, VariableUse) and value.sensitive:
            plain["value"] = None
        return plain
    raise TypeError(f"a report can not hold a {type(value).__name__}")
