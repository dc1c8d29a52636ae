"""`auditor fmt`: canonical YAML for the files of a project."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor import config
from auditor.app.documents import write
from auditor.model.diagnostic import Checked, Diagnostic


@dataclass(frozen=True, slots=True, kw_only=True)
class Formatted:
    """A file with its text before and after; `before` and `after` are equal where nothing was to do."""

    file: str
    path: Path
    before: str
    after: str

    @property
    def changed(self) -> bool:
        """Whether the file is not canonical."""
        return self.before != self.after

    def diff(self) -> str:
        """Return the change as a unified diff."""
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), self.file, self.file
        )
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def format_files(folder: Path, paths: Sequence[str]) -> Checked[tuple[Formatted, ...]]:
    """
    Return the canonical form of files, of everything below folders, or of the whole project.

    Nothing is written: see `save`.
    """
    found: list[Formatted] = []
    problems: list[Diagnostic] = []
    for path in _files(folder, paths):
        file = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
        text = config.read_text(path, file)
        if text.value is None:
            problems += text.diagnostics
            continue
        checked = config.formatted(text.value, file)
        problems += config.located(checked.diagnostics, {file: text.value})
        if checked.value is not None:
            found.append(Formatted(file=file, path=path, before=text.value, after=checked.value))
    return Checked(tuple(found), tuple(problems))


def save(formatted: Formatted) -> None:
    """
    Write a file in its canonical form, whole or not at all.

    Raises:
        OSError: it can not be written.
    """
    write(formatted.path, formatted.after)


def _files(folder: Path, paths: Sequence[str]) -> Iterator[Path]:
    for root in [Path(path) for path in paths] or [folder]:
        if not root.is_dir():
            yield root
            continue
        for path in sorted(p for suffix in ("*.yaml", "*.yml") for p in root.rglob(suffix)):
            if not any(part.startswith(".") for part in path.relative_to(root).parts):
                yield path
