"""Events whose number and nature a test may rely on: what a policy should find, and what should not break it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from auditor.simulator import script
from auditor.simulator.cast import ODDITIES, Cast, Happening, Named, digest, uuid
from auditor.simulator.script import Deed

VICTIM: Final = 1
"""Number of the user whose password is tried again and again."""
BURST: Final = 60
"""Failed password checks of one user, nine seconds apart."""
_BURST_NEEDS: Final = 1000  # events; in a smaller log the burst would be most of it

_DELETE: Final = Deed("APPLICATION.DELETED", 0, "administrator", "APPLICATION", "Deleted Application {name}")
_GRANT: Final = Deed(
    "ROLE_ASSIGNMENT.CREATED", 0, "administrator", "USER", "Created role assignment '{id}' {grant}"
)
_DRAWN: Final = {deed.action: deed for deed in script.DEEDS}
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Planted:
    """What was planted: the records, and the fields of `Facts` that tell of them."""

    records: tuple[Mapping[str, Any], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seed:
    """One event to plant, `days` before now; `fact` is the field of `Facts` that will hold its identifier."""

    fact: str
    days: float
    deed: Deed
    target: Named
    client: Named | None = None
    user: Named | None = None
    grant: str = ""
    odd: int | None = None


def plant(key: object, cast: Cast, organization_id: str, now_ms: int, events: int) -> Planted:
    """Return the first `events` of a fixed list of events, all within 30 days before now."""
    seeds = [*_deletions(key, cast), *_grants(cast, organization_id), *_oddities(cast)]
    if events >= _BURST_NEEDS:
        seeds += _burst(cast)
    records: list[Mapping[str, Any]] = []
    found: dict[str, list[str]] = {}
    for number, seed in enumerate(seeds[:events]):
        bits = digest(key, number)
        happening = Happening(
            ms=now_ms - int(seed.days * _DAY_MS),
            deed=seed.deed,
            bits=bits if seed.odd is None else f"{bits[:110]}{seed.odd:03x}{bits[113:]}",
            target=seed.target,
            client=seed.client,
            user=seed.user,
            grant=seed.grant,
            plain=seed.odd is None,
        )
        records.append(cast.event(happening))
        found.setdefault(seed.fact, []).append(records[-1]["id"])
        if seed.grant and seed.user == seed.target:
            found.setdefault("self_grants", []).append(records[-1]["id"])
    facts: dict[str, Any] = {
        fact: tuple(ids) for fact, ids in found.items() if fact not in {*ODDITIES, "burst"}
    }
    facts["oddities"] = {name: found[name][0] for name in ODDITIES if name in found}
    facts["sprayed_user_id"] = cast.user(VICTIM).id if "burst" in found else ""
    return Planted(tuple(records), facts)


def _deletions(key: object, cast: Cast) -> Iterator[_Seed]:
    console, *workers = cast.admin_clients
    others = cast.other_clients

    def deletion(fact: str, days: float, name: str, client: Named | None, user: Named | None = None) -> _Seed:
        application = Named(uuid(digest(key, "application", days)), name)
        return _Seed(fact=fact, days=days, deed=_DELETE, target=application, client=client, user=user)

    for days, name, client in zip((0.9, 5.6, 11.2), script.HOSTILE_NAMES, others[1:4], strict=False):
        yield deletion("deletions_by_other_clients", days, name, client)
    yield deletion("deletions_without_client", 3.4, "Orphan", None)
    for days, name in zip((0.3, 1.7, 4.1, 6.3, 8.5, 12.9), script.THINGS, strict=False):
        yield deletion("deletions_by_admin_clients", days, name, console, cast.administrators[0])
    for days, worker in zip((2.8, 10.4), workers, strict=True):
        yield deletion("deletions_by_admin_clients", days, "Preview", worker)
    for days, client in ((17.5, console), (24.2, others[3])):
        yield deletion("deletions_aged_out", days, "Forgotten", client)


def _grants(cast: Cast, organization_id: str) -> Iterator[_Seed]:
    console, (boss, deputy, *_) = cast.admin_clients[0], cast.administrators
    grant = f"for role '{script.ORGANIZATION_ADMIN}' scoped for ORGANIZATION '{organization_id}'"
    for days, target in ((2.1, deputy), (7.7, boss)):
        yield _Seed(
            fact="organization_admin_grants",
            days=days,
            deed=_GRANT,
            target=target,
            client=console,
            user=boss,
            grant=grant,
        )


def _oddities(cast: Cast) -> Iterator[_Seed]:
    for number, (name, odd) in enumerate(ODDITIES.items()):
        user = cast.user(number)
        yield _Seed(
            fact=name,
            days=1.1 + number,
            deed=_DRAWN["USER.ACCESS_ALLOWED"],
            target=user,
            client=cast.portals[0],
            user=user,
            odd=odd.start,
        )


def _burst(cast: Cast) -> Iterator[_Seed]:
    victim = cast.user(VICTIM)
    for second in range(0, BURST * 9, 9):
        yield _Seed(
            fact="burst", days=3.2 - second / 86_400, deed=_DRAWN[script.SIGN_ON_FAILED], target=victim
        )
    yield _Seed(fact="burst", days=3.2 - BURST * 9 / 86_400, deed=_DRAWN["USER.LOCKED"], target=victim)
