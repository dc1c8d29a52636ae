"""The tokens of a filter, read one at a time so that the first mistake in the text is the one reported."""

from __future__ import annotations

import json
import re
from typing import NamedTuple, NoReturn

from auditor.model.diagnostic import Mistake
from auditor.model.source import Span
from auditor.scim.printer import quote
from auditor.scim.tree import ATTRIBUTE_NAME, PLACEHOLDER_NAME, Scalar, is_scalar

QUOTES = "'`\u00b4\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
"""What people and word processors put around a text instead of `"`: accents, curled quotes, guillemets."""

_SPACE = re.compile(r"[ \t\r\n]*")
_TOKEN = re.compile(
    rf"""
      (?P<placeholder> \$\{{ [^}}\s]* \}}? )
    | (?P<mark>        [()\[\],] )
    | (?P<symbol>      [=<>!&|~^]+ )
    | (?P<misquoted>   [{QUOTES}] [^{QUOTES}]* [{QUOTES}] )
    | (?P<run>         (?: (?!\$\{{) [^\s()\[\],"=<>!&|~^] )+ )
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
# Possessive, so that a long text that is never closed is read once.
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_PLACEHOLDER_IN_STRING = re.compile(r"(?<!\$)\$\{(?:(?P<name>[^{}\"]*)\})?")


class Token(NamedTuple):
    """
    One token.

    `kind` is `word` (what could be an attribute's name, keywords among them), `string`, `number`,
    `placeholder`, `symbol` (a run of `=<>!&|~^`), `misquoted`, `other`, `end`, or the mark itself of
    `( ) [ ] ,`. `value` is that of a string or a number, and the name of a placeholder.
    """

    kind: str
    text: str
    span: Span
    value: Scalar = None

    @property
    def word(self) -> str:
        """The text in lower case, as keywords and operators are compared."""
        return self.text.lower()

    @property
    def shown(self) -> str:
        """The text as messages show it."""
        return _shorten(self.text)


def token_at(text: str, position: int) -> Token:
    """
    Return the token that begins at a position, or after the white space there.

    Raises:
        Mistake: there is no whole token; its code is `scim.syntax`, `scim.placeholder-in-quotes` or, of a
            number that is beyond any reader, `scim.too-large`.
    """
    white = _SPACE.match(text, position)
    start = white.end() if white else position
    if start == len(text):
        return Token("end", "", (start, start))
    if text[start] == '"':
        return _string(text, start)
    match = _TOKEN.match(text, start)
    if not match:
        raise Mistake(
            "scim.syntax",
            "character that no filter holds",
            detail=f"U+{ord(text[start]):04X} stands outside of quotes",
            help="delete it, or write an ordinary space",
            span=(start, start + 1),
        )
    token, span = match[0], match.span()
    match match.lastgroup:
        case "placeholder":
            return _placeholder(token, span)
        case "mark":
            return Token(token, token, span)
        case "run" if number := _NUMBER.fullmatch(token):
            return Token("number", token, span, _number(token, span, whole=not number["fraction"]))
        case "run":
            return Token("word" if ATTRIBUTE_NAME.fullmatch(token) else "other", token, span)
        case kind:
            return Token(str(kind), token, span)


def _shorten(text: str) -> str:
    """Return the text, cut to what a line of a message can hold."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def _placeholder(token: str, span: Span) -> Token:
    name = token[2:-1]
    if not token.endswith("}") or not PLACEHOLDER_NAME.fullmatch(name):
        raise Mistake(
            "scim.syntax",
            "malformed placeholder",
            detail=f"{_shorten(token)} names no value",
            help="write ${var.name}, without spaces",
            span=span,
        )
    return Token("placeholder", token, span, name)


def _number(token: str, span: Span, *, whole: bool) -> float:
    value = float(token)
    if not is_scalar(value):
        raise Mistake(
            "scim.too-large",
            "number too large",
            detail="it is beyond the range of a double, which is what readers of JSON hold",
            help="write a number of at most 308 digits",
            span=span,
        )
    return int(token) if whole else value


def _string(text: str, start: int) -> Token:
    match = _STRING.match(text, start)
    end = match.end() if match else start
    if text[end : end + 1] != '"':
        _raise_broken_string(text, start, end)
    span = (start, end + 1)
    token = text[start : end + 1]
    if placeholder := _PLACEHOLDER_IN_STRING.search(token):
        _raise_placeholder_in_quotes(token, placeholder, start)
    return Token("string", token, span, json.loads(token.replace("$${", "${")))


def _raise_broken_string(text: str, start: int, end: int) -> NoReturn:
    if end == len(text):
        raise Mistake(
            "scim.syntax",
            "string without an end",
            detail='a string is not closed by "',
            help='add the closing "',
            span=(start, end),
        )
    if text[end] == "\\":
        length = 6 if text[end + 1 : end + 2] == "u" else 2
        raise Mistake(
            "scim.syntax",
            "unknown escape in a string",
            detail="the backslash begins no escape of JSON",
            help=r"write \\ for a backslash; the others are \" \/ \b \f \n \r \t and \u with four hex digits",
            span=(end, min(end + length, len(text))),
        )
    raise Mistake(
        "scim.syntax",
        "control character in a string",
        detail=f"U+{ord(text[end]):04X} stands in a string as it is",
        help=f"write {quote(text[end])[1:-1]}",
        span=(end, end + 1),
    )


def _raise_placeholder_in_quotes(token: str, placeholder: re.Match[str], start: int) -> NoReturn:
    inside = _shorten(placeholder[0])
    if placeholder["name"] is None:
        help = "for the characters themselves write $${"
    elif token[1:-1] == placeholder[0]:
        help = f"drop the quotes: {inside} (for the characters themselves write $${{)"
    else:
        help = "drop the quotes, and let the variable hold the whole text (for the characters write $${)"
    raise Mistake(
        "scim.placeholder-in-quotes",
        "placeholder inside quotes",
        detail=f"{inside} would be text here, not a value",
        help=help,
        span=(start + placeholder.start(), start + placeholder.end()),
    )
