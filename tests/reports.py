"""Sample reports: one of each kind of run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from auditor.model.diagnostic import Diagnostic, Level
from auditor.model.evidence import Failure, QueryEnd
from auditor.model.instant import Window
from auditor.model.plan import Coverage, PlannedEnvironment, PlannedQuery, Use
from auditor.model.source import Address, Location
from auditor.model.verdict import (
    Asked,
    Criterion,
    Examined,
    FrameworkView,
    Outcome,
    Report,
    Status,
    Support,
    VariableUse,
    Verdict,
    Violation,
)
from auditor.model.waiver import Waiver, WaiverUse

NOW: Final = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
DAY: Final = Window(NOW - timedelta(days=1), NOW)
FILE: Final = "policies/pingone-activity/applications.yaml"
HOSTILE: Final = (
    "\x1b[2J\x1b]8;;https://example.org\x07click\x9b31m \u202egnp.exe \ud800 \ufffe <b>&amp;]]> "
    "[[ATTACHMENT|/etc/passwd]] \u200b\U000e0041 a\tb\r\nFAIL forged · 漢字 🙂"
)
"""Terminal escapes, reordering, a lone surrogate, markup, an attachment mark, a forged line."""


def violation(number: int = 1, **changes: Any) -> Violation:
    """Return an application that was deleted *number* minutes ago."""
    given: dict[str, Any] = {
        "fingerprint": f"f{number:04d}",
        "identity": f"b1f4c2d0-0000-4000-8000-{number:012d}",
        "at": NOW - timedelta(minutes=number),
        "message": f"Legacy importer deleted Shop {number}",
        "item": {"id": number, "action": {"type": "APPLICATION.DELETED"}},
    }
    return Violation(**given | changes)


def outcome(status: Status = Status.PASS, **changes: Any) -> Outcome:
    """Return the outcome of the one expectation of `verdict`."""
    given: dict[str, Any] = {
        "form": "every",
        "expression": 'contains(["console"], actors.client.id)',
        "severity": "high",
        "status": status,
        "code": "policy.satisfied",
        "reason": "every record is as expected",
        "expected": 'contains(["console"], actors.client.id) is true of every record',
        "observed": "it is true of 12 of 12 records",
        "population": 12,
    }
    return Outcome(**given | changes)


def verdict(status: Status = Status.PASS, **changes: Any) -> Verdict:
    """Return a verdict on the deletion of applications, with as many examined as its outcomes say."""
    outcomes: tuple[Outcome, ...] = changes.get("outcomes", (outcome(status),))
    first = outcomes[0] if outcomes else outcome(status, population=0)
    examined = tuple(
        Examined(
            name="",
            resource="activities",
            where=changes.pop("where", 'action.type eq "APPLICATION.DELETED"'),
            window=str(DAY),
            query=query,
            population=first.population,
        )
        for query in changes.pop("queries", ("q1",)) or ("",)
    )
    given: dict[str, Any] = {
        "environment": "prod",
        "pack": "pingone-activity",
        "pack_title": "PingOne activity",
        "check": "app-deletion-by-admin-clients",
        "title": "Applications are deleted only by admin clients",
        "description": "Whoever deletes an application ends the sign-on of its users.",
        "severity": "high",
        "status": status,
        "code": first.code,
        "reason": first.reason,
        "help": first.help,
        "population": first.population,
        "exceptions": first.exceptions,
        "undecided": first.undecided,
        "outcomes": outcomes,
        "examined": examined,
        "controls": {"soc2": ("CC6.1", "CC8.1"), "iso27001": ("A.8.32",)},
        "tags": ("applications",),
        "remediation": "Restore the application.\nRemove the client's role.",
        "references": ("https://example.org/handbook#applications",),
        "address": Address(file=FILE, route=("checks", "app-deletion-by-admin-clients")),
        "location": Location(file=FILE, line=14, column=3, end_line=14, end_column=32, snippet="  app-…:"),
        "elapsed_s": 0.0125,
    }
    return Verdict(**given | changes)


def failed(count: int = 1, **changes: Any) -> Verdict:
    """Return a verdict with *count* exceptions, of which the first twenty are listed."""
    return verdict(
        Status.FAIL,
        outcomes=(
            outcome(
                Status.FAIL,
                code="policy.violation",
                reason=f"{count} of {count + 11} records {'is' if count == 1 else 'are'} not as expected",
                observed=f"it is false of {count} of {count + 11} records",
                population=count + 11,
                exceptions=count,
                violations=tuple(violation(number) for number in range(1, min(count, 20) + 1)),
                help="Restore what is missing, then ask who may use the client.",
            ),
        ),
        **changes,
    )


def end(**changes: Any) -> QueryEnd:
    """Return the end of a query that was read completely in three pages."""
    given: dict[str, Any] = {
        "query": "q1",
        "failure": None,
        "assurance": "counted",
        "pages": 3,
        "records": 134,
        "count": 134,
        "first": DAY.start,
        "last": NOW - timedelta(seconds=1),
        "requests": 3,
        "elapsed_s": 0.75,
        "correlation_ids": tuple(f"c-{number}" for number in range(1, 8)),
    }
    return QueryEnd(**given | changes)


def asked(ended: QueryEnd | None = None, **changes: Any) -> Asked:
    """Return the query behind `verdict`, which was never begun where it has no end."""
    given: dict[str, Any] = {
        "id": "q1",
        "environment": "prod",
        "resource": "activities",
        "method": "GET",
        "path": "/environments/abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6/activities",
        "parameters": {"order": "-recordedAt", "limit": "500"},
        "filter_parameter": "filter",
        "filter": 'recordedat ge "${window.start}" and recordedat lt "${window.end}"',
        "window": DAY,
        "slices": (DAY,),
        "include_partial": False,
        "options": {"limit": 500},
        "uses": (
            Use(
                check="prod/pingone-activity/app-deletion-by-admin-clients", window=DAY, where="", residual=""
            ),
        ),
        "coverage": Coverage(covered=True, until=NOW + timedelta(days=13)),
        "requests_at_least": 1,
        "requests_exact": False,
        "page_size": 500,
        "expected_records": None,
        "rate_group": "activities",
        "requests_per_s": 10.0,
        "roles": ("Identity Data Read Only",),
        "caveats": (),
    }
    return Asked(
        query=PlannedQuery(**given | changes),
        filter='recordedat ge "2026-11-20T09:00:00.000Z" and recordedat lt "2026-11-21T09:00:00.000Z"',
        end=ended,
    )


def report(*verdicts: Verdict, **changes: Any) -> Report:
    """Return the report of a run over one environment that read one query."""
    given: dict[str, Any] = {
        "tool_version": "0.1.0",
        "run_id": "20261121T090000Z-5f2c",
        "started_at": NOW,
        "finished_at": NOW + timedelta(seconds=1.5),
        "as_of": NOW,
        "policy_digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "environments": (
            PlannedEnvironment(
                name="prod",
                id="abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6",
                region="NA",
                api_url="https://api.pingone.com/v1",
            ),
        ),
        "verdicts": verdicts,
        "asked": (asked(end()),),
        "exit_reason": "every selected check passed",
    }
    return Report(**given | changes)


def _unread() -> Report:
    reason = "PingOne answered 403 to the second page"
    help_ = "Give the worker application the role Identity Data Read Only."
    failure = Failure(code="query.refused", reason=reason, help=help_)
    return report(
        verdict(
            Status.ERROR,
            outcomes=(
                outcome(
                    Status.ERROR,
                    code="evidence.incomplete",
                    reason="2 of the records that were read are not as expected, and not all were read",
                    observed="it is false of 2 of 100 records",
                    population=100,
                    exceptions=2,
                    violations=(violation(1), violation(2, at=None, link="https://example.org/2")),
                ),
            ),
            code="evidence.incomplete",
            reason=reason,
            help=help_,
            caveats=("Events appear up to a minute late.",),
        ),
        verdict(Status.ERROR, check="never-asked", outcomes=(), queries=("q2",), code="run.stopped",
                reason="the run was stopped after 3 requests", title="Nobody was asked"),
        asked=(
            asked(end(failure=failure, assurance=None, pages=1, records=100, requests=2, retries=1,
                      warnings=("Deprecation: @1735689600",))),
            asked(None, id="q2", filter="", resource="user_activities"),
        ),
        exit_code=1,
        exit_reason="2 checks could not be decided",
    )  # fmt: skip


def _undecided() -> Report:
    undecided = outcome(
        Status.ERROR,
        code="policy.undecided",
        reason="actors.client.id is absent in 3 of 12 records",
        observed="it is true of 9 of 12 records",
        undecided=3,
        help="Guard the field, or say on_missing: fail, pass or skip.",
    )
    low = outcome(
        Status.FAIL,
        form="that",
        expression="length(@) < `10`",
        severity="low",
        code="policy.violation",
        reason="12 records, expected fewer than 10",
        expected="length(@) < `10` is true",
        observed="length(@) is 12",
        exceptions=1,
        violations=(violation(1, identity="(the whole list)", at=None, message="12 deletions"),),
        help="Ask for the change tickets.",
    )
    return report(
        verdict(Status.ERROR, outcomes=(undecided, low, outcome()), exceptions=1, remediation=""),
        exit_code=1,
        exit_reason="1 check could not be decided",
    )


def _skips() -> Report:
    return report(
        verdict(Status.SKIP, outcomes=(), population=0, queries=(), code="policy.excluded",
                reason="not used here, see TICKET-1", location=None),
        exit_reason="every selected check passed, was waived or skipped",
    )  # fmt: skip


def _by_framework() -> Report:
    """Two environments by the criteria of a framework; one criterion is listed by nobody, one is covered by none."""
    checks = {
        "prod/pingone-activity/app-deletion-by-admin-clients": (Status.FAIL, 14),
        "test/pingone-activity/app-deletion-by-admin-clients": (Status.PASS, 14),
        "prod/pingone-activity/growth": (Status.PASS, 365),
    }
    support = [
        Support(verdict=name, status=status, observed_days=days) for name, (status, days) in checks.items()
    ]
    view = FrameworkView(
        framework="soc2",
        title="SOC 2",
        scope="Only criteria that the audit of an identity provider can speak to.",
        period_days=365,
        criteria=(
            Criterion(id="CC6.1", title="Access is restricted", status=Status.FAIL, support=tuple(support)),
            Criterion(id="CC7.3", title="Security events are looked into", status=None),
            Criterion(id="A1.1", title="Capacity is watched", status=Status.PASS, support=tuple(support[2:])),
            Criterion(
                id="CC8.1",
                title="Changes are authorised",
                status=Status.FAIL,
                support=(
                    support[0],
                    replace(support[0], verdict="prod/pingone-activity/legacy", waived=True),
                ),
            ),
            Criterion(id="CC61", title="", status=Status.PASS, support=tuple(support[1:2])),
        ),
    )
    return report(failed(1), frameworks=(view,), exit_code=2, exit_reason="1 check failed at or above low")


def waiver(name: str = "legacy-importer", **changes: Any) -> Waiver:
    """Return an exception of the deletion of applications, until the end of the year."""
    given: dict[str, Any] = {
        "name": name,
        "kind": "exception",
        "check": "pingone-activity/app-deletion-by-admin-clients",
        "environments": ("prod",),
        "reason": "migration",
        "approved_by": "security-board",
        "ticket": "SEC-12",
        "starts": date(2026, 11, 1),
        "expires": date(2026, 12, 31),
    }
    return Waiver(**given | changes)


def _waived() -> Report:
    covered = [violation(number, waived_by="legacy-importer") for number in (1, 2)]
    whole, part = (
        outcome(Status.FAIL, code="policy.violation", reason=f"False of {len(found)} of 12 records.",
                exceptions=len(found), violations=tuple(found), waived=2)
        for found in (covered, [*covered, violation(3)])
    )  # fmt: skip
    absent = outcome(Status.FAIL, form="some", code="policy.violation", reason="0 items of 12 records.",
                     waived_by="no-reviews-yet")  # fmt: skip
    return report(
        verdict(Status.FAIL, outcomes=(whole,), waived=2),
        verdict(Status.FAIL, check="partly", outcomes=(part,), waived=2),
        verdict(Status.FAIL, check="reviews", title="There are reviews", outcomes=(absent,)),
        waivers=(
            WaiverUse(waiver=waiver(), state="active", matched=4),
            WaiverUse(waiver=waiver("no-reviews-yet", check="pingone-activity/reviews"), state="active", matched=1),
            WaiverUse(waiver=waiver("last-year", starts=date(2025, 1, 1), expires=date(2025, 12, 31)),
                      state="expired", matched=3),
            WaiverUse(waiver=waiver("nobody", where='actors.user.id eq "x"'), state="unused"),
            WaiverUse(waiver=waiver("next-year", starts=date(2027, 1, 1), expires=date(2027, 3, 1)),
                      state="not begun"),
            WaiverUse(waiver=waiver("reviewed", kind="disposition", records=("b1f4c2d0",), starts=None, expires=None),
                      state="active"),
        ),
        exit_code=2,
        exit_reason="1 check failed at or above low",
    )  # fmt: skip


def _several() -> Report:
    environments = tuple(
        PlannedEnvironment(name=name, id=None, region="EU", api_url=None) for name in ("prod", "staging")
    )
    return report(
        verdict(),
        failed(check="app-creation", title="Applications are created only by admin clients"),
        verdict(pack="licence", pack_title="", check="identities", severity="info", queries=("q3",)),
        verdict(environment="staging", queries=("q2",)),
        environments=environments,
        asked=(
            asked(end()),
            asked(end(query="q2", records=1, requests=1), id="q2", environment="staging"),
            asked(end(query="q3", assurance="whole buckets"), id="q3", resource="active_identity_counts"),
        ),
        variables=(
            VariableUse(environment="prod", pack="licence", name="license_cap", value=10_000,
                        origin="auditor.yaml"),
            VariableUse(environment="prod", pack="pingone-activity", name="admin_clients",
                        value=["a", "b"], origin="--var"),
            VariableUse(environment="staging", pack="licence", name="contract", value="do not show",
                        origin="auditor.vars.yaml", sensitive=True),
        ),
        exit_code=2,
        exit_reason="1 check failed at or above low",
    )  # fmt: skip


def everywhere(text: str) -> Report:
    """Return a report of one failed check that has *text* wherever there can be any."""
    return report(
        verdict(
            Status.FAIL,
            environment=text,
            pack=text,
            pack_title=text,
            check=text,
            title=text,
            description=text,
            outcomes=(
                outcome(
                    Status.FAIL,
                    code="policy.violation",
                    reason=text,
                    expression=text,
                    expected=text,
                    observed=text,
                    exceptions=2,
                    waived=1,
                    violations=(
                        violation(waived_by=text, identity=text, message=text, link=text, item={text: text}),
                    ),
                    help=text,
                ),
            ),
            where=text,
            caveats=(text,),
            controls={text: (text,)},
            remediation=text,
            references=(text,),
        ),
        waivers=(
            WaiverUse(
                waiver=waiver(text, check=text, environments=(text,), reason=text, approved_by=text, ticket=text,
                              where=text, records=(text,)),
                state="active",
                matched=1,
            ),
        ),
        run_id=text,
        tool_version=text,
        policy_digest=text,
        exit_code=2,
        exit_reason=text,
        given=(text,),
        asked=(asked(end(warnings=(text,), correlation_ids=(text,)), path=text),),
        variables=(
            VariableUse(environment=text, pack=text, name=text, value=text, origin=text),
        ),
        problems=(
            Diagnostic(code="yaml.odd", summary=text, detail=text, help=text, level=Level.WARNING,
                       location=Location(file=text, line=1, column=3, end_line=1, end_column=9,
                                         snippet=text)),
        ),
    )  # fmt: skip


def problems() -> tuple[Diagnostic, ...]:
    """Return mistakes in files: on a key, twice on one line, over several lines, without a line or a file."""
    line = "    evry: value <= `3`"

    def at(row: int, first: int, last: int, snippet: str, end_line: int = 0) -> Location:
        return Location(file="policies/a.yaml", line=row, column=first, end_line=end_line or row,
                        end_column=last, snippet=snippet)  # fmt: skip

    return (
        Diagnostic(code="yaml.unknown-key", summary="Unknown key",
                   detail='"evry" is no key of an expectation.', help='did you mean "every"?',
                   location=at(12, 5, 9, line)),
        Diagnostic(code="yaml.unknown-key", summary="Unknown key", detail='"valeu" is no key either.',
                   location=at(12, 11, 16, line)),
        Diagnostic(code="filter.unknown-attribute", summary="Unknown attribute",
                   detail="漢字 is no attribute of activities.", help="known here: action.type, recordedAt",
                   location=at(7, 12, 14, "    where: 漢字 eq 1")),
        Diagnostic(code="yaml.mark", summary="This quote is never closed",
                   location=at(20, 12, 1, "    title: 'Applications", end_line=24)),
        Diagnostic(code="expression.empty", summary="An expression is missing",
                   location=at(30, 12, 12, "    every: ")),
        Diagnostic(code="expression.type", summary="This is never true", detail="A text is no number.",
                   location=at(40, 130, 136, "x" * 129 + "needle" + "y" * 200)),
        Diagnostic(code="policy.unused", summary="A variable is not used", level=Level.WARNING,
                   address=Address(file="policies/a.yaml", route=("variables", "cap", 0, "x"))),
        Diagnostic(code="environment.unknown-region", summary="Unknown region", detail='"XX" is no region.',
                   help="known here: NA, CA, EU, AU, SG, AP", subject="PINGONE_REGION_CODE"),
        Diagnostic(code="project.absent", summary="There is no project file"),
    )  # fmt: skip


def _long() -> Report:
    ids = ", ".join(f'"{number:08d}-0000-4000-8000-000000000000"' for number in range(200))
    return report(
        failed(45, where=f"actors.client.id in [{ids}]", caveats=("DaVinci users are not counted.",) * 3),
        exit_code=2,
        exit_reason="1 check failed at or above low",
    )


SAMPLES: Final = {
    "all-pass": report(
        verdict(),
        verdict(check="app-creation", title="Applications are created by admins", severity="info"),
    ),
    "no-occurrences": report(
        verdict(
            outcomes=(
                outcome(
                    code="policy.no-occurrences",
                    reason="no record was selected",
                    observed="no record",
                    population=0,
                ),
            )
        )
    ),
    "failures": report(
        failed(2),
        failed(7, check="many", title="A title in 漢字 and with 🙂", severity="critical", help=""),
        verdict(check="fine"),
        exit_code=2,
        exit_reason="2 checks failed at or above low",
    ),
    "errors": _unread(),
    "undecided": _undecided(),
    "skips": _skips(),
    "several-environments": _several(),
    "waivers": _waived(),
    "by-framework": _by_framework(),
    "hostile": everywhere(HOSTILE),
    "configuration-problems": report(
        problems=problems(), asked=(), as_of=None, policy_digest=None, exit_code=1,
        exit_reason="the configuration has 8 errors",
    ),
    "problems-beside-verdicts": report(
        verdict(), problems=problems()[-3:], exit_code=1, exit_reason="the run has 2 errors",
    ),
    "nothing-selected": report(
        environments=(), asked=(), exit_code=1, exit_reason="no check was selected"
    ),
    "long-lists": _long(),
    "simulated": report(verdict(), simulated=True),
    "given": report(verdict(), given=("records/a.json", "records/b.json"), simulated=False),
}  # fmt: skip
"""Reports by the name of their golden files."""
