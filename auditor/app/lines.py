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
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias, cast

from auditor import config, fetcher
from auditor.app.workers import LEAST_BYTES, PART_BYTES, cores, end_processes, in_parts
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
        parts, number = _cut(files, processes)
        scanned = in_parts([partial(_scanned, kind)] * number, parts)
        problems: dict[int, Diagnostic] = {}
        scans: list[Scan] = []
        for file, each in sorted(chain.from_iterable(scanned), key=itemgetter(0)):
            if isinstance(each, Diagnostic):
                problems.setdefault(parts[file][0], each)  # of the parts of a file the first
            else:
                scans.append(each)
        if problems:
            return Checked(None, tuple(problems.values()))
        return Checked(fetcher.survey(kind, scans, files))
    except config.UNREADABLE as error:
        return Checked(None, (_unreadable(files[0], error),))


def _scanned(
    kind: ResourceKind, parts: Iterator[tuple[int, _FilePart]]
) -> list[tuple[int, Scan | Diagnostic]]:
    return [(number, _scan(kind, *part)) for number, part in parts]


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


def _cut(files: Sequence[config.File], processes: int | None) -> tuple[list[_FilePart], int]:
    """Return parts of files, in their order, for as many processes as are worth it, and how many these are."""
    sizes = [file.path.stat().st_size for file in files]
    number = max(1, min(processes or cores(), sum(sizes) // LEAST_BYTES))
    return [
        (position, part)
        for position, (file, size) in enumerate(zip(files, sizes, strict=True), start=1)
        for part in file.cut(1 if number == 1 else ceil(size / PART_BYTES) or 1)
    ], number


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What a process needs to know to judge records for some queries; `number` tells it from others."""

    audit: Callable[..., Audit]
    kind: ResourceKind
    queries: Sequence[str]
    repeated: Sequence[Place]
    folder: RunFolder | None
    number: int


class _Stopped(NamedTuple):
    """Why a part of a file could not be judged, with its number."""

    part: int
    failure: Failure


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
        share = partial(
            _Share,
            audit=alike,
            kind=catalogue[name],
            queries=queries,
            repeated=sorted(records.repeated),
            folder=folder,
        )
        states: list[AuditState | _Stopped]
        try:
            parts, number = _cut(_files_of(records), processes)
            if number > 1:
                states = await _together([share(number=next(numbers)) for _ in range(number)], parts)
            else:
                states = [await _here(share(number=0), parts, alike(on_violation=on_violation))]
        except config.UNREADABLE as error:
            states = [_Stopped(0, fetcher.unreadable(error))]
        stopped = [state for state in states if isinstance(state, _Stopped)]
        # Each part before the first that stopped a process was taken by one that went on with it to its end.
        found[name] = replace(records, failure=min(stopped).failure if stopped else None)
        for state in states:
            if not stopped and isinstance(state, AuditState):
                audit.merge(state)
    return found


def _files_of(records: Survey) -> tuple[config.File, ...]:
    return cast("tuple[config.File, ...]", records.files)  # which `read` has surveyed


async def _here(share: _Share, parts: Sequence[_FilePart], audit: Audit) -> AuditState | _Stopped:
    for number, stopped in enumerate(_judged(share, enumerate(parts), audit), start=1):
        if stopped is not None:
            return stopped
        if number % _TURN == 0:
            await asyncio.sleep(0)
    return audit.state()


async def _together(shares: Sequence[_Share], parts: Sequence[_FilePart]) -> list[AuditState | _Stopped]:
    try:
        return await asyncio.to_thread(in_parts, [partial(_state, share) for share in shares], parts)
    except asyncio.CancelledError:
        end_processes()
        raise


def _state(share: _Share, parts: Iterator[tuple[int, _FilePart]]) -> AuditState | _Stopped:
    """Judge parts of files in a process of its own."""
    kept = share.folder.violations(part=share.number) if share.folder else nullcontext()
    with kept as on_violation:
        audit = share.audit(on_violation=on_violation)
        stopped = next(filter(None, _judged(share, parts, audit)), None)
        return audit.state() if stopped is None else stopped


def _judged(share: _Share, parts: Iterator[tuple[int, _FilePart]], audit: Audit) -> Iterator[_Stopped | None]:
    """Judge parts of files, block by block; at the end yield why that can not go on."""
    one_pass: OnePass | None = None
    for part, (number, file) in parts:
        if one_pass is None:
            ensure = partial(fetcher.documented(share.kind, file), 0)
            one_pass = audit.one_pass(share.queries, ensure_documented=ensure)
        taken = 0
        try:
            for rows, repeated in _decoded(share, number, file, one_pass):
                try:
                    one_pass.judge(rows, number, repeated)
                except fetcher.FetchError:
                    _tell_first(share, number, file, taken)
                    raise
                taken += len(rows.found)
                yield None
        except fetcher.FetchError as error:
            yield _Stopped(part, error.failure)
            return
        except config.UNREADABLE as error:
            yield _Stopped(part, fetcher.unreadable(error))
            return


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


def _tell_first(share: _Share, number: int, file: config.File, taken: int) -> None:
    """
    Judge one by one the records after those that were *taken*, to the first that a check can not read as documented.

    So no cut tells another one.

    Raises:
        FetchError: a record is not; it names the line.
    """
    lines = chain.from_iterable(starmap(fetcher.numbered, file.blocks()))
    repeated, ensure = set(share.repeated), fetcher.documented(share.kind, file)
    for place, line in islice(lines, taken, None):
        if (number, place) not in repeated:
            alone = share.audit(on_violation=None).one_pass(share.queries, partial(ensure, place))
            alone.judge(alone.decode(line))
