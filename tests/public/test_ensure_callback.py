"""`ensure_callback`: what an app tells Configure as it boots, on both frameworks, and that nothing gets past it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, assert_type, cast
from urllib.parse import urlsplit

import flask
import pytest
import trio
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request

from configure_auth import AsyncMessageAgent, MessageAgent, Registration, Settings, ensure_callback
from configure_auth.client.call import HttpCall
from configure_auth.flask import ConfigureAuth as OnFlask
from configure_auth.sandbox import Sandbox
from configure_auth.starlette import ConfigureAuth as OnStarlette
from configure_auth.stores.memory import memory_stores

URL = "https://app.example.com"
LINK, LOGIN = f"{URL}/configure/callback", f"{URL}/auth/configure/callback"
DESTINATIONS = "/v1/auth/sign-in/return-destinations"
BOTH: dict[str, dict[str, Any]] = {"account_link": {}, "login": {"on_login": lambda *_: "u1"}}

Made = OnFlask | OnStarlette
Make = Callable[..., Made]


def nobody(*_request: object) -> None:
    return None


@pytest.fixture(params=["flask", "starlette"])
def make(request: pytest.FixtureRequest, configure_sandbox: Sandbox) -> Make:
    """Makes the `ConfigureAuth` of an app, as far as it's made before a server starts."""
    apps: list[object] = []

    def made(
        routes: dict[str, dict[str, Any]] = BOTH, store: Any = None, **changes: str | None
    ) -> OnFlask | OnStarlette:
        given = {
            **configure_sandbox.environment(app_url=URL),
            "CONFIGURE_TOKEN_KEYS": "a key of the app to seal with 1+2",
            **changes,
        }
        settings = Settings.from_mapping(given)
        if request.param == "starlette":
            awaited = OnStarlette(settings, store=store or memory_stores(), user_id=nobody)
            for name, options in routes.items():
                getattr(awaited, name)(**options)
            return awaited
        blocking = OnFlask(settings, store=store or memory_stores(), user_id=nobody)
        app = Flask(__name__)
        blocking.init_app(app)
        for name, options in routes.items():
            app.register_blueprint(getattr(blocking, name)(**options))
        apps.append(app)
        return blocking

    return made


def boot(configure_auth: Made) -> tuple[Registration, ...]:
    """What an app has of it, in the way of its framework."""
    if isinstance(configure_auth, OnFlask):
        return ensure_callback(configure_auth)
    return asyncio.run(booted(configure_auth))


async def booted(configure_auth: OnStarlette) -> tuple[Registration, ...]:
    try:
        return await ensure_callback(configure_auth)
    finally:
        await configure_auth.aclose()


def client_of(configure_auth: Made) -> Any:
    return configure_auth.client if isinstance(configure_auth, OnStarlette) else configure_auth._everywhere()[0].client


def ends(done: tuple[Registration, ...]) -> list[tuple[str, str, str | None]]:
    return [(one.kind, one.end, one.callback) for one in done]


def test_both_callbacks_are_registered_and_said(
    make: Make, configure_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "configure_auth"):
        done = boot(make())

    assert ends(done) == [("return_to", "registered", LINK), ("redirect_uri", "registered", LOGIN)]
    assert configure_sandbox.return_destinations == (LINK,)
    assert configure_sandbox.redirect_uris == (LOGIN,)
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [
        (logging.INFO, f"registered: return_to {LINK}"),
        (logging.INFO, f"registered: redirect_uri {LOGIN}"),
    ]


def test_the_next_boot_finds_them_and_sends_nothing_new(make: Make, configure_sandbox: Sandbox) -> None:
    boot(make())
    again = boot(make())

    assert ends(again) == [("return_to", "already registered", LINK), ("redirect_uri", "already registered", LOGIN)]
    assert len(configure_sandbox.calls_to("POST", DESTINATIONS)) == 1


def test_it_adds_and_does_nothing_else(make: Make, configure_sandbox: Sandbox) -> None:
    configure_sandbox.register_redirect_uri("https://old.example.com/callback")
    configure_sandbox.register_return_to("https://old.example.com/back")
    boot(make())

    assert configure_sandbox.redirect_uris == ("https://old.example.com/callback", LOGIN)
    assert configure_sandbox.return_destinations == ("https://old.example.com/back", LINK)
    client = f"/v1/developer/oauth/clients/{configure_sandbox.credentials.client_id}"
    assert {(call.method, call.path) for call in configure_sandbox.calls} == {
        ("GET", DESTINATIONS),
        ("POST", DESTINATIONS),
        ("PATCH", client),
    }


def test_paths_of_the_apps_own_and_what_it_is_mounted_under_are_in_the_callbacks(
    make: Make, configure_sandbox: Sandbox
) -> None:
    routes = {"account_link": {"path": "/profile"}, "login": {**BOTH["login"], "path": "/enter"}}
    boot(make(routes, CONFIGURE_APP_URL=f"{URL}/shop/"))

    assert configure_sandbox.return_destinations == (f"{URL}/shop/profile/callback",)
    assert configure_sandbox.redirect_uris == (f"{URL}/shop/enter/callback",)


@pytest.mark.parametrize("there", ["account_link", "login"])
def test_what_the_app_does_not_have_is_skipped(
    make: Make, configure_sandbox: Sandbox, caplog: pytest.LogCaptureFixture, there: str
) -> None:
    with caplog.at_level(logging.INFO, "configure_auth"):
        done = boot(make({there: BOTH[there]}))

    absent = {"account_link": ("redirect_uri", "login"), "login": ("return_to", "account_link")}[there]
    (skipped,) = (one for one in done if one.end == "skipped")
    assert (skipped.kind, skipped.callback, skipped.why) == (absent[0], None, f"this app has no {absent[1]}(...)")
    assert [one.end for one in done if one is not skipped] == ["registered"]
    assert len(configure_sandbox.redirect_uris) + len(configure_sandbox.return_destinations) == 1
    assert {one.levelno for one in caplog.records} == {logging.INFO}


@pytest.mark.parametrize(
    ("routes", "changes", "why"),
    [({}, {}, "this app has no Configure routes"), (BOTH, {"CONFIGURE_APP_URL": None}, "set CONFIGURE_APP_URL to")],
)
def test_an_app_with_nothing_to_register_skips_both_and_calls_nobody(
    make: Make, configure_sandbox: Sandbox, routes: dict[str, Any], changes: dict[str, None], why: str
) -> None:
    done = boot(make(routes, **changes))

    assert ends(done) == [("return_to", "skipped", None), ("redirect_uri", "skipped", None)]
    assert all((one.why or "").startswith(why) for one in done)
    assert configure_sandbox.calls == []


# Trouble


TROUBLE: list[tuple[dict[str, Any], str]] = [
    ({"status": 400}, "belong together"),
    ({"status": 401}, "copy the secret key of the agent into CONFIGURE_API_KEY again"),
    ({"status": 403}, "belong together"),
    ({"status": 404}, "must belong to the account of CONFIGURE_API_KEY"),
    ({"status": 429}, "run this again when Configure can be reached"),
    ({"status": 500}, "run this again when Configure can be reached"),
    ({"status": 302, "headers": {"location": "https://elsewhere.example"}}, "see that CONFIGURE_BASE_URL"),
    ({"drop": True}, "run this again when Configure can be reached"),
    ({"status": 200, "body": "<html>", "content_type": "text/html"}, "see that CONFIGURE_BASE_URL"),
    ({"status": 200, "body": "[]", "content_type": "application/json"}, "see that CONFIGURE_BASE_URL"),
    ({"status": 200, "body": {}}, "see that CONFIGURE_BASE_URL"),
    ({"status": 200, "body": {"destination": 7, "redirect_uris": {}}}, "see that CONFIGURE_BASE_URL"),
    (
        # It says yes, and lists something else.
        {"status": 200, "body": {"destination": f"{LINK}/", "redirect_uris": [f"{LOGIN}/"], "changed": True}},
        "Configure accepted it, but doesn't list it",
    ),
    (
        {"status": 200, "body": {"destination": LINK, "deleted": True, "redirect_uris": [], "changed": False}},
        "Configure accepted it, but doesn't list it",
    ),
]


@pytest.mark.parametrize(("trouble", "mend"), TROUBLE)
@pytest.mark.parametrize("kind", ["return_to", "redirect_uri"])
def test_a_failure_says_how_to_mend_it_and_leaves_the_other_one_alone(
    make: Make,
    configure_sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    trouble: dict[str, Any],
    mend: str,
) -> None:
    client = f"/v1/developer/oauth/clients/{configure_sandbox.credentials.client_id}"
    path, method = {"return_to": (DESTINATIONS, "POST"), "redirect_uri": (client, "PATCH")}[kind]
    configure_sandbox.fault(path, method=method, **trouble)
    with caplog.at_level(logging.INFO, "configure_auth"):
        done = boot(make())

    (failed,) = (one for one in done if one.kind == kind)
    (other,) = (one for one in done if one.kind != kind)
    assert (failed.end, other.end) == ("failed", "registered")
    assert mend in (failed.why or "")
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING] == [str(failed)]
    assert str(failed).startswith(f"failed: {kind} {URL}/")
    assert_tells_nothing(configure_sandbox, caplog, done)


def test_a_list_that_says_nothing_of_ours_or_that_it_is_deleted_is_not_believed(
    make: Make, configure_sandbox: Sandbox
) -> None:
    listed = {"destinations": [{"destination": LINK, "deleted": True}, {"destination": f"{LINK}/"}]}
    configure_sandbox.fault(DESTINATIONS, method="GET", status=200, body=listed)

    assert boot(make())[0].end == "registered"
    assert configure_sandbox.return_destinations == (LINK,)


def test_configure_out_of_reach_ends_in_two_sentences(
    make: Make, configure_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = boot(make(CONFIGURE_BASE_URL=f"http://127.0.0.1:{port}"))

    assert [one.end for one in done] == ["failed", "failed"]
    assert all("Configure can't be reached (ConnectionRefusedError); run this again" in (one.why or "") for one in done)
    assert_tells_nothing(configure_sandbox, caplog, done)


class Impatient:
    """A transport that gives up soon on one path, and has its own deadline for any other."""

    def __init__(self, transport: Any, path: str) -> None:
        self._transport = transport
        self._path = path
        self._timeout = transport.timeout

    def send(self, call: HttpCall[Any], **how: Any) -> Any:
        # It is read as the call begins, and no two calls are under way at once.
        self._transport.timeout = 0.2 if urlsplit(call.url).path == self._path else self._timeout
        return self._transport.send(call, **how)

    async def aclose(self) -> None:
        await self._transport.aclose()


def test_no_answer_ends_with_the_clients_deadline(make: Make, configure_sandbox: Sandbox) -> None:
    configure_auth = make()
    client = client_of(configure_auth)
    client._transport = Impatient(client._transport, DESTINATIONS)
    with configure_sandbox.hold(DESTINATIONS):
        done = boot(configure_auth)

    assert [one.end for one in done] == ["failed", "registered"]
    assert (done[0].why or "").startswith("Configure didn't respond in time; run this again")


def test_an_older_key_is_not_sent_to_change_a_client(
    make: Make, configure_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    done = boot(make(CONFIGURE_API_KEY="cfg_an_older_key"))

    assert [one.end for one in done] == ["failed", "failed"]
    assert "set CONFIGURE_API_KEY to one with sk_" in (done[1].why or "")
    assert not any(call.method == "PATCH" for call in configure_sandbox.calls)
    assert "cfg_an_older_key" not in caplog.text + repr(done)


@pytest.mark.parametrize("app_url", ["http://[::1]:3000", "http://127.0.0.2:3000"])
def test_a_redirect_uri_that_configure_refuses_is_said_before_it_is_sent(
    make: Make, configure_sandbox: Sandbox, app_url: str
) -> None:
    done = boot(make(CONFIGURE_APP_URL=app_url))

    assert (done[1].end, done[1].callback) == ("failed", f"{app_url}/auth/configure/callback")
    assert "must be https, or http on localhost or 127.0.0.1; CONFIGURE_APP_URL" in (done[1].why or "")
    assert "run this again" not in (done[1].why or "")
    assert not any(call.method == "PATCH" for call in configure_sandbox.calls)


@pytest.mark.parametrize("app_url", ["http://localhost:3000", "http://127.0.0.1:3000"])
def test_on_loopback_a_callback_is_registered(make: Make, configure_sandbox: Sandbox, app_url: str) -> None:
    assert [one.end for one in boot(make(CONFIGURE_APP_URL=app_url))] == ["registered", "registered"]


@pytest.mark.parametrize("path", ["/sign*in", "/sign#in"])
def test_a_path_that_no_redirect_uri_can_have_is_said_before_it_is_sent(
    make: Make, configure_sandbox: Sandbox, path: str
) -> None:
    (_link, login) = boot(make({"login": {**BOTH["login"], "path": path}}))

    assert (login.end, "has a space, a wildcard, a fragment" in (login.why or "")) == ("failed", True)
    assert configure_sandbox.calls == []


def test_a_store_that_is_out_is_not_asked(make: Make, configure_sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = boot(make(store=f"postgresql://nobody@127.0.0.1:{port}/nothing"))

    assert [one.end for one in done] == ["registered", "registered"]


class Broken:
    """A transport that raises."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def send(self, *_: object, **__: object) -> Any:
        raise self._error

    async def aclose(self) -> None:
        return None


def test_an_error_that_nobody_thought_of_is_named_and_not_quoted(
    make: Make, configure_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    configure_auth = make()
    secret = configure_sandbox.credentials.api_key
    client_of(configure_auth)._transport = Broken(ZeroDivisionError(f"divided {secret}"))
    done = boot(configure_auth)

    assert [one.end for one in done] == ["failed", "failed"]
    assert all((one.why or "").startswith("ZeroDivisionError, which is unexpected") for one in done)
    assert_tells_nothing(configure_sandbox, caplog, done)


def test_an_error_that_nobody_thought_of_leaves_the_other_callback_alone(
    make: Make, configure_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("configure_auth.flows.registration.return_destinations", broken)

    assert [one.end for one in boot(make())] == ["failed", "registered"]
    assert configure_sandbox.redirect_uris == (LOGIN,)


def test_not_even_a_flow_that_cannot_begin_gets_through(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Any:
        raise ZeroDivisionError

    configure_auth = make()
    monkeypatch.setattr(configure_auth, "_ensure_callback", broken)

    assert [(one.end, one.callback) for one in boot(configure_auth)] == [("failed", None)] * 2


def test_an_interruption_gets_through(make: Make) -> None:
    configure_auth = make()
    client_of(configure_auth)._transport = Broken(KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        boot(configure_auth)


class OfTheRequest(logging.Filter):
    """What Flask's own documentation shows, for log lines of requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.address = flask.request.remote_addr
        return True


@pytest.mark.parametrize("where", ["configure_auth", ""])
def test_a_log_that_can_be_written_in_requests_only_stops_nothing(
    make: Make, configure_sandbox: Sandbox, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    kept = OfTheRequest()
    of = logging.getLogger(where) if where else caplog.handler
    of.addFilter(kept)
    try:
        with caplog.at_level(logging.INFO, "configure_auth"):
            done, given_up = boot(make()), ensure_callback(cast(Any, None))
    finally:
        of.removeFilter(kept)

    assert ends(done) == [("return_to", "registered", LINK), ("redirect_uri", "registered", LOGIN)]
    assert configure_sandbox.redirect_uris == (LOGIN,)
    assert [one.end for one in given_up] == ["failed", "failed"]


def test_a_log_that_fails_once_has_the_next_line(
    make: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(record: logging.LogRecord) -> bool:
        if "return_to" in record.getMessage():
            raise ZeroDivisionError
        return True

    monkeypatch.setattr(caplog.handler, "filters", [broken])
    with caplog.at_level(logging.INFO, "configure_auth"):
        boot(make())

    assert [one.getMessage() for one in caplog.records] == [f"registered: redirect_uri {LOGIN}"]


KEYS = {
    "CONFIGURE_API_KEY": "sk_test_key",
    "CONFIGURE_AGENT": "demo-agent",
    "CONFIGURE_APP_URL": URL,
    "CONFIGURE_TOKEN_KEYS": "a key of the app to seal with 1+2",
}
OTHERS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "anything": object,
    "a word": lambda: "configure",
    "a class": lambda: OnFlask,
    "a bot": lambda: MessageAgent(Settings.from_mapping(KEYS), store=memory_stores()),
    "a bot that is awaited": lambda: AsyncMessageAgent(Settings.from_mapping(KEYS), store=memory_stores()),
}


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_something_else_is_a_failure_and_no_error(other: Callable[[], Any], awaited: bool) -> None:
    async def waiting() -> Any:
        return await ensure_callback(other())

    done: Any = asyncio.run(waiting()) if awaited else ensure_callback(other())

    assert isinstance(done, tuple)
    assert [one.end for one in done] == ["failed", "failed"]
    assert {one.why for one in done} == {"ensure_callback takes the app's ConfigureAuth"}


def assert_tells_nothing(sandbox: Sandbox, caplog: pytest.LogCaptureFixture, done: tuple[Registration, ...]) -> None:
    told = caplog.text + repr(done) + "".join(map(str, done))
    credentials = sandbox.credentials
    assert credentials.api_key not in told
    assert credentials.client_secret not in told
    assert all(len(record.getMessage().splitlines()) == 1 for record in caplog.records)


# Many at once


def test_workers_that_boot_together_register_once_and_without_an_error(make: Make, configure_sandbox: Sandbox) -> None:
    workers = [make() for _ in range(8)]
    with configure_sandbox.hold(DESTINATIONS, method="POST") as held, ThreadPoolExecutor(8) as pool:
        boots = [pool.submit(boot, configure_auth) for configure_auth in workers]
        # All of them have seen that it isn't there.
        held.arrived.wait(8)
        held.release()
        done = [one.result() for one in boots]

    assert {end for one in done for _, end, _ in ends(one)} == {"registered", "already registered"}
    assert [end for one in done for kind, end, _ in ends(one) if kind == "redirect_uri"].count("registered") == 1
    assert configure_sandbox.return_destinations == (LINK,)
    assert configure_sandbox.redirect_uris == (LOGIN,)


# Flask


class TestOnFlask:
    @pytest.fixture
    def configure_auth(self) -> OnFlask:
        return OnFlask(store=memory_stores(), user_id=nobody)

    def app(self, configure_auth: OnFlask, sandbox: Sandbox, url: str) -> Flask:
        app = Flask(__name__)
        app.config.update(sandbox.environment(app_url=url), CONFIGURE_TOKEN_KEYS="a key of the app to seal with 1+2")
        configure_auth.init_app(app)
        app.register_blueprint(configure_auth.account_link())
        return app

    def test_every_app_that_it_serves_is_registered(self, configure_auth: OnFlask, configure_sandbox: Sandbox) -> None:
        apps = [self.app(configure_auth, configure_sandbox, f"https://{name}.example.com") for name in "ab"]
        callbacks = [f"https://{name}.example.com/configure/callback" for name in "ab"]

        done = ensure_callback(configure_auth)

        assert len(apps) == 2
        assert [one.callback for one in done if one.kind == "return_to"] == callbacks
        assert configure_sandbox.return_destinations == tuple(callbacks)

    def test_in_a_context_it_is_the_app_of_the_context(
        self, configure_auth: OnFlask, configure_sandbox: Sandbox
    ) -> None:
        first, second = (self.app(configure_auth, configure_sandbox, f"https://{name}.example.com") for name in "ab")
        with second.app_context():
            ensure_callback(configure_auth)

        assert first is not second
        assert configure_sandbox.return_destinations == ("https://b.example.com/configure/callback",)

    def test_an_app_that_is_gone_is_not_kept(self, configure_auth: OnFlask, configure_sandbox: Sandbox) -> None:
        kept = self.app(configure_auth, configure_sandbox, "https://a.example.com")
        self.app(configure_auth, configure_sandbox, "https://b.example.com")
        gc.collect()
        ensure_callback(configure_auth)

        assert kept.extensions
        assert configure_sandbox.return_destinations == ("https://a.example.com/configure/callback",)

    def test_before_it_is_in_an_app_it_says_what_to_call(
        self, configure_auth: OnFlask, caplog: pytest.LogCaptureFixture
    ) -> None:
        done = ensure_callback(configure_auth)
        with Flask(__name__).app_context():
            elsewhere = ensure_callback(configure_auth)

        assert {one.end for one in done + elsewhere} == {"failed"}
        assert all("call configure_auth.init_app(app)" in (one.why or "") for one in done + elsewhere)
        assert len(caplog.records) == 4


# Starlette


class TestOnStarlette:
    @pytest.fixture
    def configure_auth(self, configure_sandbox: Sandbox) -> OnStarlette:
        given = {
            **configure_sandbox.environment(app_url=URL),
            "CONFIGURE_TOKEN_KEYS": "a key of the app to seal with 1+2",
        }
        return OnStarlette(Settings.from_mapping(given), store=memory_stores(), session=False, user_id=nobody)

    def test_an_app_awaits_it_in_its_lifespan(self, configure_auth: OnStarlette, configure_sandbox: Sandbox) -> None:
        @contextlib.asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncGenerator[None]:
            async with configure_auth.lifespan(app):
                await ensure_callback(configure_auth)
                yield

        app = Starlette(routes=[configure_auth.account_link()], lifespan=lifespan)

        async def serve() -> None:
            async with app.router.lifespan_context(app):
                assert configure_sandbox.return_destinations == (LINK,)

        asyncio.run(serve())

    def test_trio_does_as_well(self, configure_auth: OnStarlette, configure_sandbox: Sandbox) -> None:
        configure_auth.account_link()

        assert trio.run(booted, configure_auth)[0].end == "registered"

    def test_a_cancellation_gets_through(self, configure_auth: OnStarlette, configure_sandbox: Sandbox) -> None:
        configure_auth.account_link()

        async def cut_off() -> None:
            task = asyncio.create_task(booted(configure_auth))
            with configure_sandbox.hold(DESTINATIONS) as held:
                await asyncio.to_thread(held.arrived.wait)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(cut_off())


if TYPE_CHECKING:

    async def typed(on_flask: OnFlask, on_starlette: OnStarlette, request: Request) -> None:
        assert_type(ensure_callback(on_flask), tuple[Registration, ...])
        assert_type(await ensure_callback(on_starlette), tuple[Registration, ...])
        ensure_callback(partial(nobody))  # type: ignore[call-overload]
