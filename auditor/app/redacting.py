"""`auditor export --redact`: a second run that can be shared, with pseudonyms for the values of some fields."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from auditor.app.documents import pseudonym_key
from auditor.app.evidence import GIVEN, PLAN, PROGRAM, REPORT, Judged, unreadable
from auditor.app.jobs import Job
from auditor.app.replaying import judged_by, sealed_run
from auditor.model.diagnostic import Checked, Diagnostic, did_you_mean
from auditor.model.resource import Catalogue, ResourceKind
from auditor.model.resource import fields as fields_of
from auditor.model.value import JSON, parse_json
from auditor.reporter.privacy import pseudonym
from auditor.runs import Answer, Archive, Kept, RunFolder, dump, entries, load

T = TypeVar("T")

_SHORTEST: Final = 3
"""Characters of a value that is looked for inside of other texts too; shorter ones stand in half of all words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A run that can be shared: its folder, its own root digest, and how many values have a pseudonym in it."""

    folder: Path
    root_digest: str
    values: int


def redact(job: Job, run: str, fields: Collection[str], out: str | None) -> Checked[Redacted]:
    """
    Write a second run in which keyed pseudonyms stand for what some fields hold, by dotted path as in SCIM.

    Equal values have equal pseudonyms, in every run with the same key. The second run has digests of its own; what
    reads one of the fields can not be judged again by it. The first stays as it is.
    """
    opened, key = sealed_run(job, run), pseudonym_key(job)
    if opened.value is None or key.value is None:
        return Checked(None, (*opened.diagnostics, *key.diagnostics))
    folder = opened.value
    try:
        judged = judged_by(folder)
        problems = tuple(_problems(fields, judged.catalogue))
        if problems:
            return Checked(None, problems)
        redaction = _Redaction(folder, judged, tuple(fields), key.value)
        redaction.learn()
    except (OSError, ValueError) as error:
        return Checked(None, (unreadable(folder, error),))
    path = job.folder / out if out else folder.path.with_name(f"{folder.path.name}-redacted")
    try:
        return Checked(redaction.made(path))
    except OSError as error:
        return Checked(None, (_not_written(path, error),))
    except ValueError as error:
        return Checked(None, (unreadable(folder, error),))


def _not_written(path: Path, error: OSError) -> Diagnostic:
    return Diagnostic(
        code="run.not-written",
        summary="Evidence not written",
        detail=f"The redacted run can not be written to {path}: {error.strerror or error}.",
        help="Name a folder that does not exist yet, where it can be made: --out PATH",
        subject=str(path),
    )


def _problems(fields: Collection[str], catalogue: Catalogue) -> Iterator[Diagnostic]:
    known = {path for kind in catalogue.values() for path, _, _ in fields_of(kind.item)}
    for path in fields:
        if any(path in (*kind.identity, kind.order_key, kind.instant) for kind in catalogue.values()):
            advice = "Redact other fields: by these, records are told apart and put in order."
        elif path not in known:
            advice = did_you_mean(path, known) or "See: auditor schema"
        else:
            continue
        yield Diagnostic(
            code="option.bad-value",
            summary="Bad option",
            detail=f'"{path}" is no field that can be redacted.',
            help=advice,
            subject="--redact",
        )


@dataclass(slots=True)
class _Redaction:
    """One run on its way to a redacted one."""

    folder: RunFolder
    judged: Judged
    fields: tuple[str, ...]
    key: bytes
    _words: dict[str, str] = field(init=False, default_factory=dict)
    """The pseudonym of every text that a field held."""

    def learn(self) -> None:
        """
        Take in everything that the fields hold.

        Raises:
            OSError: the run can not be read.
            ValueError: it is damaged.
        """
        archive, kinds = self.folder.archive(sealed=True), self._kinds()
        for answer in archive.answers:
            if answer.kept:
                self._learn_from(archive.body(answer), kinds.get(answer.query))
        for kept in self.folder.read_violations():
            for steps in self._steps:
                self._learn(kept.violation.item, steps)

    def made(self, path: Path) -> Redacted:
        """
        Write the second run, whole or not at all.

        Raises:
            OSError: it can not be written, or there is something.
            ValueError: the first one is damaged.
        """
        if path.exists():
            raise FileExistsError(17, "there is something already")
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".", dir=path.parent) as half:
            redacted = self._written(Path(half), path.name)
            root = redacted.seal()
            redacted.path.rename(path)
        return Redacted(folder=path, root_digest=root, values=len(self._words))

    def _written(self, runs: Path, run_id: str) -> RunFolder:
        record = replace(
            self.folder.record,
            run_id=run_id,
            redacted=self.fields,
            redacted_from=self.folder.root_digest,
        )
        redacted = RunFolder.create(runs, record)
        self._copy_journal(self.folder.archive(sealed=True), redacted.archive())
        with redacted.violations() as add:
            for kept in self.folder.read_violations() if add is not None else ():
                told = self._as_told(Kept, kept)
                add(told.check, told.violation)  # type: ignore[misc]
        for name in (PLAN, PROGRAM, REPORT, GIVEN):
            document = parse_json((self.folder.path / name).read_bytes())
            redacted.write(name, json.dumps(self._told(document)).encode() + b"\n")
        return redacted

    def _copy_journal(self, archive: Archive, redacted: Archive) -> None:
        for entry in entries(self.folder.path):
            if isinstance(entry, Answer) and entry.kept:
                body = self._page(archive.body(entry))
                digest = hashlib.sha256(body).hexdigest()
                told = replace(self._as_told(Answer, entry), bytes=len(body), sha256=digest, stripped=True)
                redacted.put(told, body)
            else:
                redacted.note(self._as_told(type(entry), entry))

    def _as_told(self, kind: type[T], value: T) -> T:
        return load(kind, json.dumps(self._told(parse_json(dump(kind, value)))).encode())

    def _kinds(self) -> dict[str, ResourceKind]:
        """Return the kind of the answers to each query."""
        catalogue = self.judged.catalogue
        queries = (*self.judged.plan.queries, *self.judged.plan.probes)
        each = (query.each for query in queries if query.each is not None)
        return {query.id: catalogue[query.resource] for query in (*queries, *each)}

    @property
    def _steps(self) -> list[list[str]]:
        return [path.split(".") for path in self.fields]

    def _learn_from(self, body: bytes, kind: ResourceKind | None) -> None:
        try:
            document = parse_json(body)
        except ValueError:
            return
        items = kind.page.items.split(".") if kind is not None and kind.page.items else []
        for steps in self._steps:
            self._learn(document, [*items, *steps])

    def _page(self, body: bytes) -> bytes:
        try:
            return json.dumps(self._told(parse_json(body)), separators=(",", ":")).encode()
        except ValueError:
            return body

    def _learn(self, value: JSON, steps: list[str]) -> None:
        """Take in what stands at a path; lists are walked into."""
        if isinstance(value, list):
            for element in value:
                self._learn(element, steps)
        elif steps and isinstance(value, dict):
            self._learn(value.get(steps[0]), steps[1:])
        elif not steps:
            for text in _texts(value):
                self._words.setdefault(text, pseudonym(text, self.key))

    def _told(self, value: JSON) -> JSON:
        """
        Return a JSON value in which pseudonyms stand for the texts that are known.

        What a record or a violation holds is looked for inside of its other texts too: "Created session for Ada".
        """
        if isinstance(value, dict):
            told = {self._word(name): self._told(inner) for name, inner in value.items()}
            return self._told_within(told, value) if "message" in value else told
        if isinstance(value, list):
            return [self._told_within(self._told(element), element) for element in value]
        return self._word(value) if isinstance(value, str) else value

    def _told_within(self, told: JSON, value: JSON) -> JSON:
        own = {text for text in _texts(value) if len(text) >= _SHORTEST and text in self._words}
        return _replaced(told, {text: self._words[text] for text in own})

    def _word(self, text: str) -> str:
        return self._words.get(text, text)


def _texts(value: JSON) -> Iterator[str]:
    """Yield every text in a value, and numbers as texts."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for element in value:
            yield from _texts(element)
    elif isinstance(value, str) and value:
        yield value


def _replaced(value: JSON, words: dict[str, str]) -> JSON:
    """Return a value in which words stand for texts wherever they occur, the longest first."""
    if not words:
        return value
    if isinstance(value, dict):
        return {name: _replaced(inner, words) for name, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(element, words) for element in value]
    if isinstance(value, str):
        for text in sorted(words, key=len, reverse=True):
            value = value.replace(text, words[text])
    return value
