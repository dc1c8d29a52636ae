"""YAML documents as plain data, with every mistake where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from auditor.config.lines import line_span, location
from auditor.config.nodes import MAX_DEPTH, MAX_NODES, compose, span, too_large
from auditor.config.plain import plain
from auditor.config.scalars import MERGE, NULL, READERS, TAG
from auditor.config.traps import quoted_form
from auditor.model.diagnostic import Checked, Diagnostic, Mistake
from auditor.model.value import JSON


def load(text: str, file: str) -> Checked[JSON]:
    """
    Read one YAML document into plain data: None, bool, int, float, str, list, dict with str keys.

    Dates stay text; numbers are finite, integers of at most 64 bits; merge keys (`<<`) are followed. Duplicate
    keys (of which the last is kept), keys that are no text, tags and recursive aliases are mistakes, all of a
    document at once; a syntax error, or a document that is too large, ends its reading.
    """
    data = plain(text)
    return carefully(text, file) if data is None else Checked(data)


def carefully(text: str, file: str) -> Checked[JSON]:
    """Read as `load` does, by way of nodes that know where they stand."""
    builder = _Builder(text, file)
    try:
        node = compose(text)
        data = None if node is None else builder.build(node)
    except Mistake as mistake:
        data = None
        builder.blame(mistake)
    return Checked(data, tuple(builder.diagnostics))


_SUMMARIES: Final = {
    "yaml.recursive-alias": "Alias inside itself",
    "yaml.bad-key": "Key is no text",
    "yaml.duplicate-key": "Duplicate key",
    "yaml.bad-number": "Bad number",
    "yaml.tag": "YAML tag",
}


class _Builder:
    """Builds the data of one document and collects its mistakes."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.diagnostics: list[Diagnostic] = []
        self.nodes = 0
        self.open: set[int] = set()

    def build(self, node: Node, depth: int = 0) -> JSON:
        """
        Return the data of a node.

        Raises:
            Mistake: there is too much of it.
        """
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            limit = f"{MAX_DEPTH} levels" if depth > MAX_DEPTH else f"{MAX_NODES} values"
            raise too_large(f"{limit}, aliases written out", span(node, self.text))
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if id(node) in self.open:
            self._report("yaml.recursive-alias", node, "An alias refers to the value that it is part of.")
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, depth + 1)
            self._check_tag(node, "seq")
            return [self.build(item, depth + 1) for item in node.value]
        finally:
            self.open.discard(id(node))

    def blame(self, mistake: Mistake) -> None:
        """Add a mistake whose span counts characters of the text."""
        start, end = mistake.span or (0, 0)
        where = location(self.file, self.text, start, end)
        self.diagnostics.append(mistake.diagnostic().with_(location=where))

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, JSON]:
        self._check_tag(node, "map")
        data: dict[str, JSON] = {}
        merged: dict[str, JSON] = {}
        first: dict[str, Node] = {}
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                for mapping in self._merged(value_node, depth):
                    merged = {**mapping, **merged}
                continue
            if not isinstance(key_node, ScalarNode) or key_node.tag == NULL or key_node.tag not in READERS:
                self._report("yaml.bad-key", key_node, "A key must be a text.")
                continue
            key = str(key_node.value)
            if key in first:
                line = location(self.file, self.text, *span(first[key], self.text)).line
                self._report(
                    "yaml.duplicate-key",
                    key_node,
                    f'The key "{key}" stands twice in one mapping; the first is in line {line}.',
                    help="Remove one of the two, or rename it.",
                )
            first.setdefault(key, key_node)
            data[key] = self.build(value_node, depth)
        return {**merged, **data}

    def _merged(self, node: Node, depth: int) -> Iterator[dict[str, JSON]]:
        value = self.build(node, depth)
        for mapping in value if isinstance(value, list) else [value]:
            if isinstance(mapping, dict):
                yield mapping
            else:
                self._report(
                    "yaml.bad-key", node, 'The key "<<" takes a mapping, or a list of mappings, to copy.'
                )

    def _scalar(self, node: ScalarNode) -> JSON:
        """Return the value of a scalar; of one with a mistake its text, which is seldom blamed again."""
        text = str(node.value)
        read = READERS.get(str(node.tag))
        if read is not None:
            try:
                return read(text)
            except ValueError as error:
                self._report("yaml.bad-number", node, f"It is no number that JSON has: {error}.")
                return text
            except KeyError:
                pass
        self._check_tag(node, "str")
        return text

    def _check_tag(self, node: Node, expected: str) -> None:
        if node.tag != f"{TAG}{expected}":
            # The tag is not told: it may be the beginning of a secret.
            self._report(
                "yaml.tag", node, "YAML reads what begins with ! as a tag, which is not allowed here."
            )

    def _report(self, code: str, node: Node, detail: str, *, help: str = "") -> None:
        start, end = span(node, self.text)
        line_start, line_end = line_span(self.text, start)
        trap = quoted_form(self.text[line_start:line_end], start - line_start)
        told = help or trap or _HELP[code]
        self.blame(Mistake(code, _SUMMARIES[code], detail=detail, help=told, span=(start, end)))


_HELP: Final = {
    "yaml.recursive-alias": "Write the value out.",
    "yaml.bad-key": "Put it in quotes.",
    "yaml.bad-number": "Put it in quotes if it is a text.",
    "yaml.tag": "Remove the tag, or put the text in quotes.",
}
