"""`auditor export` and `auditor sample`: the records behind a verdict, for an auditor's own tests."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from auditor.app.jobs import Job
from auditor.app.replaying import Replay, attempt, opened_run
from auditor.evaluator import Population
from auditor.model.diagnostic import Checked, Diagnostic, unknown_check
from auditor.model.evidence import Page
from auditor.model.query import CompiledCheck
from auditor.model.resource import value_at
from auditor.model.value import JSON
from auditor.reporter.csv_document import defused

Form = Literal["csv", "ndjson"]
Choose = Callable[[list["Examined"], str], list["Examined"]]
"""Chooses of all records that were examined, given the root digest of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A record that a check examined: the query that selected it, the page that brought it, and what it is known by."""

    query: str
    page: str
    identity: str
    record: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Records of one check as a document. `digest` is its SHA-256; `population` counts what was examined in all."""

    run_id: str
    root_digest: str | None
    check: str
    records: int
    population: int
    document: str
    digest: str


def export(job: Job, run: str, check: str, form: Form) -> Checked[Exported]:
    """Return every record that a check of a run examined, in the order of its order key and identity."""
    return _exported(job, run, check, form, lambda found, _: found)


def sample(job: Job, run: str, check: str, form: Form, *, size: int, seed: str) -> Checked[Exported]:
    """
    Return some of the records that a check of a run examined.

    The same run and seed give the same sample, by any version on any machine: drawn are those of which the SHA-256 of
    root digest, check, seed and identity is least. Who chooses a seed before the run can not choose the sample.
    """

    def drawn(found: list[Examined], root_digest: str) -> list[Examined]:
        def rank(one: Examined) -> bytes:
            drawn_by = f"{root_digest}\n{check}\n{seed}\n{one.query}\n{one.identity}"
            return hashlib.sha256(drawn_by.encode("utf-8", "surrogatepass")).digest()

        chosen = {id(one) for one in sorted(found, key=rank)[:size]}
        return [one for one in found if id(one) in chosen]

    return _exported(job, run, check, form, drawn)


def _exported(job: Job, run: str, name: str, form: Form, choose: Choose) -> Checked[Exported]:
    opened = opened_run(job, run)
    if opened.value is None:
        return Checked(None, opened.diagnostics)
    replay = opened.value
    matching = [check for check in replay.judged.checks if f"/{check.name}".endswith(f"/{name}")]
    if len(matching) != 1:
        return Checked(None, (_not_one(name, matching, replay.judged.checks),))
    (check,) = matching
    if any(value.sensitive for value in check.values.values()) and any(
        "${" in query.where for query in check.queries.values()
    ):
        return Checked(None, (_sensitive(check),))
    examined = attempt(
        replay.folder, lambda: _in_order(asyncio.run(_population(replay, check)), replay, check)
    )
    if examined.value is None:
        return Checked(None, examined.diagnostics)
    found = examined.value
    root = replay.folder.root_digest or ""
    chosen = choose(found, root)
    document = _csv(chosen) if form == "csv" else _ndjson(chosen)
    exported = Exported(
        run_id=replay.folder.record.run_id,
        root_digest=root or None,
        check=check.name,
        records=len(chosen),
        population=len(found),
        document=document,
        digest=f"sha256:{hashlib.sha256(document.encode('utf-8', 'surrogatepass')).hexdigest()}",
    )
    return Checked(exported)


async def _population(replay: Replay, check: CompiledCheck) -> list[Examined]:
    """Return the records that a check selected, as they come."""
    plan, catalogue = replay.judged.plan, replay.judged.catalogue
    populations: dict[str, list[Population]] = {}
    for query in plan.queries:
        for use in query.uses:
            if use.check == check.name:
                population = Population(check, use, query, catalogue[query.resource], keeps=0)
                populations.setdefault(query.id, []).append(population)
    found: list[Examined] = []
    async with aclosing(replay.events(plan)) as events:
        async for event in events:
            if isinstance(event, Page):
                for population in populations.get(event.query, ()):
                    found += _selected(population, event)
    return found


def _selected(population: Population, page: Page) -> Iterator[Examined]:
    for record in page.records:
        if population.selects(record, population.tests):
            identity = " ".join(str(value_at(record, path)) for path in population.kind.identity)
            yield Examined(
                query=population.name, page=f"{page.query}#{page.number}", identity=identity, record=record
            )


def _in_order(found: list[Examined], replay: Replay, check: CompiledCheck) -> list[Examined]:
    """Return records by query, order key and identity, whatever order the pages came in."""
    kinds = {name: replay.judged.catalogue[query.resource] for name, query in check.queries.items()}
    return sorted(
        found,
        key=lambda one: (one.query, str(value_at(one.record, kinds[one.query].order_key)), one.identity),
    )


def _ndjson(found: Iterable[Examined]) -> str:
    """Return records as received, each a line; text that UTF-8 lacks is escaped."""
    return "".join(json.dumps(one.record, separators=(",", ":")) + "\n" for one in found)


def _csv(found: list[Examined]) -> str:
    """Return records as a table: a column for each path that any of them has, in which no cell is a formula."""
    rows = [{**_flat(one.record), "(query)": one.query, "(page)": one.page} for one in found]
    columns = ["(query)", "(page)", *sorted({path for row in rows for path in row} - {"(query)", "(page)"})]
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow([defused(column) for column in columns])
    for row in rows:
        writer.writerow([defused(row.get(column, "")) for column in columns])
    return text.getvalue()


def _flat(record: JSON) -> dict[str, str]:
    """Return a record by dotted paths; lists stand as JSON."""
    flat: dict[str, str] = {}
    for path, value in _leaves(record, ""):
        flat[path] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return flat


def _leaves(value: JSON, path: str) -> Iterator[tuple[str, JSON]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    else:
        yield path or "(value)", value


def _not_one(name: str, matching: list[CompiledCheck], known: Iterable[CompiledCheck]) -> Diagnostic:
    if not matching:
        return unknown_check(name, {check.id for check in known}, "the run", "See: auditor report RUN")
    names = ", ".join(check.name for check in matching)
    return Diagnostic(
        code="policy.unknown-check",
        summary="Several checks",
        detail=f'"{name}" names several checks.',
        help=f"Name one of them: {names}",
        subject=name,
    )


def _sensitive(check: CompiledCheck) -> Diagnostic:
    return Diagnostic(
        code="replay.sensitive",
        summary="Sensitive value",
        detail=f"What {check.name} selects rests on a sensitive value, and no run keeps any.",
        help="Choose another check.",
        subject=check.name,
    )
