"""`auditor suggest`: values for the variables of packs, from what records show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple

from auditor import config, jmes, scim
from auditor.app.jobs import Job, Planned, plan, to_load
from auditor.app.replaying import Received, received
from auditor.jmes.tree import And, Call, Comparison, Field, Literal, Node, Or, transform
from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.instant import format_instant, parse_instant
from auditor.model.plan import PlannedQuery, Use, belongs
from auditor.model.policy import Variable
from auditor.model.query import CompiledCheck, CompiledExpectation
from auditor.model.resource import ResourceKind, value_at
from auditor.model.value import JSON
from auditor.reporter.suggestions import Seen, Suggestion, Suggestions

_UNGIVEN: Final[Mapping[str, str]] = {
    "list": "[]",
    "map": "{}",
    "string": "-",
    "integer": "1",
    "number": "1",
    "boolean": "false",
    "duration": "1s",
    "timestamp": "1970-01-01T00:00:00Z",
}
"""What stands for a variable that has to be given and is not, by type: as little as can be."""


def suggest(job: Job, *, from_run: str | None = None, now: datetime | None = None) -> Checked[Suggestions]:
    """
    Return what the records of a job, or those that a run received, suggest for the variables of the job's packs.

    A value is suggested where a check of the form `every` fails on a record, and would not if a variable that
    the expression compares a path with (`contains(${var.x}, PATH)`, `PATH <= ${var.x}`) allowed what the record
    holds there. So what can be suggested follows from the policies; nothing is said of variables by name.
    Checks that bind values are left out, and so are sensitive variables. With several environments, those of
    the first are looked at.
    """
    ungiven = _ungiven(job)
    variables = tuple(("--var", f"{pack}.{name}={text}") for (pack, name), text in ungiven.items())
    job = replace(job, variables=(*variables, *job.variables))
    if from_run is None:
        planned, records = plan(job, now), tuple(job.records)
    else:
        opened = received(job, from_run)
        if opened.value is None:
            return Checked(None, opened.diagnostics)
        planned, records = _planned_with(job, opened.value), (f"run {opened.value.run_id}",)
    if planned.value is None or planned.value.given is None:
        return Checked(None, planned.diagnostics)
    search = _Search(planned.value)
    try:
        search.search()
    except config.UNREADABLE as error:  # a file that is not held has changed since it was planned for
        return Checked(None, (*planned.diagnostics, config.unreadable(", ".join(records), error)))
    found = Suggestions(records=records, found=tuple(search.suggestions(ungiven)))
    return Checked(found, planned.diagnostics)


def _planned_with(job: Job, run: Received) -> Checked[Planned]:
    """Return the plan of a job as of the instant of a run, with the records that the run received."""
    planned = plan(replace(job, as_of=format_instant(run.as_of)))
    if planned.value is None:
        return Checked(None, planned.diagnostics)
    of_run = run.records
    name = planned.value.plan.environments[0].name
    # A job without a project names its environment otherwise than the run of a project does.
    if name not in of_run and (job.environments or len(of_run) > 1):
        problem = Diagnostic(
            code="project.unknown-environment",
            summary="Unknown environment",
            detail=f'The run read {", ".join(of_run)}, and not "{name}".',
            help="In the project of the run, name one: auditor suggest --from-run RUN --environment NAME",
            subject=run.run_id,
        )
        return Checked(None, (*planned.diagnostics, problem))
    records = of_run[name] if name in of_run else next(iter(of_run.values()), {})
    return Checked(replace(planned.value, given=records), planned.diagnostics)


def _ungiven(job: Job) -> dict[tuple[str, str], str]:
    """Return a stand-in for each variable that has to be given and is not, by pack and name."""
    project = config.load_readable(to_load(job, choose=False)).value
    if project is None:
        return {}
    return {
        (pack.id, name): _UNGIVEN[variable.type.partition("(")[0]]
        for pack in project.packs
        for file in pack.files.values()
        for name, variable in file.variables.items()
        if variable.required
        and any(
            f"var.{name}" not in project.values.get((each.name, pack.id), {}) for each in project.environments
        )
    }


@dataclass(slots=True)
class _Evidence:
    """The records that hold one value."""

    value: JSON
    name: str = ""
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def add(self, at: datetime | None, name: str) -> None:
        self.count += 1
        self.name = self.name or name
        if at is not None:
            self.first = min(self.first or at, at)
            self.last = max(self.last or at, at)


@dataclass(slots=True)
class _Found:
    """What was found for one variable: evidence by value, the checks concerned, and the variables beside it."""

    evidence: dict[JSON, _Evidence] = field(default_factory=dict)
    checks: set[str] = field(default_factory=set)
    instead: set[str] = field(default_factory=set)
    beside: set[str] = field(default_factory=set)


class _Search:
    """Looks for records that fail, and for variables that could let them pass."""

    def __init__(self, planned: Planned) -> None:
        self.planned = planned
        self.found: dict[tuple[str, str], _Found] = {}

    def search(self) -> None:
        """Look at every check of the first environment."""
        first = self.planned.plan.environments[0].name
        checks = {check.name: check for check in self.planned.program.checks if check.environment == first}
        for query in self.planned.plan.queries:
            for use in query.uses:
                if use.check in checks and not checks[use.check].bind:
                    self._use(checks[use.check], query, use)

    def _use(self, check: CompiledCheck, query: PlannedQuery, use: Use) -> None:
        kind = self.planned.project.catalogue[query.resource]
        approvals = [
            _Approving(check, expectation, kind, self.planned.plan.as_of)
            for expectation in check.expectations
            if expectation.form == "every" and expectation.over == use.name
        ]
        approvals = [each for each in approvals if each.conditions]
        if not approvals:
            return
        for record in self._selected(check, query, use, kind):
            at = _instant(record, kind)
            for approving in approvals:
                for missing in approving.missing(record):
                    found = self.found.setdefault((check.pack, missing.variable), _Found())
                    found.checks.add(check.id)
                    found.instead |= missing.instead
                    found.beside |= missing.beside
                    found.evidence.setdefault(missing.value, _Evidence(missing.value)).add(at, missing.name)

    def _selected(
        self, check: CompiledCheck, query: PlannedQuery, use: Use, kind: ResourceKind
    ) -> Iterator[JSON]:
        """Yield the given records that a query of a check selects; of those that can not be told, a run complains."""
        own = replace(query, window=use.window)
        selects = scim.predicate(scim.parse(use.where, check.values), scim.rules(kind)) if use.where else None
        for record in (self.planned.given or {}).get(kind.kind, ()):
            try:
                if belongs(record, own, kind) and (selects is None or selects(record)):
                    yield record
            except ValueError:
                continue

    def suggestions(self, ungiven: Mapping[tuple[str, str], str]) -> Iterator[Suggestion]:
        """Yield what was found, in the order of packs and variables."""
        packs = {pack.id: pack for pack in self.planned.project.packs}
        first = self.planned.plan.environments[0].name
        for pack, name in sorted({*self.found, *ungiven}):
            found = self.found.get((pack, name), _Found())
            declared: dict[str, Variable] = {}
            for file in packs[pack].files.values():
                declared.update(file.variables)
            variable, present = declared[name], self.planned.project.values[first, pack][f"var.{name}"].json
            is_list = variable.type.startswith("list(")
            seen = sorted(found.evidence.values(), key=lambda each: (-each.count, str(each.value)))
            if seen and not is_list:
                seen = [_furthest(seen, present)]
            yield Suggestion(
                pack=pack,
                variable=name,
                description=variable.description,
                present=([] if is_list else None) if (pack, name) in ungiven else present,
                checks=tuple(sorted(found.checks)),
                seen=tuple(
                    Seen(
                        value=each.value, records=each.count, first=each.first, last=each.last, name=each.name
                    )
                    for each in seen
                ),
                is_list=is_list,
                instead=tuple(sorted(found.instead)),
                beside=tuple(sorted(found.beside)),
            )


def _furthest(seen: Sequence[_Evidence], present: JSON) -> _Evidence:
    """Return all evidence together under the value that is furthest from the present one."""
    together = _Evidence(max((each.value for each in seen), key=lambda value: abs(value - present)))
    together.count = sum(each.count for each in seen)
    together.first = min((each.first for each in seen if each.first), default=None)
    together.last = max((each.last for each in seen if each.last), default=None)
    return together


@dataclass(frozen=True, slots=True)
class _Condition:
    """A part of an expression that is true if a variable allows what a path gives."""

    variable: str
    node: Node
    path: Node


def _conditions(node: Node) -> Iterator[_Condition]:
    """Yield the conditions of an expression that nothing negates."""
    match node:
        case And(operands=operands) | Or(operands=operands):
            for operand in operands:
                yield from _conditions(operand)
        case (
            Call(name="contains", arguments=(Literal(value=list(), sensitive=False) as literal, path))
            | Comparison(
                operator="<=" | ">=",
                left=path,
                right=Literal(value=int() | float(), sensitive=False) as literal,
            )
        ) if literal.placeholder.startswith("var."):
            yield _Condition(literal.placeholder.removeprefix("var."), node, path)


class _Missing(NamedTuple):
    """
    What would let a record pass: a value for a variable, and the name beside the value.

    `instead` are other variables that would do it alone too, `beside` those that have to allow theirs as well.
    """

    variable: str
    value: JSON
    name: str
    instead: frozenset[str]
    beside: frozenset[str]


class _Approving:
    """An expectation, and the variables that could let a record pass it."""

    def __init__(
        self, check: CompiledCheck, expectation: CompiledExpectation, kind: ResourceKind, as_of: datetime
    ) -> None:
        parsed = jmes.parse(expectation.expression, check.values)
        self.tree = jmes.check(parsed, jmes.type_of(kind.item), warns_of_missing=False).node
        self.conditions = list(_conditions(self.tree))
        self.as_of = as_of
        self.is_left = expectation.on_missing in ("pass", "skip")
        self.holds = self._compiled(self.tree)
        self.holds_with_all = self._granted([condition.node for condition in self.conditions])
        self.holds_with = [self._granted([condition.node]) for condition in self.conditions]
        self.own = [self._compiled(condition.node) for condition in self.conditions]
        self.paths = [self._compiled(condition.path) for condition in self.conditions]
        self.names = [self._named(condition.path) for condition in self.conditions]

    def _compiled(self, node: Node) -> jmes.Expression:
        return jmes.compile(node, as_of=self.as_of)

    def _granted(self, nodes: list[Node]) -> jmes.Expression:
        """Return the expression as it were if some of its conditions were true."""
        return self._compiled(
            transform(self.tree, lambda node: Literal(value=True) if node in nodes else node)
        )

    def missing(self, record: JSON) -> list[_Missing]:
        """Return what would let a record pass that fails; nothing if no value of these variables could."""
        decided = self._decide(self.holds, record)
        is_left = isinstance(decided, jmes.Undecided) and self.is_left
        if decided is True or is_left or self._decide(self.holds_with_all, record) is not True:
            return []
        found: list[tuple[str, JSON, str]] = []
        alone: set[str] = set()
        together: set[str] = set()
        for condition, own, path, granted, named in zip(
            self.conditions, self.own, self.paths, self.holds_with, self.names, strict=True
        ):
            value = self._decide(path, record)
            if self._decide(own, record) is True or not _can_be_written(value):
                continue
            (alone if self._decide(granted, record) is True else together).add(condition.variable)
            found.append((condition.variable, value, self._name(named, value, record)))
        return [
            _Missing(
                variable,
                value,
                name,
                instead=frozenset(alone - {variable} if variable in alone else ()),
                beside=frozenset(together - {variable} if variable in together else ()),
            )
            for variable, value, name in found
        ]

    def _decide(self, expression: jmes.Expression, record: JSON) -> JSON | jmes.Undecided:
        try:
            return expression.decide(record, jmes.Missing(select=False))
        except jmes.EvaluationError:
            return None

    def _named(self, path: Node) -> list[tuple[jmes.Expression, jmes.Expression]]:
        """Return what can give a value, each with what gives the name beside it: `client.id` with `client.name`."""
        ways = path.arguments if isinstance(path, Call) and path.name == "not_null" else (path,)
        return [
            (
                self._compiled(way),
                self._compiled(transform(way, lambda node: Field("name") if node == Field("id") else node)),
            )
            for way in ways
        ]

    def _name(self, named: list[tuple[jmes.Expression, jmes.Expression]], value: JSON, record: JSON) -> str:
        for way, beside in named:
            if self._decide(way, record) == value:
                name = self._decide(beside, record)
                return name if isinstance(name, str) and name != value else ""
        return ""


def _can_be_written(value: JSON | jmes.Undecided) -> bool:
    """Tell whether a value could stand in a file of variables: YAML has no lone surrogates."""
    return isinstance(value, int | float) or (
        isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)
    )


def _instant(record: JSON, kind: ResourceKind) -> datetime | None:
    path = kind.buckets.start if kind.buckets else kind.instant
    try:
        return parse_instant(str(value_at(record, path))) if path else None
    except ValueError:
        return None
