"""
Which expressions are certainly true of a value, told quickly where it is known what the value looks like.

What was decoded as a schema says is a text or absent, a list of objects or absent: so most conditions are one
expression of Python, without a third value. What is not certainly true is false, undecided or an error, or these
tests do not tell: `Expression.decide` does. As in `auditor.jmes.source`, no text of an expression gets into
source text: literals are global variables, and attributes have names that were made up.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from types import CodeType
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from auditor.jmes import tree
from auditor.jmes.semantics import EQUALITY
from auditor.jmes.tree import Node

Kind: TypeAlias = Literal["text", "number", "boolean", "list", "object"]

LeftOpen: TypeAlias = Callable[[Any], list[int] | None]
"""A function that gives the numbers of the expressions that are not certainly true of a value, None if all are."""

Table: TypeAlias = Callable[[Sequence[Any]], list[Any]]
"""A function that gives of each value what stands at some paths: of one path it, else a tuple."""

_DEEPEST: Final = 50
"""Conditions inside one another; Python's parser refuses 200."""

_MOST_BLOCKS: Final = 15
"""Conditions that are tried one after the other, in a block inside a block."""


@dataclass(frozen=True, slots=True)
class Shape:
    """
    What a value is, or if `optional` None, for what is null or absent.

    An object has an attribute for each of its `fields`, named beside its shape; the elements of a list are never
    None.
    """

    kind: Kind
    optional: bool = False
    element: Shape | None = None
    fields: Mapping[str, tuple[str, Shape]] = field(default_factory=dict)


def left_open(nodes: Sequence[Node], shape: Shape) -> LeftOpen:
    """Return a function that tells which of some expressions are not certainly true of a value of a shape."""
    writer = _Writer()
    writer.left_open(nodes, shape)
    run: LeftOpen = writer.made()
    return run


def table(paths: Sequence[Sequence[str]], shape: Shape) -> Table:
    """Return a function that reads what stands at some paths, one or more, of each value of a shape, or of None."""
    writer = _Writer()
    writer.table(paths, shape)
    run: Table = writer.made()
    return run


class _Value(NamedTuple):
    """
    The result of a node: `name` writes what computes it, if that does not stand there yet, and gives the variable.

    Those of one key are one; `cost` is a guess at how long it takes.
    """

    key: Hashable
    shape: Shape
    name: Callable[[], str]
    cost: int = 0


class _Condition(NamedTuple):
    """What `write` gives the source of, and writes what that reads; or any one of `either`, the cheapest first."""

    write: Callable[[], str]
    cost: int
    either: tuple[_Condition, ...] = ()


class _Test(NamedTuple):
    """
    What holds only if a node certainly counts as true, and as false; None if that can not be told.

    `is_total` says that the node is no error of any value.
    """

    true: _Condition | None = None
    false: _Condition | None = None
    is_total: bool = False

    def negated(self) -> _Test:
        """Return the test of the opposite."""
        return self._replace(true=self.false, false=self.true)


_UNTOLD: Final = _Test()
_TEXT: Final = Shape("text")
_KINDS: Final[Mapping[type, Kind]] = {str: "text", int: "number", float: "number", bool: "boolean"}


@lru_cache(maxsize=4096)
def _compiled(source: str) -> CodeType:
    return compile(source, "<tests>", "exec", dont_inherit=True)


class _Writer:
    """Writes one function."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._indents = 0
        self._variables = 0
        self._known: list[dict[Hashable, str]] = [{}]
        self._constants: dict[Hashable, tuple[str, Any]] = {}

    def made(self) -> Any:
        """Return the function that was written."""
        namespace = {"__builtins__": {}, "len": len, **dict(self._constants.values())}
        exec(_compiled("\n".join([*self._lines, ""])), namespace)  # noqa: S102  # made here of constant text alone
        return namespace["run"]

    def left_open(self, nodes: Sequence[Node], shape: Shape) -> None:
        """Write what tells which expressions are not certainly true."""
        value = _Value("value", shape, lambda: "value")
        with self._block("def run(value):"):
            self._write("left = None")
            for number, node in enumerate(nodes):
                self._unless(
                    self._test(node, value, _DEEPEST, exact=True).true,
                    f"left = [{number}] if left is None else [*left, {number}]",
                )
            self._write("return left")

    def table(self, paths: Sequence[Sequence[str]], shape: Shape) -> None:
        """Write what reads paths of many values."""
        value = _Value("value", replace(shape, optional=True), lambda: "value")
        with self._block("def run(values):"):
            self._write("rows = []")
            with self._block("for value in values:"):
                row = ", ".join(self._path(path, value) for path in paths)
                self._write(f"rows.append({row})" if len(paths) == 1 else f"rows.append(({row}))")
            self._write("return rows")

    # --- lines

    def _write(self, line: str) -> None:
        self._lines.append(f"{' ' * self._indents}{line}")

    @contextmanager
    def _block(self, line: str) -> Iterator[None]:
        self._write(line)
        self._indents += 1
        self._known.append({})
        yield
        self._known.pop()
        self._indents -= 1

    def _unless(self, condition: _Condition | None, line: str) -> None:
        """Write a line that is reached unless a condition holds; what only a later part of it reads waits for that."""
        if condition is None:
            self._write(line)
            return
        parts = condition.either or (condition,)
        if len(parts) > _MOST_BLOCKS:
            parts = (*parts[: _MOST_BLOCKS - 1], _either(parts[_MOST_BLOCKS - 1 :]))
        with ExitStack() as blocks:
            for part in parts:
                blocks.enter_context(self._block(f"if not ({part.write()}):"))
            self._write(line)

    def _once(self, key: Hashable, write: Callable[[str], None]) -> str:
        """Return the variable of a key, which is assigned here if it was not before, in a block around this one."""
        for known in self._known:
            if key in known:
                return known[key]
        self._variables += 1
        name = f"v{self._variables}"
        write(name)
        self._known[-1][key] = name
        return name

    def _constant(self, value: Any) -> str:
        """Return the global variable of a literal."""
        key = (type(value), value if isinstance(value, Hashable) else id(value))
        if key not in self._constants:
            self._constants[key] = (f"k{len(self._constants)}", value)
        return self._constants[key][0]

    # --- conditions

    def _test(self, node: Node, current: _Value, depth: int, *, exact: bool = False) -> _Test:
        """Return the test of a node; with *exact* what is true has to be `true`, and not only count as that."""
        if not depth:
            return _UNTOLD
        match node:
            case tree.Not(operand=operand):
                return self._test(operand, current, depth - 1).negated()
            case tree.And(operands=operands):
                # All but the last only have to count as true.
                last = len(operands) - 1
                return _both(
                    self._test(each, current, depth - 1, exact=exact and number == last)
                    for number, each in enumerate(operands)
                )
            case tree.Or(operands=operands):
                if exact and not all(map(_is_boolean, operands[:-1])):
                    return _UNTOLD  # the first that counts as true is the result, whatever it is
                tests = (self._test(each, current, depth - 1, exact=exact) for each in operands)
                return _both(test.negated() for test in tests).negated()
            case tree.Comparison():
                return self._comparison(node, current)
            case tree.Call(name="contains", arguments=(subject, search)):
                return self._contains(subject, search, current)
            case tree.Call(name="starts_with" | "ends_with" as name, arguments=arguments):
                values = [self._value(each, current) for each in arguments]
                test = f"{{0}}.{name.replace('_', '')}({{1}})"
                return _of_two(values, test, f"not {test}", ("text",), cost=2)
        return _truth(self._value(node, current), exact=exact)

    def _comparison(self, node: tree.Comparison, current: _Value) -> _Test:
        sides, operator = (node.left, node.right), node.operator
        nulls = [isinstance(side, tree.Literal) and side.is_null for side in sides]
        if any(nulls):
            value = self._value(sides[nulls.index(False)], current) if not all(nulls) else None
            test = _of_null(value) if operator in EQUALITY else _UNTOLD
            return test.negated() if operator == "!=" else test
        if node.instants:
            return _UNTOLD
        values = [self._value(side, current) for side in sides]
        if operator in EQUALITY:
            other = "!=" if operator == "==" else "=="
            return _of_two(
                values, f"{{0}} {operator} {{1}}", f"{{0}} {other} {{1}}", ("text", "number", "boolean")
            )
        return _of_two(values, f"{{0}} {operator} {{1}}", f"not {{0}} {operator} {{1}}", ("text", "number"))

    def _contains(self, subject: Node, search: Node, current: _Value) -> _Test:
        among, sought = self._value(subject, current), self._value(search, current)
        if among is None or sought is None or sought.shape.kind != "text":
            return _UNTOLD
        if isinstance(subject, tree.Literal) and isinstance(subject.value, list):
            among = among._replace(name=partial(self._constant, frozenset(subject.value)))
        if among.shape.kind != "text" and among.shape.element != _TEXT:
            return _UNTOLD
        return _guarded(among, sought, "{1} in {0}", "{1} not in {0}", cost=1)

    # --- values

    def _value(self, node: Node, current: _Value) -> _Value | None:
        """Return the result of a node; None if there is no quick way to it."""
        match node:
            case tree.Current():
                return current
            case tree.Literal(value=value):
                return self._literal(value)
            case tree.Field(name=name):
                return self._field(name, current)
            case tree.Subexpression(steps=steps) | tree.Pipe(stages=steps):
                found: _Value | None = current
                for step in steps:
                    found = found and self._value(step, found)
                return found
            case tree.Index(left=left, index=index):
                return self._element(self._value(left, current), index)
            case tree.FlattenProjection(left=left, right=right) | tree.ListProjection(left=left, right=right):
                return self._projection(self._value(left, current), right)
            case tree.Call(name="not_null", arguments=arguments):
                return self._first([self._value(each, current) for each in arguments])
        return None

    def _literal(self, value: Any) -> _Value | None:
        shape = Shape(_KINDS[type(value)]) if type(value) in _KINDS else None
        if isinstance(value, list) and all(type(each) is str for each in value):
            shape = Shape("list", element=_TEXT)
        if shape is None:
            return None
        name = self._constant(value)
        return _Value(name, shape, lambda: name)

    def _field(self, name: str, current: _Value) -> _Value | None:
        if name not in current.shape.fields:
            return None
        attribute, shape = current.shape.fields[name]
        if current.shape.optional:
            shape = replace(shape, optional=True)

        def write(variable: str) -> None:
            base = current.name()
            guard = f"None if {base} is None else " if current.shape.optional else ""
            self._write(f"{variable} = {guard}{base}.{attribute}")

        return self._made((current.key, name), shape, write, current.cost)

    def _path(self, path: Sequence[str], current: _Value) -> str:
        """Write what reads a path, and return the variable."""
        value: _Value | None = current
        for name in path:
            value = value and self._field(name, value)
        return value.name() if value else "None"

    def _element(self, base: _Value | None, index: int) -> _Value | None:
        if base is None or base.shape.element is None:
            return None
        shape = replace(base.shape.element, optional=True)

        def write(variable: str) -> None:
            name = base.name()
            guard = f"{name} is not None and " if base.shape.optional else ""
            enough = f"len({name}) > {index}" if index >= 0 else f"len({name}) >= {-index}"
            self._write(f"{variable} = {name}[{index}] if {guard}{enough} else None")

        return self._made((base.key, index), shape, write, base.cost)

    def _projection(self, base: _Value | None, right: Node) -> _Value | None:
        """Return the list of what stands at one path in each element of a list, without what is not there."""
        if base is None or base.shape.element is None or base.shape.element.kind == "list":
            return None
        if right == tree.Current():
            return base
        item = _Value((base.key, "[]"), base.shape.element, lambda: "item")
        found = self._value(right, item) if _is_path(right) else None
        if found is None or found.shape.kind not in _KINDS.values():
            return None

        def write(variable: str) -> None:
            name = base.name()
            if base.shape.optional:
                self._write(f"{variable} = None")
                with self._block(f"if {name} is not None:"):
                    self._collect(variable, name, found)
            else:
                self._collect(variable, name, found)

        shape = replace(base.shape, element=replace(found.shape, optional=False))
        return self._made(("[]", found.key), shape, write, base.cost + 4)

    def _collect(self, variable: str, items: str, found: _Value) -> None:
        self._write(f"{variable} = []")
        with self._block(f"for item in {items}:"):
            name = found.name()
            guard = f"if {name} is not None: " if found.shape.optional else ""
            self._write(f"{guard}{variable}.append({name})")

    def _first(self, values: Sequence[_Value | None]) -> _Value | None:
        """Return the first of some values that is not None."""
        found: list[_Value] = []
        for value in values:
            if value is None or value.shape.kind == "object":
                return None
            if found and replace(value.shape, optional=False) != replace(found[0].shape, optional=False):
                return None
            found.append(value)
            if not value.shape.optional:
                break
        *firsts, last = found
        if not firsts:
            return last

        def write(variable: str) -> None:
            chosen = "".join(
                f"{name} if {name} is not None else " for name in (each.name() for each in firsts)
            )
            self._write(f"{variable} = {chosen}{last.name()}")

        key = ("not_null", *(each.key for each in found))
        return self._made(key, last.shape, write, sum(each.cost for each in found))

    def _made(self, key: Hashable, shape: Shape, write: Callable[[str], None], cost: int) -> _Value:
        return _Value(key, shape, partial(self._once, key, write), cost)


def _truth(value: _Value | None, *, exact: bool) -> _Test:
    """Return the test of what a value by itself counts as."""
    if value is None or value.shape.kind == "object" or (exact and value.shape.kind != "boolean"):
        return _UNTOLD
    if value.shape.kind == "number":  # 0 counts as true
        return _of_null(value).negated()
    return _Test(
        _Condition(value.name, value.cost),
        _Condition(lambda: f"not {value.name()}", value.cost),
        is_total=True,
    )


def _of_null(value: _Value | None) -> _Test:
    """Return the test of whether a value is None."""
    if value is None:
        return _UNTOLD
    return _Test(
        _Condition(lambda: f"{value.name()} is None", value.cost),
        _Condition(lambda: f"{value.name()} is not None", value.cost),
        is_total=True,
    )


def _of_two(
    values: Sequence[_Value | None], true: str, false: str, kinds: Sequence[Kind], cost: int = 0
) -> _Test:
    """Return the test of two values of one of some kinds, which is undecided where one of them is None."""
    left, right = values
    if left is None or right is None or left.shape.kind != right.shape.kind or left.shape.kind not in kinds:
        return _UNTOLD
    return _guarded(left, right, true, false, cost)


def _guarded(left: _Value, right: _Value, true: str, false: str, cost: int) -> _Test:
    """Return the test of two values, which is undecided where one of them is None."""

    def write(test: str) -> str:
        names = [left.name(), right.name()]
        guards = [
            f"{name} is not None"
            for name, value in zip(names, (left, right), strict=True)
            if value.shape.optional
        ]
        return " and ".join([*guards, test.format(*names)])

    cost += left.cost + right.cost
    return _Test(
        _Condition(partial(write, true), cost), _Condition(partial(write, false), cost), is_total=True
    )


def _both(tests: Iterable[_Test]) -> _Test:
    """Return the test of `a && b`, of any number of operands."""
    trues: list[_Condition | None] = []
    falses: list[_Condition] = []
    is_total = True
    for test in tests:
        trues.append(test.true)
        # One that is certainly false decides, whatever comes before it, unless that is an error.
        if is_total and test.false:
            falses.append(test.false)
        is_total = is_total and test.is_total
    all_true = [true for true in trues if true]
    return _Test(
        _Condition(
            lambda: " and ".join(f"({true.write()})" for true in all_true),
            sum(true.cost for true in all_true),
        )
        if len(all_true) == len(trues)
        else None,
        _either(falses) if falses else None,
        is_total=is_total,
    )


def _either(conditions: Iterable[_Condition]) -> _Condition:
    """Return the condition that any one of some holds."""
    quickest = sorted((part for each in conditions for part in each.either or (each,)), key=_cost)
    return _Condition(
        lambda: " or ".join(f"({each.write()})" for each in quickest),
        sum(map(_cost, quickest)),
        tuple(quickest),
    )


def _cost(condition: _Condition) -> int:
    return condition.cost


def _is_path(node: Node) -> bool:
    """Tell whether a node is nothing but names."""
    steps = node.steps if isinstance(node, tree.Subexpression) else (node,)
    return all(isinstance(step, tree.Field) for step in steps)


def _is_boolean(node: Node) -> bool:
    """Tell whether a node gives nothing but true and false where it is decided."""
    match node:
        case tree.Comparison() | tree.Not() | tree.Call(name="contains" | "starts_with" | "ends_with"):
            return True
        case tree.And(operands=operands) | tree.Or(operands=operands):
            return all(map(_is_boolean, operands))
    return False
