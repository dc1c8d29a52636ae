"""
Sensitive values stay out of diagnostics.

A diagnostic shows the line at fault. Where that line may hold a credential or the value of a sensitive variable,
its place is told and the line itself is not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from auditor.config import yaml
from auditor.config.positions import lines
from auditor.config.request import PROJECT_FILE
from auditor.model.diagnostic import Diagnostic
from auditor.model.source import Address, Route
from auditor.model.value import JSON


def hushed(
    diagnostic: Diagnostic, text: str, *, variable_files: Collection[str], all_public: bool
) -> Diagnostic:
    """
    Return a diagnostic of a text without the line that it shows, if that may hold a sensitive value.

    *all_public* tells that every variable is known and none is sensitive.
    """
    where = diagnostic.location
    if where is None:
        return diagnostic
    if where.file in variable_files:
        is_hidden = not all_public
    else:
        data = yaml.load(text, where.file).value
        places = _project(data, all_public=all_public) if where.file == PROJECT_FILE else _policy(data)
        is_hidden = any(where.line in lines(Address(file=where.file, route=route), text) for route in places)
    if not is_hidden:
        return diagnostic
    # A help of several lines shows the line in quotes.
    return diagnostic.with_(
        location=replace(where, snippet=""), help=diagnostic.help.partition("\n")[0].removesuffix(":")
    )


def _project(data: JSON, *, all_public: bool) -> Iterator[Route]:
    hidden = ("credentials",) if all_public else ("credentials", "variables")
    for section in ("environments", "policies"):
        entries = data.get(section) if isinstance(data, dict) else None
        pairs = entries.items() if isinstance(entries, dict) else enumerate(entries or ())
        for key, entry in pairs:
            yield from ((section, key, name) for name in hidden if isinstance(entry, dict) and name in entry)


def _policy(data: JSON) -> Iterator[Route]:
    variables = data.get("variables") if isinstance(data, dict) else None
    for name, variable in (variables if isinstance(variables, dict) else {}).items():
        if (
            isinstance(variable, dict)
            and "default" in variable
            and variable.get("sensitive", False) is not False
        ):
            yield "variables", name, "default"
