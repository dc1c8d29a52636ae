"""The gate: what a run counts as, for whoever waits for its exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from auditor.app.jobs import Job
from auditor.model.diagnostic import Diagnostic, Level
from auditor.model.policy import SEVERITIES, Severity
from auditor.model.verdict import Status, Verdict
from auditor.model.waiver import WaiverUse
from auditor.model.wording import quantity

DEFAULT: Final[Severity] = "low"
"""The least severity of a failure that counts where nobody says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """
    What stops a pipeline.

    `fail_on` is the least severity of a failure that counts; `strict_waivers` lets expired and unused waivers
    count too. With `soft_fail`, what was found stops nothing. What could not be done or decided always does.
    """

    fail_on: Severity = DEFAULT
    strict_waivers: bool = False
    soft_fail: bool = False

    def conclude(
        self,
        verdicts: Sequence[Verdict],
        problems: Sequence[Diagnostic] = (),
        waivers: Sequence[WaiverUse] = (),
    ) -> tuple[int, str]:
        """Return exit code and the reason for it: 1 for a job that could not be done beats 2 for a finding."""
        mistakes = sum(problem.level is Level.ERROR for problem in problems)
        if mistakes:
            return 1, f"{quantity(mistakes, 'mistake')} must be mended first"
        errors = sum(verdict.status is Status.ERROR for verdict in verdicts)
        if errors:
            return 1, f"{quantity(errors, 'check')} could not be decided"
        if not verdicts:
            return 1, "no check was selected"
        found = ", ".join(self._findings(verdicts, waivers))
        if found and self.soft_fail:
            return 0, f"{found}, let through by --soft-fail"
        return (2, found) if found else (0, self._pass(verdicts))

    def _findings(self, verdicts: Sequence[Verdict], waivers: Sequence[WaiverUse]) -> Sequence[str]:
        grave = sum(self._stops(verdict) for verdict in verdicts)
        stale = Counter(use.state for use in waivers) if self.strict_waivers else Counter()
        return [
            *([f"{quantity(grave, 'check')} failed at or above --fail-on {self.fail_on}"] if grave else ()),
            *(
                f"{quantity(stale[state], f'{state} waiver')} with --strict-waivers"
                for state in ("expired", "unused")
                if stale[state]
            ),
        ]

    def _stops(self, verdict: Verdict) -> bool:
        """Tell whether a verdict failed in something grave that no waiver covers."""
        if verdict.status is not Status.FAIL or verdict.is_waived:
            return False
        open_ = [one.severity for one in verdict.outcomes if one.status is Status.FAIL and not one.is_waived]
        return any(self._is_grave(severity) for severity in open_ or [verdict.severity])

    def _is_grave(self, severity: Severity) -> bool:
        return SEVERITIES.index(severity) >= SEVERITIES.index(self.fail_on)

    def _pass(self, verdicts: Sequence[Verdict]) -> str:
        failed = sum(verdict.status is Status.FAIL and not verdict.is_waived for verdict in verdicts)
        if failed:
            return f"{quantity(failed, 'check')} failed, all below --fail-on {self.fail_on}"
        waived = ", was waived" if any(verdict.is_waived for verdict in verdicts) else ""
        return f"every check passed{waived} or was skipped"


def gate_of(job: Job) -> Gate:
    """Return the gate that a job asks for."""
    return Gate(fail_on=job.fail_on or DEFAULT, strict_waivers=job.strict_waivers, soft_fail=job.soft_fail)
