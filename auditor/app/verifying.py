"""`auditor verify` and `auditor prune`: whether runs are as they were left, and for how long they stay."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from auditor import runs
from auditor.app.attesting import verify_key
from auditor.app.clock import wall_clock
from auditor.app.evidence import find_run, runs_folder
from auditor.app.jobs import Job, bad_option
from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.instant import Duration
from auditor.reporter.neutral import visible
from auditor.runs import Difference, RunFolder

if TYPE_CHECKING:
    from auditor.runs.attestations import Attestation


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found of a run; without `differences` it is as it was left."""

    run_id: str
    root_digest: str | None
    differences: tuple[Difference, ...]
    attestations: tuple[Attestation, ...] = ()
    with_key: bool = False
    """Whether the signatures were checked."""

    def text(self) -> str:
        """Return what was found, for people."""
        lines = [_told(one, with_key=self.with_key) for one in self.attestations if not one.problem]
        if not self.differences:
            return "\n".join([f"Run {self.run_id} is as it was left: {self.root_digest}", *lines, ""])
        found = [f"  {visible(str(difference))}" for difference in self.differences]
        return "\n".join([f"Run {self.run_id} is not as it was left:", *found, *lines, ""])

    def document(self) -> str:
        """Return what was found, as JSON text."""
        found = {
            "format_version": "1.0",
            "run_id": self.run_id,
            "root_digest": self.root_digest,
            "unchanged": not self.differences,
            "differences": [
                {"file": difference.file, "what": difference.what, "detail": difference.detail}
                for difference in self.differences
            ],
            "signatures_checked": self.with_key,
            "attestations": [
                {
                    "file": one.file,
                    "key_id": one.key_id,
                    "predicate_type": one.predicate_type,
                    "predicate": one.predicate,
                    "problem": one.problem,
                }
                for one in self.attestations
            ],
        }
        return json.dumps(found, indent=2) + "\n"


def _told(one: Attestation, *, with_key: bool) -> str:
    result = one.predicate.get("result")
    reviewer, note = one.predicate.get("reviewer"), one.predicate.get("note")
    what = f"states that the run {result}" if result else f"signed off by {reviewer}: {note}"
    how = "the signature is of this key" if with_key else f"key {one.key_id[:16]}…, not checked: --key"
    return visible(f"  {one.file}: {what}; {how}")


def verify(
    job: Job, run: str, root_digest: str | None = None, key_file: str | None = None
) -> Checked[Verified]:
    """
    Return what of a run is not as it was left.

    *root_digest* is what a report names as the run's. With a *key_file* the run has to be signed, and every statement
    in it with that key.
    """
    found = find_run(job, run)
    key = verify_key(job, key_file) if key_file else Checked(None)
    if found.value is None or key.diagnostics:
        return Checked(None, (*found.diagnostics, *key.diagnostics))
    from auditor.runs.attestations import attestations

    folder = found.value
    signed = tuple(attestations(folder, key.value))
    differences = list(runs.verify(folder.path, root_digest))
    differences += [Difference(one.file, "unproven", one.problem) for one in signed if one.problem]
    if key.value is not None and not signed:
        differences.append(Difference("attestations", "missing", "nobody signed the run"))
    return Checked(
        Verified(
            run_id=folder.record.run_id,
            root_digest=folder.root_digest,
            differences=tuple(differences),
            attestations=signed,
            with_key=key.value is not None,
        )
    )


def prune(job: Job, older_than: str, *, only_say: bool) -> Checked[tuple[str, ...]]:
    """
    Take away the runs that were started longer ago than a duration such as `400d`; return their ids.

    With *only_say* nothing is taken away. A run that is going on stays, and so does what is no run.
    """
    try:
        before: datetime = Duration.parse(older_than).before(wall_clock())
    except ValueError:
        return Checked(None, (bad_option("--older-than", older_than, "--older-than 400d"),))
    gone: list[str] = []
    problems: list[Diagnostic] = []
    for path in runs.find_runs(runs_folder(job)):
        opened = RunFolder.open(path)
        if opened.value is None:
            problems += opened.diagnostics
            continue
        if opened.value.record.started_at >= before:
            continue
        try:
            with opened.value.locked():
                if not only_say:
                    shutil.rmtree(path)
        except OSError as error:
            problems.append(_not_pruned(opened.value, error))
            continue
        gone.append(opened.value.record.run_id)
    return Checked(tuple(gone), tuple(problems))


def _not_pruned(folder: RunFolder, error: OSError) -> Diagnostic:
    run = folder.record.run_id
    why = "it is going on" if isinstance(error, BlockingIOError) else error.strerror or str(error)
    return Diagnostic(
        code="run.not-pruned",
        summary="Run stays",
        detail=f"The run {run} can not be taken away: {why}.",
        help="Wait for it to end, or check who owns its folder.",
        subject=run,
    )
