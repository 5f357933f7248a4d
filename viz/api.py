"""The HTTP API: `panel serve viz/app.py --plugins viz.api` serves it beside the page.

`GET /api/users/{user_id}/propensity?from=&to=` answers with a user's events and their curve, and with what to do now.
`GET /api/users/{user_id}/explanation?at=` answers with what their propensity is made of at that time.
`GET /api/credit?from=&to=` answers with what campaigns and types of touches are credited with, by UTC day.
`GET /api/grades` answers with how the models' scores did, of all days and of each.
`GET /api/health` tells whether the store can be read.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tornado.web import Finish, HTTPError, RequestHandler

from model.actions.catalogue import is_held_out
from model.actions.next_best import Option
from model.durations import write_duration
from model.scoring.belief import Belief
from schemas.credits import RULES
from schemas.flow_status import members_of, problem_of
from schemas.validation import LONGEST_ID
from stores.answers import CreditSum, Point
from stores.base import Reader
from stores.row_columns import POINT
from viz.doors import guard, too_long
from viz.feed import DAY, Feed
from viz.shared import Shared, shared
from viz.store_reading import Answer, BusyError

EVENTS = 10_000
"""The most events in one answer."""
EXPLAINED = ("event_id", "event_key", "event_time", "event_type", "campaign")
"""What is said of an event beside what it adds."""
MS_SINCE_1970 = re.compile(r"0|-?[0-9]{11,15}")
"""What is a number of ms: one of fewer digits is rather a date such as `20180501`, or of seconds since 1970."""


class RefusedError(HTTPError):
    """A request that is not answered; the message is for the person who sent it."""

    def __init__(self, status: int, message: str, parameter: str | None = None) -> None:
        super().__init__(status, reason=None)
        self.body = {"error": message} | ({} if parameter is None else {"parameter": parameter})


class _Handler(RequestHandler):
    def initialize(self, source: Shared | None = None) -> None:
        self._given = source
        self._asking: asyncio.Future[Any] | None = None
        self._is_gone = False

    @property
    def source(self) -> Shared:
        return self._given or shared()

    def set_default_headers(self) -> None:
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    async def prepare(self) -> None:
        """Refuse who is not logged in, by the login of the page, whichever it is; without one everybody is."""
        if not await self.is_known():
            raise RefusedError(401, "log in first, as for the page")

    async def is_known(self) -> bool:
        """Whether the server's login, if it has one, knows who sent the request."""
        login = getattr(self.application, "auth_provider", None)
        if login is not None and login.get_user_async is not None:
            return bool(await login.get_user_async(self))
        return login is None or login.get_user is None or bool(login.get_user(self))

    async def ask(self, question: Callable[[Reader], Answer], *about: object, urgent: bool = False) -> Answer:
        """What `question` returns for the store; equal ones, `about` the same, are asked once.

        Raises:
            RefusedError: the store cannot be read just now, or too much is asked of it.
            Finish: the client has gone.
        """
        stream = getattr(self.request.connection, "stream", None)
        if self._is_gone or (stream is not None and stream.closed()):  # before it was our turn
            raise Finish
        key = (type(self), *about)
        asking = self._asking = asyncio.ensure_future(self.source.desk.ask(question, key, urgent))
        try:
            answer: Answer = await asking
        except asyncio.CancelledError:
            self.set_status(499, "Client Closed Request")
            raise Finish from None
        except BusyError as error:
            raise RefusedError(503, str(error)) from None
        except Exception as error:  # whatever a store's driver raises
            raise RefusedError(503, str(error) or type(error).__name__) from None
        return answer

    def on_connection_close(self) -> None:
        """Wait no more for what nobody reads."""
        self._is_gone = True
        if self._asking is not None:
            self._asking.cancel()

    def answer(self, body: dict[str, Any], status: int = 200) -> None:
        self.set_status(status)
        self.finish(json.dumps(body, allow_nan=False))

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise RefusedError(400, "expected percent-encoded UTF-8", name or "user_id") from None

    def write_error(self, status_code: int, **about: Any) -> None:
        error = about.get("exc_info", (None, None))[1]
        if status_code == 503:
            self.set_header("Retry-After", "1")
        self.finish(json.dumps(error.body if isinstance(error, RefusedError) else {"error": self._reason}))

    def asked(self, *names: str) -> list[int | None]:
        """What the parameters of these names say, and there are no others: times in ms since 1970."""
        for name in self.request.query_arguments:
            if name not in names:
                raise RefusedError(400, f"no such parameter, expected {' or '.join(names)}, got {name!r}", name)
        return [_time(name, self.get_query_arguments(name)) for name in names]

    def times(self) -> tuple[int | None, int | None]:
        """What `from` and `to` say, in ms since 1970."""
        start, end = self.asked("from", "to")
        if start is not None and end is not None and start > end:
            raise RefusedError(400, "must not be later than to", "from")
        return start, end


class PropensityHandler(_Handler):
    """One user's events, their curve, and their propensity now."""

    async def get(self, user: str) -> None:
        """Answer with the events and the curve between `from` and `to`."""
        user, times = _id(user), self.times()
        feed, now = self.source.feed, self.source.feed.now
        body = await self.ask(lambda reader: read_propensity(reader, feed, user, now, *times), user, times)
        if body is None:
            raise RefusedError(404, "no event of this user is stored")
        self.answer(body)


class ExplanationHandler(_Handler):
    """What one user's propensity is made of."""

    async def get(self, user: str) -> None:
        """Answer with what each event and each feature adds at the time `at`, or now."""
        user, (at,) = _id(user), self.asked("at")
        feed, now = self.source.feed, self.source.feed.now
        body = await self.ask(lambda reader: read_explanation(reader, feed, user, now, at), user, at)
        if body is None:
            raise RefusedError(404, "no event of this user is stored")
        self.answer(body)


class HealthHandler(_Handler):
    """Whether the store can be read and its flow runs; the details are for those alone who may see the page."""

    async def prepare(self) -> None:
        """Refuse nobody."""

    async def get(self) -> None:
        """200 with how far the flow is, or 503 with what is wrong."""
        try:
            body = await self.ask(read_health, urgent=True)
        except RefusedError as refused:
            body = {"status": "unavailable", "problem": refused.body["error"]}
        status = 200 if body["status"] == "ok" else 503
        self.answer(body if await self.is_known() else {"status": body["status"]}, status)

    head = get


class CreditHandler(_Handler):
    """What touches are credited with."""

    async def get(self) -> None:
        """Answer with the sums over the conversions of the days between `from` and `to`."""
        times = self.times()
        feed = self.source.feed
        self.answer(await self.ask(lambda reader: read_credit(reader, feed, *times), times))


class GradesHandler(_Handler):
    """How the models' scores did."""

    async def get(self) -> None:
        """Answer with the grades of the store's models and of the challenger: each with its verdict in words."""
        grades = await self.ask(self.source.feed.grades)
        self.answer({"grades": [asdict(grade) | {"verdict": grade.verdict} for grade in grades]})


class NotFoundHandler(_Handler):
    """Any other path under /api/."""

    async def prepare(self) -> None:
        """Refuse."""
        await super().prepare()
        raise RefusedError(
            404,
            "no such resource, expected /api/users/{user_id}/propensity or /explanation, /api/credit, /api/grades or "
            "/api/health",
        )


def read_health(reader: Reader) -> dict[str, Any]:
    """How the store and the flow are. Times but `newest`, an event time, are the wall clock's, in ms since 1970."""
    newest, statuses = reader.most_recent(1), reader.statuses()
    processes = members_of(statuses)
    problem = problem_of(statuses, time.time_ns() // 1_000_000)

    def known(name: str) -> list[int]:
        return [value for each in processes if (value := getattr(each, name)) is not None]

    return {
        "status": "not running" if problem else "ok",
        **({"problem": problem} if problem else {}),
        "newest": newest[0].event_time if newest else None,
        "last_epoch": min(known("last_epoch"), default=None),
        "last_read": max(known("last_read"), default=None),
        "behind_by": max(known("behind"), default=None),
        "processes": [asdict(each) for each in processes],
    }


def read_credit(reader: Reader, feed: Feed, start: int | None, end: int | None) -> dict[str, Any]:
    """The sums of the days from that of `start` to that of `end` (ms); null is what an unbelieved model credits.

    `advice` says so of the first of the models that are valid in those days and not believed.
    """
    grades, models = feed.grades(reader), feed.tracer.models
    first = None if start is None else start // DAY * DAY
    last = None if end is None else (end // DAY + 1) * DAY - 1
    spans = zip(models.models, [None, *models.starts.tolist()], [*models.starts.tolist(), None], strict=True)
    valid = [
        model
        for model, begin, follower in spans
        if (begin is None or last is None or begin <= last) and (follower is None or first is None or first < follower)
    ]
    beliefs = [feed.belief(model, grades) for model in valid]
    belief = next((each for each in beliefs if not each.believed), beliefs[-1])
    sums = [_credit_sum(each, belief.believed) for each in reader.credit_sums(start, end)]
    return {"sums": sums} | ({} if belief.believed else {"advice": _belief(belief)})


def _belief(belief: Belief) -> dict[str, Any]:
    """Whether what the model advises and credits is given, how it stands beside the base rate, and why."""
    return {"believed": belief.believed, "standing": belief.standing.value, "why": belief.why}


def read_propensity(
    reader: Reader, feed: Feed, user: str, now: int | None, start: int | None, end: int | None
) -> dict[str, Any] | None:
    """The answer about one user, None where the store has no event of them. Times are in ms since 1970.

    There are no actions where the model is not believed. Of a user who is held out it is kept which would be best.
    """
    tracer = feed.tracer
    newest = reader.curve(user, limit=2 * tracer.length)
    if not newest:
        return None
    now = max(now or 0, newest[-1].event_time)
    last = now if end is None else min(end, now)
    whole = tracer.trace(newest)
    drawn = whole if end is None else tracer.trace(reader.curve(user, end=end, limit=2 * tracer.length))
    found = reader.curve(user, start, end, EVENTS + 1)
    events = found[-EVENTS:]
    first = start if start is not None else events[0].event_time if events else last
    line, model = tracer.line(drawn, first, last), tracer.model_at(now)
    propensity = tracer.at(whole, now)
    belief = feed.belief(model, feed.grades(reader))
    options = [] if propensity is None or not belief.believed else tracer.options(whole, now)
    return {
        "user_id": user,
        "model_id": model.id,
        "horizon": write_duration(model.horizon),
        "now": now,
        "propensity_now": propensity,
        "advice": _belief(belief),
        "hold_out": is_held_out(user),
        "set_apart": tracer.is_set_apart(whole),
        "best_action": next((each.action.name for each in options if each.best), None),
        "actions": [_option(each) for each in options],
        "events": [_event(point) for point in events],
        "truncated": len(found) > EVENTS,
        "curve": {"times": line.times.tolist(), "propensities": line.propensities.tolist()},
        "exact_from": drawn.exact_from,
    }


def read_explanation(reader: Reader, feed: Feed, user: str, now: int | None, at: int | None) -> dict[str, Any] | None:
    """What a propensity is made of at `at` (ms), or now; None where the store has no event of the user.

    The baseline and what the events add sum up to the propensity, and so do the baseline and what the features add. All
    are null where too many of the user's events are no longer stored.
    """
    tracer = feed.tracer
    points = reader.curve(user, end=at, limit=2 * tracer.length) or reader.curve(user, limit=2 * tracer.length)
    if not points:
        return None
    at = max(now or 0, points[-1].event_time) if at is None else at
    trace, model = tracer.trace(points), tracer.model_at(at)
    explanation = tracer.explain(trace, at)
    about: dict[str, Any] = {"user_id": user, "model_id": model.id, "horizon": write_duration(model.horizon), "at": at}
    about["advice"] = _belief(feed.belief(model, feed.grades(reader)))
    if explanation is None:
        return about | dict.fromkeys(("propensity", "baseline", "events", "features"))
    return about | {
        "propensity": explanation.propensity,
        "baseline": explanation.baseline,
        "events": [
            {name: value for name, value in _event(point).items() if name in EXPLAINED} | {"adds": adds}
            for point, adds in zip(trace.until(at).points, explanation.of_event.tolist(), strict=True)
        ],
        "features": [
            {"feature": feature.name, "adds": adds}
            for feature, adds in zip(model.features, explanation.of_feature.tolist(), strict=True)
        ],
    }


def _credit_sum(each: CreditSum, is_believed: bool) -> dict[str, Any]:
    """A sum; the baseline's has neither campaign nor type. Revenue is null where it is too great for a number."""
    withheld: dict[str, None] = {} if is_believed else {"credit": None}
    return {
        "day": each.day,
        "campaign": each.campaign if each.type else None,
        "type": each.type or None,
        "conversions": dict(zip(RULES, each.conversions, strict=True)) | withheld,
        "revenue": dict(zip(RULES, map(_finite, each.revenue), strict=True)) | withheld,
    }


def _finite(amount: float) -> float | None:
    return amount if math.isfinite(amount) else None


def _option(option: Option) -> dict[str, Any]:
    """What an action would do now: `worth` and `net` in the currency of the actions."""
    about = {name: getattr(option, name) for name in ("gain", "low", "high", "worth", "net", "capped")}
    return option.action.model_dump() | about


def _event(point: Point) -> dict[str, Any]:
    return {name: getattr(point, name) for name in POINT} | {"event_key": str(point.event_key)}


def _id(user: str) -> str:
    """A user's id, if it can be one."""
    if too_long(user):
        raise RefusedError(400, f"an id has at most {LONGEST_ID:,} bytes of UTF-8", "user_id")
    return user


def _time(name: str, given: list[str]) -> int | None:
    """A time in ms from ms since 1970 or ISO 8601, in UTC where it names no zone. `2018` could be either."""
    if not given:
        return None
    try:
        (text,) = given
        time = int(text) if MS_SINCE_1970.fullmatch(text) else _iso(text)
    except (ValueError, OverflowError):
        expected = "expected ms since 1970, or an ISO 8601 time or whole date such as 2018-05-01"
        raise RefusedError(400, f"{expected}, got {', '.join(given)!r}", name) from None
    return time


def _iso(text: str) -> int:
    date, space, zone = text.rpartition(" ")
    if space and "T" in date:  # a plus sign that was not percent-encoded
        text = f"{date}+{zone}"
    if text.isdigit():
        raise ValueError("a date without dashes may be meant as ms")
    time = datetime.fromisoformat(text)
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1_000)


ROUTES = [
    (r"/api/users/([^/]+)/propensity", PropensityHandler),
    (r"/api/users/([^/]+)/explanation", ExplanationHandler),
    (r"/api/credit", CreditHandler),
    (r"/api/grades", GradesHandler),
    (r"/api/health", HealthHandler),
    (r"/api(?:/.*)?", NotFoundHandler),
]
guard()  # here, because Panel asks a plugin for nothing but its routes, before it makes the server
