"""Expressions and messages of policies, checked before anything is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from auditor import jmes
from auditor.jmes.tree import Literal
from auditor.model.diagnostic import Checked, Mistake
from auditor.model.source import Address
from auditor.model.value import Values

_SOME_INSTANT: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""What stands for the instant of the audit where nothing is evaluated yet."""


def check_expression(text: str, values: Values, address: Address) -> Checked[frozenset[str]]:
    """Return the names of the values that an expression was written with, and what is wrong with it."""
    try:
        node = jmes.parse(text, values)
        jmes.compile(node, as_of=_SOME_INSTANT)
    except Mistake as mistake:
        return Checked(None, (mistake.diagnostic(address),))
    return Checked(frozenset(_placeholders(node)))


def check_message(text: str, values: Values, address: Address) -> Checked[frozenset[str]]:
    """Return the names of the values that a message was written with, and what is wrong with it."""
    try:
        template = jmes.Template.parse(text, values, as_of=_SOME_INSTANT)
    except Mistake as mistake:
        return Checked(None, (mistake.diagnostic(address),))
    nodes = (part.node for part in template.parts if not isinstance(part, str))
    return Checked(frozenset(name for node in nodes for name in _placeholders(node)))


def _placeholders(node: jmes.Node) -> Iterator[str]:
    for inner in jmes.walk(node):
        if isinstance(inner, Literal) and inner.placeholder:
            yield inner.placeholder
