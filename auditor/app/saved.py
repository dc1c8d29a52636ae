"""A plan that was written to a file, on its way to be run as it was shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

from auditor import config, planner
from auditor.app.jobs import Job
from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.instant import Window, format_instant, parse_instant
from auditor.model.plan import Count, Plan
from auditor.model.value import JSON, parse_json

_MAX_BYTES: Final = 64 * 1024 * 1024
_SHOWN: Final = 10
"""Differences that are told one by one."""


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan as `auditor plan --out` wrote it (`schemas/plan.schema.json`)."""

    file: str
    document: dict[str, Any]

    def job(self, job: Job) -> Checked[Job]:
        """Return the job that makes the plan again, with what the command line says beside it."""
        fixed = {
            "--environment": job.environments,
            "--as-of": job.as_of,
            "--records": job.records,
            "--pushdown": job.pushdown != "documented",
            "--no-merge": not job.merge,
            "--stats": job.stats,
            "--check": job.checks,
            "--tag": job.tags,
            "--control": job.controls,
            "--framework": job.frameworks,
        }
        inputs = self.document["inputs"]
        again = replace(
            job,
            paths=tuple(inputs["paths"]),
            environments=tuple(inputs["environments"]),
            variables=(*((option, text) for option, text in inputs["variables"]), *job.variables),
            pushdown=inputs["pushdown"],
            merge=inputs["merge"],
            frameworks=tuple(inputs["frameworks"]),
            counts=tuple(_count(given) for given in inputs["counts"]),
            as_of=self.document["as_of"],
            checks=tuple(inputs["checks"]),
            tags=tuple(inputs["tags"]),
            controls=tuple(inputs["controls"]),
        )
        problems = tuple(
            self._problem(
                "plan.fixed",
                "Option of a plan",
                f"The plan was made with its own {option}.",
                f"Leave {option} out, or give it to auditor plan.",
            )
            for option, given in fixed.items()
            if given
        )
        return Checked(None if problems else again, problems)

    def deviations(self, made: Plan, now: datetime | None) -> tuple[Diagnostic, ...]:
        """
        Return why the plan can not be run: what differs from one that is *made* now, or that it is too old.

        Without *now* it is never too old: of a run that goes on, some of what it asks for was answered in time.
        """
        valid_until = self.document["valid_until"]
        found = list(_differences(self.document, json.loads(json.dumps(planner.to_document(made)))))
        if found:
            more = f" And {len(found) - _SHOWN} more." if len(found) > _SHOWN else ""
            return (
                self._problem(
                    "plan.changed",
                    "Plan no longer holds",
                    f"A plan made now is another one: {'; '.join(found[:_SHOWN])}.{more}",
                    "See whether that is meant, and make the plan again: auditor plan --out FILE"
                    if now is not None
                    else "Put back what has changed, or start another run: auditor check",
                ),
            )
        if now is not None and valid_until is not None and now > parse_instant(valid_until):
            return (
                self._problem(
                    "plan.expired",
                    "Plan has expired",
                    f"It was valid until {valid_until}; it is {format_instant(now)} now, and some of what it "
                    "asks for has aged out.",
                    "Make the plan again: auditor plan --out FILE",
                ),
            )
        return ()

    def _problem(self, code: str, summary: str, detail: str, help: str) -> Diagnostic:
        return Diagnostic(code=code, summary=summary, detail=detail, help=help, subject=self.file)


def _count(given: dict[str, Any]) -> Count:
    window = given["window"]
    return Count(
        environment=given["environment"],
        resource=given["resource"],
        filter=given["filter"],
        window=Window(parse_instant(window["from"]), parse_instant(window["to"])) if window else None,
        records=given["records"],
    )


def saved_plan(job: Job) -> Checked[SavedPlan]:
    """Return the plan that a job names instead of policies; None where it names none."""
    document = read_document(job.folder / job.paths[0]) if len(job.paths) == 1 else None
    return Checked(None) if document is None else saved_from(document, job.paths[0])


def read_plan(path: Path, file: str) -> Checked[SavedPlan]:
    """Return the plan that a file holds; *file* is the name that people see."""
    document = read_document(path)
    return (
        saved_from(document, file) if document else Checked(None, (_unreadable(file, "it is no document"),))
    )


def saved_from(document: dict[str, Any], file: str) -> Checked[SavedPlan]:
    """Return the plan that a document is; *file* is the name that people see."""
    schema = json.loads(config.shipped("schemas", "plan.schema.json").read_text("utf-8"))
    flaw = next(Draft202012Validator(schema).iter_errors(document), None)
    if flaw is not None:
        return Checked(None, (_unreadable(file, flaw.message[:200]),))
    return Checked(SavedPlan(file, document))


def read_document(path: Path) -> dict[str, Any] | None:
    """Return the JSON document of a file that is no policy: every policy has a version, documents have a format's."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        data = path.read_bytes()
        document = parse_json(data) if data.lstrip().startswith(b"{") else None
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and "format_version" in document else None


def _unreadable(file: str, reason: str) -> Diagnostic:
    return Diagnostic(
        code="plan.unreadable",
        summary="Not a plan",
        detail=f"The file is no plan of this version of auditor: {reason}.",
        help="Make it with auditor plan --out FILE.",
        subject=file,
    )


def _differences(before: JSON, now: JSON, place: str = "") -> Iterator[str]:
    """Yield what is not the same in two documents, in the order of the first."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*before, *now)):
            yield from _differences(before.get(key), now.get(key), f"{place}.{key}" if place else key)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for position, (old, new) in enumerate(zip(before, now, strict=True)):
            known = old.get("id") or old.get("name") if isinstance(old, dict) else None
            name = position if known is None else known
            yield from _differences(old, new, f"{place}[{name}]")
    elif before != now:
        yield f"{place} was {_shown(before)} and is {_shown(now)}"


def _shown(value: JSON) -> str:
    if isinstance(value, list):
        return f"{len(value)} {'entry' if len(value) == 1 else 'entries'}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"
