"""How the simulated PingOne is set up: credentials, limits, speed, faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

from auditor.simulator import script
from auditor.simulator.faults import Fault
from auditor.simulator.world import HOT_SPAN

AuthMethod = Literal["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"]
"""How the worker application proves who it is ("Token endpoint authentication methods")."""

LONGEST_SPAN: Final = timedelta(days=14)
"""Longest range of one query of `/activities` (admin documentation, "Audit parameters")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What a test or a demo may change. The defaults are the documented behaviour, without rate limits.

    `page_size` is the largest `limit`; PingOne names none for `/activities`, and 500 is the largest seen.
    `rate_limits` switches limits on by group: `{"rlgAuditRps": "documented"}`, or a rate such as `3/s` or
    `100/min`. One address gets the descriptor's share of it, unless `allow_listed`.

    Raises:
        ValueError: a role is no predefined one.
    """

    client_id: str = "simulator-client"
    client_secret: str = "simulator-secret"  # noqa: S105  # guards nothing
    auth_method: AuthMethod = "client_secret_basic"
    public_key: Mapping[str, str] | None = None
    """RSA key of the worker application as a JWK with `n` and `e`, for `private_key_jwt`."""
    token_lifetime_s: int = 3600
    page_size: int = 500
    hot_span: timedelta = HOT_SPAN
    longest_span: timedelta = LONGEST_SPAN
    rate_limits: Mapping[str, str] = field(default_factory=dict)
    allow_listed: bool = False
    latency_s: float = 0.0
    gzip: bool = False
    """Compress answers for clients that accept it."""
    roles: tuple[str, ...] = ()
    """Administrator roles of the worker application; none: it may read everything."""
    forbidden_environments: tuple[str, ...] = ()
    """Environments that answer 403: no permission, or no licence."""
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        for role in self.roles:
            if role not in script.ROLES:
                raise ValueError(f"{role!r} is none of the predefined roles: {', '.join(script.ROLES)}")
