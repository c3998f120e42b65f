"""Origins, the journal, faults, holds, variants, the clock."""

from __future__ import annotations

import ast
import pathlib
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

import configure_auth.sandbox
from configure_auth.sandbox import Sandbox, Variants, program

if TYPE_CHECKING:
    from tests.sandbox.conftest import Developer

RETURN_TO = "http://localhost:3000/configure/callback"
EXCHANGE = "/v1/auth/sign-in/exchange"
VALIDATE = "/v1/auth/sign-in/validate"


def _imports(file: pathlib.Path, depth: int) -> Iterator[str]:
    """The modules a file imports by their whole names. Relative imports must stay within `depth` packages."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= depth, f"{file}:{node.lineno} leaves the package"
            if node.level == 0:
                yield node.module or ""


def test_the_sandbox_is_a_second_reading_of_the_wire() -> None:
    package = pathlib.Path(configure_auth.sandbox.__file__).parent
    files = sorted(package.rglob("*.py"))
    assert files
    for file in files:
        for name in _imports(file, depth=len(file.relative_to(package).parts)):
            inside = name.startswith("configure_auth.sandbox")
            assert inside or not name.startswith("configure_auth"), f"{file} imports {name}"


# Origins


@pytest.mark.parametrize(
    ("origin", "method", "path"),
    [
        ("accounts", "POST", "/oauth/token"),
        ("accounts", "POST", "/oauth/introspect"),
        ("accounts", "GET", "/v1/profile"),
        ("accounts", "POST", EXCHANGE),
        ("accounts", "GET", "/demo-agent"),
        ("accounts", "GET", "/js/configure.js"),
        ("sign-in", "GET", "/oauth/authorize"),
        ("sign-in", "POST", "/oauth/token"),
        ("sign-in", "GET", "/v1/profile"),
        ("sign-in", "POST", EXCHANGE),
        ("api", "GET", "/demo-agent"),
        ("api", "GET", "/js/configure.js"),
        ("api", "POST", "/"),
        ("api", "GET", "//v1/profile"),
        ("api", "GET", "/v1/profile/"),
        ("api", "GET", "/v1/memory/search"),
    ],
)
def test_each_origin_serves_its_own_paths_only(
    sandbox: Sandbox, http: httpx2.Client, origin: str, method: str, path: str
) -> None:
    bases = {"api": sandbox.api_url, "accounts": sandbox.accounts_url, "sign-in": sandbox.sign_in_url}
    response = http.request(method, bases[origin] + path)
    assert response.status_code == 404
    assert [(call.origin, call.path) for call in sandbox.calls] == [(origin, path)]


def test_the_environment_names_the_three_origins(sandbox: Sandbox, http: httpx2.Client) -> None:
    environment = sandbox.environment("http://localhost:5000")
    assert environment["CONFIGURE_BASE_URL"] == sandbox.api_url
    assert environment["CONFIGURE_ACCOUNTS_URL"] == sandbox.accounts_url
    assert environment["CONFIGURE_SIGN_IN_URL"] == sandbox.sign_in_url
    assert environment["CONFIGURE_APP_URL"] == "http://localhost:5000"
    assert len({sandbox.api_url, sandbox.accounts_url, sandbox.sign_in_url}) == 3
    for name, prefix in (
        ("CONFIGURE_API_KEY", "sk_local_"),
        ("CONFIGURE_PUBLISHABLE_KEY", "pk_local_"),
        ("CONFIGURE_OAUTH_CLIENT_ID", "oc_local_"),
        ("CONFIGURE_OAUTH_CLIENT_SECRET", "ocs_local_"),
    ):
        assert environment[name].startswith(prefix)
    script = http.get(f"{environment['CONFIGURE_SCRIPT_URL']}/js/configure.js")
    assert script.headers["content-type"].startswith("text/javascript")


# The journal


def test_calls_are_recorded_in_order_with_their_connection(sandbox: Sandbox, http: httpx2.Client) -> None:
    http.post(f"{sandbox.api_url}/oauth/introspect?a=1", json={"token": "x"}, headers={"X-Probe": "yes"})
    http.get(f"{sandbox.api_url}/v1/profile")
    with httpx2.Client(trust_env=False) as another:
        another.get(f"{sandbox.api_url}/v1/profile")
    first, second, third = sandbox.calls
    assert (first.origin, first.method, first.path, first.status) == ("api", "POST", "/oauth/introspect", 200)
    assert (first.query, first.headers["x-probe"], first.json) == ({"a": "1"}, "yes", {"token": "x"})
    assert (second.path, second.status) == ("/v1/profile", 401)
    assert first.connection == second.connection != third.connection
    assert sandbox.calls_to("GET", "/v1/profile") == [second, third]


def test_a_sandbox_that_keeps_the_last_calls_still_counts_all() -> None:
    with Sandbox(calls_kept=3) as sandbox, httpx2.Client(trust_env=False) as http:
        for number in range(5):
            http.get(f"{sandbox.api_url}/v1/{number}")
        assert [call.path for call in sandbox.calls] == ["/v1/2", "/v1/3", "/v1/4"]
        assert 'href="#requests">Requests <b>5</b>' in http.get(f"{sandbox.api_url}/").text
        sandbox.reset()
        http.get(f"{sandbox.api_url}/v1/profile")
        assert [call.path for call in sandbox.calls] == ["/v1/profile"]
        assert 'href="#requests">Requests <b>1</b>' in http.get(f"{sandbox.api_url}/").text


def test_a_program_keeps_the_last_calls_and_a_test_keeps_all(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, http: httpx2.Client
) -> None:
    made: list[Sandbox] = []
    kept: list[int] = []

    class Seen(Sandbox):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            made.append(self)

    def announce(_settings: str) -> None:
        for one in (*made, sandbox):
            for number in range(5):
                http.get(f"{one.api_url}/v1/{number}")
            kept.append(len(one.calls))
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(program, "Sandbox", Seen)
    monkeypatch.setattr(program, "CALLS_KEPT", 3)
    program.serve(0, app_url="http://localhost:3000", announce=announce)

    assert kept == [3, 5]


def test_a_large_body_is_refused(sandbox: Sandbox, http: httpx2.Client) -> None:
    content = b'{"token": "' + b"x" * (256 * 1024) + b'"}'
    headers = {"Content-Type": "application/json"}
    response = http.post(f"{sandbox.api_url}/oauth/introspect", content=content, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")
    assert sandbox.calls[0].status == 413


# Faults


def test_a_forced_answer_is_played_so_many_times(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.fault(VALIDATE, status=503, times=2, headers={"Retry-After": "3"})
    sandbox.fault(VALIDATE, status=429, times=1)
    sandbox.fault(VALIDATE, method="GET", status=500)
    statuses = [developer.post(VALIDATE, {"token": "x"}).status_code for _ in range(4)]
    assert statuses == [503, 503, 429, 200]
    assert [call.status for call in sandbox.calls_to("POST", VALIDATE)] == statuses


def test_a_forced_body_of_any_kind(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.fault(VALIDATE, body="<html>", content_type="text/html", times=1)
    sandbox.fault(VALIDATE, status=502, body={"error": "flat"}, times=1)
    sandbox.fault(VALIDATE, status=307, headers={"Location": "https://elsewhere.example/"}, times=1)
    first = developer.post(VALIDATE, {"token": "x"})
    assert (first.status_code, first.text, first.headers["content-type"]) == (200, "<html>", "text/html; charset=utf-8")
    assert developer.post(VALIDATE, {"token": "x"}).json() == {"error": "flat"}
    assert developer.post(VALIDATE, {"token": "x"}).headers["location"] == "https://elsewhere.example/"


def test_a_dropped_connection_has_done_nothing_unless_told(developer: Developer, sandbox: Sandbox) -> None:
    code = sandbox.issue_return_code(sandbox.add_person())
    sandbox.fault(EXCHANGE, drop=True, times=1)
    with pytest.raises(httpx2.RemoteProtocolError):
        developer.post(EXCHANGE, {"code": code})
    assert sandbox.calls_to("POST", EXCHANGE)[0].status is None
    sandbox.fault(EXCHANGE, drop=True, handled=True, times=1)
    with pytest.raises(httpx2.RemoteProtocolError):
        developer.post(EXCHANGE, {"code": code})
    assert developer.post(EXCHANGE, {"code": code}).json()["error"]["code"] == "invalid_code"


def test_a_cut_body_ends_early(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.fault(VALIDATE, cut=5, times=1)
    with pytest.raises(httpx2.RemoteProtocolError, match="received 5 bytes"):
        developer.post(VALIDATE, {"token": "x"})


def test_a_drip_sends_single_bytes(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.fault(VALIDATE, drip=0.02, times=1)
    url = f"{sandbox.api_url}{VALIDATE}"
    with developer.http.stream("POST", url, json={"token": "x"}, headers=developer.headers) as response:
        chunks = list(response.iter_raw())
    assert b"".join(chunks) == b'{"valid":false}'
    assert len(chunks) > 1


def test_a_delay_outlasts_an_impatient_client(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.fault(VALIDATE, delay=0.2)
    patience = httpx2.Timeout(10, read=0.02)
    with pytest.raises(httpx2.ReadTimeout):
        developer.http.post(f"{sandbox.api_url}{VALIDATE}", json={}, headers=developer.headers, timeout=patience)
    sandbox.clear_faults()
    assert developer.post(VALIDATE, {"token": "x"}).status_code == 200


def test_faults_belong_to_an_origin(sandbox: Sandbox, http: httpx2.Client) -> None:
    sandbox.fault("/oauth/authorize", status=500, origin="accounts")
    assert http.get(f"{sandbox.accounts_url}/oauth/authorize").status_code == 500
    assert http.get(f"{sandbox.api_url}/oauth/authorize").status_code == 400


# Holds


def test_held_requests_race_for_one_code(developer: Developer, sandbox: Sandbox) -> None:
    code = sandbox.issue_return_code(sandbox.add_person())
    with ThreadPoolExecutor(5) as pool:
        with sandbox.hold(EXCHANGE) as held:
            answers = [pool.submit(developer.post, EXCHANGE, {"code": code}) for _ in range(5)]
            held.arrived.wait(5)
            assert not any(answer.done() for answer in answers)
            assert [call.status for call in sandbox.calls_to("POST", EXCHANGE)] == [None] * 5
            held.release()
        statuses = sorted(answer.result().status_code for answer in answers)
    assert statuses == [200, 400, 400, 400, 400]


def test_a_hold_ends_with_its_block_and_with_a_reset(developer: Developer, sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(1) as pool:
        with sandbox.hold(VALIDATE) as held:
            answer = pool.submit(developer.post, VALIDATE, {"token": "x"})
            held.arrived.wait()
        assert answer.result().status_code == 200
        with sandbox.hold(VALIDATE) as held:
            answer = pool.submit(developer.post, VALIDATE, {"token": "x"})
            held.arrived.wait()
            sandbox.reset()
            assert answer.result().status_code == 200
    with sandbox.hold(VALIDATE) as held, pytest.raises(TimeoutError):
        held.arrived.wait(1, timeout=0.01)


# Time, reset, variants


def test_the_clock_is_the_tests(sandbox: Sandbox) -> None:
    clock = sandbox.clock
    before = clock()
    sandbox.advance(900)
    assert 900 <= clock() - before < 960
    sandbox.reset()
    assert clock() - before < 60
    with Sandbox(clock=lambda: 1_000.0) as other:
        other.advance(5)
        assert other.now() == 1_005.0


def test_reset_forgets_everything(developer: Developer, sandbox: Sandbox) -> None:
    token = developer.tokens()["access_token"]
    sandbox.fault("/oauth/token", status=500)
    sandbox.variants.casing = "snake"
    sandbox.reset()
    assert (sandbox.people, sandbox.grants, sandbox.tokens, sandbox.calls) == ((), (), (), [])
    assert (sandbox.redirect_uris, sandbox.return_destinations) == ((), ())
    assert sandbox.variants == Variants()
    assert developer.introspect(token) == {"active": False}
    assert developer.exchange("code").json()["error"] == "invalid_grant"


def test_the_readings_of_an_exchange(developer: Developer, sandbox: Sandbox) -> None:
    person = sandbox.add_person()

    def exchange() -> dict[str, object]:
        body: dict[str, object] = developer.post(EXCHANGE, {"code": sandbox.issue_return_code(person)}).json()
        return body

    variants = sandbox.variants
    variants.exchange_token_use, variants.exchange_approved, variants.exchange_agent = None, None, None
    assert exchange().keys() == {"token", "userId"}
    variants.exchange_token_use, variants.exchange_approved, variants.exchange_agent = "user", False, "other-agent"
    body = exchange()
    assert (body["tokenUse"], body["approved"], body["agent"]) == ("user", False, "other-agent")
    variants.casing = "snake"
    assert {"user_id", "token_use"} <= exchange().keys()


def test_the_readings_of_a_token_answer(developer: Developer, sandbox: Sandbox) -> None:
    variants = sandbox.variants
    variants.token_refresh_token = variants.token_scope = False
    variants.token_expires_in = variants.token_type = None
    assert developer.tokens().keys() == {"access_token"}
    sandbox.variants.granted_scopes = ("profile.read",)
    sandbox.variants.token_scope = True
    assert developer.tokens()["scope"] == "profile.read"


def test_a_refresh_token_that_stays(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.variants.refresh_rotates = False
    token = developer.tokens()["refresh_token"]
    assert [developer.refresh(token).json()["refresh_token"] for _ in range(2)] == [token, token]


@pytest.mark.parametrize("active", [False, "true", None, 1])
def test_the_readings_of_an_introspection(developer: Developer, sandbox: Sandbox, active: bool | str | None) -> None:
    token = developer.tokens()["access_token"]
    sandbox.variants.introspection_active = active
    sandbox.variants.introspection_details = False
    body = developer.introspect(token)
    assert body.get("active") == active
    assert body.keys() <= {"active", "sub"}


def test_sub_may_differ_from_the_user_id(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.variants.sub_differs = True
    token = developer.tokens()["access_token"]
    assert developer.introspect(token)["sub"] == f"sub_{sandbox.people[0].user_id}"


def test_the_readings_of_a_profile(developer: Developer, sandbox: Sandbox) -> None:
    ada, eve = sandbox.add_person(name="Ada"), sandbox.add_person("+15550100002", name="Eve")
    sandbox.variants.identity_as = "object"
    sandbox.variants.identity_sub = eve.user_id
    sandbox.variants.profile_of = eve.user_id
    sandbox.variants.profile_user_id = eve.user_id
    sandbox.variants.read_owes_commit = False
    headers = developer.as_user(sandbox.issue_agent_token(ada))
    for _ in range(2):
        response = developer.get("/v1/profile", headers, sections="identity")
        assert "x-configure-commit-required" not in response.headers
    body = response.json()
    assert body["identity"] == {"name": {"value": "Eve"}, "phone_last4": {"value": "0002"}, "sub": eve.user_id}
    assert body["user_id"] == eve.user_id


def test_the_readings_of_the_way_back(developer: Developer, sandbox: Sandbox) -> None:
    url = developer.sign_in_url(return_to=RETURN_TO, state="s")
    sandbox.variants.callback_iss = True
    assert "&iss=http%3A%2F%2F127.0.0.1" in sandbox.sign_in(url)
    sandbox.variants.callback_state = "missing"
    assert "state=" not in sandbox.sign_in(url)
    sandbox.variants.callback_state = "changed"
    assert "state=s&" not in sandbox.sign_in(url)
    sandbox.variants.callback_state = "repeated"
    assert "&state=s&state=s" in sandbox.sign_in(url)


def test_flat_errors(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.variants.error_shape = "flat"
    body = developer.post(EXCHANGE, {"code": "x"}).json()
    assert isinstance(body["error"], str)
    assert body["code"] == "invalid_code"


def test_stopping_lets_held_requests_go() -> None:
    with ThreadPoolExecutor(1) as pool, Sandbox() as sandbox, sandbox.hold("/v1/profile") as held:
        answer = pool.submit(httpx2.get, f"{sandbox.api_url}/v1/profile", trust_env=False)
        held.arrived.wait()
        started = time.monotonic()
        sandbox.stop()
        assert answer.result().status_code == 401
        assert time.monotonic() - started < 5
