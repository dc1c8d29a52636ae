"""`auditor replay` and `auditor report`: what earlier runs left, judged again or shown again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import traceback
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from auditor import __version__, config, fetcher, runs
from auditor.app import lines
from auditor.app.documents import targets, write_reports
from auditor.app.evidence import (
    GIVEN,
    PLAN,
    PROGRAM,
    REPORT,
    Judged,
    as_begun,
    changed,
    find_run,
    unreadable,
)
from auditor.app.explaining import fields_of_check
from auditor.app.frameworks import framework_of, with_views
from auditor.app.gate import gate_of
from auditor.app.jobs import Job, to_load, validate
from auditor.app.saved import read_plan
from auditor.evaluator import Audit
from auditor.model.diagnostic import Checked, Diagnostic, Level
from auditor.model.environment import Environment
from auditor.model.evidence import Page, QueryEnd
from auditor.model.plan import Plan
from auditor.model.query import CompiledCheck, Program
from auditor.model.resource import Catalogue
from auditor.model.value import JSON
from auditor.model.verdict import Report, Status, Verdict
from auditor.runs import GivenFile, RunFolder

T = TypeVar("T")


def replay(job: Job, run: str) -> Checked[Report]:
    """
    Judge what a run received again, offline, and write the reports that are asked for.

    Result: the report of the run with the verdicts that were found now; a verdict that is another one than the
    run's is a mistake in it. None where the run can not be judged again.
    """
    opened = opened_run(job, run)
    if opened.value is None:
        return Checked(None, opened.diagnostics)
    judged = attempt(opened.value.folder, opened.value.report)
    return judged if judged.value is None else _written(job, judged.value)


def attempt(folder: RunFolder, work: Callable[[], T]) -> Checked[T]:
    """
    Return what comes of a run's own program; None where that breaks.

    A program that a run wrote never breaks, or this one has a bug. One that somebody changed, and sealed again, may
    hold anything, and there is no telling the two apart here.
    """
    try:
        return Checked(work())
    except Exception as error:  # noqa: BLE001  # what breaks a changed program is not known beforehand
        frames = traceback.extract_tb(error.__traceback__)
        place = next(f"{Path(each.filename).name}, line {each.lineno}" for each in reversed(frames))
        problem = _problem(
            folder,
            "replay.broken",
            "Can not be judged again",
            f"Judging by {PROGRAM} of the run broke: {type(error).__name__}: {str(error)[:200]} ({place}).",
            f"See whether it is as the run wrote it, by the root digest of its report: auditor verify "
            f"{folder.record.run_id} --digest SHA256. If it is, this is a bug of the auditor; please report it.",
        )
        return Checked(None, (problem,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What a run received: records by environment and resource kind, each once, and the instant of its plan."""

    run_id: str
    as_of: datetime
    records: Mapping[str, Mapping[str, tuple[JSON, ...]]]


def received(job: Job, run: str) -> Checked[Received]:
    """Return the records that a run received, offline; None where it kept none, or is not as it was left."""
    opened = opened_run(job, run)
    if opened.value is None:
        return Checked(None, opened.diagnostics)
    return attempt(opened.value.folder, opened.value.received)


def opened_run(job: Job, run: str) -> Checked[Replay]:
    """Return a run that can be judged again."""
    opened = sealed_run(job, run)
    if opened.value is None:
        return Checked(None, opened.diagnostics)
    folder = opened.value
    try:
        replaying = Replay(
            job=as_begun(job, folder),
            folder=folder,
            judged=judged_by(folder),
            recorded=folder.load(REPORT, Report),
            given=folder.load(GIVEN, tuple[GivenFile, ...]),
        )
    except (OSError, ValueError) as error:
        return Checked(None, (unreadable(folder, error),))
    problems = tuple(replaying.obstacles())
    return Checked(None if problems else replaying, problems)


def judged_by(folder: RunFolder) -> Judged:
    """
    Return what a run was judged by.

    Raises:
        OSError: it can not be read.
        ValueError: it holds something else, such as a resource kind that is none.
    """
    judged = folder.load(PROGRAM, Judged)
    for name, kind in judged.catalogue.items():
        if problem := config.schema_problem(kind.item):
            raise ValueError(f"{PROGRAM}: {name}: {problem.removesuffix('.')}")
    return judged


def report(job: Job, run: str, *, gates: bool = False) -> Checked[Report]:
    """
    Return the report of a run as it was, and write it in the formats that are asked for.

    With *gates* its exit code and reason are by the gate that the job asks for, in place of those of the run.

    Where the job names frameworks, it is shown by their criteria, in place of those of the run.
    """
    frameworks = config.load_frameworks(to_load(job, choose=False))
    if frameworks.value is None:
        return Checked(None, frameworks.diagnostics)
    opened = sealed_run(job, run)
    if opened.value is None:
        return Checked(None, opened.diagnostics)
    folder = opened.value
    try:
        recorded = folder.load(REPORT, Report)
    except (OSError, ValueError) as error:
        return Checked(None, (unreadable(folder, error),))
    if frameworks.value:
        recorded = with_views(recorded, frameworks.value)
    if gates:
        code, reason = gate_of(job).conclude(recorded.verdicts, recorded.problems, recorded.waivers)
        recorded = replace(recorded, exit_code=code, exit_reason=reason)
    return _written(job, replace(recorded, root_digest=folder.root_digest))


def _written(job: Job, found: Report) -> Checked[Report]:
    paths = targets(job)
    problems = (*paths.diagnostics, *write_reports(found, paths.value or (), job, is_latest=False))
    return Checked(None if any(p.level is Level.ERROR for p in problems) else found, problems)


def sealed_run(job: Job, run: str) -> Checked[RunFolder]:
    """Return a run that came to its end and is as it was left."""
    found = find_run(job, run)
    if found.value is None:
        return found
    folder = found.value
    if not folder.is_sealed:
        detail = f"The run {folder.record.run_id} came to no end."
        problem = _problem(
            folder,
            "run.unfinished",
            "No end",
            detail,
            f"Go on with it: auditor resume {folder.record.run_id}",
        )
        return Checked(None, (problem,))
    if differences := runs.verify(folder.path):
        return Checked(None, (changed(folder, differences),))
    return Checked(folder)


@dataclass(slots=True, kw_only=True)
class Replay:
    """One run on its way to being judged again."""

    job: Job
    folder: RunFolder
    judged: Judged
    recorded: Report
    given: tuple[GivenFile, ...]
    _ends: dict[str, QueryEnd] = field(init=False, default_factory=dict)

    def obstacles(self) -> Iterable[Diagnostic]:
        """Yield what keeps the run from being judged again."""
        if self.folder.record.evidence != "full":
            yield _problem(
                self.folder,
                "replay.no-pages",
                "Nothing to judge again",
                f"The run was made with --evidence {self.folder.record.evidence}, and kept no pages.",
                f"See what it found: auditor report {self.folder.record.run_id}",
            )
        for given in self.given:
            try:
                if not Path(given.file).is_file():
                    raise FileNotFoundError(2, "there is no such file")
                with Path(given.file).open("rb") as stream:
                    same = hashlib.file_digest(stream, "sha256").hexdigest() == given.sha256
            except OSError as error:
                same, why = False, error.strerror or str(error)
            else:
                why = "it is another file than the one that was judged"
            if not same:
                yield _problem(
                    self.folder,
                    "replay.records-changed",
                    "Other records",
                    f"The run judged the records of {given.file}: {why}.",
                    "Put the file back, or run auditor check on the new one.",
                )

    def report(self) -> Report:
        """Judge the run again."""
        catalogue = self.judged.catalogue
        checks = tuple(
            check
            for check in self.judged.checks
            if not _is_sensitive(check) and not self._reads_redacted(check, catalogue)
        )
        program = Program(
            checks=checks,
            environments=(),
            digest=self.judged.plan.policy_digest,
            waivers=tuple(use.waiver for use in self.recorded.waivers),
        )
        names = {check.name for check in checks}
        queries = (
            replace(query, uses=tuple(use for use in query.uses if use.check in names))
            for query in self.judged.plan.queries
        )
        plan = replace(self.judged.plan, queries=tuple(query for query in queries if query.uses))
        day = self.recorded.waivers_as_of if self.job.waivers else None
        known = self._known()
        alike = partial(
            Audit, program, plan, catalogue, day=day, known=known.value or {}, engine=self.job.engine
        )
        audit = alike()
        asyncio.run(self._read(plan, audit, alike))
        found = {verdict.name: verdict for verdict in audit.finish(self._ends.values())}
        verdicts = tuple(self._verdict(before, found) for before in self.recorded.verdicts)
        problems = (
            *self.recorded.problems,
            *known.diagnostics,
            *self._deviations(verdicts),
            *self._policies_changed(),
        )
        waivers = audit.uses(verdicts)
        code, reason = gate_of(self.job).conclude(verdicts, problems, waivers)
        again = replace(
            self.recorded,
            verdicts=verdicts,
            asked=tuple(
                replace(asked, end=self._ends.get(asked.query.id, asked.end)) for asked in self.recorded.asked
            ),
            problems=problems,
            exit_code=code,
            exit_reason=reason,
            root_digest=self.folder.root_digest,
            waivers=waivers,
            waivers_as_of=day,
        )
        return with_views(again, map(framework_of, self.recorded.frameworks))

    def _known(self) -> Checked[Mapping[str, frozenset[str]]]:
        """Return what the run's baseline had found; where that is gone, it is a remark, and everything is new."""
        if self.job.baseline is None:
            return Checked({})
        from auditor.app.comparing import known

        found = known(self.job, self.job.baseline)
        remarks = tuple(problem.with_(level=Level.WARNING) for problem in found.diagnostics)
        return Checked(found.value, remarks)

    def received(self) -> Received:
        """Return the records of all queries, those of several queries once."""
        plan = self.judged.plan
        queries = {query.id: query for query in plan.queries}
        # In the order of the plan and of the records' texts, not in that in which the answers came.
        found: dict[str, dict[str, dict[str, JSON]]] = {}
        for query in plan.queries:
            found.setdefault(query.environment, {})[query.resource] = {}

        async def read() -> None:
            async with aclosing(self.events(plan)) as events:
                async for event in events:
                    if isinstance(event, Page) and event.query in queries:
                        query = queries[event.query]
                        found[query.environment][query.resource].update(
                            (json.dumps(record, sort_keys=True), record) for record in event.records
                        )

        asyncio.run(read())
        return Received(
            run_id=self.folder.record.run_id,
            as_of=plan.as_of,
            records={
                environment: {
                    kind: tuple(record for _, record in sorted(records.items()))
                    for kind, records in kinds.items()
                    if records
                }
                for environment, kinds in found.items()
                if any(kinds.values())
            },
        )

    async def _read(self, plan: Plan, audit: Audit, alike: Callable[..., Audit]) -> None:
        recorded = {asked.query.id: asked.end for asked in self.recorded.asked if asked.end is not None}
        received = await self._judged(plan, audit, alike) if self.given else self.events(plan)
        async with aclosing(received) as events:
            async for event in events:
                if isinstance(event, Page):
                    audit.add(event)
                else:
                    self._ends[event.query] = _as_recorded(event, recorded.get(event.query))
        for query, end in recorded.items():
            self._ends.setdefault(query, end)

    async def _judged(
        self, plan: Plan, audit: Audit, alike: Callable[..., Audit]
    ) -> AsyncGenerator[Page | QueryEnd]:
        """Judge the files that are not held, and return what is left to judge."""
        catalogue, processes = self.judged.catalogue, self.job.processes
        given = lines.read(self._options, catalogue, processes).value or {}
        judged = await lines.judge(given, plan, catalogue, audit, alike=alike, processes=processes)
        return fetcher.given(plan, catalogue, judged)

    def events(self, plan: Plan) -> AsyncGenerator[Page | QueryEnd]:
        """Return what the run received for a plan that is its own, or less."""
        catalogue = self.judged.catalogue
        if self.given:
            read = config.read_records(self._options, catalogue)
            return fetcher.given(plan, catalogue, read.value or {})
        environments = {
            planned.name: Environment(name=planned.name, id=planned.id, api_url=planned.api_url)
            for planned in plan.environments
        }
        settings = fetcher.Settings(
            clock=lambda: self.recorded.finished_at,
            user_agent=f"auditor/{__version__}",
            archive=self.folder.archive(sealed=True),
        )
        return fetcher.fetch(plan, catalogue, environments, settings)

    @property
    def _options(self) -> list[str]:
        """The records that were given, as on a command line."""
        return [f"{given.kind}={given.file}" for given in self.given]

    def _verdict(self, before: Verdict, found: Mapping[str, Verdict]) -> Verdict:
        """Return the verdict of a check as it was found now, with what only the run could know."""
        now = found.get(before.name)
        if now is not None:
            return replace(now, location=before.location, elapsed_s=before.elapsed_s)
        sensitive = {check.name for check in self.judged.checks if _is_sensitive(check)}
        code, reason = (
            ("replay.sensitive", "The check rests on a sensitive value, and no run keeps any.")
            if before.name in sensitive
            else ("replay.redacted", "The check reads a field for which pseudonyms stand in this run.")
        )
        return replace(
            before,
            status=Status.ERROR,
            code=code,
            reason=reason,
            help="Judge it by a run: auditor check"
            if before.name in sensitive
            else "Judge the run that this one was made from again.",
            outcomes=(),
            exceptions=0,
        )

    def _reads_redacted(self, check: CompiledCheck, catalogue: Catalogue) -> bool:
        redacted = self.folder.record.redacted
        if not redacted:
            return False
        read = {path for paths in fields_of_check(check, catalogue).values() for path in paths}
        return any(_overlap(one, other) for one in read for other in redacted)

    def _deviations(self, verdicts: Iterable[Verdict]) -> Iterable[Diagnostic]:
        before = {verdict.name: verdict for verdict in self.recorded.verdicts}
        for verdict in verdicts:
            was = before[verdict.name]
            if verdict.code not in ("replay.sensitive", "replay.redacted") and _essence(verdict) != _essence(
                was
            ):
                yield _problem(
                    self.folder,
                    "replay.differs",
                    "Another verdict",
                    f"{verdict.name} was {was.status.word} ({was.code}, {was.exceptions} exceptions) and is "
                    f"{verdict.status.word} ({verdict.code}, {verdict.exceptions} exceptions) now.",
                    f"The run was made by auditor {self.recorded.tool_version}, this is {__version__}; "
                    "if that is the same, please report it.",
                )

    def _policies_changed(self) -> Iterable[Diagnostic]:
        """Yield a warning where the policies at hand are others than those that the run was judged by."""
        saved = read_plan(self.folder.path / PLAN, PLAN)
        again = saved.value.job(self.job) if saved.value is not None else Checked(None)
        if again.value is None:
            return
        compiled = validate(again.value)
        if any(problem.code == "project.not-found" for problem in compiled.diagnostics):
            return
        now = compiled.value.program.digest if compiled.value is not None else None
        if now == self.judged.plan.policy_digest:
            return
        how = f"are {now}" if now else "have mistakes"
        yield _problem(
            self.folder,
            "replay.policies-changed",
            "Policies have changed",
            f"The run was judged by policies {self.judged.plan.policy_digest}; those at hand {how}. It was "
            "judged again by its own.",
            "To judge by those at hand, run auditor check.",
            Level.WARNING,
        )


def _as_recorded(end: QueryEnd, was: QueryEnd | None) -> QueryEnd:
    """Return the end of a query that was read again, with what it took, and the failure that it had."""
    if was is None:
        return end
    return replace(
        was,
        failure=was.failure or end.failure,
        assurance=None if was.failure else end.assurance,
        pages=end.pages,
        records=end.records,
        duplicates=end.duplicates,
        slices=end.slices,
        fallback=end.fallback,
        count=end.count,
        first=end.first,
        last=end.last,
    )


def _overlap(one: str, other: str) -> bool:
    """Tell whether one of two dotted paths leads to the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _is_sensitive(check: CompiledCheck) -> bool:
    return any(value.sensitive for value in check.values.values())


def _essence(verdict: Verdict) -> tuple[object, ...]:
    """Return what makes a verdict the same one."""
    return (
        verdict.status,
        verdict.code,
        verdict.population,
        verdict.exceptions,
        verdict.undecided,
        tuple(
            (outcome.status, outcome.code, outcome.observed, tuple(v.fingerprint for v in outcome.violations))
            for outcome in verdict.outcomes
        ),
    )


def _problem(
    folder: RunFolder, code: str, summary: str, detail: str, help: str = "", level: Level = Level.ERROR
) -> Diagnostic:
    return Diagnostic(
        code=code, summary=summary, detail=detail, help=help, subject=folder.record.run_id, level=level
    )
