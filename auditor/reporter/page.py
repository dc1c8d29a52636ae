"""Lines for a terminal, as wide as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.style import Style

from auditor.reporter.neutral import visible
from auditor.reporter.wording import Fact, told

NARROWEST: Final = 40
"""Terminal cells below which the columns would leave no room for words."""

LEAST_ROOM: Final = 12
"""Terminal cells that a text needs behind a head on the same line."""

FACT_CHARACTERS: Final = 400
"""Characters that one fact may take."""


class Page:
    """Lines of at most `width` cells, whatever they are given."""

    def __init__(self, width: int, *, color: bool) -> None:
        self.width = max(width, NARROWEST)
        self._color = color
        self._lines: list[str] = []

    def put(self, text: str, style: str = "", *, head: str = "", head_style: str = "") -> None:
        """Write a text, wrapped, behind a head of one line; all its lines begin where the head ends."""
        indent = cell_len(head)
        crowded = 2 * indent > self.width and cell_len(text) > self.width - indent
        if crowded or indent > self.width - LEAST_ROOM:  # a name can be longer than the terminal is wide
            self.put(head.strip(), head_style)
            self.put(text, style, head=" " * 4)
            return
        for number, line in enumerate(_wrap(visible(text).expandtabs(4), self.width - indent)):
            start = self._styled(head, head_style) if number == 0 else " " * indent
            self._lines.append(start + self._styled(line, style) if line else start.rstrip())

    def facts(self, facts: Iterable[Fact], *, limit: int = FACT_CHARACTERS) -> None:
        """Write facts as two columns, the second below the ids of the checks, each of *limit* characters at most."""
        for label, text in told(facts, limit):
            bullet = "- " if text.startswith("- ") else ""
            self.put(text.removeprefix(bullet), head=f"      {label:11}  {bullet}", head_style="dim")

    def section(self, title: str) -> None:
        """Begin a part of the report."""
        self.blank()
        self.put(title, "bold")

    def blank(self) -> None:
        """Leave a line empty."""
        self._lines.append("")

    def _styled(self, text: str, style: str) -> str:
        return Style.parse(style).render(text, color_system=ColorSystem.STANDARD) if self._color else text

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)


def _wrap(text: str, room: int) -> Iterator[str]:
    """Break a text at white space into lines of at most *room* cells, and a word that is longer anywhere."""
    for paragraph in text.split("\n"):
        line = ""
        for word in re.findall(r"\s*\S+", paragraph):
            if line and cell_len(line) + cell_len(word) > room:
                yield line
                line = word.lstrip()
            else:
                line += word
            while cell_len(line) > room:
                fitting = head(line, room)
                yield fitting.rstrip()
                line = line[len(fitting) :]
        yield line


def head(text: str, room: int) -> str:
    """Return as many characters from the start as fit, but one at least."""
    part = text[:room]
    while len(part) > 1 and cell_len(part) > room:
        part = part[:-1]
    return part


def tail(text: str, room: int) -> str:
    """Return as many characters from the end as fit."""
    part = text[max(len(text) - room, 0) :]
    while cell_len(part) > room:
        part = part[1:]
    return part
