"""`auditor verify`: whether the evidence of a run is, to the byte, what the run left."""

from __future__ import annotations

import json
from dataclasses import dataclass

from auditor import runs
from auditor.app.evidence import find_run
from auditor.app.jobs import Job
from auditor.model.diagnostic import Checked
from auditor.reporter.neutral import visible
from auditor.runs import Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found of a run; without `differences` it is as it was left."""

    run_id: str
    root_digest: str | None
    differences: tuple[Difference, ...]

    def text(self) -> str:
        """Return what was found, for people."""
        if not self.differences:
            return f"Run {self.run_id} is as it was left: {self.root_digest}\n"
        lines = "".join(f"  {visible(str(difference))}\n" for difference in self.differences)
        return f"Run {self.run_id} is not as it was left:\n{lines}"

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
        }
        return json.dumps(found, indent=2) + "\n"


def verify(job: Job, run: str, root_digest: str | None = None) -> Checked[Verified]:
    """Return what of a run is not as it was left; *root_digest* is what a report names as the run's."""
    found = find_run(job, run)
    if found.value is None:
        return Checked(None, found.diagnostics)
    folder = found.value
    return Checked(
        Verified(
            run_id=folder.record.run_id,
            root_digest=folder.root_digest,
            differences=runs.verify(folder.path, root_digest),
        )
    )
