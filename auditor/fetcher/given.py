"""Given records in place of a tenant's: the same account, without requests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from auditor.fetcher.completeness import Ledger, Part
from auditor.fetcher.failures import FetchError
from auditor.model.evidence import Failure, Page, QueryEnd
from auditor.model.plan import Plan, belongs
from auditor.model.resource import Catalogue
from auditor.model.value import JSON

_AT_ONCE: Final = 1_000
"""Records of what is read as it is needed that are held at a time."""


async def given(
    plan: Plan, catalogue: Catalogue, records: Mapping[str, Iterable[JSON]]
) -> AsyncGenerator[Page | QueryEnd]:
    """
    Answer every query of a plan from given records, by resource kind.

    Result: as of `fetch`. A query on a kind for which no records were given ends with a failure: nothing is
    known of it. Records outside of the window are left to the evaluator, which selects them anyway. A probe
    is answered, unless a query on its kind failed, by how many of the records lie in the window of any query.
    """
    failed = set()
    for query in plan.queries:
        kind = catalogue[query.resource]
        if kind.kind not in records:
            failed.add(kind.kind)
            failure = Failure(
                code="evidence.not-given",
                reason=f"No records of {kind.kind} were given.",
                help=f"Give them: --records {kind.kind}=FILE.",
            )
            yield QueryEnd(query=query.id, failure=failure, assurance=None)
            continue
        ledger = Ledger(query, kind, given=True)
        pages = 0
        problem: Failure | None = None
        remarks: tuple[str, ...] = ()
        try:
            for pages, batch in enumerate(_batches(records[kind.kind]), start=1):
                yield Page(query=query.id, number=pages, records=ledger.take(batch, Part()))
            _, remarks = ledger.close()
        except (OSError, ValueError) as error:
            problem = Failure(
                code="records.unreadable",
                reason=f"The records can not be read: {error}.",
                help="Leave the file alone while it is read.",
            )
            failed.add(kind.kind)
        except FetchError as error:
            problem = error.failure
            if problem.code == "evidence.drift":
                # It is not PingOne's answer that is wrong, as the help of the failure has it.
                problem = replace(
                    problem, help=f"Give records as they came from PingOne: auditor schema {kind.kind}"
                )
            failed.add(kind.kind)
        yield QueryEnd(
            query=query.id,
            failure=problem,
            assurance=None if problem else "given",
            pages=pages,
            records=ledger.records,
            duplicates=ledger.duplicates,
            first=ledger.first,
            last=ledger.last,
            warnings=remarks,
        )
    for probe in plan.probes:
        kind = catalogue[probe.resource]
        if kind.kind in records and kind.kind not in failed:
            ledger = Ledger(probe, kind, given=True)
            # Of a tenant one request can only look at a part of a long window; here all of it is at hand.
            asked = [query for query in plan.queries if query.resource == probe.resource]
            there = (
                any(belongs(record, query, kind) for query in asked)
                for batch in _batches(records[kind.kind])
                for record in ledger.take(batch, Part())
            )
            # Of what is not in memory one record is enough, as of a tenant.
            held = sum(there) if isinstance(records[kind.kind], tuple) else int(any(there))
            yield QueryEnd(query=probe.id, failure=None, assurance="given", records=held)


def _batches(records: Iterable[JSON]) -> Iterator[list[dict[str, Any]]]:
    """Yield records in parts: all at once if they are in memory anyway."""
    if isinstance(records, tuple | list):
        yield list(records)
        return
    waiting = iter(records)
    while batch := list(islice(waiting, _AT_ONCE)):
        yield batch
