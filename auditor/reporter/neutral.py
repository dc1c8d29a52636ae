"""Hostile text made harmless: what a tenant or a policy says must not act on whoever reads the report."""

from __future__ import annotations

import json
import re
from typing import Final

import orjson

from auditor.model.value import JSON

_PLANE_ENDS: Final = "".join(rf"\U{plane:04x}fffe\U{plane:04x}ffff" for plane in range(1, 17))

# Written as code points, so that this file itself holds none of them.
_HOSTILE: Final = re.compile(
    "["
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline: terminal escapes, overwriting
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # Bidi_Control (UAX #9): text that reads as another
    r"\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # text that does not show
    r"\u2028\u2029"  # line ends that only some readers know
    r"\ud800-\udfff\ufffe\uffff"  # what UTF-8 or XML 1.0 (section 2.2, Char) can not hold
    rf"\ufdd0-\ufdef{_PLANE_ENDS}"  # noncharacters (Unicode, section 23.7), which HTML does not take
    "]"
)


def visible(text: str) -> str:
    r"""
    Return a text with every hostile character written as JSON would escape it, such as `\u001b`.

    Tabs and newlines stay. Beyond U+FFFF the escape is a surrogate pair, so that on a whole JSON document
    this changes no value: there a hostile character can stand only inside a string.
    """
    # Whatever is hostile is not printable to Python, which looks thirty times as fast.
    if text.replace("\n", " ").replace("\t", " ").isprintable():
        return text
    return _HOSTILE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return re.sub(r"(.{4})", r"\\u\1", units)


def as_json(document: JSON) -> str:
    """Return a document as JSON: two spaces of indentation, a newline at the end, nothing hostile as itself."""
    try:
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    except TypeError:  # a lone surrogate or a number of more than 64 bits, which it refuses
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return visible(text) + "\n"


def unattached(text: str) -> str:
    """Return a text fit for JUnit: visible, and without the mark of a file that GitLab and Azure DevOps attach."""
    return visible(text).replace("[[ATTACHMENT|", r"[[ATTACHMENT\u007c")


def one_line(text: str) -> str:
    """Return a text as one visible line: every run of white space is one space, and none is at the ends."""
    return " ".join(visible(text).split())


def shorten(text: str, limit: int) -> str:
    """Return a text of at most *limit* characters, ending with `…` where some are missing."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
