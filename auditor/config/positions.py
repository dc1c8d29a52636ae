"""From addresses to lines and columns: where a key, a value, or a character of a value stands in its file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from auditor.config.lines import line_span, location
from auditor.config.nodes import compose, span
from auditor.model.diagnostic import Mistake
from auditor.model.source import Address, Location


def locate(address: Address, text: str) -> Location:
    """
    Return where an address is in the text of its file.

    Steps of the route that the document does not have are passed over, so an address of something that is
    missing, or that a short form leaves out, falls on the nearest thing that is there.
    """
    key, node = _find(address, text)
    if node is None:
        return location(address.file, text, 0, 0)
    if address.span is not None and not address.on_key and isinstance(node, ScalarNode):
        places = offsets(node, text)
        last = len(places) - 1
        start, end = (
            places[min(i, last)] for i in (address.span[0], max(address.span[1], address.span[0] + 1))
        )
        # A range over several lines is shown to the end of its first.
        return location(address.file, text, start, min(end, line_span(text, start)[1]))
    shown = key if key is not None and (address.on_key or _is_long(node, text)) else node
    return location(address.file, text, *span(shown, text))


def lines(address: Address, text: str) -> range:
    """Return the numbers of the lines that hold the value at an address and its key, found as `locate` does."""
    key, node = _find(address, text)
    if node is None:
        return range(0)
    start, _ = span(node if key is None else key, text)
    place = location(address.file, text, start, span(node, text)[1])
    return range(place.line, place.end_line + 1)


def _find(address: Address, text: str) -> tuple[Node | None, Node | None]:
    """Return the last key on the way to an address and the node there; None where the text is no document."""
    key: Node | None = None
    try:
        node = compose(text)
    except Mistake:
        node = None
    if node is not None:
        for step in address.route:
            key, node = _child(node, step) or (key, node)
    return key, node


def _is_long(node: Node, text: str) -> bool:
    """Return whether a value is better shown by its key: mappings, lists and texts over several lines."""
    return not isinstance(node, ScalarNode) or node.end_mark.index > line_span(text, node.start_mark.index)[1]


def _child(node: Node, step: str | int) -> tuple[Node | None, Node] | None:
    """Return the key and the value of an entry of a mapping or a list, also of a mapping that it merges."""
    if isinstance(node, SequenceNode):
        inside = isinstance(step, int) and step < len(node.value)
        return (None, node.value[step]) if inside else None
    pending, seen = [node], set()
    while pending:
        mapping = pending.pop(0)
        if not isinstance(mapping, MappingNode) or id(mapping) in seen:
            continue
        seen.add(id(mapping))
        # The last of duplicate keys is the one that counts.
        for key, value in reversed(mapping.value):
            if isinstance(key, ScalarNode) and key.value == step:
                return key, value
        merged = [value for key, value in mapping.value if str(key.tag).endswith(":merge")]
        pending[:0] = [
            part for value in merged for part in (value.value if isinstance(value, SequenceNode) else [value])
        ]
    return None


# Characters of scalars
#
# Value and source differ by quotes, escapes, indentation and folded line breaks (YAML 1.2, chapters 7.3 and
# 8.1). Line breaks are those of libyaml, which keeps U+2028 and U+2029 and makes \n of the others.

_BREAK: Final = r"(?:\r\n|[\r\n\x85\u2028\u2029])"
_KEPT: Final = "\u2028\u2029"
_PROPERTIES: Final = re.compile(
    rf"(?:[&!][^ \t\r\n\x85\u2028\u2029]*(?:[ \t]|{_BREAK}|(?<=[\s])#[^\r\n]*)*)*"
)
_FOLD: Final = rf"(?P<fold>[ \t]*{_BREAK}(?:[ \t]*{_BREAK})*[ \t]*)"
_FLOW: Final = {
    "": re.compile(rf"{_FOLD}|.", re.DOTALL),
    "'": re.compile(rf"{_FOLD}|''|.", re.DOTALL),
    '"': re.compile(
        rf"{_FOLD}|\\(?P<joined>{_BREAK}(?:[ \t]*{_BREAK})*[ \t]*)"
        r"|\\x.{2}|\\u.{4}|\\U.{8}|\\.|.",
        re.DOTALL,
    ),
}
_HEADER: Final = re.compile(rf"[|>][^\r\n\x85\u2028\u2029]*(?:{_BREAK}|$)")
_LINE: Final = re.compile(rf"(?P<indent> *)(?P<content>[^\r\n\x85\u2028\u2029]*)(?P<end>{_BREAK}|$)")


def offsets(node: ScalarNode, text: str) -> list[int]:
    """Return where each character of a scalar's value stands in the text, and where its value ends."""
    end = int(node.end_mark.index)
    properties = _PROPERTIES.match(text, int(node.start_mark.index), end)
    start = properties.end() if properties else end
    value, style = str(node.value), str(node.style or "")
    if style in ("|", ">"):
        found = list(_block(text, start, end, value, folded=style == ">"))
    else:
        quote = len(style)
        start, end = start + quote, end - quote
        found = list(_flow(text, start, end, style))
    return [*found[: len(value)], found[len(value)] if len(found) > len(value) else end]


def _flow(text: str, start: int, end: int, style: str) -> Iterator[int]:
    for token in _FLOW[style].finditer(text, start, end):
        groups = token.groupdict()
        if groups["fold"]:
            breaks = [match.start() for match in re.finditer(_BREAK, token[0])]
            first, *further = (token.start() + offset for offset in breaks)
            if not further or text[first] in _KEPT:
                yield first
            yield from further
        elif groups.get("joined"):
            _, *further = (match.start() for match in re.finditer(_BREAK, token[0]))
            yield from (token.start() + offset for offset in further)
        else:
            yield token.start()


def _block(text: str, start: int, end: int, value: str, *, folded: bool) -> Iterator[int]:
    header = _HEADER.match(text, start, end)
    start = header.end() if header else end
    lines = [match for match in _LINE.finditer(text, start, end) if match[0]]
    indent = max(_indent(text[start:end]) - _indent(value), 0)
    before: int | None = None  # the line break after the last line that is not empty
    breaks: list[int] = []  # those of the empty lines since
    was_indented = False
    for line in lines:
        content = min(line.start() + indent, line.end("indent"))
        if content == line.start("end"):
            breaks.append(content)
            continue
        is_indented = text[content] in " \t"
        if before is not None:
            folds = folded and not was_indented and not is_indented and text[before] not in _KEPT
            if not folds or not breaks:
                yield before
        yield from breaks
        yield from range(content, line.start("end"))
        before, breaks, was_indented = line.start("end"), [], is_indented
    if before is not None:
        yield before
    yield from breaks


def _indent(text: str) -> int:
    """Return how many spaces the first line that is not blank begins with, or the longest if all are blank."""
    lines = re.split(_BREAK, text)
    inked = (len(line) - len(line.lstrip(" ")) for line in lines if line.strip(" "))
    return next(inked, max(map(len, lines)))
