"""What people write: projects, policies, variables, resource kinds and given records."""

from auditor.config.catalogue import shipped, shipped_kinds
from auditor.config.files import read_text
from auditor.config.formatting import formatted
from auditor.config.project import load, load_readable, located
from auditor.config.records import read_records
from auditor.config.request import PROJECT_FILE, Request

__all__ = [
    "PROJECT_FILE",
    "Request",
    "formatted",
    "load",
    "load_readable",
    "located",
    "read_records",
    "read_text",
    "shipped",
    "shipped_kinds",
]
