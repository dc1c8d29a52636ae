"""
Variables of packs: declared, given in several places, typed, and validated.

The later place wins: default, the project's entry of the pack, the environment, `AUDITOR_VAR_name`,
`auditor.vars.yaml`, `*.auto.vars.yaml` in the order of names, then `--var-file` and `--var` in the order of the
command line. A name that no pack declares is a mistake wherever it stands: a misspelt one would leave a
default in force without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from auditor import jmes
from auditor.config import yaml
from auditor.model.diagnostic import Diagnostic, Mistake, did_you_mean
from auditor.model.instant import Duration, format_instant, parse_instant
from auditor.model.policy import Variable
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


def from_environ(environ: Mapping[str, str]) -> list[Given]:
    """Return the variables among the environment variables, in the order of names."""
    return [
        Given(name=key.removeprefix(ENVIRONMENT_PREFIX), value=value, origin=key, text=True)
        for key, value in sorted(environ.items())
        if key.startswith(ENVIRONMENT_PREFIX)
    ]


def from_mapping(data: Mapping[str, JSON], origin: str, **where: Any) -> list[Given]:
    """Return the variables of a mapping whose keys are `name` or `pack.name`."""
    found = []
    for key, value in data.items():
        pack, name = _split(key)
        where_pack = {**where, "pack": pack} if pack else where
        found.append(Given(name=name, value=value, origin=origin, **where_pack))
    return found


def from_option(text: str) -> Given | Diagnostic:
    """Return the variable of an option `--var [PACK.]name=value`."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        return Diagnostic(
            code="variable.bad-option",
            summary="Bad option",
            detail=f'"{text}" is not of the form name=value or PACK.name=value.',
            help="Write, for example, --var license_cap=10000.",
            subject="--var",
        )
    pack, name = _split(key)
    return Given(name=name, value=value, origin="--var", pack=pack, text=True)


def _split(key: str) -> tuple[str | None, str]:
    pack, dot, name = key.rpartition(".")
    return (pack, name) if dot else (None, key)


def undeclared(given: Iterable[Given], declared: Mapping[str, Iterable[str]]) -> list[Diagnostic]:
    """Return a mistake for each value whose name no pack declares (*declared*: names by pack)."""
    everywhere = {name for names in declared.values() for name in names}
    found = []
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
        found.append(
            Diagnostic(
                code="variable.undeclared",
                summary="Undeclared variable",
                detail=detail,
                help=hint or "Remove it.",
                address=item.address,
                subject="" if item.address else item.origin,
            )
        )
    return found


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
        if last is None and variable.required:
            problems.append(_not_given(pack, name, variable, address))
            continue
        origin = last.origin if last else "default"
        where = (last.address if last else address.at("default")) or None
        raw = last.value if last else variable.default
        try:
            if last and last.text:
                raw = _from_text(variable.type, str(raw))
            converted = convert(variable.type, raw)
            value = Value(converted, sensitive=variable.sensitive, origin=origin)
            problem = _invalid(name, variable, converted, address)
        except ValueError as error:
            shown = "" if variable.sensitive else f": {error}"
            problem = Diagnostic(
                code="variable.wrong-type",
                summary="Wrong type",
                detail=f'"{name}" must be of the type {variable.type}{shown}.',
                help=_how_to_give(name, variable),
                address=where,
                subject="" if where else origin,
            )
        else:
            values[f"var.{name}"] = value
        if problem is not None:
            problems.append(problem)
    return values, problems


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
    if type_name in ("string", "duration", "timestamp"):
        return text
    loaded = yaml.load(text, "value")
    if loaded.diagnostics:
        raise ValueError(f"{_show(text)} can not be read")
    return loaded.value


def _invalid(name: str, variable: Variable, value: JSON, address: Address) -> Diagnostic | None:
    if variable.validation is None:
        return None
    where = address.at("validation", "condition")
    try:
        holds = jmes.compile(jmes.parse(variable.validation.condition)).search(value)
    except Mistake as mistake:
        return mistake.diagnostic(where)
    if holds is True:
        return None
    shown = "the value" if variable.sensitive else _show(value)
    return Diagnostic(
        code="variable.invalid",
        summary="Value refused",
        detail=f'{shown} is refused for "{name}": {variable.validation.message}',
        help=_how_to_give(name, variable),
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


def _how_to_give(name: str, variable: Variable) -> str:
    example = _EXAMPLES.get(variable.type, "[…]" if variable.type.startswith("list") else "{…}")
    return (
        f"Give it as --var '{name}={example}', as {name} in auditor.vars.yaml, "
        f"or as the environment variable {ENVIRONMENT_PREFIX}{name}."
    )


def _show(value: JSON) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
