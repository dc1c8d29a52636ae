"""The JSON of answers, in which records are left as they came until each is looked at."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec

from auditor.fetcher.failures import FetchError
from auditor.model.decoding import UNLIKE, splitter
from auditor.model.resource import ResourceKind
from auditor.model.value import JSON, parse_json

Found: TypeAlias = dict[str, Any] | msgspec.Raw
"""A record of a page, or its bytes."""

_OPENING: Final = ord("{")

Read: TypeAlias = Callable[[bytes], JSON]
"""Reads the body of an answer; raises ValueError where it is no JSON."""


def reader(kind: ResourceKind) -> Read:
    """
    Return what reads answers of a kind: of its pages what leads on or counts, and the records as bytes.

    A page whose records are decoded one by one, each right before it is looked at, costs a fifth less than one that is
    decoded whole: that does not fit into the processor's cache. An answer of another shape is decoded whole, and
    so are records that may hold a secret.
    """
    page = kind.page
    if page.items is None or kind.secret:
        return parse_json
    beside = (page.total, *page.back, *filter(None, (page.next, kind.post and kind.post.offset)))
    return partial(_read, splitter(page.items, beside))


def _read(split: Read, body: bytes) -> JSON:
    try:
        if not body.isascii():
            body.decode()  # msgspec does not look at texts that nobody asked for
        return split(body)
    except UNLIKE:
        return parse_json(body)


def is_record(found: JSON) -> bool:
    """Tell whether what stands on a page is an object, or the bytes of one."""
    return memoryview(found)[0] == _OPENING if isinstance(found, msgspec.Raw) else isinstance(found, dict)


def record(found: Found, number: int) -> dict[str, Any]:
    """
    Return a record, known by its number on its page.

    Raises:
        FetchError: it can not be read.
    """
    if isinstance(found, dict):
        return found
    try:
        read: dict[str, Any] = parse_json(bytes(found))
    except ValueError as error:
        raise FetchError(
            "evidence.not-json",
            f"Record {number} of a page can not be read: {error}.",
            "Check whether a gateway or proxy answers instead of PingOne.",
        ) from None
    return read
