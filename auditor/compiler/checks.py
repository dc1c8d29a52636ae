"""One check: its queries compiled, its expressions typed, every default decided."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from auditor import jmes, scim
from auditor.compiler.expressions import (
    ANYTHING,
    Given,
    Records,
    Result,
    Scope,
    Typed,
    check_expression,
    check_message,
    together,
)
from auditor.compiler.locals import Locals
from auditor.compiler.queries import Population, compile_query
from auditor.model.diagnostic import Checked, Diagnostic, Level, Mistake, did_you_mean
from auditor.model.policy import (
    EVERY_ITEM,
    Check,
    Expectation,
    Form,
    OnEmpty,
    PolicyFile,
    Query,
    Requirements,
)
from auditor.model.project import LoadedPack, Project
from auditor.model.query import (
    SINGLE,
    WHOLE_WINDOW,
    CompiledCheck,
    CompiledExpectation,
    CompiledQuery,
    Pushdown,
)
from auditor.model.source import Address

_RESULTS: Final[Mapping[Form, Result]] = {
    "every": "boolean",
    "none": "list",
    "some": "list",
    "that": "boolean",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A policy file in one environment: what its checks can name."""

    project: Project
    pack: LoadedPack
    name: str
    document: PolicyFile
    environment: str
    pushdown: Pushdown
    locals: Locals
    records: Records

    def address(self, *route: str | int) -> Address:
        """Return the address of a part of the file."""
        return Address(file=self.name).at(*route)

    def query(self, query: Query, address: Address) -> Checked[Population]:
        """Compile a query that stands at *address*."""
        return compile_query(
            query,
            self.locals.values,
            address,
            catalogue=self.project.catalogue,
            pushdown=self.pushdown,
            accept_values=self.project.accept_values,
        )


def compile_check(check: Check, check_id: str, file: File) -> Checked[CompiledCheck]:
    """Compile one check of a file."""
    return _Compiler(check, check_id, file).compile()


def _controls(check: Check, changed: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the criteria that a check speaks to, by framework, as the project has it."""
    return {name: criteria for name, criteria in {**check.controls, **changed}.items() if criteria}


class _Compiler:
    """One check on its way; what is wrong gathers in `problems`, the names of the values that it uses in `used`."""

    def __init__(self, check: Check, check_id: str, file: File) -> None:
        self.check = check
        self.id = check_id
        self.file = file
        self.address = file.address("checks", check_id)
        self.problems: list[Diagnostic] = []
        self.used: set[str] = set()
        self.queries = self._named_queries()

    def compile(self) -> Checked[CompiledCheck]:
        check, pack, values = self.check, self.file.pack, self.file.locals.values
        queries = self._compiled_queries()
        self._check_archive()
        severity = pack.severities.get(self.id, check.severity)
        expectations = []
        for position, expectation in enumerate(check.expect):
            at = self.address.at("expect", position)
            compiled = CompiledExpectation(
                form=expectation.form,
                over=self._over(expectation, at),
                expression=expectation.expression,
                severity=expectation.severity or severity,
                message=expectation.message or check.message,
                on_missing=expectation.on_missing or check.on_missing,
                on_empty=self._on_empty(expectation),
                address=at,
            )
            expectations.append(compiled)
        self._check_expressions(expectations)
        problems = tuple(problem for problem in self.problems if not self.file.locals.explains(problem))
        if any(problem.level is Level.ERROR for problem in self.problems):
            return Checked(None, problems)
        compiled_check = CompiledCheck(
            environment=self.file.environment,
            pack=pack.id,
            pack_title=pack.title,
            id=self.id,
            title=check.title,
            description=check.description,
            blind_spots=check.blind_spots,
            severity=severity,
            controls=_controls(check, pack.controls.get(self.id, {})),
            tags=check.tags,
            queries=queries,
            bind=check.bind,
            expectations=tuple(expectations),
            remediation=check.remediation,
            references=check.references,
            values={name: values[name] for name in sorted(self.file.locals.traced(self.used))},
            address=self.address,
            excluded=f"Excluded by the project: {reason}"
            if (reason := pack.excluded.get(self.id)) is not None
            else None,
            archive=check.requires.archive
            if isinstance(check.requires, Requirements)
            else check.requires and WHOLE_WINDOW,
        )
        return Checked(compiled_check, problems)

    # Queries

    def _named_queries(self) -> dict[str, tuple[Query, Address]]:
        """Return the queries of the check by name with their addresses, shared ones looked up."""
        check, shared = self.check, self.file.document.queries
        sources = {SINGLE: check.query} if check.query is not None else dict(check.queries or {})
        found: dict[str, tuple[Query, Address]] = {}
        for name, source in sources.items():
            at = self.address.at("query") if name == SINGLE else self.address.at("queries", name)
            if isinstance(source, Query):
                found[name] = (source, at)
            elif source in shared:
                found[name] = (shared[source], self.file.address("queries", source))
            else:
                self._report(
                    "policy.unknown-query",
                    "Unknown query",
                    f'The file has no query "{source}".',
                    f"A resource is named so: {{resource: {source}, …}}"
                    if source in self.file.project.catalogue
                    else did_you_mean(source, shared) or "Name it under queries, beside checks.",
                    at,
                )
        return found

    def _check_archive(self) -> None:
        """Refuse a demand for older records of what PingOne holds for as long as it is there."""
        kinds = [self.file.project.catalogue.get(query.resource) for query, _ in self.queries.values()]
        if self.check.requires is not None and all(kind and kind.retention is None for kind in kinds):
            self._report(
                "policy.needs-no-archive",
                "No archive is needed",
                "PingOne holds all that the check asks for.",
                "Remove requires.",
                self.address.at("requires").key(),
            )

    def _compiled_queries(self) -> dict[str, CompiledQuery]:
        compiled = {}
        for name, (query, address) in self.queries.items():
            checked = self.file.query(query, address)
            self.problems += checked.diagnostics
            if checked.value is not None:
                self.used |= checked.value.values
                compiled[name] = checked.value.query
        return compiled

    def _record(self, name: str) -> Given:
        return self.file.records.of(self.queries[name][0].resource) if name in self.queries else ANYTHING

    def _lists(self, never_empty: Container[str]) -> dict[str, Given]:
        """Return the records of each query as a list."""
        return {name: self._record(name).listed(filled=name in never_empty) for name in self.queries}

    # Defaults

    def _on_empty(self, expectation: Expectation) -> dict[str, OnEmpty]:
        """
        Return what no records of a query count as, by query; one that is left out is left to the expression.

        The descriptor decides unless the policy does: no events is an ordinary day, no counts is news. `that`
        over no events is evaluated like any other list; `some` of nothing fails.
        """
        told = expectation.on_empty or self.check.on_empty
        decided: dict[str, OnEmpty] = {}
        for name, (query, _) in self.queries.items():
            kind = self.file.project.catalogue.get(query.resource)
            is_examined = expectation.over is None or name in (SINGLE, expectation.over)
            if told is not None and is_examined:
                decided[name] = told
            elif query.on_empty is not None:
                decided[name] = query.on_empty
            elif kind is None or kind.empty == "error":
                decided[name] = "error"
            elif is_examined and expectation.form != "that":
                decided[name] = "fail" if expectation.form == "some" else "pass"
        return decided

    def _over(self, expectation: Expectation, address: Address) -> str | None:
        """Return the name of the query that an expectation is about; None for all of them together."""
        over = expectation.over
        if self.check.queries is None:
            if over is not None:
                self._report(
                    "policy.unknown-query",
                    "Unknown query",
                    f'The check has one query, which has no name, so there is no "{over}".',
                    "Remove over, or name the query under queries.",
                    address.at("over"),
                )
            return SINGLE
        if over is not None and over not in self.check.queries:
            self._report(
                "policy.unknown-query",
                "Unknown query",
                f'The check has no query "{over}".',
                did_you_mean(over, self.check.queries),
                address.at("over"),
            )
        if over is None and expectation.form != "that":
            self._report(
                "policy.over-missing",
                "Query not named",
                f'The check has named queries, and "{expectation.form}" is about the records of one.',
                f"Add over: {' | '.join(self.check.queries)}; or write that: to see all of them.",
                address.at(expectation.form).key(),
            )
        return over

    # Expressions

    def _check_expressions(self, expectations: list[CompiledExpectation]) -> None:
        always_decided = [
            name for name in self.queries if all(name in each.on_empty for each in expectations)
        ]
        bound = self._bound(self._lists(always_decided))
        scope = Scope(values=self.file.locals.values, bound=bound)
        for expectation, source in zip(expectations, self.check.expect, strict=True):
            given = self._given(expectation)
            typed = self._typed(
                expectation.expression,
                scope,
                given,
                expectation.address.at(expectation.form),
                result=_RESULTS[expectation.form],
                warns_of_missing=expectation.on_missing is None,
            )
            self._check_population(expectation)
            if expectation.message is None:
                continue
            item = given.type
            if expectation.form in ("none", "some"):
                found = typed.result.type.array if typed else None
                item = found.items if found else jmes.ANY
            at = expectation.address if source.message else self.address
            message = check_message(expectation.message, scope, item, at.at("message"), self.file.records)
            self.problems += message.diagnostics
            self.used |= message.value or frozenset()

    def _bound(self, lists: Mapping[str, Given]) -> dict[str, Given]:
        """Return what `bind` finds, by the name of its placeholder."""
        bound = {}
        for name, text in self.check.bind.items():
            at = self.address.at("bind", name)
            if self.check.queries is None:
                self._report(
                    "policy.bind-without-queries",
                    "Nothing to bind from",
                    "bind sees the records of named queries, as {name: [...]}.",
                    "Write queries: {records: …} instead of query, and over: records.",
                    at.key(),
                )
            typed = self._typed(text, Scope(values=self.file.locals.values), together(lists), at)
            bound[f"bind.{name}"] = typed.result if typed else ANYTHING
        return bound

    def _given(self, expectation: CompiledExpectation) -> Given:
        lists = self._lists(expectation.on_empty)
        if expectation.over is None:
            return together(lists) if expectation.form == "that" else ANYTHING
        if expectation.form == "every":
            return self._record(expectation.over)
        return lists.get(expectation.over, ANYTHING)

    def _typed(
        self,
        text: str,
        scope: Scope,
        given: Given,
        address: Address,
        *,
        result: Result | None = None,
        warns_of_missing: bool = True,
    ) -> Typed | None:
        checked = check_expression(
            text, scope, given, address, result=result, warns_of_missing=warns_of_missing
        )
        self.problems += checked.diagnostics
        self.used |= checked.value.names if checked.value else frozenset()
        return checked.value

    def _check_population(self, expectation: CompiledExpectation) -> None:
        """Warn where a filter already holds the exception: of how many records it is one can not be told then."""
        query, address = self.queries.get(expectation.over or SINGLE, (None, self.address))
        is_short = expectation.form == "none" and expectation.expression == EVERY_ITEM
        has_mistakes = any(problem.level is Level.ERROR for problem in self.problems)
        if not is_short or has_mistakes or query is None or query.where is None:
            return
        try:
            tree = scim.parse(query.where, self.file.locals.values)
        except Mistake:
            return
        if any(_exclusions(tree)):
            self._report(
                "policy.population-unknown",
                "Population unknown",
                "The filter holds the exception itself, so no report can say of how many records it is one.",
                "Select in where what the check is about, and write what must hold of it: expect: {every: …}.",
                address.at("where"),
                level=Level.WARNING,
            )

    def _report(
        self,
        code: str,
        summary: str,
        detail: str,
        help: str,
        address: Address,
        *,
        level: Level = Level.ERROR,
    ) -> None:
        self.problems.append(
            Diagnostic(code=code, summary=summary, detail=detail, help=help, address=address, level=level)
        )


def _exclusions(tree: scim.Filter) -> Iterator[bool]:
    """Tell of each term of a conjunction whether it excludes what the others select."""
    for term in tree.terms if isinstance(tree, scim.And) else ():
        is_unequal = isinstance(term, scim.Compare) and term.operator is scim.Operator.NE
        yield is_unequal or isinstance(term, scim.Not)
