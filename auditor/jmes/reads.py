"""Which fields an expression reads."""

from __future__ import annotations

from auditor.jmes.tree import (
    And,
    Call,
    Current,
    Field,
    FilterProjection,
    FlattenProjection,
    Index,
    ListProjection,
    Node,
    Or,
    Pipe,
    Reference,
    Slice,
    SliceProjection,
    Subexpression,
    ValueProjection,
    children,
)


def fields_read(node: Node) -> tuple[str, ...]:
    """
    Return the dotted paths of the fields that an expression reads, sorted, as SCIM writes them.

    Lists are walked into without a mark, so that a path is the same on a record and on a list of records. Of a
    path only the whole is told: `actors.user.id`, not `actors` as well.
    """
    reads = _Reads()
    reads.of(node, "")
    paths = sorted(reads.paths)
    return tuple(path for path in paths if not any(other.startswith(f"{path}.") for other in paths))


class _Reads:
    """Collects paths; the place of a value is the path that leads to it, None where none does."""

    def __init__(self) -> None:
        self.paths: set[str] = set()

    def of(self, node: Node, place: str | None) -> str | None:
        """Collect what a node reads from the value at a place, and return the place of its own value."""
        match node:
            case Current():
                return place
            case Field(name=name):
                if place is None:
                    return None
                path = f"{place}.{name}" if place else name
                self.paths.add(path)
                return path
            case Subexpression(steps=steps) | Pipe(stages=steps):
                for step in steps:
                    place = self.of(step, place)
                return place
            case Index(left=left) | Slice(left=left):
                return self.of(left, place)
            case FilterProjection(left=left, condition=condition, right=right):
                element = self.of(left, place)
                self.of(condition, element)
                return self.of(right, element)
            case (
                ListProjection(left=left, right=right)
                | SliceProjection(left=left, right=right)
                | ValueProjection(left=left, right=right)
                | FlattenProjection(left=left, right=right)
            ):
                return self.of(right, self.of(left, place))
            case Call(arguments=arguments):
                return self._call(arguments, place)
            case And(operands=operands) | Or(operands=operands):
                return next(reversed([self.of(operand, place) for operand in operands]))
        for child in children(node):
            self.of(child, place)
        return None

    def _call(self, arguments: tuple[Node, ...], place: str | None) -> str | None:
        """A reference is evaluated on the elements of the list beside it, and a result may be one of those."""
        places = [self.of(each, place) for each in arguments if not isinstance(each, Reference)]
        element = next((found for found in places if found is not None), None)
        for argument in arguments:
            if isinstance(argument, Reference):
                self.of(argument.expression, element)
        return element
