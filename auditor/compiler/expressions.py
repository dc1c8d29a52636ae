"""Expressions and messages of policies, checked before anything is evaluated."""

from __future__ import annotations

from auditor import jmes
from auditor.model.diagnostic import Diagnostic, Mistake
from auditor.model.source import Address
from auditor.model.value import Values


def check_expression(text: str, values: Values, address: Address) -> list[Diagnostic]:
    """Return what is wrong with an expression."""
    try:
        jmes.compile(jmes.parse(text, values))
    except Mistake as mistake:
        return [mistake.diagnostic(address)]
    return []


def check_message(text: str, values: Values, address: Address) -> list[Diagnostic]:
    """Return what is wrong with a message."""
    try:
        jmes.Template.parse(text, values)
    except Mistake as mistake:
        return [mistake.diagnostic(address)]
    return []
