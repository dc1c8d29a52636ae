"""
What is known of values before there are any: a small algebra of types.

A `Type` is a set of JSON values, kept as one part for each of JMESPath's six types, so that a union is a
matter of parts. Absent and null are the same to JMESPath, so a field that need not be there has a type with
null in it. What a type says too much about to be followed cheaply becomes `ANY`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from auditor.jmes.value import TYPES
from auditor.model.document import JSONSchema
from auditor.model.instant import parse_instant
from auditor.model.value import JSON

MAX_SIZE: Final = 2_000
"""How many parts a type may have; the largest of the shipped descriptors has fewer than a hundred."""

MAX_DEPTH: Final = 48
"""How deep a type may nest."""

NAMES: Final = tuple(dict.fromkeys(TYPES.values()))
"""JMESPath's names of the types."""

_INSTANT_FORMATS: Final = ("date-time", "date")
_NO_VALUES: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Number:
    """Numbers: all whole, none whole, or (None) nobody knows."""

    whole: bool | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """
    Texts.

    `values` are the only ones that are known, None where any text may come. `instant` says that each is an
    ISO 8601 instant. `path` names the attribute under whose name a project can accept further values.
    """

    values: frozenset[str] | None = None
    instant: bool = False
    path: str = ""


@dataclass(frozen=True, slots=True)
class Array:
    """Lists. `known` tells more of the elements at some indices; with any entry, the list is not empty."""

    items: Type
    known: Mapping[int, Type] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Object:
    """Objects: their named fields, and the type of every other field; None where there is no other."""

    fields: Mapping[str, Type]
    rest: Type | None = None

    @property
    def every(self) -> list[Type]:
        """The types of all fields."""
        return [*self.fields.values(), *([self.rest] if self.rest else [])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """
    A set of JSON values: those of any of its parts; with `any`, all of them, and nothing else is said.

    `size` and `depth` count parts below, itself included.
    """

    null: bool = False
    boolean: frozenset[bool] = frozenset()
    number: Number | None = None
    string: Text | None = None
    array: Array | None = None
    object: Object | None = None
    any: bool = False
    size: int = field(init=False, compare=False, repr=False)
    depth: int = field(init=False, compare=False, repr=False)
    _present: list[Type] = field(init=False, compare=False, repr=False)
    """The type without null, once it was asked for: that is what most is asked of a type."""

    def __post_init__(self) -> None:
        below: list[Type] = []
        if self.array:
            below += [self.array.items, *self.array.known.values()]
        if self.object:
            below += self.object.every
        object.__setattr__(self, "size", 1 + sum(each.size for each in below))
        object.__setattr__(self, "depth", 1 + max((each.depth for each in below), default=0))
        object.__setattr__(self, "_present", [])

    @property
    def names(self) -> frozenset[str]:
        """JMESPath's names of the types that a value can have."""
        return frozenset(name for name in NAMES if self.any or getattr(self, name))

    def without(self, *names: str) -> Type:
        """Return the type without some parts, by JMESPath's names; what may be anything stays so."""
        gone = {name: _ABSENT[name] for name in names if getattr(self, name)}
        if not gone:
            return self
        if gone.keys() != {"null"}:
            return replace(self, **gone)
        if not self._present:
            self._present.append(replace(self, null=False))
        return self._present[0]

    def only(self, *names: str) -> Type:
        """Return the type with some of its parts alone; what may be anything is then of those types."""
        known = _EVERYTHING if self.any else self
        return known.without(*(name for name in NAMES if name not in names))

    def __str__(self) -> str:
        """Say it in people's words: "a text or null"."""
        if self.any:
            return "anything"
        words = [
            *(str(value).lower() for value in sorted(self.boolean, reverse=True)),
            *([_NUMBERS[self.number.whole]] if self.number else []),
            *(["an instant" if self.string.instant else "a text"] if self.string else []),
            *(["a list"] if self.array else []),
            *(["an object"] if self.object else []),
            *(["null"] if self.null else []),
        ]
        return " or ".join(words) or "nothing"


_NUMBERS: Final = {None: "a number", True: "a whole number", False: "a number with a fraction"}

_ABSENT: Final[Mapping[str, Any]] = {**dict.fromkeys(NAMES), "null": False, "boolean": frozenset()}

ANY: Final = Type(any=True)
"""Nothing is known."""

NOTHING: Final = Type()
"""No value at all: the elements of an empty list, what comes after a condition that cannot be true."""

NULL: Final = Type(null=True)
BOOLEAN: Final = Type(boolean=frozenset((True, False)))
NUMBER: Final = Type(number=Number())
WHOLE: Final = Type(number=Number(whole=True))
TEXT: Final = Type(string=Text())
INSTANT: Final = Type(string=Text(instant=True))

_EVERYTHING: Final = Type(
    null=True,
    boolean=BOOLEAN.boolean,
    number=Number(),
    string=Text(),
    array=Array(ANY),
    object=Object({}, ANY),
)
_EMPTY_TEXT: Final = Text(frozenset(("",)))
_EMPTY_ARRAY: Final = Array(NOTHING)
_EMPTY_OBJECT: Final = Object({})


def list_of(items: Type, *, filled: bool = False, known: Mapping[int, Type] | None = None) -> Type:
    """Return the type of lists; *filled* ones have an element at least, *known* ones those at the indices."""
    return _bounded(Type(array=Array(items, known or ({0: items} if filled else {}))))


def object_of(fields: Mapping[str, Type], rest: Type | None = None) -> Type:
    """Return the type of objects with some fields; *rest* is the type of all others, if there may be any."""
    return _bounded(Type(object=Object(fields, rest)))


def union(types: Iterable[Type]) -> Type:
    """Return the type of the values of all types."""
    given = list({id(each): each for each in types}.values())
    if len(given) == 1:
        return given[0]
    if any(each.any for each in given):
        return ANY
    return _bounded(
        Type(
            null=any(each.null for each in given),
            boolean=frozenset().union(*(each.boolean for each in given)),
            number=_numbers([each.number for each in given if each.number]),
            string=_texts([each.string for each in given if each.string]),
            array=_arrays([each.array for each in given if each.array]),
            object=_objects([each.object for each in given if each.object]),
        )
    )


def _numbers(parts: Sequence[Number]) -> Number | None:
    if not parts:
        return None
    return parts[0] if all(part == parts[0] for part in parts) else Number()


def _texts(parts: Sequence[Text]) -> Text | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    known = [part.values for part in parts if part.values is not None]
    paths = {part.path for part in parts if part.path}
    return Text(
        values=frozenset().union(*known) if len(known) == len(parts) else None,
        instant=all(part.instant for part in parts),
        path=paths.pop() if len(paths) == 1 else "",
    )


def _arrays(parts: Sequence[Array]) -> Array | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    shared = set(parts[0].known).intersection(*(part.known for part in parts))
    known = {index: union(part.known[index] for part in parts) for index in sorted(shared)}
    items = union(part.items for part in parts)
    if not known and all(part.known for part in parts):
        known = {0: items}
    return Array(items, known)


def _objects(parts: Sequence[Object]) -> Object | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    names = dict.fromkeys(name for part in parts for name in part.fields)
    rests = [part.rest for part in parts if part.rest is not None]
    return Object(
        {name: union(_field(part, name) or NULL for part in parts) for name in names},
        union(rests) if rests else None,
    )


def _field(part: Object, name: str) -> Type | None:
    return part.fields.get(name, part.rest)


def _bounded(found: Type) -> Type:
    """Forget what is too large: chains such as `[@, [@]] | [@, [@]] | …` would otherwise grow without end."""
    return ANY if found.size > MAX_SIZE or found.depth > MAX_DEPTH else found


def field_of(found: Type, name: str) -> Type | None:
    """Return the type of a field, null included where a value may lack it; None where there is no such field."""
    if found.any:
        return ANY
    own = _field(found.object, name) if found.object else None
    if own is None:
        return None
    return own if found.names == {"object"} else union((own, NULL))


def element_of(found: Array, index: int) -> Type:
    """Return the type of an element of a list, null included where the list may be shorter."""
    if index in found.known:
        return found.known[index]
    if found.known and index in (0, -1):
        return found.items
    return union((found.items, NULL))


def truthy(found: Type) -> Type:
    """Return the type of those values that count as true: not null, false, or empty. Every number does."""
    if found.any:
        return ANY
    string, array, each = found.string, found.array, found.object
    if string and string.values is not None:
        left = string.values - {""}
        string = replace(string, values=left) if left else None
    if array:
        array = replace(array, known=array.known or {0: array.items}) if array != _EMPTY_ARRAY else None
    if each == _EMPTY_OBJECT:
        each = None
    boolean = found.boolean - {False}
    return replace(found, null=False, boolean=boolean, string=string, array=array, object=each)


def falsy(found: Type) -> Type:
    """Return the type of those values that do not count as true."""
    if found.any:
        return ANY
    string, array, each = found.string, found.array, found.object
    maybe_empty = string and not string.instant and (string.values is None or "" in string.values)
    required = each and any(not inner.null and not inner.any for inner in each.fields.values())
    return Type(
        null=found.null,
        boolean=found.boolean - {True},
        string=_EMPTY_TEXT if maybe_empty else None,
        array=_EMPTY_ARRAY if array and not array.known else None,
        object=_EMPTY_OBJECT if each and not required else None,
    )


def overlap(left: Type, right: Type) -> bool:
    """
    Return whether two values other than null, one of each type, can be equal.

    Lists and objects always can: an answer that is sure costs more than it tells.
    """
    if left.any or right.any or NOTHING in (left, right):
        return True
    if left.boolean & right.boolean or (left.array and right.array) or (left.object and right.object):
        return True
    if left.number and right.number and {left.number.whole, right.number.whole} != {True, False}:
        return True
    if left.string and right.string:
        texts, others = left.string.values, right.string.values
        return texts is None or others is None or not texts.isdisjoint(others)
    return False


def refined(found: Type, path: Sequence[str | int], change: Callable[[Type], Type]) -> Type:
    """
    Return the type of those values of which the value at a path, changed so, is not null.

    *path* holds names of fields and indices of lists; *change* narrows the type at its end.
    """
    if found.any:
        return ANY
    if not path:
        return change(found).without("null")
    step, rest = path[0], path[1:]
    if isinstance(step, str):
        own = _field(found.object, step) if found.object else None
        if found.object is None or own is None:
            return found
        inner = refined(own, rest, change)
        if inner is own:
            return found.only("object")
        return object_of({**found.object.fields, step: inner}, found.object.rest)
    if found.array is None:
        return found
    inner = refined(element_of(found.array, step), rest, change)
    return list_of(found.array.items, known={**found.array.known, step: inner})


def is_instant(found: Type) -> bool:
    """Return whether every value is the text of an instant."""
    return found.string is not None and found.string.instant and found.names == {"string"}


def known_texts(found: Type) -> frozenset[str]:
    """Return the only texts that are known to be of a type; none where any text may be."""
    return found.string.values or frozenset() if found.string else frozenset()


def of_value(value: JSON, *, sensitive: bool = False) -> Type:
    """Return the type of one JSON value; of a sensitive one no text, key or element shows in it."""
    match value:
        case None:
            return NULL
        case bool():
            return Type(boolean=frozenset((value,)))
        case int() | float():
            return Type(number=Number(whole=isinstance(value, int) or value.is_integer()))
        case str():
            known = None if sensitive else frozenset((value,))
            return Type(string=Text(known, instant=_reads_as_instant(value)))
        case list():
            return list_of(ANY if sensitive else union(map(of_value, value)), filled=bool(value))
        case _:
            if sensitive:
                return object_of({}, ANY)
            return object_of({name: of_value(item) for name, item in value.items()})


def _reads_as_instant(text: str) -> bool:
    try:
        parse_instant(text)
    except (ValueError, OverflowError):  # an offset can lead out of the calendar
        return False
    return True


def type_of(
    schema: JSONSchema, known_values: Mapping[str, frozenset[str]] = _NO_VALUES, *, path: str = ""
) -> Type:
    """
    Return the type that a JSON Schema describes.

    Read are `type` (a name or a list of them), `properties`, `required`, `additionalProperties`, `items`,
    `minItems`, `const`, `enum` and `format: date-time | date`; everything else only narrows, and is left out.
    Without `type`, `const` and `enum` it is `ANY`. An object without `properties` and `additionalProperties`
    may have any field; one with `properties` alone has no other.
    *known_values* holds the values of texts by dotted path, as SCIM writes it: lists are walked into without
    a mark. *path* is the place of *schema* itself.
    """
    if "const" in schema:
        return of_value(schema["const"])
    if "enum" in schema:
        return union(map(of_value, schema["enum"]))
    if "type" not in schema:
        return ANY
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return union(_part(name, schema, known_values, path) for name in names)


def _part(name: str, schema: JSONSchema, known_values: Mapping[str, frozenset[str]], path: str) -> Type:
    match name:
        case "null":
            return NULL
        case "boolean":
            return BOOLEAN
        case "number":
            return NUMBER
        case "integer":
            return WHOLE
        case "string":
            if path in known_values:
                return Type(string=Text(known_values[path], path=path))
            return INSTANT if schema.get("format") in _INSTANT_FORMATS else TEXT
        case "array":
            items = schema.get("items")
            inner = type_of(items, known_values, path=path) if isinstance(items, dict) else ANY
            return list_of(inner, filled=schema.get("minItems", 0) > 0)
        case _:
            return _object(schema, known_values, path)


def _object(schema: JSONSchema, known_values: Mapping[str, frozenset[str]], path: str) -> Type:
    required = schema.get("required", ())
    fields = {}
    for name, child in schema.get("properties", {}).items():
        inner = type_of(child, known_values, path=f"{path}.{name}" if path else name)
        fields[name] = inner if name in required else union((inner, NULL))
    others = schema.get("additionalProperties", "properties" not in schema)
    if isinstance(others, dict):
        return object_of(fields, union((type_of(others, known_values, path=path), NULL)))
    return object_of(fields, ANY if others else None)
