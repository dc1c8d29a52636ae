"""The simulated tenant: the same from the same seed, plausible, and true to what it says of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import perf_counter
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.simulator import Environment, World
from auditor.simulator.rhythm import to_ms
from tests.support import examples
from tests.test_simulator import CATALOGUE, NOW, WORLD

PRODUCTION = WORLD.environments[0]
MONTH_STARTS = [datetime(2024 + (10 + n) // 12, (10 + n) % 12 + 1, 1, tzinfo=UTC) for n in range(25)]


def events(world: World, days: float = 31) -> list[Mapping[str, Any]]:
    low, high = to_ms(world.now - timedelta(days=days)), to_ms(world.now)
    return [entry.record for entry in world.environments[0].events(low, high)]


EVENTS = events(WORLD)
HOT = events(WORLD, 14)
BY_ID = {event["id"]: event for event in EVENTS}


def client_of(event: Mapping[str, Any]) -> str | None:
    client: str | None = event.get("actors", {}).get("client", {}).get("id")
    return client


# --- events ---------------------------------------------------------------------------------------------


def test_the_same_arguments_give_the_same_tenant_to_the_byte():
    one, other = (World.generate(11, 3_000, NOW) for _ in range(2))
    assert json.dumps(events(one)) == json.dumps(events(other))
    assert one.facts == other.facts


def test_another_process_gives_the_same_tenant():
    """Whatever the order of its sets."""
    script = (
        "import json; from datetime import *; from auditor.simulator import World;"
        "from dataclasses import asdict;"
        "w = World.generate(11, 300, datetime(2026, 11, 21, 10, 30, tzinfo=UTC));"
        "print(json.dumps([[e.record for e in w.environments[0].events(0, 2**50)], asdict(w.facts)]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "17"}
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    world = World.generate(11, 300, NOW)
    assert json.loads(printed) == json.loads(json.dumps([events(world), asdict(world.facts)]))


def test_another_seed_gives_another_tenant():
    one, other = World.generate(11, 300, NOW), World.generate(12, 300, NOW)
    assert one.environment_id != other.environment_id
    assert not {event["id"] for event in events(one)} & {event["id"] for event in events(other)}


def test_a_larger_log_begins_with_the_events_of_a_smaller_one():
    """They have the same identifiers and types, at other instants."""

    def generated(world: World) -> list[tuple[str, str]]:
        entries = world.environments[0].events(0, to_ms(NOW))
        return [(e.record["id"], e.record["action"]["type"]) for e in entries if e.serial >= 0]

    small, large = (generated(World.generate(11, events, NOW)) for events in (2_000, 6_000))
    assert small == large[: len(small)]
    assert len(small) > 1_900


@pytest.mark.parametrize("number", [0, 1, 13, 100, 5_000])
def test_a_tenant_has_as_many_events_as_were_asked_for(number: int):
    world = World.generate(7, number, NOW)
    assert len(events(world)) == world.facts.events == number


def test_events_come_newest_first_over_the_thirty_days_before_now():
    instants = [datetime.fromisoformat(event["recordedAt"]) for event in EVENTS]
    assert instants == sorted(instants, reverse=True)
    assert NOW - timedelta(days=30) <= instants[-1] < NOW - timedelta(days=29)
    assert NOW - timedelta(hours=8) < instants[0] < NOW


@given(
    st.integers(0, 31 * 86_400_000),
    st.integers(0, 31 * 86_400_000),
    st.sampled_from([None, frozenset({"USER.CREATED", "APPLICATION.DELETED"}), frozenset({"NO.SUCH"})]),
)
@settings(max_examples=examples(60), deadline=None)
def test_any_range_finds_what_a_look_at_every_event_finds(
    one: int, other: int, actions: frozenset[str] | None
):
    low, high = sorted((to_ms(NOW) - one, to_ms(NOW) - other))
    expected = [
        event["id"]
        for event in EVENTS
        if low <= to_ms(datetime.fromisoformat(event["recordedAt"])) <= high
        and (actions is None or event["action"]["type"] in actions)
    ]
    assert [entry.record["id"] for entry in PRODUCTION.events(low, high, actions)] == expected


@pytest.mark.slow
def test_every_event_satisfies_the_schema_of_its_descriptor():
    validator = jsonschema.Draft202012Validator(CATALOGUE["activities"].item)
    assert [error for event in EVENTS for error in validator.iter_errors(event)] == []


def test_types_of_events_are_known_ones():
    rules = CATALOGUE["activities"].filter
    assert rules is not None
    assert {event["action"]["type"] for event in EVENTS} <= set(rules.attributes["action.type"].values)


def test_a_few_types_make_most_of_the_log():
    counts = Counter(event["action"]["type"] for event in EVENTS).most_common()
    assert len(counts) > 25
    assert sum(count for _, count in counts[:6]) > 0.6 * len(EVENTS)


def test_a_failed_password_check_is_a_success_without_actors():
    """As in every captured event of the kind."""
    failed = [event for event in EVENTS if event["action"]["type"] == "PASSWORD.CHECK_FAILED"]
    assert failed
    assert {event["result"]["status"] for event in failed} == {"SUCCESS"}
    assert not any("actors" in event for event in failed)


def test_an_event_is_created_a_little_after_it_is_recorded():
    lags = [
        datetime.fromisoformat(event["createdAt"]) - datetime.fromisoformat(event["recordedAt"])
        for event in EVENTS
        if "createdAt" in event
    ]
    assert timedelta(milliseconds=13) <= min(lags) <= max(lags) <= timedelta(milliseconds=490)


def test_work_is_done_on_working_days():
    per_day = Counter(datetime.fromisoformat(event["recordedAt"]).weekday() for event in EVENTS)
    assert min(per_day[day] for day in range(5)) > max(per_day[5], per_day[6])


def test_names_are_of_many_scripts_and_some_are_hostile():
    names = {user["name"] for event in EVENTS if (user := event.get("actors", {}).get("user"))}
    assert any("\x1b" in name for name in names)
    assert any("<script>" in name for name in names)
    assert any(name.startswith("=") for name in names)
    assert any(ord(letter) > 0x2FFF for name in names for letter in name)


@pytest.mark.slow
def test_a_million_events_are_there_at_once_and_found_quickly():
    """What is asked for is made; the rest is only counted along."""
    began = perf_counter()
    world = World.generate(7, 1_000_000, NOW)
    assert perf_counter() - began < 2
    hot = world.environments[0].events(
        to_ms(NOW - timedelta(days=14)), to_ms(NOW), frozenset({"APPLICATION.DELETED"})
    )
    found = {entry.record["id"] for entry in hot}
    assert len(found) == len(WORLD.facts.deletions_by_admin_clients) + 4
    assert perf_counter() - began < 10


@pytest.mark.slow
def test_two_hundred_thousand_events_are_read_quickly():
    world = World.generate(7, 200_000, NOW)
    began = perf_counter()
    entries = world.environments[0].events(0, to_ms(NOW))
    assert sum(1 for _, entry in zip(range(50_000), entries, strict=False) if entry.record["id"]) == 50_000
    assert perf_counter() - began < 10


@pytest.mark.parametrize("arguments", [(7, -1, NOW), (7, 10, NOW.replace(tzinfo=None))])
def test_a_tenant_that_can_not_be_is_refused(arguments: tuple[int, int, datetime]):
    with pytest.raises(ValueError, match=r"log|offset"):
        World.generate(*arguments)


# --- facts ----------------------------------------------------------------------------------------------


def test_facts_are_json():
    facts = asdict(WORLD.facts)
    assert json.loads(json.dumps(facts))["events"] == 5_000


def test_facts_count_the_hot_span_by_type():
    assert WORLD.facts.hot_actions == Counter(event["action"]["type"] for event in HOT)
    assert WORLD.facts.hot_events == len(HOT)


def test_facts_tell_who_deleted_which_application():
    facts = WORLD.facts
    deletions = {
        event["id"]: client_of(event) for event in HOT if event["action"]["type"] == "APPLICATION.DELETED"
    }
    assert {i for i, c in deletions.items() if c in facts.admin_client_ids} == set(
        facts.deletions_by_admin_clients
    )
    assert {i for i, c in deletions.items() if c in facts.other_client_ids} == set(
        facts.deletions_by_other_clients
    )
    assert {i for i, c in deletions.items() if c is None} == set(facts.deletions_without_client)
    assert (
        len(facts.deletions_by_admin_clients),
        len(facts.deletions_by_other_clients),
        len(facts.deletions_without_client),
    ) == (8, 3, 1)


def test_facts_tell_which_deletions_are_older_than_the_hot_span():
    aged = {e["id"] for e in EVENTS if e["action"]["type"] == "APPLICATION.DELETED"} - {e["id"] for e in HOT}
    assert aged == set(WORLD.facts.deletions_aged_out)
    assert len(aged) == 2


def test_an_admin_client_has_a_word_or_a_uuid_for_an_identifier():
    assert WORLD.facts.admin_client_ids[0] == "adminui"
    assert all(len(client) == 36 for client in WORLD.facts.admin_client_ids[1:])


def test_facts_tell_who_was_made_an_organization_admin():
    """Decidable by the identifier of the role in the description, which is the same in every tenant."""
    role = "1813bc13-8d13-4e88-a825-d40bfe82777b"
    granted = {event["id"] for event in EVENTS if role in event["result"]["description"]}
    assert granted == set(WORLD.facts.organization_admin_grants)
    to_themselves = {i for i in granted if BY_ID[i]["actors"]["user"]["id"] == BY_ID[i]["resources"][0]["id"]}
    assert to_themselves == set(WORLD.facts.self_grants)
    assert len(granted) == 2


def test_facts_tell_whose_password_was_tried_sixty_times_in_ten_minutes():
    tries = [
        datetime.fromisoformat(event["recordedAt"])
        for event in HOT
        if event["action"]["type"] == "PASSWORD.CHECK_FAILED"
        and event["resources"][0]["id"] == WORLD.facts.sprayed_user_id
    ]
    densest = max(sum(start <= at < start + timedelta(minutes=10) for at in tries) for start in tries)
    assert densest >= 60


def test_facts_name_an_event_of_every_odd_shape():
    odd = {name: BY_ID[event_id] for name, event_id in WORLD.facts.oddities.items()}
    assert not {"createdAt", "correlationId", "_links"} & set(odd["webhook_form"])
    assert odd["webhook_form"]["_embedded"] == {}
    assert "resources" not in odd["without_resources"]
    assert "createdAt" not in odd["without_created_at"]
    assert len(odd["second_resource"]["resources"]) == 2
    assert odd["empty_population"]["actors"]["user"]["population"] == {}


def test_a_small_tenant_has_as_much_planted_as_it_has_room_for():
    facts = World.generate(7, 4, NOW).facts
    assert len(facts.deletions_by_other_clients + facts.deletions_without_client) == 4
    assert facts.organization_admin_grants == ()


# --- counts ---------------------------------------------------------------------------------------------

instants = st.datetimes(
    datetime(2024, 6, 1), datetime(2026, 12, 31), timezones=st.just(UTC)  # noqa: DTZ001  # given a zone
)  # fmt: skip


@given(st.lists(instants, min_size=4, max_size=4).map(sorted))
@settings(max_examples=examples(200), deadline=None)
def test_a_longer_period_never_has_fewer_active_identities(edges: list[datetime]):
    first, second, third, last = edges
    inner = PRODUCTION.active_identities(second, third)
    assert PRODUCTION.active_identities(first, last) >= inner >= 0


@given(st.lists(instants, min_size=3, max_size=3).map(sorted))
@settings(max_examples=examples(200), deadline=None)
def test_sign_ons_of_two_periods_side_by_side_add_up(edges: list[datetime]):
    first, middle, last = edges
    parts = (PRODUCTION.sign_ons(first, middle), PRODUCTION.sign_ons(middle, last))
    whole = PRODUCTION.sign_ons(first, last)
    assert parts[0].successes + parts[1].successes == whole.successes
    assert parts[0].failures + parts[1].failures == whole.failures
    assert parts[0].resets + parts[1].resets == whole.resets


def test_active_identities_are_the_users_behind_the_events_of_the_log():
    for days in (1, 7, 20):
        start = NOW - timedelta(days=days)
        users = {
            event["resources"][0]["id"]
            for event in EVENTS
            if event["action"]["type"] in {"SESSION.CREATED", "SESSION.UPDATED", "PASSWORD.CHECK_SUCCEEDED"}
            and datetime.fromisoformat(event["recordedAt"]) >= start
        }
        assert PRODUCTION.active_identities(start, NOW) == len(users)


def monthly(environment: Environment) -> list[int]:
    return [environment.active_identities(*span) for span in pairwise(MONTH_STARTS)]


def test_active_identities_grow_slowly_but_for_one_month():
    counts = dict(zip((f"{start:%Y-%m}" for start in MONTH_STARTS), monthly(PRODUCTION), strict=False))
    surge = WORLD.facts.surge_month
    assert surge == "2026-06"
    assert counts[surge] > 1.1 * counts["2026-05"]
    assert counts[surge] > counts["2026-07"]
    assert counts["2025-01"] < counts["2025-12"] < counts["2026-10"]


def test_numbers_before_the_log_and_within_it_are_of_one_size():
    edge = NOW - timedelta(days=30)
    before, within = (
        PRODUCTION.sign_ons(edge - timedelta(days=14), edge),
        PRODUCTION.sign_ons(edge, edge + timedelta(days=14)),
    )
    assert 0.6 < before.successes / within.successes < 1.4
    assert 0.5 < before.failures / within.failures < 1.6


def test_nobody_was_active_before_the_environment_was_made():
    start, end = datetime(2020, 1, 1, tzinfo=UTC), NOW - timedelta(days=740)
    assert PRODUCTION.active_identities(start, end) == 0
    assert PRODUCTION.sign_ons(start, end).successes == 0


def test_the_sandbox_is_a_smaller_environment_of_its_own():
    sandbox = WORLD.environments[1]
    assert (PRODUCTION.type, sandbox.type) == ("PRODUCTION", "SANDBOX")
    assert monthly(sandbox)[-2] < monthly(PRODUCTION)[-2]
    low, high = to_ms(NOW - timedelta(days=31)), to_ms(NOW)
    assert len(list(sandbox.events(low, high))) == 500
    assert not {entry.record["id"] for entry in sandbox.events(low, high)} & set(BY_ID)


# --- given records --------------------------------------------------------------------------------------


def record(**fields: Any) -> dict[str, Any]:
    return {
        "id": "e1",
        "recordedAt": "2026-11-20T10:00:00.000Z",
        "action": {"type": "SESSION.CREATED"},
        **fields,
    }


def given_world(*records: dict[str, Any]) -> World:
    return World.from_records(records, environment_id="11111111-1111-4111-8111-111111111111", now=NOW)


def test_given_records_are_sorted_and_otherwise_left_alone():
    first = record(recordedAt="2026-11-19T10:00:00Z", strange=[1, None])
    second, third = record(), record()
    assert events(given_world(first, second, third)) == [second, third, first]


def test_counts_of_given_records_are_those_of_their_users():
    by_actor = record(actors={"user": {"id": "u1"}})
    by_resource = record(resources=[{"type": "APPLICATION", "id": "a"}, {"type": "USER", "id": "u2"}])
    odd = [
        record(),
        record(actors=None, resources=None),
        record(actors="x", resources=["y"]),
        record(action=17),
    ]
    world = given_world(by_actor, by_actor, by_resource, *odd)
    assert world.environments[0].active_identities(NOW - timedelta(days=3), NOW) == 2
    assert world.facts.hot_active_identities == 2
    assert world.facts.admin_client_ids == ()


@pytest.mark.parametrize("instant", [None, 17, "yesterday", "2026-02-31T00:00:00Z"])
def test_a_record_that_no_range_could_hold_is_refused(instant: Any):
    with pytest.raises(ValueError, match="record 1 has no instant"):
        given_world(record(), record(recordedAt=instant))
