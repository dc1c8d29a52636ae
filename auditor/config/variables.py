"""
Variables of packs: declared, given in several places, typed, and validated.

The later place wins: default, the project's entry of the pack, the environment, `AUDITOR_VAR_name`,
`auditor.vars.yaml`, `*.auto.vars.yaml` in the order of names, then `--var-file` and `--var` in the order of the
command line. A name that no pack declares is a mistake wherever it stands: a misspelt one would leave a
default in force without a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from auditor import jmes
from auditor.config import yaml
from auditor.config.files import exists
from auditor.config.request import AUTOMATIC_FILES, PROJECT_FILE, VARIABLES_FILE, Reading, Request
from auditor.model.diagnostic import Diagnostic, Mistake, did_you_mean
from auditor.model.instant import Duration, format_instant, parse_instant
from auditor.model.policy import Variable
from auditor.model.project import ProjectFile
from auditor.model.source import Address
from auditor.model.value import JSON, Value

ENVIRONMENT_PREFIX: Final = "AUDITOR_VAR_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """
    A value given for a variable.

    `pack` is None where every pack that declares the name takes it; `environment` is None where every
    environment does. `text` tells that the value comes as text (an environment variable, `--var`) and is
    read by the variable's type.
    """

    name: str
    value: JSON
    origin: str
    pack: str | None = None
    environment: str | None = None
    text: bool = False
    address: Address | None = None


def read_given(document: ProjectFile | None, request: Request, reading: Reading) -> list[Given]:
    """Return the values of all places but the packs' entries, in rising precedence."""
    given: list[Given] = []
    for name, environment in (document.environments if document else {}).items():
        address = Address(file=PROJECT_FILE).at("environments", name, "variables")
        given += _from_mapping(environment.variables, PROJECT_FILE, address, environment=name)
    given += _from_environ(request.environ)
    automatic = sorted(path for path in reading.folder.glob(AUTOMATIC_FILES) if path.name[0] != ".")
    for path in (reading.folder / VARIABLES_FILE, *automatic):
        if exists(path):
            given += _from_file(path, path.name, reading)
    for option, text in request.variables:
        if option == "--var-file":
            given += _from_file(reading.folder / text, text, reading, trusted=True)
        else:
            given += _from_option(text, reading)
    return given


def _from_environ(environ: Mapping[str, str]) -> Iterator[Given]:
    for key, value in sorted(environ.items()):
        if key.startswith(ENVIRONMENT_PREFIX):
            yield Given(name=key.removeprefix(ENVIRONMENT_PREFIX), value=value, origin=key, text=True)


def _from_mapping(
    data: Mapping[str, JSON], origin: str, address: Address, environment: str | None = None
) -> Iterator[Given]:
    """Yield the variables of a mapping whose keys are `name` or `pack.name`; the latter win over the former."""
    for key, value in sorted(data.items(), key=lambda entry: "." in entry[0]):
        pack, name = _split(key)
        yield Given(
            name=name, value=value, origin=origin, pack=pack, environment=environment, address=address.at(key)
        )


def _from_file(path: Path, file: str, reading: Reading, *, trusted: bool = False) -> Iterator[Given]:
    text = reading.text(path, file, trusted=trusted)
    if text is None:
        return
    loaded = yaml.load(text, file)
    reading.problems += loaded.diagnostics
    if isinstance(loaded.value, dict):
        yield from _from_mapping(loaded.value, file, Address(file=file))
    elif loaded.value is not None:
        reading.problem(
            "schema.wrong-type",
            "Wrong type",
            "A file of variables is a mapping from names to values.",
            help='Write "name: value" on each line.',
            address=Address(file=file),
        )


def _from_option(text: str, reading: Reading) -> Iterator[Given]:
    key, equals, value = text.partition("=")
    pack, name = _split(key)
    if equals and name:
        yield Given(name=name, value=value, origin="--var", pack=pack, text=True)
        return
    # What follows the name may be a secret.
    begin = re.match(r"[\w.-]*", text)
    reading.problem(
        "variable.bad-option",
        "Bad option",
        f'"{begin[0] if begin else ""}…" is not of the form name=value or PACK.name=value.',
        help="Write, for example, --var license_cap=10000.",
        subject="--var",
    )


def _split(key: str) -> tuple[str | None, str]:
    pack, dot, name = key.rpartition(".")
    return (pack, name) if dot else (None, key)


def undeclared(given: Iterable[Given], declared: Mapping[str, Iterable[str]]) -> Iterator[Diagnostic]:
    """Yield a mistake for each value whose name no pack declares (*declared*: names by pack)."""
    everywhere = {name for names in declared.values() for name in names}
    for item in given:
        names = everywhere if item.pack is None else set(declared.get(item.pack, ()))
        if item.name in names:
            continue
        if item.pack is not None and item.pack not in declared:
            detail = f'No pack "{item.pack}" is selected.'
            hint = did_you_mean(item.pack, declared)
        else:
            detail = f'No selected pack declares a variable "{item.name}".'
            hint = did_you_mean(item.name, names)
        yield Diagnostic(
            code="variable.undeclared",
            summary="Undeclared variable",
            detail=detail,
            help=hint or "Remove it.",
            address=item.address and item.address.key(),
            subject="" if item.address else item.origin,
        )


def resolve(
    pack: str,
    declared: Mapping[str, tuple[Variable, Address]],
    given: Iterable[Given],
    environment: str,
) -> tuple[dict[str, Value], list[Diagnostic]]:
    """
    Return the values of one pack's variables in one environment, by `var.NAME`, and what is wrong with them.

    *given* is in rising precedence. A variable without any value is a mistake that says how to give one.
    """
    values: dict[str, Value] = {}
    problems: list[Diagnostic] = []
    relevant = [g for g in given if g.pack in (None, pack) and g.environment in (None, environment)]
    for name, (variable, address) in declared.items():
        last = next((g for g in reversed(relevant) if g.name == name), None)
        if last is None and not variable.required:
            last = Given(
                name=name, value=variable.default, origin="default", pack=pack, address=address.at("default")
            )
        found = _value(variable, last) if last else _not_given(pack, name, variable, address)
        holds = _holds(variable, found, address)
        problems += [problem for problem in (found, holds) if isinstance(problem, Diagnostic)]
        if isinstance(found, Value):
            values[f"var.{name}"] = found
    return values, problems


def _value(variable: Variable, given: Given) -> Value | Diagnostic:
    try:
        raw = _from_text(variable.type, given.value) if given.text else given.value
        return Value(convert(variable.type, raw), sensitive=variable.sensitive, origin=given.origin)
    except ValueError as error:
        shown = "" if variable.sensitive else f": {error}"
        return Diagnostic(
            code="variable.wrong-type",
            summary="Wrong type",
            detail=f'"{given.name}" must be of the type {variable.type}{shown}.',
            help=f"Write a value such as {_example(variable)}."
            if given.address
            else _how_to_give(given.name, variable),
            address=given.address,
            subject="" if given.address else given.origin,
        )


def convert(type_name: str, value: JSON) -> JSON:
    """
    Return a value as its type has it: a duration as seconds, a timestamp as an ISO instant in UTC.

    Raises:
        ValueError: the value is not of the type.
    """
    if match := re.fullmatch(r"(list|map)\((.*)\)", type_name):
        outer, inner = match.groups()
        if outer == "list" and isinstance(value, list):
            return [convert(inner, item) for item in value]
        if outer == "map" and isinstance(value, dict):
            return {key: convert(inner, item) for key, item in value.items()}
        raise ValueError(f"{_show(value)} is no {outer}")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match type_name:
        case "string" if isinstance(value, str):
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "integer" if is_number and isinstance(value, int):
            return value
        case "number" if is_number:
            return value
        case "duration" if isinstance(value, str):
            duration = Duration.parse(value)
            if duration.months:
                raise ValueError("months have no fixed length; write days")
            return int(duration.seconds) if duration.seconds == int(duration.seconds) else duration.seconds
        case "timestamp" if isinstance(value, str):
            return format_instant(parse_instant(value))
    raise ValueError(f"{_show(value)} is no {type_name}")


def _from_text(type_name: str, text: str) -> JSON:
    try:
        text.encode()
    except UnicodeEncodeError:  # how Python hands on bytes of the command line or the environment
        raise ValueError("it is not UTF-8") from None
    if type_name in ("string", "duration", "timestamp"):
        return text
    loaded = yaml.load(text, "value")
    if loaded.diagnostics:
        raise ValueError(f"{_show(text)} can not be read as YAML")
    return loaded.value


def _holds(variable: Variable, found: Value | Diagnostic, address: Address) -> Diagnostic | None:
    """Return what is wrong with a variable's validation, or with its value by that validation."""
    if variable.validation is None:
        return None
    where = address.at("validation", "condition")
    try:
        condition = jmes.compile(jmes.parse(variable.validation.condition))
        if isinstance(found, Diagnostic):
            return None
        result = condition.search(found.json)
    except Mistake as mistake:
        problem = mistake.diagnostic(where)
        return problem.with_(detail="") if variable.sensitive else problem
    if result is True:
        return None
    name = address.route[-1]
    shown = "The value" if found.sensitive else _show(found.json)
    told = "" if result is False else " The condition is neither true nor false."
    return Diagnostic(
        code="variable.invalid",
        summary="Value refused",
        detail=f'{shown} (from {found.origin}) is refused for "{name}": {variable.validation.message}{told}',
        help=_how_to_give(str(name), variable),
        address=where,
    )


def _not_given(pack: str, name: str, variable: Variable, address: Address) -> Diagnostic:
    description = f": {variable.description}" if variable.description else "."
    return Diagnostic(
        code="variable.not-given",
        summary="Variable without a value",
        detail=f'The pack "{pack}" needs "{name}"{description}',
        help=_how_to_give(name, variable),
        address=address.key(),
    )


_EXAMPLES: Final = {
    "string": "text",
    "integer": "100",
    "number": "0.5",
    "boolean": "true",
    "duration": "15m",
    "timestamp": "2026-01-01T00:00:00Z",
}


def _example(variable: Variable) -> str:
    return _EXAMPLES.get(variable.type, "[…]" if variable.type.startswith("list") else "{…}")


def _how_to_give(name: str, variable: Variable) -> str:
    return (
        f"Give it as --var '{name}={_example(variable)}', as {name} in {VARIABLES_FILE}, "
        f"or as the environment variable {ENVIRONMENT_PREFIX}{name}."
    )


def _show(value: JSON) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
