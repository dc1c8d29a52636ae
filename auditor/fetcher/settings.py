"""How to fetch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from auditor.model.secret import Concealed
from auditor.runs import Archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    How to fetch.

    `clock` is the wall clock in UTC; `rates` overrides requests per second by rate group or resource kind
    (0: no limit); `transport` replaces the network in tests. After `max_requests` reads, repeated ones
    included, or `max_duration_s` a run stops, and what is not complete then is not.
    """

    clock: Callable[[], datetime]
    user_agent: str
    run_id: str = ""
    rates: Mapping[str, float] = field(default_factory=dict)
    concurrency: int = 8
    attempts: int = 6
    first_wait_s: float = 0.5
    timeout_s: float = 60
    """The longest silence of a server."""
    max_requests: int | None = None
    max_duration_s: float | None = None
    transport: httpx.AsyncBaseTransport | None = None
    concealed: Concealed = field(default_factory=Concealed)
    """Learns every secret and token of the run."""
    archive: Archive = field(default_factory=Archive)
    """Where answers are kept, and found again by a run that goes on."""
