"""Collections that each record of another kind has of its own: the roles of every user, read user by user."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from auditor.fetcher.answers import Found, record
from auditor.fetcher.completeness import Part
from auditor.fetcher.failures import DRIFT, FetchError
from auditor.fetcher.progress import Progress
from auditor.model.evidence import Page, QueryEnd
from auditor.model.resource import ForEach, value_at
from auditor.model.value import JSON

if TYPE_CHECKING:
    from auditor.fetcher.reading import Reading

_STEP: Final = re.compile(r"(?!\.+$)[^/]+")
"""What may stand between two slashes of a path and lead nowhere else."""


class Holders:
    """
    The records of another kind, of which each has a collection of its own.

    `reading` makes the reading of the other kind, given what takes its pages.
    """

    def __init__(
        self, rule: ForEach, reading: Callable[[Callable[[Page], Awaitable[None]]], Reading]
    ) -> None:
        self.rule = rule
        self._reading = reading
        self._found: list[Mapping[str, JSON]] | None = None

    async def found(self, progress: Progress) -> list[Mapping[str, JSON]]:
        """
        Read all records of the other kind, once; what that takes is added to *progress*.

        Raises:
            FetchError: not all of them could be read.
        """
        if self._found is None:
            self._found = await self._records(progress, lambda reading: reading.read())
        return self._found

    async def first(self, progress: Progress) -> Mapping[str, JSON] | None:
        """
        Return one record of the other kind, None where there is none; what that takes is added to *progress*.

        Raises:
            FetchError: their first page could not be read.
        """
        found = await self._records(progress, lambda reading: reading.probe(hand_over=True))
        return found[0] if found else None

    async def _records(
        self, progress: Progress, read: Callable[[Reading], Awaitable[QueryEnd]]
    ) -> list[Mapping[str, JSON]]:
        found: list[Mapping[str, JSON]] = []

        async def take(page: Page) -> None:
            found.extend(page.records)

        end = await read(self._reading(take))
        progress.effort.requests += end.requests
        progress.effort.retries += end.retries
        progress.effort.waited_s += end.waited_s
        progress.correlation_ids.extend(end.correlation_ids)
        progress.warnings.extend(end.warnings)
        if end.failure is not None:
            reason = (
                f"{self.rule.resource}, of which each is to be read, came to no end: {end.failure.reason}"
            )
            raise FetchError(end.failure.code, reason, end.failure.help)
        return found

    def path(self, path: str, part: Part) -> str:
        """
        Return the path of one holder's collection.

        Raises:
            FetchError: what names the holder is no step of a path; nothing is sent there.
        """
        name = value_at(part.holder or {}, self.rule.field)
        if not isinstance(name, str) or not _STEP.fullmatch(name):
            raise FetchError(
                "evidence.drift",
                f"A record of {self.rule.resource} has no {self.rule.field} that could stand in a path.",
                DRIFT,
            )
        return path.replace("{each}", quote(name, safe=""))

    def explained(self, error: FetchError) -> FetchError:
        """Return what a collection was refused with, and why that may be: its holder may be gone by now."""
        failure = error.failure
        if failure.code != "query.not-found":
            return error
        return FetchError(
            failure.code,
            failure.reason,
            f"If it was deleted after {self.rule.resource} were listed, run again. {failure.help}",
        )

    def named(self, records: Sequence[Found], part: Part) -> list[Found]:
        """Return records with whose they are."""
        holder: dict[str, JSON] = {}
        for path in self.rule.keep:
            value = value_at(part.holder or {}, path)
            if value is not None:
                _put(holder, path.split("."), value)
        return [
            {**record(found, number), self.rule.name: holder} for number, found in enumerate(records, start=1)
        ]


def _put(target: dict[str, JSON], steps: list[str], value: JSON) -> None:
    for step in steps[:-1]:
        inner: dict[str, JSON] = target.setdefault(step, {})
        target = inner
    target[steps[-1]] = value
