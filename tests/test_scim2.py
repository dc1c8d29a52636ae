"""The example of a plain SCIM 2.0 service, against a server that nobody here wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from threading import Thread
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest

from auditor import cli
from auditor.config import shipped_kinds
from auditor.simulator import Settings, World, create_app, serve
from tests.support import ROOT
from tests.test_simulator import TLS

pytest.importorskip("scim2_server", reason="scim2-server is not installed")
from scim2_server.applications.wsgi import WSGIApplication
from scim2_server.memory import InMemoryStorage
from scim2_server.utils import load_default_provider

USERS = 250
"""More than two pages of the example's size."""
NO_SPONSOR = 7
"""Number of the contractor without one."""


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name of the parent's
        pass


@dataclass
class Service:
    """A SCIM service on a loopback port; `seen` are the queries that it was asked, `tokens` with what."""

    url: str
    seen: list[dict[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)


@contextmanager
def scim_service() -> Iterator[Service]:
    application: Any = WSGIApplication(InMemoryStorage(), load_default_provider())

    def recorded(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            running.seen.append({k: v for k, (v,) in parse_qs(environ["QUERY_STRING"]).items()})
            running.tokens.add(environ["HTTP_AUTHORIZATION"])
        answer: Iterable[bytes] = application(environ, start)
        return answer

    with make_server("127.0.0.1", 0, recorded, handler_class=Quiet) as server:
        running = Service(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()


def user(number: int) -> dict[str, Any]:
    document = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": f"user{number}@example.com",
        "active": number % 10 != 0,
        "userType": "contractor" if number % 50 == NO_SPONSOR else "employee",
        "emails": [{"value": f"user{number}@example.com", "primary": True}],
    }
    return document if number == NO_SPONSOR else {**document, "externalId": f"sponsor-{number}"}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": str(number), "data": user(number)}
        for number in range(USERS)
    ]
    bulk = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    }  # RFC 7644, section 3.7
    with scim_service() as service:
        made = httpx.post(f"{service.url}/Bulk", json=bulk, verify=TLS)
        assert {operation["status"] for operation in made.json()["Operations"]} == {"201"}
        yield service


@pytest.fixture
def project(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example project; its tokens come from the simulator, since a SCIM service gives none."""
    now = datetime.now(UTC)  # noqa: TID251  # the token is good now
    world = World.generate(seed=1, events=0, now=now)
    copytree(ROOT / "examples" / "scim2", tmp_path / "scim2")
    with serve(create_app(world, shipped_kinds(), Settings(), lambda: now)) as running:
        monkeypatch.setenv("PINGONE_API_URL", service.url)
        monkeypatch.setenv("PINGONE_AUTH_URL", running.auth_url)
        monkeypatch.setenv("PINGONE_ENVIRONMENT_ID", world.environment_id)
        monkeypatch.setenv("PINGONE_CLIENT_ID", Settings().client_id)
        monkeypatch.setenv("PINGONE_CLIENT_SECRET", Settings().client_secret)
        monkeypatch.chdir(tmp_path / "scim2")
        service.seen.clear()
        yield tmp_path / "scim2"


def checked(project: Path, *words: str) -> dict[str, Any]:
    cli.run(["check", "--rate", "scim=0", "--report", "json=report.json", *words])
    report: dict[str, Any] = json.loads((project / "report.json").read_text("utf-8"))
    assert report["problems"] == []
    return {verdict["check"]: verdict for verdict in report["verdicts"]} | {"asked": report["asked"]}


def test_every_user_of_the_service_is_read_page_after_page_and_counted(project, service):
    report = checked(project)
    addresses = report["users-have-a-primary-address"]
    assert (addresses["status"], addresses["population"]) == ("pass", USERS * 9 // 10)
    (everyone,) = [a["end"] for a in report["asked"] if a["end"]["records"] == USERS]
    assert (everyone["pages"], everyone["count"], everyone["assurance"]) == (3, USERS, "counted")
    places = [query.get("startIndex", "1") for query in service.seen if "filter" not in query]
    assert places == ["1", "101", "201"]
    assert {token.partition(" ")[0] for token in service.tokens} == {"Bearer"}


def test_what_the_service_can_filter_is_filtered_there_and_here_again(project, service):
    report = checked(project, "--no-merge")  # merged, the check on all users finds these too
    sponsors = report["contractors-have-a-sponsor"]
    assert (sponsors["status"], sponsors["population"], sponsors["exceptions"]) == ("fail", 5, 1)
    assert 'userType eq "contractor"' in {query.get("filter") for query in service.seen}


def test_a_service_that_counts_more_users_than_it_shows_is_not_believed(project, monkeypatch):
    """The last user of every page is missing, and still counted."""
    search = InMemoryStorage.search

    def forgetful(*given: Any, **named: Any) -> Any:
        page = search(*given, **named)
        page.resources = page.resources[:-1]
        return page

    monkeypatch.setattr(InMemoryStorage, "search", forgetful)
    report = checked(project)
    verdict = report["users-have-a-primary-address"]
    assert (verdict["status"], verdict["code"]) == ("error", "evidence.wrong-count")


def test_a_service_that_always_answers_with_its_first_page_is_not_believed(project, service, monkeypatch):
    """Each user came once and was counted once, and the rest are missing: the walk ends all the same."""
    search = InMemoryStorage.search

    def stuck(storage: Any, types: Any, request: Any, **named: Any) -> Any:
        request.start_index = 1
        return search(storage, types, request, **named)

    monkeypatch.setattr(InMemoryStorage, "search", stuck)
    report = checked(project)
    verdict = report["users-have-a-primary-address"]
    assert (verdict["status"], verdict["code"]) == ("error", "evidence.wrong-count")
    assert [query["startIndex"] for query in service.seen if "startIndex" in query] == ["101", "201"]
