"""From tree to canonical text, with as few parentheses as the grammar allows."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from auditor.jmes.parser import POWER, STOPS_PROJECTION
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
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.model.value import JSON

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CLOSED: Final = 100
"""Stronger than any mark: nothing that follows can be drawn in."""


def render(node: Node, *, placeholders: bool = True) -> str:
    """
    Write an expression as its canonical text.

    Shape: one line; parsed again (with the same values) it gives an equal tree. Texts stand between single
    quotes where they print, and as JSON where they do not. Literals that came from a placeholder are written
    as the placeholder; with `placeholders=False` as their value, unless that is sensitive. That a comparison
    is one of instants is not written, since no text could say so.
    Raises: nothing, for a tree that `parse` made.
    """
    return _Printer(placeholders=placeholders).write(node).text


def reveal(node: Node) -> str:
    """Return an expression with every value in it, also sensitive ones: for another parser, and for nobody to see."""
    return _Printer(placeholders=False, reveals=True).write(node).text


@dataclass(frozen=True, slots=True)
class _Piece:
    """
    The text of a node, and how it behaves among others.

    `level`: its weakest mark that is not inside brackets. `edge`: how strong a mark must at most be so as not
    to be drawn into the right end of the text, which is where `a[*].b` differs from `(a[*]).b`.
    """

    text: str
    level: int = _CLOSED
    edge: int = _CLOSED


class _Printer:
    """One rendering; a method a shape."""

    def __init__(self, *, placeholders: bool, reveals: bool = False) -> None:
        self._placeholders = placeholders
        self._reveals = reveals

    def write(self, node: Node) -> _Piece:
        match node:
            case Current():
                return _Piece("@")
            case Field(name=name):
                return _Piece(_name(name))
            case Literal():
                return _Piece(self._literal(node))
            case Placeholder(name=name):
                return _Piece(f"${{{name}}}")
            case Index(left=left, index=index):
                return self._after(left, f"[{index}]", POWER["["])
            case Slice(left=left):
                return self._after(left, _range(node), POWER["["])
            case Subexpression(steps=steps):
                return self._path(steps)
            case ListProjection(left=left, right=right):
                return self._projection(left, "[*]", POWER["["], right, POWER["*"])
            case SliceProjection(left=left, right=right):
                return self._projection(left, _range(node), POWER["["], right, POWER["*"])
            case ValueProjection(left=Current(), right=right):
                return self._projection(Current(), "*", POWER["."], right, POWER["*"])
            case ValueProjection(left=left, right=right):
                return self._projection(left, ".*", POWER["."], right, POWER["."])
            case FilterProjection(left=left, condition=condition, right=right):
                mark = f"[?{self.write(condition).text}]"
                return self._projection(left, mark, POWER["[?"], right, POWER["[?"])
            case FlattenProjection(left=left, right=right):
                return self._projection(left, "[]", POWER["[]"], right, POWER["[]"])
            case Comparison(operator=operator, left=left, right=right):
                return self._infix(operator, (left, right))
            case And(operands=operands):
                return self._infix("&&", operands)
            case Or(operands=operands):
                return self._infix("||", operands)
            case Pipe(stages=stages):
                return self._infix("|", stages)
            case Not(operand=operand):
                piece = self._right(operand, POWER["!"])
                return _Piece(f"!{piece.text}", edge=min(POWER["!"], piece.edge))
            case MultiSelectList(items=items):
                texts = [self.write(item).text for item in items]
                # `[*]` alone would be a projection.
                return _Piece("[@.*]" if texts == ["*"] else f"[{', '.join(texts)}]")
            case MultiSelectHash(entries=entries):
                pairs = (f"{_name(name)}: {self.write(value).text}" for name, value in entries)
                return _Piece(f"{{{', '.join(pairs)}}}")
            case Call(name=name, arguments=arguments):
                return _Piece(f"{name}({', '.join(self.write(argument).text for argument in arguments)})")
            case Reference(expression=expression):
                return _Piece(f"&{self.write(expression).text}", edge=0)
            case _:
                assert_never(node)

    def _left(self, node: Node, power: int, *, same: type | None = None) -> _Piece:
        """Write what stands left of a mark; *same* is a node that would take the mark as one of its own."""
        piece = self.write(node)
        if piece.edge < power or (same is not None and type(node) is same):
            return _Piece(f"({piece.text})")
        return piece

    def _right(self, node: Node, power: int) -> _Piece:
        """Write what is read as far as marks bind stronger than *power*."""
        piece = self.write(node)
        return piece if piece.level > power else _Piece(f"({piece.text})")

    def _infix(self, mark: str, operands: Sequence[Node]) -> _Piece:
        power = POWER[mark]
        same = {"&&": And, "||": Or, "|": Pipe}.get(mark)
        first = self._left(operands[0], power, same=same)
        rest = [self._right(operand, power) for operand in operands[1:]]
        text = f" {mark} ".join(piece.text for piece in (first, *rest))
        return _Piece(text, level=min(power, first.level), edge=min(power, rest[-1].edge))

    def _after(self, left: Node, mark: str, power: int) -> _Piece:
        """Write a mark after what it binds to; at the beginning of an expression `@` goes without saying."""
        if isinstance(left, Current):
            return _Piece(mark)
        piece = self._left(left, power)
        return _Piece(piece.text + mark, level=min(power, piece.level))

    def _path(self, steps: Sequence[Node]) -> _Piece:
        power = POWER["."]
        first = self._left(steps[0], power, same=Subexpression)
        rest = [self.write(step) for step in steps[1:]]
        text = ".".join(piece.text for piece in (first, *rest))
        edge = _CLOSED if _is_multi_select(steps[-1]) else min(power, rest[-1].edge)
        return _Piece(text, level=min(power, first.level), edge=edge)

    def _projection(self, left: Node, mark: str, power: int, right: Node, inner: int) -> _Piece:
        """Write a projection whose right side is read as far as marks bind stronger than *inner*."""
        base = self._after(left, mark, power)
        if isinstance(right, Current):
            return _Piece(base.text, base.level, edge=STOPS_PROJECTION - 1)
        piece = self.write(right)
        if _is_multi_select(right):
            return _Piece(f"{base.text}.{piece.text}", base.level)
        dot = "" if piece.text.startswith("[") else "."
        return _Piece(f"{base.text}{dot}{piece.text}", base.level, edge=min(inner, piece.edge))

    def _literal(self, node: Literal) -> str:
        if node.placeholder and (self._placeholders or (node.sensitive and not self._reveals)):
            return f"${{{node.placeholder}}}"
        value = node.value
        if isinstance(value, str) and value.isprintable() and "\\" not in value:
            text = value.replace("'", "\\'")
            return f"'{_escaped(text)}'"
        return "`" + _escaped(_json(value)).replace("`", "\\`") + "`"


def _is_multi_select(node: Node) -> bool:
    """Whether a node after a dot ends there: `a.[b][0]` is the index of the path, not of the list."""
    return isinstance(node, MultiSelectList | MultiSelectHash)


def _range(node: Slice | SliceProjection) -> str:
    parts = (node.start, node.stop, *(() if node.step is None else (node.step,)))
    return f"[{':'.join('' if part is None else str(part) for part in parts)}]"


def _name(name: str) -> str:
    return name if _NAME.fullmatch(name) else _escaped(_json(name))


def _json(value: JSON) -> str:
    """Return JSON that is printable, with other characters than ASCII only where they are."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _escaped(text: str) -> str:
    return text.replace("${", "$${")
