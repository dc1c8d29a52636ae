"""How long the fetcher takes, beside a sequential httpx loop over the same pages.

Goals: with a limit of r requests/s and p pages at most 1.1 times p / r, and no rejection after warm-up; without
one and with 50 ms a page, slices of gzip pages read 8 at once within 1.25 times pages x 50 ms / 8, decoding and
checking included. "cpu" is what the client itself computes for a page; on a machine that does other work too, only it
and the ratio of the two rows mean much.
"""

from __future__ import annotations

import asyncio
import gzip
import multiprocessing
import re
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson

from auditor import fetcher
from auditor.model.evidence import QueryEnd
from tests.pages import ENVIRONMENT_ID, KINDS, NOW, environment, plan_of, query

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

DAY = timedelta(days=1)
START = NOW - DAY
PATH = f"/v1/environments/{ENVIRONMENT_ID}/activities"
RANGE = re.compile(r'recordedAt ge "([^"]+)" and recordedAt lt "([^"]+)"')


def event(number: int, of: int, end: datetime = NOW) -> dict[str, Any]:
    """Return one of so many events, spread evenly over the day before an instant; 1.1 kB, as captured ones have."""
    reference = {"id": f"{number % 97:08}-5a1f-4b0e-9c3d-4a6b7c8d9e0f"}
    user = {
        "id": f"{number % 9_973:08}-1c7b-4f8e-8a9b-2d3e4f5a6b7c",
        "name": f"user.{number % 9_973}@example.com",
        "href": f"https://api.pingone.com/v1/environments/{ENVIRONMENT_ID}/users/{number % 9_973:08}",
        "environment": reference,
        "population": reference,
        "type": "USER",
    }
    at = (end - DAY + DAY * (number / of)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "_links": {
            "self": {"href": f"https://api.pingone.com/v1/environments/{ENVIRONMENT_ID}/activities/{number}"}
        },
        "id": f"{number:08x}-0b1c-4d2e-8f3a-5b6c7d8e9f0a",
        "recordedAt": at,
        "createdAt": at,
        "correlationId": f"{number // 3:08x}-9e8d-4c7b-a6f5-e4d3c2b1a098",
        "internalCorrelation": {"transactionId": f"{number:08x}-7a6b-4c5d-8e9f-0a1b2c3d4e5f"},
        "actors": {"client": {**user, "type": "CLIENT", "name": "PingOne Admin Console"}, "user": user},
        "action": {"type": "USER.ACCESS_ALLOWED", "description": "User Access Allowed"},
        "resources": [user],
        "result": {"status": "SUCCESS", "description": "Passed role access control"},
        "source": {"ipAddress": f"203.0.113.{number % 254}", "userAgent": "Mozilla/5.0 (X11; Linux x86_64)"},
        "tags": ["adminIdentityEvent"],
    }


class Server:
    """
    An endpoint that costs next to nothing: pages are made and compressed once, and come a fixed time later.

    Its events are those of the day before an instant.
    """

    def __init__(self, pages: int, size: int, latency_s: float, rate: int, end: datetime) -> None:
        self.events = pages * size
        self.end = end
        self.size, self.latency_s, self.rate = size, latency_s, rate
        self.made: dict[tuple[int, int, int], bytes] = {}
        self.admitted: deque[float] = deque()
        self.refused = self.served = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        try:
            while line := await reader.readline():
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
                writer.write(await self.answer(line.split()[1].decode()))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, target: str) -> bytes:
        """Return the whole answer to a request for a path with its query."""
        url = urlsplit(target)
        if url.path.endswith("/as/token"):
            return _http("200 OK", b'{"access_token":"t","token_type":"Bearer","expires_in":3600}')
        if url.path == "/told":
            told = orjson.dumps({"served": self.served, "refused": self.refused})
            self.served = self.refused = 0
            return _http("200 OK", told)
        if self.rate and not self._admits():
            self.refused += 1
            return _http("429 Too Many Requests", b'{"code":"REQUEST_LIMITED"}', "Retry-After: 1\r\n")
        await asyncio.sleep(self.latency_s)
        self.served += 1
        asked = parse_qs(url.query)
        if "cursor" in asked:
            start, end, at = (int(part) for part in asked["cursor"][0].split("."))
        else:
            ((first, last),) = RANGE.findall(asked["filter"][0])
            start, end = (self._index(datetime.fromisoformat(text)) for text in (first, last))
            at = start
        return self.page(start, end, at)

    def _admits(self) -> bool:
        """Admit so many requests in any second, as the strictest limiter would."""
        now = time.monotonic()
        while self.admitted and self.admitted[0] <= now - 1:
            self.admitted.popleft()
        if len(self.admitted) >= self.rate:
            return False
        self.admitted.append(now)
        return True

    def _index(self, instant: datetime) -> int:
        """Return the number of the first event at or after an instant."""
        exact = (instant.astimezone(UTC) - self.end + DAY) / DAY * self.events
        return min(max(-int(-exact // 1), 0), self.events)

    def page(self, start: int, end: int, at: int) -> bytes:
        """Return the page that begins with one event of a range; all by number."""
        key = (start, end, at)
        if key not in self.made:
            to = min(at + self.size, end)
            onward = f'"next":{{"href":"{PATH}?cursor={start}.{end}.{to}"}}' if to < end else ""
            body = b'{"_links":{%b},"_embedded":{"activities":[%b]}}' % (
                onward.encode(),
                b",".join(orjson.dumps(event(number, self.events, self.end)) for number in range(at, to)),
            )
            self.made[key] = _http("200 OK", gzip.compress(body, 6), "Content-Encoding: gzip\r\n")
        return self.made[key]


def _http(status: str, body: bytes, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _serve(settings: tuple[int, int, float, int, datetime], ports: Queue[int]) -> None:
    async def listen() -> None:
        server = await asyncio.start_server(Server(*settings).connected, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(listen())


@contextmanager
def serving(pages: int, size: int, latency_s: float, rate: int = 0, end: datetime = NOW) -> Iterator[str]:
    """Run the server in a process of its own; give its origin."""
    context = multiprocessing.get_context("spawn")
    ports: Queue[int] = context.Queue()
    process = context.Process(target=_serve, args=((pages, size, latency_s, rate, end), ports), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ports.get(timeout=120)}"
    finally:
        process.terminate()
        process.join()


async def sequential(origin: str, size: int) -> int:
    """Read the day page by page with httpx alone; return how many events came."""
    found = 0
    text = f'recordedAt ge "{START.isoformat()}" and recordedAt lt "{NOW.isoformat()}"'
    async with httpx.AsyncClient(base_url=origin, timeout=60) as client:
        answer = await client.get(PATH, params={"filter": text, "limit": str(size)})
        while True:
            if answer.status_code == 429:
                await asyncio.sleep(int(answer.headers["retry-after"]))
                answer = await client.send(answer.request)
                continue
            page = orjson.loads(answer.content)
            found += len(page["_embedded"]["activities"])
            if "next" not in page["_links"]:
                return found
            answer = await client.get(page["_links"]["next"]["href"])


async def sliced(origin: str, size: int, rate: float = 0) -> int:
    """Read the day with the fetcher; return how many events came."""
    tenant = environment(api_url=f"{origin}/v1", auth_url=origin)
    settings = fetcher.Settings(
        clock=lambda: NOW, user_agent="auditor/benchmark", rates={KINDS["activities"].rate.group: rate}
    )
    plan = plan_of(query(parameters={"limit": str(size)}))
    async for found in fetcher.fetch(plan, KINDS, {"prod": tenant}, settings):
        if isinstance(found, QueryEnd):
            if not found.complete:
                raise RuntimeError(found.failure)
            return found.records
    raise RuntimeError("the query has no end")


def _rounds(
    origin: str, calls: dict[str, Callable[[], Coroutine[Any, Any, int]]], rounds: int
) -> dict[str, list[Any]]:
    """Run each in turn; return seconds, ms of CPU a page, requests answered and refused of the median round."""
    seen: dict[str, list[Any]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            time.sleep(1.1 if number else 0)  # no round pays for the requests of another
            httpx.get(f"{origin}/told")
            start, cpu_start = time.perf_counter(), time.process_time()
            asyncio.run(call())
            seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
            told = httpx.get(f"{origin}/told").json()
            if number:  # the first round warms up the server
                seen[name].append((seconds, cpu_s / told["served"] * 1_000, told["served"], told["refused"]))
    return {name: sorted(rows)[len(rows) // 2] for name, rows in seen.items()}


def _table(floor_s: float, rows: dict[str, list[Any]]) -> None:
    print(f"{'':36} {'wall':>8} {'x floor':>8} {'cpu/page':>10} {'answered':>9} {'refused':>8}")
    for name, (seconds, cpu_ms, served, refused) in rows.items():
        print(f"{name:36} {seconds:7.2f}s {seconds / floor_s:8.2f} {cpu_ms:7.1f} ms {served:9} {refused:8}")


def run(*, full: bool) -> None:
    """Print the tables."""
    rounds = 5 if full else 1
    for size in (100, 500, 1_000) if full else (100, 500):
        pages, latency_s = 200 if full else 80, 0.05
        with serving(pages, size, latency_s) as origin:
            floor_s = pages * latency_s / 8
            print(f"\n{pages} gzip pages of {size} events, 50 ms each; floor {floor_s:.2f} s (8 at once)")
            calls: dict[str, Callable[[], Coroutine[Any, Any, int]]] = {
                "httpx, page by page": partial(sequential, origin, size),
                "the fetcher": partial(sliced, origin, size),
            }
            _table(floor_s, _rounds(origin, calls, rounds))
    pages, rate, latency_s = 240 if full else 60, 20, 0.2
    with serving(pages, 100, latency_s, rate) as origin:
        print(
            f"\n{pages} pages of 100 events, 200 ms each, {rate} requests in any second; floor {pages / rate:.2f} s"
        )
        calls = {
            "httpx, page by page": partial(sequential, origin, 100),
            "the fetcher": partial(sliced, origin, 100, rate),
        }
        _table(pages / rate, _rounds(origin, calls, rounds))
