"""
What people write: projects, policies, variables, resource kinds and given records.

What is named here is imported when it is first used: a validation that is remembered needs hardly any of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditor.config.catalogue import shipped_kinds
    from auditor.config.descriptors import schema_problem
    from auditor.config.editing import with_waiver
    from auditor.config.files import read_text, shipped
    from auditor.config.formatting import formatted
    from auditor.config.frameworks import shipped_frameworks
    from auditor.config.memory import Validated, recall, remember
    from auditor.config.policy_tests import load_tests
    from auditor.config.project import load, load_frameworks, load_readable, located
    from auditor.config.records import Lines, Streamed, read_records, stream_records
    from auditor.config.request import PROJECT_FILE, WAIVERS_FILE, Request
    from auditor.config.waivers import waivers_of

__all__ = [
    "PROJECT_FILE",
    "WAIVERS_FILE",
    "Lines",
    "Request",
    "Streamed",
    "Validated",
    "formatted",
    "load",
    "load_frameworks",
    "load_readable",
    "load_tests",
    "located",
    "read_records",
    "read_text",
    "recall",
    "remember",
    "schema_problem",
    "shipped",
    "shipped_frameworks",
    "shipped_kinds",
    "stream_records",
    "waivers_of",
    "with_waiver",
]

_HOMES = {
    "PROJECT_FILE": "request",
    "Request": "request",
    "WAIVERS_FILE": "request",
    "Validated": "memory",
    "schema_problem": "descriptors",
    "formatted": "formatting",
    "load": "project",
    "load_frameworks": "project",
    "load_readable": "project",
    "load_tests": "policy_tests",
    "located": "project",
    "Lines": "records",
    "Streamed": "records",
    "read_records": "records",
    "stream_records": "records",
    "read_text": "files",
    "recall": "memory",
    "remember": "memory",
    "shipped": "files",
    "shipped_frameworks": "frameworks",
    "shipped_kinds": "catalogue",
    "waivers_of": "waivers",
    "with_waiver": "editing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
