"""Records that are given as files of lines: looked through, then judged in one pass over their bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from auditor import config, fetcher
from auditor.app.workers import LEAST_BYTES, cores, end_processes, in_parts
from auditor.evaluator import Audit, AuditState
from auditor.fetcher import Scan, Survey
from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.evidence import Failure
from auditor.model.plan import Plan
from auditor.model.resource import Catalogue, ResourceKind
from auditor.model.value import JSON, parse_json
from auditor.runs import RunFolder

Given: TypeAlias = Mapping[str, tuple[JSON, ...] | Survey]
"""Given records by resource kind: those that are held, and what is known of those that are not."""

_TURN: Final = 16
"""Blocks that are judged before others of this process have their turn: an interruption, say."""


def read(options: Sequence[str], catalogue: Catalogue, processes: int | None) -> Checked[Given]:
    """Read the options `--records KIND=FILE`; what is too large to be held is looked through."""
    streamed = config.stream_records(list(options), catalogue)
    given: dict[str, tuple[JSON, ...] | Survey] = {}
    problems = list(streamed.diagnostics)
    for name, records in (streamed.value or {}).items():
        if isinstance(records, config.Streamed):
            surveyed = _survey(catalogue[name], records.parts, processes)
            problems += surveyed.diagnostics
            if surveyed.value is not None:
                given[name] = surveyed.value
        else:
            given[name] = records
    return Checked(None if problems else given, tuple(problems))


def _survey(kind: ResourceKind, files: Sequence[config.Lines], processes: int | None) -> Checked[Survey]:
    try:
        found = in_parts(_scan, [(kind, number, part) for number, part in _cut(files, processes)], processes)
        problems = tuple(each for each in found if isinstance(each, Diagnostic))
        if problems:
            return Checked(None, problems)
        return Checked(fetcher.survey(kind, [each for each in found if isinstance(each, Scan)], files))
    except config.UNREADABLE as error:
        return Checked(None, (_unreadable(files[0], error),))


def _scan(part: tuple[ResourceKind, int, config.Lines]) -> Scan | Diagnostic:
    kind, number, lines = part
    try:
        return fetcher.scan(kind, number, lines)
    except config.UNREADABLE as error:
        return _unreadable(lines, error)


def _unreadable(lines: config.Lines, error: Exception) -> Diagnostic:
    if isinstance(error, fetcher.LineError):
        error = ValueError(f"line {lines.number(error.place)} {error.reason}")
    return config.unreadable(str(lines.path), error)


def _cut(files: Sequence[config.Lines], processes: int | None) -> Iterator[tuple[int, config.Lines]]:
    """Yield the parts of some files that are worth a process each, with the number of the file."""
    processes = processes or cores()
    for number, file in enumerate(files, start=1):
        for part in file.cut(max(1, min(processes, file.path.stat().st_size // LEAST_BYTES))):
            yield number, part


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What one process judges: a part of a file, for some queries; `number` tells it from others."""

    audit: Callable[..., Audit]
    kind: ResourceKind
    queries: Sequence[str]
    file: int
    lines: config.Lines
    repeated: frozenset[int]
    folder: RunFolder | None
    number: int


async def judge(
    given: Given,
    plan: Plan,
    catalogue: Catalogue,
    audit: Audit,
    *,
    alike: Callable[..., Audit],
    folder: RunFolder | None,
    processes: int | None,
) -> Given:
    """
    Offer the records that are not held to an audit, and return all that is given, with why judging some has failed.

    Several processes judge parts of a file with audits of their own: *alike* makes them, and they write the
    violations that they find into parts of the *folder*, if there is one.
    """
    found = dict(given)
    for name, records in given.items():
        queries = tuple(query.id for query in plan.queries if query.resource == name)
        if not isinstance(records, Survey) or records.failure is not None or not queries:
            continue
        shares = [
            _Share(
                audit=alike,
                kind=catalogue[name],
                queries=queries,
                file=number,
                lines=part,
                repeated=frozenset(place for file, place in records.repeated if file == number),
                folder=folder,
                number=position,
            )
            for position, (number, part) in enumerate(_cut(_lines_of(records), processes), start=1)
        ]
        several = min(processes or cores(), len(shares)) > 1
        failure = await (_together(shares, audit, processes) if several else _here(shares, audit))
        found[name] = replace(records, failure=failure)
    return found


def _lines_of(records: Survey) -> tuple[config.Lines, ...]:
    return tuple(lines for lines in records.files if isinstance(lines, config.Lines))


async def _here(shares: Sequence[_Share], audit: Audit) -> Failure | None:
    try:
        for share in shares:
            for number, _ in enumerate(_judged(share, audit), start=1):
                if number % _TURN == 0:
                    await asyncio.sleep(0)
    except _STOPPING as error:
        return _failure(error)
    return None


async def _together(shares: Sequence[_Share], audit: Audit, processes: int | None) -> Failure | None:
    try:
        states = await asyncio.to_thread(in_parts, _state, shares, processes)
    except asyncio.CancelledError:
        end_processes()
        raise
    except _STOPPING as error:
        return _failure(error)
    failures = [state for state in states if isinstance(state, Failure)]
    for state in states:
        if isinstance(state, AuditState):
            audit.merge(state)
    return failures[0] if failures else None


def _state(share: _Share) -> AuditState | Failure:
    """Judge a share in a process of its own."""
    kept = share.folder.violations(part=share.number) if share.folder else nullcontext()
    with kept as on_violation:
        audit = share.audit(on_violation=on_violation)
        try:
            for _ in _judged(share, audit):
                pass
        except _STOPPING as error:
            return _failure(error)
        return audit.state()


def _judged(share: _Share, audit: Audit) -> Iterator[None]:
    """
    Judge a share, block by block.

    Raises:
        FetchError: a record is not as documented, as far as it is read.
        ValueError, OSError, EOFError: the file can not be read any more; and what its compression raises.
    """
    shape = fetcher.documented(share.kind, share.lines)
    one_pass = audit.one_pass(share.queries, ensure_documented=partial(shape, 0))
    for place, block in share.lines.blocks():
        repeated: Collection[int] = ()
        if any(place <= each < place + len(block) for each in share.repeated):
            repeated = {
                number for number, (at, _) in enumerate(_numbered(place, block)) if at in share.repeated
            }
        try:
            one_pass.judge(one_pass.decode(block), share.file, repeated)
        except fetcher.FetchError:
            for at, line in _numbered(place, block):
                shape(at, parse_json(line))  # which tells the line
            raise
        yield


def _numbered(place: int, block: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a block that hold something, with their places."""
    for line in block.removesuffix(b"\n").split(b"\n"):
        if line and not line.isspace():
            yield place, line
        place += len(line) + 1


_STOPPING: Final = (fetcher.FetchError, *config.UNREADABLE)
"""What keeps a file from being judged."""


def _failure(error: Exception) -> Failure:
    if isinstance(error, fetcher.FetchError):
        return error.failure
    return Failure(
        code="records.unreadable",
        reason=f"The records can not be read: {error}.",
        help="Leave the file alone while it is read.",
    )
