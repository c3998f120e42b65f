"""What Configure answers when something is wrong with Configure itself: that isn't said of the set-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest

from configure_auth import Configure, Settings
from configure_auth.client.call import HttpCall
from configure_auth.commands.checks.deployment import Deployment
from configure_auth.commands.checks.report import JsonReport
from configure_auth.commands.checks.run import verify
from configure_auth.commands.checks.settings import read_settings
from configure_auth.commands.checks.upstream import UPSTREAM_CHECKS
from configure_auth.errors import ApiCode, ConfigureError
from configure_auth.flows import Performer, run
from configure_auth.sandbox import Sandbox
from configure_auth.stores.memory import memory_stores

from .setups import APP_URL, LINK, LOGIN, SetUp, Somebody, skipped_for

T = TypeVar("T")

HUGE = b"x" * 300_000
SECRET_IN_ERROR = "what-the-other-side-says\x1b[31m"


@dataclass(frozen=True)
class Asked:
    """What one check asks of Configure."""

    check: str
    path: str
    how: Mapping[str, Any] = field(default_factory=dict)


KEY = Asked("api_key", "/v1/profile")
AGENT = Asked("agent", "/v1/auth/sign-in/return-destinations")
CALLBACK = Asked("callback", "/v1/developer/oauth/clients")
AUTHORIZE = Asked("authorize", "/oauth/authorize")
ACCOUNTS = Asked("accounts", "/oauth/authorize", {"origin": "accounts"})
SIGN_IN = Asked("sign_in_page", "/demo-agent", {"origin": "sign-in"})
SCRIPT = Asked("script", "/js/configure.js", {"origin": "sign-in"})
ALL = (KEY, AGENT, CALLBACK, AUTHORIZE, ACCOUNTS, SIGN_IN, SCRIPT)

OUTAGES: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "503 with HTML": {"status": 503, "body": "<h1>Bad gateway</h1>", "content_type": "text/html"},
    "500 with words": {
        "status": 500,
        "body": {"error": {"type": "api_error", "code": "x", "message": SECRET_IN_ERROR}},
    },
    "502 and huge": {"status": 502, "body": HUGE},
    "429": {"status": 429},
    "429 and flat": {"status": 429, "body": {"error": SECRET_IN_ERROR}},
    "dropped": {"drop": True},
}
NO_ANSWERS: dict[str, dict[str, Any]] = {
    "HTML": {"body": "<h1>Welcome</h1>", "content_type": "text/html"},
    "a redirect": {"status": 302, "headers": {"Location": "https://elsewhere.example.com/"}},
    "no JSON": {"body": b'{"clients": [NaN'},
    "another shape of JSON": {"body": b'[["clients"]]'},
    "fields of another shape": {"body": {"clients": "none", "destinations": [{"destination": 1}]}},
    "cut off": {"cut": 10},
    "huge": {"body": HUGE},
}


def _outage(setup: SetUp, asked: Asked, played: Mapping[str, Any]) -> None:
    setup.sandbox.fault(asked.path, **asked.how, **played)


@pytest.mark.parametrize("played", OUTAGES.values(), ids=OUTAGES.keys())
@pytest.mark.parametrize("asked", ALL, ids=lambda asked: asked.check)
def test_an_outage_is_unknown_and_no_mistake(setup: SetUp, asked: Asked, played: Mapping[str, Any]) -> None:
    _outage(setup, asked, played)

    told = setup.verify()

    assert (told.code, told.stderr) == (3, "")
    assert told.troubles[asked.check] == "unknown"
    # The list of destinations is asked for by two checks.
    assert set(told.troubles) <= {asked.check, "return_to"} if asked is AGENT else {asked.check}
    assert skipped_for(told, {})
    assert told.checks[asked.check]["remedy"]
    assert SECRET_IN_ERROR not in told.stdout
    assert "what-the-other-side-says" not in told.stdout


def test_an_outage_in_the_middle_is_unknown_too(setup: SetUp, configure_sandbox: Sandbox) -> None:
    configure_sandbox.fault(AGENT.path, headers={"X-Still": "well"}, times=1)
    configure_sandbox.fault(AGENT.path, status=503)

    told = setup.verify()

    assert (told.code, told.troubles, told.reasons) == (3, {"return_to": "unknown"}, {})


@pytest.mark.parametrize("played", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
@pytest.mark.parametrize("asked", [AGENT, CALLBACK], ids=lambda asked: asked.check)
def test_an_answer_that_is_none_is_unknown(setup: SetUp, asked: Asked, played: Mapping[str, Any]) -> None:
    _outage(setup, asked, played)

    told = setup.verify()

    assert (told.code, told.stderr, told.troubles) == (3, "", {asked.check: "unknown"})
    assert skipped_for(told, {})


@pytest.mark.parametrize("name", ["HTML", "a redirect", "no JSON", "another shape of JSON", "fields of another shape"])
def test_whoever_takes_a_read_for_nobody_is_not_configure(setup: SetUp, name: str) -> None:
    _outage(setup, KEY, NO_ANSWERS[name])

    told = setup.verify()

    assert (told.code, told.troubles) == (1, {"api_key": "failed"})
    assert told.checks["api_key"]["found"] == f"{setup.sandbox.api_url} isn't Configure's API"
    assert "CONFIGURE_BASE_URL" in told.checks["api_key"]["remedy"]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        *((asked, name) for asked in (ACCOUNTS, SIGN_IN) for name in ("HTML", "a redirect", "huge")),
        *((AUTHORIZE, name) for name in ("HTML", "huge")),
        *((SCRIPT, name) for name in ("a redirect", "huge")),
    ],
)
def test_any_page_is_a_page(setup: SetUp, asked: Asked, name: str) -> None:
    _outage(setup, asked, NO_ANSWERS[name])

    told = setup.verify()

    assert (told.code, told.troubles, told.reasons) == (0, {}, {})


def test_a_page_in_the_place_of_the_script_is_not_the_script(setup: SetUp) -> None:
    _outage(setup, SCRIPT, NO_ANSWERS["HTML"])

    told = setup.verify()

    assert (told.code, told.troubles) == (1, {"script": "failed"})
    assert "isn't the script" in told.checks["script"]["found"]
    assert "unset CONFIGURE_SCRIPT_URL" in told.checks["script"]["remedy"]


@pytest.mark.parametrize("media_type", ["text/javascript", "application/javascript; charset=utf-8", "Text/JavaScript"])
def test_a_script_is_known_by_its_type(setup: SetUp, media_type: str) -> None:
    setup.sandbox.fault(SCRIPT.path, **SCRIPT.how, body="window.Configure = {}", content_type=media_type)

    assert setup.verify().troubles == {}


def test_a_page_of_the_login_says_no_more_than_that_it_is_there(setup: SetUp) -> None:
    _outage(setup, ACCOUNTS, NO_ANSWERS["HTML"])

    assert setup.verify().checks["accounts"]["found"] == f"{setup.sandbox.accounts_url} shows a page"


def test_authorize_that_leads_elsewhere_tells_nothing(setup: SetUp) -> None:
    _outage(setup, AUTHORIZE, NO_ANSWERS["a redirect"])

    told = setup.verify()

    assert (told.code, told.troubles) == (3, {"authorize": "unknown"})
    assert told.checks["accounts"]["end"] == "passed"


@pytest.mark.parametrize(
    ("location", "found"),
    [
        (f"{APP_URL}{LOGIN}?error=invalid_scope&state=configure_auth_verify", "isn't registered for all of"),
        (f"{APP_URL}{LOGIN}#error=invalid_scope", "isn't registered for all of"),
        ("/error?error=invalid_redirect_uri", f"isn't registered for {APP_URL}{LOGIN}"),
        ("/error?error=invalid_request&error_description=redirect_uri+must+match", f"isn't registered for {APP_URL}"),
        ("/error?error=invalid_client", "doesn't know the OAuth client"),
        ("/error?error=invalid_target", "redirects with an error"),
    ],
)
@pytest.mark.parametrize("asked", [AUTHORIZE, ACCOUNTS], ids=lambda asked: asked.check)
def test_a_redirect_with_an_error_is_a_failure(setup: SetUp, asked: Asked, location: str, found: str) -> None:
    setup.sandbox.fault(asked.path, **asked.how, status=302, headers={"Location": location})

    told = setup.verify()

    assert (told.code, told.troubles) == (1, {asked.check: "failed"})
    assert found in told.checks[asked.check]["found"]


@pytest.mark.parametrize("location", ["/next?error=x", "http://[", ""])
def test_a_sign_in_that_leads_on_with_an_error_is_a_failure(setup: SetUp, location: str) -> None:
    setup.sandbox.fault(SIGN_IN.path, **SIGN_IN.how, status=302, headers={"Location": location})

    assert setup.verify().troubles == ({"sign_in_page": "failed"} if "error" in location else {})


def test_an_outage_that_a_redirect_tells_of_is_unknown(setup: SetUp) -> None:
    setup.sandbox.fault(ACCOUNTS.path, **ACCOUNTS.how, status=302, headers={"Location": "/?error=server_error"})

    told = setup.verify()

    assert (told.code, told.troubles) == (3, {"accounts": "unknown"})


PAGES = (ACCOUNTS, SIGN_IN, SCRIPT)
TO_PROGRAMS: tuple[dict[str, Any], ...] = (
    {"status": 401, "body": {"error": "login_required", "error_description": "sign in; you are redirected then"}},
    {"status": 401, "body": {"error": {"type": "authentication_error", "code": "session_missing", "message": "x"}}},
    {"status": 403, "body": "<h1>Are you a person?</h1>", "content_type": "text/html"},
    {"status": 405},
    {"status": 406, "body": "", "content_type": "text/html"},
)


@pytest.mark.parametrize("played", TO_PROGRAMS, ids=lambda played: str(played["status"]))
@pytest.mark.parametrize("asked", PAGES, ids=lambda asked: asked.check)
def test_a_page_that_is_for_people_only_is_no_failure(setup: SetUp, asked: Asked, played: dict[str, Any]) -> None:
    setup.sandbox.fault(asked.path, **asked.how, **played)

    told = setup.verify()

    assert (told.code, told.troubles) == (0, {asked.check: "warned"})
    assert f"HTTP {played['status']}" in told.checks[asked.check]["found"]
    assert "in a browser" in told.checks[asked.check]["remedy"]


@pytest.mark.parametrize("played", TO_PROGRAMS, ids=lambda played: str(played["status"]))
def test_authorize_that_refuses_programs_tells_nothing(setup: SetUp, played: dict[str, Any]) -> None:
    setup.sandbox.fault(AUTHORIZE.path, **played)

    told = setup.verify()

    assert (told.code, told.troubles) == (3, {"authorize": "unknown"})


@pytest.mark.parametrize("status", [400, 402, 418, 451])
@pytest.mark.parametrize("asked", PAGES, ids=lambda asked: asked.check)
def test_what_no_page_is_known_to_answer_is_unknown(setup: SetUp, asked: Asked, status: int) -> None:
    setup.sandbox.fault(asked.path, **asked.how, status=status)

    told = setup.verify()

    assert (told.code, told.troubles) == (3, {asked.check: "unknown"})


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("asked", PAGES, ids=lambda asked: asked.check)
def test_a_page_that_is_not_there_is_a_failure(setup: SetUp, asked: Asked, status: int) -> None:
    setup.sandbox.fault(asked.path, **asked.how, status=status)

    told = setup.verify()

    assert (told.code, told.troubles) == (1, {asked.check: "failed"})
    assert "no such page" in told.checks[asked.check]["found"]


@pytest.mark.parametrize(("name", "check"), [("accounts_url", "accounts"), ("sign_in_url", "sign_in_page")])
def test_nobody_is_told_to_unset_what_is_not_set(setup: SetUp, name: str, check: str) -> None:
    deployment = _of_library(setup, **{name: getattr(Settings, name)})
    flow = next(one.flow for one in UPSTREAM_CHECKS if one.name == check)(deployment)
    flow.send(None)
    with pytest.raises(StopIteration) as ended:
        flow.throw(ConfigureError(ApiCode.NOT_FOUND, "Configure doesn't know what was asked for", status_code=404))

    assert ended.value.value.end == "failed"
    assert "unset" not in ended.value.value.remedy


def _of_library(setup: SetUp, **changed: Any) -> Deployment:
    return Deployment(settings=replace(Settings.from_mapping(setup.variables), **changed))


def test_pages_are_asked_for_as_configures_own_programs_do(setup: SetUp, configure_sandbox: Sandbox) -> None:
    setup.verify()

    accepted = {call.headers["accept"] for call in configure_sandbox.calls if call.path == "/oauth/authorize"}
    assert accepted == {"*/*"}
    assert {call.headers["accept"] for call in configure_sandbox.calls if call.path == KEY.path} == {"application/json"}
    assert {call.headers["accept-encoding"] for call in configure_sandbox.calls} == {"identity"}


@pytest.mark.parametrize("played", [{"status": 405}, {"status": 500}, {"body": {"clients": 1}}])
def test_authorize_is_asked_where_the_list_tells_nothing(setup: SetUp, played: dict[str, Any]) -> None:
    setup.sandbox.fault(CALLBACK.path, **played)
    setup.sandbox.register_scopes("profile.search")

    told = setup.verify()

    assert told.troubles == {"callback": "unknown", "authorize": "failed"}


def test_what_configure_calls_deleted_is_not_registered(setup: SetUp) -> None:
    listed = {"destination": APP_URL + LINK, "created_at": "2026-01-01T00:00:00Z", "deleted": True}
    setup.sandbox.fault(AGENT.path, body={"destinations": [listed]})

    told = setup.verify()

    assert told.checks["return_to"]["end"] == "skipped"
    assert "not registered; only" in told.checks["return_to"]["found"]


DECEIVING = "\u202e\u200b\u0430"
"""What turns the letters after it round, what isn't seen, and a Cyrillic letter that looks like "a"."""


@pytest.mark.parametrize(
    "client",
    [
        {"agent": f"demo-agent{DECEIVING}", "redirect_uris": []},
        {"agent": None, "redirect_uris": [f"http://localhost:3000/{DECEIVING}"]},
    ],
)
def test_what_configure_lists_can_deceive_nobody(setup: SetUp, client: dict[str, Any]) -> None:
    listed = {"client_id": setup.sandbox.credentials.client_id, **client}
    setup.sandbox.fault(CALLBACK.path, body={"clients": [listed]})

    told = setup.verify()

    assert told.troubles == {"callback": "failed"}
    assert told.checks["callback"]["found"].isascii()
    assert "\\u202e\\u200b\\u0430" in told.checks["callback"]["found"]


def test_a_destination_can_deceive_nobody(setup: SetUp) -> None:
    listed = {"destination": f"https://localhost:3000{LINK}?{DECEIVING}"}
    setup.sandbox.fault(AGENT.path, body={"destinations": [listed]})

    told = setup.verify()

    assert told.troubles == {"return_to": "failed"}
    assert told.checks["return_to"]["found"].isascii()
    assert "\\u202e\\u200b\\u0430" in told.checks["return_to"]["found"]


def test_a_redirect_is_not_followed(setup: SetUp, configure_sandbox: Sandbox) -> None:
    elsewhere = {"Location": f"{configure_sandbox.api_url}/elsewhere"}
    for asked in ALL:
        configure_sandbox.fault(asked.path, **asked.how, status=307, headers=elsewhere)
    setup.verify()

    assert "/elsewhere" not in {call.path for call in configure_sandbox.calls}


class Impatient(Configure):
    """Gives up soon on one address, and not on any other."""

    def __init__(self, settings: Settings, url: str) -> None:
        super().__init__(settings)
        self._soon = Configure(settings, timeout=0.1)
        self._url = url

    def send(self, call: HttpCall[T], /) -> T:
        return self._soon.send(call) if call.url.partition("?")[0] == self._url else super().send(call)

    def close(self) -> None:
        self._soon.close()
        super().close()


@pytest.mark.parametrize("asked", ALL, ids=lambda asked: asked.check)
def test_whoever_is_slow_is_given_up(
    setup: SetUp, asked: Asked, capsys: pytest.CaptureFixture[str], configure_sandbox: Sandbox
) -> None:
    """With a deadline of its own: the command's is the client's, of ten seconds."""
    settings, results = read_settings(setup.variables)
    deployment = Deployment(settings=settings)
    origins = {"accounts": configure_sandbox.accounts_url, "sign-in": configure_sandbox.sign_in_url}
    url = f"{origins.get(asked.how.get('origin', 'api'), configure_sandbox.api_url)}{asked.path}"
    with configure_sandbox.hold(asked.path, **asked.how) as held, Impatient(settings, url) as client:
        performer = Performer(client, memory_stores(), None, lambda event: None)
        done = verify(deployment, results, (), lambda flow: run(flow, performer), JsonReport(), patience=None)
        held.arrived.wait()

    ends = {result.name: result.finding for result in done if result.finding.end not in ("passed", "skipped")}
    assert asked.check in ends
    assert {finding.end for finding in ends.values()} == {"unknown"}
    assert all("in time" in finding.found for finding in ends.values())
    assert capsys.readouterr() == ("", "")


# The flat envelope


def test_a_good_key_is_one_in_either_envelope(setup: SetUp, configure_sandbox: Sandbox) -> None:
    configure_sandbox.variants.error_shape = "flat"

    told = setup.verify()

    assert (told.code, told.troubles, told.reasons) == (0, {}, {})


@pytest.mark.parametrize(
    ("status", "body", "end"),
    [
        (400, {"error": "a subject is required"}, "passed"),
        (400, {"error": "a subject is required", "code": "subject_missing"}, "passed"),
        (401, {"error": {"type": "authentication_error", "code": "token_missing", "message": "no token"}}, "passed"),
        (401, {"error": "no such key", "code": "api_key_invalid"}, "failed"),
        (401, {"error": "api_key_missing", "message": "no key"}, "failed"),
        (403, {"error": "not with this key", "code": "secret_key_required"}, "failed"),
        (404, {"error": {"type": "invalid_request_error", "code": "subject_not_found", "message": "x"}}, "passed"),
        (404, {"error": {"type": "invalid_request_error", "code": "not_found", "message": "x"}}, "failed"),
        (404, {"error": "no such page"}, "failed"),
        (404, {"error": {"code": "subject_not_found"}}, "failed"),
        (400, {"message": "somebody else's error"}, "unknown"),
        (403, "<h1>Are you a person?</h1>", "unknown"),
        (405, "", "unknown"),
    ],
)
def test_what_a_refusal_says_of_the_key(setup: SetUp, status: int, body: Any, end: str) -> None:
    setup.sandbox.fault("/v1/profile", status=status, body=body)

    assert setup.verify().checks["api_key"]["end"] == end


# Test mode


@pytest.fixture
def trial(setup: SetUp) -> SetUp:
    """An agent of Configure's test mode, which has three credentials and no OAuth client."""
    setup.sandbox.add_agent("trial-agent", test_mode=True)
    keys = ("CONFIGURE_OAUTH_CLIENT_ID", "CONFIGURE_OAUTH_CLIENT_SECRET")
    setup.change(**dict.fromkeys(keys, None), **setup.sandbox.environment(agent="trial-agent"))
    return setup


def test_a_key_of_test_mode_is_enough_by_itself(trial: SetUp, somebody: Somebody, configure_sandbox: Sandbox) -> None:
    told = trial.sign_in()

    assert (told.code, told.stderr, told.troubles) == (0, "", {})
    assert told.checks["CONFIGURE_API_KEY"]["found"] == "is set (sk_test_...)"
    for name in ("CONFIGURE_OAUTH_CLIENT_ID", "CONFIGURE_OAUTH_CLIENT_SECRET"):
        assert told.reasons[name] == "a test-mode key (sk_test_) has no OAuth client"
    assert told.reasons["callback"] == told.reasons["authorize"] == told.reasons["accounts"]
    assert told.reasons["sign_in"] == "a test-mode key (sk_test_) can't sign in"
    assert somebody.opened == []
    assert told.checks["agent"]["end"] == told.checks["sign_in_page"]["end"] == "passed"
    assert "/oauth/authorize" not in {call.path for call in configure_sandbox.calls}


def test_without_an_oauth_client_only_the_login_is_left_out(setup: SetUp) -> None:
    setup.change(CONFIGURE_OAUTH_CLIENT_ID=None, CONFIGURE_OAUTH_CLIENT_SECRET=None)
    told = setup.verify()

    assert (told.code, told.troubles) == (0, {})
    assert set(told.reasons) == {
        "CONFIGURE_OAUTH_CLIENT_ID",
        "CONFIGURE_OAUTH_CLIENT_SECRET",
        "callback",
        "authorize",
        "accounts",
    }
    assert told.checks["return_to"]["end"] == "passed"


def test_without_a_publishable_key_only_the_element_is_left_out(setup: SetUp) -> None:
    setup.change(CONFIGURE_PUBLISHABLE_KEY=None)
    told = setup.verify()

    assert (told.code, told.troubles, set(told.reasons)) == (0, {}, {"CONFIGURE_PUBLISHABLE_KEY", "script"})


def test_nothing_set_is_said_without_asking_anybody(setup: SetUp, configure_sandbox: Sandbox) -> None:
    setup.variables = {}
    told = setup.run("--offline", "--json")

    assert told.code == 1
    assert set(told.troubles) >= {"CONFIGURE_API_KEY", "CONFIGURE_AGENT"}
    assert {end for name, end in told.troubles.items() if not name.startswith("CONFIGURE_")} == set()
    assert configure_sandbox.calls == []


def test_the_settings_are_those_of_the_library(setup: SetUp) -> None:
    """What passes here, a client can be made of."""
    assert setup.verify().code == 0

    Configure(Settings.from_mapping(setup.variables)).close()
