"""`auditor show`: a saved plan, the JSON report of a run, or a run, for people."""

from __future__ import annotations

from auditor import planner, runs
from auditor.app.jobs import Job
from auditor.app.replaying import report
from auditor.app.saved import read_document, saved_from
from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.plan import Plan
from auditor.model.value import JSON
from auditor.model.verdict import Report


def show(job: Job, name: str) -> Checked[Plan | Report]:
    """
    Return the plan or the report that a file holds, or the report of a run.

    A plan is shown only if it is in every word the document that it came from: what is shown is what would run.
    """
    path = job.folder / name
    if not path.is_file():
        found = report(job, name)
        return Checked(found.value, found.diagnostics)
    document = read_document(path)
    if document is None:
        return _nothing(name, "it is no JSON document of auditor")
    if "queries" in document:
        return _plan(document, name)
    if "verdicts" in document:
        return _report(document, name)
    return _nothing(name, "it is neither a plan nor a report")


def _plan(document: dict[str, JSON], name: str) -> Checked[Plan | Report]:
    saved = saved_from(document, name)
    if saved.value is None:
        return Checked(None, saved.diagnostics)
    try:
        plan = planner.from_document(document)
        if planner.to_document(plan) == document:
            return Checked(plan)
    except ValueError as error:
        return _nothing(name, str(error))
    return _nothing(name, "what it would ask is not what it says")


def _report(document: dict[str, JSON], name: str) -> Checked[Plan | Report]:
    version = str(document["format_version"])
    if version.partition(".")[0] != "1":
        return _nothing(name, f"its format is {version}")
    try:
        return Checked(runs.from_plain(Report, document))
    except ValueError as error:
        return _nothing(name, str(error))


def _nothing(name: str, why: str) -> Checked[Plan | Report]:
    problem = Diagnostic(
        code="show.unreadable",
        summary="Nothing to show",
        detail=f"The file can not be shown: {why}.",
        help="Name a plan of auditor plan --out, a report of --report json=FILE, or a run.",
        subject=name,
    )
    return Checked(None, (problem,))
