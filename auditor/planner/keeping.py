"""What of its records a check keeps while they are read, and why: everything else is let go once it was seen."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from auditor import jmes
from auditor.model.query import CompiledCheck, CompiledExpectation

_BOUND: Final = "all records, since something is bound first"


def kept(check: CompiledCheck, expectation: CompiledExpectation, as_of: datetime) -> str:
    """Return what an expectation of a check keeps and why; an empty text where its memory is bounded."""
    if check.bind:
        return _BOUND
    if expectation.form == "every":
        return ""
    lists = tuple(check.queries) if expectation.over is None else ()
    node = jmes.parse(expectation.expression, check.values)
    nodes = [] if expectation.form != "that" and not lists and jmes.is_itemwise(node) else [node]
    if expectation.form == "that" and expectation.message is not None:
        template = jmes.Template.parse(expectation.message, check.values, as_of=as_of)
        nodes += [part.node for part in template.parts if not isinstance(part, str)]
    found = (f"{text}, since {why}" for each in nodes for text, why in jmes.collected(each, lists))
    return "; ".join(dict.fromkeys(found))


def kept_of(check: CompiledCheck, name: str, as_of: datetime) -> str:
    """Return what the expectations of a check keep of the records of one of its queries."""
    about = (each for each in check.expectations if each.over in (None, name))
    return "; ".join(dict.fromkeys(filter(None, (kept(check, each, as_of) for each in about))))
