"""The real sign-in of `verify`: a person in a browser, the exchange, a read, and what can go wrong between them."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, expect

from configure_auth.sandbox import Sandbox
from tests.browser.conftest import browser
from tests.interop.people import ADA, answer

from ..support.stores import first
from .setups import LOGIN, SetUp, Somebody, Told, nothing

__all__ = ["browser"]

PASSED = {"sign_in": "passed", "exchange": "passed", "profile_read": "passed"}


def steps(told: Told) -> dict[str, str]:
    return {name: told.checks[name]["end"] for name in PASSED}


def failure(told: Told) -> dict[str, str]:
    """The one finding that isn't good."""
    assert told.code == 1
    [(name, end)] = told.troubles.items()
    assert end == "failed"
    later = list(PASSED)[list(PASSED).index(name) + 1 :] if name in PASSED else []
    assert {told.reasons.get(step) for step in later} <= {f"needs: {told.checks[name]['title']}"}
    found: dict[str, str] = told.checks[name]
    return found


def port_is_free(setup: SetUp) -> bool:
    port = urlsplit(setup.app_url).port
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        socket.create_server((host, port or 0), family=family).close()
    return True


# In a browser


def test_somebody_signs_in_and_everything_passes(free: SetUp, browser: Browser) -> None:
    ada = free.sandbox.add_person(ADA, name="Ada Lovelace")
    page = browser.new_page()
    # A browser's own words must not get between the JSON.
    with free.verifying(says="Opening in existing browser session.") as verifying:
        url = verifying.url()
        answer(page, url)
        expect(page.get_by_text("The terminal says what came of it")).to_be_visible()
        told = verifying.end()
    page.close()

    assert url.startswith(f"{free.sandbox.accounts_url}/oauth/authorize?")
    assert (told.code, told.troubles, told.reasons) == (0, {}, {})
    assert steps(told) == PASSED
    assert url in told.stderr
    assert "Ada" not in told.stdout
    [exchange] = free.sandbox.calls_to("POST", "/oauth/token")
    assert exchange.form["redirect_uri"] == free.app_url + LOGIN
    [token] = [token for token in free.sandbox.tokens if token.kind == "access"]
    [read] = free.sandbox.calls_to("GET", "/v1/profile")[-1:]
    assert (token.user_id, read.headers["authorization"]) == (ada.user_id, f"Bearer {token.token}")
    assert port_is_free(free)


@pytest.mark.extended
def test_without_an_oauth_client_the_link_is_tried(free_link: SetUp, browser: Browser) -> None:
    page = browser.new_page()
    with free_link.verifying() as verifying:
        url = verifying.url()
        answer(page, url)
        expect(page.get_by_text("The terminal says what came of it")).to_be_visible()
        told = verifying.end()
    page.close()

    assert url.startswith(f"{free_link.sandbox.sign_in_url}/demo-agent?")
    assert (told.code, told.troubles, steps(told)) == (0, {}, PASSED)
    [exchange] = free_link.sandbox.calls_to("POST", "/v1/auth/sign-in/exchange")
    assert exchange.json["code"] not in told.stdout + told.stderr
    assert free_link.sandbox.calls_to("POST", "/oauth/token") == []


@pytest.mark.extended
def test_somebody_cancels(free: SetUp, browser: Browser) -> None:
    page = browser.new_page()
    with free.verifying() as verifying:
        answer(page, verifying.url(), button="Cancel")
        expect(page.get_by_text("The terminal says what came of it")).to_be_visible()
        told = verifying.end()
    page.close()

    said = failure(told)
    assert (said["name"], said["found"]) == (
        "sign_in",
        "Configure redirected back without a code (access_denied)",
    )
    assert "press Allow" in said["remedy"]
    assert free.sandbox.calls_to("POST", "/oauth/token") == []


# By hand, where the order matters


@dataclass(frozen=True)
class Trouble:
    """What goes wrong once everything that can be asked beforehand is right.

    `before` is done before the command starts, `meanwhile` when somebody is back from Configure and not yet here.
    """

    name: str
    check: str
    found: str
    remedy: str
    before: Callable[[SetUp], None] = nothing
    meanwhile: Callable[[SetUp], None] = nothing


def _wrong_secret(setup: SetUp) -> None:
    setup.change(CONFIGURE_OAUTH_CLIENT_SECRET="ocs_local_wrongly-copied-secret")


def _only_search(setup: SetUp) -> None:
    setup.sandbox.variants.granted_scopes = ("profile.search",)


def _only_search_unsaid(setup: SetUp) -> None:
    _only_search(setup)
    setup.sandbox.variants.token_scope = False


def _late(setup: SetUp) -> None:
    setup.sandbox.advance(3600)


def _rotated(setup: SetUp) -> None:
    setup.sandbox.rotate_client_secret()


def _unread(setup: SetUp) -> None:
    body = {"error": {"type": "permission_error", "code": "agent_mismatch", "message": "of another agent"}}
    setup.sandbox.fault("/v1/profile", status=403, body=body)


_SECRET = "CONFIGURE_OAUTH_CLIENT_SECRET"
TROUBLES = (
    Trouble("a wrong secret", "exchange", "rejects the client secret", _SECRET, before=_wrong_secret),
    Trouble("a rotated secret", "exchange", "was rotated", _SECRET, before=_rotated),
    Trouble("a secret rotated meanwhile", "exchange", "was rotated", _SECRET, meanwhile=_rotated),
    Trouble("a late code", "exchange", "the code has expired", "run it again", meanwhile=_late),
    Trouble("less granted", "exchange", "profile.read is missing", "configure.dev/sso", before=_only_search),
    Trouble("less granted unsaid", "profile_read", "may not read", "profile.read", before=_only_search_unsaid),
    Trouble("a token of another agent", "profile_read", "different agents", "of one agent", meanwhile=_unread),
)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_what_only_a_sign_in_can_tell_is_named(free: SetUp, somebody: Somebody, trouble: Trouble) -> None:
    trouble.before(free)
    somebody.meanwhile = trouble.meanwhile

    said = failure(free.sign_in())

    assert said["name"] == trouble.check
    assert trouble.found in said["found"]
    assert trouble.remedy in said["remedy"]


@pytest.mark.parametrize("variant", ["error", "bare"])
def test_a_cancelled_link_is_named(free_link: SetUp, somebody: Somebody, variant: str) -> None:
    free_link.sandbox.variants.hosted_cancel = "error" if variant == "error" else "bare"
    somebody.cancels = True

    assert failure(free_link.sign_in())["found"].startswith("Configure redirected back without a code")


# What came back is judged as the app judges it


@pytest.mark.parametrize(
    ("variants", "found", "remedy"),
    [
        ({"introspection_active": False}, "reports the token that it just issued as inactive", "run it again"),
        ({"introspection_client_id": "oc_other"}, "a token of another client", "credentials of one agent"),
        ({"introspection_sub": None}, "missing or invalid sub", "only Configure can fix it"),
        ({"profile_user_id": "somebody-else"}, "the profile of another user", "only Configure can fix it"),
        ({"identity_sub": "somebody-else"}, "the profile of another user", "only Configure can fix it"),
    ],
)
def test_a_token_that_the_login_would_refuse_is_a_failure(
    free: SetUp, somebody: Somebody, variants: dict[str, Any], found: str, remedy: str
) -> None:
    for name, value in variants.items():
        setattr(free.sandbox.variants, name, value)

    said = failure(free.sign_in())

    assert said["name"] == "profile_read"
    assert found in said["found"]
    assert remedy in said["remedy"]


@pytest.mark.parametrize(
    ("variants", "found", "remedy"),
    [
        ({"exchange_agent": "other-agent"}, "a token of another agent", "credentials of one agent"),
        ({"exchange_approved": False}, "did not approve", "press Allow"),
        ({"exchange_token_use": "user"}, "a token for another use", "only Configure can fix it"),
    ],
)
def test_a_grant_that_the_link_would_refuse_is_a_failure(
    free_link: SetUp, somebody: Somebody, variants: dict[str, Any], found: str, remedy: str
) -> None:
    for name, value in variants.items():
        setattr(free_link.sandbox.variants, name, value)

    said = failure(free_link.sign_in())

    assert said["name"] == "exchange"
    assert found in said["found"]
    assert remedy in said["remedy"]
    assert free_link.sandbox.calls_to("GET", "/v1/profile")[1:] == []


@pytest.mark.parametrize("variants", [{"exchange_approved": None}, {"exchange_token_use": None}])
def test_what_the_link_takes_passes(free_link: SetUp, somebody: Somebody, variants: dict[str, Any]) -> None:
    for name, value in variants.items():
        setattr(free_link.sandbox.variants, name, value)

    assert steps(free_link.sign_in()) == PASSED


def test_an_introspection_that_fails_tells_nothing_of_the_set_up(free: SetUp, somebody: Somebody) -> None:
    free.sandbox.fault("/oauth/introspect", status=500)

    told = free.sign_in()

    assert (told.code, told.troubles) == (3, {"profile_read": "unknown"})


ONLY_SEARCH = """
from flask import Flask
from configure_auth.flask import ConfigureAuth

app = Flask(__name__)
app.secret_key = "a session key of the shop, long enough"
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
configure_auth = ConfigureAuth(user_id=lambda: None, store="memory://")
configure_auth.init_app(app)
app.register_blueprint(configure_auth.login(on_login=lambda identity, grant: "1", scopes=("profile.search",)))
"""


@pytest.mark.parametrize(("active", "end"), first([(True, "skipped"), (False, "failed")], rows=True))
def test_a_profile_that_nobody_asks_for_is_not_read(free: SetUp, active: bool, end: str) -> None:
    (free.folder / "shop.py").write_text(ONLY_SEARCH)
    free.sandbox.variants.introspection_active = active
    free.change(CONFIGURE_STORE=None)
    with free.verifying("--app", "shop:app") as verifying:
        back = free.sandbox.sign_in(verifying.url())
        httpx2.get(back, trust_env=False, timeout=30)
        told = verifying.end()

    assert steps(told) == {**PASSED, "profile_read": end}
    assert free.sandbox.calls_to("POST", "/oauth/introspect")
    assert [call for call in free.sandbox.calls_to("GET", "/v1/profile") if "authorization" in call.headers] == []
    if active:
        assert told.checks["profile_read"]["found"] == "login(scopes=...) doesn't include profile.read"


def test_a_late_code_of_the_link_is_told(free_link: SetUp, somebody: Somebody) -> None:
    somebody.meanwhile = _late
    told = free_link.sign_in()

    said = failure(told)
    assert (said["name"], said["found"]) == ("exchange", "Configure says that the code has expired")


def test_whoever_comes_with_another_state_is_told_of(free: SetUp) -> None:
    with free.verifying("--patience", "1") as verifying:
        verifying.url()
        stranger = httpx2.get(f"{free.app_url}{LOGIN}?code=the-code&state=another", trust_env=False, timeout=30)
        told = verifying.end()

    assert stranger.status_code == 404
    said = failure(told)
    assert said["name"] == "sign_in"
    assert "with another state" in said["found"]
    assert free.sandbox.calls_to("POST", "/oauth/token") == []


def test_nobody_comes_back(free: SetUp) -> None:
    with free.verifying("--patience", "1") as verifying:
        verifying.url()
        told = verifying.end()

    said = failure(told)
    assert (said["name"], said["found"]) == ("sign_in", "no callback within 1 s")
    assert "run it again" in said["remedy"]
    assert port_is_free(free)


@pytest.mark.parametrize("host", first(["127.0.0.1", "::1"]))
def test_the_app_has_the_port(free: SetUp, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, urlsplit(free.app_url).port or 0), family=family):
        told = free.run("--json")

    said = failure(told)
    assert said["name"] == "sign_in"
    assert free.app_url + LOGIN in said["found"]
    assert "stop your app" in said["remedy"]
    assert "--offline" in said["remedy"]


def test_ctrl_c_ends_it_in_a_line_and_frees_the_port(free: SetUp) -> None:
    with free.verifying() as verifying:
        verifying.url()
        os.kill(verifying.process.pid, signal.SIGINT)
        stdout, stderr = verifying.process.communicate(timeout=60)

    assert verifying.process.returncode in (1, 130)
    assert stdout == ""
    assert [line for line in stderr.splitlines() if line and not line.startswith("sign in:")] == ["Aborted!"]
    assert port_is_free(free)


def _in_production(setup: SetUp) -> None:
    setup.move_to("https://shop.example.com")


@pytest.mark.parametrize(
    ("plant", "reason"),
    [
        (_in_production, "its callback https://shop.example.com"),
        (lambda setup: setup.change(CONFIGURE_AGENT=None), "needs: "),
        (lambda setup: setup.change(CONFIGURE_API_KEY=None), "needs: "),
        (lambda setup: setup.change(CONFIGURE_API_KEY="sk_local_wrong"), "needs: "),
        (lambda setup: setup.change(CONFIGURE_OAUTH_CLIENT_SECRET=None), "needs: "),
        (lambda setup: setup.change(CONFIGURE_OAUTH_CLIENT_SECRET="wrong", CONFIGURE_OAUTH_CLIENT_ID="x"), "needs: "),
        (lambda setup: setup.change(CONFIGURE_ACCOUNTS_URL=setup.sandbox.sign_in_url), "needs: the login page"),
        (lambda setup: setup.sandbox.register_scopes("profile.search"), "needs: the authorization request"),
    ],
)
def test_where_it_could_not_end_nobody_is_asked_to_sign_in(
    setup: SetUp, somebody: Somebody, configure_sandbox: Sandbox, plant: Callable[[SetUp], None], reason: str
) -> None:
    plant(setup)

    told = setup.sign_in()

    assert steps(told) == dict.fromkeys(PASSED, "skipped")
    assert told.checks["sign_in"]["found"].startswith(reason)
    assert (somebody.opened, told.stderr) == ([], "")
    assert {call.path for call in configure_sandbox.calls}.isdisjoint({"/oauth/token"})


def test_a_link_that_is_not_registered_asks_nobody_to_sign_in(
    free_link: SetUp, somebody: Somebody, configure_sandbox: Sandbox
) -> None:
    configure_sandbox.reset()

    told = free_link.sign_in()

    assert (told.code, told.troubles) == (0, {})
    assert steps(told) == dict.fromkeys(PASSED, "skipped")
    assert told.checks["sign_in"]["found"] == f"needs: {told.checks['return_to']['title']}"
    assert (somebody.opened, told.stderr) == ([], "")
