"""The parser of SCIM filters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from auditor.model.diagnostic import Mistake, did_you_mean
from auditor.model.value import Values
from auditor.scim.binding import bind
from auditor.scim.lexer import QUOTES, Token, token_at
from auditor.scim.printer import quote
from auditor.scim.tree import (
    RESERVED,
    Attribute,
    Compare,
    Filter,
    In,
    Literal,
    Literals,
    Not,
    Operator,
    Placeholder,
    Present,
    Scalar,
    ValuePath,
    all_of,
    any_of,
    operands,
    terms,
)

MAX_LENGTH = 100_000
"""Characters of the longest filter."""

MAX_DEPTH = 100
"""Parentheses and brackets around the innermost term."""

_QUOTED = QUOTES + '"'
_LATER = frozenset({"bind", "window"})
"""Namespaces whose values are known only after a read."""

_NO_VALUES: Values = MappingProxyType({})
_INDEX = re.compile(r"\[\s*(?:-?[0-9]+|\*)?\s*\]")
_NUMERIC = re.compile(r"[+-]?[0-9._]+")
_CLOSING = {"(": ")", "[": "]"}
_CONSTANTS: Mapping[str, Scalar] = {"true": True, "false": False, "null": None}
_OPERATORS = frozenset({*Operator, "pr", "in"})
# What to write, and what people write who come from other languages.
_OPERATOR_TRAPS = {
    "eq": "= == === is equals equal",
    "ne": "!= !== <> =! neq",
    "lt": "<",
    "le": "<= =< lte",
    "gt": ">",
    "ge": ">= => gte",
    "co": "contains includes has",
    "sw": "startswith starts_with starts-with starts",
    "ew": "endswith ends_with ends-with ends",
    "co, sw or ew": "~ =~ ~= like matches",
    "pr": "exists present",
    "not (...) around the whole comparison": "not !",
}
_CONNECTOR_TRAPS = {"and": "&& & ,", "or": "|| |"}
_INSTEAD_OF_OPERATOR = {word: right for right, wrong in _OPERATOR_TRAPS.items() for word in wrong.split()}
_INSTEAD_OF_CONNECTOR = {word: right for right, wrong in _CONNECTOR_TRAPS.items() for word in wrong.split()}


def parse(text: str, values: Values = _NO_VALUES) -> Filter:
    """
    Read a filter: the grammar of RFC 7644, `attribute in [value, ...]`, and placeholders for values.

    Keywords and operators are read in any case, white space (also line ends) as one space. `not` binds
    tighter than `and`, `and` tighter than `or`. A placeholder that *values* has becomes a typed literal; of
    the rest, those of `bind` and `window` stay in the tree.

    Raises:
        Mistake: the first mistake in the text, with its span and what to write instead. Codes: `scim.syntax`,
            `scim.unknown-operator`, `scim.unknown-placeholder`, `scim.placeholder-in-quotes`,
            `scim.placeholder-type`, `scim.too-large` (over 100,000 characters or 100 nested parentheses).

    Source: RFC 7644, section 3.4.2.2.
    """
    if len(text) > MAX_LENGTH:
        raise Mistake(
            "scim.too-large",
            "filter too long",
            detail=f"{len(text)} characters, of at most {MAX_LENGTH}",
            help="keep long lists in a variable: attribute in ${var.name}",
            span=(MAX_LENGTH, len(text)),
        )
    tree = bind(_Parser(text).parse(), values)
    for _, term in terms(tree):
        for operand in operands(term):
            if isinstance(operand, Placeholder) and operand.name.partition(".")[0] not in _LATER:
                raise Mistake(
                    "scim.unknown-placeholder",
                    "unknown placeholder",
                    detail=f"${{{operand.name}}} has no value here",
                    help=did_you_mean(operand.name, values) or "declare it under variables",
                    span=operand.span,
                )
    return tree


class _Parser:
    """Recursive descent over one text; `token` is the next token and `end` the end of the last one taken."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.token = token_at(text, 0)
        self.end = 0
        self.depth = 0

    def parse(self) -> Filter:
        if self.token.kind == "end":
            raise Mistake(
                "scim.syntax",
                "empty filter",
                detail="the text holds no comparison",
                help='write one, such as userName eq "ada", or leave the filter out to select everything',
                span=(0, len(self.text)),
            )
        tree = self._filter()
        if self.token.kind != "end":
            raise Mistake(
                "scim.syntax",
                "closed but never opened",
                detail=f"nothing before this {self.token.text} opens it",
                help=f"delete the {self.token.text}",
                span=self.token.span,
            )
        return tree

    def _filter(self) -> Filter:
        """Terms joined by `and` and `or`, up to the end or to a closing mark."""
        start = arm = self.token.span[0]
        arms: list[Filter] = []
        joined = [self._term()]
        while word := self._connector():
            if word == "or":
                arms.append(all_of(joined, (arm, self.end)))
                joined = []
            self._take()
            if not joined:
                arm = self.token.span[0]
            joined.append(self._term())
        arms.append(all_of(joined, (arm, self.end)))
        return any_of(arms, (start, self.end))

    def _connector(self) -> str | None:
        token = self.token
        if token.kind in {"end", ")", "]"}:
            return None
        if token.word in {"and", "or"}:
            return token.word
        if instead := _INSTEAD_OF_CONNECTOR.get(token.word):
            raise Mistake(
                "scim.unknown-operator",
                "unknown connector",
                detail=f"{token.shown} joins no terms",
                help=f"write {instead}",
                span=token.span,
            )
        raise Mistake(
            "scim.syntax",
            "terms without a connector",
            detail=f"{token.shown} follows a whole term",
            help="join two terms with and, or with or",
            span=token.span,
        )

    def _term(self) -> Filter:
        start = self.token.span[0]
        if self.token.kind == "(":
            return self._nested()
        if self.token.word in {"not", "!"}:
            return self._not(start)
        attribute = self._attribute()
        if self.token.kind == "[":
            return self._value_path(attribute)
        operator = self._operator(attribute)
        if operator == "pr":
            return Present(attribute, (start, self.end))
        if operator == "in":
            return In(attribute, self._values(), (start, self.end))
        return Compare(attribute, Operator(operator), self._value(operator), (start, self.end))

    def _nested(self) -> Filter:
        """A filter between the mark that is next and the one that closes it."""
        opening = self._take()
        closing = _CLOSING[opening.kind]
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Mistake(
                "scim.too-large",
                "filter nested too deeply",
                detail=f"more than {MAX_DEPTH} parentheses and brackets are open",
                help="write it with fewer",
                span=opening.span,
            )
        tree = self._filter()
        if self.token.kind != closing:
            raise Mistake(
                "scim.syntax",
                "opened but never closed",
                detail=f"no {closing} closes this {opening.kind}",
                help=f"add {closing}",
                span=opening.span,
            )
        self._take()
        self.depth -= 1
        return tree

    def _not(self, start: int) -> Filter:
        word = self._take()
        if word.text == "!":
            raise Mistake(
                "scim.unknown-operator",
                "unknown operator",
                detail="! negates nothing",
                help="write not (...)",
                span=word.span,
            )
        if self.token.kind != "(":
            raise Mistake(
                "scim.syntax",
                "not without parentheses",
                detail="not takes a filter in parentheses",
                help="write not (...)",
                span=word.span,
            )
        return Not(self._nested(), (start, self.end))

    def _value_path(self, attribute: Attribute) -> Filter:
        name = attribute.name
        if index := _INDEX.match(self.text, self.token.span[0]):
            raise Mistake(
                "scim.syntax",
                "index of a list",
                detail=f"a filter cannot choose an element of {name} by its place",
                help=f"leave the brackets out: {name} stands for any of its elements",
                span=index.span(),
            )
        tree = self._nested()
        if self.token.span[0] == self.end and self.token.text.startswith("."):
            raise Mistake(
                "scim.syntax",
                "attribute of a value path",
                detail=f"{self.token.shown} follows the brackets of {name}",
                help=f"compare it inside the brackets: {name}[... and {self.token.shown[1:]} ...]",
                span=self.token.span,
            )
        return ValuePath(attribute, tree, (attribute.span[0] if attribute.span else 0, self.end))

    def _attribute(self) -> Attribute:
        token = self.token
        if token.kind == "word" and token.word not in RESERVED:
            self._take()
            return Attribute(token.text, token.span)
        match token.kind:
            case "string" | "misquoted":
                detail = f"{token.shown} is a string, where an attribute is due"
                help = f"write the attribute first, without quotes: {token.shown.strip(_QUOTED)}"
            case "placeholder":
                detail = f"{token.shown} stands where an attribute is due"
                help = "write the name of an attribute; a placeholder stands only for a value"
            case "end" | ")" | "]" | "word":
                detail = f"a term is missing before {token.shown or 'the end'}"
                help = 'write a term, such as userName eq "ada" or title pr'
            case _:
                detail = f"{token.shown} is no attribute"
                help = 'begin with an attribute, as in userName eq "ada"'
        raise Mistake("scim.syntax", "attribute expected", detail=detail, help=help, span=token.span)

    def _operator(self, attribute: Attribute) -> str:
        token = self.token
        if token.word in _OPERATORS:
            return self._take().word
        if token.kind not in {"word", "symbol", "other"} or token.word in {"and", "or"}:
            raise Mistake(
                "scim.syntax",
                "operator expected",
                detail=f"no operator follows {attribute.name}",
                help=f'write {attribute.name} pr, or a comparison such as {attribute.name} eq "text"',
                span=token.span,
            )
        instead = _INSTEAD_OF_OPERATOR.get(token.word)
        raise Mistake(
            "scim.unknown-operator",
            "unknown operator",
            detail=f"{token.shown} is no operator of SCIM",
            help=f"write {instead}" if instead else did_you_mean(token.shown, _OPERATORS),
            span=token.span,
        )

    def _value(self, operator: str) -> Literal | Placeholder:
        token = self.token
        match token.kind:
            case "string" | "number":
                self._take()
                return Literal(token.value, span=token.span)
            case "placeholder":
                self._take()
                return Placeholder(str(token.value), token.span)
            case "word" if token.text in _CONSTANTS:
                self._take()
                return Literal(_CONSTANTS[token.text], span=token.span)
            case "word" if token.word in _CONSTANTS:
                summary, help = "value expected", f"write {token.word}"
            case "other" if _NUMERIC.fullmatch(token.text):
                summary = "neither a number nor a string"
                help = f"write a number as in JSON (5, -2.5, 1e3), or a string: {quote(token.text)}"
            case "word" | "other" | "misquoted" if token.word not in RESERVED:
                summary, help = "string without double quotes", f"write {quote(token.shown.strip(QUOTES))}"
            case "[":
                summary, help = (
                    "list where one value is due",
                    'compare with a list by in: attribute in ["a", "b"]',
                )
            case _:
                summary = "value expected"
                help = 'write a string such as "text", a number, true, false, null or a placeholder'
        raise Mistake(
            "scim.syntax",
            summary,
            detail=f"{token.shown or 'the end'} follows {operator}",
            help=help,
            span=token.span,
        )

    def _values(self) -> Literals | Placeholder:
        opening = self.token
        if opening.kind == "placeholder":
            self._take()
            return Placeholder(str(opening.value), opening.span)
        if opening.kind != "[":
            raise Mistake(
                "scim.syntax",
                "list expected",
                detail=f"{opening.shown or 'the end'} follows in",
                help='write in ["a", "b"] or in ${var.name}; for a single value write eq',
                span=opening.span,
            )
        self._take()
        items: list[Literal | Placeholder] = []
        while self.token.kind != "]":
            items.append(self._value("," if items else "["))
            if self.token.kind == ",":
                comma = self._take()
                if self.token.kind == "]":
                    raise Mistake(
                        "scim.syntax",
                        "comma at the end of a list",
                        detail="no value follows this comma",
                        help="delete the comma",
                        span=comma.span,
                    )
            elif self.token.kind != "]":
                raise Mistake(
                    "scim.syntax",
                    "list without an end",
                    detail=f"{self.token.shown or 'the end'} follows a value of the list",
                    help="write a comma before the next value, or close the list with ]",
                    span=self.token.span,
                )
        self._take()
        return Literals(tuple(items), span=(opening.span[0], self.end))

    def _take(self) -> Token:
        token, self.end = self.token, self.token.span[1]
        self.token = token_at(self.text, self.end)
        return token
