"""A web app that exists, with Configure added, running on loopback; and a browser to use it with.

The app is driven over HTTP only, so one behaviour suite runs on every adapter.
"""

from __future__ import annotations

import copy
import secrets
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx2

from configure_auth import ConfigureAuthError
from configure_auth.events import Event
from configure_auth.sandbox import Sandbox

Adapter = Literal["flask", "starlette", "fastapi"]
Flow = Literal["link", "login"]


@dataclass
class People:
    """The app's own users, and what its hooks were called with."""

    names: dict[str, str | None] = field(default_factory=dict)
    logins: list[tuple[Any, Any]] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)
    linked: list[tuple[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def sign_in_or_up(self, identity: Any, grant: Any) -> str:
        """What a good `on_login` does: begin with `local_user_id`, else make a new user."""
        self.logins.append((identity, grant))
        user_id: str | None = identity.local_user_id
        if user_id is None:
            user_id = f"user-{secrets.token_hex(4)}"
            self.names[user_id] = identity.name
        return user_id


@dataclass(frozen=True, kw_only=True)
class Options:
    """How an app under test differs from the plain one.

    `stores` says where things are kept: `store`, and `states` where that is another one. `constructor`, `link`,
    `login`, `messages`, `claims` and `profiles` are keyword arguments of `ConfigureAuth`, `account_link`, `login`,
    `messages`, `agent_claims` and `user_profiles`; None leaves the routes out.
    `on_login` returns a user id for (identity, grant) and may raise. `settings` are CONFIGURE_* values, in which
    "{url}" stands for the app's own URL. `mount` is a path that the whole app is served under; `guard` turns away
    whoever is signed out, on every route, and asks a CSRF token of every form where the framework has a usual way
    to; `server_session` keeps the session at the server, under an id in the cookie; `bearer` takes the user from
    the Authorization header, for an app without a session: as it stands there, or by a `BearerUser` of the adapter's.
    """

    stores: Mapping[str, Any] = field(default_factory=lambda: {"store": "memory://"})
    settings: Mapping[str, str | None] = field(default_factory=dict)
    constructor: Mapping[str, Any] = field(default_factory=dict)
    link: Mapping[str, Any] | None = field(default_factory=dict)
    login: Mapping[str, Any] | None = field(default_factory=dict)
    messages: Mapping[str, Any] | None = None
    claims: Mapping[str, Any] | None = None
    profiles: Mapping[str, Any] | None = None
    on_login: Callable[[Any, Any], Any] | None = None
    samesite: Literal["Lax", "Strict"] = "Lax"
    mount: str = ""
    guard: bool = False
    server_session: bool = False
    bearer: Any = False
    customise: Callable[[Any, Any], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Web:
    """A running app. Beside our routes it has POST /in/<user>, POST /out, and GET pages that answer JSON:

    /who (the session user), /account, /profile, /token, POST /unlink, POST /forget/<user>, POST /keep/<key>/<value>
    and /session (what else is in the session), POST /purge and /reseal, and the pages "/" and "/settings" with the
    button. With `messages`: POST /journey, /message, /subject/forget and /subject/export, which take the verbs'
    arguments as JSON. With `claims`: POST /agents/<id> (register it), GET /agents (the session user's) and GET
    /agents/<id>/owner. A `ConfigureError` on one of them answers 502 with its `code` and `suggested_action`.
    `hurry(seconds)` shortens the deadline of calls to Configure. `answers` are those that its browsers got.
    """

    url: str
    adapter: Adapter
    sandbox: Sandbox
    people: People
    configure_auth: Any
    app: Any
    folder: Path
    hurry: Callable[[float], None]
    answers: list[httpx2.Response] = field(default_factory=list)

    def browser(self) -> Browser:
        return Browser(self)


class Browser:
    """Cookies, and the Fetch Metadata that a browser would send; follows no redirect by itself."""

    def __init__(self, web: Web) -> None:
        self.web = web
        # A context without certificates spares the time to load them; only plain HTTP is spoken here.
        no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.http = httpx2.Client(base_url=web.url, timeout=30, trust_env=False, verify=no_tls)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.http.close()

    def copy(self, web: Web | None = None, *, without: tuple[str, ...] = ()) -> Browser:
        """Another connection of the same browser: the same cookies at this moment, but for those of some names."""
        other = Browser(web or self.web)
        for cookie in self.http.cookies.jar:
            if cookie.name not in without:
                other.http.cookies.jar.set_cookie(copy.copy(cookie))
        return other

    def get(self, url: str, *, site: str | None = "same-origin", **headers: str) -> httpx2.Response:
        return self.request("GET", url, site=site, **headers)

    def post(self, url: str, *, site: str | None = "same-origin", **headers: str) -> httpx2.Response:
        return self.request("POST", url, site=site, **headers)

    def request(self, method: str, url: str, *, site: str | None, **headers: str) -> httpx2.Response:
        fetched = {} if site is None else {"sec-fetch-site": site}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"accept": "text/html"} | fetched | named
        answer = self.http.request(method, urljoin(self.web.url, url), headers=sent)
        self.web.answers.append(answer)
        return answer

    def sign_in_locally(self, user_id: str) -> None:
        self.post(f"/in/{user_id}").raise_for_status()

    def sign_out(self) -> None:
        self.post("/out").raise_for_status()

    def who(self) -> str | None:
        user_id: str | None = self.get("/who").json()["user_id"]
        return user_id

    def account(self) -> dict[str, Any] | None:
        account: dict[str, Any] | None = self.get("/account").json()["account"]
        return account

    def start(self, flow: Flow, query: str = "") -> str:
        """Press the button; where at Configure that leads."""
        answer = self.get(start_path(flow) + query)
        assert answer.status_code == 303, (answer.status_code, answer.text)
        return answer.headers["location"]

    def begin(self, flow: Flow, query: str = "") -> str:
        """`start`, by u1 where the flow is for somebody who is signed in."""
        if flow == "link":
            self.sign_in_locally("u1")
        return self.start(flow, query)

    def at_configure(self, url: str, phone: str = "+15550100001", **choices: Any) -> str:
        """Do what the hosted pages ask; the URL of the callback that they end at."""
        return self.web.sandbox.sign_in(url, phone, **choices)

    def come_back(self, callback: str, **headers: str) -> httpx2.Response:
        return self.get(callback, site="cross-site", **headers)

    def link(self, phone: str = "+15550100001", query: str = "") -> httpx2.Response:
        """The whole link, from the button to the answer of the callback."""
        return self.come_back(self.at_configure(self.start("link", query), phone))

    def login(self, phone: str = "+15550100001", query: str = "") -> httpx2.Response:
        """The whole login."""
        return self.come_back(self.at_configure(self.start("login", query), phone))

    def end(self, start: str, **parameters: str) -> str:
        """The callback of a start with its state, without a visit to Configure."""
        sent = query_of(start)
        callback = sent.get("return_to") or sent["redirect_uri"]
        return f"{callback}?{urlencode({'state': sent['state'], **parameters})}"


def start_path(flow: Flow) -> str:
    return {"link": "/configure/sign-in", "login": "/auth/configure/sign-in"}[flow]


def callback_path(flow: Flow) -> str:
    return {"link": "/configure/callback", "login": "/auth/configure/callback"}[flow]


def planted(answer: httpx2.Response) -> list[str]:
    """Our cookies that a response sets. Starlette before 0.47 sets its session's with every response."""
    return [header for header in answer.headers.get_list("set-cookie") if "configure" in header.partition("=")[0]]


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


class MakeWeb(Protocol):
    """Starts an app with `Options` given as keywords; each gets a folder of its own unless `folder=` is given."""

    def __call__(self, *, folder: Path | None = None, **options: Any) -> Web: ...


@contextmanager
def running(adapter: Adapter, sandbox: Sandbox, folder: Path, options: Options, bind: Any = None) -> Iterator[Web]:
    """Serve an app with these options on a port of its own, as http://localhost:PORT."""
    if adapter == "flask":
        from . import flask_web

        module: Any = flask_web
    elif adapter == "fastapi":
        from . import fastapi_web

        module = fastapi_web
    else:
        from . import starlette_web

        module = starlette_web
    with module.listening(options.mount) as (port, serve):
        url = f"http://localhost:{port}"
        chosen = {name: value and value.replace("{url}", url) for name, value in options.settings.items()}
        settings = {**sandbox.environment(app_url=url), **chosen}
        sandbox.register_return_to(f"{url}/configure/callback")
        sandbox.register_redirect_uri(f"{url}/auth/configure/callback")
        people = People()
        app, configure_auth = module.build(settings, options, people, folder, sandbox.clock)
        with ExitStack() as stack:
            stack.callback(module.close, app, configure_auth)
            stack.enter_context(serve(app))
            yield Web(
                url=url,
                adapter=adapter,
                sandbox=sandbox,
                people=people,
                configure_auth=configure_auth,
                app=app,
                folder=folder,
                hurry=lambda seconds: module.hurry(app, configure_auth, seconds),
            )


def identity_of(identity: Any) -> dict[str, Any]:
    """A message's sender as the app's pages answer it."""
    return {
        "external_id": identity.external_id,
        "token": None if identity.token is None else identity.token.reveal(),
        "user_id": identity.user_id,
        "linked": identity.linked,
        "approved": identity.approved,
        "recognized": identity.recognized,
        "display_name": identity.display_name,
        "source": identity.source,
        "unlinked_because": identity.unlinked_because,
    }


def refusal_of(error: ConfigureAuthError) -> dict[str, str]:
    """Why an agent isn't registered, or whose it is can't be said, as the app's pages answer it."""
    return {"code": error.code, "message": str(error)}


def plain(account: Any) -> dict[str, Any]:
    """An account as the app's pages answer it."""
    return {
        "user_id": account.user_id,
        "configure_user_id": account.configure_user_id,
        "kind": account.kind,
        "scopes": list(account.scopes),
        "linked_at": account.linked_at.isoformat(),
        "needs_reconnect": account.needs_reconnect,
    }


class Serving:
    """A server's thread, ended on the way out."""

    def __init__(self, serve: Callable[[], None], stop: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=serve, daemon=True)
        self._stop = stop

    def __enter__(self) -> Serving:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join()
