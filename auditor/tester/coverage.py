"""
Which conditions of a check were seen to be true and to be false.

A condition is a comparison, or whatever else stands where a truth is due: an operand of `&&`, `||` and `!`, the
condition of a filter, a term of `where`. They are looked at with the evaluation's own closures, of which each tells
what it gave; nothing of a verdict rests on that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from auditor import jmes, scim
from auditor.jmes.building import Builder
from auditor.jmes.closures import Run
from auditor.jmes.semantics import Semantics
from auditor.jmes.tree import And, Comparison, FilterProjection, Literal, Not, Or, Placeholder, children
from auditor.jmes.value import is_true
from auditor.model.diagnostic import Mistake
from auditor.model.plan import Plan, belongs
from auditor.model.query import SINGLE, CompiledCheck
from auditor.model.resource import Catalogue, value_at
from auditor.model.testing import Condition
from auditor.model.value import JSON, Value, Values

_Key = tuple[str, int]
"""A part of a check, and the position of a condition in it."""


class Seen:
    """The conditions of one check, and what was seen of them; `look` takes the records of one test."""

    def __init__(self) -> None:
        self._texts: dict[_Key, str] = {}
        self._seen: dict[_Key, set[bool]] = {}

    def conditions(self) -> tuple[Condition, ...]:
        """Return the conditions in the order of the policy, with the ways that were seen."""
        return tuple(
            Condition(part=key[0], text=text, seen=tuple(sorted(self._seen[key], reverse=True)))
            for key, text in self._texts.items()
        )

    def look(
        self, check: CompiledCheck, plan: Plan, catalogue: Catalogue, records: Mapping[str, tuple[JSON, ...]]
    ) -> None:
        """Evaluate a check on the records of a test, as far as that goes, and keep what its conditions gave."""
        lists: dict[str, list[JSON]] = {}
        for query in plan.queries:
            kind = catalogue[query.resource]
            rules = scim.rules(kind)
            for use in query.uses:
                tree = scim.parse(use.where, check.values) if use.where else None
                terms = [] if tree is None else list(_terms(tree))
                part = "where" if use.name == SINGLE else f"{use.name}: where"
                for position, term in enumerate(terms):
                    self._add((part, position), scim.render(term))
                tests = [scim.predicate(term, rules) for term in terms]
                selects = scim.predicate(tree, rules) if tree is not None else lambda _: True
                found = lists[use.name] = []
                for record in records.get(kind.kind, ()):
                    with suppress(ValueError):
                        if not belongs(record, replace(query, window=use.window), kind):
                            continue
                        for position, test in enumerate(tests):
                            self._seen[part, position].add(test(record))
                        if selects(record):
                            found.append(record)
                found.sort(key=_order((kind.order_key, *kind.identity)))
        self._evaluate(check, plan.as_of, catalogue, lists)

    def _evaluate(
        self, check: CompiledCheck, as_of: datetime, catalogue: Catalogue, lists: Mapping[str, list[JSON]]
    ) -> None:
        types = {name: jmes.type_of(catalogue[query.resource].item) for name, query in check.queries.items()}
        together = jmes.object_of({name: jmes.list_of(type_) for name, type_ in types.items()})
        values: dict[str, Value] = dict(check.values)
        for name, text in check.bind.items():
            run = self._watched(f"bind.{name}", text, check.values, together, as_of, is_condition=False)
            found = _run(run, dict(lists))
            # What is compared with an unknown value is looked at with some value, to know its conditions.
            values[f"bind.{name}"] = Value(None if isinstance(found, jmes.Undecided) else found)
        for position, each in enumerate(check.expectations):
            part = "expect" if len(check.expectations) == 1 else f"expect[{position}]"
            is_condition = each.form in ("every", "that")
            given = together
            if each.over is not None:
                given = types[each.over] if each.form == "every" else jmes.list_of(types[each.over])
            try:
                run = self._watched(part, each.expression, values, given, as_of, is_condition=is_condition)
            except Mistake:
                continue  # what is bound can not stand there: the verdict is an error
            if any(not lists.get(name) for name in each.on_empty):
                continue  # that there is nothing decides, and no condition
            if each.over is None:
                _run(run, dict(lists))
            elif each.form == "every":
                for record in lists.get(each.over, ()):
                    _run(run, record)
            else:
                _run(run, lists.get(each.over, []))

    def _watched(
        self, part: str, text: str, values: Values, given: jmes.Type, as_of: datetime, *, is_condition: bool
    ) -> Run:
        tree = jmes.check(jmes.parse(text, values), given, warns_of_missing=False).node
        keys: dict[int, _Key] = {}
        for position, node in enumerate(_conditions(tree, is_condition=is_condition)):
            keys[id(node)] = (part, position)
            self._add((part, position), jmes.render(node))
        return _Watching(Semantics(as_of, decides=True), keys, self._seen).build(tree)

    def _add(self, key: _Key, text: str) -> None:
        self._texts.setdefault(key, text)
        self._seen.setdefault(key, set())


class _Watching(Builder):
    """Makes closures of which those of conditions tell what they gave."""

    def __init__(
        self, semantics: Semantics, keys: Mapping[int, _Key], seen: Mapping[_Key, set[bool]]
    ) -> None:
        super().__init__(semantics)
        self._keys = keys
        self._seen = seen

    def build(self, node: jmes.Node) -> Run:
        """Return the closure of a node."""
        run = super().build(node)
        key = self._keys.get(id(node))
        if key is None:
            return run
        seen = self._seen[key]

        def watched(value: JSON, missing: jmes.Missing | None) -> Any:
            result = run(value, missing)
            if not isinstance(result, jmes.Undecided):
                seen.add(is_true(result))
            return result

        return watched


def _run(run: Run, value: JSON) -> Any:
    try:
        return run(value, jmes.Missing(select=False))
    except (jmes.EvaluationError, RecursionError):
        return None


def _order(paths: tuple[str, ...]) -> Callable[[JSON], list[str]]:
    return lambda record: [str(value_at(record, path)) for path in paths]


def _terms(tree: scim.Filter) -> Iterator[scim.Filter]:
    """Yield the terms of a filter, each of which is true or false of a record."""
    match tree:
        case scim.And(terms) | scim.Or(terms):
            for term in terms:
                yield from _terms(term)
        case scim.Not(term):
            yield from _terms(term)
        case _:
            yield tree


def _conditions(node: jmes.Node, *, is_condition: bool) -> Iterator[jmes.Node]:
    """Yield the conditions of an expression; what is written as a constant is none."""
    is_logic = isinstance(node, And | Or | Not)
    is_constant = isinstance(node, Placeholder) or (isinstance(node, Literal) and not node.placeholder)
    if isinstance(node, Comparison) or (is_condition and not is_logic and not is_constant):
        yield node
    for below in children(node):
        is_filter = isinstance(node, FilterProjection) and below is node.condition
        yield from _conditions(
            below, is_condition=is_filter or (is_logic and is_condition) or isinstance(node, Not)
        )
