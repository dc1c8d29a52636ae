"""
The jobs behind the commands, each one call.

Only this package knows the order of the stages, and only it reads the clock. It raises nothing that a user
could cause: what is wrong comes back as diagnostics or as verdicts. What is named here is imported when it is
first used: `validate` needs neither HTTP nor reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.model.lazy import lazily

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
        explanations_document,
        formats,
        formatted_document,
        graph_text,
        history_text,
        plan_document,
        plan_text,
        pruned_document,
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
    "explanations_document",
    "export",
    "faults",
    "format_files",
    "formats",
    "formatted_document",
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
    "pruned_document",
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

__getattr__ = lazily(
    __name__,
    {
        "attesting": "sign_off",
        "comparing": "compare history",
        "console": "Console",
        "doctor": "examination_document examination_text examine",
        "documents": "document write",
        "explaining": "explain",
        "exporting": "export sample",
        "formatting": "format_files save",
        "jobs": "Job Planned Prepared Simulation plan valid validate",
        "probing": "plan_with_probes",
        "redacting": "redact",
        "replaying": "replay report",
        "run": "check",
        "scaffold": "init",
        "showing": "show",
        "simulation": "SimulatorJob faults simulate",
        "suggesting": "suggest",
        "testing": "TestJob run_tests test_targets write_test_reports",
        "verifying": "prune verify",
        "views": (
            "comparison_text diagnostics_document explanation_text explanations_document formats "
            "formatted_document graph_text history_text plan_document plan_text pruned_document roles_document "
            "roles_text schema schema_names suggestions_text waiver_changes_text waivers_text"
        ),
        "waiving": "NewWaiver add_waiver lint_waivers waiver_changes waivers waivers_document",
        "watch": "log_end watching",
    },
)
