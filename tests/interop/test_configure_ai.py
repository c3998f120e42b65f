"""Configure's own Python SDK beside this package: one links the account, the other speaks for the agent."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from flask import Flask, request
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from configure_auth import Configure, Settings
from configure_auth.sandbox import Person, Sandbox

from ..readme.document import block
from ..support.ports import free_port
from ..support.server_side import pages
from ..support.web import Adapter, Browser, Flow, Options, Web, running
from .python_sdk import PythonSdk, Step, python_sdk

pytestmark = pytest.mark.extended

__all__ = ["python_sdk"]

PHONE = "+15550100001"
KEYS = {"CONFIGURE_TOKEN_KEYS": "a key of the app and of its worker that is long enough"}
README_MARKER = "from configure_ai import"
README_PROGRAM = Path(__file__).parent / "readme_program.py"
SCOPES = ("profile.read", "profile.search", "profile.remember", "profile.commit")
TURN = [{"role": "user", "content": "A window seat, please"}, {"role": "assistant", "content": "Booked"}]

Client = Literal["plain", "async"]


@pytest.fixture
def ada(configure_sandbox: Sandbox) -> Person:
    return configure_sandbox.add_person(
        PHONE, name="Ada Lovelace", email="ada@example.com", preferences=("Window seats",), summary="Travels by train."
    )


@pytest.fixture(params=["flask", "starlette"])
def web(request: pytest.FixtureRequest, configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Web]:
    adapter: Adapter = request.param
    stores = {"store": f"sqlite:///{tmp_path / 'configure.db'}"}
    options = Options(stores=stores, settings=KEYS, customise=customise, login={"scopes": SCOPES})
    with running(adapter, configure_sandbox, tmp_path, options) as web:
        yield web


@pytest.fixture
def browser(web: Web) -> Iterator[Browser]:
    with web.browser() as browser:
        yield browser


def customise(app: Any, configure_auth: Any) -> None:
    """GET /token-of/<user>/<kind> and POST /tell/<user>, a fact for the profile of their connection."""
    pages()(app, configure_auth)
    if isinstance(app, Flask):

        @app.get("/token-of/<user_id>/<kind>")
        def token_of(user_id: str, kind: Any) -> str:
            return configure_auth.access_token_for(user_id, kind).reveal()  # type: ignore[no-any-return]

        @app.post("/tell/<user_id>")
        def tell(user_id: str) -> str:
            return configure_auth.profile_for(user_id).remember(request.get_data(as_text=True)).memory.id  # type: ignore[no-any-return]

        return

    async def awaited_token_of(request: Request) -> PlainTextResponse:
        user_id, kind = request.path_params["user_id"], request.path_params["kind"]
        return PlainTextResponse((await configure_auth.access_token_for(user_id, kind)).reveal())

    async def awaited_tell(request: Request) -> PlainTextResponse:
        profile = await configure_auth.profile_for(request.path_params["user_id"])
        return PlainTextResponse((await profile.remember((await request.body()).decode())).memory.id)

    app.router.routes += [
        Route("/token-of/{user_id}/{kind}", awaited_token_of),
        Route("/tell/{user_id}", awaited_tell, methods=["POST"]),
    ]


def token_of(browser: Browser, flow: Flow = "link") -> str:
    """What is stored for whoever connects now."""
    arrived = browser.come_back(browser.at_configure(browser.begin(flow), PHONE))
    assert arrived.is_redirect, arrived.text
    kind = {"link": "agent", "login": "oauth"}[flow]
    return browser.get(f"/token-of/{browser.who()}/{kind}").raise_for_status().text


def known(browser: Browser) -> list[str]:
    said: list[str] = browser.get("/known").raise_for_status().json()["memories"]
    return said


# What this package stored, in the hands of the SDK


@pytest.mark.parametrize("blocking", [None, "other"], ids=["as it is", "other scopes"])
@pytest.mark.parametrize("client", ["plain", "async"])
@pytest.mark.parametrize("flow", ["link", "login"])
def test_the_sdk_speaks_for_the_agent_with_the_stored_token(
    browser: Browser,
    python_sdk: PythonSdk,
    ada: Person,
    flow: Flow,
    client: Client,
    blocking: Literal["other"] | None,
) -> None:
    sandbox = browser.web.sandbox
    token = token_of(browser, flow)
    if blocking is not None:
        sandbox.variants.scopes_blocking = blocking

    read, remembered, found, committed, again = python_sdk.asked(
        sandbox.environment(),
        ("profile.read_profile", {"sections": ["identity", "preferences", "summary"]}),
        ("profile.remember", {"fact": "Likes window seats"}),
        ("profile.search_profile", {"query": "window"}),
        ("profile.commit", {"messages": TURN, "memories": ["Books for the morning"], "sync": True}),
        ("profile.search_profile", {}),
        token=token,
        client=client,
    )

    assert read["identity"] == {"name": "Ada Lovelace", "email": "ada@example.com", "phone_last4": "0001"}
    assert (read["preferences"], read["summary"], read["linked"]) == (["Window seats"], "Travels by train.", True)
    assert (remembered["saved"], remembered["fact"]) == (True, "Likes window seats")
    assert [hit["text"] for hit in found["results"]] == ["Likes window seats"]
    assert (committed["status"], len(committed["obligations_committed"])) == ("completed", 2)
    assert [hit["text"] for hit in again["results"]] == ["Books for the morning", "Likes window seats"]
    assert sandbox.memories(ada) == ("Likes window seats", "Books for the morning")


def test_each_reads_what_the_other_wrote(browser: Browser, python_sdk: PythonSdk, ada: Person) -> None:
    token = token_of(browser)
    memory = browser.http.post("/tell/u1", content="Likes tea").raise_for_status().text

    (found, written, gone) = python_sdk.asked(
        browser.web.sandbox.environment(),
        ("profile.search_profile", {"query": "tea"}),
        ("profile.remember", {"fact": "Has a cat"}),
        ("profile.forget", {"id": memory}),
        token=token,
    )

    assert [hit["id"] for hit in found["results"]] == [memory]
    assert (written["saved"], gone["deleted"], gone["id"]) == (True, True, memory)
    assert known(browser) == ["Has a cat"]


def test_a_removed_agent_is_refused_there_and_must_be_connected_again_here(
    browser: Browser, python_sdk: PythonSdk, ada: Person
) -> None:
    token = token_of(browser)
    sandbox = browser.web.sandbox
    sandbox.revoke_approval(ada)

    (read,) = python_sdk.asked(sandbox.environment(), ("profile.read_profile", {}), token=token)
    assert (read["error"]["code"], read["error"]["suggested_action"]) == ("AUTH_REQUIRED", "reauthenticate")

    # What the SDK was told stays with it; the next use of our own tells the app.
    connected = browser.account()
    assert connected is not None
    assert connected["needs_reconnect"] is False
    assert browser.get("/known").json()["code"] == "AUTH_REQUIRED"
    assert (browser.account() or {})["needs_reconnect"] is True


def test_a_token_s_scopes_hold_for_the_sdk(
    configure_sandbox: Sandbox, python_sdk: PythonSdk, ada: Person, tmp_path: Path
) -> None:
    options = Options(customise=customise)  # the login asks for the two scopes that it asks for by itself
    with running("flask", configure_sandbox, tmp_path, options) as web, web.browser() as browser:
        token = token_of(browser, "login")

    read, remembered = python_sdk.asked(
        configure_sandbox.environment(),
        ("profile.read_profile", {"sections": ["identity"]}),
        ("profile.remember", {"fact": "Likes tea"}),
        token=token,
    )

    assert read["identity"]["name"] == "Ada Lovelace"
    assert (remembered["error"]["code"], remembered["error"]["backend_code"]) == ("ACCESS_DENIED", "insufficient_scope")


def test_the_key_of_somebody_else_is_told_from_a_token_that_is_none(
    browser: Browser, python_sdk: PythonSdk, ada: Person
) -> None:
    token = token_of(browser)
    sandbox = browser.web.sandbox
    other = sandbox.add_agent("other-agent")
    foreign = sandbox.environment() | {"CONFIGURE_API_KEY": other.api_key, "CONFIGURE_AGENT": other.agent}
    read: Step = ("profile.read_profile", {})

    (theirs,) = python_sdk.asked(foreign, read, token=token)
    (wrong,) = python_sdk.asked(sandbox.environment() | {"CONFIGURE_API_KEY": "sk_wrong"}, read, token=token)
    (none,) = python_sdk.asked(sandbox.environment(), read, token="made up")

    told = [(said["error"]["code"], said["error"]["backend_code"]) for said in (theirs, wrong, none)]
    assert told == [
        ("ACCESS_DENIED", "agent_mismatch"),
        ("AUTH_REQUIRED", "api_key_invalid"),
        ("AUTH_REQUIRED", "token_invalid"),
    ]


# Users without a browser


@pytest.mark.parametrize("client", ["plain", "async"])
def test_a_user_without_a_browser_is_one_for_both(browser: Browser, python_sdk: PythonSdk, client: Client) -> None:
    external_id = browser.get("/external-id/7").raise_for_status().json()["external_id"]
    assert browser.http.post("/remember/7", content="Likes tea").json() == {"saved": True}

    read, found, written, committed, twice = python_sdk.asked(
        browser.web.sandbox.environment(),
        ("profile.read_profile", {}),
        ("profile.search_profile", {"query": "tea"}),
        ("profile.remember", {"fact": "Has a cat"}),
        ("profile.commit", {"memories": ["Lives in Leeds"], "sync": True}),
        ("profile.read_profile", {}),
        client=client,
        user_id=external_id,
    )

    assert (read["linked"], read["identity"]) == (False, {})
    assert [hit["text"] for hit in found["results"]] == ["Likes tea"]
    assert (written["saved"], committed["status"], committed["obligations_committed"]) == (True, "completed", [])
    assert twice["linked"] is False
    assert browser.get("/memories/7").json() == {"memories": ["Lives in Leeds", "Has a cat", "Likes tea"]}
    assert browser.get("/memories/8").json() == {"memories": []}


def test_what_was_kept_moves_to_who_proves_a_phone_to_the_sdk(
    browser: Browser, python_sdk: PythonSdk, ada: Person
) -> None:
    browser.sign_in_locally("u1")
    external_id = browser.get("/external-id").raise_for_status().json()["external_id"]
    browser.http.post("/remember/u1", content="Likes tea").raise_for_status()
    sandbox = browser.web.sandbox

    started, wrong, proved = python_sdk.asked(
        sandbox.environment(),
        ("auth.send_otp", {"phone": "+1 (555) 010-0001"}),
        ("auth.verify_otp", {"phone": PHONE, "code": "111111", "external_id": external_id}),
        ("auth.verify_otp", {"phone": PHONE, "code": "000000", "external_id": external_id}),
    )

    assert (started["ok"], wrong["error"]["backend_code"]) == (True, "invalid_code")
    assert proved["user_id"] == ada.user_id
    assert browser.get("/memories/u1").json() == {"memories": []}
    browser.link(PHONE)
    assert known(browser) == ["Likes tea"]


# What both manage


def test_message_lines_are_the_same_for_both(configure_sandbox: Sandbox, python_sdk: PythonSdk) -> None:
    line = {"phone": "+14155550100", "channel": "sms"}
    environment = configure_sandbox.environment()
    with Configure(Settings.from_mapping(environment)) as configure:
        registered, listed = python_sdk.asked(
            environment,
            ("auth.register_message_line", {**line, "label": "Travel"}),
            ("auth.list_message_lines", {}),
        )
        assert listed["lines"] == [registered["line"]]
        (ours,) = configure.auth.list_message_lines()
        assert (ours.id, ours.phone_last4, ours.label) == (registered["line"]["id"], "0100", "Travel")

        (revoked,) = python_sdk.asked(environment, ("auth.revoke_message_line", line))
        assert (revoked["deleted"], list(configure.auth.list_message_lines())) == (True, [])


# Its `verify`


@pytest.fixture
def callback(configure_sandbox: Sandbox) -> str:
    """A callback on a port that is free."""
    callback = f"http://127.0.0.1:{free_port()}/auth/configure/callback"
    configure_sandbox.register_redirect_uri(callback)
    return callback


def verify(sandbox: Sandbox, callback: str, **changes: str) -> tuple[list[str], dict[str, str]]:
    """The command, and the environment that a `.env` of the sandbox's settings makes."""
    command = ["-m", "configure_ai", "verify", "--redirect-uri", callback]
    return command, sandbox.environment() | changes


def marks(said: str) -> str:
    """What it thought of each check, in order: "+" is good, "-" is wrong, "." was left out."""
    return "".join({"✓": "+", "✗": "-"}.get(mark, ".") for mark in re.findall(r"^  (\S) ", said, re.MULTILINE))


def test_verify_is_content_without_a_browser(configure_sandbox: Sandbox, python_sdk: PythonSdk, callback: str) -> None:
    command, environment = verify(configure_sandbox, callback)

    done = python_sdk.run(*command, "--offline", environment=environment)

    assert (done.code, marks(done.stdout)) == (0, "+++.."), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("changes", "path", "found", "says"),
    [
        ({"CONFIGURE_API_KEY": "sk_of_nobody"}, "", "+-+..", "API key is not valid"),
        ({"CONFIGURE_OAUTH_CLIENT_ID": "oc_of_nobody"}, "", "++-..", "CONFIGURE_OAUTH_CLIENT_ID"),
        ({}, "/", "++-..", "not registered for this client"),
        ({"CONFIGURE_PUBLISHABLE_KEY": "sk_swapped"}, "", "-..", "should start with pk_"),
    ],
    ids=["key", "client", "callback", "prefix"],
)
def test_verify_finds_what_is_wrong_without_a_browser(
    configure_sandbox: Sandbox,
    python_sdk: PythonSdk,
    callback: str,
    changes: dict[str, str],
    path: str,
    found: str,
    says: str,
) -> None:
    command, environment = verify(configure_sandbox, callback + path, **changes)

    done = python_sdk.run(*command, "--offline", environment=environment)

    assert (done.code, marks(done.stdout)) == (1, found), done.stdout + done.stderr
    assert says in done.stdout


def signed_in(sandbox: Sandbox, python_sdk: PythonSdk, callback: str, **changes: str) -> tuple[str, int | None]:
    """What it thought of each check, and its exit code, with somebody at the browser."""
    command, environment = verify(sandbox, callback, **changes)
    with python_sdk.start(*command, "--no-browser", environment=environment) as process:
        assert process.stdout is not None
        said = ""
        while not (start := re.search(r"^Sign in to finish: (http\S+)$", said, re.MULTILINE)):
            line = process.stdout.readline()
            assert line, said
            said += line
        # It listens a moment after it said where to sign in.
        again = httpx2.HTTPTransport(retries=5, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        with httpx2.Client(transport=again) as browser:
            arrived = browser.get(sandbox.sign_in(start[1], PHONE))
        rest, _ = process.communicate(timeout=60)
    assert "complete" in arrived.text
    return marks(said + rest), process.returncode


def test_verify_signs_somebody_in_as_often_as_it_is_run(
    configure_sandbox: Sandbox, python_sdk: PythonSdk, callback: str
) -> None:
    for _ in range(2):
        assert signed_in(configure_sandbox, python_sdk, callback) == ("+++++", 0)


def test_verify_finds_a_stale_secret(configure_sandbox: Sandbox, python_sdk: PythonSdk, callback: str) -> None:
    stale = {"CONFIGURE_OAUTH_CLIENT_SECRET": "ocs_of_last_year"}

    assert signed_in(configure_sandbox, python_sdk, callback, **stale) == ("+++-.", 1)


# The README's own lines


def test_the_readme_s_lines_answer_with_both(browser: Browser, python_sdk: PythonSdk, ada: Person) -> None:
    """In a worker beside the web app: it shares the store and the keys, and has both packages."""
    token_of(browser)
    sandbox = browser.web.sandbox
    store = f"sqlite:///{browser.web.folder / 'configure.db'}"
    environment = {**sandbox.environment(browser.web.url), **KEYS, "CONFIGURE_STORE": store}

    done = python_sdk.run_beside_us(
        str(README_PROGRAM), "u1", "A window seat, please", environment=environment, stdin=block(README_MARKER).text
    )

    assert done.code == 0, done.stderr
    assert done.stdout.splitlines()[0] == "A window seat, please"
    assert "Ada Lovelace" in done.stdout
    assert sandbox.commits_owed == 0
