"""Queries of policies: resource, window and options, checked against the descriptor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditor.compiler.filters import Split, compile_filter
from auditor.compiler.windows import compile_window
from auditor.model.diagnostic import Checked, Diagnostic, did_you_mean
from auditor.model.policy import Query
from auditor.model.query import CompiledQuery, Pushdown
from auditor.model.resource import Catalogue, Option, ResourceKind
from auditor.model.source import Address
from auditor.model.value import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """A compiled query; `values` are the names of the values that its filter was written with."""

    query: CompiledQuery
    values: frozenset[str]


def compile_query(
    query: Query,
    values: Values,
    address: Address,
    *,
    catalogue: Catalogue,
    pushdown: Pushdown,
    accept_values: Mapping[str, tuple[str, ...]],
) -> Checked[Population]:
    """Check one query and split its filter; *address* is that of the query."""
    kind = catalogue.get(query.resource)
    if kind is None:
        unknown = Diagnostic(
            code="policy.unknown-resource",
            summary="Unknown resource",
            detail=f'There is no resource "{query.resource}".',
            help=did_you_mean(query.resource, catalogue) or "See: auditor schema",
            address=address.at("resource"),
        )
        return Checked(None, (unknown,))
    options, problems = _options(query, kind, address)
    # How long a bucket is depends on the options, so windows wait until these are sound.
    window = compile_window(query, kind, None if problems else options, address)
    problems += window.diagnostics
    if query.include_partial and not (kind.buckets and kind.buckets.open_ended):
        problems.append(
            Diagnostic(
                code="policy.unknown-option",
                summary="Unknown option",
                detail=f'"{kind.kind}" has no period that is still running.',
                help="Remove include_partial.",
                address=address.at("include_partial").key(),
            )
        )
    filtered = Checked(Split())
    if query.where is not None:
        filtered = compile_filter(
            query.where,
            kind,
            values,
            address.at("where"),
            pushdown=pushdown,
            accept_values=accept_values,
        )
        problems += filtered.diagnostics
    split = filtered.value
    if problems or split is None:
        return Checked(None, tuple(problems))
    compiled = CompiledQuery(
        resource=kind.kind,
        window=window.value,
        include_partial=query.include_partial,
        options=options,
        where=split.where,
        pushed=split.pushed,
        residual=split.residual,
    )
    return Checked(Population(query=compiled, values=split.values))


def _options(
    query: Query, kind: ResourceKind, address: Address
) -> tuple[dict[str, str | int], list[Diagnostic]]:
    """Return every option of a kind with its value, and what is wrong with those that a query gives."""
    problems = []
    options = {name: option.default for name, option in kind.options.items()}
    for name, given in query.options.items():
        option = kind.options.get(name)
        if option is None:
            problems.append(
                Diagnostic(
                    code="policy.unknown-option",
                    summary="Unknown option",
                    detail=f'"{name}" is no key of a query on "{kind.kind}".',
                    help=did_you_mean(name, {*kind.options, *Query.model_fields}),
                    address=address.at(name).key(),
                )
            )
            continue
        value = option.aliases.get(str(given), given)
        if isinstance(value, str | int) and _is_one(option, value) and str(given) not in option.refused:
            options[name] = value
            continue
        problems.append(
            Diagnostic(
                code="policy.bad-option",
                summary="Bad option",
                detail=f"{given!r} is no {name} of {kind.kind}.",
                help=option.refused.get(str(given)) or _instead(option, given),
                address=address.at(name),
            )
        )
    return options, problems


def _is_one(option: Option, value: str | int) -> bool:
    """Tell whether a value is one that an option takes; a boolean is no number."""
    if option.type == "string":
        return isinstance(value, str) and (not option.values or value in option.values)
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return (option.minimum is None or value >= option.minimum) and (
        option.maximum is None or value <= option.maximum
    )


def _instead(option: Option, given: object) -> str:
    if option.type == "string":
        return did_you_mean(str(given), option.values) or "It must be a text."
    bounds = [
        f"{word} {bound}"
        for word, bound in (("from", option.minimum), ("to", option.maximum))
        if bound is not None
    ]
    return " ".join(["It must be a whole number", *bounds]) + f". {option.summary}"
