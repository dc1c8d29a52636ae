"""Messages of policies: text with expressions in braces, evaluated on a violating item."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias

from auditor.jmes.compilation import Expression
from auditor.jmes.compilation import compile as compile_expression
from auditor.jmes.outcome import EvaluationError
from auditor.jmes.parser import parse
from auditor.jmes.streaming import MAX_ITEMS, State, Stream, stream
from auditor.jmes.tree import Literal, Node, walk
from auditor.model.diagnostic import Mistake
from auditor.model.value import JSON, Values

ABSENT: Final = "(absent)"

See: TypeAlias = Callable[[Node, int], Node]

_SIGN: Final = re.compile(r"\{\{|\}\}|\$\$\{|\$\{|\{")
_ESCAPED: Final = {"{{": "{", "}}": "}", "$${": "${"}


@dataclass(frozen=True, slots=True)
class Template:
    """A message: plain texts and expressions in their order."""

    parts: tuple[str | Expression, ...]

    @classmethod
    def parse(
        cls, text: str, values: Values, *, as_of: datetime | None = None, see: See = lambda node, _: node
    ) -> Template:
        """
        Read a message: `{EXPRESSION}`, `${var.x}`, and `{{`, `}}`, `$${` for the signs themselves.

        *as_of* is the instant of the audit, for `age_days`. *see* is shown every expression with the place in
        the message where it begins, and returns the one to compile.

        Raises:
            Mistake: an expression is none or holds a sensitive value, or a brace is not closed; with its span
                in the message.
        """
        parts: list[str | Expression] = []
        plain, at = "", 0
        while sign := _SIGN.search(text, at):
            plain += text[at : sign.start()]
            if sign[0] in _ESCAPED:
                plain, at = plain + _ESCAPED[sign[0]], sign.end()
                continue
            at = _end(text, sign.end())
            start, end = (sign.start(), at) if sign[0] == "${" else (sign.end(), at - 1)
            parts += [plain, _expression(text, start, end, values, as_of, see)]
            plain = ""
        return cls(tuple(part for part in (*parts, plain + text[at:]) if part != ""))

    def render(self, item: JSON) -> str:
        """Return the message for an item; what is absent or can not be told prints as `(absent)`. Never raises."""
        return "".join(self.pieces(item))

    def pieces(self, item: JSON) -> tuple[str, ...]:
        """Return the message for an item in pieces, one for each part."""
        return tuple(
            part if isinstance(part, str) else _text(partial(part.search, item)) for part in self.parts
        )

    def stream(self, lists: Sequence[str] = (), *, max_items: int = MAX_ITEMS) -> TemplateStream:
        """Return the message about a list of records, or an object of several, as a reducer of the records."""
        expressions = [part for part in self.parts if not isinstance(part, str)]
        streams = [
            stream(each.node, as_of=each.as_of, select=None, lists=lists, max_items=max_items)
            for each in expressions
        ]
        return TemplateStream(self.parts, tuple(streams))


@dataclass(frozen=True, slots=True)
class TemplateStream:
    """A message about a list that is not kept, with the methods of `Stream`."""

    parts: tuple[str | Expression, ...]
    streams: tuple[Stream, ...]
    """Those of the expressions among the parts."""

    def initial(self) -> list[State]:
        """Return the state of no records."""
        return [each.initial() for each in self.streams]

    def step(self, state: list[State], key: Any, record: JSON, of: str = "") -> None:
        """Take one record, of the list *of* where there are several."""
        for each, seen in zip(self.streams, state, strict=True):
            each.step(seen, key, record, of)

    def merge(self, state: list[State], other: list[State]) -> list[State]:
        """Return the state of the records of both, which are used up."""
        return [each.merge(*pair) for each, *pair in zip(self.streams, state, other, strict=True)]

    def finish(self, state: list[State]) -> tuple[str, ...]:
        """Return what `pieces` gives for the list; a part that would have to keep too much is `(absent)`."""
        found = iter([_text(partial(_result, *each)) for each in zip(self.streams, state, strict=True)])
        return tuple(part if isinstance(part, str) else next(found) for part in self.parts)


def _result(reducer: Stream, state: State) -> JSON:
    return reducer.finish(state).result


def _end(text: str, start: int) -> int:
    """Return where the brace that was opened just before *start* is closed; what is quoted is passed over."""
    depth, at = 1, start
    while depth and at < len(text):
        sign = text[at]
        if sign in "'`\"":
            at += 1
            while at < len(text) and text[at] != sign:
                at += 2 if text[at] == "\\" else 1
        depth += (sign == "{") - (sign == "}")
        at += 1
    if depth:
        raise Mistake(
            "message.open-brace",
            "Brace not closed",
            detail="The expression that begins here does not end.",
            help="Close it with }, or write {{ for a brace itself.",
            span=(start - 1, start),
        )
    return at


def _expression(
    text: str, start: int, end: int, values: Values, as_of: datetime | None, see: See
) -> Expression:
    try:
        node = parse(text[start:end], values)
        _refuse_sensitive(node)
        return compile_expression(see(node, start), as_of=as_of)
    except Mistake as mistake:
        first, last = mistake.span or (0, end - start)
        raise Mistake(
            mistake.code,
            mistake.summary,
            detail=mistake.detail,
            help=mistake.help,
            span=(start + first, start + last),
        ) from None


def _refuse_sensitive(node: Node) -> None:
    for inner in walk(node):
        if isinstance(inner, Literal) and inner.sensitive:
            raise Mistake(
                "message.sensitive",
                "Sensitive value in a message",
                detail=f"${{{inner.placeholder}}} is sensitive, and messages are printed.",
                help="Leave it out of the message.",
                span=inner.span,
            )


def _text(evaluate: Callable[[], JSON]) -> str:
    try:
        value = evaluate()
        if value is None or isinstance(value, str):
            return ABSENT if value is None else value
        return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    except (EvaluationError, RecursionError, ValueError):  # nested too deep, or a number of too many digits
        return ABSENT
