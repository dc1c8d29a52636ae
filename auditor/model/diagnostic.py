"""What is wrong with something people wrote, or with the world, as a value that tells what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from auditor.model.source import Address, Location, Span

T = TypeVar("T")

_LOOK_ALIKE: Final = str.maketrans("lo", "10")


class Level(StrEnum):
    """How much a diagnostic weighs: an error stops the run before any request, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """
    One thing that is wrong.

    `code` is stable and documented (`docs/diagnostics.md`); `summary` is one short sentence without values;
    `detail` names the values; `help` says what to do next. `address` is where it stands symbolically,
    `location` the same as line and column, filled in by `auditor.config.locate`. `subject` names the place
    where there is no file: an option, an environment variable, a request.
    """

    code: str
    summary: str
    detail: str = ""
    help: str = ""
    level: Level = Level.ERROR
    address: Address | None = None
    location: Location | None = None
    subject: str = ""

    def with_(self, **changes: Any) -> Diagnostic:
        """Return the same diagnostic with some fields changed."""
        return replace(self, **changes)


class Mistake(Exception):  # noqa: N818  # not an error of the program: a mistake in a text, on its way to a Diagnostic
    """
    A mistake in one small text (a filter, an expression, an instant), raised by the parser of that text.

    `span` counts characters of the text. Whoever knows the text's address makes a `Diagnostic` of it.
    """

    def __init__(
        self, code: str, summary: str, *, detail: str = "", help: str = "", span: Span | None = None
    ) -> None:
        super().__init__(f"{summary}: {detail}" if detail else summary)
        self.code = code
        self.summary = summary
        self.detail = detail
        self.help = help
        self.span = span

    def diagnostic(self, address: Address | None = None) -> Diagnostic:
        """Return the mistake as a value, at its span inside the text at *address*."""
        return Diagnostic(
            code=self.code,
            summary=self.summary,
            detail=self.detail,
            help=self.help,
            address=address.within(self.span) if address else None,
        )


@dataclass(frozen=True, slots=True)
class Checked(Generic[T]):
    """A result and what was found wrong on the way; `value` is None where there is no sound one."""

    value: T | None
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that stop a run."""
        return tuple(d for d in self.diagnostics if d.level is Level.ERROR)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that do not."""
        return tuple(d for d in self.diagnostics if d.level is Level.WARNING)


def unknown_check(name: str, known: Iterable[str], place: str, advice: str = "") -> Diagnostic:
    """Return the mistake of a check that there is not in a place; *advice* is what to do where none is near."""
    return Diagnostic(
        code="policy.unknown-check",
        summary="Unknown check",
        detail=f'There is no check "{name}" in {place}.',
        help=did_you_mean(name, known) or advice,
        subject=name,
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """
    Return a sentence that suggests the nearest known word, or lists the known ones if they are few.

    Result: `did you mean "expect"?`, or `known here: a, b, c`, or an empty text.
    """
    words = sorted(set(known))
    if meant := nearest(word, words):
        return f'did you mean "{meant}"?'
    if 0 < len(words) <= 12:  # what fits one line of a terminal
        return f"known here: {', '.join(words)}"
    return ""


def nearest(word: str, known: Iterable[str]) -> str:
    """
    Return the known word that looks most like another; an empty text where none does.

    Upper and lower case are one, and so are l and 1, o and 0.
    """
    folded = {_folded(w): w for w in sorted(set(known))}
    if _folded(word) in folded:
        return folded[_folded(word)]
    from difflib import get_close_matches  # takes as long to import as all the rest of a short command

    near = get_close_matches(_folded(word), list(folded), n=1, cutoff=0.6)
    return folded[near[0]] if near else ""


def _folded(word: str) -> str:
    return word.casefold().translate(_LOOK_ALIKE)
