"""
The one JMESPath dialect that expressions are written in: JMESPath, placeholders, and functions for audits.

    node = parse("contains(${var.clients}, actors.client.id)", values)
    checking = check(node, type_of(item_schema), result="boolean")   # mistakes, warnings
    expression = compile(checking.node)
    expression.search(record)                          # plain JMESPath, as jmespath.py 1.1
    expression.decide(record, Missing(select=False))   # the same, or Undecided

Decisions
---------
JMESPath takes an absent field for a plain "no", so a misspelt or missing field can make a check pass.
`decide` therefore knows a third value. These are `Undecided`:

- a comparison of which an operand is null, unless one of the two is the literal `null` itself;
- a call of which an argument is null, or an expression reference gives null for an element, where the
  parameter's `NullRule` is `UNDECIDED` (most are; `not_null`, `type`, `to_string`, `to_array`, `to_number`
  and `map` take null for a value);
- whatever is made from something undecided: a path, pipe, projection, comparison, multi-select or call;
- a filter inside a condition or an expression reference, if any of its elements is.

Only `&&`, `||`, `!` and `not_null` can decide without knowing everything (Kleene's logic; T, F and U stand
for true, false and undecided, and any JSON value counts as T or F as in JMESPath):

    a && b | T F U      a || b | T F U      !a |
    -------+------      -------+------      ---+--
      T    | T F U        T    | T T T       T | F
      F    | F F F        F    | T F U       F | T
      U    | U F U        U    | T U U       U | U

A path alone as a condition (`actors.user`), `== null`, `x || d` and `not_null(x, d)` decide.

The outermost filters, those that stand in no other filter's condition and in no expression reference, hand
each element that they cannot decide to `Missing`, which says whether it is selected and remembers it.

Speed
-----
`compile(node, generated=True)` makes a Python function of an expression, which means the same and is several times
as fast; `stream` makes a reducer of an expression over a list of records: states of any parts of the list, merged in
any order, give what the expression gives on the whole (`auditor.jmes.streaming` has the rules).

Types
-----
`check` reads an expression against the type of the value that it will be evaluated on (`auditor.jmes.typing`
has the rules), and marks comparisons of instants, which text alone cannot tell from comparisons of texts.
"""

from __future__ import annotations

from auditor.jmes.certain import Shape, table
from auditor.jmes.compilation import (
    Expression,
    compile,  # noqa: A004  # as `re.compile`
    each_by_itself,
    every,
    left_open,
)
from auditor.jmes.functions import FUNCTIONS, Function, NullRule, Parameter
from auditor.jmes.kinds import Kind
from auditor.jmes.needs import Need, add_needs
from auditor.jmes.outcome import EvaluationError, Missing, Operand, Undecided
from auditor.jmes.parser import parse
from auditor.jmes.printer import render
from auditor.jmes.reads import fields_read
from auditor.jmes.reference import AnyExpression, AnyStream, ReferenceExpression, ReferenceStream
from auditor.jmes.sample import sample
from auditor.jmes.streaming import (
    MAX_GROUPS,
    MAX_INSTANTS,
    MAX_ITEMS,
    STREAMING,
    Collected,
    Reduced,
    State,
    Stream,
    collected,
    is_itemwise,
    stream,
)
from auditor.jmes.template import Template, TemplateStream
from auditor.jmes.tree import Node, children, walk
from auditor.jmes.types import ANY, Type, list_of, object_of, type_of
from auditor.jmes.typing import Checking, check

__all__ = [
    "ANY",
    "FUNCTIONS",
    "MAX_GROUPS",
    "MAX_INSTANTS",
    "MAX_ITEMS",
    "STREAMING",
    "AnyExpression",
    "AnyStream",
    "Checking",
    "Collected",
    "EvaluationError",
    "Expression",
    "Function",
    "Kind",
    "Missing",
    "Need",
    "Node",
    "NullRule",
    "Operand",
    "Parameter",
    "Reduced",
    "ReferenceExpression",
    "ReferenceStream",
    "Shape",
    "State",
    "Stream",
    "Template",
    "TemplateStream",
    "Type",
    "Undecided",
    "add_needs",
    "check",
    "children",
    "collected",
    "compile",
    "each_by_itself",
    "every",
    "fields_read",
    "is_itemwise",
    "left_open",
    "list_of",
    "object_of",
    "parse",
    "render",
    "sample",
    "stream",
    "table",
    "type_of",
    "walk",
]
