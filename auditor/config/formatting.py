"""
Canonical YAML: two spaces, comments kept where they belong, one blank line at most between things.

Order, quotes and folding stay as their author wrote them. Formatting twice changes nothing, and never what a
document says: the result is read again and compared.
"""

from __future__ import annotations

import re
from io import StringIO
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from auditor.config import yaml
from auditor.model.diagnostic import Checked, Diagnostic

_LONG: Final = 1_000_000
"""Lines are never folded by the formatter: where an expression breaks is its author's choice."""


def formatted(text: str, file: str) -> Checked[str]:
    """Return a YAML document in its canonical form, or the mistakes that keep it from being read."""
    before = yaml.load(text, file)
    if before.errors or before.value is None:
        return Checked(text if not before.errors else None, before.diagnostics)
    try:
        result = _tidied(_dumped(text))
    except YAMLError as error:
        return Checked(None, (_unchanged(file, str(error).splitlines()[0]),))
    if yaml.load(result, file).value != before.value or _comments(result) != _comments(text):
        return Checked(None, (_unchanged(file, "its canonical form would not say the same"),))
    return Checked(result)


def _unchanged(file: str, reason: str) -> Diagnostic:
    return Diagnostic(
        code="fmt.not-formatted",
        summary="File left as it is",
        detail=f"The file can not be formatted: {reason}.",
        help="Format it by hand, or report it.",
        subject=file,
    )


def _dumped(text: str) -> str:
    round_trip = YAML(typ="rt")
    round_trip.preserve_quotes = True
    round_trip.width = _LONG
    round_trip.indent(mapping=2, sequence=4, offset=2)
    out = StringIO()
    round_trip.dump(round_trip.load(text), out)
    return out.getvalue()


def _tidied(text: str) -> str:
    """Move comments to where the lines around them are, and drop surplus blank lines and white space."""
    lines = text.split("\n")
    verbatim, ends = _scalars(YAML(typ="safe").compose(text))
    result: list[str] = []
    for number, line in enumerate(lines):
        if number in verbatim:
            result.append(line)
            continue
        stripped = line.strip()
        if stripped.startswith("#"):
            result.append(" " * _indent_below(lines, number, verbatim) + stripped)
        elif stripped:
            result.append(_with_comment(line.rstrip(), ends.get(number, 0)))
        elif result and result[-1]:
            result.append("")
    return "\n".join(result).strip("\n") + "\n"


def _indent_below(lines: list[str], number: int, verbatim: set[int]) -> int:
    """Return the indentation of the next line that is no comment; a comment at the very end stands at 0."""
    for below in range(number + 1, len(lines)):
        text = lines[below].strip()
        if text and (below in verbatim or not text.startswith("#")):
            return len(lines[below]) - len(lines[below].lstrip())
    return 0


def _with_comment(line: str, end: int) -> str:
    """Return a line with two spaces before the comment that follows its last value."""
    match = re.compile(r"(?P<code>[^#]*?)\s+(?P<comment>#.*)").fullmatch(line, end)
    return f"{line[:end]}{match['code']}  {match['comment']}" if match else line


def _scalars(root: Node | None) -> tuple[set[int], dict[int, int]]:
    """Return the lines inside texts of several lines, and where the last text of each other line ends."""
    verbatim: set[int] = set()
    ends: dict[int, int] = {}
    pending: list[Any] = [root] if root is not None else []
    while pending:
        node = pending.pop()
        if isinstance(node, MappingNode):
            pending += [part for pair in node.value for part in pair]
        elif isinstance(node, SequenceNode):
            pending += node.value
        elif isinstance(node, ScalarNode):
            start, end = node.start_mark, node.end_mark
            last = end.line if end.column else end.line - 1
            if last > start.line:
                verbatim |= set(range(start.line + 1, last + 1))
            else:
                ends[end.line] = max(ends.get(end.line, 0), end.column)
    return verbatim, ends


def _comments(text: str) -> list[str]:
    """Return what looks like a comment in a text; the same in both forms unless one was lost."""
    return sorted(match[0].strip() for match in re.finditer(r"(?:^|(?<=\s))#.*$", text, re.MULTILINE))
