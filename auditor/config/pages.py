"""Pages and arrays of records: read whole, split by a parser, or cut into arrays without one."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from auditor.model.decoding import SPLIT, UNLIKE, splitter
from auditor.model.resource import ResourceKind, value_at
from auditor.model.value import JSON, parse_json


@dataclass(frozen=True, slots=True)
class Page:
    """The records of a page or an array, and what it says of the rest."""

    items: Sequence[Any]
    links_on: bool | None = None
    count: int | None = None


def read_page(content: bytes, kind: ResourceKind) -> Page:
    """Return the page, the array or the one record that a document is."""
    document = parse_json(content)
    page = Page(document) if isinstance(document, list) else _of_document(document, kind)
    for position, record in enumerate(page.items, start=1):
        if not isinstance(record, dict):
            raise ValueError(f"record {position} is no object")
    return page


def _of_document(document: JSON, kind: ResourceKind) -> Page:
    """Return a page as PingOne answers it, or the one record that the document is."""
    if not isinstance(document, dict):
        raise ValueError("it is neither an object nor an array")
    items = value_at(document, kind.page.items) if kind.page.items else None
    if isinstance(items, list):
        count = value_at(document, kind.page.total) if kind.page.count == "items" else None
        return Page(
            items,
            links_on=bool(kind.page.next and value_at(document, kind.page.next)),
            count=count if isinstance(count, int) else None,
        )
    if any(value_at(document, path) is None for path in kind.identity):
        page = f"neither a page with {kind.page.items} nor a" if kind.page.items else "no"
        raise ValueError(f"it is {page} record of {kind.kind}")
    return Page([document])


def split_page(content: bytes, kind: ResourceKind) -> Page | None:
    """Return a page or an array of which the records are bytes; None where it is neither."""
    page = kind.page
    try:
        if content.lstrip().startswith(b"["):
            return Page(SPLIT(content))
        if page.items is None:
            return None
        split = splitter(page.items, tuple(filter(None, (page.next, page.total))))
        found = _of_document(split(content), kind)
    except UNLIKE:
        return None
    return found if all(isinstance(item, msgspec.Raw) for item in found.items) else None


_BEGINNING: Final = re.compile(rb'\{"[^"\\]*"')
"""How records begin: with the name of their first field."""

_MARK: Final = json.dumps(secrets.token_hex(16)).encode()
"""Stands where the records of a page stood; no page holds it."""


class Frame(NamedTuple):
    """Where the records of a page begin and end, and the text that stands between two of them."""

    start: int
    end: int
    between: bytes

    def arrays(self, content: bytes, least: int) -> Iterator[tuple[int, bytes]]:
        """
        Yield the records as arrays of at least so many bytes, each with the place where they begin.

        They are cut where the text stands, which is quicker than to parse them. An array is JSON as long as that is
        right: what was cut inside of a record or of a text is none, and what comes after it need not be right.
        """
        place = self.start
        while place < self.end:
            cut = content.find(self.between, place + least, self.end)
            end = self.end if cut < 0 else cut + 1
            yield place, b"[%b]" % content[place:end]
            place = end + 1

    def rest(self, content: bytes, place: int, kind: ResourceKind) -> list[bytes]:
        """
        Return the records from a place on, told apart by a parser.

        Raises:
            ValueError: those before it are not among what the page holds, which has a list of that name twice.
        """
        page = split_page(b"%b%b,%b" % (content[: self.start], _MARK, content[place:]), kind)
        mark, *texts = map(bytes, page.items) if page else [b""]
        if mark != _MARK:
            raise ValueError("its records can not be told apart")
        return texts


def frame(content: bytes, kind: ResourceKind) -> Frame | None:
    """
    Return the frame of a page, or of an array; None if it is not as simple as those of PingOne.

    The page is parsed with something else in place of its records: so they are where it says, if they are JSON.
    """
    if content.startswith(b"["):
        opening = re.match(rb"\[", content)
    else:
        name = json.dumps((kind.page.items or "").rpartition(".")[2]).encode()
        opening = re.search(re.escape(name) + rb":\[", content)
    start = opening.end() if opening else 0
    beginning = _BEGINNING.match(content, start)
    end = content.rfind(b"}]") + 1
    if beginning is None or end <= start:
        return None
    found = split_page(content[:start] + _MARK + content[end:], kind)
    if found is None or [bytes(item) for item in found.items] != [_MARK]:
        return None
    return Frame(start, end, b"}," + beginning[0])
