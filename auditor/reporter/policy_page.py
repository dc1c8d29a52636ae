"""A check for people who decide about it: one page of Markdown, of the same shape for every check."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from auditor.model.framework import Framework
from auditor.model.policy import Between, Check, Expectation, Last, Query, Requirements, Variable
from auditor.model.resource import Catalogue

_VARIABLE: Final = re.compile(r"\$\{(var|local)\.(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPage:
    """
    A check with what its pack says around it.

    `variables` and `locals` are those of the whole pack, `file` is where the check stands.
    """

    pack: str
    pack_title: str
    id: str
    file: str
    check: Check
    variables: Mapping[str, Variable]
    locals: Mapping[str, str]
    queries: Mapping[str, Query]

    @property
    def used(self) -> tuple[dict[str, Variable], dict[str, str]]:
        """The variables and locals that the check rests on, also through other locals, in the order of their names."""
        texts = [query.where or "" for query in self.own_queries.values()]
        texts += [*self.check.bind.values(), self.check.message or ""]
        texts += [text for each in self.check.expect for text in (each.expression, each.message or "")]
        found: set[tuple[str, str]] = set()
        while texts:
            new = set(_VARIABLE.findall(texts.pop())) - found
            found |= new
            texts += [self.locals[name] for kind, name in new if kind == "local" and name in self.locals]
        names = sorted(name for _, name in found)
        return (
            {
                name: self.variables[name]
                for name in names
                if ("var", name) in found and name in self.variables
            },
            {name: self.locals[name] for name in names if ("local", name) in found and name in self.locals},
        )

    @property
    def own_queries(self) -> dict[str, Query]:
        """The queries of the check by name, shared ones written out; that of a single one is empty."""
        sources = {"": self.check.query} if self.check.query is not None else dict(self.check.queries or {})
        return {
            name: source if isinstance(source, Query) else self.queries[source]
            for name, source in sources.items()
        }


def render(page: PolicyPage, kinds: Catalogue, frameworks: Mapping[str, Framework]) -> str:
    """Write the page of a check, ending with a newline."""
    return "\n\n".join(_parts(page, kinds, frameworks)) + "\n"


def render_index(pages: Iterable[PolicyPage]) -> str:
    """Write the list of all pages, by pack."""
    parts = [
        "# Policies",
        "What ships, one page a check. `make docs` makes the pages from the policies; a test finds stale ones.",
    ]
    packs: dict[str, list[PolicyPage]] = {}
    for page in pages:
        packs.setdefault(page.pack, []).append(page)
    for pack, own in packs.items():
        rows = [
            f"| [{page.check.title}]({page.pack}/{page.id}.md) | {page.check.severity} | `{page.id}` |"
            for page in sorted(own, key=lambda page: page.id)
        ]
        parts += [
            f"## {own[0].pack_title} (`pack:{pack}`)",
            "\n".join(["| Check | Severity | Id |", "| --- | --- | --- |", *rows]),
        ]
    return "\n\n".join(parts) + "\n"


def _parts(page: PolicyPage, kinds: Catalogue, frameworks: Mapping[str, Framework]) -> Iterator[str]:
    check = page.check
    yield f"# {check.title}"
    about = (f"`{page.pack}/{page.id}`", f"severity {check.severity}", ", ".join(check.tags))
    yield " · ".join((*about, f"[{page.file}](../../../{page.file})"))
    yield f"## Why\n\n{check.description}"
    yield "## What is examined"
    for name, query in page.own_queries.items():
        yield "\n".join(_query(name, query, kinds))
    if check.requires is not None:
        reach = (
            f"that reach back {check.requires.archive}"
            if isinstance(check.requires, Requirements)
            else "over the whole window"
        )
        yield f"PingOne does not hold so much at once: without records {reach} (`--records`) the check is skipped."
    yield "## What must hold"
    variables, values = page.used
    for name, expression in values.items():
        yield f"`${{local.{name}}}` is made of variables:\n\n{_code(expression)}"
    for name, expression in check.bind.items():
        yield f"`${{bind.{name}}}` is found first, among all records:\n\n{_code(expression)}"
    for expectation in check.expect:
        yield "\n\n".join(_expectation(expectation, check))
    yield f"## Blind spots\n\n{check.blind_spots}"
    yield "## Variables"
    rows = [_variable(name, variable) for name, variable in variables.items()]
    yield (
        "\n".join(["| Variable | Type | Default | Means |", "| --- | --- | --- | --- |", *rows])
        if rows
        else "None."
    )
    yield f"## What to do about an exception\n\n{check.remediation}"
    yield "## Controls"
    yield "The mapping is ours; a project can change it under `controls` of the pack's entry."
    yield "\n".join(["| Framework | Criterion | |", "| --- | --- | --- |", *_controls(check, frameworks)])
    yield "## References"
    yield "\n".join(f"* {reference}" for reference in check.references)


def _query(name: str, query: Query, kinds: Catalogue) -> Iterator[str]:
    kind = kinds[query.resource]
    yield f"* Records: {f'`{name}`, ' if name else ''}`{kind.kind}`. {kind.summary}"
    if query.window is not None:
        yield f"* Window: {_window(query.window)}"
    if query.where is not None:
        yield f"* Of these: `{_line(query.where)}`"
    for option, value in query.options.items():
        yield f"* `{option}`: {value}"
    yield f"* Role: one of {', '.join(kind.roles)}"


def _window(window: str | Last | Between) -> str:
    if isinstance(window, Last):
        zone = f" in {window.timezone}" if window.align else ""
        return (
            f"the last {window.last}, in whole {window.align}s{zone}"
            if window.align
            else f"the last {window.last}"
        )
    if isinstance(window, Between):
        return f"from {window.start} to {window.end}"
    return "all that PingOne holds at once" if window == "hot" else f"the last {window}"


_FORMS: Final = {
    "every": "Of every record{}, or it is an exception:",
    "none": "Nothing may be found among the records{}, and each find is an exception:",
    "some": "Something must be found among the records{}:",
    "that": "Of all records{} together:",
}


def _expectation(expectation: Expectation, check: Check) -> Iterator[str]:
    over = f" of `{expectation.over}`" if expectation.over else ""
    severity = f" Severity {expectation.severity}." if expectation.severity else ""
    yield _FORMS[expectation.form].format(over) + severity
    yield _code(expectation.expression)
    if missing := expectation.on_missing or check.on_missing:
        yield f"Where a field that it needs is absent: {missing}."
    if empty := expectation.on_empty or check.on_empty:
        yield f"Where there are no records: {empty}."


def _variable(name: str, variable: Variable) -> str:
    default = (
        "must be given" if variable.required else f"`{json.dumps(variable.default, ensure_ascii=False)}`"
    )
    return f"| `{name}` | {variable.type} | {_cell(default)} | {_cell(variable.description)} |"


def _controls(check: Check, frameworks: Mapping[str, Framework]) -> Iterator[str]:
    for name, criteria in check.controls.items():
        framework = frameworks.get(name)
        for criterion in criteria:
            title = framework.criteria.get(criterion, "") if framework else ""
            yield f"| {name} | {criterion} | {_cell(title)} |"


def _code(expression: str) -> str:
    return f"```text\n{expression.strip()}\n```"


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")
