"""
Plain documents, read in one pass without positions: what nearly every file is.

Tags, anchors, aliases, merges and mistakes are left to `auditor.config.yaml`, which knows where everything
stands and takes several times as long. For a text that both read, both give the same value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from ruamel.yaml import main
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from auditor.config.nodes import MAX_DEPTH, MAX_NODES
from auditor.config.scalars import MERGE, NULL, READERS, tag_of
from auditor.model.value import JSON

_Events: TypeAlias = Iterator[Any]

_PARSER: Final[Any] = getattr(main, "CParser", None)
"""libyaml's parser; None where the library comes without it."""


class _NotPlainError(Exception):
    """Something of the text needs the other reader."""


def plain(text: str) -> JSON:
    """Return the value of a text that is plain YAML; None where it is not, or has no value."""
    if _PARSER is None or len(text) > MAX_NODES:  # no text has more values than characters
        return None
    try:
        events = iter(_PARSER(text).get_event, None)
        next(events)  # the start of the stream
        start = next(events)
        if type(start) is not DocumentStartEvent or start.version or start.tags:
            return None
        value = _value(next(events), events, 0)
        next(events)  # the end of the document
        return value if type(next(events)) is StreamEndEvent else None
    except (_NotPlainError, YAMLError, ValueError, OverflowError):
        return None


def _value(event: Any, events: _Events, depth: int) -> JSON:
    if event.anchor or event.tag or depth >= MAX_DEPTH:
        raise _NotPlainError
    kind = type(event)
    if kind is ScalarEvent:
        return _scalar(event)
    if kind is MappingStartEvent:
        return _mapping(events, depth)
    if kind is not SequenceStartEvent:
        raise _NotPlainError
    items = []
    while type(event := next(events)) is not SequenceEndEvent:
        items.append(_value(event, events, depth + 1))
    return items


def _mapping(events: _Events, depth: int) -> dict[str, JSON]:
    data: dict[str, JSON] = {}
    while (kind := type(event := next(events))) is not MappingEndEvent:
        if kind is not ScalarEvent or event.anchor or event.tag:
            raise _NotPlainError
        key = event.value
        if key in data or (event.implicit[0] and tag_of(key) in (MERGE, NULL)):
            raise _NotPlainError
        data[key] = _value(next(events), events, depth + 1)
    return data


def _scalar(event: Any) -> JSON:
    text: str = event.value
    tag = tag_of(text) if event.implicit[0] else None
    if tag is None:
        return text
    if tag not in READERS:
        raise _NotPlainError
    return READERS[tag](text)
