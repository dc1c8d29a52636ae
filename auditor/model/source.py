"""Where something stands in what people write: first symbolically, then as line and column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Route: TypeAlias = tuple[str | int, ...]
"""Keys and indices from the root of a document to a value: `("checks", "no-deletions", "expect", 0)`."""

Span: TypeAlias = tuple[int, int]
"""Half-open range of characters inside one text, counted from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """
    A place in a document, as the program knows it.

    `span` counts characters of the *value* of the scalar at `route`, that is after YAML has removed quotes,
    escapes and folding. `on_key` points at the key of the last mapping entry instead of its value.
    `auditor.config.locate` turns an address into a `Location`; it parses the file again only then, so a
    program without mistakes never pays for positions.
    """

    file: str
    route: Route = ()
    span: Span | None = None
    on_key: bool = False

    def at(self, *steps: str | int) -> Address:
        """Return the address of a value below this one."""
        return Address(file=self.file, route=(*self.route, *steps))

    def within(self, span: Span | None) -> Address:
        """Return the address of some characters of the scalar here."""
        return Address(file=self.file, route=self.route, span=span)

    def key(self) -> Address:
        """Return the address of the key of the entry here."""
        return Address(file=self.file, route=self.route, on_key=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """
    A place in a file, as an editor knows it.

    Lines and columns count from 1; `end_line` and `end_column` are exclusive, so an empty range has equal
    ends. `snippet` is the text of the line `line`, without its end.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    snippet: str = ""
