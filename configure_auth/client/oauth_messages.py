"""The parts of Authlib that make the messages of OAuth, with types around them. The registry's are `oauth_registry`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge


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


def token_form(grant_type: str, **parameters: str | None) -> bytes:
    """The form of a token request (RFC 6749 sections 4.1.3 and 6). The client's secret is never in it."""
    return cast(str, prepare_token_request(grant_type, **parameters)).encode("ascii")


def code_challenge(verifier: str) -> str:
    """The S256 challenge of a code verifier (RFC 7636 section 4.2)."""
    return cast(str, create_s256_code_challenge(verifier))
