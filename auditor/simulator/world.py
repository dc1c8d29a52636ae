"""The simulated tenant: an organization, its environments, and what happened in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from heapq import merge
from types import MappingProxyType
from typing import Any, Final, Literal, Self

from auditor.model.instant import format_instant
from auditor.simulator.cast import Cast, digest, rng, uuid
from auditor.simulator.directory import Directory
from auditor.simulator.log import Entry, GeneratedLog, ListedLog, Log
from auditor.simulator.organization import Organization
from auditor.simulator.planted import VICTIM, Planted, plant
from auditor.simulator.rhythm import Rhythm, from_ms, to_ms
from auditor.simulator.tally import History, SignOns, Tally

HOT_SPAN: Final = timedelta(days=14)
"""How far back `/activities` reads at once (admin documentation, "Audit parameters")."""

_ENVIRONMENT: Final = "/environments/{environment_id}"
_SANDBOX_PART: Final = 10  # the sandbox has a tenth of production's events


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What is true of a world, for tests and demos; `dataclasses.asdict` of it is JSON.

    Instants are texts in UTC. Everything but the identifiers at the head speaks of the default environment.
    The hot span is the 14 days before `now`. What stands under "planted" is in no other event, and empty
    in a world made from given records.
    """

    seed: int | None
    events: int
    now: str
    organization_id: str
    environment_id: str
    environments: dict[str, str]
    """Identifiers by name."""

    hot_from: str
    hot_events: int
    hot_actions: dict[str, int]
    """Events of the hot span by action type, the commonest first."""
    hot_active_identities: int

    admin_client_ids: tuple[str, ...]
    other_client_ids: tuple[str, ...]
    """Clients that administer too, and should not."""
    surge_month: str
    """The calendar month (`YYYY-MM`) with half as much again as usual."""

    # Planted: identifiers of events.
    deletions_by_admin_clients: tuple[str, ...] = ()
    deletions_by_other_clients: tuple[str, ...] = ()
    deletions_without_client: tuple[str, ...] = ()
    deletions_aged_out: tuple[str, ...] = ()
    """Older than the hot span."""
    organization_admin_grants: tuple[str, ...] = ()
    self_grants: tuple[str, ...] = ()
    """Those of the grants that an administrator gave themselves."""
    sprayed_user_id: str = ""
    """A user with 60 failed password checks within ten minutes; empty in worlds of under 1000 events."""
    oddities: dict[str, str] = field(default_factory=dict)
    """Events of odd but real shape, by what is odd."""

    weaknesses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of users, applications, keys and other things: identifiers of those with a weakness, by its name."""


class Environment:
    """One environment: its audit log and its counts. Nothing is made before it is asked for."""

    def __init__(
        self,
        environment_id: str,
        name: str,
        kind: Literal["PRODUCTION", "SANDBOX"],
        logs: Sequence[Log],
        history: History | None = None,
    ) -> None:
        self.id = environment_id
        self.name = name
        self.type = kind
        self.directory: Directory | None = None
        """Its people and configuration; absent in a world made from given records."""
        self._logs = logs
        self._history = history

    @property
    def size(self) -> int:
        """Number of events in the log, whatever their age."""
        return sum(log.events for log in self._logs)

    @cached_property
    def _tally(self) -> Tally:
        return Tally(self._logs, self._history)

    def events(self, low_ms: int, high_ms: int, actions: frozenset[str] | None = None) -> Iterator[Entry]:
        """
        Yield the events with `low_ms <= ms <= high_ms`, newest first.

        Bounds are milliseconds since 1970. Where `actions` is given, events of other types are left out.
        """
        parts = [log.newest_first(low_ms, high_ms, actions) for log in self._logs]
        return merge(*parts, key=lambda entry: (-entry.ms, entry.serial))

    def active_identities(self, start: datetime, end: datetime) -> int:
        """Return how many different identities were active in a half-open period."""
        return self._tally.active(start, end)

    def last_active(self) -> Mapping[int, int]:
        """Return when each user was last active in the log, in milliseconds since 1970, by the user's number."""
        return self._tally.last_active()

    def identities(self, at_ms: int) -> int:
        """Return how many users there are at an instant."""
        return self.directory.identities(at_ms) if self.directory else 0

    def sign_ons(self, start: datetime, end: datetime) -> SignOns:
        """Return the sign-ons and password resets of a half-open period."""
        return self._tally.sign_ons(start, end)

    def action_counts(self, since_ms: int) -> Counter[str]:
        """Return how many events of each type there were from an instant on."""
        moments = (moment for log in self._logs for moment in log.moments())
        return Counter(action for ms, action, _ in moments if ms >= since_ms)


class World:
    """
    A tenant. The same arguments give the same tenant, to the byte.

    `environment_id` is the default, a production environment, in which the worker application lives.
    """

    def __init__(
        self,
        *,
        seed: int | None,
        now: datetime,
        organization_id: str,
        environments: Sequence[Environment],
        cast: Cast | None = None,
        planted: Planted | None = None,
        surge_month: str = "",
        created: datetime | None = None,
        collections: Mapping[str, Sequence[Mapping[str, Any]]] = MappingProxyType({}),
    ) -> None:
        self.seed = seed
        self.now = now
        self.organization_id = organization_id
        self.environments = tuple(environments)
        self.environment_id = self.environments[0].id
        self._cast = cast
        self._planted = planted or Planted()
        self._surge_month = surge_month
        self._collections = collections
        self._organization = (
            Organization(organization_id, self.environments, created, now) if created else None
        )

    @classmethod
    def generate(cls, seed: int, events: int, now: datetime) -> Self:
        """
        Return a tenant with so many events in its default environment, over the 30 days before `now`.

        A second environment, a sandbox, has a tenth as many. Events are made when they are read: a million
        of them cost no time here and little memory later. Counts reach two years back.

        Raises:
            ValueError: the number is negative, or `now` has no offset.
        """
        if events < 0:
            raise ValueError(f"{events} events: a log can not have fewer than none")
        if now.tzinfo is None:
            raise ValueError("now must have an offset from UTC")
        rhythm = Rhythm(rng(seed, "rhythm"), now)
        organization_id = uuid(digest(seed, "organization"))
        production_id = uuid(digest(seed, "production"))
        cast = Cast((seed, "production"), production_id, _users(events))
        planted = plant((seed, "planted"), cast, organization_id, rhythm.now_ms, events)
        sandbox = Cast((seed, "sandbox"), uuid(digest(seed, "sandbox")), _users(events // _SANDBOX_PART))
        few = events // _SANDBOX_PART
        environments = [
            _environment("Production", "PRODUCTION", cast, rhythm, events, planted, organization_id),
            _environment("Sandbox", "SANDBOX", sandbox, rhythm, few, Planted(), organization_id),
        ]
        return cls(
            seed=seed,
            now=now,
            organization_id=organization_id,
            environments=environments,
            cast=cast,
            planted=planted,
            surge_month=rhythm.surge_month,
            created=from_ms(rhythm.created_ms),
        )

    @classmethod
    def from_records(
        cls,
        records: Sequence[Mapping[str, Any]],
        *,
        environment_id: str,
        now: datetime,
        collections: Mapping[str, Sequence[Mapping[str, Any]]] = MappingProxyType({}),
    ) -> Self:
        """
        Return a tenant of one environment whose log is these activity events, as they are.

        `collections` are what else it holds, by path with names in braces, as they are too.

        Identifiers may repeat and fields be missing. Counts are derived from the events; before them there
        was nobody.

        Raises:
            ValueError: a record has no `recordedAt` that is an instant, so that no range could hold it.
        """
        environment = Environment(environment_id, "Given", "PRODUCTION", [ListedLog(records)])
        organization_id = uuid(digest(environment_id, "organization"))
        return cls(
            seed=None,
            now=now,
            organization_id=organization_id,
            environments=[environment],
            collections=collections,
        )

    def collection(
        self, path: str, identifiers: Mapping[str, str], parameters: Mapping[str, str]
    ) -> Sequence[Mapping[str, Any]] | None:
        """
        Return the records of a collection; None where this tenant has none at such a path.

        `path` holds names in braces, `identifiers` what stands there: `environment_id`, `organization_id`, and
        `each` for a record of the collection before it. `parameters` are those of the request.
        """
        if path in self._collections:
            return self._collections[path]
        environment = self.environment(identifiers.get("environment_id", ""))
        if environment is not None and environment.directory is not None:
            return environment.directory.collection(
                path.removeprefix(_ENVIRONMENT), identifiers.get("each", "")
            )
        if self._organization is None or "environment_id" in identifiers:
            return None
        return self._organization.collection(path, identifiers.get("each", ""), parameters)

    def serves(self, path: str) -> bool:
        """Tell whether this tenant has a collection at a path with names in braces."""
        directory = self.environments[0].directory
        return bool(
            path in self._collections
            or (directory and directory.serves(path.removeprefix(_ENVIRONMENT)))
            or (self._organization and self._organization.serves(path))
        )

    def environment(self, environment_id: str) -> Environment | None:
        """Return an environment by identifier; None where there is none."""
        return next((e for e in self.environments if e.id == environment_id), None)

    @cached_property
    def facts(self) -> Facts:
        """What is true of this world. Counting reads the whole log once: seconds, for a million events."""
        hot_from = self.now - HOT_SPAN
        environment = self.environments[0]
        hot = environment.action_counts(to_ms(hot_from))
        clients = (self._cast.admin_clients, self._cast.other_clients) if self._cast else ((), ())
        return Facts(
            seed=self.seed,
            events=environment.size,
            now=format_instant(self.now),
            organization_id=self.organization_id,
            environment_id=self.environment_id,
            environments={e.name: e.id for e in self.environments},
            hot_from=format_instant(hot_from),
            hot_events=hot.total(),
            hot_actions=dict(sorted(hot.items(), key=lambda item: (-item[1], item[0]))),
            hot_active_identities=environment.active_identities(hot_from, self.now),
            admin_client_ids=tuple(client.id for client in clients[0]),
            other_client_ids=tuple(client.id for client in clients[1]),
            surge_month=self._surge_month,
            weaknesses=environment.directory.weaknesses if environment.directory else {},
            **self._planted.facts,
        )


def _users(events: int) -> int:
    return min(20_000, max(40, events // 10))


def _environment(
    name: str,
    kind: Literal["PRODUCTION", "SANDBOX"],
    cast: Cast,
    rhythm: Rhythm,
    events: int,
    planted: Planted,
    organization_id: str,
) -> Environment:
    log = GeneratedLog(cast.key, cast, rhythm, events - len(planted.records))
    # Serials below 0: what is planted stands before what is generated at the same millisecond. Nothing
    # planted makes an identity active, so its users need no numbers among those of the log.
    logs: list[Log] = [log, ListedLog(planted.records, first_serial=-len(planted.records))]
    history = History(rhythm, log, cast.users) if log.events else None
    environment = Environment(cast.environment_id, name, kind, logs, history)
    environment.directory = Directory(
        cast,
        organization_id=organization_id,
        created_ms=rhythm.created_ms,
        now_ms=rhythm.now_ms,
        signed_on=environment.last_active,
        locked_user=VICTIM if planted.facts.get("sprayed_user_id") else None,
    )
    return environment
