"""The SDK of the npm package `configure`, unchanged, against the sandbox."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from configure_auth import Configure, Settings
from configure_auth.client import oauth
from configure_auth.sandbox import Person, Sandbox

from .people import ADA, answer
from .sdk import NewSdk, Sdk, SdkError

pytestmark = pytest.mark.extended

RETURN_TO = "http://localhost:3000/configure/callback"
CALLBACK = "http://localhost:3000/auth/configure/callback"
LINE = "+15550109999"
VERIFIER = "v" * 43


@pytest.fixture
def sandbox(configure_sandbox: Sandbox) -> Sandbox:
    configure_sandbox.register_return_to(RETURN_TO)
    return configure_sandbox


@pytest.fixture
def ada(sandbox: Sandbox) -> Person:
    return sandbox.add_person(
        ADA, name="Ada Lovelace", email="ada@example.com", preferences=("Window seats",), summary="Plans by train."
    )


@pytest.fixture
def token(sandbox: Sandbox, ada: Person) -> str:
    """Ada's agent token."""
    return sandbox.issue_agent_token(ada)


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


def access_token(sandbox: Sandbox, scope: str = "profile.read profile.search") -> str:
    """An OAuth token of Ada's, as a sign-in gives it."""
    sandbox.register_redirect_uri(CALLBACK)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": sandbox.credentials.client_id,
        "redirect_uri": CALLBACK,
        "scope": scope,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    code = query(sandbox.sign_in(f"{sandbox.accounts_url}/oauth/authorize?{urlencode(asked)}", ADA))["code"]
    settings = Settings.from_mapping(sandbox.environment())
    with Configure(settings) as configure:
        call = oauth.exchange_authorization_code(
            settings, code=code, redirect_uri=CALLBACK, code_verifier=VERIFIER, resource=None
        )
        return configure.send(call).access_token.reveal()


# Signing in


def test_a_sign_in_in_a_browser_ends_with_a_token(sdk: Sdk, sandbox: Sandbox, ada: Person, browser: Browser) -> None:
    asked = {
        "publishableKey": sandbox.credentials.publishable_key,
        "returnTo": RETURN_TO,
        "state": "the state",
        "displayName": "The Shop",
        "theme": "dark",
        "signInOrigin": sandbox.sign_in_url,
    }
    url = sdk.auth("signInUrl", asked)
    page = browser.new_page()
    page.route(f"{RETURN_TO}**", lambda route: route.fulfill(body="back"))
    answer(page, url)
    expect(page.get_by_text("back")).to_be_visible()
    back = query(page.url)
    page.close()

    assert back["state"] == "the state"
    grant = sdk.auth("exchangeSignInCode", back["code"])
    assert grant.pop("token") in {token.token for token in sandbox.tokens if sandbox.is_live(token.token)}
    owner = {"userId": ada.user_id, "tokenUse": "agent", "approved": True, "agent": sandbox.agent}
    assert grant == owner


@pytest.mark.parametrize("casing", ["camel", "snake"])
def test_a_token_that_was_exchanged_is_valid(sdk: Sdk, sandbox: Sandbox, ada: Person, casing: Any) -> None:
    sandbox.variants.casing = casing
    url = sdk.auth("signInUrl", {"returnTo": RETURN_TO, "signInOrigin": sandbox.sign_in_url})

    grant = sdk.auth("exchangeSignInCode", query(sandbox.sign_in(url, ADA))["code"])

    validation = sdk.auth("validateSignInToken", grant["token"])
    assert validation == {
        "valid": True,
        "userId": ada.user_id,
        "tokenUse": "agent",
        "approved": True,
        "agent": sandbox.agent,
    }
    assert grant["userId"] == ada.user_id


def test_a_used_code_and_a_made_up_one_are_refused(sdk: Sdk, sandbox: Sandbox, ada: Person) -> None:
    code = sandbox.issue_return_code(ada)
    sdk.auth("exchangeSignInCode", code)

    for refused in (code, "cfgsic_made_up"):
        with pytest.raises(SdkError) as caught:
            sdk.auth("exchangeSignInCode", refused)
        assert (caught.value.code, caught.value.status) == ("INVALID_INPUT", 400)
    assert len(sandbox.tokens) == 1


def test_a_code_of_another_agent_is_refused(sdk: Sdk, sandbox: Sandbox, ada: Person) -> None:
    sandbox.add_agent("other-agent")

    with pytest.raises(SdkError) as caught:
        sdk.auth("exchangeSignInCode", sandbox.issue_return_code(ada, agent="other-agent"))

    assert caught.value.code == "INVALID_INPUT"


def test_a_revoked_token_is_not_valid_and_reads_nothing(sdk: Sdk, sandbox: Sandbox, token: str) -> None:
    sandbox.revoke_token(token)

    assert sdk.auth("validateSignInToken", token) == {"valid": False}
    with pytest.raises(SdkError) as caught:
        sdk.profile({"token": token}, "read")
    error = caught.value
    assert (error.code, error.status, error.suggested_action) == ("AUTH_REQUIRED", 401, "reauthenticate")


@pytest.mark.parametrize(
    ("why", "code", "status"), [("revoked", "AUTH_REQUIRED", 401), ("other agent", "ACCESS_DENIED", 403)]
)
def test_a_key_that_is_not_good_is_refused_everywhere(
    new_sdk: NewSdk, sandbox: Sandbox, token: str, why: str, code: str, status: int
) -> None:
    sdk = new_sdk(CONFIGURE_AGENT="other-agent") if why == "other agent" else new_sdk()
    if why == "revoked":
        sdk.auth("listMessageLines")
        sandbox.rotate_api_key()

    asks: tuple[Callable[[], Any], ...] = (
        lambda: sdk.auth("validateSignInToken", token),
        lambda: sdk.auth("exchangeSignInCode", "cfgsic_code"),
        lambda: sdk.auth("recognizePhone", [ADA]),
        lambda: sdk.auth("listMessageLines"),
        lambda: sdk.profile({"token": token}, "read"),
        lambda: sdk.profile({"externalId": "u1"}, "remember", "Likes tea."),
    )
    for ask in asks:
        with pytest.raises(SdkError) as caught:
            ask()
        assert (caught.value.code, caught.value.status) == (code, status)


def test_return_destinations_are_kept(sdk: Sdk, sandbox: Sandbox) -> None:
    link = "https://shop.example/configure/callback"

    added = sdk.auth("allowSignInReturnTo", f"{link}#part")
    listed = sdk.auth("listSignInReturnDestinations")["destinations"]

    assert added["destination"] == link
    assert added["createdAt"]
    assert {entry["destination"] for entry in listed} == set(sandbox.return_destinations) == {RETURN_TO, link}
    assert sdk.auth("removeSignInReturnTo", link)["deleted"] is True
    assert sdk.auth("removeSignInReturnTo", link)["deleted"] is False
    assert sandbox.return_destinations == (RETURN_TO,)
    with pytest.raises(SdkError) as caught:
        sdk.auth("allowSignInReturnTo", "http://shop.example/configure/callback")
    assert (caught.value.code, caught.value.status) == ("INVALID_INPUT", 400)


def test_the_callback_is_registered_once(sdk: Sdk, sandbox: Sandbox) -> None:
    environment = sandbox.environment(app_url="https://shop.example")
    uri = "https://shop.example/auth/configure/callback"

    first, second = (sdk.module("ensureSsoCallbackFromEnv", environment) for _ in range(2))

    assert first == {"status": "registered", "redirectUri": uri, "registered": [uri]}
    assert second == {"status": "already-registered", "redirectUri": uri, "registered": [uri]}
    assert sandbox.redirect_uris == (uri,)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("clientId", "oc_local_other", 'No OAuth client "oc_local_other" on the account that owns this API key'),
        ("apiKey", "sk_local_other", "Configure rejected the API key (the API key is not valid)"),
    ],
)
def test_a_callback_that_is_not_ours_to_register_is_refused(
    sdk: Sdk, sandbox: Sandbox, name: str, value: str, reason: str
) -> None:
    keys = {"clientId": sandbox.credentials.client_id, "apiKey": sandbox.credentials.api_key}
    given = {**keys, name: value, "appUrl": "https://shop.example", "baseUrl": sandbox.api_url}

    refused = sdk.module("ensureSsoCallback", given)

    assert refused["status"] == "failed"
    assert refused["reason"].startswith(reason)
    assert sandbox.redirect_uris == ()


# Messages


def test_a_phone_is_recognised_and_only_its_approval_gives_a_token(sdk: Sdk, sandbox: Sandbox, ada: Person) -> None:
    known = sdk.auth("recognizePhone", ["Ada", " +1 (555) 010-0001 "])
    assert (known["recognized"], known["approved"], known["linked"]) == (True, False, False)
    assert not known.keys() & {"token", "agentToken", "userId"}

    sandbox.sign_in(sdk.auth("signInUrl", {"returnTo": RETURN_TO, "signInOrigin": sandbox.sign_in_url}), ADA)
    linked = sdk.auth("recognizePhone", ADA)

    assert (linked["approved"], linked["linked"], linked["userId"]) == (True, True, ada.user_id)
    assert (linked["displayName"], linked["phoneCandidateCount"]) == ("Ada Lovelace", 1)
    assert sdk.auth("validateSignInToken", linked["token"])["valid"] is True
    assert sdk.auth("recognizePhone", "+15550100099")["matched"] is False


@pytest.mark.parametrize(
    ("live", "phone", "source"),
    [(True, ADA, "token"), (False, ADA, "phone_recognition"), (False, "+15550100099", "external_id")],
)
def test_a_sender_is_who_the_best_proof_says(
    sdk: Sdk, sandbox: Sandbox, ada: Person, token: str, live: bool, phone: str, source: str
) -> None:
    if not live:
        sandbox.revoke_token(token)
    asked = {"externalId": "sender-1", "token": token, "phoneCandidates": [phone], "validateToken": True}

    identity = sdk.auth("resolveMessageIdentity", asked)

    assert (identity["source"], identity["linked"]) == (source, source != "external_id")
    assert identity.get("userId") == (ada.user_id if identity["linked"] else None)
    read = sdk.profile(identity, "read", {"sections": ["identity"]})
    assert read["profile"]["identity"].get("name") == ("Ada Lovelace" if identity["linked"] else None)
    [call] = sandbox.calls_to("GET", "/v1/profile")
    assert ("x-user-id" in call.headers) is not identity["linked"]


def test_message_lines_are_kept_without_their_phones(sdk: Sdk) -> None:
    line = sdk.auth("registerMessageLine", {"phone": "+1 555 010 9999", "label": "Shop", "metadata": {"from": "us"}})
    again = sdk.auth("registerMessageLine", {"phone": LINE, "label": "The shop"})

    assert line["line"]["phoneLast4"] == "9999"
    assert (line["line"]["channel"], line["line"]["status"]) == ("imessage", "active")
    assert line["line"]["metadata"] == {"from": "us"}
    assert (again["line"]["id"], again["line"]["label"]) == (line["line"]["id"], "The shop")
    assert [entry["id"] for entry in sdk.auth("listMessageLines")["lines"]] == [line["line"]["id"]]
    assert sdk.auth("revokeMessageLine", {"phone": LINE}) == {"deleted": True, "lines": []}
    assert sdk.auth("revokeMessageLine", {"phone": LINE}) == {"deleted": False, "lines": []}


def message(**more: str) -> dict[str, object]:
    subject = {"key": "sp_1", "externalId": "sender-1"}
    return {"reason": "signin", "channel": "imessage", "subject": subject, "displayName": "The Shop", **more}


def test_a_link_for_a_message_signs_its_reader_in(sdk: Sdk, sandbox: Sandbox, ada: Person) -> None:
    sdk.auth("registerMessageLine", {"phone": LINE})

    link = sdk.auth("createMessageSignInUrl", message(messageLinePhone=LINE, messageBody="Done", journeyId="j-1"))

    assert (link["mode"], link["reason"], link["fallbackReason"]) == ("plain", "signin", "sender_proof_missing")
    assert urlsplit(link["url"]).path == f"/{sandbox.agent}"
    sent = query(link["url"])
    assert (sent["message_line_phone"], sent["message_body"], sent["journey"]) == (LINE, "Done", "j-1")
    sandbox.sign_in(link["url"], ADA)
    assert sdk.auth("recognizePhone", ADA)["userId"] == ada.user_id


def test_a_minted_link_is_the_same_for_the_same_key(sdk: Sdk, sandbox: Sandbox, ada: Person) -> None:
    sandbox.variants.message_url_mode = "minted"

    first, second = (sdk.auth("createMessageSignInUrl", message(idempotencyKey="k-1")) for _ in range(2))

    assert first == second
    assert (first["mode"], first["idempotencyKey"]) == ("minted", "k-1")
    assert first["url"].endswith(f"/{sandbox.agent}/{first['code']}")
    assert first["expiresAt"]
    sandbox.sign_in(first["url"], ADA)
    assert [grant.user_id for grant in sandbox.grants] == [ada.user_id]


def test_a_line_that_is_not_registered_is_in_no_link(sdk: Sdk) -> None:
    with pytest.raises(SdkError) as caught:
        sdk.auth("createMessageSignInUrl", message(messageLinePhone=LINE))

    assert (caught.value.code, caught.value.status) == ("INVALID_INPUT", 400)


# Profiles


def test_a_profile_is_read_and_the_read_committed(sdk: Sdk, sandbox: Sandbox, token: str) -> None:
    ada = {"token": token}

    read = sdk.profile(ada, "read", {"sections": ["identity", "preferences", "summary"]})

    identity = {"name": "Ada Lovelace", "email": "ada@example.com", "phone_last4": "0001"}
    assert read["profile"]["identity"] == identity
    assert (read["profile"]["preferences"], read["profile"]["summary"]) == (["Window seats"], "Plans by train.")
    assert read["portable"] is True
    assert sandbox.commits_owed == 1
    turn = [{"role": "user", "content": "A train to York"}]
    done = sdk.profile(ada, "commit", {"messages": turn, "memories": ["Goes to York."], "sync": True})
    assert done["status"] == "completed"
    assert len(done["obligations_committed"]) == 1
    assert sandbox.commits_owed == 0


def test_a_turn_reads_and_searches_as_it_needs_before_its_commit(sdk: Sdk, sandbox: Sandbox, token: str) -> None:
    hers = {"token": token}
    sdk.profile(hers, "read")
    sdk.profile(hers, "search", "tea")
    sdk.profile(hers, "read")
    calls = sandbox.calls
    assert len({call.headers["x-configure-runtime-scope-id"] for call in calls}) == 1
    assert "x-configure-read-id" in calls[-1].headers

    sdk.profile(hers, "commit", {"messages": [{"role": "user", "content": "Hello"}]})

    assert sandbox.commits_owed == 0


def test_a_read_that_waits_for_a_commit_is_told(sdk: Sdk, sandbox: Sandbox, token: str) -> None:
    sandbox.variants.scopes_blocking = "same"
    hers = {"token": token}
    sdk.profile(hers, "read")

    with pytest.raises(SdkError) as caught:
        sdk.profile(hers, "read")

    error = caught.value
    assert (error.code, error.status, error.suggested_action) == ("COMMIT_REQUIRED", 409, "commit_profile")
    sdk.profile(hers, "commit", {"messages": [{"role": "user", "content": "Hello"}]})
    assert sdk.profile(hers, "read")["portable"] is True


def test_what_is_remembered_is_found_and_forgotten(sdk: Sdk, sandbox: Sandbox, ada: Person, token: str) -> None:
    hers = {"token": token}

    kept = sdk.profile(hers, "remember", "Likes strong tea.", {"kind": "context"})
    sdk.profile(hers, "remember", "Lives in York.")
    found = sdk.profile(hers, "search", {"query": "tea", "limit": 5})

    assert kept["saved"] is True
    assert sandbox.memories(ada) == ("Likes strong tea.", "Lives in York.")
    [hit] = found["results"]
    assert (hit["id"], hit["text"]) == (kept["memory"]["id"], "Likes strong tea.")
    assert hit["saved_on"]
    assert sdk.profile(hers, "search", "coffee")["results"] == []
    assert sdk.profile(hers, "forget", hit["id"], {"reason": "user_request"})["deleted"] is True
    assert sandbox.memories(ada) == ("Lives in York.",)


def test_users_of_the_app_have_profiles_of_their_own(sdk: Sdk, sandbox: Sandbox) -> None:
    sdk.profile({"externalId": "u1"}, "remember", "Likes tea.")

    assert len(sdk.profile({"externalId": "u1"}, "search", "tea")["results"]) == 1
    assert sdk.profile({"externalId": "u2"}, "search", "tea")["results"] == []
    assert {call.headers["x-user-id"] for call in sandbox.calls} == {"u1", "u2"}


def test_an_oauth_token_tells_whose_it_is(sdk: Sdk, sandbox: Sandbox, ada: Person) -> None:
    token = access_token(sandbox)

    told = sdk.user_info(sandbox, token)

    assert (told["sub"], told["name"], told["email"]) == (ada.user_id, "Ada Lovelace", "ada@example.com")
    [introspection] = sandbox.calls_to("POST", "/oauth/introspect")
    assert introspection.json == {"token": token}
    assert not introspection.headers.keys() & {"authorization", "x-api-key"}


def test_an_oauth_token_does_what_its_scopes_let_it(sdk: Sdk, sandbox: Sandbox, ada: Person) -> None:
    hers = {"token": access_token(sandbox, "profile.read")}

    assert sdk.profile(hers, "read")["profile"]["identity"]["name"] == "Ada Lovelace"
    with pytest.raises(SdkError) as caught:
        sdk.profile(hers, "remember", "Likes tea.")

    assert (caught.value.code, caught.value.status) == ("ACCESS_DENIED", 403)
    assert caught.value.suggested_action == "check_permissions"
    assert sandbox.memories(ada) == ()


def test_an_agent_token_and_a_revoked_one_tell_nobody(sdk: Sdk, sandbox: Sandbox, token: str) -> None:
    assert sdk.user_info(sandbox, token) is None

    revoked = access_token(sandbox)
    sandbox.revoke_token(revoked)
    with pytest.raises(SdkError) as caught:
        sdk.user_info(sandbox, revoked)
    assert caught.value.code == "AUTH_REQUIRED"
