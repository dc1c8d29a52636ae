"""How the attributes of a resource kind are found in its records and compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from auditor.model.instant import Window, format_instant
from auditor.model.resource import ResourceKind, field, fields
from auditor.model.value import Value
from auditor.scim.evaluation import Rule
from auditor.scim.parser import parse
from auditor.scim.printer import render


def rules(kind: ResourceKind) -> Callable[[str], Rule]:
    """
    Return the rule of each attribute of a kind, by its canonical name.

    An attribute of the endpoint's filter follows its descriptor, any other field of a record its JSON Schema;
    texts compare exactly unless the descriptor says otherwise.

    Raises (when the function is called):
        KeyError: the kind has no such attribute.
    """

    def rule(name: str) -> Rule:
        known = kind.attribute(name)
        attribute = known[1] if known else None
        if attribute is not None and attribute.path is not None:
            return Rule(tuple(attribute.path.split(".")), attribute.type, attribute.case_exact)
        found = field(kind.item, name)
        if found is None:
            raise KeyError(name)
        return Rule(tuple(name.split(".")), _type(found[0]), case_exact=True)

    return rule


def spelling(kind: ResourceKind, name: str) -> str | None:
    """
    Return a field of a kind's records in its own spelling; None where there is none.

    Attribute names are case-insensitive (RFC 7643, section 2.1), JSON keys are not.
    """
    if field(kind.item, name) is not None:
        return name
    folded = name.casefold()
    return next((path for path, _, _ in fields(kind.item) if path.casefold() == folded), None)


def _type(schema: dict[str, Any]) -> Any:
    match schema:
        case {"format": "date-time"}:
            return "instant"
        case {"type": "string"}:
            return "string"
        case {"type": "integer" | "number"}:
            return "number"
        case {"type": "boolean"}:
            return "boolean"
    return "any"


def fill_window(text: str, window: Window | None) -> str:
    """Return a planned filter with the ends of a window for `${window.start}` and `${window.end}`."""
    if not text or window is None:
        return text
    values = {
        "window.start": Value(format_instant(window.start)),
        "window.end": Value(format_instant(window.end)),
    }
    return render(parse(text, values))


def as_sent(text: str, window: Window | None) -> str:
    """Return a planned filter as a server reads it, for whom `${` is text like any other, and no placeholder."""
    return fill_window(text, window).replace("$${", "${")
