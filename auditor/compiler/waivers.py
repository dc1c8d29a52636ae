"""Waivers, held against the checks that they are about and against what the project allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Final

from auditor.compiler.filters import compile_filter
from auditor.model.diagnostic import Checked, Diagnostic, did_you_mean
from auditor.model.instant import Duration
from auditor.model.policy import Severity
from auditor.model.project import Project
from auditor.model.query import CompiledCheck
from auditor.model.source import Address
from auditor.model.waiver import Waiver

_NEVER: Final = "No record can satisfy this filter, so the waiver would cover nothing."


def compile_waivers(project: Project, checks: Sequence[CompiledCheck]) -> Checked[tuple[Waiver, ...]]:
    """
    Return the waivers of a project with their filters checked, and every mistake of theirs.

    A waiver of a check that has mistakes itself is left out: nothing can be said of it.
    """
    sound: list[Waiver] = []
    problems: list[Diagnostic] = []
    for waiver in project.waivers:
        about = [check for check in checks if f"{check.pack}/{check.id}" == waiver.check]
        address = waiver.address or Address(file="")
        found = list(_unapproved(waiver, address, project))
        if not about:
            problems += [*found, *_unknown(waiver, address, project)]
            continue
        where = _where(waiver, about[0], address, project)
        found += [*where.diagnostics, *_refused(waiver, about[0], address, project)]
        problems += found
        if not found and where.value is not None:
            sound.append(replace(waiver, where=where.value))
    return Checked(None if problems else tuple(sound), tuple(problems))


def _unknown(waiver: Waiver, address: Address, project: Project) -> Iterator[Diagnostic]:
    """Yield the mistake of a check that does not exist, unless it may stand where something could not be read."""
    pack = waiver.check.partition("/")[0]
    written = {
        f"{pack.id}/{check}"
        for pack in project.packs
        for file in pack.files.values()
        for check in file.checks
    }
    if waiver.check in written or pack in project.incomplete:
        return
    yield Diagnostic(
        code="waiver.unknown-check",
        summary="Unknown check",
        detail=f'There is no check "{waiver.check}".',
        help=did_you_mean(waiver.check, written) or "Name it as PACK/ID; what is gone needs no waiver.",
        address=address.at("check"),
    )


def _where(waiver: Waiver, check: CompiledCheck, address: Address, project: Project) -> Checked[str]:
    """Check the filter of a waiver against the kind of the records that can violate its check."""
    if not waiver.where:
        return Checked("")
    names = {expectation.over or next(iter(check.queries)) for expectation in check.expectations}
    kinds = sorted({check.queries[name].resource for name in names})
    if len(kinds) > 1:
        several = Diagnostic(
            code="waiver.several-kinds",
            summary="Filter on several kinds",
            detail=f"Violations of {waiver.check} are records of {' and '.join(kinds)}.",
            help="Leave out where, or name the records in a disposition.",
            address=address.at("where"),
        )
        return Checked(None, (several,))
    split = compile_filter(
        waiver.where,
        project.catalogue[kinds[0]],
        {},
        address.at("where"),
        pushdown="range",
        accept_values=project.accept_values,
    )
    problems = tuple(
        problem.with_(detail=_NEVER) if problem.code == "policy.never-true" else problem
        for problem in split.diagnostics
    )
    return Checked(split.value.where if split.value else None, problems)


def _unapproved(waiver: Waiver, address: Address, project: Project) -> Iterator[Diagnostic]:
    """Yield the mistake of an approval by somebody whom the project does not name."""
    policy = project.waiver_policy
    if policy.approvers and waiver.approved_by not in policy.approvers:
        yield Diagnostic(
            code="waiver.not-approved",
            summary="Not an approver",
            detail=f'"{waiver.approved_by}" may not approve waivers of this project.',
            help=did_you_mean(waiver.approved_by, policy.approvers)
            or "See waiver_policy.approvers in auditor.yaml.",
            address=address.at("approved_by"),
        )


def _refused(
    waiver: Waiver, check: CompiledCheck, address: Address, project: Project
) -> Iterator[Diagnostic]:
    """Yield what the project's `waiver_policy` does not allow of a check like this."""
    policy = project.waiver_policy
    severities: set[Severity] = {expectation.severity for expectation in check.expectations}
    for severity in policy.forbid:
        if severity in severities:
            yield Diagnostic(
                code="waiver.forbidden",
                summary="Waiver not allowed",
                detail=f"{waiver.check} is {severity}, and the project's waiver_policy forbids to waive that.",
                help="Mend what the check finds; or change waiver_policy.forbid in auditor.yaml.",
                address=address.at("check"),
            )
    for severity, longest in policy.max_duration.items():
        if severity in severities and _lasts_longer(waiver, Duration.parse(longest)):
            yield Diagnostic(
                code="waiver.too-long",
                summary="Waiver lasts too long",
                detail=f"It lasts from {waiver.starts} to {waiver.expires}; what is {severity} may be waived for "
                f"{longest} at most.",
                help="Let it expire earlier; it can be renewed when it has been looked at again.",
                address=address.at("expires"),
            )


def _lasts_longer(waiver: Waiver, longest: Duration) -> bool:
    if waiver.starts is None or waiver.expires is None:
        return False
    start = datetime.combine(waiver.starts, time(), UTC)
    try:
        end = longest.after(start)
    except ValueError:  # beyond the end of the calendar
        return False
    # The last day is included.
    return datetime.combine(waiver.expires, time(), UTC) > end - timedelta(days=1)
