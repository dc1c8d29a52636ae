"""Values that records suggest for variables: a file of variables in which everything is commented out."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from auditor.model.instant import format_instant
from auditor.model.value import JSON
from auditor.model.wording import quantity
from auditor.reporter.neutral import one_line, visible

VALUES: Final = 50
"""Values of a list that are written out; a list that has to name more people than that names nobody."""

_WIDTH: Final = 110
_PAIR: Final = re.compile(r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A value that records hold, with the evidence: how many records, from when to when, under which name."""

    value: JSON
    records: int
    first: datetime | None
    last: datetime | None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """
    What records suggest for a variable of a pack.

    `present` is its value now, None where it has to be given; `checks` are those that would let pass what they
    fail now; `seen` holds what a list would have to hold too, the most frequent first, or the one value that a
    number would have to be, and nothing where a variable has to be given and the records tell nothing of it. For
    some of the records a value of one of `instead` would do as well; for some, each of `beside` must allow one too.
    """

    pack: str
    variable: str
    description: str
    present: JSON
    checks: tuple[str, ...]
    seen: tuple[Seen, ...]
    is_list: bool
    instead: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestions:
    """What records suggest; `records` says where they come from: `KIND=FILE`, or `run ID`."""

    records: tuple[str, ...]
    found: tuple[Suggestion, ...]


def render(suggestions: Suggestions) -> str:
    """
    Write suggestions as YAML that gives no variable a value until somebody removes the marks of comments.

    Shape: `##` before what is said, `#` before what can be taken. For each variable what it means, what taking a
    value would allow, and the lines to take, with the evidence behind each value. Text of records can not leave
    its line.
    """
    source = one_line(", ".join(suggestions.records))
    told = f"Suggested by {source}. Nothing here holds until you remove the `# ` before it."
    lines = [*_comment(told)]
    if any(suggestion.seen for suggestion in suggestions.found):
        lines += _comment(
            "Every value is what the records show, not what is right: ask of each whether it may do what the check "
            "is about. Whatever you take will pass from then on."
        )
    else:
        lines += _comment("No check fails on what a variable could allow, so there is nothing to suggest.")
    for suggestion in suggestions.found:
        lines += ["", *_suggestion(suggestion)]
    return "".join(f"{line}\n" for line in lines)


def document(suggestions: Suggestions) -> dict[str, Any]:
    """Return suggestions as JSON values."""
    return {
        "format_version": "1.0",
        "records": list(suggestions.records),
        "suggestions": [
            {
                "pack": each.pack,
                "variable": each.variable,
                "present": each.present,
                "checks": list(each.checks),
                "instead": list(each.instead),
                "beside": list(each.beside),
                "seen": [
                    {
                        "value": seen.value,
                        "name": seen.name,
                        "records": seen.records,
                        "first": format_instant(seen.first) if seen.first else None,
                        "last": format_instant(seen.last) if seen.last else None,
                    }
                    for seen in each.seen
                ],
            }
            for each in suggestions.found
        ],
    }


def _suggestion(suggestion: Suggestion) -> Iterator[str]:
    name = f"{suggestion.pack}.{suggestion.variable}"
    yield from _comment(f"{name}: {one_line(suggestion.description)}")
    if not suggestion.seen:
        yield f"# {name}:  # has to be given, and the records tell nothing of it"
        return
    yield from _comment(f"A value that you take passes {', '.join(suggestion.checks)}.")
    if suggestion.instead:
        yield from _comment(
            f"For some of the records, taking it in {' or '.join(suggestion.instead)} is enough."
        )
    if suggestion.beside:
        yield from _comment(
            f"For some of the records, {' and '.join(suggestion.beside)} must allow a value as well."
        )
    if not suggestion.is_list:
        (seen,) = suggestion.seen
        now = "it has to be given" if suggestion.present is None else f"now {_plain(suggestion.present)}"
        yield f"# {name}: {_plain(seen.value)}  # {now}; {_evidence(seen)}"
        return
    yield f"# {name}:"
    for value in suggestion.present or ():
        yield f"#   - {_plain(value)}  # as now"
    for seen in suggestion.seen[:VALUES]:
        yield f"#   - {_plain(seen.value)}  # {_evidence(seen)}"
    more = len(suggestion.seen) - VALUES
    if more > 0:
        yield from _comment(f"{more} more, each in no more records than these: see --json.")


def _evidence(seen: Seen) -> str:
    named = f"{one_line(seen.name)}, " if seen.name else ""
    count = quantity(seen.records, "record")
    if seen.first is None or seen.last is None:
        return f"{named}{count}"
    if seen.first == seen.last:
        return f"{named}{count}, at {format_instant(seen.first)}"
    return f"{named}{count}, from {format_instant(seen.first)} to {format_instant(seen.last)}"


def _plain(value: JSON) -> str:
    """Return a value as JSON in one line, which is YAML too, once surrogate pairs are whole (YAML 1.2.2, 5.7)."""
    text = visible(json.dumps(value, ensure_ascii=False))
    return _PAIR.sub(_whole, text)


def _whole(pair: re.Match[str]) -> str:
    return f"\\U{ord(json.loads(chr(34) + pair[0] + chr(34))):08x}"


def _comment(text: str) -> Iterator[str]:
    wrapped = textwrap.wrap(visible(text), _WIDTH, break_long_words=False, break_on_hyphens=False)
    yield from (f"## {line}" for line in wrapped)
