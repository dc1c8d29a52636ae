"""
What of a filter the server evaluates: the strongest filter of the endpoint's shapes that every match satisfies.

The server may answer too much, never too little; the whole filter is applied here again in any case. The
law: `server(pushed) ∩ where == where`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from math import prod

from auditor.model.query import Pushdown
from auditor.model.resource import Mark, ResourceKind, Shape
from auditor.scim.alternatives import MAX_ARMS, Arm, alternatives, weakened, without_included
from auditor.scim.printer import render
from auditor.scim.tree import (
    And,
    Attribute,
    Compare,
    Constant,
    Filter,
    In,
    Literal,
    Literals,
    Operator,
    Or,
    all_of,
    any_of,
)


def push(where: Filter, kind: ResourceKind, pushdown: Pushdown) -> Filter:
    """
    Return the part of a filter that the server evaluates.

    Result: a filter of the endpoint's shapes; `Constant(True)` where it has none that fits, `Constant(False)`
    where nothing can match, as `never_true` tells.

    Attribute names in *where* are canonical. Sensitive values and unbound placeholders are never pushed, nor
    does anything that is pushed depend on them.
    """
    if pushdown == "range" or kind.filter is None:
        return Constant(True)
    shapes = [shape for shape in kind.filter.shapes if shape.all and _allowed(shape.mark, pushdown)]
    wanted = frozenset(slot.attribute for shape in shapes for slot in shape.all)
    arms = alternatives(where, wanted, kind)
    if not arms:
        return Constant(False)
    disjunction = kind.filter.disjunction is not None and _allowed(kind.filter.disjunction, pushdown)
    shaped = _shaped(arms, shapes, disjunction=disjunction) or _shaped(
        (weakened(arms),), shapes, disjunction=disjunction
    )
    terms = [_term(arm) for arm in shaped]
    return any_of(sorted(terms, key=render)) if terms else Constant(True)


def _allowed(mark: Mark, pushdown: Pushdown) -> bool:
    return mark == "proven" or pushdown == "documented"


def _shaped(arms: Iterable[Arm], shapes: list[Shape], *, disjunction: bool) -> list[Arm]:
    """Return the alternatives cut to the endpoint's shapes; none where one of them has no shape."""
    by_shape: dict[int, list[Arm]] = {}
    for arm in arms:
        for number, shape in enumerate(shapes):
            if instances := _instances(shape, arm, disjunction=disjunction):
                by_shape.setdefault(number, []).extend(instances)
                break
        else:
            return []
    merged = [arm for number, found in by_shape.items() for arm in _merged(found, shapes[number])]
    distinct = list({frozenset(arm.items()): arm for arm in merged}.values())
    if len(distinct) > MAX_ARMS:
        return []
    kept = without_included(distinct)
    return kept if disjunction or len(kept) == 1 else []


def _instances(shape: Shape, arm: Arm, *, disjunction: bool) -> list[Arm]:
    """Return a shape with each choice of an arm's values where it takes a single one; none where it has no use."""
    if any(slot.attribute not in arm for slot in shape.all):
        return []
    choices = [
        [arm[slot.attribute]]
        if slot.any_of
        else [frozenset((value,)) for value in sorted(arm[slot.attribute])]
        for slot in shape.all
    ]
    if prod(map(len, choices)) > (MAX_ARMS if disjunction else 1):
        return []
    names = [slot.attribute for slot in shape.all]
    return [dict(zip(names, chosen, strict=True)) for chosen in product(*choices)]


def _merged(instances: list[Arm], shape: Shape) -> list[Arm]:
    """Write instances of a shape that differ only where it takes several values as one with all of them."""
    for slot in shape.all:
        if slot.any_of:
            groups: dict[frozenset[tuple[str, frozenset[str]]], frozenset[str]] = {}
            for arm in instances:
                rest = frozenset((name, values) for name, values in arm.items() if name != slot.attribute)
                groups[rest] = groups.get(rest, frozenset()) | arm[slot.attribute]
            instances = [{**dict(rest), slot.attribute: values} for rest, values in groups.items()]
    names = [slot.attribute for slot in shape.all]
    return [{name: arm[name] for name in names} for arm in instances]


def _term(arm: Arm) -> Filter:
    return all_of(
        any_of(Compare(Attribute(name), Operator.EQ, Literal(value)) for value in sorted(values))
        for name, values in arm.items()
    )


def residual(where: Filter, pushed: Filter) -> str:
    """Return the terms of a filter that what was pushed does not already decide, as text; empty where none is left."""
    decided = [_alternatives(term) for term in _conjuncts(pushed)]
    rest = all_of(
        term for term in _conjuncts(where) if not any(given <= _alternatives(term) for given in decided)
    )
    return "" if isinstance(rest, Constant) else render(rest)


def _conjuncts(tree: Filter) -> tuple[Filter, ...]:
    return tree.terms if isinstance(tree, And) else (tree,)


def _alternatives(term: Filter) -> frozenset[Filter]:
    """Return the terms of which one has to hold, an `in` as the comparisons that it stands for."""
    match term:
        case In(attribute, Literals(items)):
            return frozenset(Compare(attribute, Operator.EQ, item) for item in items)
        case Or(terms):
            return frozenset().union(*map(_alternatives, terms))
    return frozenset((term,))
