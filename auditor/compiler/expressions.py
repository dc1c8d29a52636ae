"""Expressions and messages of policies: parsed, typed against the item schema, and tried on an example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from auditor import jmes
from auditor.jmes.tree import Literal as LiteralNode
from auditor.jmes.tree import Placeholder
from auditor.model.diagnostic import Checked, Level, Mistake, did_you_mean
from auditor.model.resource import Catalogue
from auditor.model.source import Address
from auditor.model.value import JSON, Value, Values

Result: TypeAlias = Literal["boolean", "list"]

_SOME_INSTANT: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""What stands for the instant of the audit where nothing is evaluated yet."""


@dataclass(frozen=True, slots=True)
class Given:
    """What an expression is evaluated on: the type of the value, and one full example."""

    type: jmes.Type
    example: JSON

    def listed(self, *, filled: bool) -> Given:
        """Return a list of such values; one that is *filled* is never empty."""
        return Given(jmes.list_of(self.type, filled=filled), [self.example])


ANYTHING: Final = Given(jmes.ANY, None)
"""What stands for a value of which nothing can be known, such as one that has a mistake."""


def together(given: Mapping[str, Given]) -> Given:
    """Return the object that holds each of some values under its name."""
    return Given(
        jmes.object_of({name: each.type for name, each in given.items()}),
        {name: each.example for name, each in given.items()},
    )


class Records:
    """What is known of the records of each resource kind; each kind is worked out once."""

    def __init__(self, catalogue: Catalogue, accept_values: Mapping[str, tuple[str, ...]]) -> None:
        self._catalogue = catalogue
        self._accept_values = accept_values
        self._known: dict[str, Given] = {}
        self._mistakes: dict[tuple[int, int], tuple[jmes.Node, jmes.Type, tuple[Mistake, ...]]] = {}

    def of(self, resource: str) -> Given:
        """Return a record of a kind; anything where there is no such kind, since that is told already."""
        if resource not in self._catalogue:
            return ANYTHING
        if resource not in self._known:
            kind = self._catalogue[resource]
            attributes = kind.filter.attributes if kind.filter else {}
            values = {
                attribute.path: frozenset((*attribute.values, *self._accept_values.get(name, ())))
                for name, attribute in attributes.items()
                if attribute.path and attribute.values
            }
            self._known[resource] = Given(jmes.type_of(kind.item, values), jmes.sample(kind.item, values))
        return self._known[resource]

    def mistakes(self, node: jmes.Node, item: jmes.Type) -> tuple[Mistake, ...]:
        """Return what is wrong with an expression of a message: many messages hold the same ones."""
        key = (id(node), id(item))
        if key not in self._mistakes:
            found = jmes.check(node, item, warns_of_missing=False).mistakes
            self._mistakes[key] = (node, item, found)  # kept with it, so that the identities stay theirs
        return self._mistakes[key][2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """
    What an expression can name: values, and what `bind` finds once there are records.

    `bound` holds the latter by the name of the placeholder (`bind.ids`).
    """

    values: Values
    bound: Mapping[str, Given] = field(default_factory=dict)

    @property
    def examples(self) -> Values:
        """All values, with an example of each that is not known yet."""
        return {**self.values, **{name: Value(given.example) for name, given in self.bound.items()}}

    @property
    def types(self) -> Mapping[str, jmes.Type]:
        """The types of the values that are not known yet."""
        return {name: given.type for name, given in self.bound.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """
    An expression without mistakes.

    `names` are the values that it was written with, `result` is what it gives, of any value and of the example.
    """

    names: frozenset[str]
    result: Given


def check_expression(
    text: str,
    scope: Scope,
    given: Given,
    address: Address,
    *,
    result: Result | None = None,
    warns_of_missing: bool = True,
) -> Checked[Typed]:
    """
    Check an expression of a policy that will be evaluated on *given*.

    *result* is what it must give. *warns_of_missing* is off where the policy says what an absent field means.
    """
    try:
        node = jmes.parse(text, scope.values, open_names=True)
    except Mistake as mistake:
        return Checked(None, (mistake.diagnostic(address),))
    has_placeholders = "${" in text  # most expressions have none, and need no walk to look for them
    unknown = tuple(_unknown(node, scope)) if has_placeholders else ()
    checking = jmes.check(
        node, given.type, result=result, bound=scope.types, warns_of_missing=warns_of_missing
    )
    warnings = tuple(mistake.diagnostic(address).with_(level=Level.WARNING) for mistake in checking.warnings)
    if unknown or checking.mistakes:
        errors = tuple(mistake.diagnostic(address) for mistake in (*unknown, *checking.mistakes))
        return Checked(None, (*errors, *warnings))
    try:
        example = _tried(text, scope, given, checking)
    except Mistake as mistake:
        return Checked(None, (mistake.diagnostic(address), *warnings))
    names = frozenset(_placeholders(node)) if has_placeholders else frozenset()
    return Checked(Typed(names=names, result=Given(checking.type, example)), warnings)


def check_message(
    text: str, scope: Scope, item: jmes.Type, address: Address, records: Records
) -> Checked[frozenset[str]]:
    """
    Return the names of the values that a message was written with, and what is wrong with it.

    An absent field is no mistake in a message: it prints as such, and no verdict rests on it.
    """
    names: set[str] = set()
    found: list[Mistake] = []
    has_placeholders = "${" in text

    def see(node: jmes.Node, start: int) -> jmes.Node:
        if has_placeholders:
            names.update(_placeholders(node))
            found.extend(_shifted(mistake, start) for mistake in _unknown(node, scope))
        if scope.bound:
            mistakes = jmes.check(node, item, bound=scope.types, warns_of_missing=False).mistakes
        else:
            mistakes = records.mistakes(node, item)
        found.extend(_shifted(mistake, start) for mistake in mistakes)
        return jmes.parse("@", {})  # a message is not rendered before there are records

    try:
        jmes.Template.parse(text, scope.values, as_of=_SOME_INSTANT, see=see)
    except Mistake as mistake:
        found.append(mistake)
    problems = tuple(mistake.diagnostic(address) for mistake in found)
    return Checked(None if problems else frozenset(names), problems)


def _tried(text: str, scope: Scope, given: Given, checking: jmes.Checking) -> JSON:
    """
    Return what an expression gives for the example; None where that can not be told.

    Of an example only the types are right: where its values can not be read, nothing is wrong with the text.

    Raises:
        Mistake: something that only evaluating shows.
    """
    if "${" in text:  # examples stand for values that are not known yet
        checking = jmes.check(jmes.parse(text, scope.examples), given.type, warns_of_missing=False)
    expression = jmes.compile(checking.node, as_of=_SOME_INSTANT)
    try:
        found = expression.decide(given.example, jmes.Missing(select=True))
    except jmes.EvaluationError as error:
        if error.code == "jmes.type-error":
            raise
        return None
    return None if isinstance(found, jmes.Undecided) else found


def _unknown(node: jmes.Node, scope: Scope) -> Iterator[Mistake]:
    """Yield a mistake for each name in `${…}` that stands for nothing."""
    known = {*scope.values, *scope.bound}
    for inner in jmes.walk(node):
        if isinstance(inner, Placeholder) and inner.name not in scope.bound:
            near = did_you_mean(inner.name, known)
            where = _DECLARED.get(
                inner.name.partition(".")[0], "an expression takes ${var.…}, ${local.…} and ${bind.…}"
            )
            yield Mistake(
                "jmes.unknown-placeholder",
                "there is no such value",
                detail=f"${{{inner.name}}}",
                help=near if near.startswith("did") else where,
                span=inner.span,
            )


_NAMES: Final = "an expression takes ${var.…}, ${local.…} and ${bind.…}"
_DECLARED: Final = {
    "var": "declare it under variables",
    "local": "name it under locals",
    "bind": "name it under bind, in a check with queries",
}


def _shifted(mistake: Mistake, by: int) -> Mistake:
    """Return a mistake in a part of a text as one in the whole, of which *by* characters come before."""
    first, last = mistake.span or (0, 0)
    return Mistake(
        mistake.code,
        mistake.summary,
        detail=mistake.detail,
        help=mistake.help,
        span=(first + by, last + by) if mistake.span else None,
    )


def _placeholders(node: jmes.Node) -> Iterator[str]:
    for inner in jmes.walk(node):
        if isinstance(inner, LiteralNode) and inner.placeholder:
            yield inner.placeholder
