"""Records that are given as files of lines: looked through, then judged in one pass over their bytes."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count, islice, starmap
from math import ceil
from typing import Final, TypeAlias, cast

from auditor import config, fetcher
from auditor.app.workers import LEAST_BYTES, cores, end_processes, in_parts
from auditor.evaluator import Audit, AuditState, OnePass, OnViolation, Rows
from auditor.fetcher import Place, Scan, Survey
from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.evidence import Failure
from auditor.model.plan import Plan
from auditor.model.resource import Catalogue, ResourceKind
from auditor.model.value import JSON
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


def _survey(kind: ResourceKind, files: Sequence[config.File], processes: int | None) -> Checked[Survey]:
    try:
        dealt = [(kind, parts) for parts in _dealt(files, processes)]
        found = [each for scans in in_parts(_scanned, dealt) for each in scans]
        problems: dict[int, Diagnostic] = {}
        for (number, _), each in zip(chain.from_iterable(parts for _, parts in dealt), found, strict=True):
            if isinstance(each, Diagnostic):
                problems.setdefault(number, each)  # of the parts of a file the first
        if problems:
            return Checked(None, tuple(problems.values()))
        return Checked(fetcher.survey(kind, [each for each in found if isinstance(each, Scan)], files))
    except config.UNREADABLE as error:
        return Checked(None, (_unreadable(files[0], error),))


def _scanned(dealt: tuple[ResourceKind, Sequence[_FilePart]]) -> list[Scan | Diagnostic]:
    kind, parts = dealt
    return [_scan(kind, *part) for part in parts]


def _scan(kind: ResourceKind, number: int, file: config.File) -> Scan | Diagnostic:
    try:
        return fetcher.scan(kind, number, file)
    except config.UNREADABLE as error:
        return _unreadable(file, error)


def _unreadable(file: config.File, error: Exception) -> Diagnostic:
    if isinstance(error, fetcher.LineError):
        error = ValueError(f"{file.unit} {file.number(error.place)} {error.reason}")
    return config.unreadable(str(file.path), error)


_FilePart: TypeAlias = tuple[int, config.File]
"""A file or a part of one, with the number of the file among those of its kind."""


def _dealt(files: Sequence[config.File], processes: int | None) -> list[list[_FilePart]]:
    """Return parts of files, in their order, dealt to as many processes as are worth it; of about the same size."""
    sizes = [file.path.stat().st_size for file in files]
    total = max(sum(sizes), 1)
    number = max(1, min(processes or cores(), total // LEAST_BYTES))
    dealt: list[list[_FilePart]] = [[] for _ in range(number)]
    before = 0.0
    for position, (file, size) in enumerate(zip(files, sizes, strict=True), start=1):
        parts = file.cut(ceil(size * number / total) or 1)
        for part in parts:
            dealt[min(int(before * number / total), number - 1)].append((position, part))
            before += size / len(parts)
    return [parts for parts in dealt if parts]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What one process judges: parts of files, for some queries; `number` tells it from others."""

    audit: Callable[..., Audit]
    kind: ResourceKind
    queries: Sequence[str]
    parts: Sequence[_FilePart]
    repeated: Sequence[Place]
    folder: RunFolder | None
    number: int


async def judge(
    given: Given,
    plan: Plan,
    catalogue: Catalogue,
    audit: Audit,
    *,
    alike: Callable[..., Audit],
    on_violation: OnViolation | None = None,
    folder: RunFolder | None = None,
    processes: int | None = None,
) -> Given:
    """
    Offer the records that are not held to an audit, and return all that is given, with why judging some has failed.

    Parts of files are judged by audits of their own, which *alike* makes: here with *on_violation*, in other processes
    with what writes violations into parts of the *folder*. Of a kind that can not be judged wholly nothing is known.
    """
    found = dict(given)
    numbers = count(1)
    for name, records in given.items():
        queries = tuple(query.id for query in plan.queries if query.resource == name)
        if not isinstance(records, Survey) or records.failure is not None or not queries:
            continue
        try:
            repeated = sorted(records.repeated)
            shares = [
                _Share(
                    audit=alike,
                    kind=catalogue[name],
                    queries=queries,
                    parts=parts,
                    repeated=repeated,
                    folder=folder,
                    number=next(numbers),
                )
                for parts in _dealt(_files_of(records), processes)
            ]
            if len(shares) > 1:
                states = await _together(shares)
            else:
                states = [await _here(share, alike(on_violation=on_violation)) for share in shares]
        except _STOPPING as error:
            states = [_failure(error)]
        failure = next((state for state in states if isinstance(state, Failure)), None)
        found[name] = replace(records, failure=failure)
        for state in states:
            if failure is None and isinstance(state, AuditState):
                audit.merge(state)
    return found


def _files_of(records: Survey) -> tuple[config.File, ...]:
    return cast("tuple[config.File, ...]", records.files)  # which `read` has surveyed


async def _here(share: _Share, audit: Audit) -> AuditState:
    for number, _ in enumerate(_judged(share, audit), start=1):
        if number % _TURN == 0:
            await asyncio.sleep(0)
    return audit.state()


async def _together(shares: Sequence[_Share]) -> list[AuditState | Failure]:
    try:
        return await asyncio.to_thread(in_parts, _state, shares)
    except asyncio.CancelledError:
        end_processes()
        raise


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
        ValueError, OSError: the file can not be read any more.
    """
    documented = [fetcher.documented(share.kind, file) for _, file in share.parts]
    one_pass = audit.one_pass(share.queries, ensure_documented=partial(documented[0], 0))
    for (number, file), ensure in zip(share.parts, documented, strict=True):
        taken = 0
        for rows, repeated in _decoded(share, number, file, one_pass):
            try:
                one_pass.judge(rows, number, repeated)
            except fetcher.FetchError:
                _tell_first(share, number, file, taken, ensure)
                raise
            taken += len(rows.found)
            yield


def _decoded(
    share: _Share, number: int, file: config.File, one_pass: OnePass
) -> Iterator[tuple[Rows, Sequence[int]]]:
    """Yield the records of a part of a file, some at a time, with the numbers of those that repeat another."""
    first, last = (bisect_left(share.repeated, (each, 0)) for each in (number, number + 1))
    if first == last:
        yield from ((rows, ()) for rows in file.decoded(one_pass.decode))
        return
    for place, block in file.blocks():
        ends = ((number, place), (number, place + len(block)))
        among = {at for _, at in share.repeated[slice(*(bisect_left(share.repeated, end) for end in ends))]}
        lines = enumerate(fetcher.numbered(place, block)) if among else ()
        yield one_pass.decode(block), [line for line, (at, _) in lines if at in among]


def _tell_first(
    share: _Share, number: int, file: config.File, taken: int, ensure: Callable[[int, JSON], None]
) -> None:
    """
    Judge one by one the records after those that were *taken*, to the first that a check can not read as documented.

    So no cut tells another one.

    Raises:
        FetchError: as of `_judged`; it names the line.
    """
    lines = chain.from_iterable(starmap(fetcher.numbered, file.blocks()))
    repeated = set(share.repeated)
    for place, line in islice(lines, taken, None):
        if (number, place) not in repeated:
            alone = share.audit(on_violation=None).one_pass(share.queries, partial(ensure, place))
            alone.judge(alone.decode(line))


_STOPPING: Final = (fetcher.FetchError, *config.UNREADABLE)
"""What keeps a file from being judged."""


def _failure(error: Exception) -> Failure:
    return error.failure if isinstance(error, fetcher.FetchError) else fetcher.unreadable(error)
