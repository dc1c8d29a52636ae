"""What the command line asks to be loaded, and what is read for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from auditor.config.files import is_inside, names_beside, outside, read_text
from auditor.model.diagnostic import Diagnostic, Level
from auditor.model.source import Address

if TYPE_CHECKING:
    from auditor.model.document import Document

D = TypeVar("D", bound="Document")

PROJECT_FILE: Final = "auditor.yaml"
VARIABLES_FILE: Final = "auditor.vars.yaml"
WAIVERS_FILE: Final = "waivers.yaml"
AUTOMATIC_FILES: Final = "*.auto.vars.yaml"
_NEARLY: Final = {
    "auditor": PROJECT_FILE,
    "auditor.var": VARIABLES_FILE,
    "auditor.vars": VARIABLES_FILE,
    "waiver": WAIVERS_FILE,
    "waivers": WAIVERS_FILE,
}
"""The files of a project's folder by the stems that people may give them."""
_AUTOMATIC: Final = ".auto.vars"
PACK_PREFIX: Final = "pack:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    What the command line asks to be loaded.

    `folder` is where the project is looked for and where every relative path counts from; `paths` replace the
    project's policies; `variables` are the options `--var` and `--var-file` in their order; `environ` are the
    process's environment variables; `environments` selects by name, all if empty; `allow_hosts` are hosts
    (`HOST` or `HOST:PORT`) beside PingOne's and loopback.
    """

    folder: Path
    paths: Sequence[str] = ()
    variables: Sequence[tuple[str, str]] = ()
    environ: Mapping[str, str]
    environments: Sequence[str] = ()
    choose: bool = True
    """Whether one of several environments must be named: nothing chooses a tenant implicitly."""
    allow_hosts: Sequence[str] = ()
    frameworks: Sequence[str] = ()
    """Names of frameworks: checks that speak to none of them are left out. All are in where there is no name."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Texts that are read instead of files of the folder, by name."""


@dataclass(slots=True)
class Reading:
    """The texts read so far, by the names that people see, and all that is wrong with them."""

    folder: Path
    instead: Mapping[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)

    def text(self, path: Path, file: str, *, trusted: bool = False) -> str | None:
        """Return the text of a file; one that the project names, and not the command line, must lie in it."""
        if file in self.instead:
            self.texts[file] = self.instead[file]
            return self.texts[file]
        if not trusted and not is_inside(path, self.folder):
            self.problems.append(outside(file))
            return None
        checked = read_text(path, file)
        self.problems += checked.diagnostics
        if checked.value is not None:
            self.texts[file] = checked.value
        return checked.value

    def document(self, model: type[D], path: Path, file: str, *, trusted: bool = False) -> D | None:
        """Return a file as a document, or None where anything is wrong with it."""
        from auditor.config import documents

        text = self.text(path, file, trusted=trusted)
        if text is None:
            return None
        checked = documents.read(model, text, file)
        self.problems += checked.diagnostics
        return checked.value

    def problem(
        self,
        code: str,
        summary: str,
        detail: str,
        *,
        help: str = "",
        address: Address | None = None,
        subject: str = "",
        level: Level = Level.ERROR,
    ) -> None:
        """Add a mistake, at its address in a file or else under the name of where it comes from."""
        self.problems.append(
            Diagnostic(
                code=code,
                summary=summary,
                detail=detail,
                help=help,
                address=address,
                subject="" if address else subject,
                level=level,
            )
        )

    def shown(self, path: Path) -> str:
        """Return the name that people see of a file: from the folder where it lies in it."""
        try:
            return path.relative_to(self.folder).as_posix()
        except ValueError:
            return path.as_posix()


def misnamed(request: Request) -> dict[str, str]:
    """Return files of the project's folder that are not read under their names, each with the name that is meant."""
    named = {Path(text).name for text in (*request.paths, *(text for _, text in request.variables))}
    meant = {name: _meant(Path(name)) for name in sorted(names_beside(request.folder / PROJECT_FILE))}
    return {name: right for name, right in meant.items() if right not in ("", name) and name not in named}


def _meant(path: Path) -> str:
    if path.suffix not in (".yaml", ".yml"):
        return ""
    return f"{path.stem}.yaml" if path.stem.endswith(_AUTOMATIC) else _NEARLY.get(path.stem, "")
