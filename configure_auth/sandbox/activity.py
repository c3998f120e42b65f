"""GET / of the API's port: what is in a sandbox, for the people at this machine. No part of the wire."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, get_args
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .authentication import agent_of_token
from .database import Database
from .faults import Faults
from .issuer import TokenKind
from .pages import page
from .phones import show_phone
from .request_log import RequestLog
from .routes import served_at
from .values import Call

MOST_ROWS: Final = 200
FIRST_LETTERS: Final = 4
_LOOPBACK_HOST: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_OPEN_PARAMETERS: Final = frozenset(
    "response_type client_id scope code_challenge_method agent_name delivery theme connectors sections limit".split()
)
"""Those of a query whose values are no secret. Of an address, what comes before its own query is none either."""
_ADDRESSES: Final = frozenset({"redirect_uri", "return_to", "resource"})
_LONGEST_OPEN: Final = 120
_LONGEST_PART: Final = 32
_HIDDEN: Final = "…"
_NONE: Final = "\u2013"
_PREFIXES: Final = ("sk_", "cfg_", "ocs_", "cfgsic_", "cfgoac_", *(f"{kind}_local_" for kind in get_args(TokenKind)))
"""Of keys, secrets, codes and tokens, however short what follows is. What begins with pk_ or oc_ is public."""
_SECRET: Final = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(_PREFIXES)})[^\s,;/?#&]*")


@dataclass(frozen=True, slots=True)
class Section:
    """A table. `older` counts the rows that are left out."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    empty: str
    older: int = 0

    @property
    def anchor(self) -> str:
        return self.title.lower().replace(" ", "-")

    @property
    def count(self) -> int:
        return len(self.rows) + self.older


class ActivityPage:
    """ASGI middleware that answers GET / of one origin, before anything counts as a call."""

    def __init__(self, app: ASGIApp, db: Database, log: RequestLog, faults: Faults) -> None:
        self._app = app
        self._db = db
        self._log = log
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] not in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        hosts = Headers(scope=scope).getlist("host")
        own = {urlsplit(url).netloc.lower() for url in (self._db.urls.api, self._db.urls.api_in_browsers)}
        local = len(hosts) == 1 and (_LOOPBACK_HOST.fullmatch(hosts[0]) is not None or hosts[0].lower() in own)
        await (self._page() if local else _refusal())(scope, receive, send)

    def _page(self) -> Response:
        with self._db.lock:
            sections = [*_state(self._db), _faults(self._faults)]
            now = self._db.now()
        response = page(
            "activity.html", sections=sections, calls=_calls(self._log, now), now=_moment(now, now, seconds=True)
        )
        response.headers.update(_HEADERS)
        return response


def _refusal() -> Response:
    # The name of a site that someone let point to this machine: its pages would be same-origin with ours.
    text = "This page is shown under 127.0.0.1 and localhost only."
    return PlainTextResponse(text, 403, {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})


def _section(title: str, columns: str, rows: Iterable[tuple[str, ...]], empty: str, count: int) -> Section:
    """Rows come newest first; the last of too many are left out."""
    kept = [tuple(_printable(cell) for cell in row) for row in islice(rows, MOST_ROWS)]
    return Section(title, tuple(columns.split(" | ")), kept, empty, count - len(kept))


def _state(db: Database) -> Iterator[Section]:
    now, issuer, owed = db.now(), db.issuer, db.profiles.owed

    def name(user_id: str) -> str:
        person = db.people.get(user_id)
        return (person.name or show_phone(person.phone)) if person else user_id

    def whose(subject: str) -> str:
        kind, _, rest = subject.partition(":")
        return name(rest) if kind == "user" else f"external id {_part(rest.partition(':')[2])}"

    def agent(client_id: str) -> str:
        client = db.client(client_id)
        return client.credentials.agent if client else client_id

    people = db.people.all()
    yield _section(
        "People",
        "name | phone | email | user id | memories",
        (
            (
                one.name or _NONE,
                show_phone(one.phone),
                one.email or _NONE,
                one.user_id,
                str(len(db.profiles.memories.get(f"user:{one.user_id}", ()))),
            )
            for one in reversed(people)
        ),
        "Nobody yet. Whoever signs in is a person from then on.",
        len(people),
    )
    yield _section(
        "Grants",
        "time | person | for | agent | scopes | connectors",
        (
            (
                _moment(one.at, now),
                name(one.user_id),
                "OAuth client" if one.kind == "oauth" else "agent",
                one.agent,
                ", ".join(one.scopes) or _NONE,
                ", ".join(one.connectors) or _NONE,
            )
            for one in reversed(issuer.grants)
        ),
        "Nobody has allowed anything yet.",
        len(issuer.grants),
    )
    codes = [
        *(
            (one.expires_at, "return code", _first(one.code, "cfgsic_"), one.user_id, one.agent, one.spent)
            for one in issuer.return_codes.values()
        ),
        *(
            (
                one.expires_at,
                "authorization code",
                _first(one.code, "cfgoac_"),
                one.user_id,
                agent(one.client_id),
                one.family is not None,
            )
            for one in issuer.codes.values()
        ),
    ]
    yield _section(
        "Codes",
        "kind | begins | person | agent | state",
        (
            (kind, first, name(user_id), handle, "used" if used else _good_for(ends - now))
            for ends, kind, first, user_id, handle, used in sorted(codes, key=lambda one: one[0], reverse=True)
        ),
        "None was issued yet.",
        len(codes),
    )
    yield _section(
        "Tokens",
        "kind | begins | person | agent | until | state",
        (
            (
                one.kind,
                _first(one.token, f"{one.kind}_local_"),
                name(one.user_id),
                agent_of_token(db, one) or _NONE,
                _moment(one.expires_at, now),
                "revoked"
                if one.revoked
                else "used, for a newer one"
                if one.rotated_at is not None
                else _good_for(one.expires_at - now),
            )
            for one in reversed(issuer.tokens.values())
        ),
        "None was issued yet.",
        len(issuer.tokens),
    )
    addresses = [
        (one.handle, kind, address)
        for one in db.agents.values()
        for kind, registered in (("redirect_uri", one.client.redirect_uris), ("return_to", one.return_destinations))
        for address in registered
    ]
    yield _section(
        "Addresses",
        "agent | kind | address",
        addresses,
        "No callback is registered: nobody could come back.",
        len(addresses),
    )
    lines = [
        (one.handle, channel, f"{_HIDDEN}{phone[-4:]}", line["label"] or _NONE, line["status"])
        for one in db.agents.values()
        for (channel, phone), line in one.message_lines.items()
    ]
    yield _section(
        "Message lines", "agent | channel | phone | label | status", lines, "None is registered.", len(lines)
    )
    yield _section(
        "Commits owed",
        "person | agent",
        ((whose(one.subject), one.agent) for one in reversed(owed)),
        "No read waits for its commit.",
        len(owed),
    )


def _faults(faults: Faults) -> Section:
    rows = [
        (_cut(_veiled(line), _LONGEST_OPEN), "until cleared" if left is None else str(left))
        for line, left in faults.waiting()
    ]
    return _section("Faults left", "fault | times", rows, "Everything answers as it should.", len(rows))


def _calls(log: RequestLog, now: float) -> Section:
    calls, count = log.latest(MOST_ROWS)
    rows = (
        (
            _moment(call.at, now, seconds=True),
            call.origin,
            _part(call.method),
            _path(call) + _query(call),
            _NONE if call.status is None else str(call.status),
        )
        for call in calls
    )
    return _section("Calls", "time | origin | method | path | status", rows, "Nothing was asked yet.", count)


def _path(call: Call) -> str:
    """The path without the code of a minted link, and without what is too long to be part of one of ours."""
    served = next(served_at(call.origin, call.path), None)
    code = served.params.get("code") if served else None
    return "/".join(_cut(part, FIRST_LETTERS) if part == code else _part(part) for part in call.path.split("/"))


def _query(call: Call) -> str:
    if not call.query_string:
        return ""
    pairs = parse_qsl(call.query_string, keep_blank_values=True)
    return "?" + "&".join(f"{_part(name)}={_value(name, value)}" for name, value in pairs)


def _value(name: str, value: str) -> str:
    if name in _OPEN_PARAMETERS:
        return _cut(_veiled(value), _LONGEST_OPEN)
    if name not in _ADDRESSES:
        return _HIDDEN if value else ""
    try:
        parts = urlsplit(value)
    except ValueError:
        return _HIDDEN
    rest = f"?{_HIDDEN}" if parts.query or parts.fragment else ""
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return _cut(_veiled(place), _LONGEST_OPEN) + rest


def _first(secret: str, prefix: str) -> str:
    return _cut(secret, len(prefix) + FIRST_LETTERS)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + _HIDDEN


def _part(text: str) -> str:
    """A part of a path, or a name. What is longer than one of ours may be anything, a token too."""
    text = _veiled(text)
    return text if len(text) <= _LONGEST_PART else text[: 2 * FIRST_LETTERS] + _HIDDEN


def _veiled(text: str) -> str:
    """A text without what is a secret by its beginning."""
    return _SECRET.sub(rf"\1{_HIDDEN}", text)


def _printable(text: str) -> str:
    # What came as JSON may have half a surrogate pair in it, which has no bytes.
    return text.encode("utf-8", "replace").decode()


def _moment(at: float, now: float, *, seconds: bool = False) -> str:
    """A time of today alone, with its date otherwise."""
    try:
        moment, today = datetime.fromtimestamp(at).astimezone(), datetime.fromtimestamp(now).astimezone()
    except (OverflowError, OSError, ValueError):
        return f"{at:.0f}"
    if moment.date() != today.date():
        return f"{moment:%Y-%m-%d %H:%M}"
    return f"{moment:%H:%M:%S}" if seconds else f"{moment:%H:%M}"


def _good_for(seconds: float) -> str:
    if seconds <= 0:
        return "expired"
    if seconds >= 86_400:
        return f"good for {seconds // 86_400:.0f} d"
    minutes, rest = divmod(int(seconds), 60)
    return f"good for {minutes} min {rest} s" if minutes else f"good for {rest} s"
