"""The main job: plan, read, evaluate, report."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Final

from auditor import __version__, config, fetcher, scim
from auditor.app import lines
from auditor.app.attesting import sign, sign_key
from auditor.app.clock import new_run_id, wall_clock
from auditor.app.documents import targets, write_reports
from auditor.app.evidence import (
    Digests,
    Resumed,
    asked_again,
    begin,
    find_run,
    finish,
    locked,
    not_writable,
    resumed,
)
from auditor.app.frameworks import with_views
from auditor.app.gate import gate_of
from auditor.app.jobs import Job, Planned, bad_option, instant_of, plan
from auditor.app.provenance import provenance
from auditor.app.saved import SavedPlan, saved_plan
from auditor.app.simulation import Tenant, make_world, port_taken, tenant
from auditor.app.watch import Event
from auditor.evaluator import Audit, OnViolation
from auditor.model.diagnostic import Checked, Diagnostic, Level, did_you_mean
from auditor.model.evidence import Failure, Page, QueryEnd, due_probes
from auditor.model.instant import Duration
from auditor.model.plan import PlannedQuery
from auditor.model.project import Project
from auditor.model.provenance import Provenance
from auditor.model.query import Program, kinds_of
from auditor.model.verdict import Asked, Report, Status, VariableUse, Verdict
from auditor.model.waiver import WaiverUse
from auditor.runs import Archive, Reopened, RunFolder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

INTERRUPTED: Final = 130
"""The exit code of a run that was interrupted."""


def check(job: Job, on_event: Callable[[Event], None] = lambda _: None) -> Report:
    """
    Do the main job: plan, read, evaluate, and write the reports that are asked for.

    Result: the report, whatever happened; mistakes and failures are in it, and so is the exit code. The JUnit
    document is written in any case, to the data folder and wherever the job says. SIGTERM, with which jobs of a
    CI system are cancelled, ends a run like Ctrl-C.
    """
    started = wall_clock()
    run = _Run(job=job, started=started, run_id=new_run_id(started))
    paths = targets(job)
    try:
        with _terminable(run):
            report = run.report(paths.diagnostics, on_event)
    except KeyboardInterrupt:
        report = run.broken_off()
    except Exception as error:
        broken = run.concluded((), (_bug(error),))
        write_reports(broken, paths.value or (), job)
        raise
    problems = write_reports(report, paths.value or (), job)
    if not problems:
        return report
    return _with_problems(report, problems, job)


def _with_problems(report: Report, problems: Iterable[Diagnostic], job: Job) -> Report:
    """Return a report with further problems, and what it counts as with them."""
    problems = (*report.problems, *problems)
    code, reason = gate_of(job).conclude(report.verdicts, problems, report.waivers)
    return replace(report, problems=problems, exit_code=code, exit_reason=reason)


@contextmanager
def _terminable(run: _Run) -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does; only the main thread may be told of signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, run.interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _bug(error: Exception) -> Diagnostic:
    return Diagnostic(
        code="internal.error",
        summary="The auditor broke off",
        detail=f"{type(error).__name__}: {error}",
        help="This is a bug of the auditor; please report it with the message above.",
    )


# No `repr`: `signal` makes one of whom it calls, and that would be all records.
@dataclass(slots=True, kw_only=True, repr=False)
class _Run:
    """One run of the main job on its way to a report."""

    job: Job
    started: datetime
    run_id: str
    resumed: Resumed | None = None
    planned: Planned | None = None
    folder: RunFolder | None = None
    digests: Digests | None = None
    ends: dict[str, QueryEnd] = field(default_factory=dict)
    reading: asyncio.Task[None] | None = None
    interrupted: bool = False
    known: Mapping[str, frozenset[str]] = field(default_factory=dict)
    day: date | None = None
    waivers: tuple[WaiverUse, ...] = ()

    def report(self, problems: tuple[Diagnostic, ...], on_event: Callable[[Event], None]) -> Report:
        rates, bound = _rates(self.job), _max_duration(self.job)
        saved = self._saved()
        key = sign_key(self.job, self.job.sign_key) if self.job.sign_key else Checked(None)
        problems += (
            rates.diagnostics + bound.diagnostics + saved.diagnostics + self._learn() + key.diagnostics
        )
        if saved.errors:
            return self.concluded((), problems)
        as_of = instant_of(self.job)
        world = None
        if self.job.simulation is not None and not self.job.records:
            world_at = self.resumed.world_at if self.resumed else as_of.value or self.started
            made = make_world(self.job.simulation, world_at)
            problems, world = problems + made.diagnostics, made.value
            if world is None:
                return self.concluded((), problems)
        with ExitStack() as stack:
            try:
                port = self.resumed.port if self.resumed else 0
                answering = stack.enter_context(tenant(world, as_of.value, self.started, port))
            except OSError as error:
                return self.concluded((), (*problems, port_taken(error)))
            problems += self._plan(answering, saved.value) + self._nobodys_rates(rates.value or {})
            if self.planned is None or any(problem.level is Level.ERROR for problem in problems):
                return self.concluded((), problems)
            begun = self._begin(stack)
            problems += begun.diagnostics
            if begun.value is None:
                return self.concluded((), problems)
            settings = fetcher.Settings(
                clock=answering.clock,
                user_agent=f"auditor/{__version__}",
                run_id=self.run_id,
                rates={**answering.rates, **(rates.value or {})},
                max_requests=self.job.max_requests,
                max_duration_s=bound.value,
                concealed=self.job.concealed,
                archive=begun.value,
            )
            on_event(self.planned.plan)
            verdicts = self._judged(settings, on_event)
            return self._finished(self.concluded(verdicts, problems), key.value)

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        """
        End the run before its time: what is being read is let go in order.

        Raises:
            KeyboardInterrupt: nothing is being read.
        """
        if self.reading is None:
            raise KeyboardInterrupt
        self.reading.get_loop().call_soon_threadsafe(self.reading.cancel)

    def broken_off(self) -> Report:
        """Return the report of a run that was interrupted while nothing was read, so that there are no verdicts."""
        self.interrupted = True
        problem = Diagnostic(
            code="evidence.interrupted",
            summary="Interrupted",
            detail="The run was interrupted, and judged nothing.",
            help=self._onward,
        )
        return self.concluded((), (problem,))

    @property
    def _onward(self) -> str:
        """What to do after an interruption."""
        if self.folder is None or self.job.records:  # nothing was asked that need not be asked again
            return "Start again: auditor check"
        return f"Go on with it: auditor resume {self.run_id}"

    def _learn(self) -> tuple[Diagnostic, ...]:
        """Take in what is known of an earlier run, where only what is new is to count; return what is wrong with it."""
        if self.job.baseline is None:
            return ()
        from auditor.app.comparing import known

        named = find_run(self.job, self.job.baseline).value
        if self.resumed is not None and named is not None and named.record.run_id == self.run_id:
            # All that it found before it stopped would be known.
            return (bad_option("--baseline", self.job.baseline, "--baseline RUN, which is another run"),)
        found = known(self.job, self.job.baseline)
        self.known = found.value or {}
        return found.diagnostics

    def _saved(self) -> Checked[SavedPlan]:
        """Return the plan that is to be run as it was made, and take over what it was made with."""
        resuming = resumed(self.job)
        if resuming.value is not None:
            self.resumed = resuming.value
            self.run_id, self.started = (
                self.resumed.folder.record.run_id,
                self.resumed.folder.record.started_at,
            )
            saved: Checked[SavedPlan] = Checked(self.resumed.saved)
        else:
            saved = saved_plan(self.job) if not resuming.errors else Checked(None, resuming.diagnostics)
        if saved.value is None:
            return saved
        again = saved.value.job(self.job)
        if again.value is None:
            return Checked(None, (*saved.diagnostics, *again.diagnostics))
        self.job = again.value
        if self.resumed is not None:
            self.job = self.resumed.job(self.job)
        return Checked(saved.value, (*saved.diagnostics, *again.diagnostics))

    def _plan(self, answering: Tenant, saved: SavedPlan | None) -> tuple[Diagnostic, ...]:
        """Make the plan; return what is wrong, and whether it is another one than the plan that was saved."""
        now = answering.clock()
        checked = plan(self.job, now, answering.simulated)
        self.planned = checked.value
        if saved is None or checked.value is None:
            return checked.diagnostics
        if self.resumed is not None:
            return (*checked.diagnostics, *saved.deviations(checked.value.plan, None))
        # The simulator stands in for the tenant that was planned for.
        meant = plan(self.job, now) if answering.simulated else checked
        return (
            *checked.diagnostics,
            *(saved.deviations(meant.value.plan, now) if meant.value is not None else ()),
        )

    def _nobodys_rates(self, rates: Mapping[str, float]) -> tuple[Diagnostic, ...]:
        """Return the mistakes of rates that would slow nothing down."""
        kinds = self.planned.project.catalogue.values() if self.planned else ()
        known = {name for kind in kinds for name in (kind.kind, kind.rate.group)}
        return tuple(
            problem.with_(help=did_you_mean(name, known) or problem.help)
            for name in rates
            if known and name not in known
            for problem in (bad_option("--rate", name, "--rate activities=10/s"),)
        )

    def _begin(self, stack: ExitStack) -> Checked[Archive]:
        """Make the folder of the run, or open that of the run that goes on, and keep others from it."""
        assert self.planned is not None  # noqa: S101  # its only caller has looked
        if self.resumed is not None:
            begun: Checked[RunFolder] = Checked(self.resumed.folder)
        else:
            begun = begin(self.job, self.planned, self.run_id, self.started)
        if begun.value is None:
            return Checked(None, begun.diagnostics)
        try:
            stack.enter_context(begun.value.locked())
            before = begun.value.root_digest
            begun.value.unseal()
            archive = begun.value.archive()
            if before is not None:
                archive.note(Reopened(root_digest=before))
        except BlockingIOError:
            return Checked(None, (locked(begun.value),))
        except OSError as error:
            return Checked(None, (not_writable(self.job, error),))
        self.folder, self.digests = begun.value, Digests.of(self.job)
        return Checked(archive, asked_again(begun.value, archive))

    def _judged(self, settings: fetcher.Settings, on_event: Callable[[Event], None]) -> tuple[Verdict, ...]:
        assert self.planned is not None  # noqa: S101  # its only caller has looked
        assert self.folder is not None  # noqa: S101  # made by the same caller
        # By the clock, whatever --as-of says: no window makes a waiver hold that has expired.
        self.day = settings.clock().date() if self.job.waivers else None
        with self.folder.violations() as on_violation:
            alike = partial(
                Audit,
                self.planned.program,
                self.planned.plan,
                # Not the whole catalogue: processes of their own would begin by reading kinds.
                kinds_of(self.planned.program.checks, self.planned.project.catalogue),
                day=self.day,
                known=self.known,
                engine=self.job.engine,
            )
            audit = alike(on_violation=on_violation)
            try:
                asyncio.run(self._read(audit, alike, on_violation, settings, on_event))
            except (KeyboardInterrupt, asyncio.CancelledError):
                self.interrupted = True
            finally:
                self.reading = None
            return self._verdicts(audit)

    def _verdicts(self, audit: Audit) -> tuple[Verdict, ...]:
        assert self.planned is not None  # noqa: S101  # its only caller has looked
        made = self.planned.plan
        # Only what was interrupted has no end, be it the probe that tells an empty answer from a silent log.
        for query in made.queries:
            self.ends.setdefault(query.id, _interrupted(query, self._onward))
        for probe in due_probes(made, self.ends):
            self.ends.setdefault(probe.id, _interrupted(probe, self._onward))
        verdicts = audit.finish(self.ends.values())
        self.waivers = audit.uses(verdicts)
        return tuple(_located(verdict, self.planned.project) for verdict in verdicts)

    def _finished(self, report: Report, key: Ed25519PrivateKey | None) -> Report:
        """Leave the report in the folder of the run, and return it with the root digest."""
        if self.folder is None or self.digests is None:
            return report
        try:
            root = finish(self.folder, report, self.digests.made())
            if key is not None:
                sign(self.folder, report, key)
        except OSError as error:
            return _with_problems(report, (not_writable(self.job, error),), self.job)
        return replace(report, root_digest=root)

    async def _read(
        self,
        audit: Audit,
        alike: Callable[..., Audit],
        on_violation: OnViolation | None,
        settings: fetcher.Settings,
        on_event: Callable[[Event], None],
    ) -> None:
        assert self.planned is not None  # noqa: S101  # set by the only caller's caller
        self.reading = asyncio.current_task()
        given = self.planned.given
        if given is not None:
            given = await lines.judge(
                given,
                self.planned.plan,
                self.planned.project.catalogue,
                audit,
                alike=alike,
                on_violation=on_violation,
                folder=self.folder,
                processes=self.job.processes,
            )
        async with aclosing(self._events(settings, given)) as events:
            async for event in events:
                if isinstance(event, Page):
                    audit.add(event)
                else:
                    self.ends[event.query] = event
                on_event(event)

    def _events(
        self, settings: fetcher.Settings, given: lines.Given | None
    ) -> AsyncGenerator[Page | QueryEnd]:
        assert self.planned is not None  # noqa: S101  # set by the only caller's caller
        project, made = self.planned.project, self.planned.plan
        if given is not None:
            return fetcher.given(made, project.catalogue, given)
        environments = {environment.name: environment for environment in project.environments}
        return fetcher.fetch(made, project.catalogue, environments, settings)

    def concluded(self, verdicts: tuple[Verdict, ...], problems: tuple[Diagnostic, ...]) -> Report:
        code, reason = gate_of(self.job).conclude(verdicts, problems, self.waivers)
        if self.interrupted:
            code, reason = INTERRUPTED, f"interrupted. {self._onward}"
        made = self.planned.plan if self.planned else None
        report = Report(
            tool_version=__version__,
            run_id=self.run_id,
            started_at=self.started,
            finished_at=wall_clock(),
            as_of=made.as_of if made else None,
            policy_digest=made.policy_digest if made else None,
            environments=made.environments if made else (),
            verdicts=verdicts,
            asked=tuple(
                Asked(
                    query=query,
                    filter=scim.fill_window(query.filter, query.window),
                    end=self.ends.get(query.id),
                )
                for query in (made.queries if made else ())
            )
            + tuple(
                Asked(query=probe, filter=scim.fill_window(probe.filter, probe.window), end=end)
                for probe in (made.probes if made else ())
                if (end := self.ends.get(probe.id)) is not None
            ),
            variables=_variables(self.planned.program) if self.planned else (),
            problems=problems,
            exit_code=code,
            exit_reason=reason,
            given=tuple(self.job.records),
            simulated=self.job.simulation is not None and not self.job.records,
            provenance=self._provenance(),
            waivers=self.waivers,
            waivers_as_of=self.day,
        )
        return with_views(report, self.planned.project.frameworks) if self.planned else report

    def _provenance(self) -> Provenance:
        folder, environ = self.job.folder, self.job.environ
        if self.planned is None:
            return provenance(folder, environ)
        project = self.planned.project
        asked = project.environments if self.planned.given is None else ()
        return provenance(folder, environ, project.sources, asked)


def _interrupted(query: PlannedQuery, help: str) -> QueryEnd:
    return QueryEnd(
        query=query.id,
        failure=Failure(
            code="evidence.interrupted",
            reason="The run was interrupted before everything was read.",
            help=help,
        ),
        assurance=None,
    )


def _located(verdict: Verdict, project: Project) -> Verdict:
    """Return a verdict with the line of its check, for those that a person will look up."""
    if verdict.status <= Status.PASS or verdict.address is None:
        return verdict
    pointer = Diagnostic(code="", summary="", address=verdict.address.key())
    return replace(verdict, location=config.located((pointer,), project.sources)[0].location)


def _variables(program: Program) -> tuple[VariableUse, ...]:
    used = {}
    for compiled in (check for check in program.checks if check.excluded is None):
        for name, value in compiled.values.items():
            use = VariableUse(
                environment=compiled.environment,
                pack=compiled.pack,
                name=name.removeprefix("var."),
                value=None if value.sensitive else value.json,
                origin=value.origin,
                sensitive=value.sensitive,
            )
            used[use.environment, use.pack, use.name] = use
    return tuple(used[key] for key in sorted(used))


def _max_duration(job: Job) -> Checked[float]:
    """Read `--max-duration 10m` as seconds."""
    if job.max_duration is None:
        return Checked(None)
    try:
        duration = Duration.parse(job.max_duration)
    except ValueError:
        duration = Duration(months=1)
    if duration.months:
        return Checked(None, (bad_option("--max-duration", job.max_duration, "--max-duration 10m"),))
    return Checked(float(duration.seconds))


def _rates(job: Job) -> Checked[Mapping[str, float]]:
    """Read `--rate activities=10/s` and `--rate rlgAnalyticsRpm=60/m`."""
    rates: dict[str, float] = {}
    problems = []
    for text in job.rates:
        name, _, rate = text.partition("=")
        number, _, unit = rate.partition("/")
        try:
            rates[name] = float(number) / {"s": 1, "m": 60, "min": 60, "h": 3600}[unit or "s"]
            if not name or not 0 <= rates[name] < float("inf"):
                raise ValueError
        except (ValueError, KeyError):
            problems.append(bad_option("--rate", text, "--rate activities=10/s"))
    return Checked(rates, tuple(problems))
