"""Queries of policies: resource, window and options, checked against the descriptor."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from auditor.compiler.filters import Split, compile_filter
from auditor.model.diagnostic import Checked, Diagnostic, did_you_mean
from auditor.model.instant import Duration, format_instant, parse_instant
from auditor.model.policy import Between, Last, Query
from auditor.model.query import CompiledQuery, Pushdown, WindowRequest
from auditor.model.resource import Catalogue, Option, ResourceKind
from auditor.model.source import Address
from auditor.model.value import Values


def compile_query(
    query: Query,
    values: Values,
    address: Address,
    *,
    catalogue: Catalogue,
    pushdown: Pushdown,
    accept_values: Mapping[str, tuple[str, ...]],
) -> Checked[CompiledQuery]:
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
    window, problems = _window(query, kind, address)
    options, more = _options(query, kind, address)
    problems += more
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
    split = Split()
    if query.where is not None:
        split, more = compile_filter(
            query.where,
            kind,
            values,
            address.at("where"),
            pushdown=pushdown,
            accept_values=accept_values,
        )
        problems += more
    compiled = CompiledQuery(
        resource=kind.kind,
        window=window,
        include_partial=query.include_partial,
        options=options,
        where=split.where,
        pushed=split.pushed,
        residual=split.residual,
    )
    return Checked(None if problems else compiled, tuple(problems))


def _window(
    query: Query, kind: ResourceKind, address: Address
) -> tuple[WindowRequest | None, list[Diagnostic]]:
    here = address.at("window")
    if kind.window is None:
        if query.window is None:
            return None, []
        return None, [
            _bad_window(f'"{kind.kind}" shows what is there now.', "Remove the window.", here.key())
        ]
    if query.window is None:
        hint = "Add window: hot, a duration such as window: 14d, or window: {from: …, to: …}."
        return None, [
            Diagnostic(
                code="policy.window-missing",
                summary="Window missing",
                detail=f'"{kind.kind}" is read for a window of time, and none is given.',
                help=hint,
                address=address.key(),
            )
        ]
    match query.window:
        case "hot":
            return _hot(kind, here)
        case str(text):
            return _last(Last.model_construct(last=text), here, here)
        case Last() as last:
            return _last(last, here.at("last"), here.at("timezone"))
        case Between() as between:
            return _between(between, here)
    raise AssertionError(query.window)


def _hot(kind: ResourceKind, here: Address) -> tuple[WindowRequest | None, list[Diagnostic]]:
    if kind.retention is None:
        detail = f'"{kind.kind}" has no hot span: no limit of age is known.'
        return None, [_bad_window(detail, "Give a duration, such as window: 30d.", here)]
    return WindowRequest(hot=True), []


def _last(last: Last, here: Address, zone: Address) -> tuple[WindowRequest | None, list[Diagnostic]]:
    try:
        Duration.parse(last.last)
    except ValueError as error:
        return None, [_bad_window(f"{error}.", "Write hot, 24h, 14d, 12mo, or {from: …, to: …}.", here)]
    try:
        ZoneInfo(last.timezone)
    except (KeyError, ValueError, OSError):
        detail = f'There is no time zone "{last.timezone}".'
        return None, [_bad_window(detail, "Use an IANA name such as Europe/Berlin or UTC.", zone)]
    return WindowRequest(last=last.last, align=last.align, timezone=last.timezone), []


def _between(between: Between, here: Address) -> tuple[WindowRequest | None, list[Diagnostic]]:
    problems = []
    instants = []
    for step, text in (("from", between.start), ("to", between.end)):
        try:
            instants.append(parse_instant(text))
        except ValueError as error:
            problems.append(
                _bad_window(f"{error}.", "Write it as 2026-11-21T09:00:00Z or 2026-11-21.", here.at(step))
            )
    if problems:
        return None, problems
    start, end = instants
    if start >= end:
        detail = "The window is empty: its end is not after its start (the end is not part of a window)."
        return None, [_bad_window(detail, 'To include a whole last day, write the next day as "to".', here)]
    return WindowRequest(start=format_instant(start), end=format_instant(end)), []


def _bad_window(detail: str, help: str, address: Address) -> Diagnostic:
    return Diagnostic(
        code="policy.bad-window", summary="Bad window", detail=detail, help=help, address=address
    )


def _options(
    query: Query, kind: ResourceKind, address: Address
) -> tuple[dict[str, str | int], list[Diagnostic]]:
    problems = []
    options: dict[str, str | int] = {name: option.default for name, option in kind.options.items()}
    for name, given in query.options.items():
        option = kind.options.get(name)
        if option is None:
            names = {*kind.options, *Query.model_fields}
            problems.append(
                Diagnostic(
                    code="policy.unknown-option",
                    summary="Unknown option",
                    detail=f'"{name}" is no key of a query on "{kind.kind}".',
                    help=did_you_mean(name, names),
                    address=address.at(name).key(),
                )
            )
            continue
        value = option.aliases.get(str(given), given)
        if problem := _bad_option(option, given, value):
            problems.append(
                Diagnostic(
                    code="policy.bad-option",
                    summary="Bad option",
                    detail=f"{given!r} is no {name} of {kind.kind}.",
                    help=problem,
                    address=address.at(name),
                )
            )
        elif isinstance(value, str | int):
            options[name] = value
    return options, problems


def _bad_option(option: Option, given: object, value: object) -> str:
    """Return what to do instead of a bad value, or an empty text for a good one."""
    if str(given) in option.refused:
        return option.refused[str(given)]
    if option.type == "integer":
        low, high = option.minimum, option.maximum
        if isinstance(value, int) and not isinstance(value, bool):
            if (low is None or value >= low) and (high is None or value <= high):
                return ""
            return f"It must be from {low} to {high}."
        return f"It must be a whole number from {low} to {high}: {option.summary}"
    if isinstance(value, str) and (not option.values or value in option.values):
        return ""
    return did_you_mean(str(value), option.values) or f"Use one of {', '.join(option.values)}."
