"""The whole semantics in plain Python: what the stream must say, written so that a person can check it.

Events are dicts of the thirteen fields, a model is the JSON of its file. Nothing here comes from `model/`.
"""

from __future__ import annotations

import json
import math
import struct
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import xxhash
from numpy.polynomial.legendre import leggauss

TYPES = ("IM", "CL", "PS", "CN")
HOUR = 3_600_000
ORDER_GAP = 60_000
UNITS = {"ms": 1, "s": 1_000, "min": 60_000, "h": HOUR, "d": 24 * HOUR}
BODY = ("state", "segment", "publisher", "product", "quantity", "revenue")
"""The fields that are neither identity nor type nor campaign."""
SILENT = ""
"""The type of what features do not count."""
ANY = {"IM": "any impression", "CL": "any click", "PS": "any paid search"}

Event = dict[str, Any]
Key = tuple[str, int, str]


@dataclass(frozen=True)
class Row:
    """The final row of one event; `body` has of each field the greatest value, where senders disagreed.

    `best` is what to do next: an action's name, its gain and its net.
    """

    type: str
    campaign: str
    body: tuple[Any, ...]
    propensity: float
    seen: int
    model_id: str
    best: tuple[str, float, float] | None = None


def load(path: Path) -> dict[str, Any]:
    """A model file as it is."""
    model: dict[str, Any] = json.loads(path.read_text())
    return model


@cache
def milliseconds(duration: str) -> float:
    """A duration such as `30d` in ms."""
    digits = duration.rstrip("abcdefghijklmnopqrstuvwxyz")
    return float(digits) * UNITS[duration[len(digits) :].strip()]


def event_key(event_id: str) -> int:
    """XXH3-64 of an event id, as a signed number."""
    unsigned = xxhash.xxh3_64_intdigest(event_id.encode())
    return unsigned - 2**64 if unsigned >= 2**63 else unsigned


def key_of(event: Event) -> Key:
    """An event's identity."""
    return event["user_id"], event["timestamp"], event["event_id"]


def body_of(event: Event) -> tuple[Any, ...]:
    """What stores keep of an event beside its identity, type and campaign."""
    return tuple(event[name] for name in BODY)


def rank(event: Event) -> tuple[int, bytes]:
    """Of two events of one identity the one of the greater rank counts."""
    return TYPES.index(event["type"]), event["campaign"].encode()


def in_bytes(value: str | int | float) -> bytes:
    """A value as Cassandra keeps it: it orders values by these bytes."""
    if isinstance(value, str):
        return value.encode()
    return struct.pack(">i", value) if isinstance(value, int) else struct.pack(">d", value + 0.0)


def merged_body(rivals: Iterable[Event]) -> tuple[Any, ...]:
    """Of the events of one identity and type, each field's greatest value by itself."""
    return tuple(max(values, key=in_bytes) for values in zip(*map(body_of, rivals), strict=True))


def place(event: Event) -> tuple[int, int, int]:
    """Where an event stands in its user's sequence."""
    return event["timestamp"], TYPES.index(event["type"]), event_key(event["event_id"])


def part_of(sequence: list[Event], length: int = 1_000) -> list[tuple[str, int | None]]:
    """For each event of a user what it is to an order, and the place of the order's first conversion.

    `order` for that one itself, `item` for what else belongs to it, `refund`, and `repeat` for the id of an earlier
    item, or refund, among the newest L events before it; "" for what is no conversion. An order goes on while its
    conversions are less than a minute after the one before, and so do refunds. A refund is of the newest order that had
    begun by its time.
    """
    parts: list[tuple[str, int | None]] = []
    order: int | None = None
    last = {"sale": -math.inf, "refund": -math.inf}
    ids: dict[str, dict[str, int]] = {"sale": {}, "refund": {}}
    for place, event in enumerate(sequence):
        if event["type"] != "CN":
            parts.append(("", None))
            continue
        kind = "refund" if event["revenue"] < 0 else "sale"
        goes_on = event["timestamp"] - last[kind] < ORDER_GAP
        last[kind] = event["timestamp"]
        if not goes_on:
            ids[kind].clear()
        again = ids[kind].get(event["event_id"], -1) >= max(0, place - length)
        ids[kind][event["event_id"]] = place
        if kind == "sale" and not goes_on:
            order = place
            parts.append(("order", place))
        elif again:
            parts.append(("repeat", order if kind == "sale" else None))
        else:
            parts.append(("item" if kind == "sale" else "refund", order))
    begun = [place for place, (part, _) in enumerate(parts) if part == "order"]
    for place, (part, _) in enumerate(parts):
        if part == "refund":
            until = sequence[place]["timestamp"]
            parts[place] = part, max((at for at in begun if sequence[at]["timestamp"] <= until), default=None)
    return parts


def is_matching(event: Event, feature: dict[str, Any]) -> bool:
    """Whether a feature is about an event."""
    return feature.get("type") in (None, event["type"]) and feature.get("campaign") in (
        None,
        event["campaign"],
    )


def value(feature: dict[str, Any], newest: list[Event], time: int) -> float:
    """One feature at `time`, from the newest L events up to then, oldest first."""
    newest = counted(newest)
    times = [event["timestamp"] for event in newest if is_matching(event, feature)]
    match feature["aggregation"]:
        case "count":
            return math.log1p(sum(time - t <= milliseconds(feature["look_back"]) for t in times))
        case "decayed_count":
            half_life = milliseconds(feature["half_life"])
            return math.log1p(math.fsum(2.0 ** (-(time - t) / half_life) for t in times))
        case "recency":
            return math.log1p((time - times[-1]) / HOUR) if times else feature["never"]
        case "events_since":
            after = 0
            while after < len(newest) and not is_matching(newest[-1 - after], feature):
                after += 1
            return math.log1p(after)
        case "time_between":
            return math.log1p((times[-1] - times[-2]) / HOUR) if len(times) > 1 else feature["never"]
        case "distinct_campaigns":
            recent = [event for event in newest if time - event["timestamp"] <= milliseconds(feature["look_back"])]
            return math.log1p(len({event["campaign"] for event in recent if is_matching(event, feature)}))
    raise ValueError(feature["aggregation"])


def propensity_at(model: dict[str, Any], newest: list[Event], time: int) -> float:
    """The propensity at `time`, from the newest L events up to then, oldest first."""
    weighted = (feature["weight"] * value(feature, newest, time) for feature in model["features"])
    return 1 / (1 + math.exp(-(model["intercept"] + sum(weighted))))


def gain(model: dict[str, Any], newest: list[Event], time: int, action: dict[str, Any]) -> float:
    """By how much one more event at `time` raises the propensity; the oldest of L events stays for it."""
    more = {"timestamp": time, "type": action["type"], "campaign": action.get("campaign", "NA")}
    return propensity_at(model, [*newest, more], time) - propensity_at(model, newest, time)


def interval(model: dict[str, Any], newest: list[Event], time: int, action: dict[str, Any]) -> tuple[float, float]:
    """The gains of the bootstrap's vectors, without the smallest tenth and the greatest."""
    gains = []
    for vector in model["bootstrap"]:
        weighted = zip(model["features"], vector["weights"], strict=True)
        features = [{**feature, "weight": weight} for feature, weight in weighted]
        gains.append(gain({"intercept": vector["intercept"], "features": features}, newest, time, action))
    gains.sort()
    return gains[len(gains) // 10], gains[-1 - len(gains) // 10]


def is_capped(newest: list[Event], time: int, action: dict[str, Any]) -> bool:
    """Whether the user had as many of an action in the last 24 h as its cap says."""
    shown = [event for event in newest if is_matching(event, action) and time - event["timestamp"] <= 24 * HOUR]
    return "cap" in action and len(shown) >= action["cap"]


def known_actions(model: dict[str, Any], actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The actions as a model can tell them apart: those of a type of which no campaign has weight are one."""
    known: list[dict[str, Any]] = []
    vectors = [[f["weight"] for f in model["features"]], *(drawn["weights"] for drawn in model.get("bootstrap", ()))]
    telling = [f for place, f in enumerate(model["features"]) if any(vector[place] for vector in vectors)]
    for action in actions:
        kind = action["type"]
        alike = [each for each in actions if each["type"] == kind]
        if len(alike) == 1 or any(f.get("campaign") and f.get("type") in (None, kind) for f in telling):
            known.append(action)
        elif action is alike[0]:
            plain = [each["name"] for each in alike if "campaign" not in each]
            merged = {"name": plain[0] if plain else ANY[kind], "type": kind}
            merged |= {"cost": max(each["cost"] for each in alike)} if kind == "IM" else {}
            caps = [each["cap"] for each in alike if "cap" in each]
            known.append(merged | ({"cap": min(caps)} if caps else {}))
    return known


def best_action(
    model: dict[str, Any], actions: dict[str, Any], newest: list[Event], time: int
) -> tuple[str, float, float] | None:
    """The name, the gain and the net of what is worth its cost most, None where nothing is."""
    best: tuple[str, float, float] | None = None
    for action in known_actions(model, actions["actions"]):
        if action["type"] != "IM" or is_capped(newest, time, action):
            continue
        more = gain(model, newest, time, action)
        net = more * actions["value"] - action["cost"]
        certain = not model.get("bootstrap") or interval(model, newest, time, action)[0] > 0
        if certain and net > (best[2] if best else 0.0):
            best = action["name"], more, net
    return best


def is_held_out(user: str) -> bool:
    """Whether nothing may be tried on a user."""
    return xxhash.xxh3_64_intdigest(user.encode(), 20_170_615) % 10 == 0


def sequences(events: Iterable[Event]) -> dict[str, list[list[Event]]]:
    """Each user's distinct events in order; each as the list of its versions of the greatest type, greatest first.

    The first of each has its merged revenue, so that a conversion is a refund if any of its versions is; and under
    `silent` whether features do not count it, which are refunds and what is not the first of an order.
    """
    versions: dict[Key, list[Event]] = defaultdict(list)
    for event in events:
        versions[key_of(event)].append(event)
    users: dict[str, list[list[Event]]] = defaultdict(list)
    for (user, _, _), rivals in versions.items():
        rivals.sort(key=rank, reverse=True)
        users[user].append([event for event in rivals if event["type"] == rivals[0]["type"]])
    for sequence in users.values():
        sequence.sort(key=lambda winners: place(winners[0]))
        for winners in sequence:
            winners[0] = winners[0] | {"revenue": merged_body(winners)[-1]}
        for winners, (part, _) in zip(sequence, part_of([each[0] for each in sequence]), strict=True):
            winners[0]["silent"] = part not in ("", "order")
    return users


def counted(newest: list[Event]) -> list[Event]:
    """The events that features count."""
    return [event for event in newest if not event.get("silent")]


def model_at(model: dict[str, Any], later: Iterable[tuple[int, dict[str, Any]]], time: int) -> dict[str, Any]:
    """Of a first model and `later` ones, each with the time from which on it is valid, the newest at `time`."""
    valid = [(start, other) for start, other in later if start <= time]
    return max(valid, key=lambda each: each[0])[1] if valid else model


def final_rows(
    events: Iterable[Event],
    model: dict[str, Any],
    length: int = 1_000,
    later: Iterable[tuple[int, dict[str, Any]]] = (),
    actions: dict[str, Any] | None = None,
) -> dict[Key, Row]:
    """The rows that must be there in the end, as if every event had arrived once, in order.

    With `actions`, each user's last row says what to do next.
    """
    rows = {}
    for sequence in sequences(events).values():
        for seen, winners in enumerate(sequence, start=1):
            newest = [others[0] for others in sequence[max(0, seen - length) : seen]]
            event = winners[0]
            valid = model_at(model, later, event["timestamp"])
            rows[key_of(event)] = Row(
                type=event["type"],
                campaign=event["campaign"],
                body=merged_body(winners),
                propensity=propensity_at(valid, newest, event["timestamp"]),
                seen=seen,
                model_id=valid["id"],
                best=best_action(valid, actions, newest, event["timestamp"])
                if actions is not None and seen == len(sequence)
                else None,
            )
    return rows


@dataclass(frozen=True)
class Credit:
    """What a conversion is to its order, the time of the order, and the shares that it has."""

    part: str
    order_time: int
    shares: list[Share]


@dataclass(frozen=True)
class Share:
    """What a touch has of a conversion by the six rules; the baseline's has no type."""

    time: int
    event_id: str
    type: str
    campaign: str
    rules: tuple[float, ...]


NODES = [((1 + x) / 2, w / 2) for x, w in zip(*(each.tolist() for each in leggauss(120)), strict=True)]
"""Of an integral from 0 to 1."""


def parts(
    feature: dict[str, Any], newest: list[Event], touches: list[bool], time: int
) -> tuple[float, list[float]] | None:
    """What touches add to the sum whose logarithm a feature is, and others: (b, k of each); None where it is no sum."""
    matching = [is_matching(event, feature) and not event.get("silent") for event in newest]
    ages = [time - event["timestamp"] for event in newest]
    match feature["aggregation"]:
        case "count":
            window = milliseconds(feature["look_back"])
            terms = [float(own and age <= window) for own, age in zip(matching, ages, strict=True)]
        case "decayed_count":
            half_life = milliseconds(feature["half_life"])
            terms = [own * 2.0 ** (-age / half_life) for own, age in zip(matching, ages, strict=True)]
        case "distinct_campaigns":
            window, campaigns = milliseconds(feature["look_back"]), defaultdict[str, list[int]](list)
            for number, event in enumerate(newest):
                if matching[number] and ages[number] <= window:
                    campaigns[event["campaign"]].append(number)
            terms = [0.0] * len(newest)
            for numbers in campaigns.values():
                held = [number for number in numbers if not touches[number]][:1] or numbers
                for number in held:
                    terms[number] = 1 / len(held)
        case "events_since":
            last = max((number for number, own in enumerate(matching) if own), default=-1)
            if last >= 0 and touches[last]:
                return None
            terms = [float(number > last and not event.get("silent")) for number, event in enumerate(newest)]
        case _:
            return None
    pairs = list(zip(terms, touches, strict=True))
    return math.fsum(term for term, touch in pairs if not touch), [term * touch for term, touch in pairs]


def aumann_shapley(model: dict[str, Any], newest: list[Event], touches: list[bool], time: int) -> list[float]:
    """What each event before `time` has of the propensity then: phi, by the definition in `model/credit.py`."""
    others = [event for event, touch in zip(newest, touches, strict=True) if not touch]
    sums, lines, start, step = [], [], model["intercept"], 0.0
    for feature in model["features"]:
        weight = feature["weight"]
        found = parts(feature, newest, touches, time)
        if found is not None:
            sums.append((weight, found[0], math.fsum(found[1]), found[1]))
            continue
        without = value(feature, others, time)
        change = value(feature, newest, time) - without
        start, step = start + weight * without, step + weight * change
        if change:
            setter = max(n for n, event in enumerate(newest) if touches[n] and is_matching(event, feature))
            lines.append((setter, weight * change))
    paces, line_pace = [0.0] * len(sums), 0.0
    for node, count in NODES:
        alpha, density = node**4, 4 * node**3 * count  # steep where little has faded in
        logit = start + alpha * step + sum(weight * math.log1p(b + alpha * d) for weight, b, d, _ in sums)
        slope = density / (2 + math.exp(logit) + math.exp(-logit))
        line_pace += slope
        for number, (weight, b, d, _) in enumerate(sums):
            paces[number] += slope * weight / (1 + b + alpha * d)
    phi = [
        sum(pace * terms[number] for pace, (*_, terms) in zip(paces, sums, strict=True))
        for number in range(len(newest))
    ]
    for setter, change in lines:
        phi[setter] += line_pace * change
    return phi


def final_credits(
    events: Iterable[Event],
    model: dict[str, Any],
    length: int = 1_000,
    later: Iterable[tuple[int, dict[str, Any]]] = (),
    look_back: int = 30 * 24 * HOUR,
) -> dict[Key, Credit]:
    """What must be credited in the end, conversion by conversion: the touches in order, then the baseline.

    Items and refunds have the touches of their order, as far as they are among the newest L events before them.
    """
    credits = {}
    for sequence in sequences(events).values():
        winners = [others[0] for others in sequence]
        for place, (part, order) in enumerate(part_of(winners, length)):
            if not part:
                continue
            low, time = max(0, place - length), winners[place]["timestamp"]
            if part == "repeat" or order is None or order < low:
                shares = [Share(0, "", "", "", (1.0,) * 6)]
            else:
                time = winners[order]["timestamp"]
                shares = _shares(model_at(model, later, time), winners[low:order], time, look_back)
            credits[key_of(winners[place])] = Credit(part, time, shares)
    return credits


def _shares(model: dict[str, Any], newest: list[Event], time: int, look_back: int) -> list[Share]:
    touches = [event["type"] != "CN" and time - event["timestamp"] <= look_back for event in newest]
    if "attribution" in model:
        vector = model["attribution"]
        pairs = zip(model["features"], vector["weights"], strict=True)
        model = {"intercept": vector["intercept"], "features": [feature | {"weight": w} for feature, w in pairs]}
    whole = propensity_at(model, newest, time)
    phi = aumann_shapley(model, newest, touches, time)
    chosen = [number for number, touch in enumerate(touches) if touch]
    n = len(chosen)
    fading = [2.0 ** ((newest[number]["timestamp"] - time) / milliseconds("7d")) for number in chosen]
    middle = [0.5 if n == 2 else 1.0] * n if n < 3 else [0.4] + [0.2 / (n - 2)] * (n - 2) + [0.4]
    shares = []
    for rank, number in enumerate(chosen):
        event, rest = newest[number], (float(rank == n - 1), float(rank == 0), 1 / n, fading[rank] / sum(fading))
        rules = (phi[number] / whole, *rest, middle[rank])
        shares.append(Share(event["timestamp"], event["event_id"], event["type"], event["campaign"], rules))
    left = 0.0 if n else 1.0
    rules = (1 - math.fsum(share.rules[0] for share in shares), left, left, left, left, left)
    return [*shares, Share(0, "", "", "", rules)]


class PlainScorer:
    """Scores events that come in order and once: a dict of users, and walks back over a user's events."""

    def __init__(self, model: dict[str, Any], length: int = 1_000) -> None:
        self._features = [
            (
                feature["aggregation"],
                feature.get("type"),
                feature.get("campaign"),
                milliseconds(feature.get("look_back") or feature.get("half_life") or "0ms"),
                feature.get("never", 0.0),
                feature["weight"],
            )
            for feature in model["features"]
        ]
        self._intercept = model["intercept"]
        self._users: dict[str, deque[tuple[int, str, str]]] = defaultdict(lambda: deque(maxlen=length))
        self._bought: dict[str, int] = {}

    def score(self, event: Event) -> float:
        """The propensity right after the user's newest event."""
        history = self._users[event["user_id"]]
        kind = event["type"]
        if kind == "CN":
            refund = event["revenue"] < 0
            last = self._bought.get(event["user_id"], -ORDER_GAP)
            if not refund:
                self._bought[event["user_id"]] = event["timestamp"]
            if refund or event["timestamp"] - last < ORDER_GAP:
                kind = SILENT
        history.append((event["timestamp"], kind, event["campaign"]))
        logit: float = self._intercept
        for aggregation, kind, campaign, scale, never, weight in self._features:
            logit += weight * self._value(history, aggregation, kind, campaign, scale, never)
        return 1 / (1 + math.exp(-logit))

    @staticmethod
    def _value(
        history: deque[tuple[int, str, str]],
        aggregation: str,
        kind: str | None,
        campaign: str | None,
        scale: float,
        never: float,
    ) -> float:
        now = history[-1][0]
        if aggregation == "distinct_campaigns":
            recent = [event for event in history if now - event[0] <= scale and event[1] != SILENT]
            return math.log1p(len({each for _, of, each in recent if kind in (None, of) and campaign in (None, each)}))
        total, last, silent = 0.0, None, 0
        for after, (time, event_type, event_campaign) in enumerate(reversed(history)):
            age = now - time
            if aggregation == "count" and age > scale:
                break
            if event_type == SILENT:
                silent += 1
                continue
            if kind not in (None, event_type) or campaign not in (None, event_campaign):
                continue
            if aggregation == "count":
                total += 1
            elif aggregation == "decayed_count":
                total += 2.0 ** (-age / scale)
            elif aggregation == "recency":
                return math.log1p(age / HOUR)
            elif aggregation == "events_since":
                return math.log1p(after - silent)
            elif last is None:
                last = time
            else:
                return math.log1p((last - time) / HOUR)
        if aggregation == "events_since":
            return math.log1p(len(history) - silent)
        return math.log1p(total) if aggregation in ("count", "decayed_count") else never
