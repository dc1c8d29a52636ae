"""Whether records are as their descriptor documents them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, best_match

from auditor.fetcher.failures import DRIFT, FetchError
from auditor.model.document import JSONSchema
from auditor.model.instant import parse_instant
from auditor.model.value import JSON

_FORMATS: Final = FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_instant(value: object) -> bool:
    return not isinstance(value, str) or bool(parse_instant(value))


class Shape:
    """
    The documented shape of a record: a JSON Schema.

    `jsonschema` is the judge. It takes a sixth of a millisecond for a small event, so what keeps the schema by
    a test of the plain keywords that most of them are made of never comes before it.
    """

    def __init__(self, schema: JSONSchema) -> None:
        self._validator = Draft202012Validator(schema, format_checker=_FORMATS)
        self._surely_keeps = surely_keeps(schema)

    def check(self, record: JSON, number: int) -> None:
        """
        Do nothing if a record, known by its number on its page, is as documented.

        Raises:
            FetchError: it is not; the message names place and rule, and not the value, which may be personal.
        """
        if self._surely_keeps(record):
            return
        error = best_match(self._validator.iter_errors(record))
        if error is not None:
            raise drift(number, f"{_place(error)}: {_rule(error)}")


def drift(number: int, what: str) -> FetchError:
    """Return the error for a record, known by its number on its page, that is not as documented."""
    return FetchError("evidence.drift", f"Record {number} of a page is not as documented at {what}.", DRIFT)


def _place(error: ValidationError) -> str:
    """Return where in a record a rule is broken: `resources[0].name`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
    return "".join(steps).removeprefix(".") or "its root"


def _rule(error: ValidationError) -> str:
    """Return which rule of the schema is broken, without the value, which may be personal."""
    if error.validator == "required":
        return error.message
    return f"{error.validator} {error.validator_value!r:.80} is documented"


Test = Callable[[Any], bool]

_TYPES: Final[Mapping[str, type]] = {"string": str, "boolean": bool, "null": type(None), "integer": int}
_SILENT: Final = frozenset({"type", "description", "title"})


def surely_keeps(schema: JSONSchema) -> Test:
    """
    Return a test that no value passes that breaks a schema, and few values fail that keep it.

    It knows one type a value, properties, items and instants; of a schema that says anything else it is sure
    of nothing.
    """
    said = {key: value for key, value in schema.items() if key not in _SILENT}
    match schema.get("type"):
        case "object" if said.keys() <= {"properties", "required", "additionalProperties"}:
            return _object(said)
        case "array" if said.keys() <= {"items"}:
            each = surely_keeps(said.get("items", {}))
            return lambda value: type(value) is list and all(map(each, value))
        case "string" if said == {"format": "date-time"}:
            return _surely_instant
        case str(name) if name in _TYPES and not said:
            wanted = _TYPES[name]
            return lambda value: type(value) is wanted
    return (lambda _: True) if not schema else lambda _: False


def _object(said: JSONSchema) -> Test:
    if said.get("additionalProperties", True) is not True:
        return lambda _: False
    required = said.get("required", ())
    known: dict[str, Test] = {name: surely_keeps(of) for name, of in said.get("properties", {}).items()}
    find = known.get

    def test(value: Any) -> bool:
        if type(value) is not dict:
            return False
        for name in required:
            if name not in value:
                return False
        for name, inner in value.items():
            each = find(name)
            if each is not None and not each(inner):
                return False
        return True

    return test


def _surely_instant(value: Any) -> bool:
    try:
        return type(value) is str and bool(parse_instant(value))
    except ValueError:
        return False
