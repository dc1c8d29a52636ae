"""Which records were seen: in memory up to a bound, and beyond it in a temporary database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

IN_MEMORY: Final = 20_000
"""Records that are known in memory: some four megabytes."""

_AT_ONCE: Final = 900  # parameters of one statement: SQLite before 3.32 takes 999


@dataclass(slots=True)
class Seen:
    """
    Digests of records by what they are known by, however many there are.

    The database is SQLite's own temporary one: it lies in memory as far as its cache goes, then in a file
    without a name that ends with the process.
    """

    _recent: dict[bytes, bytes] = field(default_factory=dict)
    _database: sqlite3.Connection | None = None

    def among(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the digests of those that were seen, of some records by their keys."""
        recent = self._recent
        found = {key: recent[key] for key in keys if key in recent}
        if self._database is not None:
            for some in _batches([key for key in keys if key not in found]):
                places = ",".join("?" * len(some))
                statement = f"SELECT key, digest FROM seen WHERE key IN ({places})"  # noqa: S608  # only question marks
                found.update(self._database.execute(statement, some))
        return found

    def add(self, digests: Mapping[bytes, bytes]) -> None:
        """
        Take in records, by key, that were not seen.

        Raises:
            sqlite3.Error: there is no room for them.
        """
        self._recent.update(digests)
        if len(self._recent) > IN_MEMORY:
            database = self._opened()
            with database:
                # In the order of the keys, which begin with the instant: neighbours go to one page.
                database.executemany("INSERT INTO seen VALUES (?, ?)", sorted(self._recent.items()))
            self._recent.clear()

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect("", check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = OFF")
            self._database.execute("PRAGMA synchronous = OFF")
            self._database.execute("PRAGMA cache_size = -4096")
            self._database.execute("CREATE TABLE seen (key BLOB PRIMARY KEY, digest BLOB) WITHOUT ROWID")
        return self._database


def _batches(keys: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(keys), _AT_ONCE):
        yield keys[start : start + _AT_ONCE]
