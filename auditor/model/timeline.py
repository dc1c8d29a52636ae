"""Texts of instants as records hold them: in which order they are, quickly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from auditor.model.instant import parse_instant

_USUAL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
"""The form in which PingOne writes instants; texts of this form are in the order of time."""

_LENGTH: Final = 24
_MOST_DAYS: Final = 100_000


class _Known:
    """The parts of instants of the usual form that were read before; any that are made of such can be read."""

    def __init__(self) -> None:
        self._days: set[str] = set()
        self._minutes: set[str] = set()
        self._seconds: set[str] = set()
        self._thousandths: set[str] = set()

    def __contains__(self, text: str) -> bool:
        return (
            len(text) == _LENGTH
            and text[:11] in self._days
            and text[11:17] in self._minutes
            and text[17:20] in self._seconds
            and text[20:] in self._thousandths
        )

    def add(self, text: str) -> None:
        """Remember an instant that could be read."""
        if _USUAL.fullmatch(text) and len(self._days) < _MOST_DAYS:
            self._days.add(text[:11])
            self._minutes.add(text[11:17])
            self._seconds.add(text[17:20])
            self._thousandths.add(text[20:])


KNOWN: Final = _Known()
"""Instants of the usual form that need not be read again."""


_DIGITS: Final = bytes.maketrans(b"0123456789", b"0" * 10)
_FORM: Final = b"0000-00-00T00:00:00.000Z\n"
_TENS: Final = b"012345"
"""Digits with which minutes and seconds begin."""

_MINUTE, _SECOND, _HOUR_ENDS = 14, 17, 13
"""Where minutes and seconds of the usual form begin, and where its hour ends."""


def span(texts: Sequence[str]) -> tuple[str, str] | None:
    """
    Return the first and the last of some instants, if all are of the usual form; None if any is not, or is none.

    Raises:
        TypeError: one is no text.
    """
    try:
        joined = "\n".join(texts).encode()
    except UnicodeEncodeError:
        return None
    if not joined or joined.translate(_DIGITS) != (_FORM * len(texts))[:-1]:
        return None
    if joined[_MINUTE :: len(_FORM)].strip(_TENS) or joined[_SECOND :: len(_FORM)].strip(_TENS):
        return None
    ordered = sorted(texts)  # which is quick on what is in order, or backwards
    first, last = ordered[0], ordered[-1]
    # What these two begin with, all others do.
    hours = {first[:_HOUR_ENDS], last[:_HOUR_ENDS]}
    if len(hours) > 1:
        hours = {text[:_HOUR_ENDS] for text in texts}
    return (first, last) if all(map(_is_hour, hours)) else None


@lru_cache(maxsize=1024)
def _is_hour(text: str) -> bool:
    """Tell whether there is an hour that an instant of the usual form begins with."""
    try:
        return parse_instant(f"{text}:59:59.999Z") is not None  # some Pythons read 24:00:00
    except ValueError:
        return False


def sortable(text: str) -> str:
    """
    Return an instant as a text of which all are in the order of time.

    Raises:
        ValueError: the text is no instant.
    """
    if text in KNOWN:
        return text[:-1]
    instant = parse_instant(text)
    KNOWN.add(text)
    if text in KNOWN:
        return text[:-1]
    # Milliseconds, and what is more precise after them: a text comes after those that it begins with.
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds").removesuffix("000")
