"""Files that people write, read with bounds: a folder, a socket or 200 MB is a mistake and not a crash."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from auditor.model.diagnostic import Checked, Diagnostic, did_you_mean

MAX_BYTES: Final = 4 * 1024 * 1024
"""Largest document that people write by hand; policies are some kilobytes."""

_USUAL_BYTES: Final = 64 * 1024

PACKAGE: Final = Path(__file__).parents[1]
"""The folder of the program's code."""

_SUFFIXES: Final = (".yaml", ".yml")
_OTHER_DOCUMENTS: Final = tuple(
    f"{stem}{suffix}" for stem in (".test", ".vars", "auditor", "waivers") for suffix in _SUFFIXES
)
"""Ends of the names of YAML files that are no policies."""
_TESTS: Final = tuple(f".test{suffix}" for suffix in _SUFFIXES)
"""Ends of the names of files with tests of policies."""


def shipped(*parts: str) -> Path:
    """
    Return a file or folder that ships with the program, such as `shipped("schemas", "resources")`.

    In an installed program it lies inside the package; in a checkout beside it.
    """
    inside = PACKAGE.joinpath("_shipped", *parts)
    return inside if inside.exists() else PACKAGE.parent.joinpath(*parts)


def read_text(path: Path, file: str) -> Checked[str]:
    """Read a text file in UTF-8; *file* is the name that people see."""
    if problem := _unfit(path, file):
        return Checked(None, (problem,))
    try:
        with path.open("rb") as stream:
            # Reading makes room for as much as is asked for, and most documents are short.
            content = stream.read(_USUAL_BYTES)
            if len(content) == _USUAL_BYTES:
                content += stream.read(MAX_BYTES + 1 - _USUAL_BYTES)
    except OSError as error:
        return Checked(None, (_unreadable(file, error),))
    if len(content) > MAX_BYTES:
        return Checked(None, (_too_large(file),))
    try:
        return Checked(content.decode().lstrip("\ufeff"))
    except UnicodeDecodeError as error:
        detail = f'Byte {error.start + 1} of "{file}" is not UTF-8.'
        return Checked(None, (_problem("file.not-utf-8", file, detail, help="Save the file as UTF-8."),))


def policy_files(path: Path, file: str, root: Path) -> Checked[tuple[Path, ...]]:
    """
    Return the policy files that a path names: the file itself, or those of a folder in the order of names.

    Policy tests, variables, projects, waivers and hidden files are no policies. A link in a folder that leads
    out of *root* is refused: what it leads to would be shown in diagnostics.
    """
    if not is_folder(path):
        problem = _unfit(path, file)
        return Checked(None, (problem,)) if problem else Checked((path,))
    checked = _files_in(path, file, root, is_policy)
    if not checked.value and not checked.diagnostics:
        detail = f'The folder "{file}" holds no policy file (*.yaml).'
        none = _problem("file.no-policies", file, detail, help="Add one, or name another folder.")
        return Checked((), (none,))
    return checked


def test_files(path: Path, file: str, root: Path) -> Checked[tuple[Path, ...]]:
    """
    Return the tests of the policies that a path names, as `policy_files` does: those of a folder, or of one file.

    A path may name a file of tests itself. Where there are no tests, there is nothing wrong with that.
    """
    if is_folder(path):
        return _files_in(path, file, root, is_test)
    if is_test(path.name):
        problem = _unfit(path, file)
        return Checked(None, (problem,)) if problem else Checked((path,))
    beside = (path.with_name(f"{path.stem}{end}") for end in _TESTS)
    return Checked(tuple(test for test in beside if exists(test) and is_inside(test, root)))


def is_test(name: str) -> bool:
    """Return whether a file of this name holds tests of policies."""
    return name.endswith(_TESTS)


def tested(name: str) -> tuple[str, ...]:
    """Return the names that the policy file of a file of tests may have."""
    end = next(end for end in _TESTS if name.endswith(end))
    return tuple(f"{name.removesuffix(end)}{suffix}" for suffix in _SUFFIXES)


def is_policy(name: str) -> bool:
    """Return whether a file of this name, in a folder of policies, is one."""
    return name.endswith(_SUFFIXES) and not name.endswith(_OTHER_DOCUMENTS)


def _files_in(
    path: Path, file: str, root: Path, is_wanted: Callable[[str], bool]
) -> Checked[tuple[Path, ...]]:
    """Return what a folder holds of some kind of files, in the order of names."""
    found: list[Path] = []
    problems: list[Diagnostic] = []
    try:
        for candidate in _walk(path, root, {path.resolve()}, is_wanted):
            # The folder of a candidate has been looked at: only a link can still lead out of the root.
            if not candidate.is_symlink() or is_inside(candidate, root):
                found.append(candidate)
            else:
                problems.append(outside(str(candidate)))
    except OSError as error:
        problems.append(_unreadable(str(error.filename or file), error))
    return Checked(tuple(found), tuple(problems))


def _walk(folder: Path, root: Path, seen: set[Path], is_wanted: Callable[[str], bool]) -> Iterator[Path]:
    """Yield what may be wanted, and folders outside; *seen* has been entered, as links make circles."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if not is_folder(entry):
            if is_wanted(entry.name):
                yield entry
        elif not is_inside(entry, root):
            yield entry
        elif (target := entry.resolve()) not in seen:
            seen.add(target)
            yield from _walk(entry, root, seen, is_wanted)


def exists(path: Path) -> bool:
    """Return whether there is anything by a name, be it a link that leads nowhere."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True  # whoever reads it will be told why that can not be
    return True


def is_folder(path: Path) -> bool:
    """Return whether a path leads to a folder."""
    with suppress(OSError, ValueError):
        return stat.S_ISDIR(path.stat().st_mode)
    return False


def is_inside(path: Path, root: Path) -> bool:
    """Return whether a path, with every link followed, lies in a folder or is it."""
    with suppress(OSError, RuntimeError, ValueError):  # a RuntimeError tells of links in a circle
        return path.resolve().is_relative_to(root.resolve())
    return False


def names_beside(path: Path) -> list[str]:
    """Return the names in the folder of a path, as suggestions for a misspelt one."""
    with suppress(OSError, ValueError):
        return [entry.name for entry in path.parent.iterdir() if not entry.name.startswith(".")]
    return []


def outside(file: str) -> Diagnostic:
    """Return the mistake of a path or a link that leads out of where it may lead."""
    return _problem(
        "file.outside-project",
        file,
        f'"{file}" leads out of the project\'s folder.',
        help="Move the file into the project; only policies and variables can be named on the command line.",
    )


def _unfit(path: Path, file: str) -> Diagnostic | None:
    """Return why a path is no file to read, from its metadata alone."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        detail = f'There is no file or folder "{file}".'
        return _problem("file.not-found", file, detail, help=did_you_mean(path.name, names_beside(path)))
    except (OSError, ValueError) as error:
        return _unreadable(file, error)
    if stat.S_ISDIR(status.st_mode):
        detail = f'"{file}" is a folder.'
        return _problem("file.not-a-file", file, detail, help="Name a file in it.")
    if not stat.S_ISREG(status.st_mode):
        detail = f'"{file}" is a socket, a pipe or a device.'
        return _problem("file.not-a-file", file, detail, help="Name a regular file.")
    return _too_large(file) if status.st_size > MAX_BYTES else None


def _unreadable(file: str, error: OSError | ValueError) -> Diagnostic:
    reason = error.strerror if isinstance(error, OSError) else error
    return _problem("file.unreadable", file, f'"{file}" can not be read: {reason}.', help="Check the path.")


def _too_large(file: str) -> Diagnostic:
    detail = f'"{file}" is larger than {MAX_BYTES // 1024 // 1024} MiB.'
    return _problem("file.too-large", file, detail, help="Records are given with --records.")


_SUMMARIES: Final = {
    "file.not-found": "File not found",
    "file.unreadable": "File can not be read",
    "file.not-a-file": "Not a file",
    "file.too-large": "File too large",
    "file.not-utf-8": "Not UTF-8",
    "file.outside-project": "File outside the project",
    "file.no-policies": "No policies",
}


def _problem(code: str, file: str, detail: str, *, help: str) -> Diagnostic:
    return Diagnostic(code=code, summary=_SUMMARIES[code], detail=detail, help=help, subject=file)
