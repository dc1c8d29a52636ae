"""A declarative compliance auditor for PingOne."""

__version__ = "0.1.0"
