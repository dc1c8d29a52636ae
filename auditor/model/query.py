"""Compiled policies: every check with its filter split, its expressions checked, its defaults decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from auditor.model.environment import Environment
from auditor.model.policy import Form, OnEmpty, OnMissing, Severity
from auditor.model.resource import Catalogue, Mark, ResourceKind
from auditor.model.source import Address
from auditor.model.value import JSON, Values
from auditor.model.waiver import Waiver

Pushdown = Mark | Literal["range"]
"""What may be pushed to the server: shapes seen to work, documented shapes too, or only the window."""


Engine = Literal["compiled", "reference"]
"""What evaluates expressions: this program, or jmespath.py, which knows nothing of what is undecided."""


SINGLE: Final = ""
"""The name of the query of a check that has one only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRequest:
    """
    A window as a policy asks for it, before a clock makes instants of it.

    One of: `hot`; `last` (a duration) with `align` and `timezone`; `start` and `end` (ISO instants).
    """

    hot: bool = False
    last: str | None = None
    align: Literal["hour", "day", "week", "month"] | None = None
    timezone: str = "UTC"
    start: str | None = None
    end: str | None = None

    def __str__(self) -> str:
        if self.hot:
            return "hot"
        if self.last is None:
            return f"{self.start} .. {self.end}"
        aligned = f", whole {self.align}s in {self.timezone}" if self.align else ""
        return f"last {self.last}{aligned}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledQuery:
    """
    The population of a check.

    `where` is the whole filter, `pushed` the part that the server evaluates, `residual` the part that only
    this program evaluates (for people: the whole `where` is applied here in any case). All three are SCIM
    text, empty for "everything"; `where` and `residual` may hold `${…}` for sensitive values, `pushed` never.
    """

    resource: str
    window: WindowRequest | None
    include_partial: bool
    options: Mapping[str, str | int]
    where: str
    pushed: str
    residual: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledExpectation:
    """
    One expectation with every default decided. `expression` is JMESPath text over the check's values.

    `over` names the query whose records it is about, None where it sees all of them as `{name: [...]}`.
    `on_empty` says by query what no records of it count as; where it says nothing, the expression decides.
    """

    form: Form
    over: str | None
    expression: str
    severity: Severity
    message: str | None
    on_missing: OnMissing | None
    on_empty: Mapping[str, OnEmpty]
    address: Address


WHOLE_WINDOW: Final = "window"
"""What `CompiledCheck.archive` says of a check that needs given records over all its windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledCheck:
    """
    One check for one environment.

    `excluded` is the reason why it is left out, if it is; `selected` is false where that is because the command line
    is about other checks. `archive` is how far given records must reach (a duration, or `WHOLE_WINDOW`), None where
    PingOne itself is asked.

    `queries` are its queries by name; that of a single one is `SINGLE`. `bind` holds JMESPath texts over
    `{name: [...]}`, in the order of the policy.
    """

    environment: str
    pack: str
    pack_title: str
    id: str
    title: str
    description: str
    blind_spots: str = ""
    severity: Severity
    controls: Mapping[str, tuple[str, ...]]
    tags: tuple[str, ...]
    queries: Mapping[str, CompiledQuery]
    bind: Mapping[str, str]
    expectations: tuple[CompiledExpectation, ...]
    remediation: str
    references: tuple[str, ...]
    values: Values
    address: Address
    excluded: str | None = None
    selected: bool = True
    archive: str | None = None

    @property
    def name(self) -> str:
        """Environment, pack and check: what names the check everywhere."""
        return f"{self.environment}/{self.pack}/{self.id}"


def kinds_of(checks: Iterable[CompiledCheck], catalogue: Catalogue) -> dict[str, ResourceKind]:
    """Return the resource kinds that checks rest on, by name."""
    named = {query.resource for check in checks for query in check.queries.values()}
    # A kind that is read once for each record of another one rests on that too.
    others = {rule.resource for name in named if (rule := catalogue[name].for_each) is not None}
    return {name: catalogue[name] for name in sorted(named | others)}


def plain_kinds(checks: Iterable[CompiledCheck], catalogue: Catalogue) -> dict[str, JSON]:
    """Return the resource kinds that checks rest on, by name and as JSON values."""
    return {name: kind.model_dump(mode="json") for name, kind in kinds_of(checks, catalogue).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """
    All checks of all environments, in the order of environment, pack and check.

    `digest` is the SHA-256 of what decides the verdicts: checks, values and resource kinds, not file names.
    """

    checks: tuple[CompiledCheck, ...]
    environments: tuple[Environment, ...]
    digest: str
    own_resources: frozenset[str] = field(default_factory=frozenset)
    pushdown: Pushdown = "documented"
    waivers: tuple[Waiver, ...] = ()
    """The waivers of its checks, in the order of their file; no verdict beneath them depends on any."""

    def waivers_of(self, check: CompiledCheck) -> tuple[Waiver, ...]:
        """Return the waivers of a check in its environment."""
        name = f"{check.pack}/{check.id}"
        return tuple(
            waiver
            for waiver in self.waivers
            if waiver.check == name and check.environment in waiver.environments
        )
