"""`auditor diff`, `auditor history` and `--baseline`: what runs say beside one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, get_args

from auditor import runs
from auditor.app.evidence import PROGRAM, REPORT, Judged, changed, runs_folder, unreadable
from auditor.app.jobs import Job
from auditor.app.replaying import sealed_run
from auditor.model.comparison import (
    ComparedCheck,
    ComparedViolation,
    Comparison,
    Fate,
    History,
    PastVerdict,
    RunName,
)
from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.plan import Plan
from auditor.model.verdict import Report, Status, Verdict, Violation
from auditor.model.wording import quantity
from auditor.reporter.privacy import anonymous
from auditor.runs import RunFolder

SHOWN: Final = 20
"""Violations of a check that are told one by one."""

FATES: Final[tuple[Fate, ...]] = get_args(Fate)


class _Past:
    """A run that is over: its report, its plan, and its violations by check and fingerprint."""

    def __init__(self, folder: RunFolder) -> None:
        self.report = folder.load(REPORT, Report)
        self.plan: Plan = folder.load(PROGRAM, Judged).plan
        self.name = _name(self.report, folder.root_digest)
        self.verdicts: Mapping[str, Verdict] = {verdict.name: verdict for verdict in self.report.verdicts}
        self.violations: dict[str, dict[str, Violation]] = {}
        for kept in folder.read_violations():
            self.violations.setdefault(kept.check, {})[kept.violation.fingerprint] = kept.violation

    def starts_at(self, check: str) -> datetime | None:
        """Return the instant before which the run knows nothing of a check; None where there is none."""
        windows = [
            use.window.start
            for query in self.plan.queries
            for use in query.uses
            if use.check == check and use.window
        ]
        return max(windows, default=None)


def compare(job: Job, old: str, new: str) -> Checked[Comparison]:
    """Return what became of the violations of a run in a newer one."""
    opened = [_past(job, name) for name in (old, new)]
    before, after = (past.value for past in opened)
    if before is None or after is None:
        return Checked(None, tuple(problem for past in opened for problem in past.diagnostics))
    names = dict.fromkeys((*after.verdicts, *before.verdicts))
    checks = tuple(_compared(name, before, after) for name in names)
    undecided = sum(verdict.status is Status.ERROR for verdict in after.verdicts.values())
    worse = [check for check in checks if check.is_worse]
    if undecided:
        code, reason = 1, f"{quantity(undecided, 'check')} of the newer run could not be decided"
    elif worse:
        new_ones = sum(check.counts["new"] for check in worse)
        code, reason = 2, f"{quantity(new_ones, 'violation')} of {quantity(len(worse), 'check')} are new"
    else:
        code, reason = 0, "nothing is new"
    return Checked(
        Comparison(
            old=before.name,
            new=after.name,
            checks=tuple(
                check for check in checks if any(check.counts.values()) or check.was is not check.now
            ),
            exit_code=code,
            exit_reason=reason,
        )
    )


def _past(job: Job, name: str) -> Checked[_Past]:
    opened = sealed_run(job, name)
    if opened.value is None:
        return Checked(None, opened.diagnostics)
    if opened.value.record.evidence == "digest":
        return Checked(None, (_no_violations(opened.value),))
    try:
        return Checked(_Past(opened.value))
    except (OSError, ValueError) as error:
        return Checked(None, (unreadable(opened.value, error),))


def _compared(name: str, before: _Past, after: _Past) -> ComparedCheck:
    was, now = before.verdicts.get(name), after.verdicts.get(name)
    old, new = before.violations.get(name, {}), after.violations.get(name, {})
    gone = _fate_of_the_gone(now, after.starts_at(name))
    compared = [
        *(
            _violation("persisting" if key in old else "new", old.get(key), found)
            for key, found in new.items()
        ),
        *(_violation(gone(found), found, None) for key, found in old.items() if key not in new),
    ]
    compared.sort(key=lambda one: (FATES.index(one.fate), str(one.at), one.identity))
    told = now or was
    assert told is not None  # noqa: S101  # one of the two runs has named it
    return ComparedCheck(
        name=name,
        title=told.title,
        severity=told.severity,
        was=was.status if was else None,
        now=now.status if now else None,
        counts={fate: sum(one.fate == fate for one in compared) for fate in FATES},
        waivers_changed=sum(
            one.fate == "persisting" and one.waived_before != one.waived_now for one in compared
        ),
        violations=tuple(compared[:SHOWN]),
    )


def _fate_of_the_gone(now: Verdict | None, starts_at: datetime | None) -> Callable[[Violation], Fate]:
    """Return what became of a violation that the newer run does not find."""
    if now is None or now.status in (Status.SKIP, Status.ERROR):
        return lambda _: "not judged"
    return lambda found: "aged out" if starts_at and found.at and found.at < starts_at else "fixed"


def _violation(fate: Fate, before: Violation | None, after: Violation | None) -> ComparedViolation:
    found = after or before
    assert found is not None  # noqa: S101  # one of the two runs has found it
    return ComparedViolation(
        fate=fate,
        fingerprint=found.fingerprint,
        identity=found.identity,
        at=found.at,
        message=found.message,
        anonymous=anonymous(found),
        waived_before=before.waived_by if before else None,
        waived_now=after.waived_by if after else None,
    )


def known(job: Job, baseline: str) -> Checked[Mapping[str, frozenset[str]]]:
    """Return the fingerprints of all violations of a run, by check: what a later run need not fail on."""
    past = _past(job, baseline)
    if past.value is None:
        return Checked(None, past.diagnostics)
    return Checked({check: frozenset(found) for check, found in past.value.violations.items()})


def history(job: Job, last: int) -> Checked[History]:
    """Return what the latest runs said of each check, the oldest first."""
    reports: list[tuple[RunName, Report]] = []
    problems: list[Diagnostic] = []
    for path in runs.find_runs(runs_folder(job))[-last:]:
        opened = RunFolder.open(path)
        problems += opened.diagnostics
        if opened.value is None or not opened.value.is_sealed:
            continue
        if differences := runs.verify(path):
            problems.append(changed(opened.value, differences))
            continue
        try:
            report = opened.value.load(REPORT, Report)
        except (OSError, ValueError) as error:
            problems.append(unreadable(opened.value, error))
            continue
        reports.append((_name(report, opened.value.root_digest), report))
    names = dict.fromkeys(verdict.name for _, report in reversed(reports) for verdict in report.verdicts)
    columns = [{verdict.name: verdict for verdict in report.verdicts} for _, report in reports]
    found = History(
        runs=tuple(name for name, _ in reports),
        verdicts={check: tuple(_past_verdict(column.get(check)) for column in columns) for check in names},
    )
    return Checked(found, tuple(problems))


def _past_verdict(verdict: Verdict | None) -> PastVerdict:
    if verdict is None:
        return PastVerdict(status=None)
    return PastVerdict(status=verdict.status, exceptions=verdict.exceptions, is_waived=verdict.is_waived)


def _name(report: Report, root_digest: str | None) -> RunName:
    return RunName(
        run_id=report.run_id,
        started_at=report.started_at,
        tool_version=report.tool_version,
        policy_digest=report.policy_digest,
        root_digest=root_digest,
    )


def _no_violations(folder: RunFolder) -> Diagnostic:
    run = folder.record.run_id
    return Diagnostic(
        code="run.no-violations",
        summary="Nothing to compare",
        detail=f"The run {run} was made with --evidence digest, and kept no violations.",
        help="Compare runs that were made with --evidence full or violations.",
        subject=run,
    )
