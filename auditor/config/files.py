"""Files that people write, read with bounds: a folder, a socket or 200 MB is a mistake and not a crash."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from auditor.model.diagnostic import Checked, Diagnostic, did_you_mean

MAX_BYTES: Final = 4 * 1024 * 1024
"""Largest document that people write by hand; policies are some kilobytes."""

_SUFFIXES: Final = (".yaml", ".yml")


def read_text(path: Path, file: str) -> Checked[str]:
    """Read a text file; *file* is the name that people see."""
    checked = _check(path, file)
    if checked is not None:
        return Checked(None, (checked,))
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        return Checked(None, (_problem("file.unreadable", file, f"It can not be read: {error.strerror}."),))
    if len(content) > MAX_BYTES:
        return Checked(None, (_too_large(file),))
    try:
        return Checked(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        detail = f"Byte {error.start + 1} is not UTF-8."
        return Checked(None, (_problem("file.not-utf-8", file, detail, help="Save the file as UTF-8."),))


def _check(path: Path, file: str) -> Diagnostic | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        return _problem(
            "file.not-found", file, "There is no such file or folder.", help=did_you_mean(path.name, near)
        )
    except (OSError, ValueError) as error:
        return _problem("file.unreadable", file, f"It can not be read: {error}.")
    if stat.S_ISDIR(status.st_mode):
        return _problem("file.not-a-file", file, "It is a folder.", help="Name a file in it.")
    if not stat.S_ISREG(status.st_mode):
        return _problem(
            "file.not-a-file", file, "It is a socket, a pipe or a device.", help="Name a regular file."
        )
    if status.st_size > MAX_BYTES:
        return _too_large(file)
    return None


def policy_files(path: Path, file: str, root: Path) -> Checked[tuple[Path, ...]]:
    """
    Return the policy files that a path names: the file itself, or those of a folder in the order of names.

    Files of policy tests (`*.test.yaml`) and hidden files are no policies. A link in a folder that leads out
    of *root* is refused: what it leads to would be shown in diagnostics.
    """
    if not path.is_dir():
        problem = _check(path, file)
        return Checked(None, (problem,)) if problem else Checked((path,))
    found: list[Path] = []
    problems: list[Diagnostic] = []
    for candidate in _walk(path):
        if not candidate.resolve().is_relative_to(root.resolve()):
            problems.append(
                _problem("file.outside-project", str(candidate), f"It is a link that leads out of {root}.")
            )
        else:
            found.append(candidate)
    if not found and not problems:
        problems.append(
            _problem(
                "file.no-policies",
                file,
                "The folder holds no policy file (*.yaml).",
                help="Add one, or name another.",
            )
        )
    return Checked(tuple(found), tuple(problems))


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)
        elif entry.suffix in _SUFFIXES and not entry.name.endswith(tuple(f".test{s}" for s in _SUFFIXES)):
            yield entry


def _too_large(file: str) -> Diagnostic:
    return _problem("file.too-large", file, f"It is larger than {MAX_BYTES // 1024 // 1024} MiB.")


_SUMMARIES: Final = {
    "file.not-found": "File not found",
    "file.unreadable": "File can not be read",
    "file.not-a-file": "Not a file",
    "file.too-large": "File too large",
    "file.not-utf-8": "Not UTF-8",
    "file.outside-project": "File outside the project",
    "file.no-policies": "No policies",
}


def _problem(code: str, file: str, detail: str, *, help: str = "") -> Diagnostic:
    return Diagnostic(code=code, summary=_SUMMARIES[code], detail=detail, help=help, subject=file)
