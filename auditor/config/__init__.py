"""What people write: projects, policies, variables, resource kinds and given records."""

from auditor.config.catalogue import shipped, shipped_kinds
from auditor.config.project import load, load_readable, located
from auditor.config.records import read_records
from auditor.config.request import PROJECT_FILE, Request

__all__ = [
    "PROJECT_FILE",
    "Request",
    "load",
    "load_readable",
    "located",
    "read_records",
    "shipped",
    "shipped_kinds",
]
