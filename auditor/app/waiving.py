"""`auditor waiver`: how waivers stand, what a change of them does, and how one is added."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import Any, Final

from auditor import config, runs
from auditor.app.clock import wall_clock
from auditor.app.documents import write
from auditor.app.evidence import LATEST, REPORT, find_run
from auditor.app.git import git
from auditor.app.jobs import Job, bad_option, validate
from auditor.app.views import diagnostics_document
from auditor.model.diagnostic import Checked, Diagnostic, Level
from auditor.model.instant import Duration
from auditor.model.value import JSON, parse_json
from auditor.model.verdict import Report
from auditor.model.waiver import Waiver, WaiverUse
from auditor.reporter.waivers import Change, Effect, Standing

SOON: Final = timedelta(days=30)
"""Before its end, how long a waiver is said to expire soon: time to mend what it covers, or to renew it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWaiver:
    """A waiver as the command line gives it; with records it is a disposition, else an exception."""

    name: str
    check: str
    environments: Sequence[str]
    reason: str
    approved_by: str
    ticket: str
    where: str | None = None
    records: Sequence[str] = ()
    starts: str | None = None
    expires: str | None = None


def waivers(job: Job) -> Checked[tuple[Standing, ...]]:
    """Say how every waiver stands today, and what it was about in the run that a job names, or in the latest."""
    checked = validate(job)
    uses = _uses(job)
    if checked.value is None or uses.value is None:
        return Checked(None, (*checked.diagnostics, *uses.diagnostics))
    today = wall_clock().date()
    found = tuple(
        _standing(waiver, today, uses.value.get(_about(waiver))) for waiver in checked.value.program.waivers
    )
    return Checked(found, checked.diagnostics)


def _standing(waiver: Waiver, today: date, use: WaiverUse | None) -> Standing:
    state = waiver.state(today)
    left = (waiver.expires - today).days + 1 if waiver.expires and state == "active" else None
    unused = state == "active" and use is not None and use.state == "unused"
    return Standing(
        waiver=waiver,
        state="unused" if unused else state,
        days_left=left,
        expires_soon=not unused and left is not None and left <= SOON.days,
        matched=None if use is None else use.matched,
    )


def _about(waiver: Waiver) -> tuple[object, ...]:
    """Return what a waiver is about: of one that has changed since, an earlier run says nothing."""
    return waiver.name, waiver.check, waiver.environments, waiver.where, waiver.records


def _uses(job: Job) -> Checked[Mapping[tuple[object, ...], WaiverUse]]:
    """Return what became of waivers in the run whose JSON report a job names, or in the latest that is there."""
    if job.stats is None:
        latest = find_run(job, LATEST).value
        uses: tuple[WaiverUse, ...] = ()
        with suppress(OSError, ValueError):  # one that came to no end, or is of another version, says nothing
            uses = latest.load(REPORT, Report).waivers if latest else ()
    else:
        try:
            report = parse_json((job.folder / job.stats).read_bytes())
            uses = runs.load(tuple[WaiverUse, ...], json.dumps(report["waivers"]).encode())
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = Diagnostic(
                code="option.bad-stats",
                summary="No waivers",
                detail=f"The file {job.stats} tells of no waivers: {type(error).__name__}: {error}.",
                help="Name the JSON report of an earlier run: auditor check --report json=FILE",
                subject="--stats",
            )
            return Checked(None, (problem,))
    return Checked({_about(use.waiver): use for use in uses})


def lint_waivers(job: Job) -> Checked[tuple[Standing, ...]]:
    """Check the waivers as `validate` does, and warn of those that have expired."""
    checked = waivers(job)
    stale = [_stale(standing) for standing in checked.value or () if standing.state == "expired"]
    text = config.read_text(job.folder / config.WAIVERS_FILE, config.WAIVERS_FILE).value if stale else None
    found = config.located(stale, {config.WAIVERS_FILE: text} if text is not None else {})
    return Checked(checked.value, (*checked.diagnostics, *found))


def _stale(standing: Standing) -> Diagnostic:
    return Diagnostic(
        code="waiver.expired",
        summary="Waiver has expired",
        detail=f'"{standing.waiver.name}" expired on {standing.waiver.expires}, and covers nothing any more.',
        help="Remove it; or have it approved again, with a later day.",
        level=Level.WARNING,
        address=standing.waiver.address and standing.waiver.address.at("expires"),
    )


# What a change does


def waiver_changes(job: Job, base: str) -> Checked[tuple[Change, ...]]:
    """Return what has become of each waiver since a revision of git, those that cover more first."""
    before = _at(job, base)
    now = validate(job)
    if before.value is None or now.value is None:
        return Checked(None, (*before.diagnostics, *now.diagnostics))
    after = {waiver.name: waiver for waiver in now.value.project.waivers}
    found = [
        change
        for name in dict.fromkeys((*after, *before.value))
        if (change := _change(name, before.value.get(name), after.get(name)))
    ]
    return Checked(tuple(sorted(found, key=lambda change: _WIDER.index(change.effect))), before.diagnostics)


_WIDER: Final[tuple[Effect, ...]] = ("added", "extended", "changed", "narrowed", "removed")


def _at(job: Job, base: str) -> Checked[Mapping[str, Waiver]]:
    """Return the waivers of a revision by name; none where it has no such file."""
    commit = git(
        job.folder, job.environ, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}"
    )
    if commit is None:
        unknown = Diagnostic(
            code="waiver.unknown-base",
            summary="Unknown revision",
            detail=f'git knows no revision "{base}" of this folder.',
            help="Fetch it first, name another one, or run it in a clone: auditor waiver lint --base origin/main",
            subject="--base",
        )
        return Checked(None, (unknown,))
    text = git(job.folder, job.environ, "cat-file", "blob", f"{commit.strip()}:./{config.WAIVERS_FILE}")
    return Checked({}) if text is None else config.waivers_of(text, f"{base}:{config.WAIVERS_FILE}")


def _change(name: str, before: Waiver | None, after: Waiver | None) -> Change | None:
    if after is None:
        return Change(name=name, effect="removed")
    if before is None:
        return Change(name=name, effect="added", details=tuple(_keys(after)))
    details = tuple(_differences(before, after))
    if not details:
        return None
    effect: Effect = "changed"
    if _covers_more(before, after):
        effect = "extended"
    elif _covers_more(after, before):
        effect = "narrowed"
    return Change(name=name, effect=effect, details=details)


def _covers_more(before: Waiver, after: Waiver) -> bool:
    """Tell whether a waiver may cover what it did not; of two filters nobody knows which is the wider."""
    return (
        (before.kind, before.check) != (after.kind, after.check)
        or (before.where != after.where and bool(before.where))
        or not set(after.environments) <= set(before.environments)
        or not set(after.records) <= set(before.records)
        or (after.starts or date.min) < (before.starts or date.min)
        or (after.expires or date.max) > (before.expires or date.max)
    )


def _keys(waiver: Waiver) -> Iterator[str]:
    for field in fields(waiver):
        value = getattr(waiver, field.name)
        if field.name not in ("name", "address") and value not in (None, "", ()):
            yield f"{field.name}: {_shown(value)}"


def _differences(before: Waiver, after: Waiver) -> Iterator[str]:
    for field in fields(after):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name != "address" and old != new:
            yield f"{field.name}: {_shown(old)} → {_shown(new)}"


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value or "none")


# Adding one


def add_waiver(job: Job, new: NewWaiver) -> Checked[str]:
    """
    Add a waiver to `waivers.yaml`, unless anything would be wrong with it there.

    Result: the text of the file as it is now.

    Raises:
        OSError: it can not be written; it is as it was.
    """
    before = validate(job, choose=True)
    if before.value is None:
        return Checked(None, before.diagnostics)
    project = before.value.project
    if any(waiver.name == new.name for waiver in project.waivers):
        twice = Diagnostic(
            code="waiver.defined-twice",
            summary="Waiver exists",
            detail=f'There is a waiver "{new.name}" already.',
            help=f"Choose another name, or edit {config.WAIVERS_FILE}.",
            subject="NAME",
        )
        return Checked(None, (twice,))
    written = _written(new, [environment.name for environment in project.environments])
    if written.value is None:
        return Checked(None, written.diagnostics)
    edited = config.with_waiver(project.sources.get(config.WAIVERS_FILE, ""), new.name, written.value)
    if edited.value is None:
        return edited
    after = validate(replace(job, texts={config.WAIVERS_FILE: edited.value}))
    if after.value is None:
        return Checked(None, after.diagnostics)
    write(job.folder / config.WAIVERS_FILE, edited.value)
    return Checked(edited.value, after.diagnostics)


def _written(new: NewWaiver, environments: Sequence[str]) -> Checked[Mapping[str, Any]]:
    """Return what stands in the file; an exception begins today, and a single environment is meant."""
    today = wall_clock().date()
    starts, expires = _day("--starts", new.starts, today), _day("--expires", new.expires, today)
    if problems := (*starts.diagnostics, *expires.diagnostics):
        return Checked(None, problems)
    is_disposition = bool(new.records)
    told = {
        "kind": "disposition" if is_disposition else "exception",
        "check": new.check,
        "environments": list(new.environments or environments),
        "where": new.where,
        "records": list(new.records) or None,
        "reason": new.reason,
        "approved_by": new.approved_by,
        "ticket": new.ticket,
        "starts": starts.value or (None if is_disposition else today),
        "expires": expires.value,
    }
    return Checked({key: value for key, value in told.items() if value is not None})


def _day(option: str, text: str | None, today: date) -> Checked[date]:
    """Read a date, or how long from today: `2026-12-31`, `30d`."""
    if text is None:
        return Checked(None)
    try:
        return Checked(date.fromisoformat(text))
    except ValueError:
        pass
    try:
        length = Duration.parse(text)
        start = wall_clock().replace(year=today.year, month=today.month, day=today.day)
        return Checked(length.after(start).date())
    except ValueError:
        return Checked(None, (bad_option(option, text, f"{option} 2026-12-31 or {option} 30d"),))


# Documents


def waivers_document(
    standings: Sequence[Standing],
    problems: Sequence[Diagnostic] = (),
    changes: Sequence[Change] | None = None,
) -> str:
    """Return how waivers stand, what is wrong with them, and what has changed, as JSON text."""
    document = json.loads(diagnostics_document(tuple(problems)))
    document["waivers"] = [
        {
            **_plain(one.waiver),
            "state": one.state,
            "days_left": one.days_left,
            "expires_soon": one.expires_soon,
            "matched": one.matched,
        }
        for one in standings
    ]
    if changes is not None:
        document["changes"] = [
            {"name": one.name, "effect": one.effect, "details": list(one.details)} for one in changes
        ]
    return json.dumps(document, indent=2) + "\n"


def _plain(waiver: Waiver) -> dict[str, JSON]:
    plain = {field.name: getattr(waiver, field.name) for field in fields(waiver) if field.name != "address"}
    return {key: value.isoformat() if isinstance(value, date) else value for key, value in plain.items()}
