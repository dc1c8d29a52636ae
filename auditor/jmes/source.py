"""
From tree to Python source: one function an expression, for what a run asks of each of its records.

A closure costs a call for every node; a generated function costs one call in all. Both mean the same, and what
they mean stands in `auditor.jmes.semantics`. No text of an expression gets into the source: names, literals
and indices are global variables of the function, `k0`, `k1`, …, and the source spells only the shape. So
expressions of one shape share one compiled text.

What nests deeper than Python's own compiler can follow stays a closure, called from the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, MappingProxyType
from typing import Any, Final, TypeAlias, assert_never

from auditor.jmes.building import Builder
from auditor.jmes.closures import Run, flattened
from auditor.jmes.functions import FUNCTIONS, Function, NullRule
from auditor.jmes.kinds import Refused
from auditor.jmes.outcome import Missing, Undecided, too_deep
from auditor.jmes.semantics import EQUALITY, Semantics, failure_of, parameters_of, pending_in
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
    Projection,
    Reference,
    Slice,
    SliceProjection,
    Subexpression,
    ValueProjection,
)
from auditor.jmes.value import TYPES, equal, is_true

_TYPES: Final = frozenset(TYPES)
"""Python's types of JSON values."""

_MOST_INDENTS: Final = 60
"""Python's tokenizer refuses 100."""

_MOST_LOOPS: Final = 15
"""Python's compiler refuses 20 blocks inside one another, of which `try` is one as well."""


def _conjoined(left: Undecided, right: Any) -> Any:
    """Return `left && right`."""
    if type(right) is Undecided:
        return left | right
    return left if is_true(right) else right


def _disjoined(left: Undecided, right: Any) -> Any:
    """Return `left || right`."""
    if type(right) is Undecided:
        return left | right
    return right if is_true(right) else left


_GLOBALS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "__builtins__": {},
        "AttributeError": AttributeError,
        "IndexError": IndexError,
        "NUMBERS": frozenset((int, float)),
        "NOTHING": MappingProxyType({}),
        "OverflowError": OverflowError,
        "RecursionError": RecursionError,
        "Refused": Refused,
        "Undecided": Undecided,
        "bool": bool,
        "conjoined": _conjoined,
        "dict": dict,
        "disjoined": _disjoined,
        "equal": equal,
        "flattened": flattened,
        "float": float,
        "int": int,
        "len": len,
        "list": list,
        "map": map,
        "pending_in": pending_in,
        "str": str,
        "too_deep": too_deep,
        "type": type,
    }
)
"""All that the source can name besides its constants."""

_INLINE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ends_with": "{0}.endswith({1})",
        "keys": "list({0})",
        "length": "len({0})",
        "lower": "{0}.lower()",
        "starts_with": "{0}.startswith({1})",
        "to_array": "{0} if type({0}) is list else [{0}]",
        "upper": "{0}.upper()",
        "values": "list({0}.values())",
    }
)
"""Functions that are one expression of Python and refuse nothing that their parameters accept."""


Every: TypeAlias = Callable[[Any, Missing], list[tuple[int, Any]] | None]
"""A function of a value and of what takes undecided elements."""


@dataclass(frozen=True, slots=True)
class _Part:
    """
    Where the result of a node is: the name of a variable or constant.

    `undecided` says that it can be `Undecided`, `boolean` that otherwise it is true or false.
    """

    name: str
    undecided: bool = False
    boolean: bool = False


@lru_cache(maxsize=4096)
def _compiled(source: str) -> CodeType:
    return compile(source, "<expression>", "exec", dont_inherit=True)


def generate(node: Node, semantics: Semantics, *, outer: bool = True) -> Run:
    """
    Return a function that gives for every value what the closure of a node gives.

    With *outer* its second argument takes what outermost filters cannot decide; without, there is no such
    filter: the node is the condition of one, or an expression reference.
    """
    writer = _Writer(semantics)
    source = writer.function(node, outer=outer)
    namespace = {**_GLOBALS, **writer.constants}
    exec(_compiled(source), namespace)  # noqa: S102  # made here of constant text alone
    run: Run = namespace["run"]
    return run


def generate_every(nodes: Sequence[Node], semantics: Semantics) -> Every:
    """
    Return one function for several expressions that should be true of a value.

    It gives the number and the result of each that is not, None if all are true; a path that several of them read
    is read once. Where one of them is an error, it is that of the first.
    """
    writer = _Writer(semantics)
    source = writer.functions(nodes)
    namespace = {**_GLOBALS, **writer.constants}
    exec(_compiled(source), namespace)  # noqa: S102  # as above
    run: Every = namespace["run"]
    return run


class _Writer:
    """
    Writes one function.

    `outer` says of a place that it stands in no condition and in no expression reference: what its filters
    cannot decide goes to `missing`.
    """

    def __init__(self, semantics: Semantics) -> None:
        self.semantics = semantics
        self.constants: dict[str, Any] = {}
        self._builder = Builder(semantics)
        self._lines: list[str] = []
        self._indents = 0
        self._loops = 0
        self._variables = 0
        self._paths: list[dict[tuple[str, ...], str]] = [{}]

    def function(self, node: Node, *, outer: bool = True) -> str:
        """Return the text of the function; its constants are in `constants`."""
        self._write("def run(value, missing=None):")
        self._indents = 1
        with self._block("try:"):
            result = self._emit(node, "value", outer=outer)
            self._write(f"return {result.name}")
        self._write("except RecursionError: raise too_deep() from None")
        return "\n".join([*self._lines, ""])

    def functions(self, nodes: Sequence[Node]) -> str:
        """Return the text of one function for several expressions, which gives those that are not true."""
        self._write("def run(value, missing=None):")
        self._indents = 1
        self._write("others = None")
        with self._block("try:"):
            for number, node in enumerate(nodes):
                result = self._emit(node, "value", outer=True).name
                found = f"[({self._constant(number)}, {result})]"
                self._write(
                    f"if {result} is not True: others = {found} if others is None else others + {found}"
                )
            self._write("return others")
        self._write("except RecursionError: raise too_deep() from None")
        return "\n".join([*self._lines, ""])

    # --- lines

    def _write(self, line: str) -> None:
        self._lines.append(f"{' ' * self._indents}{line}")

    @contextmanager
    def _block(self, line: str, *, loop: bool = False) -> Iterator[None]:
        self._write(line)
        self._indents += 1
        self._loops += loop
        self._paths.append({})
        yield
        self._paths.pop()
        self._indents -= 1
        self._loops -= loop

    @contextmanager
    def _unless_undecided(self, target: str, *parts: _Part) -> Iterator[None]:
        """Write what works on decided parts; where one is undecided, the target is as well."""
        doubtful = [part.name for part in parts if part.undecided]
        if not doubtful:
            yield
            return
        with self._block(f"if {' or '.join(f'type({name}) is Undecided' for name in doubtful)}:"):
            alone = len(doubtful) == 1
            listed = ", ".join(doubtful)
            self._write(f"{target} = {listed}" if alone else f"{target} = pending_in(({listed}))")
        with self._block("else:"):
            yield

    def _variable(self) -> str:
        self._variables += 1
        return f"v{self._variables}"

    def _constant(self, value: Any) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    @staticmethod
    def _is_true(part: _Part) -> str:
        return part.name if part.boolean else f"({part.name} or type({part.name}) in NUMBERS)"

    # --- nodes

    def _emit(self, node: Node, current: str, *, outer: bool) -> _Part:
        if self._indents > _MOST_INDENTS or self._loops > _MOST_LOOPS:
            return self._closure(node, current, outer=outer)
        match node:
            case Current():
                return _Part(current)
            case Field():
                return self._path([node.name], current)
            case Literal(value=value):
                return _Part(self._constant(value), boolean=isinstance(value, bool))
            case Index(left=left, index=index):
                return self._element(self._emit(left, current, outer=outer), index)
            case Slice(left=left, start=start, stop=stop, step=step):
                base, target = self._emit(left, current, outer=outer), self._variable()
                cut = f"{base.name}[{self._constant(slice(start, stop, step))}]"
                with self._unless_undecided(target, base):
                    self._write(f"{target} = {cut} if type({base.name}) is list else None")
                return _Part(target, base.undecided)
            case Subexpression(steps=steps) | Pipe(stages=steps):
                return self._chain(steps, current, outer=outer)
            case (
                ListProjection()
                | SliceProjection()
                | ValueProjection()
                | FilterProjection()
                | FlattenProjection()
            ):
                return self._projection(node, current, outer=outer)
            case Comparison():
                return self._comparison(node, current, outer=outer)
            case And(operands=operands):
                return self._logical(operands, current, "conjoined", outer=outer)
            case Or(operands=operands):
                return self._logical(operands, current, "disjoined", outer=outer)
            case Not(operand=operand):
                part, target = self._emit(operand, current, outer=outer), self._variable()
                with self._unless_undecided(target, part):
                    self._write(f"{target} = not {self._is_true(part)}")
                return _Part(target, part.undecided, boolean=True)
            case MultiSelectList(items=items):
                return self._multi_select(items, None, current, outer=outer)
            case MultiSelectHash(entries=entries):
                names, items = zip(*entries, strict=True)
                return self._multi_select(items, names, current, outer=outer)
            case Call():
                return self._call(node, current, outer=outer)
            case Placeholder() | Reference():
                raise AssertionError("the parser and compile() let no such node through")
            case _:
                assert_never(node)

    def _closure(self, node: Node, current: str, *, outer: bool) -> _Part:
        target, run = self._variable(), self._constant(self._builder.build(node))
        self._write(f"{target} = {run}({current}, {'missing' if outer else 'None'})")
        return _Part(target, undecided=self.semantics.decides)

    def _path(self, names: Sequence[str], current: str) -> _Part:
        # A path that was read before, here or in a block around this one, is not read again.
        path = (current, *names)
        for known in self._paths:
            if path in known:
                return _Part(known[path])
        # What has no `get` is no object; JSON knows no other value that has one.
        *before, last = [self._constant(name) for name in names]
        steps = "".join(f".get({name}, NOTHING)" for name in before)
        target = self._variable()
        self._write("try:")
        self._write(f" {target} = {current}{steps}.get({last})")
        self._write("except AttributeError:")
        self._write(f" {target} = None")
        self._paths[-1][path] = target
        return _Part(target)

    def _chain(self, steps: Sequence[Node], current: str, *, outer: bool) -> _Part:
        names: list[str] = []
        for step in steps:
            if not isinstance(step, Field):
                break
            names.append(step.name)
        rest = steps[len(names) or 1 :]
        first = self._path(names, current) if names else self._emit(steps[0], current, outer=outer)
        if not rest:
            return first
        if not first.undecided:
            return self._chain(rest, first.name, outer=outer)
        target = self._variable()
        with self._unless_undecided(target, first):
            last = self._chain(rest, first.name, outer=outer)
            self._write(f"{target} = {last.name}")
        return _Part(target, undecided=True, boolean=last.boolean)

    def _element(self, base: _Part, index: int) -> _Part:
        target = self._variable()
        enough = (
            f"len({base.name}) > {self._constant(index)}"
            if index >= 0
            else f"len({base.name}) >= {self._constant(-index)}"
        )
        with self._unless_undecided(target, base):
            self._write(
                f"{target} = {base.name}[{self._constant(index)}]"
                f" if type({base.name}) is list and {enough} else None"
            )
        return _Part(target, base.undecided)

    def _projection(self, node: Projection, current: str, *, outer: bool) -> _Part:
        base, target = self._emit(node.left, current, outer=outer), self._variable()
        container = "dict" if isinstance(node, ValueProjection) else "list"
        undecided = base.undecided
        with self._unless_undecided(target, base):
            with self._block(f"if type({base.name}) is {container}:"):
                pending, item = self._variable(), self._variable()
                self._write(f"{target} = []")
                start = len(self._lines)
                with self._block(f"for {item} in {self._items(node, base.name)}:", loop=True):
                    doubtful = isinstance(node, FilterProjection) and self._condition(
                        node.condition, item, pending, outer=outer
                    )
                    doubtful |= self._append(self._emit(node.right, item, outer=outer), target, pending)
                if doubtful:
                    undecided = True
                    self._lines.insert(start, f"{' ' * self._indents}{pending} = None")
                    self._write(f"if {pending} is not None: {target} = {pending}")
            with self._block("else:"):
                self._write(f"{target} = None")
        return _Part(target, undecided)

    def _items(self, node: Projection, base: str) -> str:
        match node:
            case SliceProjection(start=start, stop=stop, step=step):
                return f"{base}[{self._constant(slice(start, stop, step))}]"
            case ValueProjection():
                return f"{base}.values()"
            case FlattenProjection():
                return f"(flattened({base}) if list in map(type, {base}) else {base})"
            case _:
                return base

    def _condition(self, node: Node, item: str, pending: str, *, outer: bool) -> bool:
        """Write what goes on to the next item if the condition is not true; return whether it can be pending."""
        condition = self._emit(node, item, outer=False)
        if condition.undecided:
            with self._block(f"if type({condition.name}) is Undecided:"):
                if outer:
                    self._write(f"missing.found.append(({item}, {condition.name}))")
                    self._write("if not missing.select: continue")
                    with_true = f"{condition.name} = True"
                    self._write(with_true)
                else:
                    self._join(pending, condition.name)
                    self._write("continue")
        self._write(f"if not {self._is_true(condition)}: continue")
        return condition.undecided and not outer

    def _append(self, part: _Part, target: str, pending: str) -> bool:
        """Write what keeps a result that is not null; return whether it can be pending."""
        keep = f"if {part.name} is not None: {target}.append({part.name})"
        if part.undecided:
            with self._block(f"if type({part.name}) is Undecided:"):
                self._join(pending, part.name)
            self._write(f"el{keep}")
        else:
            self._write(keep)
        return part.undecided

    def _join(self, pending: str, found: str) -> None:
        self._write(f"{pending} = {found} if {pending} is None else {pending} | {found}")

    def _comparison(self, node: Comparison, current: str, *, outer: bool) -> _Part:
        left = self._emit(node.left, current, outer=outer)
        right = self._emit(node.right, current, outer=outer)
        left_null, right_null = self.semantics.nulls(node)
        sides, target = [], self._variable()
        boolean = self.semantics.decides or node.operator in EQUALITY
        for side, below, null in ((left, node.left, left_null), (right, node.right, right_null)):
            if null is None or self._is_value(below):
                sides.append(side)
                continue
            if not left.undecided and self._is_value(node.right):
                test = self._test(node, left.name, right.name)
                self._write(f"{target} = {self._constant(null)} if {left.name} is None else {test}")
                return _Part(target, undecided=True, boolean=boolean)
            name, constant = self._variable(), self._constant(null)
            self._write(f"{name} = {constant} if {side.name} is None else {side.name}")
            sides.append(_Part(name, undecided=True))
        with self._unless_undecided(target, *sides):
            self._write(f"{target} = {self._test(node, sides[0].name, sides[1].name)}")
        return _Part(target, any(side.undecided for side in sides), boolean=boolean)

    @staticmethod
    def _is_value(node: Node) -> bool:
        return isinstance(node, Literal) and node.value is not None

    def _test(self, node: Comparison, left: str, right: str) -> str:
        """Return the expression that compares two decided sides."""
        if not node.instants:
            if self.semantics.test(node) in EQUALITY.values():
                return f"{left} {node.operator} {right}"
            if node.operator == "==":
                return f"equal({left}, {right})"
            if node.operator == "!=":
                return f"not equal({left}, {right})"
        test = f"{self._constant(self.semantics.test(node))}({left}, {right})"
        for name, side in ((left, node.right), (right, node.left)):
            if node.instants or not isinstance(side, Literal):
                continue
            if type(side.value) in (int, float):
                return f"{left} {node.operator} {right} if type({name}) in NUMBERS else {test}"
            if type(side.value) is str:
                return f"{left} {node.operator} {right} if type({name}) is str else {test}"
        return test

    def _logical(self, operands: Sequence[Node], current: str, join: str, *, outer: bool) -> _Part:
        """Write `a && b` or `a || b`: of more operands than two it is that of the first and the rest."""
        result = self._emit(operands[0], current, outer=outer)
        target = self._variable()
        self._write(f"{target} = {result.name}")
        result = _Part(target, result.undecided, result.boolean)
        for operand in operands[1:]:
            with self._block(f"if {self._is_open(result, join)}:"):
                part = self._emit(operand, current, outer=outer)
                if result.undecided:
                    self._write(
                        f"{target} = {join}({target}, {part.name}) "
                        f"if type({target}) is Undecided else {part.name}"
                    )
                else:
                    self._write(f"{target} = {part.name}")
            result = _Part(target, result.undecided or part.undecided, result.boolean and part.boolean)
        return result

    def _is_open(self, part: _Part, join: str) -> str:
        """Return the test of whether a first operand leaves it to the second."""
        if part.undecided and part.boolean:
            return f"{part.name} is not {join == 'disjoined'}"
        doubtful = f"type({part.name}) is Undecided or " if part.undecided else ""
        return f"{doubtful}{'not ' if join == 'disjoined' else ''}{self._is_true(part)}"

    def _multi_select(
        self, items: Sequence[Node], names: Sequence[str] | None, current: str, *, outer: bool
    ) -> _Part:
        target = self._variable()
        with self._block(f"if {current} is None:"):
            self._write(f"{target} = None")
        with self._block("else:"):
            parts = [self._emit(item, current, outer=outer) for item in items]
            with self._unless_undecided(target, *parts):
                if names is None:
                    self._write(f"{target} = [{', '.join(part.name for part in parts)}]")
                else:
                    pairs = zip(names, parts, strict=True)
                    entries = ", ".join(f"{self._constant(name)}: {part.name}" for name, part in pairs)
                    self._write(f"{target} = {{{entries}}}")
        return _Part(target, any(part.undecided for part in parts))

    # --- calls

    def _call(self, node: Call, current: str, *, outer: bool) -> _Part:
        function, target = FUNCTIONS[node.name], self._variable()
        arguments = [
            _Part("None")
            if isinstance(argument, Reference)
            else self._argument(node, position, current, outer=outer)
            for position, argument in enumerate(node.arguments)
        ]
        if parameters_of(node)[0].null is NullRule.DEFAULT:
            *firsts, last = [part.name for part in arguments]
            chosen = "".join(f"{name} if {name} is not None else " for name in firsts)
            self._write(f"{target} = {chosen}{last}")
            return _Part(target, any(part.undecided for part in arguments))
        undecided = any(part.undecided for part in arguments)
        with self._unless_undecided(target, *arguments):
            columns = {
                position: self._column(node, position, argument, arguments[function.column_of].name)
                for position, argument in enumerate(node.arguments)
                if isinstance(argument, Reference)
            }
            given = [columns.get(position, part) for position, part in enumerate(arguments)]
            with self._unless_undecided(target, *columns.values()):
                self._apply(function, node, [part.name for part in given], target)
        undecided |= any(part.undecided for part in columns.values())
        return _Part(target, undecided, boolean=function.result == ("boolean",))

    def _argument(self, call: Call, position: int, current: str, *, outer: bool) -> _Part:
        node, kind = call.arguments[position], parameters_of(call)[position].kind
        accepted, accept = self.semantics.argument(call, position)
        if isinstance(node, Literal):
            if kind.read:
                return _Part(self._constant(kind.accept(node.value)))
            if type(node.value) in accepted:
                return _Part(self._constant(node.value))
        part = self._emit(node, current, outer=outer)
        if accepted >= _TYPES:
            return part
        target = self._variable()
        test = self._looks(part.name, accepted - {Undecided})
        self._write(f"{target} = {self._constant(accept)}({part.name}) if {test} else {part.name}")
        doubtful = parameters_of(call)[position].null is NullRule.UNDECIDED and self.semantics.decides
        return _Part(target, part.undecided or doubtful)

    def _looks(self, name: str, accepted: frozenset[type]) -> str:
        """Return the test of whether a value must be looked at before a function can work with it."""
        if not accepted:
            return "True"
        if accepted == _TYPES - {type(None)}:
            return f"{name} is None"
        if len(accepted) == 1:
            return f"type({name}) is not {next(iter(accepted)).__name__}"
        return f"type({name}) not in {self._constant(accepted)}"

    def _column(self, call: Call, position: int, reference: Reference, items: str) -> _Part:
        target, item = self._variable(), self._variable()
        accept = self._constant(self.semantics.column(call, position, reference))
        self._write(f"{target} = []")
        with self._block(f"for {item} in {items}:", loop=True):
            part = self._emit(reference.expression, item, outer=False)
            self._write(f"{target}.append({part.name})")
        self._write(f"{target} = {accept}({target})")
        return _Part(target, undecided=self.semantics.decides)

    def _apply(self, function: Function, node: Call, given: list[str], target: str) -> None:
        """Write the call of a function on decided arguments."""
        if function.name in _INLINE:
            self._write(f"{target} = {_INLINE[function.name].format(*given)}")
            return
        run, fail = self._constant(self.semantics.runner(function)), self._constant(failure_of(node))
        if function.name == "contains":
            subject, search = given
            among = self._texts(node.arguments[0])
            if among is not None:
                self._write(f"{target} = type({search}) is str and {search} in {self._constant(among)}")
                return
            with self._block(f"if type({subject}) is list:"):
                self._write(f"{target} = {search} in {subject}")
            with self._block("else:"):
                self._guarded(run, fail, given, target)
            return
        self._guarded(run, fail, given, target)

    def _guarded(self, run: str, fail: str, given: list[str], target: str) -> None:
        self._write("try:")
        self._write(f" {target} = {run}({', '.join(given)})")
        self._write("except (Refused, OverflowError) as error:")
        self._write(f" raise {fail}(error) from None")

    @staticmethod
    def _texts(node: Node) -> frozenset[str] | None:
        """Return the elements of a literal list of nothing but texts, which only a text can be equal to."""
        if not isinstance(node, Literal) or not isinstance(node.value, list):
            return None
        return frozenset(node.value) if all(type(item) is str for item in node.value) else None
