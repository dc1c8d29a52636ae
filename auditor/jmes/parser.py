"""
From text to tree: a Pratt parser for the grammar of jmespath.py 1.1, with placeholders.

What jmespath.py accepts is accepted, with the same meaning; also that `!a.b` is `(!a).b`, that `x.*.a.b` ends
its projection before `.b`, and that commas between arguments may be missing. Stricter on purpose:

- functions and the number of their arguments must be right, `&expression` stands only where a function takes
  one, and literal arguments of the dialect's own kinds (patterns, units, zones, …) must be readable;
- a slice names each of its numbers once, and its step is not 0;
- numbers are finite, and texts, nesting and literals are bounded (`auditor.jmes.lexer`).

Source: https://jmespath.org/specification.html, section "Grammar", and jmespath.py 1.1 where it differs.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from auditor.jmes.functions import FUNCTIONS, Function, Parameter
from auditor.jmes.kinds import Refused
from auditor.jmes.lexer import MAX_NESTING, Token, check_literal, tokenize, too_deep
from auditor.jmes.tree import (
    And,
    Call,
    Comparison,
    Current,
    Field,
    FilterProjection,
    FlattenProjection,
    Index,
    ListProjection,
    Literal,
    MultiSelectHash,
    MultiSelectList,
    Node,
    Not,
    Or,
    Pipe,
    Placeholder,
    Reference,
    Slice,
    SliceProjection,
    Subexpression,
    ValueProjection,
    children,
)
from auditor.model.diagnostic import Mistake, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.model.source import Span
    from auditor.model.value import Values

POWER: Final = MappingProxyType(
    {
        "|": 1,
        "||": 2,
        "&&": 3,
        **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), 5),
        "[]": 9,
        "*": 20,
        "[?": 21,
        ".": 40,
        "!": 45,
        "{": 50,
        "[": 55,
        "(": 60,
    }
)
"""How strongly a mark binds to what is left of it; every other token binds with 0 and ends an expression."""

STOPS_PROJECTION: Final = 10
"""Marks that bind weaker than this work on a projection as a whole, others on its elements."""

_NO_VALUES: Final[Values] = MappingProxyType({})
_WORDS: Final = {"and": "&&", "or": "||", "not": "!", "is": "==", "in": "contains(list, value)"}


def parse(text: str, values: Values = _NO_VALUES, *, open_names: bool = False) -> Node:
    """
    Read an expression.

    A placeholder found in *values* becomes a `Literal` that remembers its name; a `bind` one that is not
    found stays a `Placeholder`, and with *open_names* any other one too.

    Raises:
        Mistake: with the span of the mistake in *text* and one of the codes `jmes.syntax`, `jmes.too-large`,
            `jmes.number-out-of-range`, `jmes.unknown-function`, `jmes.wrong-argument-count`,
            `jmes.type-error` (an expression reference too many or too few), `jmes.not-literal`,
            `jmes.bad-value` (an argument that can never be read), `jmes.zero-step`,
            `jmes.unknown-placeholder` and `jmes.placeholder-in-quotes`.
    """
    return _read(text, values, open_names=open_names) if "${" in text else _read_once(text)


@lru_cache(maxsize=4096)
def _read_once(text: str) -> Node:
    """Read an expression without placeholders: the fields of one kind stand in many messages and conditions."""
    return _read(text, _NO_VALUES)


def _read(text: str, values: Values, *, open_names: bool = False) -> Node:
    tokens = tokenize(text)
    if len(tokens) == 1:
        raise Mistake(
            "jmes.syntax",
            "an expression is missing",
            help="type an expression such as actors.user.id, or @ for the whole value",
            span=(0, len(text)),
        )
    node = _Parser(tokens, values, open_names=open_names).parse()
    _check_depth(node)
    return node


def _check_depth(node: Node) -> None:
    level = [node]
    for _ in range(MAX_NESTING):
        level = [below for above in level for below in children(above)]
        if not level:
            return
    raise too_deep(level[0].span)


class _Parser:
    """One pass over the tokens of one text."""

    def __init__(self, tokens: list[Token], values: Values, *, open_names: bool) -> None:
        self._tokens = tokens
        self._values = values
        self._open_names = open_names
        self._position = 0
        self._nesting = 0

    def parse(self) -> Node:
        node = self._expression(0)
        if self._next.kind != "end":
            raise self._unexpected("an operator")
        return node

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    @property
    def _power(self) -> int:
        return POWER.get(self._next.kind, 0)

    def _take(self) -> Token:
        token = self._next
        if token.kind != "end":
            self._position += 1
        return token

    def _accept(self, kind: str) -> bool:
        if self._next.kind != kind:
            return False
        self._position += 1
        return True

    def _expect(self, kind: str) -> None:
        if not self._accept(kind):
            raise self._unexpected(kind)

    def _since(self, start: int) -> Span:
        """Return the span from a character to the end of the last token taken."""
        return start, max(start, self._tokens[self._position - 1].span[1])

    def _expression(self, power: int) -> Node:
        """Read as far as marks bind stronger than *power*."""
        self._nesting += 1
        start = self._next.span[0]
        if self._nesting > MAX_NESTING:
            raise too_deep((start, self._tokens[-1].span[1]))
        node = self._prefix()
        while self._power > power:
            node = self._infix(node, start)
        self._nesting -= 1
        return node

    def _prefix(self) -> Node:
        token = self._take()
        start = token.span[0]
        match token.kind:
            case "name":
                return Field(token.value, span=token.span)
            case "quoted":
                if self._next.kind == "(":
                    raise Mistake(
                        "jmes.syntax",
                        "a function's name has no quotes",
                        help=f"type {token.value}(",
                        span=token.span,
                    )
                return Field(token.value, span=token.span)
            case "literal":
                return Literal(token.value, span=token.span)
            case "placeholder":
                return self._placeholder(token.value, token.span)
            case "@":
                return Current(span=token.span)
            case "!":
                operand = self._expression(POWER["!"])
                return Not(operand, span=self._since(start))
            case "(":
                inner = self._expression(0)
                self._expect(")")
                return inner
            case "{":
                return self._multi_select_hash(start)
            case "*":
                right = self._projected(POWER["*"])
                return ValueProjection(Current(span=(start, start)), right, span=self._since(start))
            case "[?" | "[]":
                return self._bracket(Current(span=(start, start)), start, token.kind)
            case "[":
                if self._at_index() or self._at_star():
                    return self._bracket(Current(span=(start, start)), start, "[")
                return self._multi_select_list(start)
            case _:
                if token.kind != "end":
                    self._position -= 1
                raise self._unexpected("an expression")

    def _infix(self, left: Node, start: int) -> Node:
        """Read one mark that binds to *left*, which began at *start*, and what follows it."""
        kind = self._next.kind
        match kind:
            case "|":
                return Pipe(self._operands(left, kind), span=self._since(start))
            case "||":
                return Or(self._operands(left, kind), span=self._since(start))
            case "&&":
                return And(self._operands(left, kind), span=self._since(start))
            case "==" | "!=" | "<" | "<=" | ">" | ">=":
                self._take()
                right = self._expression(POWER[kind])
                return Comparison(kind, left, right, span=self._since(start))
            case ".":
                return self._dot(left, start)
            case "[?" | "[]" | "[":
                self._take()
                return self._bracket(left, start, kind)
            case "(" if isinstance(left, Field):
                return self._call(left, start)
            case _:
                raise self._unexpected("an operator")

    def _operands(self, first: Node, kind: str) -> tuple[Node, ...]:
        operands = [first]
        while self._accept(kind):
            operands.append(self._expression(POWER[kind]))
        return tuple(operands)

    def _dot(self, left: Node, start: int) -> Node:
        steps = [left]
        while self._next.kind == "." and self._tokens[self._position + 1].kind != "*":
            self._take()
            steps.append(self._step(POWER["."]))
        if len(steps) > 1:
            return Subexpression(tuple(steps), span=self._since(start))
        self._expect(".")
        self._expect("*")
        right = self._projected(POWER["."])
        return ValueProjection(left, right, span=self._since(start))

    def _step(self, power: int) -> Node:
        """Read what may follow a dot."""
        start = self._next.span[0]
        if self._next.kind in ("name", "quoted", "*"):
            return self._expression(power)
        if self._accept("["):
            return self._multi_select_list(start)
        if self._accept("{"):
            return self._multi_select_hash(start)
        raise self._unexpected("a field")

    def _projected(self, power: int) -> Node:
        """Read what a projection does with each element: nothing where a weak mark follows."""
        if self._power < STOPS_PROJECTION:
            return Current(span=self._since(self._tokens[self._position - 1].span[1]))
        if self._next.kind in ("[", "[?"):
            return self._expression(power)
        self._expect(".")
        return self._step(power)

    def _bracket(self, left: Node, start: int, kind: str) -> Node:
        """Read an index, slice, filter, flattening or list projection after its opening mark."""
        if kind == "[]":
            right = self._projected(POWER["[]"])
            return FlattenProjection(left, right, span=self._since(start))
        if kind == "[?":
            condition = self._expression(0)
            self._expect("]")
            right = self._projected(POWER["[?"])
            return FilterProjection(left, condition, right, span=self._since(start))
        if self._at_star():
            self._position += 2
            right = self._projected(POWER["*"])
            return ListProjection(left, right, span=self._since(start))
        if not self._at_index():
            raise self._unexpected("a number or *")
        if ":" in (self._next.kind, self._tokens[self._position + 1].kind):
            return self._slice(left, start)
        index = self._take().value
        self._expect("]")
        return Index(left, index, span=self._since(start))

    def _slice(self, left: Node, start: int) -> Node:
        parts: list[int | None] = [None, None, None]
        place = 0
        while self._next.kind != "]":
            token = self._next
            if token.kind == ":" and place < 2:
                place += 1
            elif token.kind == "number" and parts[place] is None:
                parts[place] = token.value
            else:
                raise self._unexpected("]")
            self._take()
        self._expect("]")
        if parts[2] == 0:
            raise Mistake(
                "jmes.zero-step",
                "the step of a slice is 0",
                help="type 1, or -1 for the other direction",
                span=self._since(start),
            )
        if isinstance(left, Index | Slice):
            return Slice(left, parts[0], parts[1], parts[2], span=self._since(start))
        right = self._projected(POWER["*"])
        return SliceProjection(left, parts[0], parts[1], parts[2], right, span=self._since(start))

    def _at_index(self) -> bool:
        return self._next.kind in ("number", ":")

    def _at_star(self) -> bool:
        return self._next.kind == "*" and self._tokens[self._position + 1].kind == "]"

    def _multi_select_list(self, start: int) -> Node:
        items = [self._expression(0)]
        while not self._accept("]"):
            if not self._accept(","):
                raise self._unexpected("]")
            items.append(self._expression(0))
        return MultiSelectList(tuple(items), span=self._since(start))

    def _multi_select_hash(self, start: int) -> Node:
        entries: list[tuple[str, Node]] = []
        while True:
            if self._next.kind not in ("name", "quoted"):
                raise self._unexpected("a name")
            name = self._take().value
            self._expect(":")
            entries.append((name, self._expression(0)))
            if not self._accept(",") and self._accept("}"):
                return MultiSelectHash(tuple(entries), span=self._since(start))

    def _call(self, name: Field, start: int) -> Node:
        self._expect("(")
        function = FUNCTIONS.get(name.name)
        if function is None:
            raise Mistake(
                "jmes.unknown-function",
                "there is no such function",
                detail=f"{name.name}()",
                help=did_you_mean(name.name, FUNCTIONS),
                span=name.span,
            )
        arguments: list[Node] = []
        while not self._accept(")"):
            arguments.append(self._argument())
            self._accept(",")
        call = Call(name.name, tuple(arguments), span=self._since(start))
        _check_call(call, function)
        return call

    def _argument(self) -> Node:
        start = self._next.span[0]
        if not self._accept("&"):
            return self._expression(0)
        expression = self._expression(0)
        return Reference(expression, span=self._since(start))

    def _placeholder(self, name: str, span: Span) -> Node:
        value = self._values.get(name)
        if value is not None:
            check_literal(value.json, span)
            return Literal(value.json, name, value.sensitive, span=span)
        if self._open_names or name.startswith("bind."):
            return Placeholder(name, span=span)
        raise Mistake(
            "jmes.unknown-placeholder",
            "there is no such value",
            detail=f"${{{name}}}",
            help=did_you_mean(name, self._values) or "an expression takes ${var.…}, ${local.…} and ${bind.…}",
            span=span,
        )

    def _unexpected(self, wanted: str) -> Mistake:
        """Return the mistake that the next token is something else than wanted."""
        token = self._next
        shown = token.text if len(token.text) <= 40 else f"{token.text[:39]}…"
        found = f"{shown} stands here" if token.kind != "end" else "the expression ends here"
        return Mistake(
            "jmes.syntax",
            "the expression ends too early" if token.kind == "end" else "this cannot stand here",
            detail=f"{wanted} is expected, and {found}",
            help=self._advice(token, wanted),
            span=token.span,
        )

    def _advice(self, token: Token, wanted: str) -> str:
        match token.kind:
            case "number" if wanted == "an expression":
                after = self._tokens[self._position + 1 : self._position + 3]
                fraction = [t.text for t in after] if [t.kind for t in after] == [".", "number"] else []
                return f"write numbers between backticks: `{''.join((token.text, *fraction))}`"
            case "name" if wanted == "an operator":
                words = (token.text, self._tokens[self._position - 1].text)
                return next(
                    (f"type {_WORDS[word]} instead of {word}" for word in words if word in _WORDS), ""
                )
            case "&":
                return "type && for “and”; & alone starts an argument such as sort_by(list, &key)"
            case "literal" if wanted == "a field":
                return f'write a field\'s name as it is, or between double quotes: ."{token.value}"'
            case "name" | "quoted" | "literal" | "placeholder" if wanted == "a number or *":
                return "after a value, brackets take a number, *, or a filter: list[?condition]"
            case "(" if wanted == "an operator":
                return "only a function's name can be called"
            case ")" | "]" | "}" if wanted == "an operator":
                return f"remove it, or open it with {dict(zip(')]}', '([{', strict=True))[token.kind]}"
            case _ if wanted in (")", "]", "}"):
                return f"close it with {wanted}"
            case _:
                return ""


def _check_call(call: Call, function: Function) -> None:
    """
    Refuse arguments that no value could make right.

    Raises:
        Mistake: see `parse`.
    """
    count = len(call.arguments)
    if count < function.fewest or (function.most is not None and count > function.most):
        raise Mistake(
            "jmes.wrong-argument-count",
            "the number of arguments is wrong",
            detail=f"{call.name} takes {_count(function)}, and {count} stand here",
            help=f"type {function}",
            span=call.span,
        )
    for parameter, argument in zip(function.parameters_for(count), call.arguments, strict=True):
        _check_argument(call, parameter, argument, lambda: f"type {function}")


def _check_argument(call: Call, parameter: Parameter, argument: Node, usage: Callable[[], str]) -> None:
    if parameter.reference != isinstance(argument, Reference):
        due = "is an expression reference" if parameter.reference else "is a value, no expression reference"
        raise Mistake(
            "jmes.type-error",
            "an argument is of the wrong kind",
            detail=f"{parameter.name} of {call.name} {due}",
            help=usage(),
            span=argument.span,
        )
    if parameter.kind.literal and not isinstance(argument, Literal | Placeholder):
        raise Mistake(
            "jmes.not-literal",
            "an argument must be written out",
            detail=f"{parameter.name} of {call.name} is read before any record is",
            help="write it as '…', or as a placeholder such as ${var.name}",
            span=argument.span,
        )
    if parameter.kind.read and isinstance(argument, Literal):
        try:
            parameter.kind.accept(argument.value)
        except Refused as refused:
            raise Mistake(
                refused.code,
                "an argument cannot be read",
                detail=f"{parameter.name} of {call.name}: {refused.detail}",
                help=usage(),
                span=argument.span,
            ) from None


def _count(function: Function) -> str:
    fewest, most = function.fewest, function.most
    if most is None:
        return f"{fewest} or more arguments"
    if most > fewest:
        return f"{fewest} to {most} arguments"
    return f"{fewest} argument{'s' if fewest > 1 else ''}"
