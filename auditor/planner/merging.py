"""Which checks share a query: as few queries as find every record, and none that reads more for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from auditor import scim
from auditor.model.instant import Duration, Window
from auditor.model.query import CompiledCheck, CompiledQuery, Pushdown
from auditor.model.resource import ResourceKind

EVERYTHING = scim.Constant(True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """
    One query of one check, with its window in instants.

    `number` counts the demands of a program, `name` is that of the query in the check, `where` its filter. `window`
    is where its records can lie, `own` the check's window, which may be longer.
    """

    number: int
    check: CompiledCheck
    name: str
    query: CompiledQuery
    where: scim.Filter
    window: Window | None
    own: Window | None

    @property
    def kind(self) -> tuple[object, ...]:
        """What demands must have in common to be served by one query, but for window and filter."""
        options = tuple(sorted(self.query.options.items()))
        return (self.check.environment, self.query.resource, options, self.query.include_partial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """
    Demands that one query serves.

    `pushed` is the filter that the server evaluates: every record that one of them is about satisfies it.
    """

    demands: tuple[Demand, ...]
    window: Window | None
    pushed: scim.Filter

    @property
    def parts(self) -> tuple[scim.Filter, ...]:
        """What would be asked for the demands one by one, each once."""
        texts = dict.fromkeys(demand.query.pushed for demand in self.demands)
        return tuple(scim.parse(text) if text else EVERYTHING for text in texts)


def alone(demands: Iterable[Demand]) -> list[Shared]:
    """Return each demand with a query of its own."""
    return [_shared([demand], _pushed(demand)) for demand in demands]


def shared(
    demands: Sequence[Demand],
    kind: ResourceKind,
    pushdown: Pushdown,
    *,
    fits: Callable[[scim.Filter], bool],
    is_held: Callable[[Window | None], bool],
) -> list[Shared]:
    """
    Return demands of one kind in groups that share a query.

    Of one window those share whose filters together are still a filter of the endpoint's, and all where one of
    them is about everything. A shorter window joins a longer one where that reads nothing more for it. *fits*
    tells whether a filter can be sent, *is_held* whether the endpoint holds a window: one that ages out must
    not cost a check whose own window does not.
    """

    def pushed(members: Sequence[Demand]) -> scim.Filter:
        return scim.push(scim.any_of(member.where for member in members), kind, pushdown)

    groups: list[Shared] = []
    by_window: dict[Window | None, list[Demand]] = {}
    for demand in demands:
        by_window.setdefault(demand.window, []).append(demand)
    for members in by_window.values():
        groups += _of_one_window(members, pushed, fits)
    longest_first = sorted(groups, key=lambda group: -length(group.window))
    kept: list[Shared] = []
    for group in longest_first:
        for position, host in enumerate(kept):
            if _takes(host, group, pushed, is_held, kind):
                members = sorted((*host.demands, *group.demands), key=lambda demand: demand.number)
                window = span(host.window, group.window, kind, is_held)
                kept[position] = Shared(demands=tuple(members), window=window, pushed=host.pushed)
                break
        else:
            kept.append(group)
    return sorted(kept, key=lambda group: group.demands[0].number)


def _shared(members: Sequence[Demand], pushed: scim.Filter) -> Shared:
    return Shared(demands=tuple(members), window=members[0].window, pushed=pushed)


def _pushed(demand: Demand) -> scim.Filter:
    return scim.parse(demand.query.pushed) if demand.query.pushed else EVERYTHING


def _of_one_window(
    demands: list[Demand],
    pushed: Callable[[Sequence[Demand]], scim.Filter],
    fits: Callable[[scim.Filter], bool],
) -> list[Shared]:
    if any(not demand.query.pushed for demand in demands):
        return [_shared(demands, EVERYTHING)]
    # Mostly all of them can: only else it is looked for how many can, one after another.
    together = pushed(demands)
    if len(demands) > 1 and together != EVERYTHING and fits(together):
        return [_shared(demands, together)]
    groups: list[Shared] = []
    for demand in demands:
        for position, group in enumerate(groups):
            together = pushed([*group.demands, demand])
            if together != EVERYTHING and fits(together):
                groups[position] = _shared([*group.demands, demand], together)
                break
        else:
            groups.append(_shared([demand], _pushed(demand)))
    return groups


def length(window: Window | None) -> float:
    """Return the length of a window in seconds; 0 where there is none."""
    return (window.end - window.start).total_seconds() if window else 0


def _takes(
    host: Shared,
    guest: Shared,
    pushed: Callable[[Sequence[Demand]], scim.Filter],
    is_held: Callable[[Window | None], bool],
    kind: ResourceKind,
) -> bool:
    """Tell whether a query with a longer window finds what another one is for without reading more."""
    if span(host.window, guest.window, kind, is_held) is None:
        return False
    return host.pushed == EVERYTHING or pushed([*host.demands, *guest.demands]) == host.pushed


def span(
    host: Window | None, guest: Window | None, kind: ResourceKind, is_held: Callable[[Window | None], bool]
) -> Window | None:
    """
    Return the window of a query that serves another one too, whose window lies inside; None where it can not.

    `hot` ends before what may still appear, and other windows do not: that little more is no matter. Where the
    records are buckets, the window decides which there are.
    """
    if kind.buckets is not None or host is None or guest is None:
        return host if host == guest else None
    end = Duration.parse(kind.settling).after(host.end) if kind.settling else host.end
    if guest.start < host.start or guest.end > end:
        return None
    joined = Window(host.start, max(host.end, guest.end))
    return joined if is_held(joined) else None
