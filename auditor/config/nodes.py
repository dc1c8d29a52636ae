"""
YAML texts as nodes that know where they stand.

The scanner is libyaml's, the reading of plain scalars that of YAML 1.2. Nothing in a document can execute
anything, and its size and depth are bounded, since policies come from merge requests.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.nodes import Node

from auditor.config.lines import line_at
from auditor.config.traps import quoted_form
from auditor.model.diagnostic import Mistake
from auditor.model.source import Span

MAX_DEPTH: Final = 64
MAX_NODES: Final = 100_000
"""Values of a document, every alias written out: a "billion laughs" has more."""

_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What is no printable character of YAML 1.2 (section 5.1)."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LINE_ENDS_OF_YAML_1_1: Final = re.compile("[\x85\u2028\u2029]")
_MAX_SLOW: Final = 256 * 1024
"""Longest text that the slower scanner reads, in a few seconds."""


@lru_cache(maxsize=64)
def compose(text: str) -> Node | None:
    """
    Return the root node of the one document in a text; None where there is none.

    Raises:
        Mistake: the text is no YAML or beyond the bounds; its span counts characters of the text.
    """
    if forbidden := _FORBIDDEN.search(text):
        raise Mistake(
            "yaml.syntax",
            "Not YAML",
            detail=f"YAML does not allow the character U+{ord(forbidden[0]):04X}.",
            help="Remove it, or write it as an escape such as \\u0000 inside double quotes.",
            span=forbidden.span(),
        )
    problems: list[MarkedYAMLError] = []
    # libyaml is quick, and refuses some of what YAML 1.2 allows, such as {from: 2026-11-21T09:00:00Z}. The slower
    # scanner does not, but ends no line where YAML 1.1 did.
    may_be_slow = len(text) <= _MAX_SLOW and not _LINE_ENDS_OF_YAML_1_1.search(text)
    for pure in (False, True) if may_be_slow else (False,):
        try:
            return _composed(text, pure=pure)
        except MarkedYAMLError as error:
            problems.append(error)
        except (ValueError, OverflowError):
            continue  # an escape that stands for no character, which only libyaml tells with its place
    # Of two scanners the one that came further is right about what is wrong.
    raise _syntax_mistake(max(problems, key=lambda error: int(_mark(error).index)), text)


def span(node: Node, text: str) -> Span:
    """Return where a node starts and ends; the end of a block is that of its last line, not the next start."""
    start = int(node.start_mark.index)
    return start, max(start, len(text[: node.end_mark.index].rstrip()))


def too_large(limit: str, span: Span) -> Mistake:
    """Return the mistake of a document that goes beyond a limit at a span of its text."""
    return Mistake("yaml.too-large", "Document too large", detail=f"It has more than {limit}.", span=span)


def _composed(text: str, *, pure: bool) -> Node | None:
    # libyaml composes by recursion in C: some ten thousand levels overflow its stack, and the process dies
    # without an exception. Its events come without recursion, so they are counted first.
    depth = 0
    anchors: set[str] = set()
    for number, event in enumerate(YAML(typ="safe", pure=pure).parse(text)):
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise too_large(f"{MAX_DEPTH} levels", _one_character(event.start_mark))
        if number > 2 * MAX_NODES:  # a collection has two events
            raise too_large(f"{MAX_NODES} values", _one_character(event.start_mark))
        if isinstance(event, NodeEvent) and not isinstance(event, AliasEvent) and event.anchor:
            if event.anchor in anchors:
                raise _not_yaml("The anchor is there already.", "Give it another name.", event.start_mark)
            anchors.add(event.anchor)
        if pure and isinstance(event, ScalarEvent) and _SURROGATE.search(event.value):
            raise _not_yaml("An escape stands for no character.", "Write it out.", event.start_mark)
    node: Node | None = YAML(typ="safe", pure=pure).compose(text)
    return node


def _syntax_mistake(error: MarkedYAMLError, text: str) -> Mistake:
    context, mark = error.context_mark, _mark(error)
    if context and not text[mark.index :].strip():
        mark = context  # what is missing at the end of the text began here
    words = " ".join(part for part in (error.context, error.problem) if part)
    words = re.sub(r" '[^']{2,}'", "", words)  # the slower scanner quotes what may be a secret
    # The scanner often notices only on the next line what went wrong on the one before.
    suspects = (mark.index, context.index if context else mark.index, mark.index - mark.column - 1)
    traps = (quoted_form(line_at(text, max(offset, 0))) for offset in suspects)
    help = next(filter(None, traps), "Check indentation, colons, quotes and brackets around this place.")
    return _not_yaml(f"{words[:1].upper()}{words[1:]}.", help, mark)


def _mark(error: MarkedYAMLError) -> Any:
    return error.problem_mark or error.context_mark


def _not_yaml(detail: str, help: str, mark: Any) -> Mistake:
    return Mistake("yaml.syntax", "Not YAML", detail=detail, help=help, span=_one_character(mark))


def _one_character(mark: Any) -> Span:
    return int(mark.index), int(mark.index) + 1
