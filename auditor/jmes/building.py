"""From tree to closures: each expression is compiled once and then costs no walk over its tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from auditor.jmes import closures
from auditor.jmes.functions import FUNCTIONS, NullRule
from auditor.jmes.semantics import Semantics, failure_of, parameters_of
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
    from auditor.jmes.closures import Column, Run
    from auditor.jmes.outcome import Missing
    from auditor.model.value import JSON


class Builder:
    """Makes closures. `build` is for parts that work on the current value, `inner` for those on another."""

    def __init__(self, semantics: Semantics) -> None:
        self.semantics = semantics

    def build(self, node: Node) -> Run:
        """Return the closure of a node."""
        match node:
            case Current():
                return lambda value, _: value
            case Field(name=name):
                return closures.field(name)
            case Literal(value=value):
                return closures.constant(value)
            case Index(left=left, index=index):
                return closures.element(self.build(left), index)
            case Slice(left=left, start=start, stop=stop, step=step):
                return closures.part(self.build(left), slice(start, stop, step))
            case Subexpression(steps=steps) | Pipe(stages=steps):
                names = [step.name for step in steps if isinstance(step, Field)]
                if len(names) == len(steps):
                    return closures.path(names)
                return closures.chain([self.build(steps[0]), *(self.inner(step) for step in steps[1:])])
            case ListProjection(left=left, right=right):
                return closures.projection(self.build(left), closures.elements_of, self.inner(right))
            case SliceProjection(left=left, right=right):
                part = slice(node.start, node.stop, node.step)
                return closures.projection(
                    self.build(left),
                    lambda base: base[part] if isinstance(base, list) else None,
                    self.inner(right),
                )
            case ValueProjection(left=left, right=right):
                return closures.projection(self.build(left), closures.values_of, self.inner(right))
            case FlattenProjection(left=left, right=right):
                return closures.projection(self.build(left), closures.flattened, self.inner(right))
            case FilterProjection(left=left, condition=condition, right=right):
                return closures.selection(self.build(left), self.inner(condition), self.inner(right))
            case Comparison():
                return self._comparison(node)
            case And(operands=operands):
                return closures.conjunction([self.build(operand) for operand in operands])
            case Or(operands=operands):
                return closures.disjunction([self.build(operand) for operand in operands])
            case Not(operand=operand):
                return closures.negation(self.build(operand))
            case MultiSelectList(items=items):
                return closures.multi_select([self.build(item) for item in items])
            case MultiSelectHash(entries=entries):
                return closures.multi_select(
                    [self.build(item) for _, item in entries], [name for name, _ in entries]
                )
            case Call():
                return self.call(node)
            case Placeholder() | Reference():
                raise AssertionError("the parser and compile() let no such node through")
            case _:
                assert_never(node)

    def inner(self, node: Node) -> Run:
        """Return the closure of a node that is evaluated on another value than the current one."""
        return self.build(node)

    def _comparison(self, node: Comparison) -> Run:
        left, right, test = self.build(node.left), self.build(node.right), self.semantics.test(node)
        left_null, right_null = self.semantics.nulls(node)
        if isinstance(node.right, Literal) and node.right.value is not None:
            return closures.comparison_with(left, node.right.value, test, left_null)
        return closures.comparison(left, right, test, left_null, right_null)

    def call(self, node: Call) -> Run:
        """Return the closure of a call."""
        function = FUNCTIONS[node.name]
        arguments: list[Run] = []
        columns: dict[int, Column] = {}
        for position, argument in enumerate(node.arguments):
            if isinstance(argument, Reference):
                columns[position] = self._column(node, position, argument)
                arguments.append(closures.constant(None))
            else:
                arguments.append(self.argument(node, position))
        run, fail = self.semantics.runner(function), failure_of(node)
        if parameters_of(node)[0].null is NullRule.DEFAULT:
            return closures.call_with_default(arguments, run)
        if columns:
            return closures.call_of_many(arguments, columns, function.column_of, run, fail)
        if len(arguments) == 1:
            return closures.call_of_one(arguments[0], run, fail)
        if len(arguments) == 2:
            return closures.call_of_two(arguments[0], arguments[1], run, fail)
        return closures.call_of_many(arguments, {}, 0, run, fail)

    def argument(self, call: Call, position: int) -> Run:
        """Return what evaluates an argument to what the function takes, or to `Undecided`."""
        node, kind = call.arguments[position], parameters_of(call)[position].kind
        if isinstance(node, Literal) and kind.read:
            return closures.constant(kind.accept(node.value))  # the parser has made sure that it can be read
        run, (accepted, accept) = self.build(node), self.semantics.argument(call, position)

        def argument(value: JSON, missing: Missing | None) -> Any:
            result = run(value, missing)
            return result if type(result) in accepted else accept(result)

        return argument

    def _column(self, call: Call, position: int, reference: Reference) -> Column:
        """Return what evaluates an expression reference on each element of a list."""
        run, accept = self.inner(reference.expression), self.semantics.column(call, position, reference)
        return lambda items: accept([run(item, None) for item in items])
