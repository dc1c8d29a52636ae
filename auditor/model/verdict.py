"""Verdicts: what was expected, what was examined, what was found, and what that rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum
from typing import Final, Literal, TypeAlias

from auditor.model.diagnostic import Diagnostic
from auditor.model.evidence import QueryEnd
from auditor.model.plan import PlannedEnvironment, PlannedQuery
from auditor.model.policy import Form, Severity
from auditor.model.provenance import Provenance
from auditor.model.source import Address, Location
from auditor.model.value import JSON
from auditor.model.waiver import WaiverUse

Privacy: TypeAlias = Literal["ids", "full", "pseudonym"]
"""How personal fields appear: as identifiers, as they are, or as keyed pseudonyms."""

PERSONAL: Final = "(personal)"
"""What stands for a personal value that has no identifier, where none must be shown."""


class Status(IntEnum):
    """How an expectation, a check or a run ended. Where several meet, the higher wins."""

    SKIP = 0
    PASS = 1
    FAIL = 2
    ERROR = 3

    @classmethod
    def _missing_(cls, value: object) -> Status | None:
        """Return the status that a report calls by a word."""
        return next((status for status in cls if status.word == value), None)

    def merge(self, other: Status) -> Status:
        """Return the status of both together."""
        return max(self, other)

    @property
    def word(self) -> str:
        """The status as reports write it: `skip`, `pass`, `fail`, `error`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """
    A violation as it is told without personal data: an identifier for each personal field.

    `message` holds the pieces of the message, each as it is and as it is told without personal data.
    """

    identity: str
    message: tuple[tuple[str, str], ...]
    item: JSON
    values: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """
    One exception from what was expected.

    `fingerprint` is stable between runs: it depends on check, environment and record identity alone,
    and on which of several expectations of the check it is about.
    `identity` names the record, `at` is its instant, `item` the violating item itself as received.
    `waived_by` names the waiver that covers it, if one does. `page` says which answer brought the record, as
    `QUERY#NUMBER`, and `values` what the expression read of it, by dotted path; both are empty for what an expression
    made of several records. `redacted` is the same without personal data; None where nothing in it is personal.
    """

    fingerprint: str
    identity: str
    at: datetime | None
    message: str
    item: JSON
    link: str | None = None
    waived_by: str | None = None
    page: str = ""
    values: Mapping[str, JSON] = field(default_factory=dict)
    redacted: Redacted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A number that an expectation holds a field against: `value <= 10000`."""

    path: str
    operator: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """
    What the buckets of a count hold in one field, in order of time: the instant that each begins at, and the number.

    The newest thousand of them; `left_out` says how many older ones there are.
    """

    path: str
    points: tuple[tuple[datetime, float], ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    How one expectation ended.

    `code` says in one word why it is not a plain pass: `policy.violation`, `policy.undecided`,
    `policy.no-occurrences`, `evidence.incomplete`, `evaluation.error`, … `population` counts the records
    examined, `exceptions` all violations, `violations` holds the first twenty of them in order;
    `undecided` counts records on which the expression could not be decided. `waived` counts the exceptions that
    waivers cover; where it failed without any, `waived_by` names the waiver that covers the failure itself.
    """

    form: Form
    expression: str
    severity: Severity
    status: Status
    code: str
    reason: str
    expected: str
    observed: str
    population: int = 0
    exceptions: int = 0
    undecided: int = 0
    violations: tuple[Violation, ...] = ()
    help: str = ""
    waived: int = 0
    waived_by: str | None = None
    thresholds: tuple[Threshold, ...] = ()
    """What the numbers of a count are held against, where the expression says that with a number."""

    @property
    def is_waived(self) -> bool:
        """Whether it failed, and waivers cover all that it failed for; what was not decided is never waived."""
        covered = self.waived_by is not None or 0 < self.exceptions == self.waived
        return self.status is Status.FAIL and covered


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """
    The records that one query of a check selected.

    `name` is that of the query in the check, empty where it has one only; `query` is the id of the planned
    query that found them, empty where none was asked.
    """

    name: str
    resource: str
    where: str
    window: str = ""
    query: str = ""
    population: int = 0
    series: tuple[Series, ...] = ()
    """Of a count, the numbers that the check reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    How one check ended in one environment.

    `code` and `reason` are those of the outcome that decided the status. `population` counts the records that
    the expectations are about, each query's once. `severity` is that of the gravest outcome that failed or could not
    be decided, else the check's.
    """

    environment: str
    pack: str
    pack_title: str
    check: str
    title: str
    description: str
    severity: Severity
    status: Status
    code: str
    reason: str
    help: str = ""
    population: int = 0
    exceptions: int = 0
    undecided: int = 0
    outcomes: tuple[Outcome, ...] = ()
    examined: tuple[Examined, ...] = ()
    bound: Mapping[str, JSON] = field(default_factory=dict)
    """What `bind` found, by name; without what was made with a sensitive value."""
    bound_personal: tuple[str, ...] = ()
    """The names of those that can hold personal data."""
    caveats: tuple[str, ...] = ()
    controls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    blind_spots: str = ""
    """What can be wrong although the check passes."""
    remediation: str = ""
    references: tuple[str, ...] = ()
    address: Address | None = None
    location: Location | None = None
    elapsed_s: float = 0
    waived: int = 0
    """How many of the exceptions waivers cover."""

    @property
    def is_waived(self) -> bool:
        """Whether waivers cover every failure: `status` stays FAIL, and the gate takes it for a pass."""
        failed = [outcome for outcome in self.outcomes if outcome.status is Status.FAIL]
        return self.status is Status.FAIL and bool(failed) and all(outcome.is_waived for outcome in failed)

    @property
    def name(self) -> str:
        """Environment, pack and check."""
        return f"{self.environment}/{self.pack}/{self.check}"

    @property
    def queries(self) -> tuple[str, ...]:
        """The ids of the planned queries that the verdict rests on, each once."""
        return tuple(dict.fromkeys(one.query for one in self.examined if one.query))


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableUse:
    """A variable as the run used it. `value` is absent where it is sensitive."""

    environment: str
    pack: str
    name: str
    value: JSON
    origin: str
    sensitive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A query with how it ended; `end` is absent where it was never begun."""

    query: PlannedQuery
    filter: str
    """The filter as sent for the whole window."""
    end: QueryEnd | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """
    A verdict that speaks to a criterion of a framework.

    `verdict` is its name; `observed_days` is how much of the framework's period it rests on, in whole days: of
    what was really read, not of what was asked for. What a tenant shows without a window is one day.
    """

    verdict: str
    status: Status
    observed_days: int
    waived: bool = False
    """Whether waivers cover all that it found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """
    One criterion of a framework with the verdicts that speak to it; `status` is None where no check does.

    `title` is empty where a check names a criterion that the view does not list.
    """

    id: str
    title: str
    status: Status | None
    support: tuple[Support, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameworkView:
    """
    The verdicts of a run by the criteria of a framework.

    `scope` says which criteria are listed; `period_days` is the length of the period that an auditor asks about.
    """

    framework: str
    title: str
    scope: str
    period_days: int
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    A run as every report format sees it.

    `problems` are mistakes in what people wrote, or of the run itself; with any error among them there may be
    no verdicts at all. `exit_code` and `exit_reason` are what the command line will say.
    """

    tool_version: str
    run_id: str
    started_at: datetime
    finished_at: datetime
    as_of: datetime | None
    policy_digest: str | None
    environments: tuple[PlannedEnvironment, ...]
    verdicts: tuple[Verdict, ...]
    asked: tuple[Asked, ...] = ()
    variables: tuple[VariableUse, ...] = ()
    problems: tuple[Diagnostic, ...] = ()
    frameworks: tuple[FrameworkView, ...] = ()
    """The views that were asked for."""
    exit_code: int = 0
    exit_reason: str = ""
    given: tuple[str, ...] = ()
    """Files whose records were evaluated instead of a tenant's."""
    simulated: bool = False
    """Whether the tenant was the built-in simulator."""
    waivers: tuple[WaiverUse, ...] = ()
    """The waivers of the checks that were judged, in the order of their file."""
    waivers_as_of: date | None = None
    """The day (UTC) that they were judged by; absent where they were not applied."""
    provenance: Provenance = field(default_factory=Provenance)
    privacy: Privacy = "full"
    """How personal fields appear in it."""
    root_digest: str | None = None
    """The SHA-256 of the manifest of the run's evidence; absent where nothing was asked, and in the evidence itself."""

    def count(self, status: Status) -> int:
        """Return how many verdicts have a status."""
        return sum(verdict.status is status for verdict in self.verdicts)
