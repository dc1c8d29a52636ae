"""
What of a filter the server evaluates: the strongest filter of the endpoint's shapes that every match satisfies.

The server may answer too much, never too little; the whole filter is applied here again in any case. The
law: `server(pushed) ∩ where == where`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Final, TypeAlias

from auditor import scim
from auditor.model.query import Pushdown
from auditor.model.resource import Mark, ResourceKind, Shape, field

Arm: TypeAlias = Mapping[str, frozenset[str]]
"""A conjunction: for each attribute, the values of which a matching record has one. Empty: anything matches."""

MAX_ARMS: Final = 64
"""Beyond this many alternatives a weaker filter is pushed instead: URLs are bounded."""

_ANYTHING: Final[tuple[Arm, ...]] = ({},)


def push(where: scim.Filter, kind: ResourceKind, pushdown: Pushdown) -> scim.Filter:
    """
    Return the part of a filter that the server evaluates; `Constant(True)` where it is nothing.

    Attribute names in *where* are canonical. Sensitive values and unbound placeholders are never pushed.
    """
    if pushdown == "range" or kind.filter is None:
        return scim.Constant(True)
    shapes = [shape for shape in kind.filter.shapes if _allowed(shape.mark, pushdown)]
    wanted = {slot.attribute for shape in shapes for slot in shape.all}
    arms = _absorb(_arms(where, wanted, kind))
    if not arms:
        return scim.Constant(False)
    disjunction = kind.filter.disjunction is not None and _allowed(kind.filter.disjunction, pushdown)
    shaped = _shape(arms, shapes, disjunction=disjunction) or _shape(
        (_weaken(arms),), shapes, disjunction=disjunction
    )
    return scim.any_of(_filter(arm) for arm in shaped) if shaped else scim.Constant(True)


def _allowed(mark: Mark, pushdown: Pushdown) -> bool:
    return mark == "proven" or pushdown == "documented"


def _arms(
    tree: scim.Filter, wanted: set[str], kind: ResourceKind, *, negated: bool = False
) -> tuple[Arm, ...]:
    """
    Return alternatives of which every matching record satisfies one, by the attributes that are wanted.

    A negated comparison says nothing that `eq` could ask for: it is true of absent attributes as well.
    """
    match tree:
        case scim.Not(term):
            return _arms(term, wanted, kind, negated=not negated)
        case scim.And(terms) | scim.Or(terms):
            parts = [_arms(term, wanted, kind, negated=negated) for term in terms]
            if isinstance(tree, scim.And) is not negated:
                return _conjunction(parts, kind)
            return _absorb(arm for part in parts for arm in part)
        case scim.Constant(value):
            return _ANYTHING if value is not negated else ()
        case _ if negated:
            return _ANYTHING
        case scim.ValuePath(attribute, inner):
            return _arms(_qualified(inner, attribute.name), wanted, kind)
        case scim.Compare(attribute, scim.Operator.EQ, scim.Literal(str(value), sensitive=False)):
            return ({attribute.name: frozenset((value,))},) if attribute.name in wanted else _ANYTHING
        case scim.In(attribute, scim.Literals(items, sensitive=False)):
            texts = [i.value for i in items if isinstance(i, scim.Literal) and isinstance(i.value, str)]
            if attribute.name not in wanted or len(texts) != len(items):
                return _ANYTHING
            return ({attribute.name: frozenset(texts)},) if texts else ()
    return _ANYTHING


def _qualified(tree: scim.Filter, within: str) -> scim.Filter:
    """Return the filter inside a value path with the full names of its attributes."""
    match tree:
        case scim.And(terms):
            return scim.all_of(_qualified(term, within) for term in terms)
        case scim.Or(terms):
            return scim.any_of(_qualified(term, within) for term in terms)
        case scim.Compare(attribute, operator, value):
            return scim.Compare(scim.Attribute(f"{within}.{attribute.name}"), operator, value)
        case scim.In(attribute, values):
            return scim.In(scim.Attribute(f"{within}.{attribute.name}"), values)
    return scim.Constant(True)  # weaker than anything, hence sound


def _conjunction(parts: Iterable[tuple[Arm, ...]], kind: ResourceKind) -> tuple[Arm, ...]:
    result: tuple[Arm, ...] = _ANYTHING
    for part in parts:
        pairs = (_both(left, right, kind) for left, right in product(result, part))
        result = _absorb(arm for arm in pairs if arm is not None)
        if len(result) > MAX_ARMS:
            result = (_weaken(result),)
    return result


def _both(left: Arm, right: Arm, kind: ResourceKind) -> Arm | None:
    """Return what satisfies both arms; None where nothing can."""
    merged = dict(left)
    for name, values in right.items():
        if name not in merged:
            merged[name] = values
        elif _has_many_values(name, kind):
            # One value may satisfy the one and another value the other, so they do not intersect.
            merged[name] = min(merged[name], values, key=lambda v: (len(v), sorted(v)))
        elif common := merged[name] & values:
            merged[name] = common
        else:
            return None
    return merged


def _has_many_values(name: str, kind: ResourceKind) -> bool:
    found = kind.attribute(name)
    path = found[1].path if found else None
    known = field(kind.item, path) if path else None
    return known is None or known[1]


def _absorb(arms: Iterable[Arm]) -> tuple[Arm, ...]:
    """Return alternatives without those that another one includes."""
    kept: list[Arm] = []
    for arm in arms:
        if any(_includes(other, arm) for other in kept):
            continue
        kept = [other for other in kept if not _includes(arm, other)]
        kept.append(arm)
    return tuple(kept)


def _includes(weaker: Arm, stronger: Arm) -> bool:
    return all(name in stronger and stronger[name] <= values for name, values in weaker.items())


def _weaken(arms: tuple[Arm, ...]) -> Arm:
    """Return one arm that every alternative satisfies."""
    names = set.intersection(*(set(arm) for arm in arms))
    return {name: frozenset().union(*(arm[name] for arm in arms)) for name in sorted(names)}


def _shape(arms: tuple[Arm, ...], shapes: list[Shape], *, disjunction: bool) -> list[Arm]:
    """Return the alternatives cut to the endpoint's shapes; none where one of them has no shape."""
    cut: list[Arm] = []
    for arm in arms:
        shape = next((s for s in shapes if _fits(s, arm, disjunction=disjunction)), None)
        if shape is None:
            return []
        cut += _expanded(shape, arm)
    merged = _merged(_absorb(cut), shapes)
    if len(merged) > (MAX_ARMS if disjunction else 1):
        return []
    return merged


def _fits(shape: Shape, arm: Arm, *, disjunction: bool) -> bool:
    return all(
        slot.attribute in arm and (slot.any_of or disjunction or len(arm[slot.attribute]) == 1)
        for slot in shape.all
    )


def _expanded(shape: Shape, arm: Arm) -> Iterator[Arm]:
    """Yield an arm of a shape for each choice of values where the shape takes a single one."""
    choices = [
        [arm[slot.attribute]]
        if slot.any_of
        else [frozenset((value,)) for value in sorted(arm[slot.attribute])]
        for slot in shape.all
    ]
    for chosen in product(*choices):
        yield {slot.attribute: values for slot, values in zip(shape.all, chosen, strict=True)}


def _merged(arms: tuple[Arm, ...], shapes: list[Shape]) -> list[Arm]:
    """Write alternatives that differ in one list of values only as one with the values of both."""
    any_of = {slot.attribute for shape in shapes for slot in shape.all if slot.any_of}
    groups: dict[tuple[tuple[str, tuple[str, ...]], ...], dict[str, frozenset[str]]] = {}
    for arm in arms:
        key = tuple(
            (name, ()) if name in any_of else (name, tuple(sorted(v))) for name, v in sorted(arm.items())
        )
        group = groups.setdefault(key, {})
        for name, values in arm.items():
            group[name] = group.get(name, frozenset()) | values
    return list(groups.values())


def _filter(arm: Arm) -> scim.Filter:
    return scim.all_of(
        scim.any_of(
            scim.Compare(scim.Attribute(name), scim.Operator.EQ, scim.Literal(value))
            for value in sorted(values)
        )
        for name, values in arm.items()
    )
