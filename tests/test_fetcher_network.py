"""Over real sockets: a simulated PingOne with everything that can go wrong, and servers that break off."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from auditor.fetcher import network, reading
from tests.pages import (
    KINDS,
    Fetched,
    Simulated,
    Tenant,
    environment,
    events,
    fetching,
    granted,
    html,
    ok,
    page,
    simulated,
    table,
    world,
)

METRICS = "metrics_active_identity_counts"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


# --- a tenant that is well ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tenant() -> Iterator[Simulated]:
    with simulated() as tenant:
        yield tenant


@pytest.mark.parametrize("how", table("endpoints"), ids=lambda how: f"{how['resource']} {how['last']}")
def test_every_endpoint_is_read_completely(tenant: Simulated, how: dict[str, Any]):
    asked = tenant.query(**{name: value for name, value in how.items() if name != "assurance"})
    found = tenant.fetched(asked)
    assert found.end.complete, found.end
    assert found.end.assurance == how["assurance"]
    assert found.end.records == len(found.records) > 0
    assert found.end.records >= (asked.expected_records or 0)
    assert not any(seen.ignored for seen in tenant.reads)


def test_all_events_of_a_window_are_those_that_the_tenant_has(tenant: Simulated):
    asked = tenant.query(last="10d")
    assert asked.window is not None
    low, high = (int(edge.timestamp() * 1000) for edge in (asked.window.start, asked.window.end))
    expected = [entry.record["id"] for entry in tenant.world.environments[0].events(low, high - 1)]
    assert len(expected) > 500
    assert tenant.fetched(asked).ids == expected


def test_a_post_reads_the_same_as_a_get(tenant: Simulated):
    by_get, by_post = (tenant.fetched(tenant.query(last="10d", method=method)) for method in ("GET", "POST"))
    assert by_post.end.complete
    assert by_post.end.pages > 1
    assert by_post.ids == by_get.ids


def test_a_page_size_that_the_tenant_refuses_is_made_smaller():
    with simulated(page_size=100) as tenant:
        found = tenant.fetched(tenant.query(last="10d"))
        assert found.end.complete
        assert max(len(page.records) for page in found.pages) == 100
        limits = [seen.query.get("limit") for seen in tenant.reads]
        assert limits[:2] == ["500", "100"]
        assert set(limits[2:]) <= {"100", None}


def test_a_descending_order_leads_to_the_same_counts():
    """As in the sample of the documentation: the earliest page first, the later ones behind `previous`."""
    with simulated() as tenant:
        asked = tenant.query(METRICS, last="300d")
        descending = {**asked.parameters, "order": "-startDate"}
        there, back = (
            tenant.fetched(asked),
            tenant.fetched(tenant.query(METRICS, last="300d", parameters=descending)),
        )
        assert back.end.complete, back.end
        assert back.end.pages > 1
        key = KINDS[METRICS].order_key
        assert {record[key] for record in back.records} == {record[key] for record in there.records}


def test_packed_answers_are_unpacked():
    with simulated(gzip=True) as tenant:
        assert tenant.fetched(tenant.query(last="10d")).end.complete


# --- a tenant that is not -------------------------------------------------------------------------------

FAULTS = table("faults")


def faults(*, passing: bool) -> list[Any]:
    """Return the rows of the faults that pass, or are none to a careful client; or of the others."""
    return [
        pytest.param(
            row["fault"],
            *([] if passing else [row["ends"]]),
            marks=[pytest.mark.slow] * row.get("slow", False),
        )
        for row in FAULTS
        if (row["ends"] == "well") is passing
    ]


@pytest.mark.parametrize("fault", faults(passing=True))
def test_a_fault_that_passes_changes_nothing(tenant: Simulated, fault: str):
    with simulated(fault) as faulty:
        found = faulty.fetched(faulty.query(last="1d"), timeout_s=0.3 if "stall" in fault else 10)
    assert found.end.complete, found.end
    assert sorted(found.ids) == sorted(tenant.fetched(tenant.query(last="1d")).ids)


@pytest.mark.parametrize(("fault", "code"), faults(passing=False))
def test_a_fault_that_stays_ends_the_query_with_its_name(
    fault: str, code: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "MAX_BARREN", 20)
    with simulated(fault, page_size=50) as tenant:
        found = tenant.fetched(tenant.query(last="1d"), attempts=2, timeout_s=0.3 if fault == "stall" else 10)
    assert found.failure.code == code, found.failure
    assert found.end.assurance is None
    assert "<html>" not in found.failure.reason


@pytest.mark.parametrize("fault", ["count=1", "count=-1"])
def test_a_wrong_count_is_an_error(fault: str):
    with simulated(fault) as tenant:
        assert tenant.fetched(tenant.query(METRICS)).failure.code == "evidence.wrong-count"


def test_every_fault_of_the_simulator_is_met():
    from auditor.simulator import Fault

    met = {Fault.parse(row["fault"]).kind for row in FAULTS}
    below = {"count", "slow"}
    # Nothing in an answer shows that an event is late: see tests/test_clocks.py for what is done about it.
    elsewhere = {"late"}
    assert set(Fault.NAMES) == met | below | elsewhere


def test_a_filter_that_is_refused_is_told_with_what_would_be_supported():
    with simulated("refuse-filter") as tenant:
        failure = tenant.fetched().failure
        assert "supportedOperators = eq, and" in failure.reason
        assert "--pushdown" in failure.help


def test_an_answer_that_is_late_but_not_too_late_is_waited_for():
    with simulated("slow=0.2") as tenant:
        assert tenant.fetched(timeout_s=5).end.complete


def test_a_rate_is_kept_with_a_tenant_that_enforces_it():
    with simulated(rate_limits={"rlgAuditRps": "20/s"}, allow_listed=True, page_size=50) as tenant:
        started = time.monotonic()
        found = tenant.fetched(tenant.query(last="2d"), rates={"rlgAuditRps": 10})
        took = time.monotonic() - started
    assert found.end.complete
    assert found.end.retries == 0
    at_least = (found.end.requests - 1) / 10
    assert took > at_least * 0.9


@pytest.mark.slow
def test_a_tenant_that_is_asked_too_fast_is_obeyed():
    """It says for how long to wait, and then answers."""
    with simulated(rate_limits={"rlgAuditRps": "1/s"}, allow_listed=True) as tenant:
        found = tenant.fetched(tenant.query(id="a", last="1h"), tenant.query(id="b", last="1h"))
    assert all(end.complete for end in found.ends)
    assert [seen.status for seen in tenant.reads] == [200, 429, 200]
    assert sum(end.waited_s for end in found.ends) > 0.9


def test_a_query_over_a_forbidden_environment_spoils_no_other():
    sandbox = world().environments[1].id
    with simulated(forbidden_environments=(sandbox,)) as tenant:
        forbidden = tenant.query(path=f"/environments/{sandbox}/activities", id="forbidden")
        found = tenant.fetched(forbidden, tenant.query())
        assert found.of(tenant.query()).complete
        end = found.of(forbidden)
        assert end.failure is not None
        assert end.failure.code == "query.forbidden"


def test_no_request_leaves_for_where_a_foreign_link_leads():
    """Asserted on the log of the server that the link names."""
    with simulated() as elsewhere:
        path = f"/environments/{elsewhere.environment.id}/activities?cursor=1"
        misled = Tenant(ok(page(events(1), next=f"{elsewhere.running.api_url}{path}")))
        found = asyncio.run(fetching(misled))
        assert found.failure.code == "evidence.foreign-link"
        assert elsewhere.running.requests == []


def test_a_redirect_is_not_followed():
    with simulated() as elsewhere:
        target = f"{elsewhere.running.api_url}/environments/{elsewhere.environment.id}/activities"
        with simulated(f"redirect={target}") as tenant:
            assert tenant.fetched().failure.code == "query.redirected"
        assert elsewhere.running.requests == []


def test_loopback_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch):
    """The simulator is not behind the company's proxy, and its token is nobody else's business."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with simulated() as tenant:
        assert tenant.fetched().end.complete


# --- servers of bytes -----------------------------------------------------------------------------------

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve on a loopback port; the token endpoint answers as it should."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/as/token" in head:
                writer.write(whole(granted().content, "Connection: close"))
                await writer.drain()
            else:
                await answer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http{'s' if tls else ''}://127.0.0.1:{port}"


def whole(body: bytes, *headers: str) -> bytes:
    head = "\r\n".join(
        ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    )
    return f"{head}\r\n\r\n".encode() + body


def read_from(answer: Serve, tls: ssl.SSLContext | None = None, **settings: Any) -> Fetched:
    async def read() -> Fetched:
        async with serving(answer, tls) as url:
            asked = environment(api_url=url, auth_url=url)
            own = {"transport": None, "first_wait_s": 0.0, "attempts": 2, "timeout_s": 5} | settings
            return await fetching(Tenant(html()), asked=[asked], **own)

    return asyncio.run(read())


BODY = ok(page(events(1))).content


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        pytest.param(b"", "disconnected", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", "broke off", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", "broke off", id="half of the head"),
        pytest.param(whole(BODY)[:-9], "broke off", id="less than the length that was announced"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + BODY[:5] + b"\r\n",
            "broke off",
            id="half of the chunks",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + BODY[:-9],
            "can not be read",
            id="half of a body of no announced length",
        ),
        pytest.param(
            whole(gzip.compress(BODY)[:-30], "Content-Encoding: gzip"), "can not be read", id="half of a packed body"
        ),
    ],
)  # fmt: skip
def test_a_connection_that_ends_too_early_is_tried_again_and_then_told(sent: bytes, says: str):
    async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()

    found = read_from(break_off)
    assert found.failure.code == "query.broken"
    assert says in found.failure.reason
    assert "127.0.0.1" in found.failure.reason
    assert "tried 2 times" in found.failure.reason
    assert found.end.requests == 2


def test_a_whole_body_of_no_announced_length_is_read():
    async def close_at_the_end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + BODY)
        await writer.drain()

    assert read_from(close_at_the_end).ids == ["event-1"]


@pytest.mark.parametrize(
    "sent", [pytest.param(b"", id="before the head"), pytest.param(whole(BODY)[:-9], id="inside the body")]
)
def test_a_server_that_falls_silent_is_given_up(sent: bytes):
    async def fall_silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(60)

    started = time.monotonic()
    found = read_from(fall_silent, timeout_s=0.2)
    assert found.failure.code == "query.timeout"
    assert time.monotonic() - started < 5


def test_a_server_that_is_not_there_is_named_with_the_reason():
    asked = environment(api_url="http://127.0.0.1:1/v1", auth_url="http://127.0.0.1:1")
    found = asyncio.run(fetching(Tenant(html()), asked=[asked], transport=None, first_wait_s=0.0, attempts=2))
    assert found.failure.code == "query.unreachable"
    assert found.failure.reason == "127.0.0.1 can not be reached: Connection refused. It was tried 2 times."
    assert "region" in found.failure.help


def test_a_host_that_has_no_address_is_named_with_the_reason():
    asked = environment(api_url="http://nowhere.invalid/v1", auth_url="http://nowhere.invalid")
    found = asyncio.run(fetching(Tenant(html()), asked=[asked], transport=None, first_wait_s=0.0, attempts=1))
    assert found.failure.code == "query.unreachable"
    assert found.failure.reason.startswith("nowhere.invalid can not be reached: ")
    assert "Errno" not in found.failure.reason


def test_a_host_with_several_addresses_is_named_with_the_reason_of_the_first():
    asked = environment(api_url="http://localhost:1/v1", auth_url="http://localhost:1")
    found = asyncio.run(fetching(Tenant(html()), asked=[asked], transport=None, first_wait_s=0.0, attempts=1))
    assert found.failure.reason == "localhost can not be reached: Connection refused."
    both = OSError(
        "Multiple exceptions: [Errno 113] Connect call failed ('::1', 1, 0, 0), [Errno 111] Connect call failed"
    )
    assert network._first(both).errno == 113


def test_what_a_server_says_unasked_answers_nothing():
    """A connection on which something came while nothing was asked is closed, and the next request takes another."""
    connections = 0
    said = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(whole(b'"asked"'))
        await asyncio.sleep(0.05)
        writer.write(whole(b'"unasked"'))
        await writer.drain()
        said.set()
        await reader.read()

    async def ask() -> list[bytes]:
        async with serving(answer) as url, network.Direct() as direct:
            answers = []
            for _ in range(2):
                response = await direct.handle_async_request(httpx.Request("GET", url))
                answers.append(await response.aread())
                await asyncio.wait_for(said.wait(), 5)
                said.clear()
                await asyncio.sleep(0.05)
        return answers

    assert asyncio.run(ask()) == [b'"asked"', b'"asked"']
    assert connections == 2


@pytest.mark.parametrize("by", ["http", "https"])
def test_a_large_answer_is_read_as_fast_as_it_is_taken(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tls = None
    if by == "https":
        tls = certificate(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "chain.pem"))
    body = b"x" * 3_000_000

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(body))
        await writer.drain()

    async def ask() -> bytes:
        async with serving(answer, tls) as url, network.Direct() as direct:
            response = await direct.handle_async_request(httpx.Request("GET", url))
            await asyncio.sleep(0.1)
            pool: Any = direct._pools[by]
            (connection,) = pool.connections
            waiting = connection._connection._network_stream._received
            assert len(waiting) < network.MAX_BUFFERED + 512 * 1024
            return await response.aread()

    assert asyncio.run(ask()) == body


def certificate(folder: Path) -> ssl.SSLContext:
    """Return what a server needs to call itself 127.0.0.1, vouched for by nobody."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)  # noqa: TID251  # the certificate must be good now
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, private)
    return context


async def well(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(whole(BODY, "Connection: close"))
    await writer.drain()


def test_a_server_that_nobody_vouches_for_is_not_trusted_and_not_asked_again(tmp_path: Path):
    found = read_from(well, certificate(tmp_path))
    assert found.failure.code == "query.untrusted"
    assert "127.0.0.1 can not be trusted: self-signed certificate" in found.failure.reason
    assert "tried" not in found.failure.reason
    assert "SSL_CERT_FILE" in found.failure.help


def test_an_authority_of_ones_own_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    context = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "chain.pem"))
    assert read_from(well, context).ids == ["event-1"]


def test_a_server_that_speaks_no_tls_is_told():
    """It closes the connection, or answers in the clear."""

    async def read() -> Fetched:
        async def in_the_clear(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(whole(BODY))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(in_the_clear, "127.0.0.1", 0)
        async with server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            asked = environment(api_url=url, auth_url=url)
            return await fetching(Tenant(html()), asked=[asked], transport=None, first_wait_s=0.0, attempts=1)

    found = asyncio.run(read())
    assert found.failure.code == "query.unreachable"
    assert found.failure.reason == "127.0.0.1 can not be reached: wrong version number."
