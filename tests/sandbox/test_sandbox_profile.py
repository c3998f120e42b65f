"""The profile API, and the developer's OAuth clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from configure_auth.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.sandbox.conftest import Developer

CALLBACK = "http://localhost:3000/auth/configure/callback"
SCOPE = "X-Configure-Runtime-Scope-Id"


def test_a_key_alone_fails_but_is_told_from_a_wrong_key(developer: Developer, sandbox: Sandbox) -> None:
    right = developer.get("/v1/profile", {"X-API-Key": sandbox.credentials.api_key})
    assert (right.status_code, right.json()["error"]["code"]) == (400, "missing_field")
    wrong = developer.get("/v1/profile", {"X-API-Key": "sk_local_wrong"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "api_key_invalid")
    none = developer.get("/v1/profile", {})
    assert (none.status_code, none.json()["error"]["code"]) == (401, "api_key_missing")
    publishable = developer.get("/v1/profile", {"X-API-Key": sandbox.credentials.publishable_key})
    assert publishable.status_code == 403


def test_an_identity_has_what_the_person_has_and_never_the_whole_phone(developer: Developer, sandbox: Sandbox) -> None:
    bare = sandbox.issue_agent_token(sandbox.add_person("+15550100007"))
    response = developer.get("/v1/profile", developer.as_user(bare), sections="identity")
    assert response.json()["identity"] == {"phone_last4": "0007"}
    assert "preferences" not in response.json()
    assert "5550100" not in response.text

    ada = sandbox.add_person("+15550100001", name="Ada", email="ada@example.com", hidden=("email",), summary="Counts.")
    body = developer.get("/v1/profile", developer.as_user(sandbox.issue_agent_token(ada))).json()
    assert body["identity"] == {"name": "Ada", "phone_last4": "0001"}
    assert (body["summary"], body["linked"], body["portable"]) == ("Counts.", True, True)


def test_email_verified_is_sent_only_when_it_is_known(developer: Developer, sandbox: Sandbox) -> None:
    for flag, sent in ((None, "absent"), (True, True), (False, False)):
        person = sandbox.add_person(email="ada@example.com", email_verified=flag)
        token = sandbox.issue_agent_token(person)
        headers = developer.as_user(token, **{SCOPE: f"scope_{flag}"})
        identity = developer.get("/v1/profile", headers, sections="identity").json()["identity"]
        assert identity.get("email_verified", "absent") == sent


def test_a_call_has_exactly_one_subject(developer: Developer) -> None:
    token = developer.agent_token()
    both = developer.get("/v1/profile", developer.as_user(token, **{"X-User-Id": "u1"}))
    assert (both.status_code, both.json()["error"]["code"]) == (400, "subject_conflict")
    neither = developer.get("/v1/profile", user_id="u1")
    assert (neither.status_code, neither.json()["error"]["code"]) == (400, "subject_missing")
    other = developer.get("/v1/profile", developer.as_user(token), user_id="somebody else")
    assert (other.status_code, other.json()["error"]["code"]) == (400, "subject_conflict")
    mismatch = developer.get("/v1/profile", {**developer.headers, "X-User-Id": "u1"}, user_id="u2")
    assert mismatch.json()["error"]["code"] == "subject_conflict"
    assert developer.get("/v1/profile", {**developer.headers, "X-User-Id": "u1"}, user_id="u1").status_code == 200


def test_the_agent_may_go_unnamed_beside_an_oauth_token_only(developer: Developer, sandbox: Sandbox) -> None:
    key = {"X-API-Key": sandbox.credentials.api_key}
    oauth = {"Authorization": f"Bearer {developer.tokens()['access_token']}"}
    agent = {"Authorization": f"Bearer {developer.agent_token()}"}
    assert developer.get("/v1/profile", {**key, **oauth}).status_code == 200
    assert developer.get("/v1/profile", {**key, **oauth, "X-Agent": "other-agent"}).status_code == 403
    for subject in (agent, {"X-User-Id": "u1"}):
        response = developer.get("/v1/profile", {**key, **subject})
        assert (response.status_code, response.json()["error"]["code"]) == (400, "missing_field")


def test_an_external_users_profile_belongs_to_its_developer_and_owes_nothing(
    developer: Developer, sandbox: Sandbox
) -> None:
    headers = {**developer.headers, "X-User-Id": "u1"}
    developer.post("/v1/profile/remember", {"fact": "Likes tea"}, headers)
    for _ in range(2):
        response = developer.get("/v1/profile", headers)
        assert response.json()["linked"] is False
        assert "x-configure-commit-required" not in response.headers
    assert [hit["text"] for hit in developer.get("/v1/profile/search", headers).json()["results"]] == ["Likes tea"]
    other = sandbox.add_agent("other-agent")
    foreign = {"X-API-Key": other.api_key, "X-Agent": "other-agent", "X-User-Id": "u1"}
    assert developer.get("/v1/profile/search", foreign).json()["results"] == []


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("profile.read", {"read"}),
        ("profile.search", {"search"}),
        ("profile.remember", {"remember", "forget"}),
        ("profile.commit", {"commit"}),
    ],
)
def test_oauth_tokens_reach_as_far_as_their_scope(developer: Developer, scope: str, allowed: set[str]) -> None:
    headers = developer.as_user(developer.tokens(scope=scope)["access_token"])
    responses = {
        "read": developer.get("/v1/profile", {**headers, SCOPE: "a"}),
        "search": developer.get("/v1/profile/search", {**headers, SCOPE: "b"}),
        "remember": developer.post("/v1/profile/remember", {"fact": "x"}, headers),
        "forget": developer.post("/v1/profile/forget", {"scope": "all"}, headers),
        "commit": developer.post("/v1/profile/commit", {"memories": ["x"]}, headers),
    }
    assert {name for name, response in responses.items() if response.status_code == 200} == allowed
    for name in responses.keys() - allowed:
        assert responses[name].status_code == 403
        assert responses[name].json()["error"]["code"] == "insufficient_scope"


def test_tokens_that_are_not_good_are_a_401(developer: Developer, sandbox: Sandbox) -> None:
    tokens = developer.tokens()
    person = sandbox.people[0]
    for token in ("unknown", tokens["refresh_token"], sandbox.issue_user_token(person)):
        response = developer.get("/v1/profile", developer.as_user(token))
        assert (response.status_code, response.json()["error"]["code"]) == (401, "token_invalid")
    sandbox.advance(3600)
    expired = developer.get("/v1/profile", developer.as_user(tokens["access_token"]))
    assert (expired.status_code, expired.json()["error"]["code"]) == (401, "token_expired")
    basic = developer.get("/v1/profile", {**developer.headers, "Authorization": "Basic YTpi"})
    assert basic.status_code == 401


def test_a_token_of_another_agent_is_refused(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.add_agent("other-agent")
    token = sandbox.issue_agent_token(sandbox.add_person(), agent="other-agent")
    response = developer.get("/v1/profile", developer.as_user(token))
    assert (response.status_code, response.json()["error"]["code"]) == (403, "agent_mismatch")


# What a read owes


def test_a_second_read_is_blocked_until_the_commit(developer: Developer, sandbox: Sandbox) -> None:
    headers = developer.as_user(developer.agent_token())
    first = developer.get("/v1/profile", headers)
    assert first.headers["x-configure-commit-required"] == "1"
    blocked = developer.get("/v1/profile", headers)
    assert (blocked.status_code, blocked.json()["error"]["code"]) == (409, "commit_required")
    assert blocked.json()["error"]["suggested_action"] == "commit_profile"
    assert developer.get("/v1/profile/search", headers).status_code == 409
    assert sandbox.commits_owed == 1

    correlation = {
        name: first.headers[name]
        for name in ("X-Configure-Read-Id", "X-Configure-Session-Id", "X-Configure-Runtime-Scope-Id")
    }
    body = {"messages": [{"role": "user", "content": "hello"}], "sync": True}
    committed = developer.post("/v1/profile/commit", body, {**headers, **correlation}).json()
    read_id = first.headers["X-Configure-Read-Id"]
    assert (committed["status"], committed["obligations_committed"]) == ("completed", [read_id])
    assert developer.get("/v1/profile", headers).status_code == 200


def test_a_read_waits_for_its_own_session_only(developer: Developer, sandbox: Sandbox) -> None:
    person = sandbox.add_person()
    first, second = (developer.as_user(sandbox.issue_agent_token(person)) for _ in range(2))
    session = "X-Configure-Session-Id"
    for headers in (first, second, {**first, session: "a"}, {**second, session: "b"}):
        assert developer.get("/v1/profile", headers).status_code == 200
        assert developer.get("/v1/profile", headers).status_code == 409
    assert developer.get("/v1/profile", {**second, session: "a"}).status_code == 409
    assert sandbox.commits_owed == 4


def test_a_turn_that_names_its_scope_reads_and_searches_before_its_commit(
    developer: Developer, sandbox: Sandbox
) -> None:
    headers = developer.as_user(developer.agent_token())
    for scope in ("scope_a", "scope_b"):
        for path in ("/v1/profile", "/v1/profile/search", "/v1/profile"):
            assert developer.get(path, {**headers, SCOPE: scope}).status_code == 200
    assert developer.get("/v1/profile", headers).status_code == 409
    assert sandbox.commits_owed == 6


@pytest.mark.parametrize(("blocking", "blocked"), [("same", "scope_a"), ("other", "scope_b")])
def test_a_scope_can_wait_for_its_own_reads_or_for_those_of_others(
    developer: Developer, sandbox: Sandbox, blocking: Literal["same", "other"], blocked: str
) -> None:
    sandbox.variants.scopes_blocking = blocking
    person = sandbox.add_person()
    headers = developer.as_user(sandbox.issue_agent_token(person))
    assert developer.get("/v1/profile", {**headers, SCOPE: "scope_a"}).status_code == 200
    for scope in ("scope_a", "scope_b"):
        response = developer.get("/v1/profile/search", {**headers, SCOPE: scope})
        assert response.status_code == (409 if scope == blocked else 200)
    assert developer.get("/v1/profile", headers).status_code == 409
    stranger = developer.as_user(sandbox.issue_agent_token(sandbox.add_person("+15550100002")))
    assert developer.get("/v1/profile", {**stranger, SCOPE: blocked}).status_code == 200


@pytest.mark.parametrize(("settles", "left"), [("scope", 1), ("read", 2)])
def test_a_commit_that_names_a_read_settles_its_scope_or_that_alone(
    developer: Developer, sandbox: Sandbox, settles: Literal["scope", "read"], left: int
) -> None:
    sandbox.variants.commit_settles = settles
    headers = developer.as_user(developer.agent_token())
    ids = [
        developer.get("/v1/profile", {**headers, SCOPE: scope}).headers["X-Configure-Read-Id"]
        for scope in ("scope_a", "scope_a", "scope_b")
    ]
    body = {"memories": ["x"], "read_id": ids[0], "runtime_scope_id": "scope_a"}
    committed = developer.post("/v1/profile/commit", body, headers).json()["obligations_committed"]
    assert committed == (ids[:2] if settles == "scope" else ids[:1])
    assert sandbox.commits_owed == left
    body["read_id"] = ids[2]
    assert developer.post("/v1/profile/commit", body, headers).json()["obligations_committed"] == []
    assert sandbox.commits_owed == left


def test_a_commit_keeps_its_memories(developer: Developer, sandbox: Sandbox) -> None:
    person = sandbox.add_person()
    headers = developer.as_user(sandbox.issue_agent_token(person))
    body = developer.post("/v1/profile/commit", {"memories": ["Likes tea", {"text": "Has a cat"}]}, headers).json()
    assert (body["status"], len(body["memories_written"]), body["facts_written"]) == ("processing", 2, [])
    assert sandbox.memories(person) == ("Likes tea", "Has a cat")


def test_a_commit_for_another_read_settles_nothing(developer: Developer, sandbox: Sandbox) -> None:
    headers = developer.as_user(developer.agent_token())
    developer.get("/v1/profile", headers)
    body = {"memories": ["x"], "read_id": "read_of_somebody_else"}
    assert developer.post("/v1/profile/commit", body, headers).json()["obligations_committed"] == []
    assert sandbox.commits_owed == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"memories": ["x" * 1001]},
        {"memories": ["x"] * 21},
        {"memories": [1]},
        {"messages": [{"content": "x"}]},
        {"messages": [{"role": "user", "content": "x" * 16_001}]},
        {"messages": [{"role": "user", "content": "x" * 16_000}] * 4},
    ],
)
def test_a_commit_has_limits(developer: Developer, body: dict[str, object]) -> None:
    response = developer.post("/v1/profile/commit", body, developer.as_user(developer.agent_token()))
    assert response.status_code == 400


# Memories


def test_remember_search_forget(developer: Developer, sandbox: Sandbox) -> None:
    person = sandbox.add_person()
    headers = developer.as_user(sandbox.issue_agent_token(person))
    saved = developer.post("/v1/profile/remember", {"fact": "Likes green tea", "kind": "claim"}, headers).json()
    developer.post("/v1/profile/remember", {"fact": "Lives in Leeds"}, headers)
    assert (saved["saved"], saved["app"], saved["memory"]["kind"]) == (True, "demo-agent", "claim")
    assert sandbox.memories(person) == ("Likes green tea", "Lives in Leeds")
    hits = developer.get("/v1/profile/search", headers, query="TEA", limit="5").json()["results"]
    assert [hit["id"] for hit in hits] == [saved["memory"]["id"]]

    asked = developer.post("/v1/profile/forget", {"match": "leeds"}, headers).json()
    assert (asked["deleted"], asked["matched"]) == (False, 1)
    confirmed = developer.post("/v1/profile/forget", {"match": "leeds", "confirm": True}, headers).json()
    assert (confirmed["deleted"], confirmed["deleted_count"]) == (True, 1)
    assert developer.post("/v1/profile/forget", {"id": saved["memory"]["id"]}, headers).json()["deleted"] is True
    assert developer.post("/v1/profile/forget", {"id": saved["memory"]["id"]}, headers).status_code == 404
    assert sandbox.memories(person) == ()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("remember", {}),
        ("remember", {"fact": " "}),
        ("remember", {"fact": 1}),
        ("remember", {"fact": "x" * 1001}),
        ("remember", {"fact": "x", "kind": "rumour"}),
        ("forget", {}),
        ("forget", {"id": "a", "scope": "all"}),
        ("forget", {"scope": "everything"}),
        ("forget", {"scope": "all", "reason": "why not"}),
    ],
)
def test_wrong_writes_are_refused(developer: Developer, path: str, body: dict[str, object]) -> None:
    response = developer.post(f"/v1/profile/{path}", body, developer.as_user(developer.agent_token()))
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


def test_wrong_queries_are_refused(developer: Developer, sandbox: Sandbox) -> None:
    headers = developer.as_user(developer.agent_token())
    assert developer.get("/v1/profile", headers, sections="identity,secrets").status_code == 400
    assert developer.get("/v1/profile/search", headers, limit="many").status_code == 400
    repeated = f"{sandbox.api_url}/v1/profile?sections=identity&sections=summary"
    assert developer.http.get(repeated, headers=headers).status_code == 400


# The developer's OAuth clients


def _client_path(sandbox: Sandbox) -> str:
    return f"{sandbox.api_url}/v1/developer/oauth/clients/{sandbox.credentials.client_id}"


def test_redirect_uris_are_added_and_removed(developer: Developer, sandbox: Sandbox) -> None:
    key = {"X-API-Key": sandbox.credentials.api_key}
    uri = "https://app.example/auth/configure/callback"
    for body, changed, uris in (
        ({"add_redirect_uris": [uri]}, True, [CALLBACK, uri]),
        ({"add_redirect_uris": [uri]}, False, [CALLBACK, uri]),
        ({"remove_redirect_uris": [CALLBACK]}, True, [uri]),
        ({"remove_redirect_uris": [CALLBACK]}, False, [uri]),
    ):
        answer = developer.http.patch(_client_path(sandbox), json=body, headers=key).json()
        assert (answer["changed"], answer["redirect_uris"]) == (changed, uris)
    listed = developer.get("/v1/developer/oauth/clients", key).json()["clients"]
    assert [(client["client_id"], client["redirect_uris"]) for client in listed] == [
        (sandbox.credentials.client_id, [uri])
    ]
    assert "client_secret" not in listed[0]


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example/callback",
        "http://[::1]:3000/callback",
        "https://app.example/callback#",
        "https://app.example/*",
        "https://app.example/a b",
        "https://user@app.example/callback",
        "https://@app.example/callback",
        "ftp://localhost/callback",
        "/callback",
        "https://",
        "https://app.example/callback\n",
    ],
)
def test_a_redirect_uri_that_can_not_be_registered(developer: Developer, sandbox: Sandbox, uri: str) -> None:
    key = {"X-API-Key": sandbox.credentials.api_key}
    response = developer.http.patch(_client_path(sandbox), json={"add_redirect_uris": [uri]}, headers=key)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_redirect_uri")
    with pytest.raises(ValueError, match="redirect_uri"):
        sandbox.register_redirect_uri(uri)
    assert sandbox.redirect_uris == (CALLBACK,)


def test_the_clients_of_an_account_want_its_secret_key(developer: Developer, sandbox: Sandbox) -> None:
    keys = sandbox.credentials
    body = {"add_redirect_uris": ["https://app.example/callback"]}
    for key, status in (
        (keys.publishable_key, 403),
        ("sk_local_wrong", 401),
        (sandbox.add_agent("other").api_key, 404),
    ):
        response = developer.http.patch(_client_path(sandbox), json=body, headers={"X-API-Key": key})
        assert response.status_code == status
    assert developer.http.patch(_client_path(sandbox), json={}, headers={"X-API-Key": keys.api_key}).status_code == 400
