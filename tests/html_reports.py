"""Sample reports for the page: those of every format, and what only the page shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from auditor.model.evidence import Failure
from auditor.model.instant import Window
from auditor.model.plan import Coverage, PlannedEnvironment
from auditor.model.provenance import CIJob, Provenance
from auditor.model.verdict import (
    Criterion,
    FrameworkView,
    Report,
    Series,
    Status,
    Support,
    Threshold,
    VariableUse,
    Verdict,
)
from auditor.model.waiver import WaiverUse
from tests.reports import (
    DAY,
    HOSTILE,
    NOW,
    SAMPLES,
    asked,
    end,
    everywhere,
    failed,
    outcome,
    report,
    verdict,
    violation,
)

PROD: Final = PlannedEnvironment(
    name="prod",
    id="abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6",
    region="EU",
    api_url="https://api.pingone.eu/v1",
)


def counts(values: tuple[float, ...] = (310, 321, 355, 421, 378), *, left_out: int = 0) -> Verdict:
    """Return a verdict on counts by month, of which those over 400 are exceptions."""
    months = [datetime(2026, number, 1, tzinfo=UTC) for number in range(1, len(values) + 1)]
    over = [(at, value) for at, value in zip(months, values, strict=True) if value > 400]
    base = verdict(
        Status.FAIL,
        check="identities-under-cap",
        title="Active identities stay under the cap",
        severity="low",
        outcomes=(
            outcome(
                expression="value <= `440`",
                thresholds=(Threshold(path="value", operator="<=", value=440),),
                population=len(values),
            ),
            outcome(
                Status.FAIL,
                severity="low",
                code="policy.violation",
                reason=f"False of {len(over)} of {len(values)} records.",
                expression="value <= `400`",
                thresholds=(Threshold(path="value", operator="<=", value=400.5),),
                population=len(values),
                exceptions=len(over),
                violations=tuple(
                    violation(identity=at.isoformat(), at=at, message=f"{value} identities")
                    for at, value in over
                ),
            ),
        ),
    )
    series = Series(path="value", points=tuple(zip(months, values, strict=True)), left_out=left_out)
    return replace(base, examined=tuple(replace(one, series=(series,)) for one in base.examined))


def _small() -> Report:
    """Return one report with a little of everything."""
    deleted = failed(3, blind_spots="An application that is disabled instead.")
    first, *rest = deleted.outcomes
    link = "https://api.pingone.eu/v1/environments/abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6/activities"
    shown = tuple(
        replace(
            found,
            page="q1#2",
            link=f"{link}/{found.identity}",
            values={"actors.client.id": "b2", "actors.client.name": "<script>alert(1)</script>"},
        )
        for found in first.violations
    )
    deleted = replace(deleted, outcomes=(replace(first, violations=shown), *rest))
    half = Window(DAY.start, DAY.start + timedelta(hours=12))
    return report(
        deleted,
        counts(),
        *SAMPLES["errors"].verdicts,
        verdict(check="fine", title="A check that passes"),
        environments=(PROD,),
        asked=(
            asked(end()),
            asked(
                end(query="q2", failure=SAMPLES["errors"].asked[0].end.failure, slices=(half,), assurance=None),  # type: ignore[union-attr]
                id="q2",
                coverage=Coverage(
                    covered=False, uncovered=Window(half.end, DAY.end), note="Older events must be restored."
                ),
            ),
        ),
        variables=(
            VariableUse(environment="prod", pack="pingone-activity", name="admin_clients", value=["a1"],
                        origin="auditor.vars.yaml"),
            VariableUse(environment="prod", pack="pingone-activity", name="contract", value=None,
                        origin="--var", sensitive=True),
        ),
        frameworks=(
            FrameworkView(
                framework="soc2",
                title="SOC 2",
                scope="The criteria of the common criteria that a log can speak to.",
                period_days=365,
                criteria=(
                    Criterion(id="CC6.1", title="Logical access", status=Status.FAIL,
                              support=(Support(verdict=deleted.name, status=Status.FAIL, observed_days=14),)),
                    Criterion(id="CC9.9", title="What no check speaks to", status=None),
                ),
            ),
        ),
        provenance=Provenance(
            commit="0123456789abcdef0123456789abcdef01234567",
            dirty=True,
            ci=CIJob(system="GitLab CI", name="acme/audit / check", run="77",
                     url="https://gitlab.example.org/acme/audit/-/jobs/77"),
            clients={"prod": "c1e2"},
        ),
        waivers=SAMPLES["waivers"].waivers,
        root_digest="sha256:5588c791b28bd3df8ff1dbd92fec090f02c638815c0e84040889686829872ee3",
        exit_code=1,
        exit_reason="2 checks could not be decided",
    )  # fmt: skip


def everywhere_on_the_page(text: str) -> Report:
    """Return a report that has *text* also where only the page shows it."""
    plain = everywhere(text)
    (failure,) = plain.verdicts
    (one,) = failure.outcomes
    (found,) = one.violations
    series = Series(path=text, points=((NOW, 1), (NOW + timedelta(days=1), 2)))
    failure = replace(
        failure,
        help=text,
        code=text,
        blind_spots=text,
        bound={text: text},
        tags=(text,),
        examined=tuple(replace(each, name=text, resource=text, window=text, series=(series,))
                       for each in failure.examined),
        outcomes=(replace(one, thresholds=(Threshold(path=text, operator="<", value=1),), waived_by=text,
                          violations=(replace(found, page=text, values={text: text}, waived_by=text),)),),
    )  # fmt: skip
    view = FrameworkView(framework=text, title=text, scope=text, period_days=7,
                         criteria=(Criterion(id=text, title=text, status=None),))  # fmt: skip
    waiver = replace(
        SAMPLES["waivers"].waivers[0].waiver,
        name=text, check=text, environments=(text,), reason=text, approved_by=text, ticket=text,
        where=text, records=(text,),
    )  # fmt: skip
    refused = end(failure=Failure(code=text, reason=text, help=text), assurance=None)
    return replace(
        plain,
        verdicts=(failure, replace(failure, environment=f"{text} too", status=Status.ERROR, undecided=1)),
        asked=(*plain.asked, asked(refused, environment=text, path=text, parameters={text: text},
                                   further_filters=(text,), coverage=Coverage(covered=False, note=text))),
        environments=(replace(PROD, name=text, id=text, region=text, api_url=text), replace(PROD, name=f"{text} too")),
        frameworks=(view,),
        waivers=(WaiverUse(waiver=waiver, state="active"),),
        provenance=Provenance(commit=text, ci=CIJob(system=text, name=text, run=text, url=text), clients={text: text}),
        root_digest=text,
    )  # fmt: skip


def _once(at: datetime) -> Verdict:
    """Return a failure at an instant."""
    return verdict(
        Status.FAIL, outcomes=(outcome(Status.FAIL, exceptions=1, violations=(violation(at=at),)),)
    )


SMALL: Final = _small()

PAGES: Final = {
    **SAMPLES,
    "small": SMALL,
    "counts": report(counts(tuple(range(12)), left_out=3), counts((0, 0)), counts((-1.5, 10**30, 2.25))),
    "only-skips": report(*(replace(each, status=Status.SKIP) for each in (verdict(), failed()))),
    "not-begun": report(verdict(Status.ERROR), asked=(asked(None, window=None, coverage=None),)),
    "everywhere": everywhere_on_the_page(HOSTILE),
    "old": report(_once(datetime(1999, 12, 31, 23, 59, tzinfo=UTC))),
    "without-requests": report(_once(NOW), asked=()),
}  # fmt: skip
"""Reports by what is odd about them."""
