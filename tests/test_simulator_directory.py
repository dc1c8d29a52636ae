"""The simulated tenant's people and configuration: whom the log names, as strictly served as documented."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from auditor.simulator import Settings, World
from tests.test_simulator import CATALOGUE, NOW, WORLD, Client, instant, records, simulated
from tests.test_simulator_world import EVENTS

INVENTORIES = [
    kind for kind in CATALOGUE.values() if kind.window is None and kind.page.items and not kind.for_each
]
WITHIN = [kind for kind in INVENTORIES if kind.scope == "environment"]
PRODUCTION = WORLD.environment_id
ORGANIZATION = f"organizations/{WORLD.organization_id}"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with simulated() as client:
        yield client


def listed(endpoint: str, world: World = WORLD, **each: str) -> list[Any]:
    path = f"/environments/{{environment_id}}/{endpoint}"
    found = world.collection(path, {"environment_id": world.environment_id, **each}, {})
    assert found is not None
    return list(found)


def above(client: Client, path: str, **parameters: str) -> Any:
    return client.http.get(
        f"{client.running.api_url}/{path}", params=parameters or None, headers=client.headers
    )


# --- whom and what there is -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", INVENTORIES, ids=lambda kind: kind.kind)
def test_every_record_satisfies_the_schema_of_its_descriptor(kind):
    identifiers = {"environment_id": PRODUCTION} if kind.scope == "environment" else {}
    found = WORLD.collection(kind.path, identifiers, {})
    validator = Draft202012Validator(kind.item)
    assert found
    for record in found:
        assert [error.message for error in validator.iter_errors(record)] == []
    assert len({record["id"] for record in found}) == len(found)


@pytest.mark.parametrize(
    ("resource", "endpoint"),
    [
        ("GROUP", "groups"),
        ("KEY", "keys"),
        ("GATEWAY", "gateways"),
        ("SIGN_ON_POLICY", "signOnPolicies"),
        ("SUBSCRIPTION", "subscriptions"),
        ("IDENTITY_PROVIDER", "identityProviders"),
        ("POPULATION", "populations"),
        ("USER", "users"),
    ],
)
def test_what_the_log_names_is_there(resource, endpoint):
    there = {record["id"] for record in listed(endpoint)}
    named = {
        target["id"]
        for event in EVENTS
        for target in event.get("resources", ())
        if target["type"] == resource
    }
    assert named <= there


def test_who_acts_in_the_log_is_a_user_or_an_application_of_the_tenant():
    users, applications = ({record["id"] for record in listed(name)} for name in ("users", "applications"))
    for event in EVENTS:
        actors = event.get("actors", {})
        assert actors.get("user", {"id": None})["id"] in {*users, None}
        if "environment" in actors.get("client", {}):  # word-id clients are the product's own
            assert actors["client"]["id"] in applications


def test_deleted_applications_are_gone():
    deleted = {e["resources"][0]["id"] for e in EVENTS if e["action"]["type"] == "APPLICATION.DELETED"}
    assert deleted
    assert not deleted & {application["id"] for application in listed("applications")}


def test_a_user_last_signed_on_when_the_log_says_so():
    active = {"SESSION.CREATED", "SESSION.UPDATED", "PASSWORD.CHECK_SUCCEEDED"}
    last: dict[str, str] = {}
    for event in EVENTS:  # newest first
        if event["action"]["type"] in active:
            last.setdefault(event["resources"][0]["id"], event["recordedAt"])
    users = {user["id"]: user for user in listed("users")}
    assert len(last) > 100
    for identifier, at in last.items():
        assert users[identifier]["lastSignOn"]["at"] == at


def test_the_user_whose_password_was_tried_again_and_again_is_locked():
    (locked,) = [user for user in listed("users") if user["account"]["status"] == "LOCKED"]
    assert locked["id"] == WORLD.facts.sprayed_user_id


def test_the_same_arguments_give_the_same_directory():
    one, other = (World.generate(11, 300, NOW) for _ in range(2))
    assert one.facts.weaknesses == other.facts.weaknesses
    assert listed("users", one) == listed("users", other)
    assert listed("applications", one) != listed("applications", World.generate(12, 300, NOW))


def test_every_weakness_is_somewhere_and_nowhere_everything():
    weaknesses = WORLD.facts.weaknesses
    everything = sum(len(listed(kind.path.rpartition("/")[2])) for kind in WITHIN)
    assert all(weaknesses.values())
    assert sum(map(len, weaknesses.values())) < everything / 2


def test_a_tenant_of_given_events_has_no_directory():
    world = World.from_records(EVENTS[:3], environment_id=PRODUCTION, now=NOW)
    assert (
        world.collection("/environments/{environment_id}/users", {"environment_id": PRODUCTION}, {}) is None
    )
    with simulated(world=world) as client:
        assert client.get("users").status_code == 404


def test_a_tenant_of_given_events_serves_given_collections_as_they_are():
    given = [{"id": "a", "name": "\u202eb"}, {"id": "a"}, {}]
    path = "/environments/{environment_id}/groups"
    world = World.from_records([], environment_id=PRODUCTION, now=NOW, collections={path: given})
    with simulated(world=world) as client:
        assert records(client.get("groups").json()) == given


# --- pages, filters, roles ------------------------------------------------------------------------------


def test_users_come_in_pages_with_their_number(client):
    pages = client.walk("users", limit=100)
    assert [page["size"] for page in pages] == [100] * 5 + [6]
    assert {page["count"] for page in pages} == {506}
    assert [user for page in pages for user in records(page)] == listed("users")


def test_a_page_may_be_smaller_than_was_asked_for(client):
    assert client.get("users", limit=1000).json()["size"] == 200


@pytest.mark.parametrize("limit", ["0", "1001", "many"])
def test_a_page_size_out_of_bounds_is_refused(client, limit):
    answer = client.get("users", limit=limit)
    assert answer.status_code == 400
    (detail,) = answer.json()["details"]
    if limit != "many":
        assert detail["innerError"] == {"rangeMinimumValue": 1, "rangeMaximumValue": 1000}


@pytest.mark.parametrize("kind", WITHIN, ids=lambda kind: kind.kind)
def test_the_answer_counts_only_where_it_is_known_to(client, kind):
    page = client.get(kind.path.rpartition("/")[2]).json()
    assert ("count" in page) == (kind.page.count == "items")
    assert page["size"] == len(records(page))


def test_a_filter_is_evaluated(client):
    population = listed("populations")[1]["id"]
    found = records(client.get("users", filter=f'population.id eq "{population}" and enabled eq true').json())
    assert found
    assert all(user["population"]["id"] == population and user["enabled"] for user in found)


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        ("users", 'lastSignOn.at gt "2026-01-01T00:00:00Z"'),
        ("users", "mfaEnabled eq true"),
        ("users", 'username co "a"'),
        ("populations", 'name eq "Payroll"'),
    ],
)
def test_what_no_page_documents_can_not_be_filtered(client, endpoint, text):
    answer = client.get(endpoint, filter=text)
    assert answer.status_code == 400
    assert answer.json()["details"][0]["code"] == "INVALID_FILTER"


def test_one_object_is_answered_as_it_is(client):
    answer = client.get("adminConfig").json()
    assert "_embedded" not in answer
    assert answer["environment"] == {"id": PRODUCTION}
    assert answer["_links"]["self"]["href"].endswith("/adminConfig")


def test_the_organization_lists_its_environments_and_licences(client):
    environments = records(above(client, "environments").json())
    licenses = records(above(client, f"{ORGANIZATION}/licenses").json())
    assert [environment["name"] for environment in environments] == ["Production", "Sandbox"]
    assert {found["status"] for found in licenses} == {"ACTIVE", "TERMINATED"}
    assert {environment["license"]["id"] for environment in environments} == {licenses[0]["id"]}


def test_another_organization_is_forbidden(client):
    assert above(client, f"organizations/{PRODUCTION}/licenses").status_code == 403


def test_identities_are_counted_on_every_day_to_the_day_of_the_end(client):
    answer = client.get(
        "totalIdentities", filter='startDate eq "2026-10-01T00:00:00Z" and endDate eq "2026-11-01T00:00:00Z"'
    ).json()
    days = [datetime.fromisoformat(item["date"]) for item in records(answer)]
    values = [item["totalIdentities"] for item in records(answer)]
    assert days == [days[0] + timedelta(days=n) for n in range(32)]
    assert values == sorted(values)
    assert answer["count"] == len(listed("users")) > values[0]


@pytest.mark.parametrize("text", ["", 'startDate eq "2026-10-01T00:00:00Z"'])
def test_identities_are_counted_between_two_days_only(client, text):
    assert client.get("totalIdentities", **({"filter": text} if text else {})).status_code == 400


def test_a_worker_application_reads_what_its_roles_allow():
    with simulated(Settings(roles=("Identity Data Read Only",))) as client:
        assert client.get("users").status_code == 200
        assert client.get("applications").status_code == 403
        assert above(client, f"{ORGANIZATION}/licenses").status_code == 200


# --- collections of each record -------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["users", "groups", "applications", "gateways"])
def test_each_holder_has_its_own_roles(client, endpoint):
    schema = next(
        kind.item
        for kind in CATALOGUE.values()
        if kind.path.endswith(f"/{endpoint}/{{each}}/roleAssignments")
    )
    roles = {}
    for holder in listed(endpoint)[:30]:
        answer = client.get(f"{endpoint}/{holder['id']}/roleAssignments").json()
        roles[holder["id"]] = {record["role"]["id"] for record in records(answer)}
        for record in records(answer):
            assert set(schema["required"]) - set(record) <= {"user", "group", "application", "gateway"}
            assert record["_links"]["self"]["href"].startswith("https://api.pingone.example/v1/")
    assert any(roles.values())
    assert not all(roles.values())


def test_the_grants_of_the_log_are_there():
    """Who was made an administrator of the organization in the log, is one."""
    granted = {
        event["resources"][0]["id"]
        for event in EVENTS
        if event["id"] in WORLD.facts.organization_admin_grants
    }
    organization_admins = {
        user["id"]
        for user in listed("users")
        for assignment in listed("users/{each}/roleAssignments", each=user["id"])
        if assignment["scope"] == {"type": "ORGANIZATION", "id": WORLD.organization_id}
    }
    assert organization_admins == granted != set()


@pytest.mark.parametrize("endpoint", ["users", "groups", "applications", "gateways", "signOnPolicies"])
def test_nobody_has_nothing(client, endpoint):
    below = "actions" if endpoint == "signOnPolicies" else "roleAssignments"
    assert client.get(f"{endpoint}/{PRODUCTION}/{below}").status_code == 404
    assert client.get(f"{endpoint}/{below}").status_code == 404


def test_a_licence_counts_identities_from_its_first_day_to_now(client):
    ended, active = sorted(
        records(above(client, f"{ORGANIZATION}/licenses").json()),
        key=lambda found: found["status"] == "ACTIVE",
    )
    counts = f"{ORGANIZATION}/licenses/{active['id']}/metrics/activeIdentityCounts"
    months = records(above(client, counts, aggregatedBy="calendarMonth").json())
    years = records(above(client, counts, aggregatedBy="licenseYear").json())
    assert months[0]["startDate"] == years[0]["startDate"] == active["beginsAt"]
    assert [len(months), len(years)] == [25, 3]
    assert instant(months[-1]["endDate"]) == NOW
    assert max(month["value"] for month in months[:12]) <= years[0]["value"]
    surge = next(month for month in months if month["startDate"].startswith(WORLD.facts.surge_month))
    assert surge["value"] == max(month["value"] for month in months)
    ended_counts = f"{ORGANIZATION}/licenses/{ended['id']}/metrics/activeIdentityCounts"
    assert records(above(client, ended_counts, aggregatedBy="calendarMonth").json()) == []


@pytest.mark.parametrize(
    ("given", "code"), [({}, "REQUIRED_VALUE"), ({"aggregatedBy": "day"}, "INVALID_VALUE")]
)
def test_a_licence_must_be_asked_how_to_count(client, given, code):
    (active, _) = records(above(client, f"{ORGANIZATION}/licenses").json())
    answer = above(client, f"{ORGANIZATION}/licenses/{active['id']}/metrics/activeIdentityCounts", **given)
    assert (answer.status_code, answer.json()["details"][0]["code"]) == (400, code)


def test_a_large_tenant_is_listed_whole():
    """A user for every ten events; the last page is the one that is not full."""
    with simulated(world=World.generate(5, 60_000, NOW)) as client:
        pages = client.walk("users", limit=1000)
    identifiers = [user["id"] for page in pages for user in records(page)]
    assert len(identifiers) == len(set(identifiers)) == pages[0]["count"] == 6_006
    assert [page["size"] for page in pages] == [200] * 30 + [6]
