"""The parts of Authlib that make the messages of OAuth, with types around them. The registry's are `oauth_registry`."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import cast

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from ..values import Secret


def authorization_url(
    endpoint: str,
    *,
    client_id: str,
    redirect_uri: str,
    scopes: Sequence[str],
    code_challenge: str,
    state: str,
    resource: str | None,
) -> str:
    """The URL that starts an authorization code grant with PKCE (RFC 6749 section 4.1.1, RFC 7636 section 4.3).

    The parameters are in the order that Configure's own clients use. `resource` is RFC 8707's; None leaves it out.
    """
    url = prepare_grant_uri(
        endpoint,
        client_id,
        "code",
        redirect_uri=redirect_uri,
        scope=" ".join(scopes),
        code_challenge=code_challenge,
        code_challenge_method="S256",
    )
    # Authlib would put the state before the challenge.
    last = [("state", state)] if resource is None else [("state", state), ("resource", resource)]
    return cast(str, add_params_to_uri(url, last))


def with_parameters(url: str, parameters: Mapping[str, object]) -> str:
    """Add parameters to a URL that has some."""
    return cast(str, add_params_to_uri(url, [(name, str(value)) for name, value in parameters.items()]))


def token_body(*, code: str, redirect_uri: str, client_id: str, code_verifier: str, resource: str | None) -> bytes:
    """The form that exchanges an authorization code (RFC 6749 section 4.1.3). The client's secret is never in it."""
    body = prepare_token_request(
        "authorization_code",
        redirect_uri=redirect_uri,
        code=code,
        client_id=client_id,
        code_verifier=code_verifier,
        resource=resource,
    )
    return cast(str, body).encode("ascii")


def refresh_body(*, refresh_token: str, client_id: str, resource: str | None) -> bytes:
    """The form that renews tokens (RFC 6749 section 6)."""
    body = prepare_token_request("refresh_token", refresh_token=refresh_token, client_id=client_id, resource=resource)
    return cast(str, body).encode("ascii")


def basic_authorization(client_id: str, client_secret: Secret) -> str:
    """The `Authorization` header of a confidential client.

    Configure takes id and secret as they are, not form-encoded as RFC 6749 section 2.3.1 has it. Authlib's own function
    encodes them in some versions.
    """
    pair = f"{client_id}:{client_secret.reveal()}".encode("latin-1")
    return f"Basic {base64.b64encode(pair).decode('ascii')}"


def code_challenge(verifier: str) -> str:
    """The S256 challenge of a code verifier (RFC 7636 section 4.2)."""
    return cast(str, create_s256_code_challenge(verifier))
