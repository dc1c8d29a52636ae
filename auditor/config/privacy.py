"""
Sensitive values stay out of diagnostics.

A diagnostic shows the line at fault. Where that line may hold a credential or the value of a sensitive variable,
its place is told and the line itself is not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from auditor.config import yaml
from auditor.config.positions import lines
from auditor.config.request import PROJECT_FILE
from auditor.model.diagnostic import Diagnostic
from auditor.model.source import Address, Route
from auditor.model.value import JSON


def hushed(
    diagnostic: Diagnostic, texts: Mapping[str, str], *, variable_files: Collection[str], all_public: bool
) -> Diagnostic:
    """
    Return a diagnostic without the line that it shows, if that may hold a sensitive value.

    *texts* are the files by name; *all_public* tells that every variable is known and none is sensitive.
    """
    where = diagnostic.location
    if where is None:
        return diagnostic
    if where.file in variable_files:
        is_hidden = not all_public
    else:
        text = texts[where.file]
        data = yaml.load(text, where.file).value
        places = _project(data, all_public=all_public) if where.file == PROJECT_FILE else _policy(data)
        is_hidden = any(where.line in lines(Address(file=where.file, route=route), text) for route in places)
    if not is_hidden:
        return diagnostic
    # A help of several lines shows the line in quotes.
    help = diagnostic.help.partition("\n")[0].removesuffix(":")
    return diagnostic.with_(location=replace(where, snippet=""), help=help)


def _project(data: JSON, *, all_public: bool) -> Iterator[Route]:
    hidden = ("credentials",) if all_public else ("credentials", "variables")
    for section in ("environments", "policies"):
        for step, entry in _entries(_entry(data, section)):
            yield from ((section, step, name) for name in hidden if _entry(entry, name) is not None)


def _policy(data: JSON) -> Iterator[Route]:
    for name, variable in _entries(_entry(data, "variables")):
        if _entry(variable, "default") is not None and _entry(variable, "sensitive") not in (None, False):
            yield "variables", name, "default"


def _entry(data: JSON, key: str) -> JSON:
    return data.get(key) if isinstance(data, dict) else None


def _entries(data: JSON) -> Iterable[tuple[str | int, JSON]]:
    if isinstance(data, dict):
        return data.items()
    return enumerate(data) if isinstance(data, list) else ()
