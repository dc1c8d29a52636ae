"""`locals`: values that a policy file makes from others, before anything is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Final

from auditor import jmes
from auditor.jmes.tree import Literal
from auditor.model.diagnostic import Checked, Diagnostic, Mistake
from auditor.model.source import Address
from auditor.model.value import JSON, Value, Values

_LOCAL: Final = re.compile(r"\$\{local\.([a-z][a-z0-9_]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Locals:
    """
    The values of a file with its locals among them.

    `sources` holds by local the names of all values that it was made from, `unsound` the names of the locals
    that have a mistake, and so no value.
    """

    values: Values
    sources: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unsound: frozenset[str] = frozenset()

    def traced(self, names: Iterable[str]) -> frozenset[str]:
        """Return names of values together with those that they were made from."""
        names = frozenset(names)
        return names.union(*(self.sources.get(name, frozenset()) for name in names))

    def explains(self, problem: Diagnostic) -> bool:
        """Tell whether a mistake is only that a local with a mistake has no value."""
        unknown = problem.code.endswith(".unknown-placeholder")
        return unknown and not self.unsound.isdisjoint(_LOCAL.findall(problem.detail))


def compile_locals(expressions: Mapping[str, str], values: Values, address: Address) -> Checked[Locals]:
    """Evaluate the locals of a file, which stand at *address*, each after those that it names."""
    named = {name: expressions.keys() & set(_LOCAL.findall(text)) for name, text in expressions.items()}
    try:
        order = tuple(TopologicalSorter(named).static_order())
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return Checked(Locals(values=values, unsound=frozenset(expressions)), (_circle(cycle, address),))
    known = dict(values)
    sources: dict[str, frozenset[str]] = {}
    problems: list[Diagnostic] = []
    unsound: set[str] = set()
    for name in order:
        try:
            node = jmes.parse(expressions[name], known)
            value = _evaluated(node)
        except Mistake as mistake:
            if named[name].isdisjoint(unsound):  # else what is wrong is told of the local that it names
                problems.append(mistake.diagnostic(address.at(name)))
            unsound.add(name)
            continue
        used = frozenset(
            inner.placeholder for inner in jmes.walk(node) if isinstance(inner, Literal) and inner.placeholder
        )
        sensitive = any(known[other].sensitive for other in used)
        known[f"local.{name}"] = Value(value, sensitive, "locals")
        sources[f"local.{name}"] = used.union(*(sources.get(other, frozenset()) for other in used))
    return Checked(Locals(values=known, sources=sources, unsound=frozenset(unsound)), tuple(problems))


def _evaluated(node: jmes.Node) -> JSON:
    """
    Return the value of a local.

    Raises:
        Mistake: it can not be evaluated, or is null, which everywhere else would count as absent.
    """
    checking = jmes.check(node, jmes.object_of({}))
    if checking.mistakes:
        raise checking.mistakes[0]
    value = jmes.compile(checking.node).decide({}, jmes.Missing(select=False))
    if value is None or isinstance(value, jmes.Undecided):
        raise Mistake(
            "policy.local-null",
            "Local without a value",
            detail="This expression gives null.",
            help="A local is made from values alone, such as ${var.name}; no record is there yet.",
            span=node.span,
        )
    return value


def _circle(names: list[str], address: Address) -> Diagnostic:
    return Diagnostic(
        code="policy.local-cycle",
        summary="Locals need one another",
        detail=" needs ".join(reversed(names)) + ".",
        help="Write one of them out.",
        address=address.at(names[0]),
    )
