"""GET / of the API's port, "Sandbox activity": what is in a sandbox. It is no part of the wire."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, get_args
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .authentication import agent_of_token
from .database import Database
from .faults import Faults
from .issuer import AuthorizationCode, ReturnCode, Token, TokenKind
from .middleware import RequestLog
from .pages import page
from .phones import show_phone
from .routes import served_at
from .values import Call

MOST_ROWS: Final = 200
FIRST_LETTERS: Final = 4
_MARK: Final = "…"
_LONGEST_VALUE: Final = 120
_LONGEST_PART: Final = 32
_PUBLIC_PARAMETERS: Final = frozenset(
    "response_type client_id scope code_challenge_method agent_name delivery theme connectors sections limit".split()
)
_URL_PARAMETERS: Final = frozenset({"redirect_uri", "return_to", "resource"})
"""Of these, what comes before the query is shown."""
_PREFIXES: Final = ("sk_", "cfg_", "ocs_", "cfgsic_", "cfgoac_", *(f"{kind}_local_" for kind in get_args(TokenKind)))
"""Of keys, secrets, codes and tokens. What begins with pk_ or oc_ is public."""
_SECRET: Final = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(_PREFIXES)})[^\s,;/?#&]*")
_LOOPBACK_HOST: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class ActivityPage:
    """ASGI middleware that answers GET / of one origin, before it counts as a request. Its template has the tables."""

    def __init__(self, app: ASGIApp, db: Database, log: RequestLog, faults: Faults) -> None:
        self._app = app
        self._db = db
        self._log = log
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] not in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        await (self._page() if self._is_own_host(scope) else _refusal())(scope, receive, send)

    def _is_own_host(self, scope: Scope) -> bool:
        """Prevents DNS rebinding: under the name of a third party's site its pages would be same-origin with ours."""
        hosts = [host.lower() for host in Headers(scope=scope).getlist("host")]
        own = {urlsplit(url).netloc.lower() for url in (self._db.urls.api, self._db.urls.api_in_browsers)}
        return len(hosts) == 1 and (hosts[0] in own or _LOOPBACK_HOST.fullmatch(hosts[0]) is not None)

    def _page(self) -> Response:
        calls, count = self._log.latest(MOST_ROWS)
        with self._db.lock:
            now = self._db.now()
            tables = {title: list(rows) for title, rows in self._rows().items()}
            response = page(
                "activity.html",
                tables={title: rows[:MOST_ROWS] for title, rows in tables.items()} | {"Requests": calls},
                counts={title: len(rows) for title, rows in tables.items()} | {"Requests": count},
                memories=self._db.profiles.memories,
                now=now,
                moment=lambda at, seconds=False: _moment(at, now, seconds=seconds),
                state=lambda issued: _state(issued, now),
                person_name=self._person_name,
                subject_name=self._subject_name,
                agent_of=lambda issued: agent_of_token(self._db, issued),
                cut=cut,
                name_or_part=name_or_part,
                prefix_of=prefix_of,
                show_phone=show_phone,
                target_of=target_of,
            )
        response.headers.update(_HEADERS)
        return response

    def _rows(self) -> dict[str, Iterable[Any]]:
        """Return what each table shows, newest first, addresses and message lines in the order of their agents."""
        db, agents = self._db, self._db.agents.values()
        codes = [*db.issuer.return_codes.values(), *db.issuer.codes.values()]
        return {
            "People": reversed(db.people.values()),
            "Grants": reversed(db.issuer.grants),
            "Codes": sorted(codes, key=lambda code: code.expires_at, reverse=True),
            "Tokens": reversed(db.issuer.tokens.values()),
            "Addresses": [
                *((agent.handle, "redirect_uri", uri) for agent in agents for uri in agent.redirect_uris),
                *((agent.handle, "return_to", uri) for agent in agents for uri in agent.return_destinations),
            ],
            "Message lines": [
                (agent.handle, *key, line) for agent in agents for key, line in agent.message_lines.items()
            ],
            "Pending commits": reversed(db.profiles.owed),
            "Faults": self._faults.waiting(),
        }

    def _person_name(self, user_id: str) -> str:
        person = self._db.people.get(user_id)
        return (person.name or show_phone(person.phone)) if person else user_id

    def _subject_name(self, subject: str) -> str:
        kind, _, rest = subject.partition(":")
        return self._person_name(rest) if kind == "user" else f"external id {name_or_part(rest.partition(':')[2])}"


def _refusal() -> Response:
    text = "This page is shown under 127.0.0.1, localhost and the sandbox's own URLs only."
    return PlainTextResponse(text, 403, {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})


def _moment(at: float, now: float, *, seconds: bool = False) -> str:
    """Return a time of today alone, any other one with its date."""
    try:
        moment, today = datetime.fromtimestamp(at).astimezone(), datetime.fromtimestamp(now).astimezone()
    except (OverflowError, OSError, ValueError):
        return f"{at:.0f}"
    if moment.date() != today.date():
        return f"{moment:%Y-%m-%d %H:%M}"
    return f"{moment:%H:%M:%S}" if seconds else f"{moment:%H:%M}"


def _state(issued: AuthorizationCode | ReturnCode | Token, now: float) -> str:
    if issued.end is not None:
        return issued.end
    seconds = issued.expires_at - now
    if seconds <= 0:
        return "expired"
    # A number and its unit are kept on one line.
    if seconds >= 86_400:
        return f"valid for {seconds // 86_400:.0f}\u00a0d"
    minutes, rest = divmod(int(seconds), 60)
    return f"valid for {minutes}\u00a0min {rest}\u00a0s" if minutes else f"valid for {rest}\u00a0s"


# Codes, tokens and URLs: never a whole secret is shown.


def cut(text: str) -> str:
    """Mask secrets in a text, and shorten it."""
    return _shortened(masked(text), _LONGEST_VALUE)


def prefix_of(secret: str) -> str:
    """Return the first letters of a code or token, by which a developer recognizes it."""
    prefix = next((one for one in _PREFIXES if secret.startswith(one)), "")
    return _shortened(secret, len(prefix) + FIRST_LETTERS)


def masked(text: str) -> str:
    """Mask what begins as a secret, however short it is."""
    return _SECRET.sub(rf"\1{_MARK}", text)


def name_or_part(text: str) -> str:
    """Return a part of a path, or a parameter's name. One longer than ours may be anything, a token too."""
    text = masked(text)
    return text if len(text) <= _LONGEST_PART else text[: 2 * FIRST_LETTERS] + _MARK


def target_of(call: Call) -> str:
    """Return the path and query of a request, without the code of a sign-in link and without secret values."""
    code = next((params.get("code") for _, params in served_at(call.origin, call.path)), None)
    parts = (_shortened(one, FIRST_LETTERS) if one == code else name_or_part(one) for one in call.path.split("/"))
    pairs = parse_qsl(call.query_string, keep_blank_values=True)
    query = "&".join(f"{name_or_part(name)}={_value(name, value)}" for name, value in pairs)
    return "/".join(parts) + (f"?{query}" if call.query_string else "")


def _value(name: str, value: str) -> str:
    if name in _PUBLIC_PARAMETERS:
        return cut(value)
    if name not in _URL_PARAMETERS:
        return _MARK if value else ""
    try:
        parts = urlsplit(value)
    except ValueError:
        return _MARK
    rest = f"?{_MARK}" if parts.query or parts.fragment else ""
    return cut(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}") + rest


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + _MARK
