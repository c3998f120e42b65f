"""Each flow, run to success and to every kind of failure with the root logger at DEBUG: no secret gets out."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from configure_auth import LoginRefused
from configure_auth.flows.response import LOOPBACK_COOKIE_NAME
from configure_auth.sandbox import Sandbox
from configure_auth.stores.opening import open_stores

from ..support.stores import first
from ..support.visitor import CODE_PATH, EXCHANGE, TOKEN, FlowName, Got
from ..support.web import MakeWeb, Web, callback_path, query_of
from ..support.wrapping import wrapped
from .conftest import TOKEN_KEY, Evidence, Watched, plant_what_configure_knows, see_files

flows = pytest.mark.parametrize("flow", ["link", "login"])


def hooks(evidence: Evidence, on_login: Callable[[Any, Any], Any] | None = None, **more: Any) -> dict[str, Any]:
    """Options of an app whose error tracker keeps every error with the locals of its frames."""

    def on_error(error: Any) -> None:
        evidence.see_error("on_error", error)

    return {"link": {"on_error": on_error}, "login": {"on_error": on_error}, "on_login": on_login, **more}


def begin(web: Web, evidence: Evidence, flow: FlowName) -> Watched:
    visitor = Watched.watching(web, evidence)
    if flow == "link":
        visitor.sign_in_locally("u1")
    return visitor


def assert_nothing_leaked(evidence: Evidence, web: Web) -> None:
    plant_what_configure_knows(evidence, web.sandbox)
    assert {"api_key", "client_secret", "token_key", "browser_cookie"} <= set(evidence.known)
    assert see_files(evidence, web.folder)["configure.db"]
    assert evidence.leaks() == []


@pytest.mark.catalogue("A21", "O1", "J2")
@flows
def test_a_success_its_repetition_and_its_use(make_watched: MakeWeb, evidence: Evidence, flow: FlowName) -> None:
    web = make_watched(**hooks(evidence))
    visitor = begin(web, evidence, flow)
    callback = visitor.walk(flow, "?next=/settings")

    assert visitor.come_back(callback).status == 303
    assert visitor.come_back(callback).status == 303
    for page in ("/", "/settings", "/account", "/profile", "/configure/status"):
        assert visitor.ask(page).status == 200
    assert visitor.ask("/token").status == 200
    assert visitor.post("/configure/disconnect").status in (303, 409)

    evidence.see("events", *(repr(event) for event in web.people.events))
    evidence.see("hooks", *(repr(call) + str(call) for call in web.people.logins))
    assert_nothing_leaked(evidence, web)
    kinds = {name.split(" ")[0] for name in evidence.known}
    assert {"state", "code", *(["agent"] if flow == "link" else ["verifier", "access", "refresh"])} <= kinds


@pytest.mark.catalogue("O1")
def test_a_refresh_and_its_failures(make_watched: MakeWeb, evidence: Evidence) -> None:
    web = make_watched(**hooks(evidence))
    sandbox, visitor = web.sandbox, begin(web, evidence, "login")
    assert visitor.come_back(visitor.walk("login")).status == 303
    sandbox.advance(3600)
    assert visitor.ask("/token").status == 200
    sandbox.advance(3600)
    faults: tuple[Any, ...] = (
        {"status": 500, "body": echo(sandbox, evidence), "headers": {"Retry-After": "2"}},
        {"drop": True},
        {"cut": 20},
    )
    for fault in faults:
        sandbox.fault(TOKEN, **fault)
        assert visitor.ask("/token").status == 502
        sandbox.clear_faults()
        sandbox.advance(61)
    sandbox.fault(TOKEN, status=400, body={"error": "invalid_grant", "error_description": echo(sandbox, evidence)})
    assert visitor.ask("/token").status == 502
    sandbox.clear_faults()

    assert_nothing_leaked(evidence, web)


def test_a_token_that_configure_refuses(make_watched: MakeWeb, evidence: Evidence) -> None:
    web = make_watched(**hooks(evidence))
    visitor = begin(web, evidence, "link")
    assert visitor.come_back(visitor.walk("link")).status == 303
    web.sandbox.fault("/v1/profile", status=401, body={"error": echo(web.sandbox, evidence)})
    web.sandbox.fault("/v1/auth/sign-in/validate", status=500, body=echo(web.sandbox, evidence))

    assert visitor.ask("/profile").status == 502

    assert_nothing_leaked(evidence, web)


def echo(sandbox: Sandbox, evidence: Evidence) -> str:
    """An answer's text that has every secret in it that Configure knows by now."""
    plant_what_configure_knows(evidence, sandbox)
    return " ".join(secret for name, secret in evidence.known.items() if name not in ("browser_cookie", "token_key"))


FAULTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "oauth-error": lambda said: {"status": 400, "body": {"error": "invalid_grant", "error_description": said}},
    "structured-error": lambda said: {
        "status": 403,
        "body": {"error": {"type": "permission_error", "code": "denied", "message": said, "suggested_action": said}},
    },
    "word-as-code": lambda said: {"status": 400, "body": {"error": said[:500], "code": said.split()[0]}},
    "request-id": lambda said: {
        "status": 500,
        "body": {"error": "failed", "request_id": said.split()[-1]},
        "headers": {"x-request-id": said.split()[0]},
    },
    "html": lambda said: {"status": 500, "body": f"<h1>{said}</h1>", "content_type": "text/html"},
    "not-json": lambda said: {"status": 200, "body": said, "content_type": "application/json"},
    "wrong-fields": lambda said: {"status": 200, "body": {"token": [said], "agent": said, "access_token": {"x": said}}},
    "odd-header": lambda said: {"status": 302, "headers": {"location": f"https://evil.example/{said.split()[-1]}"}},
    "dropped": lambda _: {"drop": True},
    "cut": lambda said: {"status": 200, "body": said, "cut": 60},
    "handled-and-dropped": lambda _: {"drop": True, "handled": True},
}


@pytest.mark.catalogue("G19", "O1")
@flows
@pytest.mark.parametrize("kind", FAULTS)
def test_configure_fails_and_says_everything_back(
    make_watched: MakeWeb, evidence: Evidence, flow: FlowName, kind: str
) -> None:
    web = make_watched(**hooks(evidence))
    visitor = begin(web, evidence, flow)
    callback = visitor.walk(flow)

    with web.sandbox.hold(CODE_PATH[flow]) as held, ThreadPoolExecutor(1) as other:
        answer = other.submit(visitor.come_back, callback)
        held.arrived.wait()
        # Only now the verifier is known to anybody but the app.
        web.sandbox.fault(CODE_PATH[flow], **FAULTS[kind](echo(web.sandbox, evidence)))
        held.release()

    assert answer.result().status >= 400
    assert visitor.come_back(callback).status >= 400
    assert_nothing_leaked(evidence, web)


@pytest.mark.parametrize("path", ["/oauth/introspect", "/v1/profile"])
@pytest.mark.parametrize("kind", ["structured-error", "wrong-fields", "html", "cut", "dropped"])
def test_one_of_the_two_calls_of_a_login_fails(make_watched: MakeWeb, evidence: Evidence, path: str, kind: str) -> None:
    web = make_watched(**hooks(evidence))
    visitor = begin(web, evidence, "login")
    callback = visitor.walk("login")

    with web.sandbox.hold(path) as held, ThreadPoolExecutor(1) as other:
        answer = other.submit(visitor.come_back, callback)
        held.arrived.wait()
        web.sandbox.fault(path, **FAULTS[kind](echo(web.sandbox, evidence)))
        held.release()

    # A profile may lack everything; then the login is good.
    assert answer.result().status >= 400 or (path, kind) == ("/v1/profile", "wrong-fields")
    assert_nothing_leaked(evidence, web)


def refuse(identity: Any, grant: Any) -> str:
    raise LoginRefused("not here")


def crash(identity: Any, grant: Any) -> str:
    raise RuntimeError(f"the app's own bug, with what it was given: {identity} {grant}")


def give_nonsense(identity: Any, grant: Any) -> Any:
    return object()


@pytest.mark.parametrize("on_login", [refuse, crash, give_nonsense], ids=lambda hook: hook.__name__)
def test_on_login_fails(make_watched: MakeWeb, evidence: Evidence, on_login: Any) -> None:
    web = make_watched(**hooks(evidence, on_login))
    visitor = begin(web, evidence, "login")
    callback = visitor.walk("login")

    assert visitor.come_back(callback).status in (403, 500)
    assert visitor.come_back(callback).status in (403, 500)

    assert_nothing_leaked(evidence, web)


def test_on_login_fails_when_it_is_repeated(make_watched: MakeWeb, evidence: Evidence) -> None:
    calls: list[object] = []

    def once(identity: Any, grant: Any) -> str:
        calls.append(identity)
        return "u1" if len(calls) == 1 else crash(identity, grant)

    web = make_watched(**hooks(evidence, once))
    visitor = begin(web, evidence, "login")
    callback = visitor.walk("login")

    assert visitor.ask(callback, site="cross-site").status == 303
    assert visitor.come_back(callback).status == 500

    assert len(calls) == 2
    assert_nothing_leaked(evidence, web)


@flows
def test_on_error_and_the_handlers_of_events_fail(make_watched: MakeWeb, evidence: Evidence, flow: FlowName) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    web = make_watched(link={"on_error": broken}, login={"on_error": broken})
    visitor = begin(web, evidence, flow)
    callback = visitor.walk(flow)
    web.sandbox.fault(CODE_PATH[flow], status=500, body=echo(web.sandbox, evidence))

    assert visitor.come_back(callback).status == 503

    assert_nothing_leaked(evidence, web)


@pytest.mark.catalogue("A3", "O1")
@flows
def test_callbacks_that_are_refused(make_watched: MakeWeb, evidence: Evidence, flow: FlowName) -> None:
    web = make_watched(**hooks(evidence))
    visitor = begin(web, evidence, flow)
    callback = visitor.walk(flow)
    sent = query_of(callback)
    state, code = sent["state"], sent["code"]
    other = Watched.watching(web, evidence)
    other.cookies |= {name: value for name, value in visitor.cookies.items() if name != LOOPBACK_COOKIE_NAME}
    path = callback_path(flow)

    answers: list[Got] = [
        other.come_back(callback),
        visitor.come_back(f"{path}?state={state}&state={state}&code={code}"),
        visitor.come_back(f"{path}?code={code}"),
        visitor.come_back(f"{path}?state={code}&code={state}"),
        visitor.come_back(f"{path}?state={state}x&code={code}"),
        visitor.come_back(f"/configure/x?state={state}&code={code}"),
        visitor.post(callback),
        visitor.ask(callback, method="DELETE", accept="application/json"),
        visitor.come_back(f"{path}?state={state}&code={code}%20{code}"),
        visitor.come_back(f"{path}?state={state}&code={code}"),
        visitor.come_back(f"{path}?state={visitor.cookies[LOOPBACK_COOKIE_NAME]}&code={code}"),
    ]

    assert all(400 <= got.status < 500 for got in answers), [got.status for got in answers]
    assert_nothing_leaked(evidence, web)


@pytest.mark.catalogue("C9")
@flows
@pytest.mark.parametrize("error", ["access_denied", "server_error", "invalid_scope"])
def test_configure_sends_an_error_along_with_a_code(
    make_watched: MakeWeb, evidence: Evidence, flow: FlowName, error: str
) -> None:
    web = make_watched(**hooks(evidence))
    visitor = begin(web, evidence, flow)
    callback = visitor.walk(flow)
    description = query_of(callback)["code"]

    got = visitor.come_back(f"{callback}&error={error}&error_description={description}")

    assert got.status in (303, 502, 503)
    assert_nothing_leaked(evidence, web)


@pytest.mark.parametrize("flow", first(["link", "login"]))
@pytest.mark.parametrize("adapter", first(["starlette", "flask"]), indirect=True)
def test_the_store_is_locked(make_watched: MakeWeb, evidence: Evidence, flow: FlowName) -> None:
    web = make_watched(**hooks(evidence))
    visitor = begin(web, evidence, flow)
    callback = visitor.walk(flow)

    with closing(sqlite3.connect(web.folder / "configure.db", isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        assert visitor.come_back(callback).status == 503
        lock.execute("ROLLBACK")

    assert visitor.come_back(callback).status == 303
    assert_nothing_leaked(evidence, web)


@pytest.mark.catalogue("O4")
@flows
def test_another_key_than_the_one_that_sealed(make_watched: MakeWeb, evidence: Evidence, flow: FlowName) -> None:
    web = make_watched(**hooks(evidence))
    visitor = begin(web, evidence, flow)
    assert visitor.come_back(visitor.walk(flow)).status == 303
    other_key = f"other-{TOKEN_KEY}"
    evidence.plant(other_key=other_key)

    # The agent is another one, so that the store is opened; its rows are this one's.
    with closing(sqlite3.connect(web.folder / "configure.db")) as database, database:
        database.execute(
            "UPDATE configure_accounts SET token = replace(token, substr(token, 1, 16), 'ffffffffffffffff')"
        )
    again = make_watched(folder=web.folder, **hooks(evidence))
    stranger = Watched.watching(again, evidence)
    stranger.cookies |= visitor.cookies

    assert stranger.ask("/token").status in (500, 502)
    assert_nothing_leaked(evidence, web)


def test_a_token_of_the_exchange_is_refused(make_watched: MakeWeb, evidence: Evidence) -> None:
    web = make_watched(**hooks(evidence))
    web.sandbox.variants.exchange_agent = "somebody-else"
    visitor = begin(web, evidence, "link")

    assert visitor.come_back(visitor.walk("link")).status == 502
    assert len(web.sandbox.calls_to("POST", EXCHANGE)) == 1

    assert_nothing_leaked(evidence, web)


LIVE_STATE = re.compile(r"[?&]state=[A-Za-z0-9_-]{65}")


class Failing:
    """A store of the app's own, one method of which raises an error of its own kind while `fails` says so."""

    def __init__(self, store: Any, fails: Callable[[str], bool]) -> None:
        self._store, self._fails = store, fails

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def method(*args: Any, **kwargs: Any) -> Any:
            if self._fails(name):
                raise RuntimeError("the store of the app")
            return found(*args, **kwargs)

        return method


def test_store_of_the_app_fails_at_each_operation(make_watched: MakeWeb, evidence: Evidence, tmp_path: Path) -> None:
    """No frame of what it raises has a live state or a new token in plain text."""
    failing: list[Callable[[str], bool]] = []
    options: dict[str, Any] = {"fingerprints": (), "folder": tmp_path, "awaited": False}
    opened = open_stores(f"sqlite:///{tmp_path / 'configure.db'}", agent="demo-agent", local=True, **options)
    stores = wrapped(opened, lambda store, _name: Failing(store, lambda name: any(one(name) for one in failing)))
    web = make_watched(stores={"store": stores}, **hooks(evidence))
    visitor, sandbox = begin(web, evidence, "login"), web.sandbox
    for method in ("put", "claim", "owner", "save", "finish"):
        failing[:] = [] if method != "put" else [lambda name: name == "put"]
        got = visitor.get("/auth/configure/sign-in")
        if method == "put":
            # Nobody got this state, and it is good for nothing yet; the next one might be.
            assert not [text for _, text in evidence.seen + evidence.ear.heard if LIVE_STATE.search(text)]
        if got.location is not None:
            failing[:] = [lambda name, method=method: name == method]  # type: ignore[misc]  # bound now
            visitor.come_back(visitor.walk_on(got.location))
            visitor.cookies.pop("session", None)
        failing.clear()
    assert visitor.come_back(visitor.walk("login")).status == 303
    sandbox.advance(3600)
    sent = len(sandbox.calls_to("POST", TOKEN))
    failing[:] = [lambda name: name == "update" and len(sandbox.calls_to("POST", TOKEN)) > sent]
    assert visitor.ask("/token").status == 500
    assert len(sandbox.calls_to("POST", TOKEN)) == sent + 1

    plant_what_configure_knows(evidence, sandbox)
    assert evidence.leaks() == []
    opened.close()
