"""Reports: one document from one `Report`, in the format that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Literal, TypeAlias, get_args

from auditor.model.diagnostic import Diagnostic
from auditor.model.verdict import Privacy, Report

JUnitFlavor: TypeAlias = Literal["strict", "gitlab", "azure", "jenkins"]
"""Whom a JUnit document is for: every reader, or one of which more is known."""

JUNIT_FLAVORS: Final[tuple[JUnitFlavor, ...]] = get_args(JUnitFlavor)

PRIVACIES: Final[tuple[Privacy, ...]] = get_args(Privacy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """
    A report format: what it is for, how its files end, and the module whose `render` writes it.

    `privacy` is how personal fields appear unless somebody says otherwise: as identifiers in what CI systems keep.
    """

    summary: str
    suffix: str
    module: str
    privacy: Privacy


FORMATS: Final[Mapping[str, Format]] = {
    "junit": Format(
        summary="JUnit XML, which every CI system reads",
        suffix=".xml",
        module="auditor.reporter.junit",
        privacy="ids",
    ),
    "json": Format(
        summary="everything, versioned, for programs (schemas/report.schema.json)",
        suffix=".json",
        module="auditor.reporter.json_document",
        privacy="full",
    ),
    "text": Format(
        summary="for people, on a terminal", suffix=".txt", module="auditor.reporter.text", privacy="full"
    ),
    "html": Format(
        summary="one page to read, filter, print and file; opens offline",
        suffix=".html",
        module="auditor.reporter.html",
        privacy="full",
    ),
    "markdown": Format(
        summary="the summary of a job", suffix=".md", module="auditor.reporter.markdown", privacy="ids"
    ),
    "sarif": Format(
        summary="SARIF 2.1.0, for code scanning",
        suffix=".sarif",
        module="auditor.reporter.sarif",
        privacy="ids",
    ),
    "github": Format(
        summary="annotations of GitHub Actions, on standard output",
        suffix=".github.txt",
        module="auditor.reporter.github",
        privacy="ids",
    ),
    "csv": Format(
        summary="a row for each exception, for spreadsheets",
        suffix=".csv",
        module="auditor.reporter.csv_document",
        privacy="full",
    ),
    "ctrf": Format(
        summary="the Common Test Report Format",
        suffix=".ctrf.json",
        module="auditor.reporter.ctrf",
        privacy="ids",
    ),
    "oscal": Format(
        summary="OSCAL assessment results, by control",
        suffix=".oscal.json",
        module="auditor.reporter.oscal",
        privacy="ids",
    ),
}
"""The report formats by name. Their modules are imported when they are first used."""


def render(
    report: Report,
    format: str,  # noqa: A002  # the word that users know
    *,
    width: int = 100,
    color: bool = False,
    privacy: Privacy | None = None,
    key: bytes = b"",
    junit_flavor: JUnitFlavor = "strict",
) -> str:
    """
    Write a report as one document. Equal reports give equal documents.

    Result: text that ends with a newline, can be encoded in UTF-8, and holds no character that hides, moves
    or reorders what stands around it. `width` (in terminal cells, at least 40) and `color` matter only to
    formats for a terminal. Personal fields appear as the format has them, or as `privacy` says; *key* is that of
    pseudonyms. `junit_flavor` matters to JUnit alone.

    Raises:
        KeyError: there is no such format.
        ValueError: pseudonyms are asked for without a key.
    """
    from auditor.reporter.privacy import private

    told = private(report, privacy or FORMATS[format].privacy, key)
    module = import_module(FORMATS[format].module)
    document: str = module.render(told, width=width, color=color, junit_flavor=junit_flavor)
    return document


def render_diagnostics(diagnostics: Iterable[Diagnostic], *, width: int = 100, color: bool = False) -> str:
    """
    Write mistakes for people, each with its place, the line it stands in, and what to do next.

    Result: blocks in the order given, with an empty line between them and a newline at the end; empty where
    there are none. `width` and `color` as in `render`.
    """
    document: str = import_module(FORMATS["text"].module).render_diagnostics(
        diagnostics, width=width, color=color
    )
    return document
