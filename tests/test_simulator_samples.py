"""The simulator's answers beside the documentation's own samples, and captured events served as they are."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from auditor.simulator import World
from tests.support import SHARED, needs_shared
from tests.test_simulator import NOW, RANGE, WORLD, records, simulated

pytestmark = needs_shared


def sample(number: int) -> dict[str, Any]:
    """Return the answer in a page of the documentation: its last JSON object."""
    (path,) = (SHARED / "seeds").glob(f"{number:03}_*")
    text = path.read_text("utf-8")
    start = max(text.rfind('\n{"_links"'), text.rfind('\n{\n    "_links"'))
    answer: dict[str, Any] = json.JSONDecoder().raw_decode(text, start + 1)[0]
    return answer


def shape(value: Any) -> Any:
    """Return a value with types for scalars, and the union of its elements for an array of objects."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list) and all(isinstance(element, dict) for element in value):
        return [{key: inner for element in value for key, inner in shape(element).items()}]
    return type(value).__name__


def pattern(value: Any) -> Any:
    """Return a value with every digit and identifier made alike, for the form of instants and links."""
    if isinstance(value, dict):
        return {key: pattern(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [pattern(inner) for inner in value]
    if isinstance(value, int):
        return 0
    text = re.sub(r"^https?://[^/]+", "origin", str(value))
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "uuid", text)
    return re.sub(r"\d", "9", re.sub(r"cursor=[^&]+", "cursor=…", text))


def test_an_answer_of_activities_has_the_shape_of_the_sample():
    """All that the sample shows is there; it is older than `createdAt`, and its clients have no home."""
    with simulated() as client:
        text = f'{RANGE} and action.type eq "APPLICATION.DELETED"'
        ours = shape(client.get("activities", filter=text).json())
    theirs = shape(sample(4))
    assert set(ours) == set(theirs)
    (our_event,), (their_event,) = ours["_embedded"]["activities"], theirs["_embedded"]["activities"]
    assert set(their_event) <= set(our_event)
    for key in ("_links", "action", "resources", "result"):
        assert our_event[key] == their_event[key]
    assert their_event["actors"]["client"].items() <= our_event["actors"]["client"].items()


def test_an_answer_of_active_identity_counts_is_like_the_sample():
    """The same request, a page of ten periods of 24 hours, at the same moment."""
    now = datetime(2025, 11, 3, 16, 24, 24, 702863, tzinfo=UTC)
    with simulated(world=World.generate(1, 500, now), now=now) as client:
        text = 'startDate ge "2024-05-01T19:00:00Z" and samplingPeriod eq "24"'
        ours = client.get("activeIdentityCounts", filter=text, limit=10).json()
    theirs = sample(2)
    assert ours["count"] == theirs["count"] == 551
    assert ours["size"] == theirs["size"] == 10
    assert pattern(ours) == pattern(theirs)
    for our_item, their_item in zip(records(ours), records(theirs), strict=True):
        assert (our_item["startDate"], our_item["endDate"]) == (
            their_item["startDate"],
            their_item["endDate"],
        )
        our_link, their_link = (item["_links"]["activities"]["href"] for item in (our_item, their_item))
        assert urlsplit(our_link).query == urlsplit(their_link).query


def test_an_answer_of_the_metrics_endpoint_in_descending_order_is_like_the_sample():
    now = datetime(2020, 5, 17, 12, tzinfo=UTC)
    with simulated(world=World.generate(1, 500, now), now=now) as client:
        text = 'startDate ge "2020-05-01T19:00:00Z"'
        ours = client.get(
            "metrics/activeIdentityCounts", filter=text, limit=10, samplePeriod="DAY", order="-startDate"
        ).json()
    theirs = sample(3)
    assert ours["count"] == theirs["count"] == 17
    assert pattern(ours) == pattern(theirs)
    spans = [[(item["startDate"], item["endDate"]) for item in records(page)] for page in (ours, theirs)]
    assert spans[0] == spans[1]


def test_an_answer_of_user_activities_is_like_the_sample():
    """The same range, cut into the same whole days in the same offset, by the default size."""
    now = datetime(2022, 5, 24, tzinfo=UTC)
    theirs = sample(1)
    query = unquote(urlsplit(theirs["_links"]["self"]["href"]).query)
    with simulated(world=World.generate(1, 500, now), now=now) as client:
        ours = client.get("userActivities", filter=query.removeprefix("filter=")).json()
    assert pattern(ours) == pattern(theirs)
    spans = [[(item["startDate"], item["endDate"]) for item in records(page)] for page in (ours, theirs)]
    assert spans[0] == spans[1]


def captured() -> list[dict[str, Any]]:
    lines = (SHARED / "data" / "elastic_ping_one_audit_activities.ndjson").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_captured_events_are_served_as_they_are():
    """Identifiers repeat, two events are equal, one has the webhook's form: nothing is mended."""
    events = captured()
    now = max(datetime.fromisoformat(event["recordedAt"]) for event in events) + timedelta(hours=1)
    world = World.from_records(events, environment_id=WORLD.environment_id, now=now)
    found: list[dict[str, Any]] = []
    for fortnight in range(4):
        then = now - timedelta(days=14 * fortnight)
        since = then - timedelta(days=14)
        text = f'recordedAt gt "{since.isoformat()}" and recordedAt le "{then.isoformat()}"'
        with simulated(world=world, now=then) as client:
            found += [event for page in client.walk("activities", filter=text) for event in records(page)]
    key = json.dumps
    assert sorted(map(key, found)) == sorted(map(key, events))


def paths(value: Any, prefix: str = "") -> set[str]:
    """Return the dotted paths of all fields below a value."""
    if isinstance(value, list):
        return set().union(*(paths(element, prefix) for element in value))
    if not isinstance(value, dict):
        return {prefix}
    return {prefix}.union(*(paths(inner, f"{prefix}.{key}") for key, inner in value.items()))


def test_generated_events_have_the_fields_of_captured_ones_and_no_others():
    """Beside those that newer documentation has."""
    with simulated(world=World.generate(3, 3_000, NOW)) as client:
        pages = client.walk("activities", filter=RANGE, limit=500)
    newer = {
        ".internalCorrelation",
        ".internalCorrelation.transactionId",
        ".source",
        ".source.ipAddress",
        ".source.userAgent",
    }
    assert paths([record for page in pages for record in records(page)]) == paths(captured()) | newer
