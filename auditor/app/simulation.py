"""The built-in simulator, in place of a tenant or on a port of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

from auditor import config
from auditor.app.clock import wall_clock
from auditor.app.jobs import Simulation
from auditor.model.diagnostic import Diagnostic
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
def tenant(simulation: Simulation | None, as_of: str | None, started: datetime) -> Iterator[Tenant]:
    """
    Say who answers while the block runs: the project's environments, or a simulator.

    A simulated tenant lives at the instant *as_of*, and its time goes on from there.
    """
    if simulation is None:
        yield Tenant(clock=wall_clock)
        return
    shift = timedelta()
    if as_of is not None:
        with suppress(ValueError):
            shift = parse_instant(as_of) - started

    def clock() -> datetime:
        return wall_clock() + shift

    with _answering(simulation, clock, started + shift) as simulated:
        # Its rate limits are off, so there is nothing to be polite to.
        groups = {kind.rate.group for kind in config.shipped_kinds().values()}
        yield Tenant(clock=clock, simulated=simulated, rates=dict.fromkeys(groups, 0.0))


@contextmanager
def _answering(simulation: Simulation, clock: Callable[[], datetime], now: datetime) -> Iterator[Environment]:
    from auditor import simulator  # an extra: starlette and uvicorn

    world = simulator.World.generate(seed=simulation.seed, events=simulation.events, now=now)
    settings = simulator.Settings()
    application = simulator.create_app(world, config.shipped_kinds(), settings, clock)
    with simulator.serve(application) as running:
        yield Environment(
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


def installed() -> Diagnostic | None:
    """Return what to do where the simulator's libraries are not installed."""
    if all(find_spec(name) for name in ("starlette", "uvicorn")):
        return None
    return Diagnostic(
        code="simulator.not-installed",
        summary="Simulator not installed",
        detail="The simulator needs starlette and uvicorn, which are an extra of this program.",
        help="Install them: pip install 'auditor[simulator]'",
        subject="simulator",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorJob:
    """What `auditor simulate` is asked for."""

    host: str
    port: int
    seed: int
    events: int
    activities: str | None
    as_of: str | None
    hot_span: str
    faults: Sequence[str]


def simulate(job: SimulatorJob, announce: Callable[[str], None]) -> Diagnostic | None:
    """
    Run the simulator in the foreground until it is interrupted.

    *announce* is given, once it listens, the environment variables that lead an auditor to it. Result: what
    kept it from starting, if anything did.
    """
    if (problem := installed()) is not None:
        return problem
    from auditor import simulator

    started = wall_clock()
    try:
        now = parse_instant(job.as_of) if job.as_of else started
        hot_span = timedelta(seconds=Duration.parse(job.hot_span).seconds)
        faults = tuple(simulator.Fault.parse(text) for text in job.faults)
        world = _world(job, now)
        shift = now - started
        settings = simulator.Settings(hot_span=hot_span, faults=faults)
        application = simulator.create_app(
            world, config.shipped_kinds(), settings, lambda: wall_clock() + shift
        )
        simulator.run(
            application,
            job.host,
            job.port,
            lambda running: announce(_announcement(running, world.environment_id, settings)),
        )
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Diagnostic(
            code="simulator.not-started",
            summary="Simulator not started",
            detail=f"{reason}.",
            help="Mend the option, or take another port with --port.",
            subject="auditor simulate",
        )
    return None


def _world(job: SimulatorJob, now: datetime) -> World:
    from auditor import simulator

    if job.activities is None:
        return simulator.World.generate(seed=job.seed, events=job.events, now=now)
    given = config.read_records([f"activities={job.activities}"], config.shipped_kinds())
    if given.value is None:
        raise ValueError(given.diagnostics[0].detail.rstrip("."))
    environment_id = "00000000-0000-4000-8000-000000000001"
    return simulator.World.from_records(given.value["activities"], environment_id=environment_id, now=now)


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
