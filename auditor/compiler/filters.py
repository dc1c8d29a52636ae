"""Filters of policies: checked, and split into what the server evaluates and what is left for this program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from auditor import scim
from auditor.compiler.terms import Checker
from auditor.model.diagnostic import Checked, Diagnostic, Mistake
from auditor.model.query import Pushdown
from auditor.model.resource import ResourceKind
from auditor.model.source import Address
from auditor.model.value import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """
    A filter in three texts: the whole, what the server evaluates, and what is left for this program.

    `values` are the names of the values that the filter was written with.
    """

    where: str = ""
    pushed: str = ""
    residual: str = ""
    values: frozenset[str] = frozenset()


def compile_filter(
    text: str,
    kind: ResourceKind,
    values: Values,
    address: Address,
    *,
    pushdown: Pushdown,
    accept_values: Mapping[str, tuple[str, ...]],
) -> Checked[Split]:
    """Parse, check and split the `where` of a query, which stands at *address*."""
    try:
        tree = scim.parse(text, values)
    except Mistake as mistake:
        return Checked(None, (mistake.diagnostic(address),))
    checker = Checker(kind, accept_values, address)
    canonical = checker.canonical(tree)
    if not checker.problems:
        for name, term in scim.terms(canonical):
            checker.check(name, term)
    if checker.problems:
        return Checked(None, tuple(checker.problems))
    try:
        scim.predicate(canonical, scim.rules(kind))
    except Mistake as mistake:
        return Checked(None, (mistake.diagnostic(address),))
    pushed = scim.push(canonical, kind, pushdown)
    if pushed == scim.Constant(False) or scim.never_true(canonical, kind):
        never = Diagnostic(
            code="policy.never-true",
            summary="Filter is never true",
            detail="No record can satisfy this filter, so the check would examine nothing.",
            help='One attribute can not have two values at once: write "or" where you wrote "and".',
            address=address,
        )
        return Checked(None, (never,))
    split = Split(
        where=scim.render(canonical),
        pushed=_text(pushed),
        residual=scim.residual(canonical, pushed),
        values=frozenset(_placeholders(tree)),
    )
    return Checked(split)


def _text(tree: scim.Filter) -> str:
    return "" if isinstance(tree, scim.Constant) else scim.render(tree)


def _placeholders(tree: scim.Filter) -> Iterator[str]:
    for _, term in scim.terms(tree):
        sources = [*scim.operands(term), term.values] if isinstance(term, scim.In) else scim.operands(term)
        for source in sources:
            if not isinstance(source, scim.Placeholder) and source.placeholder is not None:
                yield source.placeholder
