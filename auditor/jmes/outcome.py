"""What an evaluation can give besides a JSON value: it cannot be decided, or it is an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from auditor.model.diagnostic import Mistake

if TYPE_CHECKING:
    from auditor.model.source import Span
    from auditor.model.value import JSON


class EvaluationError(Mistake):
    """
    An expression met a value that it cannot work with.

    Codes: `jmes.type-error`, `jmes.bad-value` (a text that is no instant, address, …) and `jmes.too-large`.
    The span is that of the operand or call in the expression. No message holds a value: values may be
    sensitive or personal, and the text of the operand leads to them.
    """


def too_deep() -> EvaluationError:
    """Return the error that a value is more than Python's stack can follow."""
    return EvaluationError("jmes.too-large", "the value nests too deep to be evaluated")


@dataclass(frozen=True, slots=True)
class Operand:
    """A part of an expression that was null where a value was due, in its canonical text."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Undecided:
    """The third truth value, and which operands were null. It has no truth of its own, so none is taken."""

    operands: tuple[Operand, ...]

    def __or__(self, other: Undecided) -> Undecided:
        """Return both together, each operand once."""
        if self == other:
            return self
        return Undecided(tuple(dict.fromkeys(self.operands + other.operands)))

    def __bool__(self) -> bool:
        raise TypeError("an undecided value is neither true nor false")


@dataclass(slots=True)
class Missing:
    """
    What the outermost filters of one evaluation could not decide.

    `select` says whether such an element is selected; each is kept in `found` with the reason, in order.
    """

    select: bool
    found: list[tuple[JSON, Undecided]] = field(default_factory=list)
