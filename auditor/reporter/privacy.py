"""Reports without personal data: one function before every format, so that none can forget it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from auditor.model.resource import value_at
from auditor.model.value import JSON
from auditor.model.verdict import PERSONAL, Outcome, Privacy, Report, Verdict, Violation

_PSEUDONYM_CHARACTERS: Final = 12
"""Of 16 values each: among a million people, two share a pseudonym once in five hundred reports."""

Choose: TypeAlias = Callable[[str, str], str]
"""What stands for a personal text: made from the text and from the identifier that `ids` shows."""


def private(report: Report, privacy: Privacy, key: bytes = b"") -> Report:
    """
    Return a report as it is told at a level of privacy.

    `full` changes nothing of what was found; `ids` has an identifier for each personal field, or says that it
    is personal; `pseudonym` has the same word for the same text wherever *key* is the same (HMAC-SHA256, RFC 2104), and
    nobody without the key can tell whose it is. But at `full`, no violation of the result knows more than it shows.

    Raises:
        ValueError: pseudonyms are asked for without a key.
    """
    if privacy == "pseudonym" and not key:
        raise ValueError("pseudonyms need a key")
    choose: dict[Privacy, Choose | None] = {
        "full": None,
        "ids": lambda _, identifier: identifier,
        "pseudonym": lambda text, _: pseudonym(text, key),
    }
    if (chosen := choose[privacy]) is None:
        return replace(report, privacy=privacy)
    verdicts = tuple(_verdict(verdict, chosen) for verdict in report.verdicts)
    return replace(report, privacy=privacy, verdicts=verdicts)


def pseudonym(text: str, key: bytes) -> str:
    """Return the word that stands for a text: `p-` and twelve hexadecimal digits."""
    digest = hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"p-{digest.hex()[:_PSEUDONYM_CHARACTERS]}"


def _verdict(verdict: Verdict, choose: Choose) -> Verdict:
    if not verdict.bound_personal and all(
        found.redacted is None for outcome in verdict.outcomes for found in outcome.violations
    ):
        return verdict
    bound = {
        name: _all(value, choose) if name in verdict.bound_personal else value
        for name, value in verdict.bound.items()
    }
    outcomes = tuple(_outcome(outcome, choose) for outcome in verdict.outcomes)
    return replace(verdict, bound=bound, outcomes=outcomes)


def _outcome(outcome: Outcome, choose: Choose) -> Outcome:
    return replace(outcome, violations=tuple(_violation(found, choose) for found in outcome.violations))


def _violation(found: Violation, choose: Choose) -> Violation:
    without = found.redacted
    if without is None:
        return found
    fingerprint = found.fingerprint
    if found.identity != without.identity:
        # It is made from the identity, and whoever suspects a name could try it.
        fingerprint = choose(fingerprint, fingerprint)
    # An expression can make a link of anything.
    link = value_at(without.item, "_links.self.href") if isinstance(without.item, dict) else None
    return replace(
        found,
        link=found.link if link == found.link else None,
        fingerprint=fingerprint,
        identity=_chosen(found.identity, without.identity, choose),
        message="".join(_chosen(text, told, choose) for text, told in without.message),
        item=_walked(found.item, without.item, choose),
        values={path: _walked(found.values[path], told, choose) for path, told in without.values.items()},
        redacted=None,
    )


def anonymous(found: Violation) -> tuple[str, str]:
    """Return the identity and the message of a violation without personal data."""
    without = found.redacted
    if without is None:
        return found.identity, found.message
    return without.identity, "".join(told for _, told in without.message)


def _chosen(text: str, told: str, choose: Choose) -> str:
    return text if text == told else choose(text, told)


def _walked(value: JSON, told: JSON, choose: Choose) -> JSON:
    """Return a value with what stands for each part of it in which the value told instead is another."""
    if value is told:
        return value
    if isinstance(value, dict) and isinstance(told, dict):
        pairs = zip(value.items(), told.items(), strict=True)
        return {
            _chosen(name, other, choose): _walked(inner, without, choose)
            for (name, inner), (other, without) in pairs
        }
    if isinstance(value, list) and isinstance(told, list):
        return [_walked(inner, without, choose) for inner, without in zip(value, told, strict=True)]
    return value if value == told else choose(_text(value), _text(told))


def _all(value: JSON, choose: Choose) -> JSON:
    """Return a value with what stands for each text and number in it."""
    if isinstance(value, list):
        return [_all(inner, choose) for inner in value]
    return value if value is None else choose(_text(value), PERSONAL)


def _text(value: JSON) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):  # deeper, or a number of more digits, than Python writes
        return PERSONAL
