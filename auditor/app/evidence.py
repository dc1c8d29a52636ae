"""What a run leaves on disk, and how one that came to no end goes on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from auditor import __version__, planner, runs
from auditor.app.documents import data_folder
from auditor.app.jobs import Job, Planned, Simulation
from auditor.app.saved import SavedPlan, read_plan
from auditor.model.diagnostic import Checked, Diagnostic, Level, did_you_mean
from auditor.model.evidence import due_probes
from auditor.model.instant import parse_instant
from auditor.model.plan import Plan
from auditor.model.query import CompiledCheck, plain_kinds
from auditor.model.resource import Catalogue, ResourceKind
from auditor.model.value import JSON, Value
from auditor.model.verdict import Report
from auditor.model.wording import quantity
from auditor.runs import ATTESTATIONS, Archive, Difference, GivenFile, RunFolder, RunRecord

_log = logging.getLogger(__name__)

LATEST: Final = "latest"
"""What the latest run is called."""

_SHOWN: Final = 5
"""Differences that are told one by one."""

PLAN, PROGRAM, REPORT, GIVEN = "plan.json", "program.json", "report.json", "given.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a run judged by: its plan, its checks without sensitive values, and its resource kinds."""

    plan: Plan
    checks: tuple[CompiledCheck, ...]
    kinds: Mapping[str, JSON]

    @property
    def catalogue(self) -> Catalogue:
        """The resource kinds, as they were when the run was made."""
        return {name: ResourceKind.model_validate(kind) for name, kind in self.kinds.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A run that goes on: its folder, its plan, and what its simulated tenant was made of, if it had one."""

    folder: RunFolder
    saved: SavedPlan
    simulation: Simulation | None
    world_at: datetime

    def job(self, job: Job) -> Job:
        """Return a job that judges as the run was begun to."""
        return replace(as_begun(job, self.folder), simulation=self.simulation)

    @property
    def port(self) -> int:
        """Where its simulated tenant listened: the links of the answers that were kept lead there."""
        if self.simulation is None:
            return 0
        return urlsplit(self.saved.document["environments"][0]["api_url"]).port or 0


def as_begun(job: Job, folder: RunFolder) -> Job:
    """
    Return a job that judges as a run was begun to, when that goes on or is judged again.

    What lets less pass may be asked for beside it, and so may another gate or baseline.
    """
    inputs: Any = folder.record.inputs
    return replace(
        job,
        engine=inputs.get("engine", "compiled"),
        fail_on=job.fail_on or inputs.get("fail_on"),
        soft_fail=job.soft_fail or inputs.get("soft_fail", False),
        baseline=job.baseline or inputs.get("baseline"),
        waivers=job.waivers and inputs.get("waivers", True),
        strict_waivers=job.strict_waivers or inputs.get("strict_waivers", False),
    )


def runs_folder(job: Job) -> Path:
    """Return where the folders of runs are."""
    return data_folder(job) / "runs"


def find_run(job: Job, name: str) -> Checked[RunFolder]:
    """Return a run by its folder, by its id, or as `latest`."""
    if name == LATEST:
        known = runs.find_runs(runs_folder(job))
        if not known:
            return Checked(None, (_none(job),))
        return RunFolder.open(known[-1])
    path = job.folder / name
    below = runs_folder(job) / name
    if path.is_dir() or "/" in name:
        return RunFolder.open(path)
    found = RunFolder.open(below if below.is_dir() else path)
    hint = did_you_mean(name, {LATEST, *(run.name for run in runs.find_runs(runs_folder(job)))})
    if found.value is not None or not hint.endswith("?"):
        return found
    return Checked(None, tuple(problem.with_(help=f"{hint} {problem.help}") for problem in found.diagnostics))


def begin(job: Job, planned: Planned, run_id: str, started: datetime) -> Checked[RunFolder]:
    """Make the folder of a new run, with everything that is known before it asks."""
    record = RunRecord(
        run_id=run_id,
        tool_version=__version__,
        started_at=started,
        evidence=job.evidence,
        inputs={
            "as_of": job.as_of,
            "records": list(job.records),
            "simulation": asdict(job.simulation) if job.simulation and not job.records else None,
            "engine": job.engine,
            "fail_on": job.fail_on,
            "soft_fail": job.soft_fail,
            "baseline": _known_as(job, job.baseline),
            "waivers": job.waivers,
            "strict_waivers": job.strict_waivers,
        },
    )
    try:
        folder = RunFolder.create(runs_folder(job), record)
        folder.write(PLAN, json.dumps(planner.to_document(planned.plan), indent=2).encode() + b"\n")
        folder.dump(PROGRAM, Judged, _judged(planned))
    except OSError as error:
        return Checked(None, (not_writable(job, error),))
    return Checked(folder)


def _known_as(job: Job, baseline: str | None) -> str | None:
    """Return what a run will be called when this one goes on: the latest is another one then."""
    found = find_run(job, LATEST).value if baseline == LATEST else None
    return found.record.run_id if found else baseline


def _judged(planned: Planned) -> Judged:
    checks = tuple(replace(check, values=_public(check.values)) for check in planned.program.checks)
    return Judged(plan=planned.plan, checks=checks, kinds=plain_kinds(checks, planned.project.catalogue))


def _public(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: replace(value, json=None) if value.sensitive else value for name, value in values.items()}


def resumed(job: Job) -> Checked[Resumed]:
    """Return the run that a job is to go on with, if it names one."""
    if job.resume is None:
        return Checked(None)
    found = _unfinished(job) if job.resume == LATEST else find_run(job, job.resume)
    if found.value is None:
        return Checked(None, found.diagnostics)
    folder = found.value
    if _is_finished(folder):
        return Checked(None, (_finished(folder.record.run_id),))
    if any((folder.path / ATTESTATIONS).glob("*")):
        return Checked(None, (_signed(folder.record.run_id),))
    # A page that was damaged is asked for again; for what was asked, there is nothing but the journal's word.
    differences = runs.verify(folder.path) if folder.is_sealed else ()
    if spoilt := [one for one in differences if one.what != "added" and not one.file.startswith("pages/")]:
        return Checked(None, (changed(folder, spoilt),))
    saved = read_plan(folder.path / PLAN, f"{folder.record.run_id}/{PLAN}")
    if saved.value is None:
        return Checked(None, saved.diagnostics)
    simulation: Any = folder.record.inputs.get("simulation")
    as_of: Any = folder.record.inputs.get("as_of")
    return Checked(
        Resumed(
            folder=folder,
            saved=saved.value,
            simulation=Simulation(**simulation) if simulation else None,
            world_at=parse_instant(as_of) if as_of else folder.record.started_at,
        )
    )


def _unfinished(job: Job) -> Checked[RunFolder]:
    """Return the latest run, if it can go on; an older one has to be named."""
    paths = [path for path in runs.find_runs(runs_folder(job)) if (path / PLAN).is_file()]
    if paths and _can_go_on(paths[-1]):
        return RunFolder.open(paths[-1])
    older = [path.name for path in islice(filter(_can_go_on, reversed(paths[:-1])), 3)]
    return Checked(None, (_none(job, "that could go on", older[::-1]),))


def _can_go_on(path: Path) -> bool:
    folder = RunFolder.open(path).value
    return folder is not None and not _is_finished(folder)


def _is_finished(folder: RunFolder) -> bool:
    """Tell whether a run has read everything that it planned to; of given records nothing is ever missing."""
    if folder.record.inputs.get("records"):
        return True
    if not folder.is_sealed:
        return False
    try:
        ends = folder.archive(sealed=True).ends
        plan = folder.load(PROGRAM, Judged).plan
    except (OSError, ValueError):
        return False
    asked = (*plan.queries, *due_probes(plan, ends))
    return all(query.id in ends and ends[query.id].complete for query in asked)


def _finished(run: str) -> Diagnostic:
    return Diagnostic(
        code="run.finished",
        summary="Nothing is missing",
        detail=f"The run {run} has read everything that it planned to.",
        help=f"See its report with auditor report {run}, or start another run with auditor check.",
        subject=run,
    )


@dataclass(slots=True)
class Digests:
    """The digests of given files, made while they are judged."""

    files: tuple[GivenFile, ...]
    _digests: list[Future[str]]

    @classmethod
    def of(cls, job: Job) -> Digests:
        """Begin to make the digests of the files that a job gives."""
        pool = ThreadPoolExecutor(max_workers=1)
        pairs = [text.partition("=")[::2] for text in job.records]
        files = tuple(GivenFile(kind=kind, file=file) for kind, file in pairs)
        digests = [pool.submit(_digest, Path(file)) for _, file in pairs]
        pool.shutdown(wait=False)
        return cls(files, digests)

    def made(self) -> tuple[GivenFile, ...]:
        """Return the files with their digests; one that can not be read has none."""
        return tuple(
            replace(file, sha256=digest.result())
            for file, digest in zip(self.files, self._digests, strict=True)
        )


def _digest(path: Path) -> str:
    try:
        if not path.is_file():  # a pipe is read once, and would keep everything waiting
            return ""
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def finish(folder: RunFolder, report: Report, given: Iterable[GivenFile] = ()) -> str:
    """
    Write the report into the folder of its run, seal it, and return the root digest.

    Raises:
        OSError: it can not be written.
    """
    folder.dump(GIVEN, tuple[GivenFile, ...], tuple(given))
    folder.dump(REPORT, Report, report)
    folder.archive().drop_bodies()
    return folder.seal()


def not_writable(job: Job, error: OSError) -> Diagnostic:
    """Return the mistake of a data folder in which a run can leave nothing."""
    return Diagnostic(
        code="run.not-written",
        summary="Evidence not written",
        detail=f"What a run leaves can not be written to {runs_folder(job)}: {error.strerror or error}.",
        help="Set AUDITOR_DATA_DIR to a folder that can be written to and has room.",
        subject=str(runs_folder(job)),
    )


def changed(folder: RunFolder, differences: Sequence[Difference]) -> Diagnostic:
    """Return the mistake of relying on a run that is not as it was left."""
    run, told = folder.record.run_id, "; ".join(map(str, differences[:_SHOWN]))
    return Diagnostic(
        code="run.changed",
        summary="Evidence was changed",
        detail=f"The run {run} is not as it was left: {told}.",
        help=f"See all of it: auditor verify {run}",
        subject=run,
    )


def asked_again(folder: RunFolder, archive: Archive) -> tuple[Diagnostic, ...]:
    """Return what is to be said before a run goes on of which only digests are left; it is logged, too."""
    if not archive.gone:
        return ()
    remark = Diagnostic(
        code="run.asks-again",
        summary="Everything is asked for again",
        detail=f"The run {folder.record.run_id} was made with --evidence {folder.record.evidence}: when it ended, of "
        f"{quantity(archive.gone, 'answer')} only the digests were kept. They are asked for again, and may differ.",
        help="To be able to go on after an end, make runs with --evidence full.",
        subject=folder.record.run_id,
        level=Level.WARNING,
    )
    _log.warning("%s", remark.detail)
    return (remark,)


def unreadable(folder: RunFolder, error: Exception) -> Diagnostic:
    """Return the mistake of a run that can not be read."""
    run = folder.record.run_id
    return Diagnostic(
        code="run.unreadable",
        summary="Not a run",
        detail=f"The run {run} can not be read: {error}.",
        help=f"See what was changed: auditor verify {run}",
        subject=run,
    )


def locked(folder: RunFolder) -> Diagnostic:
    """Return the mistake of going on with a run that is going on already."""
    return Diagnostic(
        code="run.locked",
        summary="Run in use",
        detail=f"The run {folder.record.run_id} is going on already.",
        help="Wait for it to end, or end it.",
        subject=folder.record.run_id,
    )


def _signed(run: str) -> Diagnostic:
    return Diagnostic(
        code="run.signed",
        summary="Run was signed",
        detail=f"Somebody has signed the run {run}, and what is signed does not change.",
        help="Start another run: auditor check",
        subject=run,
    )


def _none(job: Job, what: str = "", older: Sequence[str] = ()) -> Diagnostic:
    where = runs_folder(job)
    if older:
        detail = f"The latest run below {where} has read everything; of older ones, {', '.join(older)} could go on."
    else:
        detail = f"There is no run{f' {what}' if what else ''} below {where}."
    return Diagnostic(
        code="run.none",
        summary="No run",
        detail=detail,
        help=f"Name the one that is meant: auditor resume {older[-1]}"
        if older
        else "Start one with auditor check, or set AUDITOR_DATA_DIR to where runs are.",
        subject=str(where),
    )
