"""Lines and columns of a text, as an editor counts them."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache

from auditor.model.source import Location

# An editor ends lines here (YAML 1.2, section 5.4). libyaml also ends them at U+0085, U+2028 and U+2029, as
# YAML 1.1 did, so its own line numbers are not used.
_LINE_END = re.compile(r"\r\n|\r|\n")


def location(file: str, text: str, start: int, end: int) -> Location:
    """Return the place of a half-open range of characters of a text."""
    line, column = _point(text, start)
    end_line, end_column = _point(text, end)
    return Location(
        file=file,
        line=line,
        column=column,
        end_line=end_line,
        end_column=end_column,
        snippet=line_at(text, start),
    )


def line_at(text: str, offset: int) -> str:
    """Return the line that holds a character, without its end."""
    start, end = line_span(text, offset)
    return text[start:end]


def line_span(text: str, offset: int) -> tuple[int, int]:
    """Return where the line that holds a character starts and ends, its line end left out."""
    starts = _starts(text)
    number = bisect_right(starts, offset)
    after = starts[number] if number < len(starts) else len(text)
    return starts[number - 1], starts[number - 1] + len(text[starts[number - 1] : after].rstrip("\r\n"))


def _point(text: str, offset: int) -> tuple[int, int]:
    starts = _starts(text)
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


@lru_cache(maxsize=64)
def _starts(text: str) -> list[int]:
    return [0, *(match.end() for match in _LINE_END.finditer(text))]
