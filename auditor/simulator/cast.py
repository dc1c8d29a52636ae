"""Who and what there is in a simulated environment, and the events they cause, in the shape of real ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from random import Random
from typing import Any, Final

from auditor.simulator import script
from auditor.simulator.rhythm import from_ms

# Links inside of records name a host that can not exist, so that no test and no demo ever reaches a tenant.
RECORDS_URL: Final = "https://api.pingone.example/v1"

# Of 4096 events, which have which oddity of captured logs. Events that make an identity active keep their
# resources, so that counts can be derived from the log, and so do events that name no actor.
ODDITIES: Final = {
    "webhook_form": range(8),  # no createdAt, correlationId, _links or description of the action
    "without_resources": range(8, 20),
    "without_created_at": range(20, 40),
    "second_resource": range(40, 80),
    "empty_population": range(80, 208),
}

_ADMINISTRATORS: Final = 6
_POPULATIONS: Final = 4
_THINGS: Final = 12
_PRODUCT: Final = "pingone-simulator"


def digest(*key: object) -> str:
    """Return 128 hexadecimal digits that depend on nothing but the key."""
    return blake2b(repr((_PRODUCT, *key)).encode()).hexdigest()


def rng(*key: object) -> Random:
    """Return a random generator that depends on nothing but the key."""
    return Random(digest(*key))  # noqa: S311  # it must be repeatable, and guards nothing


def uuid(digits: str) -> str:
    """Return 32 hexadecimal digits in the form of a version 4 UUID."""
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"


@dataclass(frozen=True, slots=True)
class Named:
    """Something with an identifier and a name: a client, a user, a thing; `population` only for users."""

    id: str
    name: str
    population: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """
    One event before it is written down.

    `bits` are 128 hexadecimal digits from which every detail is taken. `client` and `user` are the actors;
    both may be absent. `grant` says which role is granted to an administrator, and where. `plain` leaves
    out the oddities that real logs have now and then.
    """

    ms: int
    deed: script.Deed
    bits: str
    target: Named
    client: Named | None = None
    user: Named | None = None
    grant: str = ""
    plain: bool = False


class Cast:
    """
    The clients, users, populations and things of one environment.

    Everything follows from the key; users are numbered from 0 and made when asked for.
    """

    def __init__(self, key: object, environment_id: str, users: int) -> None:
        self.environment_id = environment_id
        self.users = users
        self.populations = [uuid(digest(key, "population", n)) for n in range(_POPULATIONS)]
        self.admin_clients = [Named(script.ADMIN_CONSOLE, script.ADMIN_CONSOLE)]
        self.admin_clients += [Named(uuid(digest(key, name)), name) for name in script.ADMIN_WORKERS]
        self.other_clients = [Named(name, name) for name in script.OTHER_WORD_CLIENTS]
        self.other_clients += [Named(uuid(digest(key, name)), name) for name in script.OTHER_WORKERS]
        self.portals = [Named(uuid(digest(key, name)), name) for name in script.PORTALS]
        self.administrators = [
            Named(uuid(digest(key, "administrator", n)), f"{script.GIVEN_NAMES[n]}.admin@example.com", "")
            for n in range(_ADMINISTRATORS)
        ]
        self.key = key
        self._url = f"{RECORDS_URL}/environments/{environment_id}"
        self.user = lru_cache(maxsize=users)(self._user)
        self.thing = lru_cache(maxsize=None)(self._thing)

    def _user(self, number: int) -> Named:
        bits = digest(self.key, "user", number)
        population = self.populations[int(bits[32:34], 16) % _POPULATIONS]
        # Low numbers are the busy users, so the hostile names are seen in every log.
        if number % 3 == 0 and number < 3 * len(script.HOSTILE_NAMES):
            return Named(uuid(bits), script.HOSTILE_NAMES[number // 3], population)
        given = script.GIVEN_NAMES[int(bits[34:36], 16) % len(script.GIVEN_NAMES)]
        family = script.FAMILY_NAMES[int(bits[36:38], 16) % len(script.FAMILY_NAMES)]
        return Named(uuid(bits), f"{given}.{family}{number}@example.com", population)

    def _thing(self, kind: str, number: int) -> Named:
        if kind == "ENVIRONMENT":
            return Named(self.environment_id, "This environment")
        if kind == "MEMBER_OF_GROUP":
            return self.thing("GROUP", number)
        if kind == "POPULATION":
            return Named(self.populations[number % _POPULATIONS], script.THINGS[number])
        return Named(uuid(digest(self.key, kind, number)), script.THINGS[number])

    def happening(self, ms: int, deed: script.Deed, user: int, bits: str) -> Happening:
        """Return what happened, with its actors and its target chosen by the bits."""
        of_user = deed.resource == "USER"
        target = self.user(user) if of_user else self.thing(deed.resource, _pick(bits, 96, _THINGS))
        if deed.doer == "nobody":
            return Happening(ms=ms, deed=deed, bits=bits, target=target)
        if deed.doer == "visitor":
            client = self.portals[_pick(bits, 98, len(self.portals))]
            return Happening(ms=ms, deed=deed, bits=bits, target=target, client=client, user=self.user(user))
        grant = ""
        if deed.action.startswith("ROLE_ASSIGNMENT"):
            role = script.LESSER_ROLES[_pick(bits, 102, len(script.LESSER_ROLES))]
            grant = f"for role '{role}' scoped for ENVIRONMENT '{self.environment_id}'"
            target = self.administrators[_pick(bits, 104, _ADMINISTRATORS)]
        choice = _pick(bits, 106, 20)
        workers = self.admin_clients[1:] if choice < 18 else self.other_clients
        at_console = choice < 15
        return Happening(
            ms=ms,
            deed=deed,
            bits=bits,
            target=target,
            client=self.admin_clients[0] if at_console else workers[_pick(bits, 108, len(workers))],
            user=self.administrators[_pick(bits, 100, _ADMINISTRATORS)] if at_console else None,
            grant=grant,
        )

    def event(self, happening: Happening) -> dict[str, Any]:
        """
        Return an event as `/activities` shows it.

        Administrators have an empty population, and password checks no actors, as in captured logs; what
        else is odd there is in `ODDITIES`.
        """
        deed, bits, target = happening.deed, happening.bits, happening.target
        odd = -1 if happening.plain else int(bits[110:113], 16)  # of 4096
        event_id = uuid(bits)
        event: dict[str, Any] = {
            "_links": {"self": {"href": f"{self._url}/activities/{event_id}"}},
            "id": event_id,
            "recordedAt": _text(happening.ms),
        }
        lag_ms = 13 + int(bits[113:115], 16) % 12 + (460 if bits[115] == "0" else 0)
        event["createdAt"] = _text(happening.ms + lag_ms)
        event["correlationId"] = uuid(bits[32:64])
        event["internalCorrelation"] = {"transactionId": uuid(bits[64:96])}
        actors = self._actors(happening, odd)
        if actors:
            event["actors"] = actors
        title = deed.action.replace("_", " ").replace(".", " ").title()
        event["action"] = {"type": deed.action, "description": title}
        if odd not in ODDITIES["without_resources"] or deed.doer == "nobody" or deed.action in script.ACTIVE:
            event["resources"] = self._resources(happening, odd)
        event["result"] = {
            "status": "FAILED" if deed.action in script.UNSUCCESSFUL else "SUCCESS",
            "description": deed.text.format(name=target.name, id=target.id, grant=happening.grant),
        }
        if deed.doer == "visitor" and bits[116] < "b":
            four, six = f"198.51.100.{_pick(bits, 117, 254) + 1}", f"2001:db8::{bits[117:121]}"
            event["source"] = {
                "ipAddress": four if bits[119] < "e" else six,
                "userAgent": script.USER_AGENTS[_pick(bits, 121, len(script.USER_AGENTS))],
            }
        if happening.grant:
            event["tags"] = ["adminIdentityEvent"]
        if odd in ODDITIES["webhook_form"]:
            del event["createdAt"], event["correlationId"], event["_links"], event["action"]["description"]
            event["_embedded"] = {}
        elif odd in ODDITIES["without_created_at"]:
            del event["createdAt"]
        return event

    def _actors(self, happening: Happening, odd: int) -> dict[str, Any]:
        actors: dict[str, Any] = {}
        client, user = happening.client, happening.user
        reference = {"id": self.environment_id}
        if client:
            actors["client"] = {"id": client.id, "name": client.name, "type": "CLIENT"}
            if client.id != client.name:  # the product's own clients have words for ids, and no home
                actors["client"] |= {
                    "environment": reference,
                    "href": f"{self._url}/applications/{client.id}",
                }
        if user:
            known = user.population and odd not in ODDITIES["empty_population"]
            population = {"id": user.population} if known else {}
            actors["user"] = {
                "id": user.id,
                "name": user.name,
                "environment": reference,
                "population": population,
                "href": f"{self._url}/users/{user.id}",
                "type": "USER",
            }
        return actors

    def _resources(self, happening: Happening, odd: int) -> list[dict[str, Any]]:
        kind = happening.deed.resource
        resources = [self._resource(kind, happening.target)]
        if kind == "MEMBER_OF_GROUP" or odd in ODDITIES["second_resource"]:
            resources.append(self._resource("USER", self.user(odd % min(self.users, 512))))
        return resources

    def _resource(self, kind: str, target: Named) -> dict[str, Any]:
        resource: dict[str, Any] = {
            "type": kind,
            "id": target.id,
            "name": target.name,
            "environment": {"id": self.environment_id},
            "href": f"{self._url}/{script.PATHS[kind]}/{target.id}" if script.PATHS[kind] else self._url,
        }
        if target.population:
            resource["population"] = {"id": target.population}
        return resource


def _pick(bits: str, place: int, among: int) -> int:
    return int(bits[place : place + 2], 16) % among


def _text(ms: int) -> str:
    days, rest = divmod(ms, 86_400_000)
    seconds, rest = divmod(rest, 1000)
    return f"{_day(days)}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}Z"


@lru_cache(maxsize=64)
def _day(days: int) -> str:
    return f"{from_ms(days * 86_400_000):%Y-%m-%d}"
