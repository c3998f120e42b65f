"""The hosted sign-in and its server's side."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import pytest

from configure_auth.sandbox import Sandbox, SignInFailed

if TYPE_CHECKING:
    from tests.sandbox.conftest import Developer

RETURN_TO = "http://localhost:3000/configure/callback"
EXCHANGE = "/v1/auth/sign-in/exchange"
VALIDATE = "/v1/auth/sign-in/validate"
RECOGNIZE = "/v1/auth/sign-in/recognize-phone"
DESTINATIONS = "/v1/auth/sign-in/return-destinations"


def _code(url: str) -> str:
    return url.partition("code=")[2].partition("&")[0]


def test_a_person_gets_what_a_sign_in_names(sandbox: Sandbox, developer: Developer) -> None:
    url = developer.sign_in_url()
    sandbox.sign_in(url, name="Ada Lovelace", email="ada@example.com")
    sandbox.sign_in(url, email_verified=True, preferences=("Window seats",))

    (ada,) = sandbox.people
    assert (ada.name, ada.email, ada.email_verified) == ("Ada Lovelace", "ada@example.com", True)
    with pytest.raises(TypeError, match="nmae"):
        sandbox.sign_in(url, nmae="Ada")  # type: ignore[call-arg]


def test_a_whole_account_link(developer: Developer, sandbox: Sandbox) -> None:
    pk = sandbox.credentials.publishable_key
    back = sandbox.sign_in(developer.sign_in_url(pk=pk, return_to=RETURN_TO, state="s+t"), name="Ada Lovelace")
    assert back.startswith(f"{RETURN_TO}?code=cfgsic_")
    assert back.endswith("&state=s%2Bt")
    granted = developer.post(EXCHANGE, {"code": _code(back), "from": "the future"}).json()
    person = sandbox.people[0]
    assert person.name == "Ada Lovelace"
    assert {k: v for k, v in granted.items() if k != "token"} == {
        "userId": person.user_id,
        "tokenUse": "agent",
        "approved": True,
        "agent": "demo-agent",
    }
    validated = developer.post(VALIDATE, {"token": granted["token"]}).json()
    assert (validated["valid"], validated["userId"]) == (True, person.user_id)


def test_the_bare_agent_url_works_and_ends_on_a_page(developer: Developer, sandbox: Sandbox) -> None:
    assert sandbox.sign_in(f"{sandbox.sign_in_url}/demo-agent") == f"{sandbox.sign_in_url}/demo-agent"
    assert sandbox.sign_in(f"{sandbox.sign_in_url}/demo-agent/reconnect").endswith("/reconnect")
    assert [grant.agent for grant in sandbox.grants] == ["demo-agent", "demo-agent"]


def test_cancel_goes_back_without_a_code(developer: Developer, sandbox: Sandbox) -> None:
    back = sandbox.sign_in(developer.sign_in_url(return_to=RETURN_TO, state="s"), cancel=True)
    assert back.startswith(f"{RETURN_TO}?error=access_denied")
    assert back.endswith("&state=s")
    sandbox.variants.hosted_cancel = "bare"
    assert sandbox.sign_in(developer.sign_in_url(return_to=RETURN_TO, state="s"), cancel=True) == (
        f"{RETURN_TO}?state=s"
    )


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"return_to": f"{RETURN_TO}/"}, "return_destination_not_allowed"),
        ({"return_to": "https://evil.example/"}, "return_destination_not_allowed"),
        ({"return_to": "javascript:alert(1)"}, "return_destination_not_allowed"),
        ({"pk": "pk_local_other"}, "publishable_key_invalid"),
        ({"pk": "sk_local_secret"}, "publishable_key_required"),
        ({"agent": "other-agent"}, "invalid_field"),
        ({"theme": "sepia"}, "invalid_field"),
        ({"connectors": "gmail,telegraph"}, "invalid_field"),
        ({"agent_logo": "javascript:1"}, "invalid_field"),
        ({"message_complete_url": "http://app.example/done"}, "invalid_field"),
        ({"message_line_phone": "nobody"}, "invalid_field"),
    ],
)
def test_a_wrong_parameter_is_an_error_page(
    developer: Developer, sandbox: Sandbox, params: dict[str, str], code: str
) -> None:
    with pytest.raises(SignInFailed, match=code) as failed:
        sandbox.sign_in(developer.sign_in_url(**params))
    assert failed.value.status == 400


def test_a_repeated_parameter_is_an_error_page(developer: Developer, sandbox: Sandbox) -> None:
    with pytest.raises(SignInFailed, match="repeated"):
        sandbox.sign_in(f"{sandbox.sign_in_url}/demo-agent?state=a&state=b")


def test_an_unknown_agent_is_a_404(sandbox: Sandbox) -> None:
    with pytest.raises(SignInFailed) as failed:
        sandbox.sign_in(f"{sandbox.sign_in_url}/nobody")
    assert failed.value.status == 404


def test_the_allow_list_belongs_to_one_agent(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.add_agent("other-agent")
    with pytest.raises(SignInFailed, match="return_destination_not_allowed"):
        sandbox.sign_in(developer.sign_in_url("other-agent", return_to=RETURN_TO))


def test_every_parameter_is_shown_or_used(developer: Developer, sandbox: Sandbox) -> None:
    url = developer.sign_in_url(
        agent_name="Luke", agent_logo="https://app.example/logo.png", theme="dark", connectors="gmail, notion"
    )
    page = developer.http.get(url).text
    assert "<strong>Luke</strong>" in page
    assert 'src="https://app.example/logo.png"' in page
    assert 'data-theme="dark"' in page
    sandbox.sign_in(url)
    assert sandbox.grants[0].connectors == ("gmail", "notion")


def _last_page(developer: Developer, url: str, *steps: dict[str, str]) -> str:
    page = developer.http.get(url).text
    interaction = page.partition('name="interaction" value="')[2].partition('"')[0]
    for step in steps:
        page = developer.http.post(url, data={"interaction": interaction, **step}).text
    return page


WHOLE_WAY = ({"do": "phone", "phone": "+15550100001"}, {"do": "code", "code": "000000"}, {"do": "allow"})


@pytest.mark.parametrize("steps", [WHOLE_WAY, ({"do": "cancel"},)], ids=["allowed", "cancelled"])
def test_the_last_page_of_a_message_sign_in_leads_back_to_the_messages(
    developer: Developer, sandbox: Sandbox, steps: tuple[dict[str, str], ...]
) -> None:
    url = developer.sign_in_url(delivery="message", message_line_phone="+1 555 010 9999", message_body="I'm done")
    assert 'href="sms:+15550109999?&amp;body=I%27m%20done"' in _last_page(developer, url, *steps)

    page = _last_page(developer, developer.sign_in_url(delivery="sms", message_body="done"), *steps)
    assert "Now go back to your messages." in page
    assert "sms:" not in page

    url = developer.sign_in_url(delivery="browser", message_line_phone="+1 555 010 9999")
    page = _last_page(developer, url, *steps)
    assert "You can close this page." in page
    assert "sms:" not in page


def test_a_native_apps_link_keeps_its_spelling(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.register_return_to("myapp://linked?from=configure")
    back = sandbox.sign_in(developer.sign_in_url(return_to="myapp://linked?from=configure"))
    assert back.startswith("myapp://linked?from=configure&code=cfgsic_")


# Exchange and validate


def test_a_return_code_is_good_once(developer: Developer, sandbox: Sandbox) -> None:
    code = sandbox.issue_return_code(sandbox.add_person())
    assert developer.post(EXCHANGE, {"code": code}).status_code == 200
    second = developer.post(EXCHANGE, {"code": code})
    assert (second.status_code, second.json()["error"]["code"]) == (400, "invalid_code")


def test_a_return_code_expires_after_five_minutes(developer: Developer, sandbox: Sandbox) -> None:
    code = sandbox.issue_return_code(sandbox.add_person())
    sandbox.advance(300)
    assert developer.post(EXCHANGE, {"code": code}).json()["error"]["code"] == "invalid_code"


def test_a_return_code_belongs_to_one_agent(developer: Developer, sandbox: Sandbox) -> None:
    other = sandbox.add_agent("other-agent")
    code = sandbox.issue_return_code(sandbox.add_person())
    stolen = developer.post(EXCHANGE, {"code": code}, {"X-API-Key": other.api_key, "X-Agent": "other-agent"})
    assert stolen.json()["error"]["code"] == "invalid_code"
    assert developer.post(EXCHANGE, {"code": code}).status_code == 200


@pytest.mark.parametrize("path", [EXCHANGE, VALIDATE, RECOGNIZE, DESTINATIONS])
def test_sign_in_endpoints_want_the_secret_key_and_its_agent(developer: Developer, sandbox: Sandbox, path: str) -> None:
    keys, other = sandbox.credentials, sandbox.add_agent("other-agent")
    refusals: list[tuple[dict[str, str], int, str]] = [
        ({}, 401, "api_key_missing"),
        ({"X-API-Key": "sk_local_wrong", "X-Agent": keys.agent}, 401, "api_key_invalid"),
        ({"X-API-Key": keys.publishable_key, "X-Agent": keys.agent}, 403, "secret_key_required"),
        ({"X-API-Key": keys.api_key}, 400, "missing_field"),
        ({"X-API-Key": keys.api_key, "X-Agent": "Demo-Agent"}, 403, "agent_forbidden"),
        ({"X-API-Key": other.api_key, "X-Agent": keys.agent}, 403, "agent_forbidden"),
    ]
    for headers, status, code in refusals:
        response = developer.post(path, {}, headers)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)
        assert isinstance(response.json()["request_id"], str)
    assert developer.post(path, {}).json()["error"]["code"] == "missing_field"


def test_only_json_objects_are_read(developer: Developer, sandbox: Sandbox) -> None:
    for content in (b"", b"[]", b"{", b'{"code": NaN}', b'{"code": "a", "code": "b"}'):
        response = developer.http.post(
            f"{sandbox.api_url}{EXCHANGE}",
            content=content,
            headers={**developer.headers, "Content-Type": "application/json"},
        )
        assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")


def test_validate_tells_the_kinds_of_token_apart(developer: Developer, sandbox: Sandbox) -> None:
    person = sandbox.add_person()

    def validate(token: str) -> dict[str, object]:
        body: dict[str, object] = developer.post(VALIDATE, {"token": token}).json()
        return body

    agent_token = sandbox.issue_agent_token(person)
    assert validate(agent_token)["valid"] is True
    raw = validate(sandbox.issue_user_token(person))
    assert (raw["tokenUse"], raw["approved"]) == ("user", False)
    sandbox.add_agent("other-agent")
    assert validate(sandbox.issue_agent_token(person, agent="other-agent")) == {"valid": False}
    assert validate(developer.tokens()["access_token"]) == {"valid": False}
    sandbox.revoke_approval(person)
    assert validate(agent_token) == {"valid": False}


def test_an_agent_token_expires(developer: Developer, sandbox: Sandbox) -> None:
    token = developer.agent_token()
    sandbox.advance(31 * 86400)
    assert developer.post(VALIDATE, {"token": token}).json() == {"valid": False}


# Phones


def test_a_recognised_phone_is_not_yet_approved(developer: Developer, sandbox: Sandbox) -> None:
    person = sandbox.add_person("+15550100001", name="Ada Lovelace")
    candidates = {"candidates": ["space:1", "ada@example.com", "+1 (555) 010-0001"]}
    before = developer.post(RECOGNIZE, candidates).json()
    assert before["recognized"] is True
    assert before["approved"] is False
    assert not {"token", "userId", "displayName"} & before.keys()
    sandbox.issue_agent_token(person)
    after = developer.post(RECOGNIZE, candidates).json()
    assert (after["approved"], after["userId"], after["displayName"]) == (True, person.user_id, "Ada Lovelace")
    assert developer.post(VALIDATE, {"token": after["token"]}).json()["valid"] is True


def test_candidates_that_name_two_people_recognise_nobody(developer: Developer, sandbox: Sandbox) -> None:
    for phone in ("+15550100001", "+15550100002"):
        sandbox.issue_agent_token(sandbox.add_person(phone))
    body = developer.post(RECOGNIZE, {"candidates": ["+15550100001", "+15550100002"]}).json()
    assert (body["recognized"], body["approved"], body["phoneCandidateCount"]) == (False, False, 2)


def test_no_country_is_inferred_for_a_candidate(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.add_person("+15550100001")
    assert developer.post(RECOGNIZE, {"candidates": ["5550100001"]}).json()["recognized"] is False


# Return destinations


def test_return_destinations_are_kept_without_their_fragment(developer: Developer, sandbox: Sandbox) -> None:
    url = "https://app.example/callback?x=1"
    added = developer.post(DESTINATIONS, {"return_to": f"{url}#top"}).json()
    assert added["destination"] == url
    listed = developer.get(DESTINATIONS).json()["destinations"]
    assert [item["destination"] for item in listed] == [RETURN_TO, url]
    removed = developer.http.request(
        "DELETE", f"{sandbox.api_url}{DESTINATIONS}", json={"return_to": url}, headers=developer.headers
    ).json()
    assert removed == {"destination": url, "deleted": True}
    assert sandbox.return_destinations == (RETURN_TO,)


@pytest.mark.parametrize(
    "url",
    ["http://app.example/", "javascript:alert(1)", "data:text/html,x", "//app.example", "/callback", "https://", "a b"],
)
def test_a_wrong_return_destination_is_refused(developer: Developer, url: str) -> None:
    response = developer.post(DESTINATIONS, {"return_to": url})
    assert response.json()["error"]["code"] == "invalid_return_destination"


# Completion


class Webhook:
    """An app that is told of completions. `allows` is what its preflights are answered with, None for a 403."""

    def __init__(self) -> None:
        self.received: list[dict[str, object]] = []
        self.asked: list[dict[str, str]] = []
        self.allows: dict[str, str] | None = None
        self.status = 200
        self.posted_with: list[dict[str, str]] = []
        self.url = ""


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.posted_with.append({name.lower(): value for name, value in self.headers.items()})
            hook.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(hook.status, {})

        def do_OPTIONS(self) -> None:
            hook.asked.append({name.lower(): value for name, value in self.headers.items()})
            self.answer(403 if hook.allows is None else 204, hook.allows or {})

        def answer(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        hook.url = f"http://127.0.0.1:{server.server_port}/complete"
        yield hook
        server.shutdown()
        thread.join()


def _leave(sandbox: Sandbox) -> dict[str, str]:
    return {"Access-Control-Allow-Origin": sandbox.sign_in_url, "Access-Control-Allow-Headers": "Content-Type"}


@pytest.mark.parametrize("sender", ["server", "page"])
def test_a_completion_is_posted_before_the_sign_in_ends(
    developer: Developer, sandbox: Sandbox, webhook: Webhook, sender: Literal["server", "page"]
) -> None:
    sandbox.variants.completion_sender = sender
    webhook.allows = _leave(sandbox)
    sandbox.sign_in(developer.sign_in_url(delivery="message", journey="j1", message_complete_url=webhook.url))
    assert len(webhook.received) == 1
    body = webhook.received[0]
    assert (body["journeyId"], body["agent"]) == ("j1", "demo-agent")
    assert body["userId"] == sandbox.people[0].user_id
    assert developer.post(VALIDATE, {"token": body["token"]}).json()["valid"] is True
    assert [(one.url, one.body, one.status) for one in sandbox.completions] == [(webhook.url, body, 200)]


def test_a_visitor_posts_what_the_page_posts_as_a_browser_does(
    developer: Developer, sandbox: Sandbox, webhook: Webhook
) -> None:
    sandbox.variants.completion_sender = "page"
    webhook.allows, webhook.status = _leave(sandbox), 401

    sandbox.sign_in(developer.sign_in_url(delivery="message", message_complete_url=webhook.url))

    assert sandbox.completions[0].status == 401
    (asked,), (posted,) = webhook.asked, webhook.posted_with
    assert asked["access-control-request-method"] == "POST"
    assert asked["access-control-request-headers"] == "content-type"
    assert asked["origin"] == posted["origin"] == sandbox.sign_in_url
    assert posted["content-type"] == "application/json"
    assert "cookie" not in asked.keys() | posted.keys()  # ports don't separate cookies, and the visitor has one


@pytest.mark.parametrize(
    "allows",
    [
        None,
        {},
        {"Access-Control-Allow-Headers": "Content-Type"},
        {"Access-Control-Allow-Origin": "http://localhost", "Access-Control-Allow-Headers": "Content-Type"},
        {"Access-Control-Allow-Origin": "*"},
        {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "authorization"},
    ],
)
def test_an_app_that_does_not_let_the_page_post_is_not_told(
    developer: Developer, sandbox: Sandbox, webhook: Webhook, allows: dict[str, str] | None
) -> None:
    sandbox.variants.completion_sender = "page"
    webhook.allows = allows

    sandbox.sign_in(developer.sign_in_url(delivery="message", message_complete_url=webhook.url))

    assert webhook.received == []
    assert sandbox.completions[0].status is None
    assert "preflight" in (sandbox.completions[0].error or "")


def test_no_completion_without_message_delivery_or_consent(
    developer: Developer, sandbox: Sandbox, webhook: Webhook
) -> None:
    sandbox.sign_in(developer.sign_in_url(delivery="browser", message_complete_url=webhook.url))
    sandbox.sign_in(developer.sign_in_url(delivery="message", message_complete_url=webhook.url), cancel=True)
    assert webhook.received == []


@pytest.mark.parametrize("sender", ["server", "page"])
def test_an_app_that_is_down_does_not_stop_the_sign_in(
    developer: Developer, sandbox: Sandbox, sender: Literal["server", "page"]
) -> None:
    sandbox.variants.completion_sender = sender
    sandbox.sign_in(developer.sign_in_url(delivery="sms", message_complete_url="http://127.0.0.1:9/"))
    assert sandbox.completions[0].status is None
    assert sandbox.completions[0].error is not None


# Message lines and links


def test_message_lines(developer: Developer, sandbox: Sandbox) -> None:
    path = "/v1/auth/sign-in/message-lines"
    first = developer.post(path, {"phone": "+1 555 010 9999", "label": "main"}).json()["line"]
    assert (first["channel"], first["phoneLast4"], first["status"]) == ("imessage", "9999", "active")
    assert "555010" not in json.dumps(first)
    assert developer.post(path, {"phone": "+15550109999"}).json()["line"]["id"] == first["id"]
    assert developer.post(path, {"phone": "+15550109999", "metadata": {"phone": "x"}}).status_code == 400

    def revoke() -> dict[str, object]:
        body: dict[str, object] = developer.http.request(
            "DELETE", f"{sandbox.api_url}{path}", json={"phone": "+15550109999"}, headers=developer.headers
        ).json()
        return body

    assert revoke() == {"deleted": True, "lines": []}
    assert revoke() == {"deleted": False, "lines": []}


def _link_request(**more: object) -> dict[str, object]:
    subject = {"key": "sp_1", "externalId": "spectrum:sp_1"}
    return {"reason": "signin", "channel": "imessage", "subject": subject, "returnMode": "message", **more}


def test_a_message_url_is_plain(developer: Developer, sandbox: Sandbox) -> None:
    path = "/v1/auth/sign-in/message-url"
    body = developer.post(path, _link_request(journeyId="j 1", connectors=["gmail"])).json()
    assert (body["mode"], body["reason"], body["fallbackReason"]) == ("plain", "signin", "sender_proof_missing")
    assert body["url"] == f"{sandbox.sign_in_url}/demo-agent?journey=j%201&delivery=message&connectors=gmail"
    unregistered = developer.post(path, _link_request(messageLinePhone="+15550109999"))
    assert unregistered.json()["error"]["code"] == "message_line_not_registered"
    for name in ("reason", "channel", "subject"):
        assert developer.post(path, {**_link_request(), name: None}).status_code == 400
    assert developer.post(path, _link_request(reason="fun")).status_code == 400


def test_a_minted_message_url_works_for_ten_minutes(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.variants.message_url_mode = "minted"
    path = "/v1/auth/sign-in/message-url"
    body = developer.post(path, _link_request(idempotencyKey="k")).json()
    assert body["url"] == f"{sandbox.sign_in_url}/demo-agent/{body['code']}"
    assert developer.post(path, _link_request(idempotencyKey="k")).json()["code"] == body["code"]
    sandbox.sign_in(body["url"])
    sandbox.advance(600)
    with pytest.raises(SignInFailed, match="expired"):
        sandbox.sign_in(body["url"])
    assert developer.post(path, _link_request(idempotencyKey="k")).json()["code"] != body["code"]


# One-time passwords


def test_a_one_time_password_gives_a_user_token_that_has_to_be_approved(developer: Developer, sandbox: Sandbox) -> None:
    browser = {"X-API-Key": sandbox.credentials.publishable_key}
    assert developer.post("/v1/auth/otp/start", {"phone": "+15550100001"}, browser).json()["ok"] is True
    wrong = developer.post("/v1/auth/otp/verify", {"phone": "+15550100001", "code": "111111"}, browser)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_code")
    verified = developer.post("/v1/auth/otp/verify", {"phone": "+15550100001", "code": "000000"}, browser).json()
    headers = {"Authorization": f"Bearer {verified['token']}"}
    approved = developer.post("/v1/embed/approve", {"agent": "demo-agent"}, headers).json()
    assert approved["userId"] == verified["user_id"]
    assert developer.post(VALIDATE, {"token": approved["token"]}).json()["tokenUse"] == "agent"
    twice = developer.post(
        "/v1/embed/approve", {"agent": "demo-agent"}, {"Authorization": f"Bearer {approved['token']}"}
    )
    assert twice.status_code == 401


def test_an_external_ids_memories_move_to_the_person_once(developer: Developer, sandbox: Sandbox) -> None:
    unlinked = {**developer.headers, "X-User-Id": "u1"}
    developer.post("/v1/profile/remember", {"fact": "Likes tea"}, unlinked)
    body = {"phone": "+15550100001", "code": "000000", "agent": "demo-agent", "external_id": "u1"}
    for _ in range(2):
        assert developer.post("/v1/auth/otp/verify", body).status_code == 200
    assert sandbox.memories(sandbox.people[0]) == ("Likes tea",)
    assert developer.get("/v1/profile/search", unlinked).json()["results"] == []
    foreign = developer.post("/v1/auth/otp/verify", {**body, "agent": "other-agent"})
    assert foreign.json()["error"]["code"] == "agent_forbidden"
