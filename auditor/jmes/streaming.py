"""
Expressions over a list of records that are evaluated record by record, in parts, on any number of machines.

`stream` takes an expression apart:

- *Stages* are filters, projections and flattenings, which turn each record into items without looking at any
  other record. `[?p]`, `[].x` and pipes of such are chains of stages.
- *Parts* are where the items of a stage become one thing: a call that streams (`length`, `max_by`, …), the
  first or last few items, or, where nothing less will do, the items themselves up to a bound.
- What is left of the expression is closures as ever. They are run when all records have been seen, and find
  the results of the parts where the list would be.

So the rules for null, for what is undecided and for errors are those of the whole list, in the order of the
list, whatever order the records came in: an error of a stage or a part matters only if the finished expression
asks for it. The law is that a stream gives what `Expression.decide` gives on the list sorted by key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.jmes import closures
from auditor.jmes.building import Builder
from auditor.jmes.compilation import ensure_ready
from auditor.jmes.folds import (
    Column,
    Count,
    CountBy,
    Extreme,
    ExtremeBy,
    Fold,
    Instants,
    Keep,
    Keeping,
    Search,
    Sum,
    Trouble,
    Unique,
    counts,
    gap,
    in_order,
    rates,
)
from auditor.jmes.functions import FUNCTIONS, NullRule
from auditor.jmes.kinds import Refused, check_uniform
from auditor.jmes.outcome import EvaluationError, Missing, Operand, Undecided, too_deep
from auditor.jmes.printer import render
from auditor.jmes.semantics import Semantics, failure_of, parameters_of
from auditor.jmes.source import generate
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
    Node,
    Not,
    Pipe,
    Reference,
    SliceProjection,
    Subexpression,
)

if TYPE_CHECKING:
    from datetime import datetime

    from auditor.jmes.closures import Run
    from auditor.model.value import JSON

MAX_ITEMS: Final = 100_000
"""Items that a part may keep; beyond, it is refused rather than cut."""

MAX_GROUPS: Final = 100_000
"""Keys that `count_by`, `rate_max` and `unique` may keep."""

MAX_INSTANTS: Final = 10_000_000
"""Instants that `rate_max` and `max_gap` may keep, of eight bytes each."""


class Collected(NamedTuple):
    """A part of an expression that needs its items themselves: its text, and why it does."""

    text: str
    because: str


@dataclass(frozen=True, slots=True)
class Reduced:
    """
    What a stream found.

    `undecided` counts the elements that outermost filters could not decide, `operands` in how many of them
    each operand was null, and `records` how many records they are: an element of a record is none. `keys` are
    those of the records that were kept, by their `id()`.
    """

    result: JSON | Undecided
    undecided: int = 0
    operands: Mapping[Operand, int] = field(default_factory=dict)
    records: int = 0
    keys: Mapping[int, Any] = field(default_factory=dict)


@dataclass(slots=True)
class StageState:
    """What one stage could not do, and what its outermost filters could not decide."""

    trouble: Trouble = field(default_factory=Trouble)
    undecided: int = 0
    operands: Counter[Operand] = field(default_factory=Counter)

    def merge(self, other: StageState) -> None:
        """Take what another state has seen."""
        self.trouble.merge(other.trouble)
        self.undecided += other.undecided
        self.operands.update(other.operands)


@dataclass(slots=True)
class State:
    """
    What a stream knows of some records.

    `left_open` counts records by the set of stages whose filters could not decide about them, one bit each;
    `missing` is empty between records.
    """

    stages: list[StageState]
    parts: list[Any]
    troubles: list[Trouble]
    missing: Missing
    left_open: Counter[int] = field(default_factory=Counter)


class _Stage(NamedTuple):
    """What turns the items of another stage into items. The first are the lists of records, and in no plan."""

    number: int
    before: int
    run: Run


class _Part(NamedTuple):
    """What becomes of the items of a stage."""

    number: int
    stage: int
    fold: Fold


class Stream:
    """
    An expression as a reducer of records.

    Any number of states, made by `initial` and given records by `step` in any order, can be merged in any
    order; `finish` then says what the expression gives for the list of all records, sorted by key.

    `collects` names the parts that do not stream: they keep their items up to a bound, and are then an error.
    """

    def __init__(self, finishing: Run, plan: _Plan, missing: Missing) -> None:
        self.collects = tuple(plan.collects)
        self._finishing = finishing
        self._stages = plan.stages
        self._parts = plan.parts
        self._lists = {name: number for number, name in enumerate(plan.lists)}
        self._roots = max(1, len(plan.lists))
        self._select = missing.select

    @property
    def streams(self) -> bool:
        """Whether memory is bounded whatever the number of records and of those that match."""
        return not self.collects

    def initial(self) -> State:
        """Return the state of no records."""
        return State(
            [StageState() for _ in range(self._roots + len(self._stages))],
            [part.fold.initial() for part in self._parts],
            [Trouble() for _ in self._parts],
            Missing(select=self._select),
        )

    def step(self, state: State, key: Any, record: JSON, of: str = "") -> None:
        """
        Take one record, of the list *of* where there are several.

        Its key, such as (order key, identity), is its own in the list and has an order among the others.
        """
        missing = state.missing
        produced: list[Any] = [None] * self._roots
        if of:
            root = self._lists[of]
            produced[root], key = [record], (root, key)
        else:
            produced[0] = [record]
        left_open = 0
        for number, before, run in self._stages:
            items = produced[before]
            if items:
                try:
                    items = run(items, missing)
                except EvaluationError as error:
                    state.stages[number].trouble.fail((key, 0), error)
                    items = None
                if missing.found:
                    left_open |= self._leave_open(state, number, missing, record)
                if type(items) is Undecided:
                    state.stages[number].trouble.leave_open((key, 0), items)
                    items = None
            produced.append(items)
        if left_open:
            state.left_open[left_open] += 1
        for number, stage, fold in self._parts:
            items = produced[stage]
            if items:
                try:
                    fold.add(state.parts[number], (key, items, record, left_open))
                except RecursionError:
                    state.troubles[number].fail((key, 0), too_deep())

    @staticmethod
    def _leave_open(state: State, number: int, missing: Missing, record: JSON) -> int:
        """Count what a stage could not decide; return its bit if the record itself is among it."""
        stage, found = state.stages[number], missing.found
        missing.found = []
        stage.undecided += len(found)
        for _, undecided in found:
            stage.operands.update(undecided.operands)
        return any(element is record for element, _ in found) << number

    def merge(self, state: State, other: State) -> State:
        """Return the state of the records of both, which are used up."""
        for seen, others in zip(state.stages, other.stages, strict=True):
            seen.merge(others)
        for part, mine, theirs in zip(self._parts, state.parts, other.parts, strict=True):
            part.fold.merge(mine, theirs)
        for trouble, others_trouble in zip(state.troubles, other.troubles, strict=True):
            trouble.merge(others_trouble)
        state.left_open.update(other.left_open)
        return state

    def finish(self, state: State) -> Reduced:
        """
        Return what the expression gives for the list of all records.

        Raises:
            EvaluationError: where the expression does on that list; `evaluation.too-many` where a part had to
                keep more than its bound.
        """
        finished = _Finished(state)
        missing = Missing(select=self._select)
        try:
            result = self._finishing(finished, missing)
        except RecursionError:
            raise too_deep() from None
        undecided, operands = len(missing.found), Counter[Operand]()
        for _, found in missing.found:
            operands.update(found.operands)
        stages = 0
        for stage in finished.asked:
            stages |= 1 << stage
            undecided += state.stages[stage].undecided
            operands.update(state.stages[stage].operands)
        records = sum(number for left_open, number in state.left_open.items() if left_open & stages)
        records += finished.records_in(missing, stages)
        return Reduced(result, undecided, operands, records, finished.keys())


class _Finished:
    """The place of the list when everything has been seen: no JSON value, so that nothing is found in it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.asked: list[int] = []
        self._kept: dict[int, tuple[Any, int]] = {}

    def trouble(self, stages: list[int]) -> Undecided | None:
        """Return what keeps some stages from being decided; raise the first error of the first that has one."""
        for stage in stages:
            self.asked.append(stage)
            pending = self._state.stages[stage].trouble.result()
            if pending is not None:
                return pending
        return None

    def part(self, number: int) -> Any:
        """Return the state of a part."""
        self._state.troubles[number].result()
        return self._state.parts[number]

    def items(self, number: int, fold: Keep) -> list[JSON] | None:
        """Return the items that a part has kept; None if they were too many."""
        state: Keeping = self.part(number)
        if state.too_many:
            return None
        fold.trim(state)
        for kept in state.kept:
            if kept.left_open >= 0:
                self._kept[id(kept.item)] = (kept.order[0], kept.left_open)
        return state.items()

    def keys(self) -> dict[int, Any]:
        """Return the keys of the records among what was kept, by their `id()`."""
        return {identity: key for identity, (key, _) in self._kept.items()}

    def records_in(self, missing: Missing, stages: int) -> int:
        """Return how many records are among what was left open at the end, and not before at one of some stages."""
        found = [self._kept[id(element)] for element, _ in missing.found if id(element) in self._kept]
        return len({key for key, left_open in found if not left_open & stages})


@dataclass(frozen=True, slots=True)
class _Bounds:
    items: int
    groups: int
    instants: int


@dataclass(slots=True)
class _Plan:
    """The stages and parts of an expression while it is taken apart."""

    bounds: _Bounds
    lists: list[str]
    generate: Callable[..., Run] = generate
    stages: list[_Stage] = field(default_factory=list)
    parts: list[_Part] = field(default_factory=list)
    collects: list[Collected] = field(default_factory=list)

    def stage(self, before: int, run: Run) -> int:
        number = max(1, len(self.lists)) + len(self.stages)
        self.stages.append(_Stage(number, before, run))
        return number

    def part(self, stage: int, fold: Fold) -> int:
        self.parts.append(_Part(len(self.parts), stage, fold))
        return len(self.parts) - 1


class _Flow(NamedTuple):
    """A chain of stages: where it begins, and nodes that each make a list of a list, element by element."""

    root: int
    steps: list[Node]


class _Laid(NamedTuple):
    """A chain of stages in a plan: their numbers, and the last of them, or where it begins if there is none."""

    stages: list[int]
    end: int


class _Streaming(Builder):
    """
    Makes what is run at the end, and on the way stages and parts.

    The current value is the items of a stage, or an object of lists, whose stages *root* finds by their names.
    """

    def __init__(self, semantics: Semantics, plan: _Plan, root: Callable[[Node], int | None]) -> None:
        super().__init__(semantics)
        self._plan = plan
        self._root = root
        self._reason = "it is the result, which is the list itself"

    def inner(self, node: Node) -> Run:
        return Builder(self.semantics).build(node)

    def build(self, node: Node) -> Run:
        flow = _flow(node, self._root)
        if flow is not None:
            self._plan.collects.append(Collected(render(node), self._reason))
            return self._keep(flow, Keep(self._plan.bounds.items), node)
        match node:
            case Current():
                fields = [Field(name) for name in self._plan.lists]
                return closures.multi_select([self.build(each) for each in fields], self._plan.lists)
            case Pipe(stages=steps) | Subexpression(steps=steps):
                return self._chain(steps)
            case Not(operand=operand):
                return closures.negation(self._head(operand, 1))
            case And(operands=(*operands, last)):
                # Of a list that is not the last, `&&` wants to know only whether it is empty.
                heads = [self._head(operand, 1) for operand in operands]
                return closures.conjunction([*heads, self.build(last)])
            case Comparison(operator="==" | "!=", left=left, right=Literal(value=list() as value)):
                # Whether a list is equal to one of n elements, its first n + 1 tell.
                return closures.comparison_with(
                    self._head(left, len(value) + 1),
                    value,
                    self.semantics.test(node),
                    self.semantics.nulls(node)[0],
                )
            case Index(left=left, index=index):
                size = index + 1 if index >= 0 else -index
                return closures.element(self._head(left, size, last=index < 0), index)
            case SliceProjection(left=left):
                return self._slice(node, left)
            case Call():
                return self._aggregate(node) or self._because(
                    f"{node.name} is a function of the whole list", super().build, node
                )
            case _:
                return self._because("its value is needed as a list", super().build, node)

    def _because(self, reason: str, build: Callable[[Node], Run], node: Node) -> Run:
        """Build what is below a node; should it have to be collected, for this reason."""
        before, self._reason = self._reason, reason
        run = build(node)
        self._reason = before
        return run

    # --- stages

    def _lay(self, flow: _Flow) -> _Laid:
        """Add stages to the plan, one after the other."""
        stages: list[int] = []
        end = flow.root
        for step in flow.steps:
            end = self._plan.stage(end, self._plan.generate(step, self.semantics))
            stages.append(end)
        return _Laid(stages, end)

    def _chain(self, steps: tuple[Node, ...]) -> Run:
        """Build a pipe: as many stages as there are, then one thing made of them, then whatever follows."""
        flow, length = None, 0
        while (longer := _flow(Pipe(steps[: length + 1]), self._root)) is not None:
            flow, length = longer, length + 1
        first, *rest = steps[length:]
        if flow is None:
            return closures.chain([self.build(first), *map(self.inner, rest)])
        stages, end = self._lay(flow)
        below = _Streaming(self.semantics, self._plan, partial(_current, stage=end)).build(first)
        return closures.chain([self._checked(stages, below), *map(self.inner, rest)])

    def _head(self, node: Node, size: int, *, last: bool = False) -> Run:
        """Build a node of which, if it is a list, only so many first or last elements matter."""
        flow = _flow(node, self._root)
        if flow is None:
            return self.build(node)
        if size > self._plan.bounds.items:
            return self._because("too many of its elements are needed", self.build, node)
        return self._keep(flow, Keep(size, "last" if last else "first"), node)

    def _slice(self, node: SliceProjection, left: Node) -> Run:
        start, stop = node.start or 0, node.stop
        if (node.step or 1) > 0 and start >= 0 and stop is not None and stop >= 0:
            base = self._head(left, max(stop, 1))
        elif (node.step or 1) > 0 and start < 0 and stop is None:
            base = self._head(left, -start, last=True)
        else:
            base = self._because(
                "a slice without an end near its start needs every element", self.build, left
            )
        return closures.chain([base, self.inner(replace(node, left=Current()))])

    def _checked(self, stages: list[int], run: Run) -> Run:
        """Make what is undecided or an error if one of the stages is, else the result of *run*."""
        if not stages:
            return run

        def checked(finished: Any, missing: Missing | None) -> Any:
            pending = finished.trouble(stages)
            return run(finished, missing) if pending is None else pending

        return checked

    # --- parts

    def _keep(self, flow: _Flow, keep: Keep, node: Node) -> Run:
        stages, end = self._lay(flow)
        part = self._plan.part(end, keep)

        def items(finished: Any, _: Missing | None) -> Any:
            found = finished.items(part, keep)
            if found is None:
                raise _too_many(node, f"more than {keep.limit:,} items")
            return found

        return self._checked(stages, items)

    def _aggregate(self, node: Call) -> Run | None:
        """Build a call that streams; None where it does not."""
        aggregate = _AGGREGATES.get(node.name)
        if aggregate is None:
            return None
        if node.name == "contains" and not isinstance(node.arguments[1], Literal):
            return None
        flow = _flow(node.arguments[0], self._root)
        if flow is None:
            return None
        stages, end = self._lay(flow)
        columns = {
            position: self._reference(node, position, argument)
            for position, argument in enumerate(node.arguments)
            if isinstance(argument, Reference)
        }
        fold, finish = aggregate(self._plan.bounds, node, list(columns.values()))
        part = self._plan.part(end, fold)
        arguments = [
            closures.constant(None) if position in columns else self.argument(node, position)
            for position in range(1, len(node.arguments))
        ]
        state = self._checked(stages, lambda finished, _: finished.part(part))
        finishing = {
            position: _column_result(column, number)
            for number, (position, column) in enumerate(columns.items())
        }
        elements = parameters_of(node)[0].kind.elements

        def run(*given: Any) -> JSON:
            if elements:
                try:
                    check_uniform(in_order(given[0].types), elements)
                except Refused as refused:
                    raise failure_of(node, 0)(refused) from None
            return finish(*given)

        run_finite = self.semantics.finite(FUNCTIONS[node.name], run)
        return closures.call_of_many([state, *arguments], finishing, 0, run_finite, failure_of(node))

    def _reference(self, call: Call, position: int, reference: Reference) -> Column:
        parameter = parameters_of(call)[position]
        return Column(
            self._plan.generate(reference.expression, self.semantics, outer=False),
            self.semantics.null(reference.expression) if parameter.null is NullRule.UNDECIDED else None,
            parameter.kind,
            failure_of(call, position),
        )


def _column_result(column: Column, number: int) -> Callable[[Any], Any]:
    return lambda state: column.result(state.columns[number])


def collected(node: Node, lists: Sequence[str] = ()) -> tuple[Collected, ...]:
    """Return what `Stream.collects` of an expression is; its values need not all be known."""
    plan = _Plan(_Bounds(MAX_ITEMS, MAX_GROUPS, MAX_INSTANTS), list(lists), generate=_nothing)
    _take_apart(node, Semantics(None, decides=True), plan)
    return tuple(plan.collects)


def _nothing(*_: Any, **__: Any) -> Any:
    """Stand for a function that is never run."""


def _take_apart(node: Node, semantics: Semantics, plan: _Plan) -> Run:
    root = partial(_named, lists=plan.lists) if plan.lists else partial(_current, stage=0)
    return _Streaming(semantics, plan, root).build(node)


def is_itemwise(node: Node) -> bool:
    """Tell whether an expression makes items of each record of a list by itself: `[?p]`, `[].x`, pipes of such."""
    return _flow(node, partial(_current, stage=0)) is not None


def _current(node: Node, *, stage: int) -> int | None:
    """Return the stage of the current items."""
    return stage if isinstance(node, Current) else None


def _named(node: Node, *, lists: list[str]) -> int | None:
    """Return the stage of a list by its name."""
    return lists.index(node.name) if isinstance(node, Field) and node.name in lists else None


def _flow(node: Node, root: Callable[[Node], int | None]) -> _Flow | None:
    """Return the chain of stages that a node is, if it is one that begins where *root* knows a stage."""
    stage = root(node)
    if stage is not None:
        return _Flow(stage, [])
    match node:
        case ListProjection(left=left) | FilterProjection(left=left) | FlattenProjection(left=left):
            return _then(_flow(left, root), [replace(node, left=Current())])
        case Pipe(stages=(first, *rest)) | Subexpression(steps=(first, *rest)):
            flow = _flow(first, root)
            for each in rest:
                following = _flow(each, partial(_current, stage=0))
                flow = _then(flow, following.steps) if following else None
            return flow
        case Call(name="to_array", arguments=(items,)):
            return _flow(items, root)
        case Call(name="map", arguments=(reference, items)):
            return _then(_flow(items, root), [replace(node, arguments=(reference, Current()))])
        case _:
            return None


def _then(flow: _Flow | None, steps: list[Node]) -> _Flow | None:
    return flow and _Flow(flow.root, [*flow.steps, *steps])


def _too_many(node: Node, what: str) -> EvaluationError:
    return EvaluationError(
        "evaluation.too-many",
        "the list is too long",
        detail=f"{render(node)} has {what}",
        help="narrow it, or ask for something that need not be kept, such as length",
        span=node.span,
    )


# --- calls that stream: what they keep, and what they make of it at the end

_Aggregate = tuple[Fold, Callable[..., Any]]


def _bounded(node: Call, what: str, make: Callable[..., Any]) -> Callable[..., Any]:
    """Return what finishes a call whose state may have become too large."""

    def finish(state: Any, *given: Any) -> Any:
        rest = getattr(state, "rest", state)
        if rest.too_many:
            raise _too_many(node, what)
        return make(rest, *given)

    return finish


def _length(_bounds: _Bounds, _node: Call, _columns: list[Column]) -> _Aggregate:
    return Count(), lambda state: state[0]


def _type(_bounds: _Bounds, _node: Call, _columns: list[Column]) -> _Aggregate:
    return Count(), lambda _: "array"


def _contains(_bounds: _Bounds, node: Call, _columns: list[Column]) -> _Aggregate:
    search: Any = node.arguments[1]  # a literal; others are not brought here
    return Search(search.value), lambda state, _: state[0]


def _sum(_bounds: _Bounds, _node: Call, _columns: list[Column]) -> _Aggregate:
    return Sum(), lambda state: state.sum.sum()


def _avg(_bounds: _Bounds, _node: Call, _columns: list[Column]) -> _Aggregate:
    return Sum(), lambda state: state.sum.mean()


def _extreme(_bounds: _Bounds, node: Call, _columns: list[Column]) -> _Aggregate:
    return Extreme(node.name == "max"), _best


def _extreme_by(_bounds: _Bounds, node: Call, columns: list[Column]) -> _Aggregate:
    return ExtremeBy(columns, greatest=node.name == "max_by"), lambda state, _: _best(state.rest)


def _best(best: Any) -> JSON:
    return next((item for _, _, item in best.by_type.values()), None)


def _unique(bounds: _Bounds, node: Call, _columns: list[Column]) -> _Aggregate:
    finish = _bounded(
        node,
        f"more than {bounds.groups:,} different items",
        lambda state: [item for _, item in state.in_order()],
    )
    return Unique(bounds.groups), finish


def _count_by(bounds: _Bounds, node: Call, columns: list[Column]) -> _Aggregate:
    what = f"more than {bounds.groups:,} keys"
    return CountBy(columns, bounds.groups), _bounded(node, what, lambda rest, _: counts(rest.groups.values()))


def _instants(bounds: _Bounds, columns: list[Column]) -> tuple[Instants, str]:
    what = f"more than {bounds.groups:,} keys or {bounds.instants:,} instants"
    return Instants(columns, bounds.groups, bounds.instants), what


def _rate_max(bounds: _Bounds, node: Call, columns: list[Column]) -> _Aggregate:
    fold, what = _instants(bounds, columns)
    return fold, _bounded(node, what, lambda rest, _key, _at, length: rates(rest.groups.values(), length))


def _max_gap(bounds: _Bounds, node: Call, columns: list[Column]) -> _Aggregate:
    fold, what = _instants(bounds, columns)
    return fold, _bounded(node, what, lambda rest, _: gap(rest.groups.values()))


_AGGREGATES: Final[Mapping[str, Callable[[_Bounds, Call, list[Column]], _Aggregate]]] = {
    "avg": _avg,
    "contains": _contains,
    "count_by": _count_by,
    "length": _length,
    "max": _extreme,
    "max_by": _extreme_by,
    "max_gap": _max_gap,
    "min": _extreme,
    "min_by": _extreme_by,
    "rate_max": _rate_max,
    "sum": _sum,
    "type": _type,
    "unique": _unique,
}
"""Functions that need not keep the items of the list that is their first argument."""

STREAMING: Final = frozenset((*_AGGREGATES, "map", "to_array"))
"""The names of the functions that stream; `contains` does if what it looks for is a literal."""


def stream(
    node: Node,
    *,
    as_of: datetime | None = None,
    select: bool | None = False,
    lists: Sequence[str] = (),
    max_items: int = MAX_ITEMS,
    max_groups: int = MAX_GROUPS,
    max_instants: int = MAX_INSTANTS,
) -> Stream:
    """
    Return an expression over a list of records as a reducer of records.

    *select* is that of `Missing`: whether elements that an outermost filter cannot decide are selected. With
    None nothing is ever undecided, as in `Expression.search`. With *lists* the expression is not over one list
    of records but over an object of several, of these names. The bounds are those of each part by itself.

    Raises:
        Mistake: as `compile` does.
    """
    ensure_ready(node, as_of)
    semantics = Semantics(as_of, decides=select is not None)
    plan = _Plan(_Bounds(max_items, max_groups, max_instants), list(lists))
    return Stream(_take_apart(node, semantics, plan), plan, Missing(select=bool(select)))
