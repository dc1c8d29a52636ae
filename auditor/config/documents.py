"""Documents that people write: from plain data to a frozen model, with every mistake as a diagnostic."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from auditor.config import yaml
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
    if loaded.value is None and not loaded.diagnostics:
        empty = Diagnostic(
            code="schema.empty",
            summary="Empty document",
            detail="The file holds nothing but comments or white space.",
            help='Begin with "version: 1".',
            address=Address(file=file),
        )
        return Checked(None, (empty,))
    if loaded.value is None:
        return Checked(None, loaded.diagnostics)
    checked = validate(model, loaded.value, file)
    blamed = {diagnostic.location.line for diagnostic in loaded.diagnostics if diagnostic.location}
    # A value that YAML already refused is not blamed a second time for not being there.
    located = tuple(at(diagnostic, text) for diagnostic in checked.diagnostics)
    fresh = tuple(d for d in located if d.location is None or d.location.line not in blamed)
    diagnostics = loaded.diagnostics + fresh
    return Checked(None if diagnostics else checked.value, diagnostics)


def validate(model: type[D], data: JSON, file: str, route: Route = ()) -> Checked[D]:
    """Validate plain data as a document; `route` is where the data stands in its file."""
    try:
        return Checked(model.model_validate(data))
    except ValidationError as error:
        found = (
            _diagnostic(model, data, details, file, route) for details in error.errors(include_url=False)
        )
        return Checked(None, tuple(found))


def at(diagnostic: Diagnostic, text: str) -> Diagnostic:
    """Return a diagnostic with its location in the text of its file, and the help that only the text gives."""
    if diagnostic.location is not None or diagnostic.address is None:
        return diagnostic
    changes: dict[str, Any] = {"location": yaml.locate(diagnostic.address, text)}
    if diagnostic.code in _MAYBE_TRAPS and (trap := yaml.quoted_form(diagnostic.address, text)):
        changes["help"] = trap
    return diagnostic.with_(**changes)


_MAYBE_TRAPS: Final = {"schema.wrong-type", "schema.unknown-key"}

_TYPE_NAMES: Final = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
}


def _diagnostic(
    model: type[Document], data: JSON, details: ErrorDetails, file: str, route: Route
) -> Diagnostic:
    kind, location, value = details["type"], tuple(details["loc"]), details["input"]
    address = Address(file=file, route=(*route, *location))
    name = _last_key(data, location)
    if kind == "extra_forbidden":
        name = str(location[-1])
        return Diagnostic(
            code="schema.unknown-key",
            summary="Unknown key",
            detail=f'"{name}" is no key here.',
            help=_call_in_flow(name) or did_you_mean(name, _known_keys(model, location[:-1])),
            address=address.key(),
        )
    if kind == "missing":
        parent = Address(file=file, route=(*route, *location[:-1]))
        return Diagnostic(
            code="schema.missing-key",
            summary="Missing key",
            detail=f'The key "{location[-1]}" is needed here.',
            help=f'Add "{location[-1]}: …".',
            address=parent.key() if parent.route else parent,
        )
    if kind in _TYPE_NAMES:
        return Diagnostic(
            code="schema.wrong-type",
            summary="Wrong type",
            detail=f'"{name}" must be {_TYPE_NAMES[kind]}, not {_kind(value)}.',
            help=_type_help(kind, value),
            address=address,
        )
    if kind == "literal_error":
        expected = str(details.get("ctx", {}).get("expected", ""))
        words = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
        return Diagnostic(
            code="schema.bad-value",
            summary="Bad value",
            detail=f'{_show(value)} is no value of "{name}".',
            help=did_you_mean(str(value), words) or f"Use one of {', '.join(words)}.",
            address=address,
        )
    if kind == "string_pattern_mismatch":
        return Diagnostic(
            code="schema.bad-name",
            summary="Bad name",
            detail=f"{_show(value)} is not of the form {details.get('ctx', {}).get('pattern', '')}.",
            help="Use lower-case letters, digits, hyphens, underscores and dots.",
            address=address.key() if location[-1:] == ("[key]",) else address,
        )
    message = details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return Diagnostic(
        code="schema.bad-value",
        summary="Bad value",
        detail=f"{message[:1].upper()}{message[1:]}.",
        address=address,
    )


def _last_key(data: JSON, location: Route) -> str:
    """Return the last key of a route that the document has; pydantic's routes also hold tags of unions."""
    name = "the document"
    for step in location:
        if isinstance(data, dict) and step in data:
            name, data = str(step), data[step]
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
    return name


def _call_in_flow(name: str) -> str:
    """A flow mapping cuts a call at its commas: `{every: contains(a, b)}` has a key `b)`."""
    if name.endswith(")") or name.count("(") != name.count(")"):
        return "Inside { } a comma ends a value: put the whole expression in quotes."
    return ""


def _type_help(kind: str, value: object) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'Put it in quotes: "{str(value).lower() if isinstance(value, bool) else value}".'
    if kind == "string_type" and isinstance(value, list | dict):
        return "An expression in brackets or braces must stand in quotes."
    return ""


def _kind(value: object) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return f"the truth value {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {_show(value)}"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _show(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return f'"{text[:60]}…"' if len(text) > 60 else f'"{text}"'


@cache
def json_schema(model: type[Document]) -> JSONSchema:
    """Return the JSON Schema of a document model."""
    return model.model_json_schema()


def _known_keys(model: type[Document], location: tuple[str | int, ...]) -> set[str]:
    """Return the keys that a mapping at a place of the document may have."""
    root = json_schema(model)
    nodes = list(_branches(root, root))
    for step in location:
        deeper = [child for node in nodes for child in _children(node, step)]
        # Steps that the schema does not have are tags of unions: they lead nowhere else.
        nodes = [branch for child in deeper for branch in _branches(child, root)] or nodes
    return {key for node in nodes for key in node.get("properties", {})}


def _branches(node: JSONSchema, root: JSONSchema) -> Iterator[JSONSchema]:
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        yield from _branches(root["$defs"][name], root)
        return
    yield node
    for keyword in ("anyOf", "oneOf", "allOf"):
        for branch in node.get(keyword, ()):
            yield from _branches(branch, root)


def _children(node: JSONSchema, step: str | int) -> Iterator[JSONSchema]:
    if isinstance(step, int):
        if isinstance(node.get("items"), dict):
            yield node["items"]
        return
    if step in node.get("properties", {}):
        yield node["properties"][step]
    else:
        for keyword in ("additionalProperties", "patternProperties"):
            child = node.get(keyword)
            if isinstance(child, dict):
                yield from child.values() if keyword == "patternProperties" else (child,)
