"""`auditor test`: policies on given records, through the stages of a run."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path

from auditor import __version__, compiler, config, fetcher, planner, tester
from auditor.app.documents import write
from auditor.app.jobs import Job, bad_option, instants
from auditor.app.replaying import Received, received
from auditor.evaluator import Audit
from auditor.model.diagnostic import Checked, Diagnostic, Level
from auditor.model.environment import Environment
from auditor.model.evidence import Page, QueryEnd
from auditor.model.plan import Plan
from auditor.model.policy import PolicyFile
from auditor.model.policy_test import TestCase, TestedPolicy, TestSuite
from auditor.model.project import Project
from auditor.model.query import CompiledCheck, Program
from auditor.model.resource import Catalogue
from auditor.model.source import Address
from auditor.model.testing import (
    KINDS,
    CheckCoverage,
    Kind,
    Mutation,
    Survivor,
    TestReport,
    TestResult,
)
from auditor.model.value import JSON, Values
from auditor.model.verdict import Verdict
from auditor.model.wording import quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class TestJob:
    """What a command line asks to be tested."""

    __test__ = False  # pytest takes every class that is called Test… for its own

    folder: Path
    environ: Mapping[str, str]
    paths: Sequence[str] = ()
    filter: str = ""
    """Part of the names of the tests that run: `FILE: CHECK: NAME`."""
    coverage: bool = False
    mutate: bool = False


def run_tests(
    job: TestJob, on_mutation: Callable[[int, int, str], None] = lambda _number, _total, _check: None
) -> TestReport:
    """
    Run the tests of policies, each through the same stages as a run of the auditor.

    Result: the report, whatever happened; mistakes are in it, and so is the exit code. *on_mutation* is told which
    check is about to be changed, as the first, second, … of how many: that can take a while.
    """
    request = config.Request(folder=job.folder, paths=job.paths, environ=job.environ)
    loaded = config.load_tests(request)
    if loaded.value is None:
        return _concluded((), loaded.diagnostics, None, None)
    with asyncio.Runner() as runner:
        run = _Run(loaded.value, job, runner)
        return _tested(run, loaded.value, loaded.diagnostics, on_mutation)


def _tested(
    run: _Run,
    suite: TestSuite,
    diagnostics: tuple[Diagnostic, ...],
    on_mutation: Callable[[int, int, str], None],
) -> TestReport:
    job, results = run.job, tuple(run.results())
    problems = [*diagnostics, *run.problems]
    if not results and not problems:
        problems.append(_no_tests(job, suite))
    located = config.located(problems, suite.sources)
    coverage = run.coverage() if job.coverage else None
    mutation = run.mutation(on_mutation) if job.mutate else None
    return _concluded(results, located, coverage, mutation)


def test_targets(reports: Sequence[str]) -> Checked[tuple[tuple[str, str], ...]]:
    """Read the options `--report junit=tests.xml` as formats and paths; `-` is standard output."""
    found: dict[str, str] = {}
    problems = []
    for text in reports:
        name, _, path = text.partition("=")
        if name not in TEST_FORMATS or not path:
            right = f"--report FORMAT=PATH with {', '.join(TEST_FORMATS)}"
            problems.append(bad_option("--report", text, right))
        elif found.setdefault(path, name) != name:
            problems.append(bad_option("--report", text, "every report to a path of its own"))
    return Checked(tuple((name, path) for path, name in found.items()), tuple(problems))


def write_test_reports(report: TestReport, targets: Sequence[tuple[str, str]]) -> Checked[str]:
    """
    Write the reports on tests, whole or not at all.

    Result: what standard output is to hold instead of the text for people; None where nothing was asked to.
    """
    problems: list[Diagnostic] = []
    document: str | None = None
    for name, path in targets:
        rendered: str = import_module(TEST_FORMATS[name]).render(report)
        if path == "-":
            document = rendered
            continue
        try:
            write(Path(path), rendered)
        except OSError as error:
            problems.append(
                Diagnostic(
                    code="report.not-written",
                    summary="Report not written",
                    detail=f"The {name} report can not be written: {error.strerror or error}.",
                    help="Name a file in a folder that can be written to.",
                    subject=path,
                )
            )
    return Checked(document, tuple(problems))


TEST_FORMATS = {"junit": "auditor.reporter.tests_junit", "json": "auditor.reporter.tests_json"}
"""The formats of reports on tests, with the modules that write them."""


def _no_tests(job: TestJob, suite: TestSuite) -> Diagnostic:
    if suite.cases:
        return Diagnostic(
            code="test.none",
            summary="No tests",
            detail=f'The name of no test contains "{job.filter}".',
            help="Names are of the form FILE: CHECK: NAME, as they are printed.",
            subject="--filter",
        )
    return Diagnostic(
        code="test.none",
        summary="No tests",
        detail="Beside the policies there is no file of tests.",
        help="Write NAME.test.yaml beside NAME.yaml, or name a shipped pack: auditor test pack:pingone-activity",
        subject=", ".join(job.paths) or "auditor test",
    )


@dataclass(slots=True)
class _Ready:
    """A test whose check is compiled and whose records are read."""

    case: TestCase
    check: CompiledCheck
    records: Mapping[str, tuple[JSON, ...]]
    as_of: datetime


@dataclass(slots=True)
class _Tested:
    """What is known of one check from its tests."""

    policy: str
    check: str
    ready: list[_Ready] = field(default_factory=list)
    has_failed: bool = False
    kinds: set[Kind] = field(default_factory=set)
    seen: tester.Seen = field(default_factory=tester.Seen)


class _Run:
    """The tests of a suite on their way to a report."""

    def __init__(self, suite: TestSuite, job: TestJob, runner: asyncio.Runner) -> None:
        self.suite = suite
        self.job = job
        self.runner = runner
        self.problems: list[Diagnostic] = []
        self._runs: dict[str, Checked[Received]] = {}
        self._compiled: dict[tuple[str, ...], Checked[CompiledCheck]] = {}
        self._checks = {
            (policy.policy, check): _Tested(policy=policy.policy, check=check)
            for policy in suite.policies
            for check in policy.checks
        }

    def results(self) -> Iterator[TestResult]:
        """Run every test that the filter selects."""
        for case in self.suite.cases:
            if self.job.filter.casefold() not in f"{case.file}: {case.check}: {case.name}".casefold():
                continue
            ready = self._ready(case)
            if ready is None:
                continue
            try:
                made = self._plan(ready, ready.check)
            except ValueError as error:
                self.problems.append(_no_instant(case.address, f"{error}."))
            else:
                yield self._result(ready, made)

    def _result(self, ready: _Ready, made: Plan) -> TestResult:
        started = time.perf_counter()
        case = ready.case
        verdict = self._judged(ready, ready.check, made)
        tested = self._checks[case.policy, case.check]
        tested.ready.append(ready)
        tested.kinds |= tester.kinds_of(verdict)
        found = tester.differences(case.expected, verdict)
        tested.has_failed |= bool(found)
        if self.job.coverage:
            # What is not known to be all there decided nothing, whatever conditions say of it.
            is_known = not verdict.code.startswith("evidence.") or verdict.code == "evidence.empty"
            tested.seen.look(ready.check, made, self.suite.catalogue, ready.records if is_known else {})
        pointer = Diagnostic(code="", summary="", address=case.address.key())
        return TestResult(
            file=case.file,
            pack=case.pack.id,
            check=case.check,
            name=case.name,
            verdict=verdict.status.word,
            code=verdict.code,
            reason=verdict.reason,
            differences=found,
            location=config.located((pointer,), self.suite.sources)[0].location if found else None,
            elapsed_s=time.perf_counter() - started,
        )

    # The stages of a run

    def _ready(self, case: TestCase) -> _Ready | None:
        """Compile the check of a test; None where there is a mistake, which is told once."""
        checked = self._compile(case, case.values)
        if checked.value is None:
            self.problems += (problem for problem in checked.diagnostics if problem not in self.problems)
            return None
        received = self._received(case) if case.run is not None else None
        if case.run is not None and received is None:
            return None
        of_run = next(iter(received.records.values()), {}) if received else {}
        records = {**of_run, **case.records}
        as_of = case.as_of or (received.as_of if received else None)
        if as_of is None:
            newest = max(instants(records, self.suite.catalogue), default=None)
            if newest is None:
                told = "The records do not tell when they were, so the instant of the audit has to be given."
                self.problems.append(_no_instant(case.address, told))
                return None
            as_of = newest + timedelta(milliseconds=1)
        return _Ready(case, checked.value, records, as_of)

    def _received(self, case: TestCase) -> Received | None:
        """Return what the run of a test received, of its first environment; None where it can not be read."""
        run = str(case.run)
        if run not in self._runs:
            self._runs[run] = received(Job(folder=self.job.folder, environ=self.job.environ), run)
        at = case.address.at("run")
        self.problems += (problem.with_(address=at, subject="") for problem in self._runs[run].diagnostics)
        return self._runs[run].value

    def _compile(self, case: TestCase, values: Values) -> Checked[CompiledCheck]:
        told = repr([(name, value.json, value.sensitive) for name, value in sorted(values.items())])
        key = (case.policy, case.check, told, repr([policy.locals for policy in case.pack.files.values()]))
        if key not in self._compiled:
            environment = Environment(name=_ENVIRONMENT)
            project = Project(
                packs=(case.pack,),
                environments=(environment,),
                catalogue=self.suite.catalogue,
                own_resources=self.suite.own_resources,
                accept_values=self.suite.accept_values,
                values={(environment.name, case.pack.id): values},
                sources=self.suite.sources,
            )
            made = compiler.compile(project, digests=False)
            self._compiled[key] = Checked(made.value.checks[0] if made.value else None, made.diagnostics)
        return self._compiled[key]

    def _plan(self, ready: _Ready, check: CompiledCheck) -> Plan:
        """
        Plan a check as of the instant of a test.

        Raises:
            ValueError: a window leaves the calendar.
        """
        return planner.plan(
            self._program(check),
            self.suite.catalogue,
            as_of=ready.as_of,
            tool_version=__version__,
            merge=False,
            given=True,
        )

    def _judged(self, ready: _Ready, check: CompiledCheck, made: Plan) -> Verdict:
        """Answer the queries of a plan from the records of a test, and judge them."""
        audit = Audit(self._program(check), made, self.suite.catalogue)
        ends = self.runner.run(_answered(made, audit, self.suite.catalogue, ready.records))
        (verdict,) = audit.finish(ends)
        return verdict

    def _program(self, check: CompiledCheck) -> Program:
        return Program(
            checks=(check,),
            environments=(Environment(name=_ENVIRONMENT),),
            digest="",
            own_resources=self.suite.own_resources,
        )

    # What the tests show

    def coverage(self) -> tuple[CheckCoverage, ...]:
        """Return what the tests that ran show of each check, also of those that have none."""
        return tuple(
            CheckCoverage(
                policy=tested.policy,
                check=tested.check,
                tests=len(tested.ready),
                kinds=tuple(kind for kind in KINDS if kind in tested.kinds),
                possible_kinds=tester.possible_kinds(tested.ready[0].check) if tested.ready else KINDS,
                conditions=tested.seen.conditions(),
            )
            for tested in self._checks.values()
            if tested.ready or not self.job.filter
        )

    def mutation(self, on_mutation: Callable[[int, int, str], None]) -> Mutation:
        """Change every check in every way, and see which changes the tests that ran notice."""
        excuses = {policy.policy: policy for policy in self.suite.policies}
        total = killed = excused = 0
        survivors: list[Survivor] = []
        idle: list[tuple[str, str]] = []
        used: set[tuple[str, str]] = set()
        sound = [tested for tested in self._checks.values() if tested.ready and not tested.has_failed]
        for position, tested in enumerate(sound, 1):
            on_mutation(position, len(sound), tested.check)
            noticed: Counter[int] = Counter()
            for mutant in self._mutants(tested.ready[0]):
                total += 1
                if self._is_noticed(mutant, tested.ready, noticed):
                    killed += 1
                    continue
                excuse = _excuse(mutant.name, tested, excuses[tested.policy])
                if excuse is not None:
                    excused += 1
                    used.add((tested.policy, excuse))
                    continue
                pointer = Diagnostic(code="", summary="", address=mutant.address)
                survivors.append(
                    Survivor(
                        policy=tested.policy,
                        check=tested.check,
                        name=mutant.name,
                        location=config.located((pointer,), self.suite.sources)[0].location,
                    )
                )
            idle += (
                (ready.case.file, ready.case.name)
                for number, ready in enumerate(tested.ready)
                if not noticed[number]
            )
        return Mutation(
            mutants=total,
            killed=killed,
            excused=excused,
            survivors=tuple(survivors),
            idle=tuple(idle),
            needless=tuple(
                (policy.file, name)
                for policy in self.suite.policies
                for name in policy.equivalent
                if not self.job.filter and (policy.policy, name) not in used
            ),
        )

    def _mutants(self, ready: _Ready) -> Iterator[tester.Mutant]:
        """Yield the mutants of a check, with its variables by name: each test has values of its own."""
        case = ready.case
        # A compiled filter holds the names of sensitive values only; and no message may hold such a value.
        named = {name: replace(value, sensitive=True) for name, value in case.values.items()}
        check = self._compile(_changed(case, _silent), named).value or ready.check
        named_check = replace(ready.check, queries=check.queries, values=check.values)
        yield from tester.mutants(named_check, self.suite.catalogue, case.pack.files[case.policy].locals)

    def _is_noticed(self, mutant: tester.Mutant, tests: list[_Ready], noticed: Counter[int]) -> bool:
        """
        Tell whether some test notices a mutant; *noticed* counts by test how many it has noticed.

        Each test that has noticed none is asked, so that it gets its chance; of the others, one that notices is
        enough, and those that notice much are asked first.
        """
        before = noticed.total()
        for number in [number for number in range(len(tests)) if not noticed[number]]:
            noticed[number] += self._notices(tests[number], mutant)
        for number, _ in noticed.most_common() if noticed.total() == before else ():
            if noticed[number] and self._notices(tests[number], mutant):
                noticed[number] += 1
                break
        return noticed.total() > before

    def _notices(self, ready: _Ready, mutant: tester.Mutant) -> bool:
        check: CompiledCheck | None = replace(mutant.check, values=ready.check.values)
        if mutant.locals is not None:
            case = _changed(ready.case, lambda policy: policy.model_copy(update={"locals": mutant.locals}))
            check = self._compile(case, case.values).value
        if check is None:
            return True  # it does not compile with the values of the test
        try:
            made = self._plan(ready, check)
        except ValueError:
            return True  # its window leaves the calendar
        return bool(tester.differences(ready.case.expected, self._judged(ready, check, made)))


_ENVIRONMENT = "test"


def _changed(case: TestCase, change: Callable[[PolicyFile], PolicyFile]) -> TestCase:
    """Return a test with its policy file changed."""
    files = {file: change(policy) for file, policy in case.pack.files.items()}
    return replace(case, pack=replace(case.pack, files=files))


def _silent(policy: PolicyFile) -> PolicyFile:
    """Return a policy file without the messages of its checks."""
    checks = {
        name: check.model_copy(
            update={
                "message": None,
                "expect": tuple(each.model_copy(update={"message": None}) for each in check.expect),
            }
        )
        for name, check in policy.checks.items()
    }
    return policy.model_copy(update={"checks": checks})


async def _answered(
    made: Plan, audit: Audit, catalogue: Catalogue, records: Mapping[str, tuple[JSON, ...]]
) -> list[QueryEnd]:
    """Give the audit the answers to a plan's queries, and return how they ended."""
    ends = []
    async for event in fetcher.given(made, catalogue, records):
        if isinstance(event, Page):
            audit.add(event)
        else:
            ends.append(event)
    return ends


def _excuse(name: str, tested: _Tested, policy: TestedPolicy) -> str | None:
    """Return the excuse of a mutant in the file of tests: under its name, or behind that of its check."""
    names = (name, f"{tested.check}: {name}") if len(policy.checks) == 1 else (f"{tested.check}: {name}",)
    return next((each for each in names if each in policy.equivalent), None)


def _no_instant(address: Address, detail: str) -> Diagnostic:
    return Diagnostic(
        code="test.no-instant",
        summary="No instant to judge as of",
        detail=detail,
        help="Add as_of: 2026-11-21T09:00:00Z, to the test or to the file.",
        address=address.key(),
    )


def _concluded(
    results: tuple[TestResult, ...],
    problems: tuple[Diagnostic, ...],
    coverage: tuple[CheckCoverage, ...] | None,
    mutation: Mutation | None,
) -> TestReport:
    report = TestReport(
        tool_version=__version__,
        results=results,
        problems=problems,
        coverage=coverage,
        mutation=mutation,
    )
    code, reason = _verdict(report)
    return replace(report, exit_code=code, exit_reason=reason)


def _verdict(report: TestReport) -> tuple[int, str]:
    """Return exit code and the reason for it."""
    mistakes = sum(problem.level is Level.ERROR for problem in report.problems)
    if mistakes:
        return 1, f"{quantity(mistakes, 'mistake')} must be mended first"
    if report.failed:
        return 2, f"{report.failed} of {quantity(len(report.results), 'test')} failed"
    found = []
    if gaps := sum(check.covered < check.possible for check in report.coverage or ()):
        found.append(f"{quantity(gaps, 'check')} not fully covered")
    if (mutation := report.mutation) is not None:
        if mutation.survivors:
            found.append(f"{quantity(len(mutation.survivors), 'mutant')} that no test notices")
        if mutation.idle:
            found.append(f"{quantity(len(mutation.idle), 'test')} that no mutant could break")
        if mutation.needless:
            found.append(f"{quantity(len(mutation.needless), 'excuse')} without a mutant that needs it")
    return (2, ", ".join(found)) if found else (0, "every test passed")
