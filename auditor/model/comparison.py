"""Two runs beside one another: what is new, what persists, what is gone, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from auditor.model.policy import Severity
from auditor.model.verdict import Status

Fate = Literal["new", "persisting", "fixed", "aged out", "not judged"]
"""
What became of a violation between two runs. `aged out` lies before what the newer run looked at, so that nothing is
known of it; `not judged` belongs to a check that the newer run left out or could not decide.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunName:
    """Which run is compared."""

    run_id: str
    started_at: datetime
    tool_version: str
    policy_digest: str | None
    root_digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedViolation:
    """
    A violation of one of two runs, or of both; `waived_before` and `waived_now` name the waivers that cover it.

    `anonymous` is what tells of it without personal data: its identity, and its message.
    """

    fate: Fate
    fingerprint: str
    identity: str
    at: datetime | None
    message: str
    anonymous: tuple[str, str]
    waived_before: str | None = None
    waived_now: str | None = None

    def without_names(self) -> ComparedViolation:
        """Return the same without personal data."""
        identity, message = self.anonymous
        return replace(self, identity=identity, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCheck:
    """
    One check in two runs; `was` and `now` are absent where a run did not hold it.

    `counts` are all of its violations by fate, `violations` the first of them in order of fate and time.
    `waivers_changed` counts those that are covered by another waiver, or by none any more.
    """

    name: str
    title: str
    severity: Severity
    was: Status | None
    now: Status | None
    counts: dict[Fate, int]
    waivers_changed: int = 0
    violations: tuple[ComparedViolation, ...] = ()

    @property
    def is_worse(self) -> bool:
        """Whether something is new that nobody answers for, or the check fails and did not before."""
        fails_now = self.now is Status.FAIL and self.was is not Status.FAIL
        return bool(self.counts["new"]) or fails_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs beside one another, with the checks in which anything differs or persists."""

    old: RunName
    new: RunName
    checks: tuple[ComparedCheck, ...]
    exit_code: int
    exit_reason: str

    def without_names(self) -> Comparison:
        """Return the same without personal data."""
        return replace(
            self,
            checks=tuple(
                replace(check, violations=tuple(one.without_names() for one in check.violations))
                for check in self.checks
            ),
        )

    def count(self, fate: Fate) -> int:
        """Return how many violations had a fate."""
        return sum(check.counts[fate] for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastVerdict:
    """What one run said of a check; `status` is absent where the run did not hold it."""

    status: Status | None
    exceptions: int = 0
    is_waived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The verdicts of the same checks over several runs, the oldest first: by name, one for each run."""

    runs: tuple[RunName, ...]
    verdicts: dict[str, tuple[PastVerdict, ...]]
