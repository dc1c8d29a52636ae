"""What the functions give for arguments of known types, where that is more than their table says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from auditor.jmes.functions import FUNCTIONS
from auditor.jmes.tree import Call, Literal
from auditor.jmes.types import (
    ANY,
    BOOLEAN,
    INSTANT,
    NAMES,
    NOTHING,
    NULL,
    NUMBER,
    TEXT,
    WHOLE,
    Array,
    Object,
    Text,
    Type,
    list_of,
    object_of,
    union,
)

_PLAIN: Final[Mapping[str, Type]] = MappingProxyType(
    {
        "null": NULL,
        "boolean": BOOLEAN,
        "number": NUMBER,
        "string": TEXT,
        "array": list_of(ANY),
        "object": object_of({}, ANY),
    }
)
_ANY_LIST: Final = Array(ANY)
_EMPTY_LIST: Final = Array(NOTHING)
_ANY_OBJECT: Final = Object({}, ANY)
_SPAN: Final = {"from": INSTANT, "to": INSTANT}


def result_of(call: Call, arguments: Sequence[Type]) -> Type:
    """
    Return the type of what a call gives where it gives anything.

    *arguments* are the types of its arguments; of an expression reference, that of its results.
    """
    if call.name in _RESULTS:
        return _RESULTS[call.name](*arguments)
    if call.name == "div" and isinstance(call.arguments[1], Literal) and call.arguments[1].value:
        return NUMBER  # null is only for a division by 0
    return union(_PLAIN[name] for name in FUNCTIONS[call.name].result)


def _array(found: Type) -> Array:
    return found.array or (_ANY_LIST if found.any else _EMPTY_LIST)


def _one_of(found: Type, _key: Type = NOTHING) -> Type:
    """Return the type of an element that a function picks; there is none in an empty list."""
    array = _array(found)
    return array.items if array.known else union((array.items, NULL))


def _average(found: Type) -> Type:
    return NUMBER if _array(found).known else union((NUMBER, NULL))


def _keys(found: Type) -> Type:
    each = found.object or _ANY_OBJECT
    return list_of(TEXT if each.rest else Type(string=Text(frozenset(each.fields))))


def _values(found: Type) -> Type:
    return list_of(union((found.object or _ANY_OBJECT).every))


def _map(results: Type, found: Type) -> Type:
    return list_of(results, filled=bool(_array(found).known))


def _merged(*found: Type) -> Type:
    fields: dict[str, Type] = {}
    rest: Type | None = None
    for each in found:
        part = each.object or _ANY_OBJECT
        if part.rest is not None:
            rest = part.rest if rest is None else union((rest, part.rest))
            fields = {name: union((before, part.rest)) for name, before in fields.items()}
        for name, own in part.fields.items():
            # What may be absent leaves what an earlier object has there.
            before = fields.get(name, rest)
            fields[name] = union((own, before)) if own.null and before is not None else own
    return object_of(fields, rest)


def _not_null(*values: Type) -> Type:
    kept: list[Type] = []
    for value in values:
        kept.append(value.without("null"))
        if not value.null:
            return union(kept)
    return union((*kept, NULL))


def _reversed(found: Type) -> Type:
    if found.any:
        return ANY
    texts = (TEXT,) if found.string else ()
    return union((*texts, *((_ordered(found),) if found.array else ())))


def _ordered(found: Type, _key: Type = NOTHING) -> Type:
    array = _array(found)
    return list_of(array.items, filled=bool(array.known))


def _to_array(found: Type) -> Type:
    if found.any:
        return list_of(ANY)
    alone = found.without("array")
    lists = (found.only("array"),) if found.array else ()
    return union((*lists, *((list_of(alone, filled=True),) if alone != NOTHING else ())))


def _to_number(found: Type) -> Type:
    return found if found.names == {"number"} else union((NUMBER, NULL))


def _type(_value: Type) -> Type:
    return Type(string=Text(frozenset(NAMES)))


def _truncated(*_arguments: Type) -> Type:
    return INSTANT


def _whole(*_arguments: Type) -> Type:
    return WHOLE


def _table(fields: Mapping[str, Type], key: Type) -> Type:
    return list_of(object_of({"key": key.without("null"), **fields}))


def _count_by(_list: Type, key: Type) -> Type:
    return _table({"count": WHOLE}, key)


def _group_by(found: Type, key: Type) -> Type:
    return _table({"items": list_of(_array(found).items, filled=True)}, key)


def _rate_max(_list: Type, key: Type, _instant: Type, _duration: Type) -> Type:
    return _table({"count": WHOLE, **_SPAN}, key)


def _max_gap(_list: Type, _instant: Type) -> Type:
    return union((object_of({"seconds": NUMBER, **_SPAN}), NULL))


_RESULTS: Final[Mapping[str, Callable[..., Type]]] = MappingProxyType(
    {
        "avg": _average,
        "ceil": _whole,
        "count_by": _count_by,
        "floor": _whole,
        "group_by": _group_by,
        "hour_of": _whole,
        "keys": _keys,
        "length": _whole,
        "map": _map,
        "max": _one_of,
        "max_by": _one_of,
        "max_gap": _max_gap,
        "merge": _merged,
        "min": _one_of,
        "min_by": _one_of,
        "not_null": _not_null,
        "rate_max": _rate_max,
        "reverse": _reversed,
        "sort": _ordered,
        "sort_by": _ordered,
        "to_array": _to_array,
        "to_number": _to_number,
        "truncate": _truncated,
        "type": _type,
        "unique": _ordered,
        "values": _values,
        "weekday_of": _whole,
    }
)
