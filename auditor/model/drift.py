"""Whether records are as their descriptor documents them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from auditor.model.document import JSONSchema
from auditor.model.instant import parse_instant
from auditor.model.value import JSON

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError


class Documented:
    """
    What a record is documented to be: a JSON Schema.

    `jsonschema` is the judge. It takes a sixth of a millisecond for a small event, and longer to import, so what keeps
    the schema by a test of the plain keywords that most of them are made of never comes before it.
    """

    def __init__(self, schema: JSONSchema) -> None:
        self._schema = schema
        self._surely_keeps = surely_keeps(schema)

    def flaw(self, record: JSON) -> str:
        """Return which rule a record breaks and where, not by which value, which may be personal; empty for none."""
        if self._surely_keeps(record):
            return ""
        from jsonschema.exceptions import best_match

        error = best_match(self.judge.iter_errors(record))
        return "" if error is None else f"{_place(error)}: {_rule(error)}"

    @cached_property
    def judge(self) -> Draft202012Validator:
        """What decides where a record is not surely as documented; instants are those of `auditor.model.instant`."""
        from jsonschema import Draft202012Validator, FormatChecker

        formats = FormatChecker(formats=())
        formats.checks("date-time", raises=ValueError)(_is_instant)
        return Draft202012Validator(self._schema, format_checker=formats)


def _is_instant(value: object) -> bool:
    return not isinstance(value, str) or bool(parse_instant(value))


def _place(error: ValidationError) -> str:
    """Return where in a record a rule is broken: `resources[0].name`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
    return "".join(steps).removeprefix(".") or "its root"


def _rule(error: ValidationError) -> str:
    """Return which rule of the schema is broken, without the value, which may be personal."""
    if error.validator == "required":
        return str(error.message)
    return f"{error.validator} {error.validator_value!r:.80} is documented"


Test = Callable[[Any], bool]

_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    "string": ("str", '""'),
    "boolean": ("bool", "False"),
    "null": ("NoneType", "None"),
    "integer": ("int", "0"),
}
"""Python's names of types, with a value of each that stands for a property that is not there."""

SILENT: Final = frozenset({"type", "description", "title"})
"""Keywords that are no rules but for the type."""

_DEEPEST: Final = 8
"""Levels in one function; what lies deeper has one of its own, since Python takes no more than twenty loops."""


def surely_keeps(schema: JSONSchema) -> Test:
    """
    Return a test that no value passes that breaks a schema, and few values fail that keep it.

    It knows one type a value, properties, items and instants; of a schema that says anything else it is sure
    of nothing. It is one generated function, since a walk over the schema takes longer than reading the record.
    """
    source = _Source()
    source.test(schema, "value", 2)
    text = "\n".join(
        (
            "def test(value):",
            "    try:",
            *source.lines,
            "        return True",
            "    except ValueError:",
            "        return False",
        )
    )
    exec(text, source.names)  # noqa: S102  # made here of constant text alone
    test: Test = source.names["test"]
    return test


class _Source:
    """The lines of a test. What a schema names is bound to variables of it, and stands in none of the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"ABSENT": object(), "NoneType": type(None), "instant": parse_instant}

    def _bound(self, value: object) -> str:
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name

    def _line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def _refuse(self, depth: int, wrong: str) -> None:
        self._line(depth, f"if {wrong}: return False")

    def test(self, schema: JSONSchema, value: str, depth: int) -> None:
        """Write lines that return False, unless what a variable holds surely keeps a schema."""
        said = {key: each for key, each in schema.items() if key not in SILENT}
        match schema.get("type"):
            case "object" | "array" if depth > _DEEPEST:
                self._refuse(depth, f"not {self._bound(surely_keeps(schema))}({value})")
            case "object" if said.keys() <= {"properties", "required", "additionalProperties"}:
                self._object(said, value, depth)
            case "array" if said.keys() <= {"items"}:
                item = f"{value}_"
                self._refuse(depth, f"type({value}) is not list")
                self._line(depth, f"for {item} in {value}:")
                self.test(said.get("items", {}), item, depth + 1)
                self._line(depth + 1, "pass")
            case "string" if said == {"format": "date-time"}:
                self._refuse(depth, f"type({value}) is not str")
                self._line(depth, f"instant({value})")
            case "integer" if said.keys() == {"minimum"}:
                least = self._bound(said["minimum"])
                self._refuse(depth, f"type({value}) is not int or {value} < {least}")
            case str(name) if name in _TYPES and not said:
                self._refuse(depth, f"type({value}) is not {_TYPES[name][0]}")
            case _ if schema:
                self._refuse(depth, "True")

    def _object(self, said: JSONSchema, value: str, depth: int) -> None:
        self._refuse(depth, f"type({value}) is not dict")
        if said.get("additionalProperties", True) is not True:
            self._refuse(depth, "True")
        for name in said.get("required", ()):
            self._refuse(depth, f"{self._bound(name)} not in {value}")
        for name, of in said.get("properties", {}).items():
            key = self._bound(name)
            plain = _TYPES.get(str(of.get("type"))) if of.keys() <= SILENT else None
            if plain is not None:
                self._refuse(depth, f"type({value}.get({key}, {plain[1]})) is not {plain[0]}")
                continue
            inner = f"v{len(self.names)}"
            self._line(depth, f"{inner} = {value}.get({key}, ABSENT)")
            self._line(depth, f"if {inner} is not ABSENT:")
            self.test(of, inner, depth + 1)
            self._line(depth + 1, "pass")
