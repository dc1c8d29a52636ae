"""The answers of a run on disk: kept as they come, and given back when the same is asked again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from auditor.model.evidence import QueryEnd
from auditor.model.instant import Window
from auditor.runs.files import PRIVATE, compressed, decompressed, write_whole
from auditor.runs.values import dump, load

JOURNAL: Final = "journal.ndjson"
PAGES: Final = "pages"
MAX_PAGE_BYTES: Final = 64 * 1024 * 1024
"""What a page may hold after decompression: as much as is taken from a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    One answer that was received.

    `number` counts the answers to a query from 1. `sent` is the SHA-256 of the body of the request, empty where
    it had none. `sha256` is that of the body of the answer. `stripped` tells that fields which may hold a
    secret were taken out before, and `kept` that the body is on disk.
    """

    what: Literal["answer"] = "answer"
    number: int
    query: str
    method: str
    url: str
    sent: str = ""
    status: int
    headers: Mapping[str, str]
    at: datetime
    bytes: int
    sha256: str
    stripped: bool = False
    kept: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A part of a query, known by its name, that was cut into pieces after so many pages."""

    what: Literal["cut"] = "cut"
    query: str
    part: str
    pages: int
    pieces: tuple[Window, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A part of a query that was read from its first page again: where it stood, the server did not know."""

    what: Literal["restart"] = "restart"
    query: str
    part: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Void:
    """An answer that could not be used when the run went on: it was asked for again."""

    what: Literal["void"] = "void"
    query: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """The run went on after it had been sealed: `root_digest` is what was said of it before."""

    what: Literal["reopened"] = "reopened"
    root_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of a query."""

    what: Literal["end"] = "end"
    end: QueryEnd


Entry = Annotated[Answer | Cut | Restart | Void | Reopened | Ended, Field(discriminator="what")]

_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_]+")
"""What of a query's id does not go into the name of a folder."""

_Asked = tuple[str, str, str, str]


def _is(answer: Answer, void: Void) -> bool:
    return (answer.query, answer.number) == (void.query, void.number)


def _asked(query: str, method: str, url: str, content: bytes | None) -> _Asked:
    return query, method, url, hashlib.sha256(content).hexdigest() if content is not None else ""


@dataclass(slots=True, kw_only=True)
class Archive:
    """
    The answers of one run.

    Without a folder nothing is kept, and answers are only numbered. `keeps_bodies` is false where digests are
    enough in the end: bodies are there until the run has ended, so that one that was killed can go on. `sealed`
    means that nothing can be added: what was not answered then can not be asked now.
    """

    folder: Path | None = None
    keeps_bodies: bool = True
    sealed: bool = False
    ends: dict[str, QueryEnd] = field(init=False, default_factory=dict)
    """How the queries ended, of those that did."""
    _answers: dict[_Asked, deque[Answer]] = field(init=False)
    _cuts: dict[tuple[str, str], Cut] = field(init=False, default_factory=dict)
    _restarts: set[tuple[str, str]] = field(init=False, default_factory=set)
    _numbers: Counter[str] = field(init=False, default_factory=Counter)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._answers = defaultdict(deque)

    @classmethod
    def read(cls, folder: Path, *, keeps_bodies: bool = True, sealed: bool) -> Archive:
        """
        Return the archive of a run folder, with all that is in it.

        What stands behind a line of the journal that is none was not written whole, and is taken off.

        Raises:
            OSError: the journal can not be read, or not be mended.
        """
        archive = cls(folder=folder, keeps_bodies=keeps_bodies, sealed=sealed)
        path = folder / JOURNAL
        journal = path.read_bytes() if path.is_file() else b""
        good = 0
        for line in journal.splitlines(keepends=True):
            try:
                if not line.endswith(b"\n"):
                    break
                entry: Answer | Cut | Restart | Void | Reopened | Ended = load(Entry, line)  # type: ignore[arg-type]
            except ValueError:
                break
            archive._take_in(entry)
            good += len(line)
        if good < len(journal) and not sealed:
            os.truncate(path, good)
        for asked, answers in archive._answers.items():
            # What was refused once and answered when the run went on counts as answered; while it goes on,
            # what was refused is asked again.
            answered = [answer for answer in answers if answer.status == 200]
            refused = [answer for answer in answers if answer.status != 200]
            archive._answers[asked] = deque([*answered, *refused] if sealed else answered)
        return archive

    def _take_in(self, entry: Answer | Cut | Restart | Void | Reopened | Ended) -> None:
        match entry:
            case Answer():
                self._numbers[entry.query] = max(self._numbers[entry.query], entry.number)
                self._answers[entry.query, entry.method, entry.url, entry.sent].append(entry)
            case Cut():
                self._cuts[entry.query, entry.part] = entry
            case Restart():
                self._restarts.add((entry.query, entry.part))
            case Void():
                for answers in self._answers.values():
                    for answer in [one for one in answers if _is(one, entry)]:
                        answers.remove(answer)
            case Ended():
                self.ends[entry.end.query] = entry.end

    @property
    def recalls(self) -> bool:
        """Whether there is anything to give back: in a run that has just begun there is not."""
        return bool(self._answers)

    @property
    def answers(self) -> Iterable[Answer]:
        """The answers that have not been given back yet."""
        return (answer for each in self._answers.values() for answer in each)

    @property
    def gone(self) -> int:
        """How many of these have to be asked for again: when the run ended, only their digests were kept."""
        return sum(map(self._is_gone, self.answers))

    def _is_gone(self, answer: Answer) -> bool:
        path = self._path(answer.query, answer.number)
        return not answer.kept and (path is None or not path.exists())

    def drop_bodies(self) -> None:
        """
        Take away the bodies that are not to stay.

        Raises:
            OSError: they can not be taken away.
        """
        if self.folder is not None and not self.keeps_bodies:
            for path in (self.folder / PAGES).iterdir():
                shutil.rmtree(path)

    def answer(self, query: str, method: str, url: str, content: bytes | None) -> tuple[Answer, bytes] | None:
        """
        Return the answer that was kept for a request, with its body; each is given back once, in order.

        Raises:
            ValueError: its page is not what the journal says, and the run can not ask again.
        """
        kept = self._answers.get(_asked(query, method, url, content))
        while kept:
            answer = kept.popleft()
            try:
                return answer, self.body(answer)
            except (OSError, ValueError) as error:
                if self.sealed:
                    raise ValueError(f"page {answer.number} can not be used: {error}") from None
                self.note(Void(query=query, number=answer.number))
        return None

    def body(self, answer: Answer) -> bytes:
        """
        Return the body of an answer.

        Raises:
            OSError: there is none on disk.
            ValueError: it is not the one that was received.
        """
        path = self._path(answer.query, answer.number)
        if path is None or self._is_gone(answer):
            raise ValueError("only its digest was kept")
        body = decompressed(path.read_bytes(), MAX_PAGE_BYTES)
        if hashlib.sha256(body).hexdigest() != answer.sha256:
            raise ValueError("its SHA-256 is another one")
        return body

    def next_number(self, query: str) -> int:
        """Return the number of the next answer to a query."""
        self._numbers[query] += 1
        return self._numbers[query]

    def keep(
        self,
        number: int,
        query: str,
        *,
        method: str,
        url: str,
        content: bytes | None,
        status: int,
        headers: Mapping[str, str],
        at: datetime,
        body: bytes,
        stripped: bool = False,
    ) -> None:
        """
        Put an answer on disk, its body first; it is there when this returns.

        Raises:
            OSError: it can not be written; nothing of it is left.
        """
        if self.folder is None:
            return
        _, _, _, sent = _asked(query, method, url, content)
        answer = Answer(
            number=number,
            query=query,
            method=method,
            url=url,
            sent=sent,
            status=status,
            headers=headers,
            at=at,
            bytes=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            stripped=stripped,
            kept=self.keeps_bodies,
        )
        self.put(answer, body)

    def put(self, answer: Answer, body: bytes) -> None:
        """
        Put an answer on disk, its body first.

        Raises:
            OSError: it can not be written; nothing of it is left.
        """
        path = self._path(answer.query, answer.number)
        if path is not None:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_whole(path, compressed(body), mode=PRIVATE)
        self.note(answer)

    def cut(self, query: str, part: str) -> Cut | None:
        """Return how a part was cut, if it was."""
        return self._cuts.get((query, part))

    def note_cut(self, query: str, part: str, pages: int, pieces: tuple[Window, ...]) -> None:
        """Note that a part was cut."""
        self.note(Cut(query=query, part=part, pages=pages, pieces=pieces))

    def restarted(self, query: str, part: str) -> bool:
        """Tell whether a part was read from its beginning again."""
        return (query, part) in self._restarts

    def note_restart(self, query: str, part: str) -> None:
        """Note that a part is read from its beginning again."""
        self._restarts.add((query, part))
        self.note(Restart(query=query, part=part))

    def note_end(self, end: QueryEnd) -> None:
        """Note how a query ended."""
        self.note(Ended(end=end))

    def _path(self, query: str, number: int) -> Path | None:
        """Return where the body of an answer is: `pages/prod-activities-1/000001.json.zst`."""
        if self.folder is None:
            return None
        return self.folder / PAGES / _NO_NAME.sub("-", query) / f"{number:06}.json.zst"

    def note(self, entry: Answer | Cut | Restart | Void | Reopened | Ended) -> None:
        """
        Add a line to the journal, whole or not at all.

        Raises:
            OSError: it can not be written.
        """
        if self.folder is None or self.sealed:
            return
        line = dump(Entry, entry) + b"\n"
        with self._lock:
            handle = os.open(self.folder / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE)
            try:
                size = os.fstat(handle).st_size
                try:
                    if os.write(handle, line) < len(line):
                        raise OSError(28, os.strerror(28))
                except OSError:
                    with contextlib.suppress(OSError):
                        os.ftruncate(handle, size)
                    raise
            finally:
                os.close(handle)


def entries(folder: Path) -> Iterator[Answer | Cut | Restart | Void | Reopened | Ended]:
    """
    Yield what a journal holds, in order.

    Raises:
        OSError: it can not be read.
        ValueError: one of its lines is none.
    """
    path = folder / JOURNAL
    with path.open("rb") if path.is_file() else contextlib.nullcontext(()) as lines:
        for line in lines:
            yield load(Entry, line)  # type: ignore[arg-type]
