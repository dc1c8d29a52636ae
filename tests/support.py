"""What several test files need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
"""The checkout."""

SHARED = Path(os.environ.get("AUDITOR_SHARED", ROOT.parent / "shared"))
"""Third-party sample data, which is not part of the project."""

needs_shared = pytest.mark.skipif(
    not (SHARED / "data").is_dir(),
    reason="the shared sample data is not on this machine (set AUDITOR_SHARED)",
)


def examples(number: int) -> int:
    """
    Return on how many examples a law is tried: a quarter of *number*, and all with `make thorough`.

    Each run draws others, so that what one does not try another one does.
    """
    return number if os.environ.get("AUDITOR_THOROUGH") else max(number // 4, 25)
