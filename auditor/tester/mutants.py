"""
Small changes of a check, each of which a test should notice.

They are made on the compiled check, so that what a change would mean to the type of an expression does not
matter: a test notices by the verdict alone. What no longer can be read is no change at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Final, Generic, NamedTuple, TypeVar

from auditor import jmes, scim
from auditor.jmes.tree import (
    And,
    Comparison,
    FilterProjection,
    Index,
    Literal,
    Not,
    Operator,
    Or,
    Reference,
    children,
    transform,
)
from auditor.model.diagnostic import Mistake
from auditor.model.instant import Duration
from auditor.model.policy import OnEmpty, OnMissing
from auditor.model.query import SINGLE, CompiledCheck, CompiledExpectation, CompiledQuery, WindowRequest
from auditor.model.resource import Catalogue
from auditor.model.source import Address, Span
from auditor.model.value import JSON, Values

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """
    A changed check; `name` says what was changed, and names it once within its check.

    `locals` are those of the policy file where one of them was changed: what they give depends on the variables of
    each test, and so the check has to be compiled with them.
    """

    name: str
    address: Address
    check: CompiledCheck
    locals: Mapping[str, str] | None = None


def mutants(
    check: CompiledCheck, catalogue: Catalogue, locals_: Mapping[str, str] | None = None
) -> Iterator[Mutant]:
    """
    Yield every change of a check: of filters, windows, expressions, and of what missing and empty count as.

    *locals_* are those of its policy file, of which the ones that it uses are changed too.

    Literals are changed by a step, operators for their neighbours and opposites, terms and operands are left out.
    Values of variables are the tests' own and stay.
    """
    seen: dict[str, int] = {}
    for mutant in (*_mutants(check, catalogue), *_locals(check, locals_ or {})):
        number = seen[mutant.name] = seen.get(mutant.name, 0) + 1
        yield mutant if number == 1 else replace(mutant, name=f"{mutant.name} ({number})")


def _mutants(check: CompiledCheck, catalogue: Catalogue) -> Iterator[Mutant]:
    for name, query in check.queries.items():
        at = check.address.at("query") if name == SINGLE else check.address.at("queries", name)
        for what, key, changed in _queries(query, check.values, catalogue):
            queries = {**check.queries, name: changed}
            label = what if name == SINGLE else f"{name}: {what}"
            yield Mutant(name=label, address=at.at(key), check=replace(check, queries=queries))
    if check.archive is not None:
        yield Mutant(
            name="requires: left out",
            address=check.address.at("requires"),
            check=replace(check, archive=None),
        )
    for name, text in check.bind.items():
        at = check.address.at("bind", name)
        for expression in _expressions(text, check.values, is_condition=False):
            bind = {**check.bind, name: expression.text}
            yield Mutant(
                name=f"bind.{name}: {expression.what}",
                address=at.within(expression.span),
                check=replace(check, bind=bind),
            )
    for position, expectation in enumerate(check.expectations):
        own = expectation.address
        for what, address, changed_one in _expectations(expectation, own, check.values):
            others = list(check.expectations)
            others[position] = changed_one
            label = what if len(others) == 1 else f"expect[{position}]: {what}"
            yield Mutant(name=label, address=address, check=replace(check, expectations=tuple(others)))
    yield from _emptiness(check, catalogue)


def _locals(check: CompiledCheck, texts: Mapping[str, str]) -> Iterator[Mutant]:
    for name, text in texts.items():
        if f"local.{name}" in check.values:
            at = Address(file=check.address.file).at("locals", name)
            for changed in _expressions(text, check.values, is_condition=False):
                yield Mutant(
                    name=f"local.{name}: {changed.what}",
                    address=at.within(changed.span),
                    check=check,
                    locals={**texts, name: changed.text},
                )


# Queries


def _queries(
    query: CompiledQuery, values: Values, catalogue: Catalogue
) -> Iterator[tuple[str, str, CompiledQuery]]:
    if query.where:
        yield "where: left out", "where", replace(query, where="", pushed="", residual="")
        tree = scim.parse(query.where, values)
        rules = scim.rules(catalogue[query.resource])
        for change in _filters(tree):
            text = scim.render(_replaced(tree, change.before, change.after))
            if _is_filter(text, values, rules):
                yield f"where: {change.what}", "where", replace(query, where=text, pushed="", residual="")
    for window in _windows(query.window, query.resource, catalogue):
        yield f"window: {query.window} -> {window}", "window", replace(query, window=window)
    if query.include_partial:
        yield "include_partial: true -> false", "include_partial", replace(query, include_partial=False)


_OTHER_OPERATOR: Final[Mapping[scim.Operator, scim.Operator]] = {
    scim.Operator.EQ: scim.Operator.NE,
    scim.Operator.NE: scim.Operator.EQ,
    scim.Operator.CO: scim.Operator.EQ,
    scim.Operator.SW: scim.Operator.EW,
    scim.Operator.EW: scim.Operator.SW,
    scim.Operator.GT: scim.Operator.GE,
    scim.Operator.GE: scim.Operator.GT,
    scim.Operator.LT: scim.Operator.LE,
    scim.Operator.LE: scim.Operator.LT,
}


class _Change(NamedTuple, Generic[T]):
    """A part of a tree, what takes its place, and how people are told of that."""

    before: T
    after: T
    what: str


def _filters(tree: scim.Filter) -> Iterator[_Change[scim.Filter]]:
    """Yield every change of a filter."""
    text = scim.render(tree)
    match tree:
        case scim.And(terms) | scim.Or(terms):
            both, either = scim.all_of, scim.any_of
            same, other = (both, either) if isinstance(tree, scim.And) else (either, both)
            word = "and -> or" if isinstance(tree, scim.And) else "or -> and"
            yield _Change(tree, other(terms), f"{word} in: {text}")
            for position, term in enumerate(terms):
                rest = same((*terms[:position], *terms[position + 1 :]))
                yield _Change(tree, rest, f"left out: {scim.render(term)}")
                yield from _filters(term)
        case scim.Not(term):
            yield _Change(tree, term, f"not left out: {text}")
            yield from _filters(term)
        case scim.Compare(attribute, operator, value):
            opposite = _OTHER_OPERATOR[operator]
            changed = scim.Compare(attribute, opposite, value)
            yield _Change(tree, changed, f"{operator} -> {opposite} in: {text}")
            if isinstance(value, scim.Literal) and value.placeholder is None:
                for other_value in _other_values(value.value):
                    changed = scim.Compare(attribute, operator, scim.Literal(other_value))
                    yield _Change(tree, changed, f"{text} -> {scim.render_operand(changed.value)}")
        case scim.In(attribute, scim.Literals(items, placeholder=None)) if len(items) > 1:
            for position, item in enumerate(items):
                fewer = scim.Literals((*items[:position], *items[position + 1 :]))
                what = f"left out of {attribute.name} in [...]: {scim.render_operand(item)}"
                yield _Change(tree, scim.In(attribute, fewer), what)
        case scim.Present() | scim.In():
            yield _Change(tree, scim.Not(tree), f"negated: {text}")
        case scim.ValuePath(attribute, inner):
            for change in _filters(inner):
                changed_inner = _replaced(inner, change.before, change.after)
                yield _Change(tree, scim.ValuePath(attribute, changed_inner), change.what)


def _replaced(tree: scim.Filter, before: scim.Filter, after: scim.Filter) -> scim.Filter:
    if tree is before:
        return after
    match tree:
        case scim.And(terms):
            return scim.all_of(_replaced(term, before, after) for term in terms)
        case scim.Or(terms):
            return scim.any_of(_replaced(term, before, after) for term in terms)
        case scim.Not(term):
            return scim.Not(_replaced(term, before, after))
    return tree


def _windows(window: WindowRequest | None, resource: str, catalogue: Catalogue) -> Iterator[WindowRequest]:
    """Yield a window of half the length, and one of twice the length where that is not more than there is."""
    if window is None:
        return
    retention = catalogue[resource].retention
    if window.hot and retention is not None:
        yield WindowRequest(last=str(_times(Duration.parse(retention.hot), 0.5)))
    if window.last is not None:
        length = Duration.parse(window.last)
        yield replace(window, last=str(_times(length, 0.5)))
        yield replace(window, last=str(_times(length, 2)))


def _times(length: Duration, factor: float) -> Duration:
    if length.months == 1 and factor < 1:
        return Duration(seconds=15 * 86_400)
    return Duration(months=int(length.months * factor), seconds=length.seconds * factor)


# Expressions


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changed:
    """A changed expression, with what was changed and where that stands."""

    what: str
    span: Span
    text: str


def _expectations(
    expectation: CompiledExpectation, at: Address, values: Values
) -> Iterator[tuple[str, Address, CompiledExpectation]]:
    is_condition = expectation.form in ("every", "that")
    for changed in _expressions(expectation.expression, values, is_condition=is_condition):
        place = at.at(expectation.form).within(changed.span)
        yield changed.what, place, replace(expectation, expression=changed.text)
    if expectation.form == "none":
        yield "none -> some", at.at("none").key(), replace(expectation, form="some")
    if expectation.form == "some":
        yield "some -> none", at.at("some").key(), replace(expectation, form="none")
    if expectation.on_missing is not None:
        other: OnMissing = "fail" if expectation.on_missing == "pass" else "pass"
        what = f"on_missing: {expectation.on_missing} -> {other}"
        yield what, at.at("on_missing"), replace(expectation, on_missing=other)


def _expressions(text: str, values: Values, *, is_condition: bool) -> Iterator[_Changed]:
    tree = jmes.parse(text, values)
    for change in _nodes(tree, is_condition=is_condition):
        found = jmes.render(transform(tree, _exchange(change.before, change.after)))
        if _is_expression(found, values):
            yield _Changed(what=change.what, span=change.before.span, text=found)


def _exchange(before: jmes.Node, after: jmes.Node) -> Callable[[jmes.Node], jmes.Node]:
    """Return what puts one node in the place of another, once: the new one may hold the old one."""
    waiting = [after]
    return lambda node: waiting.pop() if node is before and waiting else node


_OTHER_COMPARISONS: Final[Mapping[Operator, tuple[Operator, ...]]] = {
    "==": ("!=",),
    "!=": ("==",),
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
}


def _nodes(node: jmes.Node, *, is_condition: bool) -> Iterator[_Change[jmes.Node]]:
    """Yield every change of an expression, which is itself a condition or not."""
    text = jmes.render(node)
    match node:
        case Comparison(operator=operator):
            for other in _OTHER_COMPARISONS[operator]:
                yield _Change(node, replace(node, operator=other), f"{operator} -> {other} in: {text}")
        case And(operands=operands) | Or(operands=operands):
            shape = type(node)
            word = "&& -> ||" if shape is And else "|| -> &&"
            yield _Change(node, (Or if shape is And else And)(operands), f"{word} in: {text}")
            for position, operand in enumerate(operands):
                rest = (*operands[:position], *operands[position + 1 :])
                fewer = rest[0] if len(rest) == 1 else shape(rest)
                yield _Change(node, fewer, f"left out: {jmes.render(operand)}")
        case Not(operand=operand):
            yield _Change(node, operand, f"! left out: {text}")
        case Index(index=index):
            changed = replace(node, index=index + 1 if index >= 0 else index - 1)
            yield _Change(node, changed, f"{text} -> {jmes.render(changed)}")
        case Literal(placeholder=""):
            for value in _other_values(node.value):
                yield _Change(node, Literal(value), f"{text} -> {jmes.render(Literal(value))}")
        case _ if is_condition and not isinstance(node, Reference):
            yield _Change(node, Not(node), f"negated: {text}")
    for below in children(node):
        is_filter = isinstance(node, FilterProjection) and below is node.condition
        is_operand = isinstance(node, And | Or) and is_condition
        # What stands alone below a negation is negated by leaving that out.
        is_negated = isinstance(node, Not) and isinstance(below, And | Or)
        yield from _nodes(below, is_condition=is_filter or is_operand or is_negated)


def _other_values(value: JSON) -> Iterator[JSON]:
    """Yield values near a literal's; none where it has no neighbour."""
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
            yield value - 1
        case float():
            steps = (float(f"{(value or 1.0) * factor:.12g}") for factor in (1.1, 0.9))
            yield from (step for step in steps if isfinite(step) and step != value)
        case str():
            yield f"{value}~"
        case [_, _, *_]:
            for position in range(len(value)):
                yield [*value[:position], *value[position + 1 :]]


def _is_filter(text: str, values: Values, rules: Callable[[str], scim.Rule]) -> bool:
    try:
        scim.predicate(scim.parse(text, values), rules)
    except Mistake:
        return False
    return True


def _is_expression(text: str, values: Values) -> bool:
    try:
        jmes.parse(text, values)
    except Mistake:
        return False
    return True


# Emptiness


def _emptiness(check: CompiledCheck, catalogue: Catalogue) -> Iterator[Mutant]:
    """Yield what nothing at all could count as instead, for each query that can find nothing."""
    for name, query in check.queries.items():
        if catalogue[query.resource].buckets is not None and not query.where:
            continue  # as many buckets as the window has, or the answer is not complete
        told = {on_empty for each in check.expectations if (on_empty := each.on_empty.get(name)) is not None}
        if not told:
            continue
        now: OnEmpty = max(told)
        others: tuple[OnEmpty, ...] = ("fail",) if now == "pass" else ("pass",)
        for other in others:
            expectations = tuple(
                replace(each, on_empty={**each.on_empty, name: other}) if name in each.on_empty else each
                for each in check.expectations
            )
            label = "on_empty" if name == SINGLE else f"{name}: on_empty"
            yield Mutant(
                name=f"{label}: {now} -> {other}",
                address=check.address,
                check=replace(check, expectations=expectations),
            )
