"""Given records in place of a tenant's: the same account, without requests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

from auditor.fetcher.completeness import Ledger, Part
from auditor.fetcher.failures import FetchError, unreadable
from auditor.fetcher.surveying import Survey
from auditor.model.evidence import Failure, Page, QueryEnd
from auditor.model.plan import Plan, PlannedQuery, belongs
from auditor.model.resource import Catalogue, ResourceKind
from auditor.model.value import JSON


async def given(
    plan: Plan, catalogue: Catalogue, records: Mapping[str, Sequence[JSON] | Survey]
) -> AsyncGenerator[Page | QueryEnd]:
    """
    Answer every query of a plan from given records, by resource kind.

    Result: as of `fetch`; but of records that are not held, of which there is a `Survey`, only the ends of queries. A
    query on a kind for which no records were given ends with a failure: nothing is known of it. Records outside of
    the window are left to the evaluator, which selects them anyway. A probe is answered, unless a query on
    its kind failed, by how many of the records lie in the window of any query.
    """
    failed = set()
    answers: dict[str, _Answer] = {}
    for query in plan.queries:
        kind, found = catalogue[query.resource], records.get(query.resource)
        if found is None:
            end = QueryEnd(query=query.id, failure=_not_given(kind), assurance=None)
        elif isinstance(found, Survey):
            end = _surveyed(query, found)
        else:
            name = _shared_name(query, kind)
            if name not in answers:
                answers[name] = _Answer(query, kind, found)
            answer = answers[name]
            if answer.end.failure is None:
                yield Page(query=query.id, number=1, records=answer.records)
            end = replace(answer.end, query=query.id)
        if end.failure is not None:
            failed.add(kind.kind)
        yield end
    for probe in plan.probes:
        kind = catalogue[probe.resource]
        if kind.kind in records and kind.kind not in failed:
            # Of a tenant one request can only look at a part of a long window; here all of it is at hand.
            asked = [query for query in plan.queries if query.resource == probe.resource]
            found = records[kind.kind]
            try:
                if isinstance(found, Survey):
                    held = int(_holds_any(found, asked, kind))
                else:
                    held = sum(
                        _belongs(record, asked, kind)
                        for record in answers[_shared_name(asked[0], kind)].records
                    )
                yield QueryEnd(query=probe.id, failure=None, assurance="given", records=held)
            except (OSError, ValueError) as error:
                yield QueryEnd(query=probe.id, failure=unreadable(error), assurance=None)


def _shared_name(query: PlannedQuery, kind: ResourceKind) -> str:
    """Return what all queries have in common that the same records answer in the same way."""
    # Which buckets make up a window is each query's own; all else is the same for all of them.
    return query.id if kind.buckets else kind.kind


def _not_given(kind: ResourceKind) -> Failure:
    return Failure(
        code="evidence.not-given",
        reason=f"No records of {kind.kind} were given.",
        help=f"Give them: --records {kind.kind}=FILE.",
    )


def _surveyed(query: PlannedQuery, found: Survey) -> QueryEnd:
    return QueryEnd(
        query=query.id,
        failure=found.failure and _of_file(found.failure, query.resource),
        assurance=None if found.failure else "given",
        pages=len(found.files),
        records=found.records,
        duplicates=len(found.repeated),
        first=found.first,
        last=found.last,
    )


class _Answer:
    """What records that are held answer to a query: those that do not repeat, and whether they can be all."""

    def __init__(self, query: PlannedQuery, kind: ResourceKind, found: Sequence[JSON]) -> None:
        ledger = Ledger(query, kind, given=True)
        failure: Failure | None = None
        remarks: tuple[str, ...] = ()
        self.records: tuple[JSON, ...] = ()
        try:
            self.records = ledger.take(list(found), Part())
            _, remarks = ledger.close()
        except FetchError as error:
            failure = _of_file(error.failure, kind.kind)
        self.end = QueryEnd(
            query=query.id,
            failure=failure,
            assurance=None if failure else "given",
            pages=1,
            records=ledger.records,
            duplicates=ledger.duplicates,
            first=ledger.first,
            last=ledger.last,
            warnings=remarks,
        )


def _of_file(failure: Failure, kind: str) -> Failure:
    """Return a failure with what to do where it is not PingOne's answer that is wrong."""
    help = {
        "evidence.drift": f"Give records as they came from PingOne: auditor schema {kind}",
        "evidence.changed-record": "Give records as they came from PingOne.",
    }
    return replace(failure, help=help.get(failure.code, failure.help))


def _belongs(record: JSON, queries: Sequence[PlannedQuery], kind: ResourceKind) -> bool:
    """Tell whether a record lies in the window of any query."""
    return any(belongs(record, query, kind) for query in queries)


def _holds_any(records: Survey, queries: Sequence[PlannedQuery], kind: ResourceKind) -> bool:
    """Tell whether any record of files that are not held lies in the window of any query."""
    windows = [query.window for query in queries]
    if None in windows:
        return records.records > 0
    edges = (records.first, records.last)
    if any(instant in window for instant in edges for window in windows if instant and window):
        return True
    return any(_belongs(record, queries, kind) for record in records)
