"""
What people write: projects, policies, variables, resource kinds and given records.

What is named here is imported when it is first used: a validation that is remembered needs hardly any of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.model.lazy import lazily

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
    from auditor.config.records import (
        UNREADABLE,
        File,
        Lines,
        Streamed,
        read_records,
        stream_records,
        unreadable,
    )
    from auditor.config.request import PROJECT_FILE, WAIVERS_FILE, Request
    from auditor.config.waivers import waivers_of

__all__ = [
    "PROJECT_FILE",
    "UNREADABLE",
    "WAIVERS_FILE",
    "File",
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
    "unreadable",
    "waivers_of",
    "with_waiver",
]

__getattr__ = lazily(
    __name__,
    {
        "catalogue": "shipped_kinds",
        "descriptors": "schema_problem",
        "editing": "with_waiver",
        "files": "read_text shipped",
        "formatting": "formatted",
        "frameworks": "shipped_frameworks",
        "memory": "Validated recall remember",
        "policy_tests": "load_tests",
        "project": "load load_frameworks load_readable located",
        "records": "UNREADABLE File Lines Streamed read_records stream_records unreadable",
        "request": "PROJECT_FILE WAIVERS_FILE Request",
        "waivers": "waivers_of",
    },
)
