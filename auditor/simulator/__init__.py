"""
A PingOne that runs in process or on a loopback port: for first steps, for tests, for policy authors.

It behaves as the documentation says, and as strictly: it refuses what the real one refuses, pages with
cursors, limits rates, lets events age, and makes its tenant from a seed. It shares the resource descriptors
with the auditor and not a line of its client, filter or paging code, so that a mistake can not cancel itself
out.

    world = World.generate(seed=7, events=5_000, now=now)
    with serve(create_app(world, catalogue, Settings(), clock)) as running:
        ...  # running.api_url, running.auth_url
"""

from __future__ import annotations

from auditor.simulator.faults import Fault
from auditor.simulator.running import Running, run, serve
from auditor.simulator.server import SeenRequest, create_app
from auditor.simulator.settings import AuthMethod, Settings
from auditor.simulator.world import Environment, Facts, World

__all__ = [
    "AuthMethod",
    "Environment",
    "Facts",
    "Fault",
    "Running",
    "SeenRequest",
    "Settings",
    "World",
    "create_app",
    "run",
    "serve",
]
