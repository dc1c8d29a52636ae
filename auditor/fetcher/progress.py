"""How far the reading of a query has come, and what was said beside the records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from auditor.fetcher.session import Effort, Response

MAX_CORRELATION_IDS: Final = 1_000
MAX_HEADER: Final = 200
"""Characters that are kept of what a header says."""


@dataclass(slots=True)
class Progress:
    """What it took to read one query so far."""

    pages: int = 0
    refused: int = 0
    """Forms of the filter that the server refused."""
    effort: Effort = field(default_factory=Effort)
    correlation_ids: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    clock_skew_s: float | None = None
    """By how much the server's clock was ahead of ours, as the latest answer tells."""

    def note(self, response: Response, kind: str, conceal: Callable[[str], str]) -> str | None:
        """
        Keep what the headers of an answer to a read of a *kind* say, without what *conceal* takes out.

        Result: what is said of the end of the endpoint, where it was not said before (PingOne announces it in
        headers whose names hold `api-deprecation`).
        """
        if response.clock_skew_s is not None:
            self.clock_skew_s = response.clock_skew_s
        correlation_id = response.headers.get("correlation-id")
        if correlation_id and len(self.correlation_ids) < MAX_CORRELATION_IDS:
            self.correlation_ids.append(conceal(correlation_id)[:MAX_HEADER])
        said = [
            f"{name}: {conceal(value)[:MAX_HEADER]}"
            for name, value in sorted(response.headers.items())
            if "api-deprecation" in name
        ]
        warning = f"PingOne announces the end of {kind}: {'; '.join(said)}"
        if not said or warning in self.warnings:
            return None
        self.warnings.append(warning)
        return warning
