"""
The jobs behind the commands, each one call.

Only this package knows the order of the stages, and only it reads the clock. It raises nothing that a user
could cause: what is wrong comes back as diagnostics or as verdicts. What is named here is imported when it is
first used: `validate` needs neither HTTP nor reports.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditor.app.attesting import sign_off
    from auditor.app.comparing import compare, history
    from auditor.app.console import Console
    from auditor.app.doctor import examination_document, examination_text, examine
    from auditor.app.documents import document, write
    from auditor.app.explaining import explain
    from auditor.app.exporting import export, sample
    from auditor.app.formatting import format_files, save
    from auditor.app.jobs import Job, Planned, Prepared, Simulation, plan, valid, validate
    from auditor.app.probing import plan_with_probes
    from auditor.app.redacting import redact
    from auditor.app.replaying import replay, report
    from auditor.app.run import check
    from auditor.app.scaffold import init
    from auditor.app.showing import show
    from auditor.app.simulation import SimulatorJob, faults, simulate
    from auditor.app.suggesting import suggest
    from auditor.app.testing import TestJob, run_tests, test_targets, write_test_reports
    from auditor.app.verifying import prune, verify
    from auditor.app.views import (
        comparison_text,
        diagnostics_document,
        explanation_text,
        formats,
        graph_text,
        history_text,
        plan_document,
        plan_text,
        roles_document,
        roles_text,
        schema,
        schema_names,
        suggestions_text,
        waiver_changes_text,
        waivers_text,
    )
    from auditor.app.waiving import (
        NewWaiver,
        add_waiver,
        lint_waivers,
        waiver_changes,
        waivers,
        waivers_document,
    )
    from auditor.app.watch import log_end, watching

__all__ = [
    "Console",
    "Job",
    "NewWaiver",
    "Planned",
    "Prepared",
    "Simulation",
    "SimulatorJob",
    "TestJob",
    "add_waiver",
    "check",
    "compare",
    "comparison_text",
    "diagnostics_document",
    "document",
    "examination_document",
    "examination_text",
    "examine",
    "explain",
    "explanation_text",
    "export",
    "faults",
    "format_files",
    "formats",
    "graph_text",
    "history",
    "history_text",
    "init",
    "lint_waivers",
    "log_end",
    "plan",
    "plan_document",
    "plan_text",
    "plan_with_probes",
    "prune",
    "redact",
    "replay",
    "report",
    "roles_document",
    "roles_text",
    "run_tests",
    "sample",
    "save",
    "schema",
    "schema_names",
    "show",
    "sign_off",
    "simulate",
    "suggest",
    "suggestions_text",
    "test_targets",
    "valid",
    "validate",
    "verify",
    "waiver_changes",
    "waiver_changes_text",
    "waivers",
    "waivers_document",
    "waivers_text",
    "watching",
    "write",
    "write_test_reports",
]

_HOMES = {
    "Console": "console",
    "Job": "jobs",
    "Planned": "jobs",
    "Prepared": "jobs",
    "Simulation": "jobs",
    "SimulatorJob": "simulation",
    "TestJob": "testing",
    "check": "run",
    "compare": "comparing",
    "comparison_text": "views",
    "diagnostics_document": "views",
    "document": "documents",
    "examination_document": "doctor",
    "examination_text": "doctor",
    "examine": "doctor",
    "explain": "explaining",
    "export": "exporting",
    "explanation_text": "views",
    "faults": "simulation",
    "format_files": "formatting",
    "formats": "views",
    "graph_text": "views",
    "history": "comparing",
    "history_text": "views",
    "init": "scaffold",
    "plan": "jobs",
    "plan_document": "views",
    "plan_text": "views",
    "plan_with_probes": "probing",
    "roles_document": "views",
    "roles_text": "views",
    "redact": "redacting",
    "replay": "replaying",
    "report": "replaying",
    "save": "formatting",
    "run_tests": "testing",
    "schema": "views",
    "schema_names": "views",
    "show": "showing",
    "simulate": "simulation",
    "suggest": "suggesting",
    "suggestions_text": "views",
    "test_targets": "testing",
    "valid": "jobs",
    "validate": "jobs",
    "watching": "watch",
    "NewWaiver": "waiving",
    "add_waiver": "waiving",
    "log_end": "watch",
    "lint_waivers": "waiving",
    "waiver_changes": "waiving",
    "waiver_changes_text": "views",
    "waivers": "waiving",
    "waivers_document": "waiving",
    "waivers_text": "views",
    "prune": "verifying",
    "sample": "exporting",
    "sign_off": "attesting",
    "verify": "verifying",
    "write": "documents",
    "write_test_reports": "testing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
