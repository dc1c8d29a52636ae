"""Jobs without a tenant: what a command line asks for, checked and planned offline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from auditor import __version__, config
from auditor.app.clock import wall_clock
from auditor.model.diagnostic import Checked, Diagnostic, Level
from auditor.model.instant import CalendarError, Window, parse_instant
from auditor.model.secret import Concealed
from auditor.model.value import JSON, parse_json

if TYPE_CHECKING:
    from auditor.app.lines import Given
    from auditor.model.environment import Environment
    from auditor.model.plan import Count, Inputs, Plan
    from auditor.model.policy import Severity
    from auditor.model.project import Project
    from auditor.model.query import Engine, Program, Pushdown
    from auditor.model.resource import Catalogue
    from auditor.model.verdict import Privacy
    from auditor.reporter import JUnitFlavor
    from auditor.runs import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A tenant of the built-in simulator: made from `seed` and `events`, or serving a file of events as it is."""

    seed: int = 1
    events: int = 5_000
    activities: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a command line asks for, as plain values."""

    folder: Path
    environ: Mapping[str, str]
    paths: Sequence[str] = ()
    environments: Sequence[str] = ()
    variables: Sequence[tuple[str, str]] = ()
    allow_hosts: Sequence[str] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    """Texts that are read instead of files of the folder, by name."""
    as_of: str | None = None
    pushdown: Pushdown = "documented"
    merge: bool = True
    stats: str | None = None
    """A JSON report of an earlier run, whose counts tell what there is to read."""
    counts: tuple[Count, ...] = ()
    """Counts that are known already."""
    records: Sequence[str] = ()
    frameworks: Sequence[str] = ()
    """Names of frameworks that the verdicts are shown by, and that select the checks."""
    simulation: Simulation | None = None
    rates: Sequence[str] = ()
    max_requests: int | None = None
    max_duration: str | None = None
    """A duration after which no further request is sent."""
    resume: str | None = None
    """A run that is to go on: its folder, its id, or `latest` for the latest that came to no good end."""
    baseline: str | None = None
    """A run whose violations are known, so that they stop nothing."""
    sign_key: str | None = None
    """The file of a private key that the run is signed with."""
    evidence: Evidence = "full"
    """What is kept of the run."""
    engine: Engine = "compiled"
    """What evaluates expressions."""
    processes: int | None = None
    """How many processes may judge given files side by side; None for one on each core."""
    reports: Sequence[str] = ()
    privacy: Privacy | None = None
    """How personal fields appear in every report; None where each format decides."""
    junit_flavor: JUnitFlavor = "strict"
    checks: Sequence[str] = ()
    """With `tags` and `controls`, which checks it is about: see `auditor.app.selection`."""
    tags: Sequence[str] = ()
    controls: Sequence[str] = ()
    fail_on: Severity | None = None
    soft_fail: bool = False
    waivers: bool = True
    """Whether waivers are applied."""
    strict_waivers: bool = False
    concealed: Concealed = field(default_factory=Concealed)
    """What nothing that the job says may show; it grows while the job is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Policies that are ready to be planned."""

    project: Project
    program: Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan with the policies that it is made from."""

    project: Project
    program: Program
    plan: Plan
    given: Given | None = None


def valid(job: Job) -> Checked[config.Validated]:
    """
    Say what of a project is valid, as `validate` finds it; from memory where nothing has changed since.

    No verdict rests on that: what is planned or checked is always loaded and compiled.
    """
    request = to_load(job, choose=False)
    if (known := config.recall(request)) is not None:
        return Checked(known)
    checked = validate(job, digests=False, tests=True)
    if checked.value is None:
        return Checked(None, checked.diagnostics)
    checks = checked.value.program.checks
    found = config.Validated(
        checks=len({(check.pack, check.id) for check in checks}),
        packs=tuple(sorted({check.pack for check in checks})),
    )
    if not checked.diagnostics:
        config.remember(request, checked.value.project, found)
    return Checked(found, checked.diagnostics)


def to_load(job: Job, *, choose: bool) -> config.Request:
    """Return what a job asks to be loaded; *choose* demands that one of several environments is named."""
    allowed = job.environ.get("AUDITOR_ALLOW_HOSTS", "").replace(",", " ").split()
    return config.Request(
        folder=job.folder,
        paths=job.paths,
        variables=job.variables,
        environ=job.environ,
        environments=job.environments,
        choose=choose,
        allow_hosts=(*job.allow_hosts, *allowed),
        frameworks=job.frameworks,
        texts=job.texts,
    )


def validate(
    job: Job,
    *,
    choose: bool = False,
    tenant: Environment | None = None,
    digests: bool = True,
    tests: bool = False,
) -> Checked[Prepared]:
    """
    Check everything that can be checked offline: every mistake of every file, in one call.

    *choose* demands that one of several environments is named; *tenant* answers in place of every one. Without
    *digests* the program is only good for being valid. With *tests*, the tests of the policies are checked too.
    """
    from auditor import compiler

    request = to_load(job, choose=choose)
    loaded = config.load_readable(request)
    project = loaded.value
    if project is None:
        return Checked(None, loaded.diagnostics)
    suite = config.load_tests(request, project, reads_records=False) if tests else None
    if suite is not None and suite.value is not None:
        project = replace(project, sources={**suite.value.sources, **project.sources})
        loaded = Checked(project, (*loaded.diagnostics, *suite.diagnostics))
    if tenant is not None:
        instead = tuple(replace(tenant, name=environment.name) for environment in project.environments)
        project = replace(project, environments=instead)
    # What is sound is compiled also where something else is not, so that one run finds every mistake.
    compiled = compiler.compile(project, pushdown=job.pushdown, digests=digests)
    found = (problem for problem in compiled.diagnostics if not _may_be_declared(problem, project))
    diagnostics = config.located((*loaded.diagnostics, *found), project.sources)
    if compiled.value is None or loaded.errors:
        return Checked(None, diagnostics)
    if not compiled.value.checks:
        nothing = Diagnostic(
            code="policy.nothing-selected",
            summary="No check",
            detail="No policy with a check is selected, so nothing would be examined.",
            help="Name policies on the command line, or list them in auditor.yaml.",
        )
        return Checked(None, (*diagnostics, nothing))
    return Checked(Prepared(project=project, program=compiled.value), diagnostics)


def _may_be_declared(problem: Diagnostic, project: Project) -> bool:
    """Tell whether a mistake is a value that is declared nowhere, in a pack of which a file is unread."""
    if problem.address is None or not problem.code.endswith(".unknown-placeholder"):
        return False
    return any(pack.id in project.incomplete and problem.address.file in pack.files for pack in project.packs)


def plan(
    job: Job, now: datetime | None = None, tenant: Environment | None = None, *, choose: bool = True
) -> Checked[Planned]:
    """Say exactly what a run would ask, without asking anything; *choose* and *tenant* as in `validate`."""
    prepared = validate(job, choose=choose and not job.records, tenant=tenant)
    if prepared.value is None:
        return Checked(None, prepared.diagnostics)
    from auditor.app.selection import Selection

    project = prepared.value.project
    selection = Selection(checks=job.checks, tags=job.tags, controls=job.controls, frameworks=job.frameworks)
    selected = selection.apply(prepared.value.program)
    problems = [*prepared.diagnostics, *selected.diagnostics]
    given: Checked[Given] | None = None
    if job.records:
        from auditor.app.lines import read

        given = read(job.records, project.catalogue, job.processes)
        problems += given.diagnostics
    as_of = _as_of(job, given.value if given else None, project.catalogue, now or wall_clock())
    problems += as_of.diagnostics
    counted = counts_of(job)
    problems += counted.diagnostics
    program = selected.value
    if program is None or as_of.value is None or any(problem.level is Level.ERROR for problem in problems):
        return Checked(None, tuple(problems))
    from auditor import planner

    counts = (*job.counts, *(counted.value or ()))
    try:
        made = planner.plan(
            program,
            project.catalogue,
            as_of=as_of.value,
            tool_version=__version__,
            merge=job.merge,
            given=given is not None,
            counts=counts,
        )
    except CalendarError as error:
        return Checked(None, (*problems, _bad_instant(error)))
    made = replace(made, inputs=_inputs(job, project, counts))
    planned = Planned(project=project, program=program, plan=made, given=given.value if given else None)
    return Checked(planned, tuple(problems))


def _inputs(job: Job, project: Project, counts: tuple[Count, ...]) -> Inputs:
    """Return what the command line says of a plan; a sensitive value has to be given again."""
    sensitive = {
        name
        for pack in project.packs
        for file in pack.files.values()
        for name, variable in file.variables.items()
        if variable.sensitive
    }
    kept = (
        (option, text)
        for option, text in job.variables
        if option != "--var" or text.partition("=")[0].rpartition(".")[2] not in sensitive
    )
    from auditor.model.plan import Inputs

    return Inputs(
        paths=tuple(job.paths),
        environments=tuple(job.environments),
        variables=tuple(kept),
        pushdown=job.pushdown,
        merge=job.merge,
        counts=counts,
        checks=tuple(job.checks),
        tags=tuple(job.tags),
        controls=tuple(job.controls),
        frameworks=tuple(job.frameworks),
    )


def counts_of(job: Job) -> Checked[tuple[Count, ...]]:
    """Return the counts of the report that a job names, if it names one."""
    if job.stats is None:
        return Checked(())
    try:
        report = parse_json((job.folder / job.stats).read_bytes())
        counts = tuple(
            _count(asked) for asked in report["asked"] if asked["end"] and not asked["end"]["failure"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = Diagnostic(
            code="option.bad-stats",
            summary="No counts",
            detail=f"The file {job.stats} holds no counts: {type(error).__name__}: {error}.",
            help="Name the JSON report of an earlier run: auditor check --report json=FILE",
            subject="--stats",
        )
        return Checked(None, (problem,))
    return Checked(counts)


def _count(asked: JSON) -> Count:
    from auditor.model.plan import Count

    query = asked["query"]
    window = query["window"]
    return Count(
        environment=str(query["environment"]),
        resource=str(query["resource"]),
        filter=str(query["filter"]),
        window=Window(parse_instant(window["start"]), parse_instant(window["end"])) if window else None,
        records=int(asked["end"]["records"]),
    )


def instant_of(job: Job) -> Checked[datetime]:
    """Return the instant that the job itself names, if it does."""
    if job.as_of is None:
        return Checked(None)
    try:
        return Checked(parse_instant(job.as_of))
    except ValueError as error:
        return Checked(None, (_bad_instant(error),))


def _bad_instant(error: ValueError) -> Diagnostic:
    return Diagnostic(
        code="option.bad-instant",
        summary="Bad instant",
        detail=f"{error}.",
        help="Write it as 2026-11-21T09:00:00Z.",
        subject="--as-of",
    )


def _as_of(job: Job, given: Given | None, catalogue: Catalogue, now: datetime) -> Checked[datetime]:
    """Return the instant that windows count from: as told, just after the newest given record, or now."""
    if job.as_of is not None:
        return instant_of(job)
    if given is None:
        # A plan is written with milliseconds; one that is made again from it must be the same.
        return Checked(now.replace(microsecond=now.microsecond // 1_000 * 1_000))
    newest = max(instants(given, catalogue), default=None)
    return Checked(newest + timedelta(milliseconds=1) if newest else now)


def instants(given: Given, catalogue: Catalogue) -> Iterator[datetime]:
    """Yield the instants of given records, at which buckets end: of those that are not held, the newest."""
    for name, records in given.items():
        kind = catalogue[name]
        path = kind.buckets.end if kind.buckets else kind.instant
        if not isinstance(records, tuple):
            if records.last is not None:
                yield records.last
            continue
        for record in records:
            with suppress(ValueError):  # the reader of the records says what is wrong with them
                if path and isinstance(record.get(path), str):
                    yield parse_instant(record[path])


def bad_option(option: str, text: str, help: str) -> Diagnostic:
    """Return the mistake of an option's value; *help* shows a right one."""
    return Diagnostic(
        code="option.bad-value",
        summary="Bad option",
        detail=f'"{text}" is no value of {option}.',
        help=f"Write {help}.",
        subject=option,
    )
