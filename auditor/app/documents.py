"""Documents written for others: whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from auditor import reporter
from auditor.app.jobs import Job, bad_option
from auditor.model.diagnostic import Checked, Diagnostic, Level
from auditor.model.verdict import Report
from auditor.runs import write_whole

DATA_FOLDER: Final = ".auditor"
"""Where runs leave their documents, below the project or where `AUDITOR_DATA_DIR` says."""


KEY_VARIABLE: Final = "AUDITOR_PSEUDONYM_KEY"
KEY_CHARACTERS: Final = 16
"""Fewer could be guessed from a few reports."""

STANDARD_OUTPUT: Final = "-"
_DEVICES: Final = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
"""Standard output under names by which it would get two documents."""


def targets(job: Job) -> Checked[tuple[tuple[str, str], ...]]:
    """
    Read `--report junit=out/junit.xml` and `--report json=-`, which is standard output.

    Result: formats and paths that can be written as far as that can be told before; what is wrong with the others, and
    with the key of pseudonyms, as diagnostics.
    """
    found: list[tuple[str, str]] = []
    problems = [*_key(job).diagnostics]
    taken = {_real(_latest(job)): "junit"}
    for text in job.reports:
        name, equals, path = text.partition("=")
        if name not in reporter.FORMATS or not equals or not path:
            problems.append(bad_option("--report", text, _right_form(name, path)))
        elif taken.setdefault(_real(Path(path)), name) != name or any(
            _same(path, other) for _, other in found
        ):
            own = (
                "one report to standard output"
                if path == STANDARD_OUTPUT
                else "every report to a path of its own"
            )
            problems.append(bad_option("--report", text, own))
        elif obstacle := _obstacle(path):
            problems.append(_not_written(name, path, obstacle))
        else:
            found.append((name, path))
    return Checked(tuple(found), tuple(problems))


def _right_form(name: str, path: str) -> str:
    near = get_close_matches(name, reporter.FORMATS, n=1)
    if near and path:
        return f"--report {near[0]}={path}"
    return f"--report FORMAT=PATH with {', '.join(reporter.FORMATS)}"


def _real(path: Path) -> Path:
    """Return the file that a path leads to, through links and dots."""
    return Path(os.path.realpath(path))


def _same(path: str, other: str) -> bool:
    """Tell whether two paths lead to one file, or are both standard output."""
    if STANDARD_OUTPUT in (path, other):
        return path == other
    one, two = _real(Path(path)), _real(Path(other))
    return one == two or (one.exists() and two.exists() and one.samefile(two))


def _obstacle(path: str) -> str:
    """Return why a file can not be written, as far as that can be told without writing it."""
    if path == STANDARD_OUTPUT:
        return ""
    if path in _DEVICES:
        return f"standard output is {STANDARD_OUTPUT}"
    real = _real(Path(path))
    if real.is_dir() or path.endswith(os.sep):
        return "it is a folder"
    nearest = next(folder for folder in real.parents if folder.exists())
    if not nearest.is_dir():
        return f"{nearest} is no folder"
    writable = os.access(nearest, os.W_OK | os.X_OK) or (real.exists() and not real.is_file())
    return "" if writable else f"the folder {nearest} can not be written to"


def _not_written(name: str, path: str, why: str) -> Diagnostic:
    return Diagnostic(
        code="report.not-written",
        summary="Report not written",
        detail=f"The {name} report can not be written: {why}.",
        help="Name a file in a folder that can be written to.",
        subject=path,
    )


def data_folder(job: Job) -> Path:
    """Return where runs leave their documents."""
    return Path(job.environ.get("AUDITOR_DATA_DIR") or job.folder / DATA_FOLDER)


def _latest(job: Job) -> Path:
    return data_folder(job) / "latest" / "junit.xml"


def _key(job: Job) -> Checked[bytes]:
    return pseudonym_key(job) if job.privacy == "pseudonym" else Checked(b"")


def pseudonym_key(job: Job) -> Checked[bytes]:
    """Return the key of pseudonyms: the environment's, or one that the data folder keeps."""
    if text := job.environ.get(KEY_VARIABLE, ""):
        if len(text) >= KEY_CHARACTERS:
            return Checked(text.encode("utf-8", "surrogateescape"))
        return _bad_key(f"{KEY_VARIABLE} has fewer than {KEY_CHARACTERS} characters.")
    path = data_folder(job) / "pseudonym.key"
    try:
        key = _kept(path)
    except OSError as error:
        return _bad_key(f"The key of pseudonyms can not be kept in {path}: {error.strerror or error}.")
    return Checked(key) if len(key) >= KEY_CHARACTERS else _bad_key(f"{path} holds no key.")


def _bad_key(detail: str) -> Checked[bytes]:
    problem = Diagnostic(
        code="report.bad-key",
        summary="No key of pseudonyms",
        detail=detail,
        help=f"Set {KEY_VARIABLE} to a secret of {KEY_CHARACTERS} characters or more, the same for every run.",
        subject="--privacy",
    )
    return Checked(None, (problem,))


def _kept(path: Path) -> bytes:
    """Return what a file of a key holds; it is made, whole, where there is none. Of two that make it, one does."""
    if not path.exists():
        made = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        write_whole(made, secrets.token_hex(32).encode(), mode=0o600)
        try:
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return path.read_bytes().strip()


def document(report: Report, format: str, job: Job, *, width: int = 100, color: bool = False) -> str:  # noqa: A002
    """Return a report in a format, at the level of privacy and in the flavour that a job asks for."""
    key = _key(job).value
    return reporter.render(
        report,
        format,
        width=width,
        color=color,
        privacy="ids" if job.privacy == "pseudonym" and not key else job.privacy,
        key=key or b"",
        junit_flavor=job.junit_flavor,
    )


def write_reports(
    report: Report, paths: Sequence[tuple[str, str]], job: Job, *, is_latest: bool = True
) -> tuple[Diagnostic, ...]:
    """Write every report to its path, whole or not at all, and JUnit of the latest run to the data folder."""
    problems = []
    if is_latest:
        problems += [
            problem.with_(
                level=Level.WARNING, help="Set AUDITOR_DATA_DIR to a folder that can be written to."
            )
            for problem in _written(report, "junit", str(_latest(job)), job)
        ]
    for name, path in paths:
        if path != STANDARD_OUTPUT:
            problems += _written(report, name, path, job)
    return tuple(problems)


def _written(report: Report, name: str, path: str, job: Job) -> Iterator[Diagnostic]:
    try:
        write(Path(path), document(report, name, job))
    except OSError as error:
        yield _not_written(name, path, error.strerror or str(error))


def write(path: Path, text: str) -> None:
    """
    Write a text whole or not at all; folders on its way are made, links are followed, devices are written to.

    Raises:
        OSError: it can not be written; nothing of it is left.
    """
    real = _real(path)
    if real.exists() and not real.is_file() and not real.is_dir():
        real.write_bytes(text.encode())
    else:
        write_whole(real, text.encode())
