"""
The jobs behind the commands, each one call.

Only this package knows the order of the stages, and only it reads the clock. It raises nothing that a user
could cause: what is wrong comes back as diagnostics or as verdicts.
"""

from auditor.app.console import Console
from auditor.app.documents import write
from auditor.app.explaining import explain
from auditor.app.formatting import format_files, save
from auditor.app.jobs import Job, Planned, Prepared, Simulation, plan, validate
from auditor.app.probing import plan_with_probes
from auditor.app.run import check
from auditor.app.scaffold import init
from auditor.app.simulation import SimulatorJob, faults, simulate
from auditor.app.views import (
    diagnostics_document,
    explanation_text,
    formats,
    graph_text,
    plan_document,
    plan_text,
    schema,
    schema_names,
)

__all__ = [
    "Console",
    "Job",
    "Planned",
    "Prepared",
    "Simulation",
    "SimulatorJob",
    "check",
    "diagnostics_document",
    "explain",
    "explanation_text",
    "faults",
    "format_files",
    "formats",
    "graph_text",
    "init",
    "plan",
    "plan_document",
    "plan_text",
    "plan_with_probes",
    "save",
    "schema",
    "schema_names",
    "simulate",
    "validate",
    "write",
]
