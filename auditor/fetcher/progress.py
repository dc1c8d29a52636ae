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

    def note(self, response: Response, conceal: Callable[[str], str]) -> None:
        """Keep what the headers of an answer say, without what *conceal* takes out."""
        correlation_id = response.headers.get("correlation-id")
        if correlation_id and len(self.correlation_ids) < MAX_CORRELATION_IDS:
            self.correlation_ids.append(conceal(correlation_id)[:MAX_HEADER])
        for name, value in sorted(response.headers.items()):
            warning = f"{name}: {conceal(value)[:MAX_HEADER]}"
            if "api-deprecation" in name and warning not in self.warnings:
                self.warnings.append(warning)
