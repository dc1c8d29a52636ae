"""
JUnit XML: a strict form, and flavours of it for single readers.

The schemas of Jenkins (junit-10) and Ant (windyroad) both accept the strict form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as ET

from auditor.model.diagnostic import Diagnostic, Level
from auditor.model.instant import format_instant
from auditor.model.verdict import Asked, Report, Status, Verdict
from auditor.reporter import JUnitFlavor, render_diagnostics, wording
from auditor.reporter.neutral import one_line, shorten, unattached

MESSAGE_CHARACTERS: Final = 255
"""What GitHub's annotations show of a title, the shortest of the known limits."""
BODY_CHARACTERS: Final = 60_000
"""Below the 64,000 of GitHub's annotations, with room for what the reader adds."""
NAME_CHARACTERS: Final = 512
"""What Azure DevOps takes of a name (PublishTestResults)."""
DOCUMENT_BYTES: Final = 25_000_000
"""Below the 30 MB that GitLab takes ("Unit test reports")."""
VIOLATIONS: Final = 20
"""Exceptions listed of each expectation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavor:
    """
    What a document has beside the strict form, for one reader.

    `file`: cases name the file of their policy. `skip_message`: the reason of a skip is an attribute too.
    `environment`: class names always begin with the environment. `output`: cases say what was examined.
    """

    file: bool = False
    skip_message: bool = False
    environment: bool = False
    output: bool = False


FLAVORS: Final[Mapping[JUnitFlavor, Flavor]] = {
    "strict": Flavor(),
    "gitlab": Flavor(file=True),  # which it links; of everything else it shows name, class and body
    "azure": Flavor(skip_message=True),  # the only place where it looks for the reason of a skip
    # A tree of class names split at dots, and the output of every case, passed or not.
    "jenkins": Flavor(skip_message=True, environment=True, output=True),
}

_FACT_CHARACTERS: Final = 2_000

_TAGS: Final = {Status.FAIL: "failure", Status.ERROR: "error", Status.SKIP: "skipped"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    classname: str
    name: str
    status: Status
    code: str = ""
    message: str = ""
    body: str = ""
    out: str = ""
    file: str = ""
    elapsed_s: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Suite:
    name: str
    package: str
    hostname: str
    cases: tuple[_Case, ...]
    properties: dict[str, str]
    out: str
    elapsed_s: float = 0

    def count(self, status: Status) -> str:
        return str(sum(case.status is status for case in self.cases))


def render(report: Report, *, junit_flavor: JUnitFlavor = "strict", **_options: object) -> str:
    """
    Write a report as JUnit XML: a suite per environment and pack, a case per check.

    Shape: `failure`, `error` and `skipped` as the verdicts are, with the code as `type`; a waived failure is skipped
    and says what lies beneath; a passing case is empty, what it examined stands in its suite's properties and
    `system-out`. Errors among the problems are cases of a first suite `auditor`; warnings are the `system-err` of the
    first suite, whichever it is. A report without either is one error, since a run that looked at nothing must not
    look well. Texts are shortened until the document has at most `DOCUMENT_BYTES`, and say that they were.
    Source: JUnit has no specification; the two schemas, and what CI systems read.
    """
    flavor = FLAVORS[junit_flavor]
    suites = [*_problem_suites(report), *_verdict_suites(report, flavor)] or [_nothing_selected(report)]
    warnings = render_diagnostics(p for p in report.problems if p.level is Level.WARNING)
    limit = BODY_CHARACTERS
    while len(document := _document(suites, report.started_at, warnings, flavor, limit)) > DOCUMENT_BYTES:
        if limit < MESSAGE_CHARACTERS:
            break  # so many checks that their names alone are too many: nothing is left to be shortened
        limit //= 2
    return document.decode()


def _document(suites: list[_Suite], started_at: datetime, warnings: str, flavor: Flavor, limit: int) -> bytes:
    root = ET.Element("testsuites")
    for number, suite in enumerate(suites):
        element = _write(root, suite, number, started_at)
        for case in suite.cases:
            _write_case(element, case, flavor, limit)
        _add(element, "system-out", suite.out)
        _add(element, "system-err", warnings if number == 0 else "")
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _verdict_suites(report: Report, flavor: Flavor) -> Iterator[_Suite]:
    asked = {one.query.id: one for one in report.asked}
    several = (
        flavor.environment
        or len({verdict.environment for verdict in report.verdicts}.union(_environments(report))) > 1
    )
    for verdicts in wording.groups(report):
        first = verdicts[0]
        yield _Suite(
            name=wording.heading(first),
            package=first.pack,
            hostname=first.environment,
            properties=_run_properties(report, first.environment) | _check_properties(verdicts),
            cases=tuple(_case(report, verdict, asked, several=several) for verdict in verdicts),
            out="\n".join(_overview(report, verdicts, asked)),
            elapsed_s=_elapsed_s(report, verdicts, asked),
        )


def _elapsed_s(report: Report, verdicts: Iterable[Verdict], asked: Mapping[str, Asked]) -> float:
    """
    Return how long a suite took: each of its queries once, though each of its cases says how long it waited.

    Queries are read side by side, so that together they may have taken longer than the whole run, which no suite does.
    """
    queries = {query for verdict in verdicts for query in verdict.queries}
    ends = [asked[query].end for query in queries if query in asked]
    run_s = (report.finished_at - report.started_at).total_seconds()
    return min(sum(end.elapsed_s for end in ends if end), run_s)


def _environments(report: Report) -> tuple[str, ...]:
    return tuple(environment.name for environment in report.environments)


def _run_properties(report: Report, environment: str = "") -> dict[str, str]:
    asked = next((one for one in report.environments if one.name == environment), None)
    known = {
        "run": report.run_id,
        "tool-version": report.tool_version,
        "policy-digest": report.policy_digest,
        "root-digest": report.root_digest,
        "privacy": report.privacy,
        "as-of": format_instant(report.as_of) if report.as_of else None,
        "simulated": "true" if report.simulated else None,
        "given": ", ".join(report.given),
        "environment-id": asked and asked.id,
        "region": asked and asked.region,
        "api-url": asked and not report.given and asked.api_url,
    }
    return {name: value for name, value in known.items() if value}


def _check_properties(verdicts: list[Verdict]) -> dict[str, str]:
    properties = {
        "population": str(sum(verdict.population for verdict in verdicts)),
        "exceptions": str(sum(verdict.exceptions for verdict in verdicts)),
    }
    for verdict in verdicts:
        properties[f"{verdict.check}.population"] = str(verdict.population)
        properties[f"{verdict.check}.exceptions"] = str(verdict.exceptions)
        properties[f"{verdict.check}.severity"] = verdict.severity
        if verdict.controls:
            properties[f"{verdict.check}.controls"] = wording.controls(verdict)
    return properties


def _case(report: Report, verdict: Verdict, asked: dict[str, Asked], *, several: bool) -> _Case:
    passed = verdict.status is Status.PASS
    return _Case(
        classname=f"{verdict.environment}.{verdict.pack}" if several else verdict.pack,
        name=verdict.check,
        status=Status.SKIP if verdict.is_waived else verdict.status,
        code=verdict.code,
        message=" ".join([*_waived(report, verdict), verdict.reason or verdict.title]),
        body="" if passed else "\n".join([*_waived(report, verdict), *_lines(_body(report, verdict, asked))]),
        out="\n".join([_examined(verdict), *_lines(("caveat", caveat) for caveat in verdict.caveats)]),
        file=wording.repository_place(verdict).file,
        elapsed_s=verdict.elapsed_s,
    )


def _examined(verdict: Verdict) -> str:
    label = " · no occurrences" if wording.no_occurrences(verdict) else ""
    return f"{wording.word(verdict).upper():5} {one_line(verdict.check)} · {wording.examined(verdict)}{label}"


def _waived(report: Report, verdict: Verdict) -> list[str]:
    """Return what a skipped case says of the failure beneath."""
    if not verdict.is_waived:
        return []
    waivers = "; ".join(wording.waivers(report, verdict))
    return [f"Waived {waivers}; underlying verdict: {verdict.status.word}."]


def _body(report: Report, verdict: Verdict, asked: dict[str, Asked]) -> Iterator[wording.Fact]:
    yield "title", one_line(verdict.title)
    yield "severity", verdict.severity
    yield "population", wording.examined(verdict)
    yield from wording.facts(report, verdict, violations=VIOLATIONS)
    for query in verdict.queries:
        if query in asked:
            yield from wording.query(asked[query])
    for caveat in verdict.caveats:
        yield "caveat", caveat
    yield "controls", wording.controls(verdict)
    yield "why", verdict.description
    yield "see", " ".join(verdict.references)
    yield "everything", "the JSON report of the run: --report json=PATH"


def _lines(facts: Iterable[wording.Fact]) -> Iterator[str]:
    for label, text in wording.told(facts, _FACT_CHARACTERS):
        # Further lines are indented, so that no text can pass for a fact of its own.
        indented = text.replace("\n", "\n  ")
        if not label:
            yield f"  {indented}"
        elif text.startswith("- "):
            yield f"{label}:\n  {indented}"
        else:
            yield f"{label}: {indented}"


def _overview(report: Report, verdicts: list[Verdict], asked: dict[str, Asked]) -> Iterator[str]:
    yield from wording.provenance(report)
    for verdict in verdicts:
        yield f"{_examined(verdict)} · {shorten(one_line(verdict.title), MESSAGE_CHARACTERS)}"
    for query in dict.fromkeys(query for verdict in verdicts for query in verdict.queries):
        if query in asked:
            yield f"{wording.request(asked[query])}: {wording.answer(asked[query])}"
    yield from _lines(("caveat", caveat) for caveat in wording.caveats(verdicts))


def _problem_suites(report: Report) -> Iterator[_Suite]:
    by_name: dict[str, list[Diagnostic]] = {}
    for problem in report.problems:
        if problem.level is Level.ERROR:
            # GitLab shows only the first of several cases with one name: what shares a line shares a case.
            by_name.setdefault(f"{problem.code} {wording.place_of(problem)}", []).append(problem)
    if by_name:
        yield _own_suite(
            report,
            *(
                _Case(
                    classname="configuration",
                    name=name,
                    status=Status.ERROR,
                    code=found[0].code,
                    message=f"{found[0].summary}: {found[0].detail}".removesuffix(": "),
                    body=render_diagnostics(found),
                )
                for name, found in by_name.items()
            ),
        )


def _nothing_selected(report: Report) -> _Suite:
    return _own_suite(
        report,
        _Case(
            classname="configuration",
            name="policy.nothing-selected",
            status=Status.ERROR,
            code="policy.nothing-selected",
            message=wording.NOTHING_SELECTED,
            body=wording.NOTHING_SELECTED,
        ),
    )


def _own_suite(report: Report, *cases: _Case) -> _Suite:
    names = _environments(report)
    return _Suite(
        name="auditor",
        package="auditor",
        # The schema's own word for an unknown host; a machine's name would differ from run to run.
        hostname=names[0] if len(names) == 1 else "localhost",
        properties=_run_properties(report),
        cases=cases,
        out="\n".join(wording.provenance(report)),
    )


def _write(root: ET.Element, suite: _Suite, number: int, started_at: datetime) -> ET.Element:
    element = _add(
        root,
        "testsuite",
        name=_token(suite.name),
        package=_token(suite.package),
        id=str(number),
        timestamp=started_at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds"),
        hostname=_token(suite.hostname),
        tests=str(len(suite.cases)),
        failures=suite.count(Status.FAIL),
        errors=suite.count(Status.ERROR),
        skipped=suite.count(Status.SKIP),
        time=f"{suite.elapsed_s:.3f}",
    )
    properties = _add(element, "properties")
    for name, value in suite.properties.items():
        _add(properties, "property", name=_token(name), value=shorten(one_line(value), _FACT_CHARACTERS))
    return element


def _write_case(suite: ET.Element, case: _Case, flavor: Flavor, limit: int) -> None:
    element = _add(
        suite,
        "testcase",
        classname=_token(case.classname),
        name=_token(case.name),
        time=f"{case.elapsed_s:.3f}",
        **({"file": case.file} if flavor.file and case.file else {}),
    )
    message = shorten(unattached(one_line(case.message)), MESSAGE_CHARACTERS)
    body = _cut(unattached(case.body), limit)
    if case.status is Status.SKIP:
        _add(element, "skipped", body, **({"message": message} if flavor.skip_message else {}))
    elif case.status is not Status.PASS:
        _add(element, _TAGS[case.status], body, type=case.code, message=message)
    if flavor.output and case.out:
        _add(element, "system-out", case.out)


def _add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
    """Add an element; the only place where text enters the document."""
    element = ET.SubElement(parent, tag, {name: unattached(value) for name, value in attributes.items()})
    element.text = unattached(text) or None
    return element


def _token(text: str) -> str:
    """Return a text fit for an `xs:token` of at least one character; of two long ones, no two become the same."""
    token = one_line(text) or "-"
    if len(token) <= NAME_CHARACTERS:
        return token
    digest = hashlib.sha256(token.encode()).hexdigest()[:12]
    return f"{token[: NAME_CHARACTERS - 14]}…{digest}"


def _cut(body: str, limit: int) -> str:
    if len(body) <= limit:
        return body
    note = f"\n[shortened: the whole text has {len(body)} characters]"
    return body[: max(limit - len(note), 0)] + note
