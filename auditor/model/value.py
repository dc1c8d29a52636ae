"""JSON values, and the named values that stand behind `${var.x}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

JSON: TypeAlias = Any
"""A value as `json.loads` gives it: None, bool, int, float, str, list, dict with str keys."""


@dataclass(frozen=True, slots=True)
class Value:
    """
    The value behind a placeholder such as `${var.license_cap}`.

    `origin` says where it came from, for reports ("default", "auditor.vars.yaml", "--var"). A sensitive
    value may be compared with, and is never printed, pushed to a URL or written to any document.
    """

    json: JSON
    sensitive: bool = False
    origin: str = "default"

    def __repr__(self) -> str:
        return f"Value({'(sensitive)' if self.sensitive else repr(self.json)}, origin={self.origin!r})"


Values: TypeAlias = Mapping[str, Value]
"""Values by the name inside the braces: `var.license_cap`, `local.x`, `bind.ids`."""
