"""What people write: projects, policies, variables, resource kinds and given records."""

from auditor.config.catalogue import shipped, shipped_kinds
from auditor.config.project import PROJECT_FILE, Request, load, located
from auditor.config.records import read_records

__all__ = ["PROJECT_FILE", "Request", "load", "located", "read_records", "shipped", "shipped_kinds"]
