"""Configure's page "Message-Agent SSO", but for "Better Auth" and "OAuth Provider"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from configure_auth import Configure, ConfigureError, MessageAgent, Settings, SettingsError
from configure_auth.errors import ApiCode
from configure_auth.sandbox import Sandbox

from ..messages.conftest import Platform
from ..support.web import MakeWeb, query_of

ADA, BOB = "+14155550101", "+14155550102"
KEYS = {"CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with"}
RECOGNIZE, VALIDATE = "/v1/auth/sign-in/recognize-phone", "/v1/auth/sign-in/validate"
REFUSED = {"ok": False, "linked": False}


@pytest.fixture
def platform(make_web: MakeWeb) -> Iterator[Platform]:
    """An app with `messages()`, and the senders of its messages."""
    platform = Platform(
        make_web(messages={"display_name": "Your Agent", "on_unproven": "accept"}, link=None, login=None)
    )
    with platform.browser:
        yield platform


@pytest.fixture
def agent(configure_sandbox: Sandbox) -> Iterator[MessageAgent]:
    """A bot without a web app."""
    settings = Settings.from_mapping({**configure_sandbox.environment(), **KEYS, "CONFIGURE_APP_URL": None})
    with MessageAgent(settings, store="memory://", display_name="Your Agent", message_body="done") as agent:
        yield agent


def token_of(sandbox: Sandbox, phone: str = ADA) -> str:
    return sandbox.issue_agent_token(sandbox.add_person(phone))


# Introduction


def test_the_server_stores_the_returned_agent_scoped_token(platform: Platform) -> None:
    """Introduction: "The agent sends one hosted link, Configure handles phone verification, connector setup, and
    consent, and your server stores the returned agent-scoped token."
    """
    platform.follow(platform.connect())

    identity = platform.message()
    assert (identity["linked"], identity["source"]) == (True, "token")
    live = platform.sandbox.token(identity["token"])
    assert live is not None
    assert live.agent == platform.sandbox.agent


def test_the_user_keeps_talking_in_the_original_thread(platform: Platform) -> None:
    """Introduction: "... any message surface where the user can tap a browser link but will keep talking in the
    original thread."
    """
    before = platform.message()["external_id"]
    platform.follow(platform.connect())

    assert platform.message()["external_id"] == before


# Install


@pytest.mark.parametrize(
    ("name", "value"), [("CONFIGURE_API_KEY", "pk_live_x"), ("CONFIGURE_PUBLISHABLE_KEY", "sk_live_x")]
)
def test_each_key_has_its_place(configure_sandbox: Sandbox, name: str, value: str) -> None:
    """Install: "Keep CONFIGURE_API_KEY as an sk_ key on the server. Use CONFIGURE_PUBLISHABLE_KEY only when building
    hosted URLs."
    """
    with pytest.raises(SettingsError, match=name):
        Settings.from_mapping({**configure_sandbox.environment(), name: value})


def test_only_the_publishable_key_is_in_a_url(configure: Configure, settings: Settings) -> None:
    """SDK Helpers: "sk_ keys are always server-side. pk_ keys are only for hosted Configure UI." """
    url = configure.auth.sign_in_url(publishable_key=settings.publishable_key)
    assert query_of(url)["pk"] == settings.publishable_key
    assert settings.required_api_key.reveal() not in url
    with pytest.raises(ConfigureError, match="pk_"):
        configure.auth.sign_in_url(publishable_key=settings.required_api_key.reveal())


# The Pattern


def test_every_sender_has_a_stable_external_id(agent: MessageAgent) -> None:
    """The Pattern, 1: "Give every message sender a stable app-local externalId." """
    ada, again, bob = (agent.message_identity(key).external_id for key in ("chat:ada", "chat:ada", "chat:bob"))
    assert ada == again != bob


def test_a_stored_token_is_used(agent: MessageAgent, configure_sandbox: Sandbox) -> None:
    """The Pattern, 2: "If you have a stored Configure token, use it." """
    token_of(configure_sandbox)
    stored = agent.message_identity("chat:ada", phone_candidates=[ADA]).token
    calls = len(configure_sandbox.calls_to("POST", RECOGNIZE))

    assert agent.message_identity("chat:ada", phone_candidates=[ADA]).token == stored
    assert len(configure_sandbox.calls_to("POST", RECOGNIZE)) == calls


def test_configure_is_asked_to_recognize_a_phone(agent: MessageAgent, configure_sandbox: Sandbox) -> None:
    """The Pattern, 3: "If the platform exposes phone-like sender metadata, ask Configure to recognize it." """
    ada = configure_sandbox.add_person(ADA)
    configure_sandbox.issue_agent_token(ada)

    identity = agent.message_identity("chat:ada", phone_candidates=["chat:ada", ADA])
    assert (identity.linked, identity.user_id, identity.source) == (True, ada.user_id, "phone_recognition")


def test_without_token_and_phone_it_goes_on_with_the_external_id(
    agent: MessageAgent, configure_sandbox: Sandbox
) -> None:
    """The Pattern, 4: "If neither exists, continue with externalId." """
    identity = agent.message_identity("chat:ada")
    assert (identity.linked, identity.source) == (False, "external_id")
    assert agent.client.profile(identity).remember("Prefers tea").saved
    assert configure_sandbox.calls[-1].headers["x-user-id"] == identity.external_id


def test_a_user_who_asks_to_connect_gets_a_sign_in_me_url(platform: Platform) -> None:
    """The Pattern, 5: "When the user asks to connect, send a sign-in.me URL." """
    assert platform.connect().startswith(f"{platform.sandbox.sign_in_url}/{platform.sandbox.agent}?")


@pytest.mark.parametrize("linked", [True, False])
def test_the_result_is_a_linked_token_or_the_same_external_id(
    configure: Configure, configure_sandbox: Sandbox, linked: bool
) -> None:
    """The Pattern: "resolveMessageIdentity() returns either a linked token or the same externalId fallback." """
    if linked:
        token_of(configure_sandbox)
    identity = configure.auth.resolve_message_identity(external_id="spectrum:ada", phone_candidates=[ADA])
    assert identity.external_id == "spectrum:ada"
    assert (identity.token is not None) == identity.linked == linked


def test_one_identity_result_is_used_without_caring(configure: Configure, configure_sandbox: Sandbox) -> None:
    """The Pattern: "... the rest of your app can use one identity result without caring whether the user has linked
    yet."
    """
    token_of(configure_sandbox)
    for phones in ([ADA], [BOB], []):
        identity = configure.auth.resolve_message_identity(external_id="spectrum:ada", phone_candidates=phones)
        assert configure.profile(identity).read(sections=["identity"]).portable == identity.linked


def test_stored_tokens_are_trusted_by_default(configure: Configure, configure_sandbox: Sandbox) -> None:
    """The Pattern: "For the hot path, stored tokens are trusted by default." """
    identity = configure.auth.resolve_message_identity(external_id="spectrum:ada", token="a-stored-token")
    assert (identity.linked, identity.source) == (True, "token")
    assert configure_sandbox.calls == []


@pytest.mark.parametrize("good", [True, False])
def test_validate_token_asks_configure(configure: Configure, configure_sandbox: Sandbox, good: bool) -> None:
    """The Pattern: "Use validateToken: true when loading a token from durable storage, after webhook completion, or on
    the first turn after a deploy/restart."
    """
    token = token_of(configure_sandbox) if good else "a-token-of-nobody"
    identity = configure.auth.resolve_message_identity(external_id="spectrum:ada", token=token, validate_token=True)
    assert identity.linked == good
    assert len(configure_sandbox.calls_to("POST", VALIDATE)) == 1


def test_the_simplest_flow_needs_no_callback(agent: MessageAgent, configure_sandbox: Sandbox) -> None:
    """The Pattern: "For the simplest message-agent flow, no callback endpoint is required. The user completes hosted
    auth, returns to the message app, and the next inbound message can be recognized by phone or use the token you
    already stored."
    """
    configure_sandbox.sign_in(agent.message_sign_in_url(), ADA)

    assert agent.message_identity("chat:ada", phone_candidates=[ADA]).source == "phone_recognition"
    assert agent.message_identity("chat:ada").source == "token"


def test_every_option_of_the_sample_is_in_the_url(configure: Configure, settings: Settings) -> None:
    """The Pattern: the sample of signInUrl, and "The URL is hosted at:
    https://sign-in.me/{agent}?pk=pk_...&delivery=message".
    """
    url = configure.auth.sign_in_url(
        publishable_key=settings.publishable_key,
        delivery="message",
        display_name="Your Agent",
        message_line_phone="+14155550100",
        message_body="done",
        connectors=["gmail", "calendar"],
    )
    assert url.startswith(f"{settings.sign_in_url}/{settings.agent}?pk={settings.publishable_key}&")
    assert query_of(url) == {
        "pk": settings.publishable_key,
        "agent_name": "Your Agent",
        "delivery": "message",
        "message_line_phone": "+14155550100",
        "message_body": "done",
        "connectors": "gmail,calendar",
    }


def test_the_agent_comes_from_the_settings_alone(configure: Configure, settings: Settings) -> None:
    """The Pattern: "sign-in.me resolves the agent from the path. Do not add agent from request body, message text, or
    any caller-controlled field."
    """
    assert configure.auth.sign_in_url() == f"{settings.sign_in_url}/{settings.agent}"
    with pytest.raises(TypeError):
        configure.auth.sign_in_url(agent="other")  # type: ignore[call-arg]


# Photon/Spectrum


def test_a_spectrum_agent_needs_an_external_id_candidates_and_a_url(
    agent: MessageAgent, configure_sandbox: Sandbox
) -> None:
    """Photon/Spectrum: "Configure only needs a stable externalId, optional phone candidates, and a hosted URL when the
    user asks to connect.", and the loop of the sample.
    """
    wants_connect = re.compile(r"\b(connect|link|sign[\s-]?in|log[\s-]?in|login)\b", re.IGNORECASE)
    replies: list[str] = []

    def on_message(text: str) -> None:
        identity = agent.message_identity("imessage:ada", phone_candidates=[None, ADA, "", "imessage:ada"])
        if wants_connect.search(text):
            replies.append(f"Connect your profile: {agent.message_sign_in_url()}")
        else:
            replies.append(agent.client.profile(identity).read().identity.name or "Hello")

    on_message("hi")
    on_message("please connect me")
    configure_sandbox.sign_in(replies[-1].removeprefix("Connect your profile: "), ADA, name="Ada")
    on_message("done")

    assert (replies[0], replies[-1]) == ("Hello", "Ada")


@pytest.mark.parametrize("blank", [None, "", "  ", "\t"])
def test_candidates_without_a_value_are_left_out(configure: Configure, configure_sandbox: Sandbox, blank: Any) -> None:
    """Photon/Spectrum: the sample's filter "Boolean(value?.trim())"."""
    configure.auth.resolve_message_identity(external_id="spectrum:ada", phone_candidates=[blank])
    assert configure_sandbox.calls == []
    configure.auth.resolve_message_identity(external_id="spectrum:ada", phone_candidates=[blank, ADA])
    (call,) = configure_sandbox.calls_to("POST", RECOGNIZE)
    assert call.body.decode() == f'{{"candidates":["{ADA}"]}}'


# Completion Webhook


def test_the_browser_flow_notifies_the_server_immediately(platform: Platform) -> None:
    """Completion Webhook: "If you want the browser flow to notify your message server immediately, generate a
    journeyId, include a messageCompleteUrl, and map that journey back to the message space."
    """
    link = platform.connect()
    sent = query_of(link)
    assert sent["message_complete_url"] == f"{platform.web.url}/configure/messages/complete"
    assert len(sent["journey"]) >= 36
    platform.sandbox.sign_in(link, ADA)

    [(subject_key, account)] = platform.linked
    assert (subject_key, account.kind) == ("chat:ada", "agent")


def test_the_completion_has_token_user_agent_and_journey(platform: Platform) -> None:
    """Completion Webhook: "Hosted completion posts the agent token to your endpoint", with token, userId, agent and
    journeyId.
    """
    link = platform.connect()
    person = platform.sandbox.add_person(ADA)
    token = platform.sandbox.issue_agent_token(person)
    answer = platform.post(
        {
            "token": token,
            "userId": person.user_id,
            "agent": platform.sandbox.agent,
            "journeyId": query_of(link)["journey"],
        }
    )
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "linked": True})
    assert platform.message()["token"] == token


def test_a_token_is_validated_before_it_is_stored(platform: Platform) -> None:
    """Completion Webhook: "Validate the token before storing it"; the sample answers 401, ok false, linked false."""
    answer = platform.post(platform.completion(platform.connect(), token="forged"))
    assert (answer.status_code, answer.json()) == (401, REFUSED)
    assert platform.message()["linked"] is False


def test_an_unknown_journey_is_not_found(platform: Platform) -> None:
    """Completion Webhook: the sample answers 404, ok false, linked false, where consumeJourney finds none."""
    answer = platform.post({"token": token_of(platform.sandbox), "journeyId": "a-journey-of-nobody"})
    assert (answer.status_code, answer.json()) == (404, REFUSED)


def test_a_journey_is_consumed(platform: Platform) -> None:
    """Completion Webhook: the sample's consumeJourney; another token finds the journey gone."""
    link = platform.connect()
    assert platform.post(platform.completion(link, token=token_of(platform.sandbox))).status_code == 200
    assert platform.post(platform.completion(link, token=token_of(platform.sandbox, BOB))).status_code == 404
    assert len(platform.linked) == 1


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("https://agent.example.com/auth/configure/complete", True),
        ("http://localhost:3000/complete", True),
        ("http://127.0.0.1:3000/complete", True),
        ("http://agent.example.com/complete", False),
        ("ftp://agent.example.com/complete", False),
        ("/complete", False),
    ],
)
def test_which_endpoints_sign_in_me_calls(configure: Configure, url: str, called: bool) -> None:
    """Completion Webhook: "sign-in.me will call same-origin, https:, or localhost development endpoints." """
    if called:
        assert query_of(configure.auth.sign_in_url(message_complete_url=url))["message_complete_url"] == url
    else:
        with pytest.raises(ConfigureError, match="message_complete_url"):
            configure.auth.sign_in_url(message_complete_url=url)


def test_completions_are_accepted_from_the_hosted_page_only(platform: Platform) -> None:
    """Completion Webhook: "Accept completion requests only from your own hosted route." """
    for origin in (platform.sandbox.sign_in_url, "https://evil.example"):
        answer = platform.browser.http.request(
            "OPTIONS",
            "/configure/messages/complete",
            headers={"origin": origin, "access-control-request-method": "POST"},
        )
        allowed = answer.headers.get("access-control-allow-origin")
        assert (allowed == origin) == (origin == platform.sandbox.sign_in_url)


# SDK Helpers


def test_sign_in_url_takes_a_custom_hosted_origin(configure: Configure, settings: Settings) -> None:
    """SDK Helpers: "auth.signInUrl(options): Build https://sign-in.me/{agent} or a custom hosted sign-in URL." """
    url = configure.auth.sign_in_url(sign_in_origin="https://sign-in.example.com")
    assert url == f"https://sign-in.example.com/{settings.agent}"


def test_resolve_message_identity_prefers_the_stored_token(configure: Configure, configure_sandbox: Sandbox) -> None:
    """SDK Helpers: "auth.resolveMessageIdentity(options): Prefer a stored token, recognize phone candidates, then fall
    back to externalId."
    """
    stored, recognized = token_of(configure_sandbox, BOB), token_of(configure_sandbox)
    resolve = configure.auth.resolve_message_identity
    assert recognized
    first = resolve(external_id="e", token=stored, phone_candidates=[ADA])
    second = resolve(external_id="e", phone_candidates=[ADA])
    third = resolve(external_id="e")
    assert [one.source for one in (first, second, third)] == ["token", "phone_recognition", "external_id"]
    assert first.token is not None
    assert first.token.reveal() == stored


def test_recognize_phone_is_for_approved_agents(configure: Configure, configure_sandbox: Sandbox) -> None:
    """SDK Helpers: "auth.recognizePhone(candidates): Server-side phone recognition for approved agents." """
    ada = configure_sandbox.add_person(ADA)
    known = configure.auth.recognize_phone([ADA])
    assert (known.recognized, known.approved, known.token) == (True, False, None)
    configure_sandbox.issue_agent_token(ada)
    approved = configure.auth.recognize_phone([ADA])
    assert (approved.approved, approved.user_id, approved.token is not None) == (True, ada.user_id, True)


def test_validate_sign_in_token_checks_that_it_belongs_to_this_agent(
    configure: Configure, configure_sandbox: Sandbox
) -> None:
    """SDK Helpers: "auth.validateSignInToken(token): Check a stored or callback token still belongs to this agent." """
    configure_sandbox.add_agent("other-agent")
    ada = configure_sandbox.add_person(ADA)
    ours = configure.auth.validate_sign_in_token(configure_sandbox.issue_agent_token(ada))
    assert (ours.valid, ours.agent, ours.user_id) == (True, configure_sandbox.agent, ada.user_id)
    foreign = configure_sandbox.issue_agent_token(ada, agent="other-agent")
    assert configure.auth.validate_sign_in_token(foreign).valid is False


def test_exchange_sign_in_code_gives_an_agent_token(configure: Configure, configure_sandbox: Sandbox) -> None:
    """SDK Helpers: "auth.exchangeSignInCode(code): Exchange hosted return-code callbacks for an agent token." """
    ada = configure_sandbox.add_person(ADA)
    code = configure_sandbox.issue_return_code(ada)
    grant = configure.auth.exchange_sign_in_code(code)
    assert (grant.user_id, grant.agent) == (ada.user_id, configure_sandbox.agent)
    assert configure.auth.validate_sign_in_token(grant.token).valid
    with pytest.raises(ConfigureError):
        configure.auth.exchange_sign_in_code(code)


@pytest.mark.parametrize("destination", ["https://app.example.com/api/configure/callback", "myapp://signed-in"])
def test_allow_sign_in_return_to_takes_callbacks_and_deep_links(
    configure: Configure, configure_sandbox: Sandbox, destination: str
) -> None:
    """SDK Helpers: "auth.allowSignInReturnTo(returnTo): Allowlist a web callback or deep link for hosted return
    codes."
    """
    assert configure.auth.allow_sign_in_return_to(destination).destination == destination
    assert destination in configure_sandbox.return_destinations
    url = configure.auth.sign_in_url(return_to=destination, state="s")
    back = configure_sandbox.sign_in(url, ADA)
    assert back.startswith(f"{destination}?")
    assert query_of(back)["code"].startswith("cfgsic_")
    assert query_of(back)["state"] == "s"


def test_a_wrong_key_is_refused(configure_sandbox: Sandbox, settings: Settings) -> None:
    """SDK Helpers: "sk_ keys are always server-side": every helper that calls Configure needs the right one."""
    stranger = Configure(api_key="sk_of_nobody", agent=settings.agent, base_url=settings.base_url)
    for call in (
        lambda: stranger.auth.recognize_phone([ADA]),
        lambda: stranger.auth.validate_sign_in_token("t"),
        lambda: stranger.auth.exchange_sign_in_code("cfgsic_x"),
        lambda: stranger.auth.allow_sign_in_return_to("https://app.example.com"),
    ):
        with pytest.raises(ConfigureError) as refused:
            call()
        assert refused.value.code is ApiCode.AUTH_REQUIRED
