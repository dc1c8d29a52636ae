"""
Run folders: what a run leaves, so that it can be resumed, replayed and verified.

    <data folder>/runs/<run id>/
      run.json        what the run was asked to do, by which version
      plan.json       what it would ask: schemas/plan.schema.json
      program.json    what it judged by: checks, values that are not sensitive, resource kinds
      journal.ndjson  what it asked and when, in order: answers, cuts of windows, ends of queries
      pages/          every answer as received, compressed, one file each
      violations.ndjson.zst   every violation of every check
      report.json     the report, from which every format can be rendered again
      manifest.json   every file above with its size and SHA-256; written last
      manifest.sha256 the root digest: that of the manifest

Only this package reads and writes there. Files are written whole or not at all, readable by their owner alone.
"""

from __future__ import annotations

from auditor.runs.archive import Answer, Archive, Cut, Reopened, entries
from auditor.runs.files import write_whole
from auditor.runs.folder import ATTESTATIONS, Evidence, GivenFile, Kept, RunFolder, RunRecord, find_runs
from auditor.runs.values import dump, from_plain, load
from auditor.runs.verification import Difference, verify

__all__ = [
    "ATTESTATIONS",
    "Answer",
    "Archive",
    "Cut",
    "Difference",
    "Evidence",
    "GivenFile",
    "Kept",
    "Reopened",
    "RunFolder",
    "RunRecord",
    "dump",
    "entries",
    "find_runs",
    "from_plain",
    "load",
    "verify",
    "write_whole",
]
