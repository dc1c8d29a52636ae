"""What one expression costs on one event, beside `jmespath.compile(e).search` (goal: at least 15 times as fast).

Twelve expressions as policies have them, on synthetic events. Closures, generated source and streams are timed in
turn with jmespath; every result is compared first.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

import jmespath

from auditor import jmes
from benchmarks.corpus import MISSING, Corpus, is_available
from benchmarks.measure import functions

EVENTS = 300
"""So few stay in the processor's cache, as an event does that is evaluated right after it was decoded."""

STREAMS = (
    "length([?result.status == 'FAILED'])",
    "count_by([?result.status == 'FAILED' && actors.user.id], &actors.user.id)[?count > `5`]",
    "max_by(@, &recordedAt).id",
    "[?action.type == 'USER.CREATED'] | {n: length(@), first: [:20].id}",
    "rate_max([?action.type == 'PASSWORD.CHECK_FAILED' && actors.user], &actors.user.id, &recordedAt, '10m')",
)


Seconds = dict[str, list[float]]
"""For each way, the seconds of one evaluation, round by round."""


def expressions(events: Sequence[dict[str, Any]]) -> list[str]:
    """Return the twelve, about clients and populations that there are."""
    clients = json.dumps(list(dict.fromkeys(event["actors"]["client"]["id"] for event in events))[:5])
    population = next(
        resource["population"]["id"]
        for event in events
        for resource in event.get("resources", ())
        if "population" in resource
    )
    is_client, has_tag = (
        f"contains(`{clients}`, actors.client.id)",
        "contains(not_null(tags, `[]`), 'adminIdentityEvent')",
    )
    several = "length(not_null(resources, `[]`)) >= `2`"
    return [
        "action.type == 'APPLICATION.DELETED'",
        f"action.type == 'USER.ACCESS_ALLOWED' && !{is_client}",
        "result.status == 'FAILED'",
        "actors.client.environment.id",
        "starts_with(action.type, 'APPLICATION.')",
        "resources[].population.id",
        f"resources[?population.id == '{population}']",
        several,
        has_tag,
        "sort_by(not_null(resources, `[]`), &type)[0].id",
        "{who: actors.user.id, what: action.type, at: recordedAt}",
        f"result.status == 'FAILED' && starts_with(action.type, 'USER.') && !{is_client} && {has_tag} && {several}",
    ]


def single(text: str, events: Sequence[dict[str, Any]], rounds: int) -> Seconds:
    """Time one expression in every way, after making sure that all find the same."""
    node, missing = jmes.parse(text), jmes.Missing(select=False)
    theirs, slow, quick = jmespath.compile(text), jmes.compile(node), jmes.compile(node, generated=True)
    for event in events:
        decided = quick.decide(event, missing)
        expected = theirs.search(event)
        ensure(slow.search(event) == expected and quick.search(event) == expected, text)
        ensure(isinstance(decided, jmes.Undecided) or bool(missing.found) or decided == expected, text)
    decide = quick.decide
    ways: dict[str, tuple[int, Callable[[Any], Any]]] = {
        "jmespath": (1, theirs.search),
        "closures": (5, slow.search),
        "search": (20, quick.search),
        "decide": (20, lambda event: decide(event, missing)),
    }
    calls = {name: partial(_loop, times, way, events) for name, (times, way) in ways.items()}
    seconds = functions(calls, rounds)
    return {
        name: [value / ways[name][0] / len(events) for value in values] for name, values in seconds.items()
    }


def gain(seconds: Seconds, way: str) -> float:
    """Return how many times as fast as jmespath a way is: the median of the ratios within each round."""
    return statistics.median(
        [theirs / ours for theirs, ours in zip(seconds["jmespath"], seconds[way], strict=True)]
    )


def _loop(times: int, evaluate: Callable[[Any], Any], events: Sequence[Any]) -> None:
    for _ in range(times):
        for event in events:
            evaluate(event)


def ensure(condition: bool, text: str) -> None:  # noqa: FBT001  # called in this module alone
    """Stop where two engines disagree: a quick wrong answer is no result."""
    if not condition:
        raise SystemExit(f"the engines disagree on {text}")


def streaming(text: str, events: Sequence[dict[str, Any]], rounds: int) -> tuple[float, float]:
    """Return nanoseconds an event: streamed in two parts that are merged, and on the whole list."""
    node = jmes.parse(text)
    reducer, expression = jmes.stream(node), jmes.compile(node, generated=True)
    keyed = [((event["recordedAt"], event["id"]), event) for event in events]
    ordered = [event for _, event in sorted(keyed, key=lambda entry: entry[0])]

    def streamed() -> Any:
        states = [reducer.initial(), reducer.initial()]
        for number, (key, event) in enumerate(keyed):
            reducer.step(states[number % 2], key, event)
        return reducer.finish(reducer.merge(*states)).result

    def whole() -> Any:
        return expression.decide(ordered, jmes.Missing(select=False))

    ensure(streamed() == whole(), text)
    seconds = functions({"streamed": streamed, "whole": whole}, rounds)
    return tuple(statistics.median(seconds[name]) / len(events) * 1e9 for name in ("streamed", "whole"))  # type: ignore[return-value]


def compiling(texts: Sequence[str], rounds: int) -> dict[str, float]:
    """Return microseconds an expression to parse it, to make closures and to make source, of 100 of each shape."""
    nodes = [
        jmes.parse(text.replace("APPLICATION.", f"APPLICATION{number}."))
        for text in texts
        for number in range(100)
    ]

    numbers = count()  # parsed expressions are remembered by their text

    def make(*, generated: bool) -> None:
        for node in nodes:
            _ = jmes.compile(node, generated=generated).decide

    seconds = functions(
        {
            "parse": lambda: [
                jmes.parse(f"{text} || `{next(numbers)}`") for text in texts for _ in range(100)
            ],
            "closures": partial(make, generated=False),
            "generated source": partial(make, generated=True),
        },
        rounds,
    )
    return {name: statistics.median(values) / len(nodes) * 1e6 for name, values in seconds.items()}


def shortened(text: str) -> str:
    """Return a text that fits its column."""
    return text if len(text) <= 58 else f"{text[:57]}…"


def run(*, full: bool) -> None:
    """Print the tables."""
    if not is_available():
        print(MISSING)
        return
    rounds = 51 if full else 21
    with Corpus(20_000 if full else 2_000).lines.open("rb") as lines:
        events = [json.loads(line) for line in lines]
    complete = [event for event in events if "resources" in event]  # jmespath raises on others
    few = complete[:EVENTS]
    print(f"{'ns an event':60}  jmespath  closures    search    decide x closures   x search   x decide")
    gains: list[list[float]] = []
    for text in expressions(few):
        seconds = single(text, few, rounds)
        gains.append([gain(seconds, way) for way in ("closures", "search", "decide")])
        print(
            f"{shortened(text):60}",
            *(f"{statistics.median(values) * 1e9:9,.0f}" for values in seconds.values()),
            *(f"{each:10.1f}" for each in gains[-1]),
        )
    for title, mean in (("geometric mean", statistics.geometric_mean), ("median", statistics.median)):
        print(f"{title:60}", " " * 39, *(f"{mean(column):10.1f}" for column in zip(*gains, strict=True)))

    print(f"\n{'ns an event, a list of ' + format(len(events), ','):60} streamed     whole")
    for text in STREAMS:
        streamed, whole = streaming(text, events, rounds)
        print(f"{shortened(text):60} {streamed:8,.0f} {whole:9,.0f}")

    print("\nmicroseconds to compile one expression")
    for name, microseconds in compiling(expressions(few), rounds).items():
        print(f"{name:60} {microseconds:8,.0f}")


if __name__ == "__main__":
    run(full="--full" in sys.argv)
