"""Texts that YAML reads as something of its own: brackets, tags, aliases, comments, further mappings."""

from __future__ import annotations

import re
from typing import Final

_TEXT_KEYS: Final = (
    "every",
    "none",
    "some",
    "that",
    "where",
    "condition",
    "message",
    "title",
    "description",
    "remediation",
)
_ENTRY: Final = re.compile(rf"(?<![\w\"'])(?:{'|'.join(_TEXT_KEYS)}|(?P<short>expect))[ \t]*:[ \t]+(?=\S)")
_BLOCK_HEADER: Final = re.compile(r"[|>][-+0-9]*")
_QUOTED: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\"")
_COMMENT: Final = re.compile(r"(?<!\S)#")
_INDICATORS: Final = "[]{}@!&*`%|>,#\"'"
_DATA: Final = re.compile(r"\{|\[(?![?*])")
"""How the value of `expect` may begin without being an expression: it also takes a mapping or a list."""


def quoted_form(line: str, position: int | None = None) -> str:
    """
    Return a help that shows the texts of a line in quotes, where YAML does not read them as their author meant.

    Result: why quotes are needed and the line as it should be, or an empty text where the line is no trap, or
    where *position* is given and no such text stands there.
    """
    reason, shown, done, is_there = "", "", 0, position is None
    code_end = _end(line, 0, in_flow=False)
    while entry := _ENTRY.search(line, done, code_end):
        before, start = line[: entry.start()], entry.end()
        in_flow = before.count("{") > before.count("}")
        text = line[start : _end(line, start, in_flow=in_flow)].rstrip()
        is_data = bool(entry["short"] and _DATA.match(text))
        why = "" if is_data else _why(text, in_flow=in_flow, is_short=bool(entry["short"]))
        end = start + (0 if is_data else len(text))
        written = "'" + line[start:end].replace("'", "''") + "'" if why else line[start:end]
        is_there |= bool(why) and position is not None and entry.start() <= position < end
        reason, shown, done = reason or why, f"{shown}{line[done:start]}{written}", end
    return f"{reason}:\n{(shown + line[done:]).strip()}" if reason and is_there else ""


def _why(text: str, *, in_flow: bool, is_short: bool) -> str:
    if not text or _BLOCK_HEADER.fullmatch(text) or _QUOTED.fullmatch(text):
        return ""
    if text[0] in "'\"" and text.count(text[0]) == 1:
        return ""  # a quote that is not closed
    if text[0] in _INDICATORS:
        return f"A text that begins with {text[0]} must stand in quotes"
    if in_flow and re.search(r"[,\[\]{}]", text):
        return "Inside { } a comma or a bracket ends a text: it must stand in quotes"
    if is_short:
        return ""  # whatever has a colon there is a mapping on the wrong line
    if re.search(r":(?:\s|$)", text):
        return "A text that holds a colon and a space must stand in quotes"
    if re.search(r"\s#", text):
        return "After a space, # begins a comment: the text must stand in quotes"
    return ""


def _end(line: str, start: int, *, in_flow: bool) -> int:
    """Return where a text ends that its author meant to begin at *start*: quotes and brackets are kept whole."""
    quote, depth = "", 0
    for position in range(start, len(line)):
        character = line[position]
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'`":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            if in_flow and not depth:
                return position
            depth -= 1
        elif _COMMENT.match(line, position) or (character == "," and in_flow and not depth):
            return position
    return len(line)
