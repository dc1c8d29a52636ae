"""What every stage says in the same words."""

from __future__ import annotations


def quantity(number: int, noun: str) -> str:
    """Return `1 record`, `2 records`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
