"""Messages of policies: text with expressions in braces, evaluated on a violating item."""

from __future__ import annotations

import json
from dataclasses import dataclass

from auditor.jmes.compilation import Expression
from auditor.jmes.compilation import compile as compile_expression
from auditor.jmes.outcome import EvaluationError
from auditor.jmes.parser import parse
from auditor.jmes.tree import Literal, Node, walk
from auditor.model.diagnostic import Mistake
from auditor.model.value import JSON, Values

ABSENT = "(absent)"


@dataclass(frozen=True, slots=True)
class Template:
    """A message: plain texts and expressions in their order."""

    parts: tuple[str | Expression, ...]

    @classmethod
    def parse(cls, text: str, values: Values) -> Template:
        """
        Read a message: `{EXPRESSION}`, `${var.x}`, and `{{`, `}}`, `$${` for the signs themselves.

        Raises:
            Mistake: an expression is none, or a brace is not closed; with its span in the message.
        """
        parts: list[str | Expression] = []
        plain = ""
        at = 0
        while at < len(text):
            if text.startswith(("{{", "}}"), at):
                plain, at = plain + text[at], at + 2
            elif text.startswith("$${", at):
                plain, at = plain + "${", at + 3
            elif text.startswith("${", at):
                end = text.find("}", at) + 1 or len(text)
                parts += [plain, _expression(text, at, end, values)]
                plain, at = "", end
            elif text[at] == "{":
                end = _end(text, at)
                parts += [plain, _expression(text, at + 1, end - 1, values)]
                plain, at = "", end
            else:
                plain, at = plain + text[at], at + 1
        return cls(tuple(part for part in (*parts, plain) if part != ""))

    def render(self, item: JSON) -> str:
        """Return the message for an item; what is absent prints as `(absent)`. Never raises."""
        return "".join(part if isinstance(part, str) else _text(part, item) for part in self.parts)


def _end(text: str, start: int) -> int:
    """Return where the expression that opens at *start* closes: quotes and inner braces are passed over."""
    depth, at = 0, start
    while at < len(text):
        sign = text[at]
        if sign in "'`\"":
            at += 1
            while at < len(text) and text[at] != sign:
                at += 2 if text[at] == "\\" else 1
        depth += (sign == "{") - (sign == "}")
        at += 1
        if depth == 0:
            return at
    raise Mistake(
        "message.open-brace",
        "Brace not closed",
        detail="The expression that begins here does not end.",
        help="Close it with }, or write {{ for a brace itself.",
        span=(start, start + 1),
    )


def _expression(text: str, start: int, end: int, values: Values) -> Expression:
    try:
        node = parse(text[start:end], values)
        _refuse_sensitive(node)
        return compile_expression(node)
    except Mistake as mistake:
        first, last = mistake.span or (0, end - start)
        span = (start + first, start + last)
        raise Mistake(
            mistake.code, mistake.summary, detail=mistake.detail, help=mistake.help, span=span
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


def _text(expression: Expression, item: JSON) -> str:
    try:
        value = expression.search(item)
    except EvaluationError:
        return ABSENT
    if value is None:
        return ABSENT
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
