"""POST /v1/profile/connect: sign-in links that the server creates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from configure_auth.sandbox import Sandbox, SignInFailed

if TYPE_CHECKING:
    from tests.sandbox.conftest import Developer

CONNECT = "/v1/profile/connect"
GUEST = {"X-User-Id": "discord:42"}


def connect(developer: Developer, headers: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    answer = developer.post(CONNECT, fields, {**developer.headers, **(headers or GUEST)})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_connect_link_signs_in_the_server_side_user(developer: Developer, sandbox: Sandbox) -> None:
    guest = {**developer.headers, **GUEST}
    developer.post("/v1/profile/remember", {"fact": "Prefers dark mode"}, guest)
    made = connect(developer)
    assert made["status"] == "authorization_required"
    assert made["connect_url"].startswith(f"{sandbox.sign_in_url}/demo-agent/")
    assert developer.get("/v1/profile", guest).json()["linked"] is False

    sandbox.sign_in(made["connect_url"], name="Ada Lovelace")

    (ada,) = sandbox.people
    assert sandbox.memories(ada) == ("Prefers dark mode",)
    profile = developer.get("/v1/profile", guest).json()
    assert (profile["linked"], profile["identity"]["name"]) == (True, "Ada Lovelace")
    recognized = developer.post("/v1/auth/sign-in/recognize-phone", {"candidates": [ada.phone]}).json()
    assert recognized["approved"] is True


def test_connect_link_leaves_the_external_id_alone_in_the_other_variant(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.variants.connect_links_external_id = False
    sandbox.sign_in(connect(developer)["connect_url"])

    assert developer.get("/v1/profile", {**developer.headers, **GUEST}).json()["linked"] is False


def test_connect_of_an_app_for_a_linked_user(developer: Developer, sandbox: Sandbox) -> None:
    bearer = {"Authorization": f"Bearer {developer.agent_token()}"}
    assert connect(developer, bearer)["status"] == "permission_needed"
    made = connect(developer, bearer, app="gmail", return_url="https://app.example.com/done?x=1")
    assert made["status"] == "connect_app"

    assert sandbox.sign_in(made["connect_url"]) == "https://app.example.com/done?x=1"
    profile = developer.get("/v1/profile", {**developer.headers, **bearer}, sections="integrations").json()
    assert profile["integrations"] == {"gmail": {"connected": True}}


def test_cancelled_connect_returns_to_the_return_url(developer: Developer, sandbox: Sandbox) -> None:
    made = connect(developer, return_url="https://app.example.com/done")

    assert sandbox.sign_in(made["connect_url"], cancel=True) == "https://app.example.com/done"
    assert sandbox.grants == ()


def test_connect_link_expires(developer: Developer, sandbox: Sandbox) -> None:
    made = connect(developer)
    sandbox.advance(601)

    with pytest.raises(SignInFailed, match="expired"):
        sandbox.sign_in(made["connect_url"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"app": "myspace"}, "app"),
        ({"app": 7}, "app"),
        ({"return_url": "http://app.example.com/"}, "return_url"),
        ({"return_url": "javascript:alert(1)"}, "return_url"),
        ({"purpose": "x" * 201}, "purpose"),
    ],
)
def test_connect_refuses_invalid_fields(developer: Developer, fields: dict[str, Any], param: str) -> None:
    answer = developer.post(CONNECT, fields, {**developer.headers, **GUEST})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_connect_needs_a_subject(developer: Developer) -> None:
    assert developer.post(CONNECT, {}).json()["error"]["code"] == "subject_missing"
