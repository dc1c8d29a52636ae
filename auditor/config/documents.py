"""Documents that people write: from plain data to a frozen model, with every mistake as a diagnostic."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from auditor.config import yaml
from auditor.config.positions import locate
from auditor.config.traps import quoted_form
from auditor.model.diagnostic import Checked, Diagnostic, did_you_mean
from auditor.model.document import Document, JSONSchema
from auditor.model.source import Address, Route
from auditor.model.value import JSON

D = TypeVar("D", bound=Document)


def read(model: type[D], text: str, file: str) -> Checked[D]:
    """
    Read a YAML text as a document.

    Result: the document, or None where anything is wrong with it; all mistakes of the text, with locations.
    """
    loaded = yaml.load(text, file)
    if loaded.value is None:
        return Checked(None, loaded.diagnostics or (at(_empty(file), text),))
    checked = validate(model, loaded.value, file)
    found = [*loaded.diagnostics, *(at(diagnostic, text) for diagnostic in checked.diagnostics)]
    diagnostics = tuple(_without_consequences(found))
    return Checked(None if diagnostics else checked.value, diagnostics)


def _empty(file: str) -> Diagnostic:
    return Diagnostic(
        code="schema.empty",
        summary="Empty document",
        detail="The file holds nothing but comments or white space.",
        help='Begin with "version: 1".',
        address=Address(file=file),
    )


def _without_consequences(diagnostics: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """
    Leave out what follows from an earlier mistake.

    A value that YAML already refused is not blamed again for not being there, and of the pieces into which YAML
    cuts a text without quotes only the first is shown.
    """
    places: set[object] = set()
    traps: set[object] = set()
    for diagnostic in diagnostics:
        where = diagnostic.location
        place, trap = where and (where.line, where.column), (where and where.line, diagnostic.help)
        if place in places or (diagnostic.code == "schema.unknown-key" and trap in traps):
            continue
        if diagnostic.code.startswith("yaml."):
            places.add(place)
        elif where and diagnostic.help == quoted_form(where.snippet):
            traps.add(trap)
        yield diagnostic


def validate(model: type[D], data: JSON, file: str) -> Checked[D]:
    """Validate plain data as a document."""
    try:
        return Checked(model.model_validate(data))
    except ValidationError as error:
        return Checked(None, tuple(_Mistakes(model, data, file).found(error)))


def at(diagnostic: Diagnostic, text: str) -> Diagnostic:
    """Return a diagnostic with its location in the text of its file, and the help that only the text gives."""
    if diagnostic.location is not None or diagnostic.address is None:
        return diagnostic
    where = locate(diagnostic.address, text)
    maybe_trap = diagnostic.code.startswith(_MAYBE_TRAPS)
    trap = quoted_form(where.snippet, where.column - 1) if maybe_trap else ""
    return diagnostic.with_(location=where, help=trap or diagnostic.help)


_MAYBE_TRAPS: Final = ("schema.wrong-type", "schema.unknown-key", "jmes.", "scim.")
"""What is wrong with an expression that YAML has cut short, or taken for a mapping or a list."""

_NOUNS: Final = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
}


_TOLD: Final = (
    "extra_forbidden",
    "missing",
    "literal_error",
    "string_pattern_mismatch",
    "too_short",
    "string_too_long",
    "value_error",
)


def _is_wrong_type(details: ErrorDetails) -> bool:
    """Whether pydantic's error is one of its many (`string_type`, `model_type`, …) for a value of a wrong type."""
    return details["type"] not in _TOLD


def _name(route: Route) -> str:
    if not route:
        return "The document"
    *before, last = route
    return f"Entry {last + 1} of {_name(tuple(before))}" if isinstance(last, int) else f'"{last}"'


def _routes(steps: Route, data: JSON) -> Iterator[tuple[Route, JSON]]:
    """Yield each way through some data that takes some of the steps, with the value where it ends."""
    if not steps:
        yield (), data
        return
    step, *rest = steps
    is_key = isinstance(data, dict) and step in data
    if is_key or (isinstance(data, list) and step in range(len(data))):
        for route, value in _routes(tuple(rest), data[step]):
            yield (step, *route), value
    yield from _routes(tuple(rest), data)


class _Mistakes:
    """Tells in the words of the document what pydantic finds wrong with it."""

    def __init__(self, model: type[Document], data: JSON, file: str) -> None:
        self.schema = json_schema(model)
        self.data = data
        self.root = Address(file=file)

    def found(self, error: ValidationError) -> Iterator[Diagnostic]:
        errors = [(details, self._route(details)) for details in error.errors(include_url=False)]
        unknown = [route for details, route in errors if details["type"] == "extra_forbidden"]
        told: dict[tuple[str, Route, str], Diagnostic] = {}
        for details, route in errors:
            if _is_wrong_type(details) and any(
                other[: len(route)] == route and (other != route or not _is_wrong_type(more))
                for more, other in errors
            ):
                continue  # it is of the type of another arm of a union, where its mistake is
            diagnostic = self._diagnostic(details, route, unknown)
            if diagnostic is not None:
                told.setdefault((diagnostic.code, route, diagnostic.detail), diagnostic)
        return iter(told.values())

    def _route(self, details: ErrorDetails) -> Route:
        """Return where the mistake is in the data; pydantic's steps also name the arms of unions."""
        routes = _routes(details["loc"], self.data)
        return max(routes, key=lambda found: (found[1] is details["input"], len(found[0])))[0]

    def _diagnostic(self, details: ErrorDetails, route: Route, unknown: Sequence[Route]) -> Diagnostic | None:
        value = details["input"]
        address = self.root.at(*route)
        if details["loc"][-1:] == ("[key]",):
            address = address.key()
        name = _name(route)
        match details["type"]:
            case "extra_forbidden":
                return Diagnostic(
                    code="schema.unknown-key",
                    summary="Unknown key",
                    detail=f"{name} is no key here.",
                    help=did_you_mean(str(route[-1]), self._keys(route[:-1])),
                    address=address.key(),
                )
            case "missing":
                return self._missing(str(details["loc"][-1]), route, unknown)
            case "literal_error":
                return self._bad_choice(value, route)
            case "string_pattern_mismatch":
                return _bad_name(value, details["ctx"]["pattern"], address)
            case "too_short" if value:
                return None  # it is too short only without its entries that have mistakes
            case "too_short":
                return _bad_value(f"{name} must not be empty.", "Add an entry.", address)
            case "string_too_long":
                limit = details["ctx"]["max_length"]
                return _bad_value(f"{_show(value)} has more than {limit} characters.", "Shorten it.", address)
            case "value_error":
                # A hint that was not found leaves its separator.
                told = str(details["ctx"]["error"]).rstrip("; ")
                end = "" if told.endswith("?") else "."
                return _bad_value(f"{told[:1].upper()}{told[1:]}{end}", "", address)
        return self._wrong_type(value, route)

    def _missing(self, key: str, route: Route, unknown: Sequence[Route]) -> Diagnostic | None:
        beside = [str(other[-1]) for other in unknown if other[:-1] == route]
        arms = [node for node in self._nodes(route) if "properties" in node]
        meant = f'did you mean "{key}"?'
        # One mistake is told once: the key is there under a wrong name, or another arm of a union is meant.
        if any(did_you_mean(other, self._keys(route)) == meant for other in beside) or (
            beside and len(arms) > 1
        ):
            return None
        address = self.root.at(*route)
        return Diagnostic(
            code="schema.missing-key",
            summary="Missing key",
            detail=f'The key "{key}" is needed here.',
            help=f'Add "{key}: …".',
            address=address.key() if route else address,
        )

    def _bad_choice(self, value: JSON, route: Route) -> Diagnostic:
        choices = [
            choice
            for node in self._nodes(route)
            for choice in (node["enum"] if "enum" in node else [node["const"]] if "const" in node else [])
        ]
        words = [str(choice) for choice in choices]
        if str(value) in words:
            help = f"Write it without quotes: {value}."
        elif _type(value) not in self._types(route):
            return self._wrong_type(value, route)
        else:
            help = did_you_mean(str(value), words) or f"Use one of {', '.join(words)}."
        return _bad_value(f"{_show(value)} is no value of {_name(route)}.", help, self.root.at(*route))

    def _wrong_type(self, value: JSON, route: Route) -> Diagnostic:
        types = self._types(route)
        given = _type(value)
        allowed = [noun for kind, noun in _NOUNS.items() if kind in types]
        if "string" in types and given in ("integer", "number", "boolean"):
            help = "Put it in quotes."
        elif "array" in types and given not in ("object", "null"):
            help = "Write it as a list: [ … ]."
        else:
            help = ""
        # The value itself is not told: it may be a secret that stands where a reference is due.
        return Diagnostic(
            code="schema.wrong-type",
            summary="Wrong type",
            detail=f"{_name(route)} must be {' or '.join(allowed)}, not {_NOUNS.get(given, 'empty')}.",
            help=_HELP.get(next(reversed(route), ""), help),
            address=self.root.at(*route),
        )

    def _types(self, route: Route) -> set[str]:
        """Return the JSON types that a value at a place of the document may have."""
        kinds = (node.get("type", ()) for node in self._nodes(route))
        return {kind for told in kinds for kind in ([told] if isinstance(told, str) else told)}

    def _keys(self, route: Route) -> set[str]:
        """Return the keys that a mapping at a place of the document may have."""
        return {key for node in self._nodes(route) for key in node.get("properties", {})}

    def _nodes(self, route: Route) -> list[JSONSchema]:
        """Return the schemas that a value at a place of the document may follow, one for each arm of a union."""
        nodes = list(_arms(self.schema, self.schema))
        for step in route:
            nodes = [
                arm for node in nodes for child in _children(node, step) for arm in _arms(child, self.schema)
            ]
        return nodes


_HELP: Final[dict[str | int, str]] = {
    "window": "Write hot, a duration such as 14d or 12mo, or {from: 2026-01-01, to: 2026-02-01}.",
}
"""What to write for keys whose values have forms that their types do not tell."""


def _bad_value(detail: str, help: str, address: Address) -> Diagnostic:
    return Diagnostic(code="schema.bad-value", summary="Bad value", detail=detail, help=help, address=address)


def _bad_name(name: str, pattern: str, address: Address) -> Diagnostic:
    likely = (re.sub(r"[^a-z0-9]+", joint, name.casefold()).strip(joint) for joint in "-_")
    better = next((word for word in likely if re.fullmatch(pattern, word)), None)
    return Diagnostic(
        code="schema.bad-name",
        summary="Bad name",
        detail=f"{_show(name)} is not of the form {pattern}.",
        help=f'Write, for example, "{better}".' if better else "Write it in that form.",
        address=address,
    )


def _show(value: JSON) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f'"{text[:60]}…"' if len(text) > 60 else f'"{text}"'


def _type(value: JSON) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


# JSON Schemas


@cache
def json_schema(model: type[Document]) -> JSONSchema:
    """Return the JSON Schema of a document model."""
    return model.model_json_schema()


def _arms(node: JSONSchema, root: JSONSchema) -> Iterator[JSONSchema]:
    if "$ref" in node:
        yield from _arms(root["$defs"][node["$ref"].rsplit("/", 1)[1]], root)
    elif "properties" not in node and ("anyOf" in node or "oneOf" in node):
        for arm in (*node.get("anyOf", ()), *node.get("oneOf", ())):
            yield from _arms(arm, root)
    else:
        yield node


def _children(node: JSONSchema, step: str | int) -> Iterator[JSONSchema]:
    if isinstance(step, int):
        if "items" in node:
            yield node["items"]
    elif step in node.get("properties", {}):
        yield node["properties"][step]
    elif isinstance(node.get("additionalProperties"), dict):
        yield node["additionalProperties"]
    else:
        yield from node.get("patternProperties", {}).values()
