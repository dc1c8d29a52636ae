"""Documents written for others: whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from auditor import reporter
from auditor.app.jobs import Job, bad_option
from auditor.model.diagnostic import Checked, Diagnostic, Level
from auditor.model.verdict import Report
from auditor.runs import write_whole

DATA_FOLDER: Final = ".auditor"
"""Where runs leave their documents, below the project or where `AUDITOR_DATA_DIR` says."""


def targets(job: Job) -> Checked[tuple[tuple[str, str], ...]]:
    """Read `--report junit=out/junit.xml` and `--report json=-`, which is standard output."""
    found: list[tuple[str, str]] = []
    problems = []
    for text in job.reports:
        name, equals, path = text.partition("=")
        if name not in reporter.FORMATS or not equals or not path:
            problems.append(
                bad_option("--report", text, f"--report FORMAT=PATH with {', '.join(reporter.FORMATS)}")
            )
        elif any(path == other for _, other in found):
            problems.append(bad_option("--report", text, "every report to a path of its own"))
        else:
            found.append((name, path))
    return Checked(tuple(found), tuple(problems))


def data_folder(job: Job) -> Path:
    """Return where runs leave their documents."""
    return Path(job.environ.get("AUDITOR_DATA_DIR") or job.folder / DATA_FOLDER)


def write_reports(
    report: Report, paths: Sequence[tuple[str, str]], job: Job, *, is_latest: bool = True
) -> tuple[Diagnostic, ...]:
    """Write every report to its path, whole or not at all, and JUnit of the latest run to the data folder."""
    problems = []
    latest = data_folder(job) / "latest" / "junit.xml"
    for name, path in ((("junit", str(latest)),) if is_latest else ()) + tuple(paths):
        if path == "-":
            continue
        try:
            write(Path(path), reporter.render(report, name))
        except OSError as error:
            asked_for = path != str(latest)
            problems.append(
                Diagnostic(
                    code="report.not-written",
                    summary="Report not written",
                    detail=f"The {name} report can not be written: {error.strerror or error}.",
                    help="Name a file in a folder that can be written to."
                    if asked_for
                    else "Set AUDITOR_DATA_DIR to a folder that can be written to.",
                    subject=path,
                    level=Level.ERROR if asked_for else Level.WARNING,
                )
            )
    return tuple(problems)


def write(path: Path, text: str) -> None:
    """
    Write a text whole or not at all; folders on its way are made.

    Raises:
        OSError: it can not be written; nothing of it is left.
    """
    write_whole(path, text.encode())
