"""What tests of policies found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from auditor.model.diagnostic import Diagnostic
from auditor.model.source import Location
from auditor.model.value import JSON

Kind = Literal["pass", "fail", "neither"]
KINDS: Final[tuple[Kind, ...]] = ("pass", "fail", "neither")
"""What the tests of a check should show between them; errors, skips and empty populations are neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that a test asserts and the verdict does not show."""

    what: str
    expected: JSON
    observed: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """
    How one test ended: it passed where there are no differences.

    `verdict`, `code` and `reason` are those of the check; `elapsed_s` is what it took.
    """

    __test__ = False  # pytest takes every class that is called Test… for its own

    file: str
    pack: str
    check: str
    name: str
    verdict: str
    code: str
    reason: str
    differences: tuple[Difference, ...] = ()
    location: Location | None = None
    elapsed_s: float = 0

    @property
    def passed(self) -> bool:
        """Whether everything was as asserted."""
        return not self.differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A comparison, or another condition, of a check, and which ways it was seen to be decided."""

    part: str
    text: str
    seen: tuple[bool, ...]

    @property
    def missing(self) -> tuple[bool, ...]:
        """The ways that no test shows."""
        return tuple(way for way in (True, False) if way not in self.seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCoverage:
    """
    What the tests of one check show of it: how many there are, which verdicts, and which conditions.

    `possible_kinds` are those that the check can have at all.
    """

    policy: str
    check: str
    tests: int
    kinds: tuple[Kind, ...]
    possible_kinds: tuple[Kind, ...] = KINDS
    conditions: tuple[Condition, ...]

    @property
    def possible(self) -> int:
        """What there is to be seen: each kind of verdict, and each condition both ways."""
        return len(self.possible_kinds) + 2 * len(self.conditions)

    @property
    def covered(self) -> int:
        """How much of it was seen."""
        return len(self.kinds) + sum(len(condition.seen) for condition in self.conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A change of a policy that no test notices; `name` is what excuses it in the test file."""

    policy: str
    check: str
    name: str
    location: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """
    What became of the changes that were tried on policies.

    `idle` are the tests that no change could break, as (file, name); `needless` are excuses of changes that
    tests do notice, or that there are none of.
    """

    mutants: int
    killed: int
    excused: int
    survivors: tuple[Survivor, ...]
    idle: tuple[tuple[str, str], ...]
    needless: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestReport:
    """
    All tests of a run.

    `problems` are mistakes in what people wrote; where there is an error among them, only the sound tests ran.
    `coverage` and `mutation` are absent where they were not asked for.
    """

    __test__ = False

    tool_version: str
    results: tuple[TestResult, ...]
    problems: tuple[Diagnostic, ...] = ()
    coverage: tuple[CheckCoverage, ...] | None = None
    mutation: Mutation | None = None
    exit_code: int = 0
    exit_reason: str = ""

    @property
    def failed(self) -> int:
        """How many tests did not pass."""
        return sum(not result.passed for result in self.results)
