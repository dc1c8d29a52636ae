"""What tests of policies found, as JSON (`schemas/test-report.schema.json`)."""

from __future__ import annotations

import json
from typing import Any, Final

from auditor.model.testing import CheckCoverage, Mutation, TestReport, TestResult
from auditor.reporter.diagnostics_json import plain as plain_diagnostic
from auditor.reporter.neutral import visible

FORMAT_VERSION: Final = "1.0"


def render(report: TestReport) -> str:
    """Write tests as JSON: two spaces of indentation, keys in a fixed order."""
    document = {
        "format_version": FORMAT_VERSION,
        "tool_version": report.tool_version,
        "summary": {
            "tests": len(report.results),
            "passed": len(report.results) - report.failed,
            "failed": report.failed,
        },
        "results": [_result(result) for result in report.results],
        "coverage": None if report.coverage is None else [_coverage(check) for check in report.coverage],
        "mutation": report.mutation and _mutation(report.mutation),
        "problems": [plain_diagnostic(problem) for problem in report.problems],
        "exit_code": report.exit_code,
        "exit_reason": report.exit_reason,
    }
    return visible(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


def _result(result: TestResult) -> dict[str, Any]:
    return {
        "file": result.file,
        "line": result.location and result.location.line,
        "pack": result.pack,
        "check": result.check,
        "name": result.name,
        "passed": result.passed,
        "verdict": result.verdict,
        "code": result.code,
        "reason": result.reason,
        "differences": [
            {"what": each.what, "expected": each.expected, "observed": each.observed}
            for each in result.differences
        ],
        "elapsed_s": round(result.elapsed_s, 6),
    }


def _coverage(check: CheckCoverage) -> dict[str, Any]:
    return {
        "policy": check.policy,
        "check": check.check,
        "tests": check.tests,
        "covered": check.covered,
        "possible": check.possible,
        "kinds": list(check.kinds),
        "conditions": [
            {"part": each.part, "text": each.text, "seen": list(each.seen)} for each in check.conditions
        ],
    }


def _mutation(mutation: Mutation) -> dict[str, Any]:
    return {
        "mutants": mutation.mutants,
        "killed": mutation.killed,
        "excused": mutation.excused,
        "survivors": [
            {
                "policy": each.policy,
                "line": each.location and each.location.line,
                "check": each.check,
                "name": each.name,
            }
            for each in mutation.survivors
        ],
        "idle": [{"file": file, "name": name} for file, name in mutation.idle],
        "needless": [{"file": file, "name": name} for file, name in mutation.needless],
    }
