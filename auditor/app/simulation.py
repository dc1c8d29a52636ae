"""The built-in simulator, in place of a tenant or on a port of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from auditor import config
from auditor.app.clock import wall_clock
from auditor.app.jobs import Simulation
from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.environment import Credentials, Environment
from auditor.model.instant import Duration, parse_instant
from auditor.model.secret import Secret

if TYPE_CHECKING:
    from auditor.simulator import Running, Settings, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Whose time it is, and who answers in place of the project's environments."""

    clock: Callable[[], datetime]
    simulated: Environment | None = None
    rates: dict[str, float] = field(default_factory=dict)


@contextmanager
def tenant(world: World | None, as_of: datetime | None, started: datetime, port: int = 0) -> Iterator[Tenant]:
    """
    Say who answers while the block runs: the project's environments, or a simulated world.

    A simulated tenant lives at the instant *as_of*, and its time goes on from there. It listens on a *port* of
    the loopback address, a free one by itself.

    Raises:
        OSError: the port is taken.
    """
    if world is None:
        yield Tenant(clock=wall_clock)
        return
    from auditor import simulator

    shift = as_of - started if as_of else timedelta()

    def clock() -> datetime:
        return wall_clock() + shift

    settings = simulator.Settings()
    application = simulator.create_app(world, config.shipped_kinds(), settings, clock)
    with simulator.serve(application, port) as running:
        simulated = Environment(
            name="simulated",
            id=world.environment_id,
            api_url=running.api_url,
            auth_url=running.auth_url,
            organization_id=world.organization_id,
            credentials=Credentials(
                environment_id=world.environment_id,
                client_id=settings.client_id,
                client_secret=Secret(settings.client_secret),
            ),
        )
        # Its rate limits are off, so there is nothing to be polite to.
        groups = {kind.rate.group for kind in config.shipped_kinds().values()}
        yield Tenant(clock=clock, simulated=simulated, rates=dict.fromkeys(groups, 0.0))


def make_world(simulation: Simulation, now: datetime) -> Checked[World]:
    """Make the tenant of a simulation, or say what keeps it from being made."""
    if not all(find_spec(name) for name in ("starlette", "uvicorn")):
        missing = Diagnostic(
            code="simulator.not-installed",
            summary="Simulator not installed",
            detail="The simulator needs starlette and uvicorn, which are an extra of this program.",
            help="Install them: pip install 'auditor[simulator]'",
            subject="simulator",
        )
        return Checked(None, (missing,))
    from auditor import simulator

    try:
        if simulation.activities is None:
            return Checked(simulator.World.generate(simulation.seed, simulation.events, now))
        given = config.read_records([f"activities={simulation.activities}"], config.shipped_kinds())
        if given.value is None:
            return Checked(None, given.diagnostics)
        events = given.value["activities"]
        return Checked(simulator.World.from_records(events, environment_id=SERVED_ENVIRONMENT, now=now))
    except ValueError as error:
        return Checked(None, (_not_started(str(error)),))


SERVED_ENVIRONMENT: Final = "00000000-0000-4000-8000-000000000001"
"""Identifier of the environment whose events come from a file."""


def port_taken(error: OSError) -> Diagnostic:
    """Return the mistake of a run that can not go on where its simulated tenant was."""
    return _not_started(f"The simulator can not listen where it did: {error.strerror or error}")


def _not_started(reason: str) -> Diagnostic:
    return Diagnostic(
        code="simulator.not-started",
        summary="Simulator not started",
        detail=f"{reason}.",
        help="Mend the option (`--fault help` lists the faults), or take another port with --port.",
        subject="simulator",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorJob:
    """What `auditor simulate` is asked for."""

    simulation: Simulation
    host: str
    port: int
    as_of: str | None
    hot_span: str
    faults: Sequence[str]
    roles: Sequence[str] = ()


def simulate(job: SimulatorJob, announce: Callable[[str], None]) -> tuple[Diagnostic, ...]:
    """
    Run the simulator in the foreground until it is interrupted.

    *announce* is given, once it listens, the environment variables that lead an auditor to it. Result: what
    kept it from starting, if anything did.
    """
    started = wall_clock()
    try:
        now = parse_instant(job.as_of) if job.as_of else started
        hot_span = timedelta(seconds=Duration.parse(job.hot_span).seconds)
        world = make_world(job.simulation, now)
        if world.value is None:
            return world.diagnostics
        from auditor import simulator

        faults = tuple(simulator.Fault.parse(text) for text in job.faults)
        settings = simulator.Settings(hot_span=hot_span, faults=faults, roles=tuple(job.roles))
        shift, environment_id = now - started, world.value.environment_id
        application = simulator.create_app(
            world.value, config.shipped_kinds(), settings, lambda: wall_clock() + shift
        )
        simulator.run(
            application,
            job.host,
            job.port,
            lambda running: announce(_announcement(running, environment_id, settings)),
        )
    except (ValueError, OSError) as error:
        told = isinstance(error, OSError) and error.strerror
        return (_not_started(told or str(error)),)
    return ()


def _announcement(running: Running, environment_id: str, settings: Settings) -> str:
    variables = {
        "PINGONE_API_URL": running.api_url,
        "PINGONE_AUTH_URL": running.auth_url,
        "PINGONE_ENVIRONMENT_ID": environment_id,
        "PINGONE_CLIENT_ID": settings.client_id,
        "PINGONE_CLIENT_SECRET": settings.client_secret,
    }
    return "".join(f"export {name}={value}\n" for name, value in variables.items())


def faults() -> Mapping[str, str]:
    """Return what the simulator can be told to do wrong, by the name of the switch."""
    from auditor import simulator

    return simulator.Fault.NAMES
