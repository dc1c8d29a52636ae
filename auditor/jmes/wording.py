"""The mistakes that `auditor.jmes.check` finds, in people's words: what is wrong, and what to type instead."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from auditor.jmes.functions import FUNCTIONS, Parameter
from auditor.jmes.kinds import Kind
from auditor.jmes.printer import render
from auditor.jmes.tree import (
    Call,
    Comparison,
    Current,
    Field,
    FilterProjection,
    FlattenProjection,
    Index,
    ListProjection,
    Literal,
    Node,
    Not,
    Projection,
    Slice,
    SliceProjection,
    ValueProjection,
    path_of,
)
from auditor.jmes.types import NULL, Type, is_instant, known_texts
from auditor.model.diagnostic import Mistake, did_you_mean
from auditor.model.source import Span
from auditor.model.value import JSON

_LONGEST: Final = 60
"""Characters of a part of an expression that a sentence quotes."""

_WORDS: Final = {
    "null": "null",
    "boolean": "true or false",
    "number": "a number",
    "string": "a text",
    "array": "a list",
    "object": "an object",
}
_PLURALS: Final = {"number": "numbers", "string": "texts"}
_VERBS: Final = {
    "contains": "contains",
    "starts_with": "starts with",
    "ends_with": "ends with",
    "matches": "matches",
}
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_PATH: Final = re.compile(r"[A-Za-z_][\w.]*")
_AN_INSTANT: Final = "'2026-11-21T09:00:00Z' or '2026-11-21'"
_ON_MISSING: Final = "or say on_missing: fail | pass | skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """
    One side of a comparison, or an element of a list that `contains` searches.

    `literal` says that its value stands in the text, `origin` names the placeholder that it came from.
    """

    type: Type
    show: Callable[[], str]
    """Writes it as a sentence quotes it; only where there is a sentence."""
    span: Span
    literal: bool = False
    origin: str = ""

    @property
    def shown(self) -> str:
        """It as a sentence quotes it."""
        return self.show()


def shown(node: Node) -> str:
    """Return a node as a sentence quotes it: its canonical text, which shows no sensitive value, cut if long."""
    return _cut(render(node))


def shown_value(value: JSON) -> str:
    """Return a JSON value as a sentence quotes it."""
    return _cut(json.dumps(value, ensure_ascii=False))


def is_quoted(node: Field) -> bool:
    """Return whether a field was written between double quotes: its span is then longer than its name."""
    return node.span[1] - node.span[0] > len(node.name)


# --- fields and lists


def constant_as_field(node: Field) -> Mistake:
    """Return the mistake of `x == true`, which compares with a field of that name."""
    return Mistake(
        "jmes.unknown-field",
        "unknown field",
        detail=f"{node.name} without backticks is the name of a field, and there is none",
        help=f"type `{node.name}`",
        span=node.span,
    )


def unknown_field(node: Field, given: Type, before: Node | None, meant: str | None) -> Mistake:
    """
    Return the mistake that an object has no such field.

    *before* is what stands left of the dot; *meant* the text that may have been meant, if the field is an
    operand.
    """
    near = did_you_mean(node.name, given.object.fields if given.object else ())
    elsewhere = sorted(_paths_to(node.name, given))[:3]
    if meant is not None and (is_quoted(node) or meant.isupper()):
        advice = _text_advice(meant)
    elif elsewhere:
        advice = f"did you mean {' or '.join(elsewhere)}?"
    elif near.startswith("did"):
        advice = near
    else:
        advice = "; ".join(part for part in (_text_advice(meant), near) if part)
    return Mistake(
        "jmes.unknown-field",
        "unknown field",
        detail=f'there is no "{node.name}" {"here" if before is None else f"in {shown(before)}"}',
        help=advice,
        span=node.span,
    )


def no_fields(node: Field, given: Type, before: Node | None, meant: str | None, *, element: bool) -> Mistake:
    """Return the mistake that what is no object has no fields; *element* says it is one of a list's elements."""
    if meant is not None and is_quoted(node):
        advice = _text_advice(meant)
    elif isinstance(before, Not):
        advice = f"! binds stronger than a dot: type !({shown(before.operand)}.{node.name})"
    elif node.name in FUNCTIONS and before is not None:
        advice = f"a function takes its arguments in parentheses: {node.name}({shown(before)})"
    elif not given.array:
        advice = _name_advice(before, f".{node.name}")
    elif isinstance(before, Projection):
        advice = f"the projection ends before this dot: type | [*].{node.name} instead of .{node.name}"
    elif before is None and element:
        advice = "each element is a list here: to open the lists type [] | before the filter"
    else:
        advice = f"type [*].{node.name} for each element, or [0].{node.name} for the first"
    what = "@" if before is None else shown(before)
    return Mistake(
        "jmes.unknown-field",
        "unknown field",
        detail=f'{what} is {given.without("null")}, which has no "{node.name}"',
        help=advice,
        span=node.span,
    )


def nothing_to_select(node: Node, given: Type) -> Mistake:
    """Return the mistake of a multi-select that reads fields of what has none."""
    return Mistake(
        "jmes.wrong-type",
        "there are no fields to select from",
        detail=f"the current value is {given}",
        help="put @ in place of the field for the value itself",
        span=node.span,
    )


def no_list(node: Index | Slice | Projection, base: Type, *, element: bool) -> Mistake:
    """Return the mistake of an index or a projection of no list; *element* says it works on a list's elements."""
    mark, left = _mark(node), node.left
    if isinstance(left, Not):
        advice = f"! binds stronger than {mark}: type !({shown(left.operand)}{mark})"
    elif element:
        advice = f"inside a projection {mark} works on each element; for the results as a whole type | {mark}"
    elif base.object and isinstance(node, ListProjection):
        advice = "for the values of an object type .*"
    else:
        advice = _name_advice(left, mark)
    what = "each element" if isinstance(left, Current) and element else shown(left)
    return Mistake(
        "jmes.not-a-list",
        "this is no list",
        detail=f"{what} is {base.without('null')}, and {mark} takes a list",
        help=advice,
        span=node.span,
    )


def no_object(node: ValueProjection, base: Type) -> Mistake:
    """Return the mistake of `.*` of no object."""
    return Mistake(
        "jmes.wrong-type",
        "this is no object",
        detail=f"{shown(node.left)} is {base.without('null')}, and {_mark(node)} takes an object",
        help="for the elements of a list type [*]" if base.array else "",
        span=node.span,
    )


def _paths_to(name: str, given: Type, depth: int = 3) -> Iterator[str]:
    """Yield the paths below a value that end in a field of this name."""
    if given.object is None or depth == 0:
        return
    for own, inner in given.object.fields.items():
        if own.casefold() == name.casefold():
            yield own
        yield from (f"{own}.{path}" for path in _paths_to(name, inner, depth - 1))
        if inner.array:
            yield from (f"{own}[*].{path}" for path in _paths_to(name, inner.array.items, depth - 1))


# --- conditions and results


def not_boolean(node: Node, found: Type, within: str = "") -> Mistake:
    """
    Return the mistake of a condition that is always true, or always false.

    *within* is `&&` or `||` where the condition is an operand of it.
    """
    always = "false" if found == NULL else "true"
    if isinstance(node, Literal) and within:
        text = shown(node)
        advice = (
            f"both sides of {within} are conditions: … == {text}, or for several contains([…, {text}], …)"
        )
    elif isinstance(node, Literal):
        advice = _name_advice(node)
    elif isinstance(node, Call):
        advice = _compare_advice(node, found)
    else:
        advice = "combine conditions with && or ||"
    return Mistake(
        "jmes.not-boolean",
        "this is no condition",
        detail=f"{shown(node)} is {found}, which counts as {always} whatever the record says",
        help=advice,
        span=node.span,
    )


def wrong_result(node: Node, found: Type, *, boolean: bool) -> Mistake:
    """Return the mistake that this part of an expression gives something else than its expectation needs."""
    if not boolean:
        code, due = "jmes.not-a-list-result", "a list"
        advice = (
            "the result of none and some is a list such as [?…]; for a condition on the whole list use that"
        )
    else:
        code, due = "jmes.not-boolean", "true or false"
        advice = _compare_advice(node, found)
    return Mistake(
        code,
        f"the result is not {due}",
        detail=f"{shown(node)} is {found}",
        help=advice,
        span=node.span,
    )


def sometimes_empty(node: Node, rest: Type, *, boolean: bool) -> Mistake:
    """Return the warning that the result of an expression is null or empty where this part of it is."""
    if boolean:
        code, due = "jmes.not-boolean", "true or false"
        advice = f"ask {_there(node)} for what must be there, or end with || `false`"
    else:
        code, due = "jmes.not-a-list-result", "a list"
        advice = "give an empty list instead: not_null(…, `[]`)"
    state = "null" if rest == NULL else "null or empty" if rest.null else "empty or false"
    return Mistake(
        code,
        f"the result is not always {due}",
        detail=f"where {shown(node)} is {state}, so is the result, and that is an error",
        help=advice,
        span=node.span,
    )


def _compare_advice(node: Node, found: Type) -> str:
    if isinstance(node, Literal):
        return ""
    if found.array:
        return f"ask how many there are: length({shown(node)}) > `0`"
    if found.number:
        return f"compare it: {shown(node)} > `0`"
    if found.string:
        return f"compare it: {shown(node)} == '…'"
    return f"ask whether it is there: {_there(node)}"


# --- comparisons


def never_null(node: Comparison, other: Node) -> Mistake:
    """Return the warning of a comparison with null of what is never null."""
    always = "false" if node.operator == "==" else "true"
    return Mistake(
        "jmes.impossible-comparison",
        "this is never null",
        detail=f"{shown(other)} is always there, so {shown(node)} is always {always}",
        help="leave the comparison out",
        span=node.span,
    )


def no_order(node: Comparison, left: Side, right: Side) -> Mistake:
    """Return the mistake of comparing the order of what has none."""
    return Mistake(
        "jmes.no-order",
        f"{node.operator} compares numbers with numbers, and instants with instants",
        detail=f"{left.shown} is {left.type}, and {right.shown} is {right.type}",
        help=_order_advice(left, right),
        span=node.span,
    )


def not_an_instant(side: Side, other: Side) -> Mistake:
    """Return the mistake of a text beside an instant that cannot be read as one."""
    return Mistake(
        "jmes.not-an-instant",
        "this is no instant",
        detail=f"{other.shown} is an instant, and {side.shown} cannot be read as one",
        help=f"type {_AN_INSTANT}; to ask how old it is, age_days({other.shown})",
        span=side.span,
    )


def never_equal(left: Side, right: Side, span: Span, node: Comparison | None) -> Mistake:
    """Return the mistake of comparing what is never equal; without a *node* it is a search in a list."""
    advice = _literal_advice(left, right)
    if node is not None and isinstance(node.left, Not):
        opposite = {"==": "!=", "!=": "=="}[node.operator]
        advice = (
            f"! binds stronger than {node.operator}: type {shown(node.left.operand)} {opposite} {right.shown}"
        )
    elif node is not None and left.literal and right.literal:
        advice = _name_advice(node.left)
    elif not advice:
        for side, other in ((left, right), (right, left)):
            if side.type.array:
                advice = f"to search the list type contains({side.shown}, {other.shown})"
            elif side.type.object and side.type.object.fields:
                advice = f"name one of its fields: {side.shown}.{next(iter(side.type.object.fields))}"
    texts = known_texts(left.type) and known_texts(right.type) and not (left.literal and right.literal)
    is_left, is_right = (_one_of(side.type) if texts else side.type for side in (left, right))
    return Mistake(
        "jmes.impossible-comparison",
        "these are never equal",
        detail=f"{left.shown} is {is_left}, and {right.shown} is {is_right}",
        help=advice,
        span=span,
    )


def _one_of(found: Type) -> str:
    first, *others = sorted(known_texts(found))
    return f"one of '{first}', '{others[0]}'{', …' if len(others) > 1 else ''}" if others else f"'{first}'"


def unknown_value(side: Side, other: Side) -> Mistake:
    """Return the mistake of a literal text that is not among those that are known."""
    (value,) = known_texts(side.type)
    path = other.type.string.path if other.type.string else ""
    accept = (
        f"if PingOne has it, list it in the project: accept_values: {{{path}: [{value}]}}" if path else ""
    )
    return Mistake(
        "jmes.unknown-value",
        "unknown value",
        detail=f'"{value}"{_origin(side)} is no known value of {other.shown}',
        help=" ".join(part for part in (did_you_mean(value, known_texts(other.type)), accept) if part),
        span=side.span,
    )


def finds_nothing(call: Call, subject: Side, text: Side) -> Mistake:
    """Return the mistake of a search in a text that finds nothing in any known value."""
    (value,) = known_texts(text.type)
    lengths = range(len(value) - 1, len(value) + 2)
    known = known_texts(subject.type)
    parts = {
        "starts_with": {each[:length] for each in known for length in lengths},
        "ends_with": {each[max(0, len(each) - length) :] for each in known for length in lengths},
    }
    near = did_you_mean(value, parts.get(call.name, ()))
    return Mistake(
        "jmes.unknown-value",
        "unknown value",
        detail=f'no known value of {subject.shown} {_VERBS[call.name]} "{value}"{_origin(text)}',
        help=near if near.startswith("did") else "",
        span=text.span,
    )


def _origin(side: Side) -> str:
    return f" (${{{side.origin}}})" if side.origin else ""


def _literal_advice(left: Side, right: Side) -> str:
    """Return how to write a literal that is of another type than what it is compared with."""
    for side, other in ((left, right), (right, left)):
        if not side.literal:
            continue
        text = next(iter(known_texts(side.type)), "")
        if is_instant(other.type):
            return f"compare it with an instant: {_AN_INSTANT}"
        if other.type.number and _NUMBER.fullmatch(text):
            return _declare(side, "number") or f"a number stands between backticks: `{text}`"
        if other.type.boolean and text in ("true", "false"):
            return _declare(side, "boolean") or f"true and false stand between backticks: `{text}`"
        if other.type.string and (side.type.number or side.type.boolean):
            return (
                _declare(side, "string") or f"a text stands between single quotes: '{side.shown.strip('`')}'"
            )
    return ""


def _declare(side: Side, name: str) -> str:
    return f"declare {side.origin} as a {name}" if side.origin.startswith("var.") else ""


def _order_advice(left: Side, right: Side) -> str:
    for side, other in ((left, right), (right, left)):
        if other.type.number and side.type.string and not (side.literal or is_instant(side.type)):
            return f"for the number that a text holds type to_number({side.shown})"
    return _literal_advice(left, right) or "compare it with == or !="


# --- functions


def wrong_argument(call: Call, parameter: Parameter, node: Node, found: str) -> Mistake:
    """Return the mistake of an argument of a wrong type; *found* says what it is."""
    return Mistake(
        "jmes.wrong-type",
        "an argument is of the wrong type",
        detail=f"{parameter.name} of {call.name} must be {_kind(parameter.kind)}, and {shown(node)} is {found}",
        help=f"type {FUNCTIONS[call.name]}",
        span=node.span,
    )


def argument_is_no_instant(call: Call, parameter: Parameter, node: Node) -> Mistake:
    """Return the mistake of a text, which is not known to be an instant, where a function reads one."""
    return Mistake(
        "jmes.not-an-instant",
        "this is no instant",
        detail=f"{parameter.name} of {call.name} must be an instant, and {shown(node)} is a text",
        help=f"type {FUNCTIONS[call.name]}",
        span=node.span,
    )


def no_part_of_a_text(call: Call, wanted: Side) -> Mistake:
    """Return the mistake of searching a text for what is no text."""
    return Mistake(
        "jmes.wrong-type",
        "an argument is of the wrong type",
        detail=f"only a text can be part of a text, and {wanted.shown} is {wanted.type}",
        help=f"type {FUNCTIONS[call.name]}",
        span=wanted.span,
    )


def maybe_missing(node: Node, source: Node, *, reference: bool) -> Mistake:
    """
    Return the warning that an operand may be null, which leaves undecided what rests on it.

    *source* is the part of it that need not be there; *reference* says that it is read from each element.
    """
    text, part, test = shown(node), shown(source), _there(source)
    if isinstance(node, Literal):
        detail = f"the value of {text} is null, and what rests on it is undecided"
    elif isinstance(source, Call) and source.name == "not_null":
        detail = f"each value of {part} may be missing, and what rests on it is undecided then"
    elif isinstance(source, Call):
        detail = f"{text} can be null. {source.name}: {FUNCTIONS[source.name].summary}"
    elif source == node:
        detail = f"{text} is not always there, and what rests on it is undecided then"
    else:
        detail = f"{text} is not always there, since {part} is not; what rests on it is undecided then"
    guarded = path_of(source) is not None
    if guarded and reference:
        advice = f"leave out first what lacks it, [?{part}], {_ON_MISSING}"
    elif guarded:
        advice = f"test it first ({test} && …), give a default (not_null({text}, …)), {_ON_MISSING}"
    elif isinstance(node, Literal):
        advice = "give it a value"
    elif isinstance(source, Call) and source.name == "not_null":
        advice = f"give it a last value that is always there, {_ON_MISSING}"
    else:
        advice = f"give a default (not_null({text}, …)), {_ON_MISSING}"
    return Mistake("jmes.maybe-missing", "this may be missing", detail=detail, help=advice, span=node.span)


def missing_elements(node: Node) -> Mistake:
    """Return the warning that a list may hold null where a function takes none."""
    return Mistake(
        "jmes.maybe-missing",
        "this may be missing",
        detail=f"an element of {shown(node)} may be null, and that is an error",
        help=f"leave it out: {shown(node)} | [?@ != `null`]",
        span=node.span,
    )


def _kind(kind: Kind) -> str:
    """Return what a parameter takes: "a list of numbers or of texts", "an instant"."""
    if kind.elements:
        return f"a list of {' or of '.join(_PLURALS[name] for name in kind.elements)}"
    if kind.read and kind.name not in _WORDS:
        article = "an" if kind.name[0] in "aeiou" else "a"
        return kind.name if "," in kind.name else f"{article} {kind.name}"
    return " or ".join(_WORDS[name] for name in kind.types)


def _there(node: Node) -> str:
    return shown(Comparison("!=", node, Literal(None)))


def _name_advice(node: Node | None, rest: str = "") -> str:
    match node:
        case Literal(value=str(name), placeholder="") if _PATH.fullmatch(name):
            return f"a field's name stands without single quotes: {_cut(name)}{rest}"
    return ""


def _text_advice(meant: str | None) -> str:
    return "" if meant is None else f"a text stands between single quotes: '{_cut(meant)}'"


def _mark(node: Index | Slice | Projection) -> str:
    match node:
        case Index(index=index):
            return f"[{index}]"
        case ListProjection():
            return "[*]"
        case FilterProjection():
            return "[?…]"
        case FlattenProjection():
            return "[]"
        case Slice() | SliceProjection():
            return "[:]"
        case ValueProjection():
            return ".*"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
