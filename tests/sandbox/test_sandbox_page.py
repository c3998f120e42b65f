"""The page that shows what is in a sandbox."""

from __future__ import annotations

import http.server
import pathlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import quote, unquote, urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, sync_playwright

from configure_auth.sandbox import Sandbox
from configure_auth.sandbox.issuer import TokenKind
from tests.sandbox.conftest import answer_of

if TYPE_CHECKING:
    from tests.sandbox.conftest import Developer

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
RETURN_TO = "http://localhost:3000/configure/callback"
CALLBACK = "http://localhost:3000/auth/configure/callback"
EXCHANGE = "/v1/auth/sign-in/exchange"
NOON = 1_700_000_000.0

Tables = dict[str, list[dict[str, str]]]


class _Reader(HTMLParser):
    """The tables of the page: by section, row by row, each cell by its label."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: Tables = {}
        self.tags: set[str] = set()
        self._rows: list[dict[str, str]] = []
        self._label: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        if tag == "section":
            self._rows = self.tables[given["id"] or ""] = []
        elif tag == "tr":
            self._rows.append({})
        elif tag == "td":
            self._label = given["data-label"] or ""
            self._rows[-1][self._label] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._label = None

    def handle_data(self, data: str) -> None:
        if self._label is not None:
            self._rows[-1][self._label] += data.replace("\u00a0", " ")


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    for rows in reader.tables.values():
        rows[:] = [row for row in rows if row]
    return reader


@pytest.fixture
def shown(sandbox: Sandbox, http: httpx2.Client) -> Callable[[], Tables]:
    """What the page shows now."""

    def show() -> Tables:
        answer = http.get(f"{sandbox.api_url}/")
        assert answer.status_code == 200
        return read(answer.text).tables

    return show


# Who may see it


def test_it_is_no_call(sandbox: Sandbox, http: httpx2.Client) -> None:
    sandbox.script("GET /v1/profile status=500 times=1")
    for method in ("GET", "HEAD"):
        answer = http.request(method, f"{sandbox.api_url}/?a=b")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")

    assert sandbox.calls == []
    assert http.get(f"{sandbox.api_url}/v1/profile").status_code == 500


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_a_look_at_it_is_no_call(sandbox: Sandbox, http: httpx2.Client, method: str) -> None:
    assert http.request(method, f"{sandbox.api_url}/").status_code == 404
    assert [call.method for call in sandbox.calls] == [method]


def test_only_the_api_s_origin_has_it(sandbox: Sandbox, http: httpx2.Client) -> None:
    for origin in (sandbox.accounts_url, sandbox.sign_in_url):
        assert http.get(f"{origin}/").status_code == 404

    assert len(sandbox.calls) == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:4010", "localhost", "LOCALHOST:1", "[::1]", "[::1]:4010"])
def test_it_is_shown_under_a_name_of_this_machine(sandbox: Sandbox, http: httpx2.Client, host: str) -> None:
    assert http.get(f"{sandbox.api_url}/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:4010",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1@evil.example",
        "evil.example/127.0.0.1",
        "127.0.0.2",
        "0.0.0.0",
        "localhost:",
        "localhost:x",
        "localhost.",
        "127.0.0.1, localhost",
        "",
    ],
)
def test_it_is_not_shown_under_any_other_name(sandbox: Sandbox, http: httpx2.Client, host: str) -> None:
    sandbox.add_person(name="Ada Lovelace")
    answer = http.get(f"{sandbox.api_url}/", headers={"Host": host})

    assert (answer.status_code, answer.headers["cache-control"]) == (403, "no-store")
    assert "Ada" not in answer.text
    assert sandbox.calls == []


def test_it_is_not_shown_to_who_names_no_host(sandbox: Sandbox) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(sandbox.api_url).port or 0), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = connection.makefile("rb").read()

    assert answer.split(b" ")[1] == b"403"


def test_no_other_site_can_read_frame_or_script_it(sandbox: Sandbox, http: httpx2.Client) -> None:
    answer = http.get(f"{sandbox.api_url}/", headers={"Origin": "http://localhost:3000"})
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))

    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert policy == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == answer.headers["cross-origin-opener-policy"]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "script" not in read(answer.text).tags


# What it shows


def test_at_first_there_is_nothing_but_the_addresses(shown: Callable[[], Tables]) -> None:
    tables = shown()

    assert tables.pop("addresses") == [
        {"agent": "demo-agent", "kind": "redirect_uri", "address": CALLBACK},
        {"agent": "demo-agent", "kind": "return_to", "address": RETURN_TO},
    ]
    names = ["people", "grants", "codes", "tokens", "message-lines", "pending-commits", "faults", "requests"]
    assert tables == {name: [] for name in names}


def test_people_with_their_memories(sandbox: Sandbox, shown: Callable[[], Tables]) -> None:
    ada = sandbox.add_person("+15550100001", name="Ada Lovelace", email="ada@example.com")
    bob = sandbox.add_person("+442079460958")
    sandbox.remember(ada, "Takes her tea without sugar")

    assert shown()["people"] == [
        {"name": "\u2013", "phone": "+44 20 7946 0958", "email": "\u2013", "user id": bob.user_id, "memories": "0"},
        {
            "name": "Ada Lovelace",
            "phone": "+1 555-010-0001",
            "email": "ada@example.com",
            "user id": ada.user_id,
            "memories": "1",
        },
    ]


def test_a_grant_with_what_it_is_for(developer: Developer, sandbox: Sandbox, shown: Callable[[], Tables]) -> None:
    sandbox.sign_in(developer.sign_in_url(connectors="gmail"), name="Ada")
    developer.code(scope="profile.read")
    oauth, agent = shown()["grants"]

    assert (oauth["person"], oauth["client"], oauth["scopes"]) == ("Ada", "OAuth client", "profile.read")
    assert (agent["person"], agent["client"], agent["agent"], agent["connectors"]) == (
        "Ada",
        "agent",
        "demo-agent",
        "gmail",
    )


def test_a_code_is_valid_then_used_or_expired() -> None:
    with Sandbox(clock=lambda: NOON) as sandbox, httpx2.Client(trust_env=False) as http:

        def codes() -> list[tuple[str, str, str]]:
            rows = read(http.get(f"{sandbox.api_url}/").text).tables["codes"]
            return [(row["kind"], row["person"], row["state"]) for row in rows]

        ada = sandbox.add_person(name="Ada")
        first = sandbox.issue_return_code(ada)
        assert codes() == [("return code", "Ada", "valid for 5 min 0 s")]
        sandbox.advance(241)
        assert codes() == [("return code", "Ada", "valid for 59 s")]
        sandbox.issue_return_code(ada)
        headers = {"X-API-Key": sandbox.credentials.api_key, "X-Agent": sandbox.agent}
        http.post(f"{sandbox.api_url}{EXCHANGE}", json={"code": first}, headers=headers).raise_for_status()
        assert codes() == [("return code", "Ada", "valid for 5 min 0 s"), ("return code", "Ada", "used")]
        sandbox.advance(300)
        assert [state for *_, state in codes()] == ["expired", "used"]


def test_an_authorization_code_is_used_once(developer: Developer, shown: Callable[[], Tables]) -> None:
    code = developer.code()
    (before,) = shown()["codes"]
    developer.exchange(code).raise_for_status()
    (after,) = shown()["codes"]

    assert (before["kind"], before["agent"], before["prefix"]) == ("authorization code", "demo-agent", f"{code[:11]}…")
    assert before["state"].startswith("valid for ")
    assert after["state"] == "used"


def test_a_token_is_valid_rotated_revoked_or_expired(
    developer: Developer, sandbox: Sandbox, shown: Callable[[], Tables]
) -> None:
    tokens = developer.tokens()
    developer.refresh(tokens["refresh_token"]).raise_for_status()
    agent_token = developer.agent_token()
    assert [(row["kind"], row["agent"], row["state"].partition(" for ")[0]) for row in shown()["tokens"]] == [
        ("agent", "demo-agent", "valid"),
        ("refresh", "demo-agent", "valid"),
        ("access", "demo-agent", "valid"),
        ("refresh", "demo-agent", "rotated"),
        ("access", "demo-agent", "valid"),
    ]
    sandbox.revoke_token(agent_token)
    sandbox.advance(3600)
    states = [row["state"] for row in shown()["tokens"]]
    assert (states[0], states[2], states[4]) == ("revoked", "expired", "expired")
    assert shown()["tokens"][0]["prefix"] == f"{agent_token[:16]}…"


def test_message_lines_without_their_numbers(developer: Developer, shown: Callable[[], Tables]) -> None:
    developer.post("/v1/auth/sign-in/message-lines", {"phone": "+15550109999", "label": "Main"}).raise_for_status()

    (line,) = shown()["message-lines"]
    assert line == {"agent": "demo-agent", "channel": "imessage", "phone": "…9999", "label": "Main", "status": "active"}


def test_the_commits_that_reads_owe(developer: Developer, shown: Callable[[], Tables]) -> None:
    developer.get("/v1/profile", developer.as_user(developer.agent_token())).raise_for_status()
    developer.get("/v1/profile", {**developer.headers, "X-User-Id": "guest"}).raise_for_status()

    owed = shown()["pending-commits"]
    assert {"person": "Ada Lovelace", "agent": "demo-agent"} in owed
    assert len(owed) == developer.sandbox.commits_owed


def test_faults_until_they_are_played(developer: Developer, sandbox: Sandbox, shown: Callable[[], Tables]) -> None:
    sandbox.script("GET /v1/profile status=503 times=2")
    sandbox.fault("/oauth/token", drop=True)
    assert [(row["fault"], row["times"]) for row in shown()["faults"]] == [
        ("GET /v1/profile status=503 times=2", "2"),
        ("/oauth/token drop", "until cleared"),
    ]
    developer.get("/v1/profile")
    assert shown()["faults"][0]["times"] == "1"
    developer.get("/v1/profile")
    assert [row["fault"] for row in shown()["faults"]] == ["/oauth/token drop"]


def test_the_last_calls_newest_first(developer: Developer, sandbox: Sandbox, http: httpx2.Client) -> None:
    for number in range(203):
        developer.get(f"/v1/{number}")
    http.get(f"{sandbox.accounts_url}/oauth/authorize")
    page = http.get(f"{sandbox.api_url}/").text
    rows = read(page).tables["requests"]

    assert [(row["origin"], row["method"], row["path"], row["status"]) for row in rows[:2]] == [
        ("accounts", "GET", "/oauth/authorize", "400"),
        ("api", "GET", "/v1/202", "404"),
    ]
    assert (len(rows), rows[-1]["path"]) == (200, "/v1/4")
    assert "and 4 more" in page


def test_a_call_without_an_answer_has_no_status(
    developer: Developer, sandbox: Sandbox, shown: Callable[[], Tables]
) -> None:
    sandbox.script("GET /v1/profile drop times=1")
    with pytest.raises(httpx2.RemoteProtocolError):
        developer.get("/v1/profile")

    assert shown()["requests"][0]["status"] == "\u2013"


@pytest.mark.parametrize("seconds", [1e15, -1e15])
def test_a_far_off_time_is_shown_too(sandbox: Sandbox, shown: Callable[[], Tables], seconds: float) -> None:
    sandbox.issue_return_code(sandbox.add_person())
    sandbox.advance(seconds)

    assert shown()["codes"][0]["state"].startswith("expired" if seconds > 0 else "valid for 1157407407")


def test_half_a_letter_does_not_break_it(developer: Developer, sandbox: Sandbox, shown: Callable[[], Tables]) -> None:
    sandbox.add_person(name="Ada\ud800")

    assert shown()["people"][0]["name"] == "Ada?"


# What it does not show


def test_no_secret_is_on_it(developer: Developer, sandbox: Sandbox, http: httpx2.Client) -> None:
    state = "a-state-of-the-app-that-nobody-knows"
    code = developer.code(state=state)
    tokens = developer.exchange(code).json()
    developer.refresh(tokens["refresh_token"])
    developer.introspect(tokens["access_token"])
    back = answer_of(sandbox.sign_in(developer.sign_in_url(return_to=RETURN_TO, state=state, journey=state)))
    agent_token = developer.post(EXCHANGE, {"code": back["code"]}).json()["token"]
    developer.get("/v1/profile", developer.as_user(agent_token))
    sandbox.variants.message_url_mode = "minted"
    subject = {"key": "sp_1", "externalId": "spectrum:sp_1"}
    asked = {"reason": "signin", "channel": "imessage", "subject": subject, "returnMode": "message"}
    link = developer.post("/v1/auth/sign-in/message-url", asked).json()
    http.get(link["url"])
    # What a mistaken app would send.
    secrets = [state, code, back["code"], agent_token, developer.verifier, *[token.token for token in sandbox.tokens]]
    for secret in secrets:
        http.get(f"{sandbox.api_url}/v1/{secret}", params={"token": secret, secret: "1", "access_token": secret})
        http.get(f"{sandbox.api_url}/?code={secret}")
        http.get(f"{sandbox.accounts_url}/oauth/authorize", params={"redirect_uri": f"{CALLBACK}?token={secret}"})
        http.get(
            f"{sandbox.accounts_url}/oauth/authorize", params={"return_to": f"https://u:{secret}@x.example/#{secret}"}
        )
    page = http.get(f"{sandbox.api_url}/").text

    credentials = sandbox.credentials
    secrets += [credentials.api_key, credentials.client_secret, link["code"], f"{developer.verifier[:12]}"]
    assert [secret for secret in secrets if secret in page] == []
    random_parts = [
        secret.rpartition("_local_")[2].removeprefix("cfgsic_").removeprefix("cfgoac_") for secret in secrets
    ]
    assert [part for part in random_parts if part[:9] in page] == []
    for word in ("Authorization", "Basic ", "Bearer "):
        assert word not in page


SHORT = {
    "sk_live_short": "sk_",
    "cfg_old1": "cfg_",
    "ocs_local_1": "ocs_",
    "cfgsic_abc": "cfgsic_",
    "cfgoac_abc": "cfgoac_",
}
SHORT |= {f"{kind}_local_abc": f"{kind}_local_" for kind in get_args(TokenKind)}


@pytest.mark.parametrize(("secret", "prefix"), SHORT.items())
def test_a_short_secret_is_hidden_wherever_it_was_put(
    sandbox: Sandbox, http: httpx2.Client, shown: Callable[[], Tables], secret: str, prefix: str
) -> None:
    asked = {
        "scope": f"profile.read {secret}",
        "client_id": secret,
        secret: "1",
        "redirect_uri": f"https://{secret}.example/{secret}/back",
        "agent_name": f"me:{secret}",
    }
    http.get(f"{sandbox.api_url}/v1/{secret}/after", params=asked)

    assert shown()["requests"][0]["path"] == (
        f"/v1/{prefix}…/after?scope=profile.read {prefix}…&client_id={prefix}…&{prefix}…=…"
        f"&redirect_uri=https://{prefix}…/{prefix}…/back&agent_name=me:{prefix}…"
    )


def test_a_fault_is_shown_without_the_secret_in_its_answer(sandbox: Sandbox, shown: Callable[[], Tables]) -> None:
    sandbox.fault("/v1/profile", body="was agent_local_abc, is sk_live_1")

    assert shown()["faults"][0]["fault"] == "/v1/profile body='was agent_local_…, is sk_…"


def test_what_only_resembles_a_secret_is_shown(
    sandbox: Sandbox, http: httpx2.Client, shown: Callable[[], Tables]
) -> None:
    open_ones = {"client_id": "oc_local_1", "agent_name": "risk_1", "scope": "pk_live_public user_1 agent_1"}
    http.get(f"{sandbox.api_url}/v1/task_1/access_token", params=open_ones)

    assert shown()["requests"][0]["path"] == (
        "/v1/task_1/access_token?client_id=oc_local_1&agent_name=risk_1&scope=pk_live_public user_1 agent_1"
    )


def test_the_way_back_is_shown_without_its_query(
    sandbox: Sandbox, http: httpx2.Client, shown: Callable[[], Tables]
) -> None:
    query = {
        "response_type": "code",
        "redirect_uri": f"{CALLBACK}?a=b",
        "scope": "profile.read",
        "state": "s",
        "nonce": "",
    }
    http.get(f"{sandbox.accounts_url}/oauth/authorize", params=query)

    assert shown()["requests"][0]["path"] == (
        f"/oauth/authorize?response_type=code&redirect_uri={CALLBACK}?…&scope=profile.read&state=…&nonce="
    )


HOSTILE = "<script>document.title='x'</script><img src=x onerror=alert(1)>\"'&amp;"


def test_everything_is_text(developer: Developer, sandbox: Sandbox, http: httpx2.Client) -> None:
    hostile_everywhere(developer, sandbox, http)
    reader = read(http.get(f"{sandbox.api_url}/").text)
    tables = reader.tables

    assert reader.tags.isdisjoint({"script", "img", "iframe", "form"})
    assert (tables["people"][0]["name"], tables["people"][0]["email"]) == (HOSTILE, HOSTILE)
    assert tables["message-lines"][0]["label"] == HOSTILE
    assert f"https://app.example.com/{SPACELESS}" in {row["address"] for row in tables["addresses"]}
    assert any(HOSTILE in row["path"] for row in tables["requests"])
    assert any("<script>" in row["fault"] for row in tables["faults"])


SPACELESS = "<script>alert(1)</script>\"'&amp;"


def hostile_everywhere(developer: Developer, sandbox: Sandbox, http: httpx2.Client) -> None:
    person = sandbox.add_person(name=HOSTILE, email=HOSTILE)
    sandbox.issue_agent_token(person)
    sandbox.issue_return_code(person)
    sandbox.register_redirect_uri(f"https://app.example.com/{SPACELESS}")
    sandbox.register_return_to(f"https://app.example.com/{SPACELESS}")
    sandbox.fault(f"/{HOSTILE}", body=HOSTILE)
    line = {"phone": "+15550109999", "label": HOSTILE, "channel": "<b>sms"}
    developer.post("/v1/auth/sign-in/message-lines", line).raise_for_status()
    http.get(f"{sandbox.api_url}/v1/profile", params={"scope": HOSTILE, "<img src=x onerror=alert(2)>": "1"})
    http.get(f"{sandbox.api_url}/<img src=x onerror=alert(1)>")


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not pathlib.Path(CHROMIUM).exists():
        pytest.skip("there is no Chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_the_window_and_runs_nothing(
    browser: Browser,
    developer: Developer,
    sandbox: Sandbox,
    http: httpx2.Client,
    width: int,
    scheme: Literal["light", "dark"],
) -> None:
    hostile_everywhere(developer, sandbox, http)
    sandbox.add_person("+15550100003", name="Wolfeschlegelsteinhausenbergerdorff" * 2, email=f"{'a' * 60}@example.com")
    sandbox.seed({"agents": [{"handle": "a" * 63, "redirect_uris": [f"https://app.example.com/{'b' * 300}"]}]})
    developer.code(state="s" * 100)
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(10_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: said.append(request.url) if request.url != f"{sandbox.api_url}/" else None)
    page.goto(f"{sandbox.api_url}/")

    assert page.title() == "Activity · Configure Sandbox"
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = "cells => cells.filter(c => c.scrollWidth > c.clientWidth + 1).map(c => c.className)"
    assert page.locator("td:visible").evaluate_all(outside) == []
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == {"light": "rgb(243, 244, 246)", "dark": "rgb(15, 17, 21)"}[scheme]
    assert page.get_by_role("table").count() >= 6
    assert page.get_by_role("cell", name="Wolfeschlegel").first.is_visible()

    sandbox.add_person("+15550100004", name="Newcomer")
    page.get_by_role("link", name="Refresh").click()
    page.get_by_role("cell", name="Newcomer").wait_for()
    page.get_by_role("link", name="Requests").click()
    assert page.url == f"{sandbox.api_url}/#requests"
    assert [text for text in said if not text.startswith(("data:", f"{sandbox.api_url}/#"))] == []
    assert all(call.path != "/" for call in sandbox.calls)
    context.close()


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    """A site that lets the browser open, in a frame, what its path names."""

    def do_GET(self) -> None:
        body = f'<!doctype html><title>elsewhere</title><iframe src="{unquote(self.path[1:])}"></iframe>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_another_site_can_neither_frame_nor_read_it(browser: Browser, sandbox: Sandbox, elsewhere: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(10_000)
    answers: list[int] = []
    page.on("response", lambda answer: answers.append(answer.status) if answer.url == f"{sandbox.api_url}/" else None)
    page.goto(f"{elsewhere}/{quote(f'{sandbox.api_url}/', safe='')}")
    fetch = "([url, mode]) => fetch(url, {mode}).then(answer => answer.type, () => 'refused')"

    assert len(page.frames) == 2
    assert "Sandbox activity" not in page.frames[1].content()
    assert page.evaluate(fetch, [f"{sandbox.api_url}/", "cors"]) == "refused"
    assert page.evaluate(fetch, [f"{sandbox.api_url}/", "no-cors"]) == "refused"
    assert answers, "the browser asked for it"
    context.close()
