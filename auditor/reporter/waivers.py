"""Waivers for a terminal: how each stands, and what a change of them does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from auditor.model.waiver import Waiver, WaiverState
from auditor.model.wording import quantity
from auditor.reporter.neutral import one_line
from auditor.reporter.page import Page

Effect = Literal["added", "extended", "changed", "narrowed", "removed"]
"""What a change does to what a waiver covers; `changed` leaves that as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    How a waiver stands on a day.

    `days_left` counts the days until it has expired, the day itself included; absent where it never does, or where
    it does not hold.
    `matched` counts what it was about in an earlier run, where one is given.
    """

    waiver: Waiver
    state: WaiverState
    days_left: int | None = None
    expires_soon: bool = False
    matched: int | None = None

    @property
    def words(self) -> str:
        """The state as people read it."""
        return "expiring" if self.expires_soon else self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of a waiver, and by which keys: `expires: 2026-11-30 → 2026-12-31`."""

    name: str
    effect: Effect
    details: tuple[str, ...] = ()


_STYLES: Final = {
    "active": "green",
    "expiring": "bold yellow",
    "expired": "bold red",
    "unused": "yellow",
    "not begun": "",
    "added": "bold yellow",
    "extended": "bold yellow",
    "changed": "",
    "narrowed": "green",
    "removed": "green",
}


def render(standings: Sequence[Standing], *, width: int, color: bool) -> str:
    """Write how waivers stand: each with its state, its end and what it covers; one line that sums up."""
    page = Page(width, color=color)
    if not standings:
        page.put("There are no waivers. To add one: auditor waiver add --help")
        return str(page)
    for standing in standings:
        waiver = standing.waiver
        page.put(
            one_line(f"{waiver.name} · {_until(standing)}"),
            head=f"  {standing.words:10}  ",
            head_style=_STYLES[standing.words],
        )
        page.facts(
            (
                ("covers", one_line(f"{waiver.check} in {', '.join(waiver.environments)}{_which(waiver)}")),
                ("reason", one_line(waiver.reason)),
                ("approved by", one_line(f"{waiver.approved_by} ({waiver.ticket})")),
                ("last run", "" if standing.matched is None else quantity(standing.matched, "violation")),
            )
        )
    page.blank()
    counts = [(word, sum(one.words == word for one in standings)) for word in _STYLES]
    told = ", ".join(f"{count} {word}" for word, count in counts if count)
    page.put(f"{quantity(len(standings), 'waiver')}: {told}", "bold")
    return str(page)


def render_changes(changes: Iterable[Change], *, since: str, width: int, color: bool) -> str:
    """Write what changes of waivers *since* a revision; a line each, and what it does below."""
    page = Page(width, color=color)
    changes = tuple(changes)
    page.put(one_line(f"Since {since}:" if changes else f"Since {since} no waiver has changed."), "bold")
    for change in changes:
        page.put(one_line(change.name), head=f"  {change.effect:8}  ", head_style=_STYLES[change.effect])
        for detail in change.details:
            page.put(one_line(detail), "dim", head=" " * 14)
    return str(page)


def _until(standing: Standing) -> str:
    waiver = standing.waiver
    if waiver.expires is None:
        return quantity(len(waiver.records), "record")
    if standing.state == "not begun":
        return f"from {waiver.starts} until {waiver.expires}"
    if standing.state == "expired":
        return f"on {waiver.expires}"
    left = quantity(standing.days_left or 0, "day")
    return f"until {waiver.expires}, {left} left"


def _which(waiver: Waiver) -> str:
    where = f", where {waiver.where}" if waiver.where else ""
    return f"{where}, records {', '.join(waiver.records)}" if waiver.records else where
