"""Every mistake in a set-up is named where it was made, with the way out, and is named once."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from configure_auth.sandbox import Sandbox

from ..support.stores import first
from .setups import APP_URL, LINK, LOGIN, SetUp, skipped_for

PRODUCTION = "https://shop.example.com"
CLIENTS = "/v1/developer/oauth/clients"
_FORBIDDEN = {"error": {"type": "permission_error", "code": "forbidden", "message": "not with this key"}}


@dataclass(frozen=True)
class Mistake:
    """How a set-up is spoilt, and what must be said of it.

    `ends` are all the checks that neither pass nor are skipped; `found` and `remedy` are words of the first one's.
    `reasons` are of checks that are skipped though nothing that they need is wrong.
    """

    name: str
    plant: Callable[[SetUp], None]
    ends: Mapping[str, str]
    found: str
    remedy: str
    code: int = 1
    reasons: Mapping[str, str] = field(default_factory=dict)


def _set(**variables: str | None) -> Callable[[SetUp], None]:
    return lambda setup: setup.change(**variables)


def _of_other(*names: str) -> Callable[[SetUp], None]:
    def plant(setup: SetUp) -> None:
        setup.sandbox.add_agent("other-agent")
        others = setup.sandbox.environment(agent="other-agent")
        setup.change(**{name: others[name] for name in names})

    return plant


def _swapped(first: str, second: str) -> Callable[[SetUp], None]:
    return lambda setup: setup.change(**{first: setup.variables[second], second: setup.variables[first]})


def _quoted(name: str) -> Callable[[SetUp], None]:
    return lambda setup: setup.change(**{name: f'"{setup.variables[name]}"'})


def _instead(name: str, other: str, more: str = "") -> Callable[[SetUp], None]:
    return lambda setup: setup.change(**{name: setup.variables[other] + more})


def _registered(*redirect_uris: str, return_to: tuple[str, ...] = (APP_URL + LINK,)) -> Callable[[SetUp], None]:
    """Only these, instead of what the app's own addresses are."""

    def plant(setup: SetUp) -> None:
        setup.sandbox.reset()
        for uri in redirect_uris:
            setup.sandbox.register_redirect_uri(uri)
        for uri in return_to:
            setup.sandbox.register_return_to(uri)

    return plant


def _arguments(*arguments: str) -> Callable[[SetUp], None]:
    def plant(setup: SetUp) -> None:
        setup.arguments = arguments

    return plant


def _dead(name: str) -> Callable[[SetUp], None]:
    def plant(setup: SetUp) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        setup.change(**{name: f"http://127.0.0.1:{port}"})

    return plant


def _in_production(*, and_then: Callable[[SetUp], None]) -> Callable[[SetUp], None]:
    def plant(setup: SetUp) -> None:
        setup.move_to(PRODUCTION)
        and_then(setup)

    return plant


def _without_the_list(and_then: Callable[[SetUp], None]) -> Callable[[SetUp], None]:
    """Configure may not show this key what is registered."""

    def plant(setup: SetUp) -> None:
        and_then(setup)
        setup.sandbox.fault(CLIENTS, status=403, body=_FORBIDDEN)

    return plant


def _two_agents_of_one_account(setup: SetUp) -> None:
    other = setup.sandbox.add_agent("other-agent")
    setup.change(CONFIGURE_OAUTH_CLIENT_ID=other.client_id, CONFIGURE_OAUTH_CLIENT_SECRET=other.client_secret)
    mine = setup.sandbox.credentials
    clients = [{"client_id": keys.client_id, "agent": keys.agent} for keys in (mine, other)]
    setup.sandbox.fault(CLIENTS, body={"clients": clients})


def _rotated(setup: SetUp) -> None:
    setup.sandbox.rotate_api_key()


def _without_a_scope(setup: SetUp) -> None:
    setup.sandbox.register_scopes("profile.search")


def _by_another_name(setup: SetUp) -> None:
    setup.change(CONFIGURE_BASE_URL=setup.variables["CONFIGURE_BASE_URL"].replace("127.0.0.1", "localhost"))


_KEY, _PUBLISHABLE, _AGENT = "CONFIGURE_API_KEY", "CONFIGURE_PUBLISHABLE_KEY", "CONFIGURE_AGENT"
_ID, _SECRET = "CONFIGURE_OAUTH_CLIENT_ID", "CONFIGURE_OAUTH_CLIENT_SECRET"
_NOWHERE = "needs: CONFIGURE_APP_URL, which the callbacks are below"
_APP, _KEYS, _SSO = "CONFIGURE_APP_URL", "CONFIGURE_TOKEN_KEYS", "CONFIGURE_SSO_REDIRECT_URI"
_API, _ACCOUNTS, _SIGN_IN, _SCRIPT = (f"CONFIGURE_{name}_URL" for name in ("BASE", "ACCOUNTS", "SIGN_IN", "SCRIPT"))
_NOT_LISTED = {"callback": "Configure doesn't list OAuth clients for this key; authorize is checked next"}
_CALLBACK = {"callback": "failed"}
_FAILED_KEY = {"api_key": "failed"}


def _near(name: str, registered: str, words: str) -> Mistake:
    return Mistake(name, _registered(registered), _CALLBACK, words, "must be identical")


def _malformed(name: str, variable: str, value: str, found: str = "", remedy: str = "") -> Mistake:
    return Mistake(name, _set(**{variable: value}), {variable: "failed"}, found, remedy or variable)


MISTAKES = (
    # keys
    Mistake(
        "a wrong key", _set(CONFIGURE_API_KEY="sk_live_wrongly-copied"), _FAILED_KEY, "doesn't know this key", _KEY
    ),
    Mistake("a rotated key", _rotated, _FAILED_KEY, "revoked or rotated", "configure.dev/login"),
    Mistake("pk_ for sk_", _instead(_KEY, _PUBLISHABLE), {_KEY: "failed"}, f"as {_PUBLISHABLE} does", "sk_"),
    Mistake("sk_ for pk_", _instead(_PUBLISHABLE, _KEY), {_PUBLISHABLE: "failed"}, f"as {_KEY} does", "pk_"),
    Mistake("oc_ and ocs_ swapped", _swapped(_ID, _SECRET), {_ID: "failed", _SECRET: "failed"}, _SECRET, "oc_"),
    Mistake("no key", _set(CONFIGURE_API_KEY=None), {_KEY: "failed"}, "isn't set", "dashboard"),
    Mistake("a blank key", _set(CONFIGURE_API_KEY="  "), {_KEY: "failed"}, "isn't set", "dashboard"),
    Mistake("no client id", _set(CONFIGURE_OAUTH_CLIENT_ID=None), {_ID: "failed"}, f"but {_SECRET} is", "dashboard"),
    Mistake(
        "no client secret", _set(CONFIGURE_OAUTH_CLIENT_SECRET=None), {_SECRET: "failed"}, f"but {_ID} is", "dashboard"
    ),
    Mistake("another agent's key", _of_other(_KEY), {"agent": "failed"}, "doesn't belong to", _AGENT),
    Mistake("quotes around a key", _quoted(_KEY), {_KEY: "failed"}, "quotation mark", "sk_"),
    Mistake("quotes around a secret", _quoted(_SECRET), {_SECRET: "failed"}, "quotation mark", "ocs_"),
    _malformed("a space in a key", _KEY, "sk_live_with a-space"),
    # the agent
    Mistake("no agent", _set(CONFIGURE_AGENT=None), {_AGENT: "failed"}, "isn't set", "dashboard"),
    Mistake("another agent's handle", _of_other(_AGENT), {"agent": "failed"}, "other-agent", _AGENT),
    Mistake("nobody's handle", _set(CONFIGURE_AGENT="nobodys-agent"), {"agent": "failed"}, "nobodys-agent", _AGENT),
    _malformed("a capital in the handle", _AGENT, "Demo-Agent", remedy="lowercase"),
    _malformed("a reserved handle", _AGENT, "dashboard", remedy="reserved"),
    Mistake("quotes around the handle", _quoted(_AGENT), {_AGENT: "failed"}, "quotation mark", _AGENT),
    # the OAuth client
    Mistake("another agent's client", _of_other(_ID, _SECRET), _CALLBACK, "has no OAuth client", "the same account"),
    Mistake(
        "a client of two agents' account", _two_agents_of_one_account, _CALLBACK, "agent other-agent", "of one agent"
    ),
    Mistake("a wrong client", _set(CONFIGURE_OAUTH_CLIENT_ID="oc_wrong"), _CALLBACK, "oc_wrong", "the same account"),
    Mistake(
        "a wrong client that nobody lists",
        _without_the_list(_set(CONFIGURE_OAUTH_CLIENT_ID="oc_wrong")),
        {"authorize": "failed"},
        "doesn't know the OAuth client",
        _ID,
        reasons=_NOT_LISTED,
    ),
    Mistake("a scope too many", _without_a_scope, {"authorize": "failed"}, "profile.read", "scope"),
    # the login's callback
    _near("a slash at the callback's end", f"{APP_URL}{LOGIN}/", "the trailing slash"),
    _near("another port", f"http://localhost:8000{LOGIN}", "differs in the port"),
    _near("127.0.0.1 for localhost", f"http://127.0.0.1:3000{LOGIN}", "differs in the host"),
    _near("https for http", f"https://localhost:3000{LOGIN}", "differs in the scheme"),
    _near("capitals in the path", f"{APP_URL}/auth/Configure/callback", "upper and lower case in the path"),
    _near("a query", f"{APP_URL}{LOGIN}?from=configure", "differs in the query"),
    _near("the callback of a scaffold", f"{APP_URL}/api{LOGIN}", "differs in the path"),
    Mistake(
        "another callback",
        _registered("https://x.example.com/back"),
        _CALLBACK,
        "nor anything similar",
        "configure.dev",
    ),
    Mistake("no callback", _registered(), _CALLBACK, "nor anything similar", "register-callback"),
    Mistake(
        "a callback that nobody lists",
        _without_the_list(_registered(f"{APP_URL}{LOGIN}/")),
        {"authorize": "failed"},
        f"isn't registered for {APP_URL}{LOGIN}",
        "register-callback",
        reasons=_NOT_LISTED,
    ),
    Mistake("another login path", _arguments("--login-path", "/login"), _CALLBACK, "/login/callback", "path="),
    Mistake(
        "a callback of its own", _set(CONFIGURE_SSO_REDIRECT_URI=f"{APP_URL}/sso"), _CALLBACK, f"{APP_URL}/sso", _SSO
    ),
    _malformed("a callback over http", _SSO, f"http://shop.example.com{LOGIN}", remedy="loopback only"),
    # the link's way back
    Mistake(
        "another link path", _arguments("--link-path", "/link"), {"return_to": "failed"}, "/link/callback", "path="
    ),
    Mistake(
        "another port of the link",
        _registered(APP_URL + LOGIN, return_to=(f"http://localhost:8000{LINK}",)),
        {"return_to": "failed"},
        "differs in the port",
        "register-callback",
    ),
    # where the app is
    _malformed("http in production", _APP, "http://shop.example.com", remedy="loopback only"),
    _malformed("one slash", _APP, "https:/shop.example.com", remedy="absolute https URL"),
    _malformed("no scheme", _APP, "shop.example.com", remedy="absolute https URL"),
    _malformed("a query in the app's URL", _APP, "https://shop.example.com?x=1", remedy="a query"),
    Mistake(
        "no app URL",
        _set(CONFIGURE_APP_URL=None),
        {_APP: "warned"},
        "localhost only",
        "https URL",
        code=0,
        reasons=dict.fromkeys(("callback", "authorize", "accounts", "return_to"), _NOWHERE),
    ),
    # what seals the tokens
    _malformed("a short token key", _KEYS, "a-key-too-short", remedy="32 characters"),
    Mistake(
        "token keys that can be guessed",
        _set(CONFIGURE_TOKEN_KEYS="changeme" * 4),
        {_KEYS: "warned"},
        "repeats a few characters",
        "make a key",
        code=0,
    ),
    Mistake(
        "token keys that can be guessed in production",
        _in_production(and_then=_set(CONFIGURE_TOKEN_KEYS="a" * 32)),
        {_KEYS: "failed"},
        "repeats a few characters",
        "make a key",
    ),
    Mistake("no token keys", _set(CONFIGURE_TOKEN_KEYS=None), {_KEYS: "warned"}, "SECRET_KEY", "make a key", code=0),
    Mistake(
        "no token keys in production",
        _in_production(and_then=_set(CONFIGURE_TOKEN_KEYS=None)),
        {_KEYS: "failed"},
        "encrypt the stored tokens",
        "make a key",
    ),
    # where Configure is
    Mistake("the API at accounts", _instead(_API, _ACCOUNTS), _FAILED_KEY, "isn't Configure's API", _API),
    Mistake("the API at the sign-in", _instead(_API, _SIGN_IN), _FAILED_KEY, "isn't Configure's API", _API),
    Mistake("API and accounts swapped", _swapped(_API, _ACCOUNTS), _FAILED_KEY, "isn't Configure's API", _API),
    Mistake("API and sign-in swapped", _swapped(_API, _SIGN_IN), _FAILED_KEY, "isn't Configure's API", _API),
    Mistake("a path after the API", _instead(_API, _API, "/v1"), _FAILED_KEY, "isn't Configure's API", _API),
    Mistake("the API by another name", _by_another_name, {"authorize": "failed"}, "rejects the request", _API),
    Mistake(
        "accounts at the sign-in", _instead(_ACCOUNTS, _SIGN_IN), {"accounts": "failed"}, "no such page", _ACCOUNTS
    ),
    Mistake(
        "accounts and sign-in swapped",
        _swapped(_ACCOUNTS, _SIGN_IN),
        {"accounts": "failed", "sign_in_page": "failed"},
        "no such page",
        _ACCOUNTS,
    ),
    Mistake("the sign-in at the API", _instead(_SIGN_IN, _API), {"sign_in_page": "failed"}, "no such page", _SIGN_IN),
    Mistake("the script at accounts", _instead(_SCRIPT, _ACCOUNTS), {"script": "failed"}, "no such page", _SCRIPT),
    _malformed("half a URL of the API", _API, "http:/127.0.0.1:4010"),
    _malformed("half a URL of accounts", _ACCOUNTS, "127.0.0.1:4011"),
    _malformed("a page for the sign-in", _SIGN_IN, "http://127.0.0.1:4012/demo-agent", remedy="a path"),
    _malformed("the script itself", _SCRIPT, "http://127.0.0.1:4012/js/configure.js", remedy="a path"),
    Mistake("a dead API", _dead(_API), {"api_key": "unknown"}, "no response from", _API, code=3),
    Mistake("dead accounts", _dead(_ACCOUNTS), {"accounts": "unknown"}, "no response from", _ACCOUNTS, code=3),
    Mistake("a dead sign-in", _dead(_SIGN_IN), {"sign_in_page": "unknown"}, "no response from", _SIGN_IN, code=3),
    Mistake("a dead script", _dead(_SCRIPT), {"script": "unknown"}, "no response from", _SCRIPT, code=3),
    # names
    Mistake(
        "a misspelled name",
        _set(CONFIGURE_OAUTH_CLIENT_SECERT="ocs_anything-at-all"),
        {"CONFIGURE_OAUTH_CLIENT_SECERT": "warned"},
        "unknown variable",
        _SECRET,
        code=0,
    ),
    Mistake(
        "a misspelled name, and so a missing value",
        _in_production(and_then=lambda setup: setup.change(CONFIGURE_TOKEN_KEY="k" * 40, CONFIGURE_TOKEN_KEYS=None)),
        {_KEYS: "failed", "CONFIGURE_TOKEN_KEY": "warned"},
        "isn't set",
        "make a key",
    ),
)


def test_a_set_up_that_is_all_right_passes(setup: SetUp) -> None:
    told = setup.verify()

    assert (told.code, told.stderr, told.troubles, told.reasons) == (0, "", {}, {})
    assert {"CONFIGURE_API_KEY", "api_key", "agent", "callback", "authorize", "accounts", "return_to"} < set(
        told.checks
    )


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_named_once_with_the_way_out(mistake: Mistake, setup: SetUp) -> None:
    mistake.plant(setup)

    told = setup.verify()

    assert (told.code, told.stderr) == (mistake.code, "")
    assert told.troubles == mistake.ends
    assert skipped_for(told, mistake.reasons), told.reasons
    named = told.checks[next(iter(mistake.ends))]
    assert mistake.found in named["found"]
    assert mistake.remedy in named["remedy"]


AS_PROGRAM = (
    "a rotated key",
    "oc_ and ocs_ swapped",
    "a slash at the callback's end",
    "a misspelled name",
    "a dead API",
)


@pytest.mark.parametrize(
    "mistake", first(mistake for mistake in MISTAKES if mistake.name in AS_PROGRAM), ids=lambda mistake: mistake.name
)
def test_the_program_says_the_same_in_lines(mistake: Mistake, setup: SetUp) -> None:
    mistake.plant(setup)

    as_json, in_lines = setup.verify(), setup.run("--offline")

    assert (in_lines.code, in_lines.stderr) == (mistake.code, "")
    lines = in_lines.stdout.splitlines()
    for check in as_json.checks.values():
        assert f"{check['end']:8}{check['title']}: {check['found']}" in lines
        if check["remedy"] is not None:
            assert f"        do: {check['remedy']}" in lines


def test_nothing_is_asked_of_configure_with_a_key_of_the_wrong_kind(setup: SetUp, configure_sandbox: Sandbox) -> None:
    setup.change(CONFIGURE_PUBLISHABLE_KEY=setup.variables["CONFIGURE_API_KEY"])
    setup.change(CONFIGURE_API_KEY=setup.sandbox.credentials.publishable_key)
    setup.verify()

    keys = {call.headers.get("x-api-key") for call in configure_sandbox.calls}
    assert keys <= {None}


# From a file


def _file(setup: SetUp, quote: str = "") -> str:
    """The set-up's variables in a .env file, and no longer in the environment."""
    file = setup.folder / ".env"
    file.write_text("".join(f"{name}={quote}{value}{quote}\n" for name, value in setup.variables.items()))
    setup.variables = {}
    return str(file)


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_the_quotes_of_a_file_are_no_mistake(setup: SetUp, quote: str) -> None:
    told = setup.verify("--env-file", _file(setup, quote))

    assert (told.code, told.troubles, told.reasons) == (0, {}, {})


def test_a_file_goes_before_the_environment(setup: SetUp) -> None:
    file = _file(setup)
    setup.change(CONFIGURE_API_KEY="sk_live_wrongly-copied", CONFIGURE_STATES="redis://cache.internal/0")
    told = setup.verify("--env-file", file)

    assert (told.code, told.troubles) == (0, {})
    assert told.checks["CONFIGURE_STATES"]["end"] == "passed"


def test_a_mistake_in_a_file_is_named_without_its_value(setup: SetUp) -> None:
    setup.change(CONFIGURE_API_KEY="sk_live_wrongly-copied")
    told = setup.verify("--env-file", _file(setup))

    assert (told.code, told.troubles) == (1, {"api_key": "failed"})


@pytest.mark.parametrize("content", [None, b"CONFIGURE_API_KEY=\xff\xfe", b"CONFIGURE_API_KEY=sk_\0"])
def test_a_file_that_cannot_be_read_is_one_sentence(setup: SetUp, content: bytes | None) -> None:
    file = setup.folder / ".env"
    if content is not None:
        file.write_bytes(content)
    told = setup.verify("--env-file", str(file))

    assert (told.code, told.stdout) == (2 if content is None else 1, "")
    assert told.stderr.splitlines()[-1].startswith("Error: ")
    assert str(file) in told.stderr
