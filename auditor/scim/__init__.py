"""The SCIM filter language (RFC 7644, section 3.4.2.2): tree, parser, printer, evaluation, push-down."""

from __future__ import annotations

from auditor.scim.alternatives import never_true
from auditor.scim.binding import bind
from auditor.scim.evaluation import NotComparable, Predicate, Record, Rule, predicate
from auditor.scim.parser import MAX_DEPTH, MAX_LENGTH, parse
from auditor.scim.printer import quote, render, render_operand
from auditor.scim.pushdown import push, residual
from auditor.scim.rules import as_sent, fill_window, rules, spelling
from auditor.scim.tree import (
    And,
    Attribute,
    Compare,
    Constant,
    Filter,
    In,
    Literal,
    Literals,
    Not,
    Operator,
    Or,
    Placeholder,
    Present,
    Scalar,
    Term,
    ValuePath,
    all_of,
    any_of,
    attributes,
    operands,
    terms,
    walk,
)

__all__ = [
    "MAX_DEPTH",
    "MAX_LENGTH",
    "And",
    "Attribute",
    "Compare",
    "Constant",
    "Filter",
    "In",
    "Literal",
    "Literals",
    "Not",
    "NotComparable",
    "Operator",
    "Or",
    "Placeholder",
    "Predicate",
    "Present",
    "Record",
    "Rule",
    "Scalar",
    "Term",
    "ValuePath",
    "all_of",
    "any_of",
    "as_sent",
    "attributes",
    "bind",
    "fill_window",
    "never_true",
    "operands",
    "parse",
    "predicate",
    "push",
    "quote",
    "render",
    "render_operand",
    "residual",
    "rules",
    "spelling",
    "terms",
    "walk",
]
