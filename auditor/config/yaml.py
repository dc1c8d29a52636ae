"""
YAML with positions: one fast parse to nodes, which hold both the values and where they stand.

The scanner is libyaml's, the reading of plain scalars ruamel.yaml's (YAML 1.2). Nothing in a document can
execute anything: only plain data is built, unknown tags are mistakes, and size, depth and aliases are
bounded, since policies come from merge requests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.source import Address, Location
from auditor.model.value import JSON

MAX_DEPTH: Final = 64
MAX_NODES: Final = 500_000
"""Nodes of a document with every alias written out: a "billion laughs" has more."""

# libyaml composes by recursion in C: nesting of some ten thousand levels would overflow its stack, and no
# exception tells. The depth of brackets is checked before, the depth of `- - -` on one line too; other
# nesting needs as much indentation as it is deep.
_MAX_BRACKETS: Final = 1_000
_STACKED_INDICATORS: Final = re.compile(r"(?:[-?:][ \t]+){1000}")

_TAG: Final = "tag:yaml.org,2002:"
_ScalarReader: TypeAlias = Any


def load(text: str, file: str) -> Checked[JSON]:
    """
    Read one YAML document into plain data: None, bool, int, float, str, list, dict with str keys.

    Dates stay text. Duplicate keys (of which the last is kept), keys that are no text, tags and recursive
    aliases are mistakes, all of a document at once; a syntax error ends its reading.
    """
    if problem := _too_deep(text):
        return Checked(None, (_problem("yaml.too-large", problem, file),))
    try:
        node = _compose(text)
    except MarkedYAMLError as error:
        return Checked(None, (_syntax_error(error, text, file),))
    except YAMLError as error:
        return Checked(None, (_problem("yaml.syntax", str(error).splitlines()[0], file),))
    if node is None:
        return Checked(None)
    builder = _Builder(text, file)
    data = builder.build(node)
    return Checked(data, tuple(builder.diagnostics))


def locate(address: Address, text: str) -> Location:
    """
    Return where an address is in the text of its file.

    Steps of the route that the document does not have are passed over, so an address of something that is
    missing, or that a short form leaves out, falls on the nearest thing that is there.
    """
    try:
        node = None if _too_deep(text) else _compose(text)
    except YAMLError:
        node = None
    if node is None:
        return _location(address.file, text, (0, 0), (0, 0))
    key: Node | None = None
    for step in address.route:
        found = _child(node, step)
        if found is not None:
            key, node = found
    if address.on_key and key is not None:
        return _node_location(address.file, text, key)
    if address.span is not None and isinstance(node, ScalarNode):
        return _span_location(address.file, text, node, address.span)
    return _node_location(address.file, text, key if key is not None and _is_long(node) else node)


@lru_cache(maxsize=64)
def _compose(text: str) -> Node | None:
    yaml = YAML(typ="safe")
    yaml.allow_duplicate_keys = True
    node: Node | None = yaml.compose(text)
    return node


def _too_deep(text: str) -> str:
    if text.count("[") + text.count("{") > _MAX_BRACKETS:
        depth = deepest = 0
        for match in re.finditer(r"[\[{\]}]", text):
            depth = depth + 1 if match[0] in "[{" else max(depth - 1, 0)
            deepest = max(deepest, depth)
        if deepest > _MAX_BRACKETS:
            return f"The document nests brackets {deepest} deep; {MAX_DEPTH} levels are allowed."
    if _STACKED_INDICATORS.search(text):
        return f"The document nests too deep on one line; {MAX_DEPTH} levels are allowed."
    return ""


class _Builder:
    """Builds the data of one document and collects its mistakes."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.diagnostics: list[Diagnostic] = []
        self.nodes = 0
        self.open: set[int] = set()
        self.scalars: _ScalarReader = SafeConstructor(loader=YAML(typ="safe"))

    def build(self, node: Node, depth: int = 0) -> JSON:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            if not self.diagnostics or self.diagnostics[-1].code != "yaml.too-large":
                limit = (
                    f"{MAX_DEPTH} levels" if depth > MAX_DEPTH else f"{MAX_NODES} values, aliases written out"
                )
                self._report("yaml.too-large", node, f"The document has more than {limit}.")
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if id(node) in self.open:
            self._report("yaml.recursive-alias", node, "An alias refers to the value that it is part of.")
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, depth)
            self._check_tag(node, "seq")
            return [self.build(item, depth + 1) for item in self._until_full(node.value)]
        finally:
            self.open.discard(id(node))

    def _until_full(self, items: list[Any]) -> Iterator[Any]:
        for item in items:
            if self.nodes > MAX_NODES:
                return
            yield item

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, JSON]:
        self._check_tag(node, "map")
        data: dict[str, JSON] = {}
        for key_node, value_node in self._until_full(node.value):
            key = self.build(key_node, depth + 1)
            if isinstance(key, bool | int | float) and isinstance(key_node, ScalarNode):
                key = key_node.value
            if not isinstance(key, str):
                self._report(
                    "yaml.bad-key",
                    key_node,
                    "A key must be a text.",
                    help="An expression in brackets or braces must stand in quotes."
                    if not isinstance(key_node, ScalarNode)
                    else "",
                )
                continue
            if key in data:
                self._report(
                    "yaml.duplicate-key",
                    key_node,
                    f'The key "{key}" stands twice in one mapping; the first is in line '
                    f"{_line_of_key(node, key)}.",
                    help="Remove one of the two, or rename it.",
                )
            data[key] = self.build(value_node, depth + 1)
        return data

    def _scalar(self, node: ScalarNode) -> JSON:
        tag = str(node.tag)
        value: str = node.value
        if tag in (f"{_TAG}str", f"{_TAG}timestamp"):
            return value
        if tag == f"{_TAG}null":
            return None
        try:
            if tag == f"{_TAG}bool":
                return self.scalars.construct_yaml_bool(node)
            if tag == f"{_TAG}int":
                return self.scalars.construct_yaml_int(node)
            if tag == f"{_TAG}float":
                return self.scalars.construct_yaml_float(node)
        except ValueError as error:
            self._report("yaml.bad-number", node, f"{value!r} is no number: {error}")
            return None
        self._check_tag(node, "str")
        return None

    def _check_tag(self, node: Node, expected: str) -> None:
        tag = str(node.tag)
        if tag == f"{_TAG}{expected}":
            return
        shown = tag.replace(_TAG, "!!")
        line = _line(self.text, node.start_mark.line)
        self._report(
            "yaml.tag",
            node,
            f"YAML reads {shown!r} as a tag, and no tag is allowed here.",
            help=_quoted_form(line) or "Remove the tag.",
        )

    def _report(self, code: str, node: Node, detail: str, *, help: str = "") -> None:
        self.diagnostics.append(
            Diagnostic(
                code=code,
                summary=_SUMMARIES[code],
                detail=detail,
                help=help,
                location=_node_location(self.file, self.text, node),
            )
        )


_SUMMARIES: Final = {
    "yaml.syntax": "Not YAML",
    "yaml.too-large": "Document too large",
    "yaml.recursive-alias": "Alias inside itself",
    "yaml.bad-key": "Key is no text",
    "yaml.duplicate-key": "Duplicate key",
    "yaml.bad-number": "Bad number",
    "yaml.tag": "YAML tag",
}


def _problem(code: str, detail: str, file: str) -> Diagnostic:
    return Diagnostic(code=code, summary=_SUMMARIES[code], detail=detail, address=Address(file=file))


def _syntax_error(error: MarkedYAMLError, text: str, file: str) -> Diagnostic:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    column = mark.column if mark else 0
    words = " ".join(part for part in (error.context, error.problem) if part)
    near = _line(text, line)
    # The scanner often notices only on the next line what went wrong on the one before.
    trap = _quoted_form(near) or (_quoted_form(_line(text, line - 1)) if line else "")
    return Diagnostic(
        code="yaml.syntax",
        summary=_SUMMARIES["yaml.syntax"],
        detail=f"{words[:1].upper()}{words[1:]}.",
        help=trap or "Check indentation, colons, quotes and brackets around this place.",
        location=_location(file, text, (line, column), (line, column + 1)),
    )


_EXPRESSION_KEY: Final = re.compile(
    r"^(?P<before>[\s-]*(?:every|none|some|that|where|condition|message|expect)\s*:\s*)(?P<text>[\[{@!&*`%>|].*?)\s*$"
)


def _quoted_form(line: str) -> str:
    """Return a help that shows an expression in quotes, where a line gives one that YAML reads as its own."""
    match = _EXPRESSION_KEY.match(line)
    if match is None or match["text"] in ("|", ">", "|-", ">-", "|+", ">+"):
        return ""
    quoted = match["text"].replace("'", "''")
    return f"An expression that begins with {match['text'][0]!r} must stand in quotes:\n{match['before']}'{quoted}'"


def quoted_form(address: Address, text: str) -> str:
    """Return the same help for the line at an address, or an empty text where the line is no such trap."""
    return _quoted_form(_line(text, locate(address, text).line - 1))


def _line_of_key(node: MappingNode, key: str) -> int:
    return next(
        int(key_node.start_mark.line) + 1
        for key_node, _ in node.value
        if isinstance(key_node, ScalarNode) and key_node.value == key
    )


def _child(node: Node, step: str | int) -> tuple[Node | None, Node] | None:
    if isinstance(node, MappingNode):
        # The last of duplicate keys is the one that counts.
        for key, value in reversed(node.value):
            if isinstance(key, ScalarNode) and key.value == step:
                return key, value
    elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


def _is_long(node: Node) -> bool:
    """Return whether a value is better shown by its key: mappings, lists and texts over several lines."""
    return not isinstance(node, ScalarNode) or bool(node.start_mark.line != node.end_mark.line)


def _line(text: str, number: int) -> str:
    lines = _lines(text)
    return lines[number] if 0 <= number < len(lines) else ""


@lru_cache(maxsize=8)
def _lines(text: str) -> list[str]:
    # The line breaks of YAML 1.2 (section 5.4), not those of `str.splitlines`.
    return re.split(r"\r\n|\r|\n", text)


Point: TypeAlias = tuple[int, int]


def _location(file: str, text: str, start: Point, end: Point) -> Location:
    return Location(
        file=file,
        line=start[0] + 1,
        column=start[1] + 1,
        end_line=end[0] + 1,
        end_column=end[1] + 1,
        snippet=_line(text, start[0]),
    )


def _node_location(file: str, text: str, node: Node) -> Location:
    start = (int(node.start_mark.line), int(node.start_mark.column))
    end = (int(node.end_mark.line), int(node.end_mark.column))
    return _location(file, text, start, end)


def _span_location(file: str, text: str, node: ScalarNode, span: tuple[int, int]) -> Location:
    points = _points(node, text)
    last = len(points) - 1
    start, end = points[min(span[0], last)], points[min(max(span[1], span[0] + 1), last)]
    if end[0] != start[0]:
        end = (start[0], len(_line(text, start[0])))
    return _location(file, text, start, end)


_ESCAPE_LENGTHS: Final = {"x": 2, "u": 4, "U": 8}


def _points(node: ScalarNode, text: str) -> list[Point]:
    """
    Return the place in the source of each character of a scalar's value, and of its end.

    Value and source are walked side by side: quotes, escapes, indentation and folded line breaks are in the
    source only (YAML 1.2, chapters 7.3 and 8.1).
    """
    start = (int(node.start_mark.line), int(node.start_mark.column))
    source = list(_characters(text, start, (int(node.end_mark.line), int(node.end_mark.column))))
    style = str(node.style or "")
    at = 0
    if style in ("'", '"'):
        at = 1
    elif style in ("|", ">"):
        at = next((i + 1 for i, (character, _) in enumerate(source) if character == "\n"), len(source))
    points: list[Point] = []
    for position, wanted in enumerate(node.value):
        if wanted in " \n" and position and node.value[position - 1] in " \n" and _folded(source, at - 1):
            points.append(points[-1])
            continue
        while at < len(source) and not _produces(source, at, style, wanted):
            at += 1
        points.append(source[min(at, len(source) - 1)][1] if source else start)
        at += _width(source, at, style)
    points.append(source[at][1] if at < len(source) else (int(node.end_mark.line), int(node.end_mark.column)))
    return points


def _characters(text: str, start: Point, end: Point) -> Iterator[tuple[str, Point]]:
    for number in range(start[0], end[0] + 1):
        line = _line(text, number)
        first = start[1] if number == start[0] else 0
        last = end[1] if number == end[0] else len(line)
        for column in range(first, min(last, len(line))):
            yield line[column], (number, column)
        if number < end[0]:
            yield "\n", (number, len(line))


def _folded(source: list[tuple[str, Point]], at: int) -> bool:
    return 0 <= at < len(source) and source[at][0] == "\n"


def _produces(source: list[tuple[str, Point]], at: int, style: str, wanted: str) -> bool:
    character = source[at][0]
    if style == '"' and character == "\\":
        following = source[at + 1][0] if at + 1 < len(source) else ""
        return following != "\n"
    if wanted in " \n":
        return character in " \t\n"
    return character == wanted


def _width(source: list[tuple[str, Point]], at: int, style: str) -> int:
    if at + 1 >= len(source):
        return 1
    here, following = source[at][0], source[at + 1][0]
    if style == '"' and here == "\\":
        return 2 + _ESCAPE_LENGTHS.get(following, 0)
    if style == "'" and here == following == "'":
        return 2
    return 1
