"""From characters to tokens, exactly as jmespath.py 1.1 cuts them, plus `${…}`."""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from auditor.model.diagnostic import Mistake

if TYPE_CHECKING:
    from auditor.model.source import Span
    from auditor.model.value import JSON

MAX_CHARACTERS: Final = 100_000
"""The longest text that is read."""

MAX_NESTING: Final = 128
"""How deep expressions and literals may nest. The deepest of the compliance suite is 104 projections."""

MAX_DIGITS: Final = 309
"""No number beyond these digits is finite as a double."""

_TOKEN: Final = re.compile(
    r"""
      (?P<space>[ \t\n\r]+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>-?[0-9]+)
    | (?P<raw>'[^'\\]*(?:\\.[^'\\]*)*')
    | (?P<literal>`[^`\\]*(?:\\.[^`\\]*)*`)
    | (?P<quoted>"[^"\\]*(?:\\.[^"\\]*)*")
    | (?P<placeholder>\$\{[^{}'"`]*\})
    | (?P<mark>\|\||&&|==|!=|<=|>=|\[\]|\[\?|[.*,:@(){}\[\]|&<>!])
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING: Final = re.compile(r"\$?\$\{")
_PLACEHOLDER: Final = re.compile(r"\$\{ *([A-Za-z_][A-Za-z0-9_.-]*) *\}")

_HELP: Final = {
    "'": "close the text with '",
    "`": "close the literal with `",
    '"': 'close the name with "',
    "=": "type == to compare",
    "-": 'write a number as `-1`, a name with a dash as "a-name", and subtract with sub(a, b)',
    "+": "add with add(a, b)",
    "/": "divide with div(a, b)",
    "%": "remainders are not available; divide with div(a, b)",
    "$": "a placeholder is written ${var.name}",
    "?": "a filter is written list[?condition]",
    "~": "search a pattern with matches(text, 'pattern')",
    ";": "one expression only; combine several with && or ||",
    "^": "not is written !, and a pattern is searched with matches(text, 'pattern')",
    "#": "there are no comments inside an expression",
    "\\": "a backslash stands only inside quotes",
}


@dataclass(frozen=True, slots=True)
class Token:
    """
    One token.

    `kind` is `name`, `quoted`, `number`, `literal`, `placeholder`, `end`, or the mark itself. `value` is the
    name, the whole number, or the JSON value; `text` is what stands in the source.
    """

    kind: str
    text: str
    value: JSON
    span: Span


def tokenize(text: str) -> list[Token]:
    """
    Cut a text into tokens, the last of which is `end`.

    Raises:
        Mistake: `jmes.syntax`, `jmes.too-large`, `jmes.number-out-of-range`, `jmes.placeholder-in-quotes`.
    """
    if len(text) > MAX_CHARACTERS:
        raise Mistake(
            "jmes.too-large",
            "the expression is too long",
            detail=f"{len(text)} characters; {MAX_CHARACTERS} are read",
            help="split it into several expectations, or put its lists into variables",
            span=(MAX_CHARACTERS, len(text)),
        )
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unreadable(text, position)
        kind = match.lastgroup or ""
        if kind != "space":
            tokens.append(_token(kind, match[0], match.span()))
        position = match.end()
    tokens.append(Token("end", "", None, (len(text), len(text))))
    return tokens


def check_literal(value: JSON, span: Span) -> None:
    """
    Refuse a literal that nests too deep, or holds a number that is no finite double.

    Raises:
        Mistake: `jmes.too-large` or `jmes.number-out-of-range`.
    """
    level = [value]
    for _ in range(MAX_NESTING):
        below: list[JSON] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, float) and not math.isfinite(item):
                raise _out_of_range(span)
        if not below:
            return
        level = below
    raise too_deep(span)


def too_deep(span: Span) -> Mistake:
    """Return the mistake of nesting deeper than `MAX_NESTING`."""
    return Mistake(
        "jmes.too-large",
        "the expression nests too deep",
        detail=f"more than {MAX_NESTING} levels",
        help="split it with |, or into several expectations",
        span=span,
    )


def _token(kind: str, text: str, span: Span) -> Token:
    match kind:
        case "name":
            return Token("name", text, text, span)
        case "number":
            return Token("number", text, _integer(text, span), span)
        case "raw":
            return Token("literal", text, _between(text, span).replace("\\'", "'"), span)
        case "literal":
            return Token("literal", text, _json_literal(_between(text, span), span), span)
        case "quoted":
            return Token("quoted", text, _quoted_name(f'"{_between(text, span)}"', span), span)
        case "placeholder":
            return Token("placeholder", text, _placeholder_name(text, span), span)
        case _:
            return Token(text, text, None, span)


def _between(text: str, span: Span) -> str:
    """Return what stands between quotes, with `$${` as `${`; a bare `${` is a mistake."""

    def unescape(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        closing = text.find("}", found.end())
        end = closing + 1 if closing > 0 else found.end()
        placeholder = text[found.start() : end]
        raise Mistake(
            "jmes.placeholder-in-quotes",
            "a placeholder stands inside quotes",
            detail=f"{placeholder} is a value of its own, not a piece of text",
            help=f"drop the quotes: {placeholder}; for the characters themselves type $${{",
            span=(span[0] + found.start(), span[0] + end),
        )

    # Positions inside `text` are those of the token, so its quotes are cut off only afterwards.
    return _OPENING.sub(unescape, text)[1:-1]


def _json_literal(body: str, span: Span) -> JSON:
    body = body.replace("\\`", "`")

    def integer(digits: str) -> int:
        return _integer(digits, span)

    def constant(_: str) -> Any:
        raise _out_of_range(span)

    try:
        value = json.loads(body, parse_int=integer, parse_constant=constant)
    except ValueError:
        try:  # JMESPath once allowed strings without their quotes (JEP 12), and jmespath.py still does
            value = json.loads(f'"{body.lstrip()}"')
        except ValueError as error:
            raise Mistake(
                "jmes.syntax",
                "the text between backticks is no JSON",
                detail=str(error).partition(":")[0],
                help='write text as \'text\', and JSON between backticks: `1`, `true`, `["a", "b"]`',
                span=span,
            ) from None
    except RecursionError:
        raise too_deep(span) from None
    check_literal(value, span)
    return value


def _quoted_name(text: str, span: Span) -> str:
    try:
        return str(json.loads(text))
    except ValueError as error:
        raise Mistake(
            "jmes.syntax",
            "the name between double quotes is no JSON string",
            detail=str(error).partition(":")[0],
            help=r"escape as in JSON: \" \\ \n \u00e9",
            span=span,
        ) from None


def _placeholder_name(text: str, span: Span) -> str:
    match = _PLACEHOLDER.fullmatch(text)
    if match is None:
        raise Mistake(
            "jmes.syntax",
            "this is no placeholder",
            detail=text,
            help="a placeholder is written ${var.name}, ${local.name} or ${bind.name}",
            span=span,
        )
    return match[1]


def _integer(digits: str, span: Span) -> int:
    if len(digits) <= MAX_DIGITS + 1:  # the sign
        number = int(digits)
        if abs(number) <= sys.float_info.max:
            return number
    raise _out_of_range(span)


def _out_of_range(span: Span) -> Mistake:
    return Mistake(
        "jmes.number-out-of-range",
        "a number must be finite",
        detail="NaN, Infinity and numbers beyond 1.8e308 are not read",
        span=span,
    )


def _unreadable(text: str, position: int) -> Mistake:
    character = text[position]
    opens = character in "'`\"" or text.startswith("${", position)
    return Mistake(
        "jmes.syntax",
        "this never ends" if opens else "this character means nothing here",
        detail=f"{text[position : position + 20]!r}" if opens else repr(character),
        help=_HELP.get(character, "text is written 'text', and a name with other characters \"a name\""),
        span=(position, len(text) if opens else position + 1),
    )
