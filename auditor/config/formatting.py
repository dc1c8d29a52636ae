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
from ruamel.yaml.representer import RoundTripRepresenter

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


_BLANK: Final = " \t\r"
"""What YAML takes for white space (YAML 1.2, section 5.5), and no more: a no-break space is a text."""

_COMMENT: Final = re.compile(r"(?:^|[ \t])(?P<comment>#.*)$")


def _dumped(text: str) -> str:
    editor = round_trip()
    out = StringIO()
    editor.dump(editor.load(text), out)
    return out.getvalue()


def round_trip() -> YAML:
    """Return a reader and writer of YAML that keeps order, quotes and comments, and indents canonically."""
    editor = YAML(typ="rt")
    editor.Representer = _Representer
    editor.preserve_quotes = True
    editor.brace_single_entry_mapping_in_flow_sequence = True
    editor.width = _LONG
    editor.indent(mapping=2, sequence=4, offset=2)
    return editor


class _Representer(RoundTripRepresenter):
    """Writes an empty value as `null`, so that nobody has to guess whether something was forgotten."""


_Representer.add_representer(
    type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
)


def _tidied(text: str) -> str:
    """Move comments to where the lines around them are, and drop surplus blank lines and white space."""
    lines = text.split("\n")
    verbatim, ends = _scalars(YAML(typ="safe").compose(text))
    result: list[str] = []
    for number, line in enumerate(lines):
        if number in verbatim:
            result.append(line)
            continue
        stripped = line.strip(_BLANK)
        if stripped.startswith("#"):
            levels = _levels_above(result) | {below := _indent_below(lines, number, verbatim)}
            own = len(line) - len(line.lstrip(_BLANK))
            result.append(" " * max(n for n in levels if below <= n <= max(own, below)) + stripped)
        elif stripped:
            result.append(_with_comment(line.rstrip(_BLANK), ends.get(number, 0)))
        elif result and result[-1]:
            result.append("")
    return "\n".join(result).strip("\n") + "\n"


def _indent_below(lines: list[str], number: int, verbatim: set[int]) -> int:
    """Return the indentation of the next line that is no comment; a comment at the very end stands at 0."""
    for below in range(number + 1, len(lines)):
        text = lines[below].strip(_BLANK)
        if text and (below in verbatim or not text.startswith("#")):
            return len(lines[below]) - len(lines[below].lstrip(_BLANK))
    return 0


def _levels_above(lines: list[str]) -> set[int]:
    """Return the columns at which something began in the lines above, in whose block a comment may end."""
    levels: set[int] = set()
    for line in reversed(lines):
        code = line.lstrip(_BLANK)
        column = len(line) - len(code)
        if not code or code.startswith("#") or any(column > level for level in levels):
            continue
        levels.add(column)
        if code.startswith("- "):
            levels.add(column + 2)
        if column == 0:
            break
    return levels


def _with_comment(line: str, end: int) -> str:
    """Return a line with two spaces before the comment that follows its last value."""
    match = _COMMENT.search(line, end)
    return f"{line[: match.start()].rstrip(_BLANK)}  {match['comment']}" if match else line


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
    """Return the comments of a document, sorted: the same before and after, unless one was lost."""
    lines = re.split(r"\r\n|\r|\n", text)
    verbatim, ends = _scalars(YAML(typ="safe").compose(text))
    found = (
        _COMMENT.search(line, ends.get(number, 0))
        for number, line in enumerate(lines)
        if number not in verbatim
    )
    return sorted(match["comment"].rstrip(_BLANK) for match in found if match)
