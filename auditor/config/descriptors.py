"""What must hold of a resource kind beyond its schema: its parts name one another, and must agree."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from auditor.model.diagnostic import did_you_mean
from auditor.model.document import JSONSchema
from auditor.model.instant import Duration
from auditor.model.policy import Query
from auditor.model.resource import Catalogue, Option, ResourceKind, field, fields
from auditor.model.source import Route
from auditor.model.value import JSON


@dataclass(frozen=True, slots=True)
class Flaw:
    """One contradiction in a resource kind: where it stands, what it is, and what to do."""

    route: Route
    detail: str
    help: str = ""


_BASES: Final = {
    "environment": "/environments/{environment_id}",
    "organization": "/organizations/{organization_id}",
    "service": "",
}
_OUTSIDE: Final = ("/environments", "/roles")
"""What belongs to an organization, and is listed by PingOne outside of it."""
_SECRETS: Final = ("secret", "token", "password", "credential", "authorize", "introspect")
"""Last words of PingOne's paths that answer with what no report may hold."""


def refused_path(kind: ResourceKind) -> str:
    """Return why the path of a kind may not be read, or an empty text."""
    base = _BASES[kind.scope]
    if kind.scope == "organization" and kind.path in _OUTSIDE:
        return ""
    below = kind.path.removeprefix(base)
    plain = re.fullmatch(r"(/([A-Za-z0-9][A-Za-z0-9_.-]*|\{each\}))*", below)
    if not kind.path.startswith(base) or not plain or below.count("{each}") != bool(kind.for_each):
        each = ", one of them {each}" if kind.for_each else ""
        return f'"{kind.path}" must be "{base}" and plain names below it{each}.'
    if kind.scope == "service" and below.casefold().startswith(("/environments/", "/organizations/")):
        return f'"{kind.path}" belongs to an environment or an organization: name that as the scope.'
    if any(step.casefold().rstrip("s") in _SECRETS for step in below.split("/")):
        return f'"{kind.path}" answers with secrets, tokens or credentials, which are never read.'
    return ""


def lint(kind: ResourceKind) -> Iterator[Flaw]:
    """Yield every contradiction in a resource kind."""
    if problem := schema_problem(kind.item):
        yield Flaw(("item",), problem)
        return
    yield from _record_fields(kind)
    yield from _attributes(kind)
    yield from _shapes(kind)
    yield from _window(kind)
    for name, option in kind.options.items():
        yield from _option(name, option, kind)
    yield from _period(kind)
    yield from _page(kind)
    yield from _facts(kind)


def lint_holders(kind: ResourceKind, catalogue: Catalogue) -> Iterator[Flaw]:
    """Yield what does not fit between a kind and the one of whose records each has a collection of it."""
    rule = kind.for_each
    if rule is None:
        return
    holder = catalogue.get(rule.resource)
    if holder is None:
        detail, hint = f'There is no resource kind "{rule.resource}".', did_you_mean(rule.resource, catalogue)
        yield Flaw(("for_each", "resource"), detail, hint)
        return
    if holder.for_each or holder.window:
        detail = f'"{holder.kind}" is itself read once for each of another kind, or for a window of time.'
        yield Flaw(("for_each", "resource"), detail, "Name a kind that is one collection, without a window.")
    if not _is_required(holder.item, rule.field):
        detail = f'A record of "{holder.kind}" need not have "{rule.field}".'
        yield Flaw(("for_each", "field"), detail, did_you_mean(rule.field, holder.item.get("required", ())))
    for position, path in enumerate(rule.keep):
        if field(holder.item, path) is None:
            yield _unknown_field(("for_each", "keep", position), path, holder)
        elif field(kind.item, f"{rule.name}.{path}") is None:
            detail = f'The item has no field "{rule.name}.{path}", which every record is given.'
            yield Flaw(("for_each", "keep", position), detail, "Add it to the item.")
    if f"{rule.name}.{rule.field}" not in kind.identity:
        detail = f'Records of two of "{holder.kind}" could have one identity.'
        yield Flaw(("identity",), detail, f"Add {rule.name}.{rule.field} to it, and {rule.field} to keep.")


def schema_problem(schema: JSONSchema) -> str:
    """Return why a schema can not be that of a record, or an empty text."""
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"It is no JSON Schema: {error.message[:200]}."
    if schema.get("type") != "object":
        return 'A record is an object: write "type: object".'
    for path, part in _parts(schema, ""):
        if not isinstance(part, dict):
            return f'"{path}" is described by {str(part).casefold()}: write {{}} for a field that may be anything.'
        if "$ref" in part:
            return f'"{path or "item"}" refers to another schema: write it out, or use an alias of YAML.'
    return ""


def _parts(schema: JSON, path: str) -> Iterator[tuple[str, JSON]]:
    """Yield a schema and all below it that describe fields, by dotted path."""
    yield path, schema
    if isinstance(schema, dict):
        for name, child in schema.get("properties", {}).items():
            yield from _parts(child, f"{path}.{name}".lstrip("."))
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict) or (key == "items" and key in schema):
                yield from _parts(schema[key], path)


def _record_fields(kind: ResourceKind) -> Iterator[Flaw]:
    """Fields that every record must have are known, required and single; personal ones are known."""
    single: list[tuple[Route, str]] = [
        *((("identity", position), path) for position, path in enumerate(kind.identity)),
        (("order_key",), kind.order_key),
    ]
    if kind.instant:
        single.append((("instant",), kind.instant))
    if kind.buckets:
        single.append((("buckets", "start"), kind.buckets.start))
        if kind.buckets.end:
            single.append((("buckets", "end"), kind.buckets.end))
    for route, path in single:
        known = field(kind.item, path)
        if known is None:
            yield _unknown_field(route, path, kind)
        elif known[1]:
            yield Flaw(route, f'"{path}" has many values.', "Name a field that has one.")
        elif not _is_required(kind.item, path):
            yield Flaw(route, f'A record need not have "{path}".', "Add it to the item's required fields.")
    for position, path in enumerate(kind.personal):
        if field(kind.item, path) is None:
            yield _unknown_field(("personal", position), path, kind)
    names = {name for name, _, _ in fields(kind.item)}
    for position, path in enumerate(kind.secret):
        if path in names:
            detail = f'The item names "{path}", which no record will show.'
            yield Flaw(("secret", position), detail, "Remove it from the item.")
    if not kind.identity:
        yield Flaw(("identity",), "Nothing tells one record from another.", "Name the identifying fields.")


def _unknown_field(route: Route, path: str, kind: ResourceKind) -> Flaw:
    names = [name for name, _, _ in fields(kind.item)]
    return Flaw(route, f'The item has no field "{path}".', did_you_mean(path, names))


def _is_required(schema: JSONSchema, path: str) -> bool:
    for step in path.split("."):
        if step not in schema.get("required", ()):
            return False
        schema = schema.get("properties", {}).get(step, {})
    return True


_JSON_TYPES: Final = {
    "string": {"string"},
    "instant": {"string"},
    "number": {"integer", "number"},
    "boolean": {"boolean"},
}


def _attributes(kind: ResourceKind) -> Iterator[Flaw]:
    attributes = kind.filter.attributes if kind.filter else {}
    here: Route = ("filter", "attributes")
    for name, attribute in attributes.items():
        if not attribute.operators:
            yield Flaw((*here, name, "operators"), f'"{name}" has no operator.', "Remove the attribute.")
        if attribute.path is not None:
            known = field(kind.item, attribute.path)
            if known is None:
                yield _unknown_field((*here, name, "path"), attribute.path, kind)
            elif known[0].get("type", "any") not in {*_JSON_TYPES[attribute.type], "any"}:
                detail = f'"{name}" compares as {attribute.type}, and its field is {known[0]["type"]}.'
                yield Flaw((*here, name, "type"), detail)
        yield from _repeated((*here, name, "values"), attribute.values)
    # Names are taken in any case (RFC 7644, section 3.4.2.2).
    names = [word for name, a in attributes.items() for word in {w.casefold() for w in (name, *a.aliases)}]
    yield from _repeated(here, names)


def _repeated(route: Route, words: Iterable[str]) -> Iterator[Flaw]:
    for word, count in Counter(words).items():
        if count > 1:
            yield Flaw(route, f'"{word}" stands there {count} times.', "Keep one of them.")


def _shapes(kind: ResourceKind) -> Iterator[Flaw]:
    for position, shape in enumerate(kind.filter.shapes if kind.filter else ()):
        here: Route = ("filter", "shapes", position, "all")
        if not shape.all:
            yield Flaw(here, "The shape compares nothing.", "Remove it.")
        for number, slot in enumerate(shape.all):
            yield from _comparison((*here, number, "attribute"), slot.attribute, "eq", kind)
        yield from _repeated(here, [slot.attribute for slot in shape.all])


def _comparison(route: Route, name: str, operator: str, kind: ResourceKind) -> Iterator[Flaw]:
    attributes = kind.filter.attributes if kind.filter else {}
    if name not in attributes:
        yield Flaw(route, f'The filter has no attribute "{name}".', did_you_mean(name, attributes))
    elif operator not in attributes[name].operators:
        yield Flaw(route, f'"{name}" does not support {operator}.')


def _window(kind: ResourceKind) -> Iterator[Flaw]:
    if kind.window is None:
        if kind.buckets:
            yield Flaw(("buckets",), "Counts of periods are asked for by a window, and there is none.")
        return
    ends = (("start", kind.window.start, ("ge", "gt", "eq")), ("end", kind.window.end, ("lt", "le", "eq")))
    for end, bound, operators in ends:
        if bound is None:
            continue
        yield from _comparison(("window", end, "attribute"), bound.attribute, bound.operator, kind)
        if bound.operator not in operators:
            detail = f"{bound.operator} can not be the {end} of a window."
            yield Flaw(("window", end, "operator"), detail, f"Use one of {', '.join(operators)}.")


def _option(name: str, option: Option, kind: ResourceKind) -> Iterator[Flaw]:
    here: Route = ("options", name)
    if name in Query.model_fields:
        yield Flaw(here, f'"{name}" is a key of every query already.', "Give the option another name.")
    if option.attribute is not None:
        yield from _comparison((*here, "attribute"), option.attribute, "eq", kind)
    if problem := _unfit(option, option.default):
        yield Flaw((*here, "default"), problem)
    for alias, value in option.aliases.items():
        if problem := _unfit(option, value):
            yield Flaw((*here, "aliases", alias), problem)
    yield from _repeated(here, [*option.values, *option.aliases, *option.refused])


def _unfit(option: Option, value: str | int) -> str:
    """Return why an option can not have a value, or an empty text."""
    if isinstance(value, int) != (option.type == "integer"):
        return f'"{value}" is no {option.type}.'
    if isinstance(value, int):
        low, high = option.minimum, option.maximum
        fits = (low is None or value >= low) and (high is None or value <= high)
    else:
        fits = not option.values or value in option.values
    return "" if fits else f'"{value}" is not among the values of the option.'


def _period(kind: ResourceKind) -> Iterator[Flaw]:
    if kind.buckets is None:
        return
    period = kind.buckets.period
    option = kind.options[period.option]
    here: Route = ("buckets", "period")
    if period.unit is not None:
        if option.type != "integer" or option.minimum is None or option.minimum < 1:
            detail = (
                f'A length in units of {period.unit} needs a whole number, and "{period.option}" may be less.'
            )
            yield Flaw((*here, "unit"), detail, "Give the option type: integer and minimum: 1.")
    elif set(period.lengths) != set(option.values):
        unequal = ", ".join(sorted(set(period.lengths) ^ set(option.values)))
        detail = f'Lengths and the values of "{period.option}" differ by: {unequal}.'
        yield Flaw((*here, "lengths"), detail, "Give each value its length.")


def _page(kind: ResourceKind) -> Iterator[Flaw]:
    if kind.page.items is None and (kind.page.limit or kind.page.index or kind.page.count == "items"):
        yield Flaw(("page", "items"), "One object has no pages.", "Remove limit, index and count.")
    if kind.page.index and kind.page.count == "none":
        detail = "Pages that are asked for by place end when all records have come, and nothing counts them."
        yield Flaw(
            ("page", "count"), detail, 'Write count: items, and "total" if the count has another name.'
        )
    if kind.page.index and kind.page.next:
        yield Flaw(
            ("page", "next"), "Pages are asked for by place or by links, not both.", "Write next: null."
        )
    limit = kind.page.limit
    if limit is None:
        return
    here: Route = ("page", "limit")
    sizes: list[tuple[Route, int]] = [((*here, "default"), limit.default)]
    for name, by_value in limit.by_option.items():
        option = kind.options.get(name)
        if option is None:
            hint = did_you_mean(name, kind.options)
            yield Flaw((*here, "by_option", name), f'There is no option "{name}".', hint)
            continue
        for value, size in by_value.items():
            sizes.append(((*here, "by_option", name, value), size))
            if option.values and value not in option.values:
                detail = f'"{value}" is no value of "{name}".'
                yield Flaw((*here, "by_option", name, value), detail, did_you_mean(value, option.values))
    for route, size in sizes:
        if size < limit.minimum or (limit.maximum is not None and size > limit.maximum):
            yield Flaw(route, f"A page of {size} is beyond the limits.")


def _facts(kind: ResourceKind) -> Iterator[Flaw]:
    if kind.post and not kind.filter:
        yield Flaw(("post",), "There is no filter that a POST could carry.", "Remove post.")
    if min(kind.rate.requests, kind.rate.per_s, kind.rate.share) <= 0:
        yield Flaw(("rate",), "A rate is more than zero.")
    if kind.retention and kind.retention.total:
        hot, total = Duration.parse(kind.retention.hot), Duration.parse(kind.retention.total)
        if _days(hot) > _days(total):
            yield Flaw(("retention", "hot"), "More is held at once than in all.")
    for key, given in (("roles", kind.roles), ("sources", kind.sources)):
        if not given:
            yield Flaw((key,), f'"{key}" must not be empty.', "Say where it is told.")


def _days(duration: Duration) -> float:
    return duration.months * 30 + duration.seconds / 86_400
