"""Addresses that a sign-in may return to, and what a refused one is answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from configure_auth.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.sandbox.conftest import Developer

CALLBACK = "http://localhost:3000/auth/configure/callback"
RETURN_TO = "http://localhost:3000/configure/callback"
REGISTER = "python -m configure_auth register-callback --env-file .env"


@pytest.mark.parametrize(
    ("sent", "command"),
    [
        ("http://localhost:5000/auth/configure/callback", REGISTER),
        ("http://127.0.0.1:3000/auth/configure/callback?a=<script>", REGISTER),
        ("http://localhost:3000/shop/sign in/callback", f"{REGISTER} --login-path '/shop/sign in'"),
        ("http://[x", REGISTER),
    ],
)
def test_a_refused_redirect_uri_is_shown_with_the_registered_ones_and_the_command(
    developer: Developer, sandbox: Sandbox, sent: str, command: str
) -> None:
    url = developer.authorize_url(redirect_uri=sent)
    shown = developer.http.get(url, headers={"Accept": "application/json"})
    page = developer.http.get(url, headers={"Accept": "text/html"})

    assert (shown.status_code, shown.json()["error"], page.status_code) == (400, "invalid_request", 400)
    description = shown.json()["error_description"]
    assert sent in description
    assert CALLBACK in description
    assert description.endswith(command)
    assert "<script>" not in page.text
    for part in (sent, CALLBACK, command):
        assert part.replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;") in page.text


def test_a_refused_return_to_is_shown_with_the_registered_ones_and_the_command(
    developer: Developer, sandbox: Sandbox
) -> None:
    sent = "http://localhost:5000/link/callback"
    page = developer.http.get(developer.sign_in_url(return_to=sent))

    assert page.status_code == 400
    for part in (sent, RETURN_TO, f"{REGISTER} --link-path /link", "return_destination_not_allowed"):
        assert part in page.text


def test_nothing_registered_is_said(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.reset()

    assert "registered is nothing" in developer.http.get(developer.authorize_url()).json()["error_description"]


@pytest.mark.parametrize("host", ["app.localhost", "a.b.localhost", "localhost", "127.0.0.1"])
def test_http_on_this_machine_can_be_registered(sandbox: Sandbox, host: str) -> None:
    sandbox.register_redirect_uri(f"http://{host}:3000/callback")
    sandbox.register_return_to(f"http://{host}:3000/callback")


@pytest.mark.parametrize("host", ["notlocalhost", "localhost.example.com", "sandbox"])
def test_http_elsewhere_cannot_be_registered(sandbox: Sandbox, host: str) -> None:
    with pytest.raises(ValueError, match="https"):
        sandbox.register_redirect_uri(f"http://{host}:3000/callback")
    with pytest.raises(ValueError, match="can't be a return destination"):
        sandbox.register_return_to(f"http://{host}:3000/callback")
