"""The terms of a filter, checked against a resource kind: attributes, comparisons, known values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final, TypeAlias

from auditor import scim
from auditor.model.diagnostic import Diagnostic, did_you_mean
from auditor.model.resource import ResourceKind, field, fields
from auditor.model.source import Address


class Checker:
    """Checks a filter that stands at an address against a resource kind; what is wrong gathers in `problems`."""

    def __init__(
        self, kind: ResourceKind, accept_values: Mapping[str, tuple[str, ...]], address: Address
    ) -> None:
        self.kind = kind
        self.accept_values = accept_values
        self.address = address
        self.rules = scim.rules(kind)
        self.problems: list[Diagnostic] = []

    # Names

    def canonical(self, tree: scim.Filter, within: str = "") -> scim.Filter:
        """Return the filter with the descriptor's spelling of every attribute, and report unknown ones."""
        match tree:
            case scim.And(terms) | scim.Or(terms):
                return replace(tree, terms=tuple(self.canonical(term, within) for term in terms))
            case scim.Not(term):
                return replace(tree, term=self.canonical(term, within))
            case scim.ValuePath(attribute, inner):
                name = self._name(attribute, within)
                full = f"{within}.{name}" if within else name
                renamed = scim.Attribute(name, attribute.span)
                return replace(tree, attribute=renamed, filter=self.canonical(inner, full))
        return tree if isinstance(tree, scim.Constant) else self._renamed(tree, within)

    def _renamed(
        self, term: scim.Compare | scim.In | scim.Present, within: str
    ) -> scim.Compare | scim.In | scim.Present:
        name = self._name(term.attribute, within)
        return replace(term, attribute=scim.Attribute(name, term.attribute.span))

    def _name(self, attribute: scim.Attribute, within: str) -> str:
        """Return the canonical name of an attribute, inside a value path relative to that."""
        if not within:
            return self._resolve(attribute.name, attribute)
        name = self._resolve(f"{within}.{attribute.name}", attribute)
        # An alias can lead out of its value path; the evaluation says so, and calls it what the policy does.
        return name.removeprefix(f"{within}.") if name.startswith(f"{within}.") else attribute.name

    def _resolve(self, name: str, attribute: scim.Attribute) -> str:
        known = self.kind.attribute(name)
        if known is not None:
            canonical, rule = known
            if rule.path is None:
                self._report(
                    "policy.attribute-not-in-record",
                    "Attribute can not be checked",
                    f'"{name}" is known to the endpoint, but no record shows it.',
                    "Remove it: the environment, the organization and the options of a query are chosen elsewhere.",
                    attribute,
                )
            return canonical
        exact = scim.spelling(self.kind, name)
        if exact is None:
            attributes = self.kind.filter.attributes if self.kind.filter else {}
            names = {path for path, _, _ in fields(self.kind.item)}
            names |= {other for other, rule in attributes.items() if rule.path}
            self._report(
                "policy.unknown-attribute",
                "Unknown attribute",
                f'Records of "{self.kind.kind}" have no "{name}".',
                did_you_mean(name, names) or f"See: auditor schema {self.kind.kind}",
                attribute,
            )
        return exact or name

    # Values

    def check(self, name: str, term: scim.Term) -> None:
        """Report comparisons of one term that can not be meant."""
        accepted = self._accepted(name)
        for operand in scim.operands(term):
            if isinstance(operand, scim.Placeholder):
                self._report(
                    "scim.unknown-placeholder",
                    "unknown placeholder",
                    f"{scim.render_operand(operand)} has no value before anything is read",
                    "compare with a variable, ${var.name}",
                    operand,
                )
            else:
                at = operand if operand.span else term
                if impossible := self._impossible(name, term, operand):
                    detail, help = impossible
                    self._report("policy.impossible-comparison", "Impossible comparison", detail, help, at)
                elif accepted and not self._is_accepted(name, term, operand.value, accepted):
                    detail, help = _unknown_value(name, term, operand, accepted)
                    self._report("policy.unknown-value", "Unknown value", detail, help, at)

    def _impossible(self, name: str, term: scim.Term, literal: scim.Literal) -> tuple[str, str] | None:
        """Return detail and help where no value of an attribute compares so with a literal."""
        operator, kind = _operator(term), _KINDS[literal.kind]
        wanted = self._type(name)
        is_operand = kind in _OPERANDS[operator]
        if (
            is_operand
            and kind in _COMPARABLE[wanted]
            and not (wanted == "instant" and operator in _SUBSTRING)
        ):
            return None
        word = "in" if isinstance(term, scim.In) else operator.value
        shown = scim.render_operand(literal)
        if not is_operand:
            return f"{word} {shown} is true of no value.", _OPERATOR_HELP
        truth = "true of whatever is there" if operator is scim.Operator.NE else "never true"
        return f"{name} is {_TYPES[wanted]}, so {word} {shown} is {truth}.", _TYPE_HELP[wanted]

    def _type(self, name: str) -> str:
        rule = self.rules(name)
        found = field(self.kind.item, ".".join(rule.path))
        return "object" if found is not None and found[0].get("type") == "object" else rule.type

    def _accepted(self, name: str) -> frozenset[str]:
        """Return the values that an attribute is known to have; none where that is not known."""
        known = self.kind.attribute(name)
        if known is None or not known[1].values:
            return frozenset()
        canonical, attribute = known
        return _united(attribute.values, self.accept_values.get(canonical, ()))

    def _is_accepted(self, name: str, term: scim.Term, value: scim.Scalar, accepted: frozenset[str]) -> bool:
        """Tell whether a known value compares so; of the order of names nothing is known."""
        if not isinstance(value, str):
            return True
        is_exact = self.rules(name).case_exact
        text, known = (value, accepted) if is_exact else (value.casefold(), _folded(accepted))
        match _operator(term):
            case scim.Operator.EQ | scim.Operator.NE:
                return text in known
            case scim.Operator.SW:
                return any(other.startswith(text) for other in known)
            case scim.Operator.EW:
                return any(other.endswith(text) for other in known)
            case scim.Operator.CO:
                return any(text in other for other in known)
        return True

    def _report(self, code: str, summary: str, detail: str, help: str, at: _Spanned) -> None:
        address = self.address.within(at.span)
        self.problems.append(
            Diagnostic(code=code, summary=summary, detail=detail, help=help, address=address)
        )


# The values of an attribute are many and the same in every filter.


@lru_cache
def _united(values: tuple[str, ...], more: tuple[str, ...]) -> frozenset[str]:
    return frozenset((*values, *more))


@lru_cache
def _folded(values: frozenset[str]) -> frozenset[str]:
    return frozenset(map(str.casefold, values))


_Spanned: TypeAlias = scim.Attribute | scim.Literal | scim.Placeholder | scim.Term
"""What knows the characters that it was read from."""


def _operator(term: scim.Term) -> scim.Operator:
    """Return the operator of a term that has operands; `in` is `eq` of one of several."""
    return term.operator if isinstance(term, scim.Compare) else scim.Operator.EQ


_KINDS: Final[Mapping[type, str]] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
_ANY: Final = frozenset(_KINDS.values())
_COMPARABLE: Final[Mapping[str, frozenset[str]]] = {
    "any": _ANY,
    "string": frozenset(("text", "null")),
    "instant": frozenset(("text", "null")),
    "number": frozenset(("number", "null")),
    "boolean": frozenset(("boolean", "null")),
    "object": frozenset(("null",)),
}
_SUBSTRING: Final = (scim.Operator.CO, scim.Operator.SW, scim.Operator.EW)
_OPERANDS: Final[Mapping[scim.Operator, frozenset[str]]] = {
    **dict.fromkeys(scim.Operator, frozenset(("text", "number"))),
    **dict.fromkeys(_SUBSTRING, frozenset(("text",))),
    scim.Operator.EQ: _ANY,
    scim.Operator.NE: _ANY,
}
_OPERATOR_HELP: Final = (
    "gt, ge, lt and le order texts, numbers and instants; co, sw and ew search texts; else write eq."
)
_TYPES: Final = {
    "string": "a text",
    "number": "a number",
    "boolean": "true or false",
    "instant": "an instant",
    "object": "an object",
}
_TYPE_HELP: Final = {
    "string": 'Compare it with a text in double quotes: eq "x".',
    "number": "Compare it with a number without quotes: ge 10.",
    "boolean": "Compare it with true or false, without quotes, by eq or ne.",
    "instant": 'Compare it with an instant: ge "2026-01-01T00:00:00Z".',
    "object": "Compare one of its fields, or ask by pr whether it is there.",
}


def _unknown_value(
    name: str, term: scim.Term, literal: scim.Literal, accepted: frozenset[str]
) -> tuple[str, str]:
    """Return detail and help for a literal that no known value of an attribute compares with."""
    shown = scim.render_operand(literal)
    verb = _SEARCHES.get(_operator(term))
    detail = f"No known value of {name} {verb} {shown}." if verb else f"{shown} is no known value of {name}."
    if literal.sensitive:
        return detail, ""
    listed = "…" if verb else literal.value
    near = "" if verb else did_you_mean(str(literal.value), accepted)
    hint = f"If PingOne has it, list it in the project: accept_values: {{{name}: [{listed}]}}."
    return detail, f"{near} {hint}".strip()


_SEARCHES: Final = {
    scim.Operator.SW: "starts with",
    scim.Operator.EW: "ends with",
    scim.Operator.CO: "contains",
}
