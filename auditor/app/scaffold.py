"""`auditor init`: a project that runs at once."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from auditor.app.documents import write

_HIDDEN = {"gitignore": ".gitignore"}


def init(folder: Path, changed: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """
    Write a project into a folder, which is made if it is not there; *changed* are files with another text.

    Result: the names of the files written, from the folder. Nothing that exists is touched.

    Raises:
        FileExistsError: one of the files is there already; nothing was written.
        OSError: the folder can not be written to.
    """
    found = dict(_files(files("auditor.app").joinpath("template"), "")) | dict(changed or {})
    for name in found:
        if (folder / name).exists():
            reason = "it exists already, and nothing was written; name another folder, such as: auditor init my-audit"
            raise FileExistsError(17, reason, str(folder / name))
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(
            20, "it is no folder; name another one, such as: auditor init my-audit", str(folder)
        )
    for name, text in found.items():
        write(folder / name, text)
    return tuple(found)


def _files(source: Traversable, prefix: str) -> list[tuple[str, str]]:
    found = []
    for entry in sorted(source.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found += _files(entry, f"{prefix}{entry.name}/")
        else:
            name = prefix + _HIDDEN.get(entry.name, entry.name)
            found.append((name, entry.read_text(encoding="utf-8")))
    return found
