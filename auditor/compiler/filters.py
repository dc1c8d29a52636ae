"""Filters of policies: canonical attribute names, known values, possible comparisons, and the split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from auditor import scim
from auditor.compiler.pushdown import push
from auditor.model.diagnostic import Diagnostic, Mistake, did_you_mean
from auditor.model.query import Pushdown
from auditor.model.resource import ResourceKind, fields
from auditor.model.source import Address, Span
from auditor.model.value import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A filter in three texts: the whole, what the server evaluates, and what is left for this program."""

    where: str = ""
    pushed: str = ""
    residual: str = ""


def compile_filter(
    text: str,
    kind: ResourceKind,
    values: Values,
    address: Address,
    *,
    pushdown: Pushdown,
    accept_values: Mapping[str, tuple[str, ...]],
) -> tuple[Split, list[Diagnostic]]:
    """Parse, check and split the `where` of a query."""
    try:
        tree = scim.parse(text, values)
    except Mistake as mistake:
        return Split(), [mistake.diagnostic(address)]
    problems: list[Diagnostic] = []
    canonical = _canonical(tree, kind, "", problems, address)
    if not problems:
        for name, term in scim.terms(canonical):
            problems += _check_term(name, term, kind, accept_values, address)
    if problems:
        return Split(), problems
    try:
        scim.predicate(canonical, scim.rules(kind))
    except Mistake as mistake:
        return Split(), [mistake.diagnostic(address)]
    pushed = push(canonical, kind, pushdown)
    if pushed == scim.Constant(False) or push(canonical, kind, "documented") == scim.Constant(False):
        never = Diagnostic(
            code="policy.never-true",
            summary="Filter is never true",
            detail="No record can satisfy this filter, so the check would examine nothing.",
            help='One attribute can not have two values at once: write "or" where you wrote "and".',
            address=address,
        )
        return Split(), [never]
    left = _residual(canonical, pushed)
    return Split(where=scim.render(canonical), pushed=_text(pushed), residual=_text(left)), []


def _text(tree: scim.Filter) -> str:
    return "" if isinstance(tree, scim.Constant) else scim.render(tree)


def _residual(where: scim.Filter, pushed: scim.Filter) -> scim.Filter:
    """Return the terms of the filter that what was pushed does not already decide."""
    if where == pushed or _in_as_or(where) == pushed:
        return scim.Constant(True)
    if not isinstance(where, scim.And):
        return where
    decided = set(pushed.terms) if isinstance(pushed, scim.And) else {pushed}
    return scim.all_of(term for term in where.terms if term not in decided and _in_as_or(term) not in decided)


def _in_as_or(term: scim.Filter) -> scim.Filter:
    """Return `a in ["x", "y"]` as the server is asked it; any other term as it is, with sorted alternatives."""
    match term:
        case scim.In(attribute, scim.Literals(items)):
            alternatives: list[scim.Filter] = [
                scim.Compare(attribute, scim.Operator.EQ, item)
                for item in sorted(set(items), key=lambda item: str(getattr(item, "value", "")))
            ]
            return scim.any_of(alternatives)
        case scim.Or(terms):
            return scim.any_of(sorted(set(terms), key=scim.render))
    return term


def _canonical(
    tree: scim.Filter, kind: ResourceKind, within: str, problems: list[Diagnostic], address: Address
) -> scim.Filter:
    """Return the filter with the descriptor's spelling of every attribute, and report unknown ones."""
    match tree:
        case scim.And(terms) | scim.Or(terms):
            return replace(tree, terms=tuple(_canonical(t, kind, within, problems, address) for t in terms))
        case scim.Not(term):
            return replace(tree, term=_canonical(term, kind, within, problems, address))
        case scim.Constant():
            return tree
        case _:
            full = f"{within}.{tree.attribute.name}" if within else tree.attribute.name
            name = _resolve(full, kind, tree.attribute.span, problems, address)
            relative = name.removeprefix(f"{within}.") if within else name
            renamed = replace(tree, attribute=scim.Attribute(relative, tree.attribute.span))
            if isinstance(renamed, scim.ValuePath):
                return replace(renamed, filter=_canonical(renamed.filter, kind, name, problems, address))
            return renamed


def _resolve(
    name: str, kind: ResourceKind, span: Span | None, problems: list[Diagnostic], address: Address
) -> str:
    known = kind.attribute(name)
    if known is not None and known[1].path is not None:
        return known[0]
    if known is not None:
        problems.append(
            Diagnostic(
                code="policy.attribute-not-in-record",
                summary="Attribute can not be checked",
                detail=f'"{name}" is known to the endpoint, but no record shows it.',
                help="Remove it: the environment, the organization and the options of a query are chosen elsewhere.",
                address=address.within(span),
            )
        )
        return name
    exact = scim.spelling(kind, name)
    if exact is not None:
        return exact
    names = {path for path, _, _ in fields(kind.item)}
    names |= {a for a, rule in kind.filter.attributes.items() if rule.path} if kind.filter else set()
    problems.append(
        Diagnostic(
            code="policy.unknown-attribute",
            summary="Unknown attribute",
            detail=f'Records of "{kind.kind}" have no "{name}".',
            help=did_you_mean(name, names) or f"See: auditor schema {kind.kind}",
            address=address.within(span),
        )
    )
    return name


def _check_term(
    name: str,
    term: scim.Term,
    kind: ResourceKind,
    accept_values: Mapping[str, tuple[str, ...]],
    address: Address,
) -> list[Diagnostic]:
    problems: list[Diagnostic] = []
    rule = scim.rules(kind)(name)
    known = kind.attribute(name)
    accepted = {*known[1].values, *accept_values.get(name, ())} if known and known[1].values else set()
    is_equality = isinstance(term, scim.In) or (
        isinstance(term, scim.Compare) and term.operator in (scim.Operator.EQ, scim.Operator.NE)
    )
    for operand in scim.operands(term):
        if not isinstance(operand, scim.Literal) or operand.value is None:
            continue
        if accepted and is_equality and operand.value not in accepted and not operand.sensitive:
            problems.append(
                Diagnostic(
                    code="policy.unknown-value",
                    summary="Unknown value",
                    detail=f'"{operand.value}" is no known value of {name}.',
                    help=f"{did_you_mean(str(operand.value), accepted)} "
                    f"If PingOne has it, list it in the project: accept_values: {{{name}: [{operand.value}]}}.".strip(),
                    address=address.within(operand.span or term.span),
                )
            )
        elif wanted := _impossible(rule.type, operand.value, term):
            problems.append(
                Diagnostic(
                    code="policy.impossible-comparison",
                    summary="Comparison is never true",
                    detail=f"{name} is {wanted}, so it can not be compared with "
                    f"{'this value' if operand.sensitive else scim.render_operand(operand)} in this way.",
                    help=_FORMS.get(rule.type, ""),
                    address=address.within(operand.span or term.span),
                )
            )
    return problems


_NAMES = {"string": "a text", "number": "a number", "boolean": "true or false", "instant": "an instant"}
_FORMS = {
    "string": 'Compare it with a text in double quotes: eq "x".',
    "number": "Compare it with a number without quotes: ge 10.",
    "boolean": "Compare it with true or false, without quotes, by eq or ne.",
    "instant": 'Compare it with an instant: ge "2026-01-01T00:00:00Z".',
}


def _impossible(type_name: str, value: scim.Scalar, term: scim.Term) -> str:
    """Return what the attribute is where no value of it can compare so; else an empty text."""
    operator = term.operator if isinstance(term, scim.Compare) else scim.Operator.EQ
    substring = operator in (scim.Operator.CO, scim.Operator.SW, scim.Operator.EW)
    order = operator in (scim.Operator.GT, scim.Operator.GE, scim.Operator.LT, scim.Operator.LE)
    match type_name:
        case "string" | "instant":
            possible = isinstance(value, str) and not (substring and type_name == "instant")
        case "number":
            possible = isinstance(value, int | float) and not isinstance(value, bool) and not substring
        case "boolean":
            possible = isinstance(value, bool) and not substring and not order
        case _:
            possible = True
    return "" if possible else _NAMES[type_name]
