"""The token endpoint and introspection: what "Continue with Configure" asks after the person has come back."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import replace

from ..runtime.frozen import dataclass
from ..settings import Settings
from ..values import Secret
from .call import HttpCall, HttpResponse
from .oauth_messages import token_form
from .wire import ResponseBody, json_body, plain, read_response, require_text, require_token

# RFC 6749 section 3.3, with more than one space between two allowed.
_SCOPES = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_LONGEST_LIFE = 10 * 365 * 24 * 3600.0
_USUAL_LIFE = 3600.0


@dataclass(frozen=True, kw_only=True)
class TokenResponse:
    """The tokens of a code exchange or a refresh.

    `expires_in` is in seconds from the response, None where Configure doesn't say. `scopes` are those granted.
    """

    access_token: Secret
    refresh_token: Secret | None
    expires_in: float | None
    scopes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Introspection:
    """What Configure says of an access token (RFC 7662 section 2.2).

    Of an inactive token nothing but that is told. `expires_at` is in Unix seconds. Fields that the response leaves out
    are None, or empty.
    """

    active: bool
    sub: str | None = None
    client_id: str | None = None
    agent: str | None = None
    expires_at: float | None = None


def exchange_authorization_code(
    settings: Settings,
    *,
    code: str | Secret,
    redirect_uri: str,
    code_verifier: str | Secret,
    resource: str | None,
    scopes: Sequence[str] = (),
) -> HttpCall[TokenResponse]:
    """Exchange the code of an authorization for tokens. A code is good once; the call is never repeated.

    Args:
        code: the `code` parameter of the callback, 1 to 2048 visible ASCII characters.
        redirect_uri: exactly the one of the authorization request.
        code_verifier: the PKCE verifier whose challenge was sent, 43 to 128 characters.
        resource: the API that the token is for (RFC 8707), as it was sent at authorization.
        scopes: those asked for; a response without `scope` grants them all (RFC 6749 section 5.1).

    Raises:
        ConfigureError: INVALID_INPUT before anything is sent. Later: Configure's OAuth error with its word in
            `backend_code` (`invalid_grant` for a used or expired code, `invalid_client` for a stale secret), or
            SERVER_ERROR for anything but 200 with a JSON object that has a Bearer token of 1 to 8192 visible ASCII
            characters, and a `scope` that is a string, if any. A malformed `refresh_token` counts as absent; a
            malformed `expires_in` as 3600 seconds, one above ten years too, and one of digits as a number.
    """
    require_token("code", code, 2048)
    require_token("code_verifier", code_verifier, 128)
    require_text("redirect_uri", redirect_uri)
    call = _token_call(
        settings,
        "authorization_code",
        "the token request",
        scopes,
        redirect_uri=redirect_uri,
        code=plain(code),
        client_id=settings.required_oauth_client_id,
        code_verifier=plain(code_verifier),
        resource=resource,
    )
    # The introspection and the profile are asked for at the same time.
    return replace(call, beside=int("profile.read" in scopes))


def refresh_tokens(
    settings: Settings, *, refresh_token: str | Secret, resource: str | None, scopes: Sequence[str] = ()
) -> HttpCall[TokenResponse]:
    """Renew tokens. Configure's refresh tokens rotate, and a second use of one revokes the whole family.

    Args:
        refresh_token: the latest one.
        resource: as at the exchange; without it the new token may be for something else.
        scopes: those granted before; a response without `scope` keeps them.

    Raises:
        ConfigureError: as for `exchange_authorization_code`; `invalid_grant` means that the person must sign in again.
    """
    require_token("refresh_token", refresh_token)
    return _token_call(
        settings,
        "refresh_token",
        "the refresh",
        scopes,
        refresh_token=plain(refresh_token),
        client_id=settings.required_oauth_client_id,
        resource=resource,
    )


def _token_call(
    settings: Settings, grant_type: str, what: str, scopes: Sequence[str], **parameters: str | None
) -> HttpCall[TokenResponse]:
    asked = tuple(scopes)

    def parse(response: HttpResponse) -> TokenResponse:
        return _tokens(read_response(response, what, statuses=(200,)), asked)

    # Configure takes id and secret as they are, not form-encoded as RFC 6749 section 2.3.1 has it. Authlib's own
    # function encodes them in some versions.
    pair = Secret(f"{settings.required_oauth_client_id}:{settings.required_oauth_client_secret.reveal()}")
    return HttpCall(
        method="POST",
        url=f"{settings.base_url}/oauth/token",
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": f"Basic {base64.b64encode(pair.reveal().encode('latin-1')).decode('ascii')}",
        },
        content=token_form(grant_type, **parameters),
        parse=parse,
    )


def _tokens(body: ResponseBody, asked: tuple[str, ...]) -> TokenResponse:
    # The wire's only known readers never look at token_type; absent is taken for Bearer, another word is not.
    if (body.text("token_type") or "Bearer").lower() != "bearer":
        body.refuse("token_type")
    return TokenResponse(
        access_token=body.required_secret("access_token"),
        # The code or the refresh token is used up: what isn't needed for the sign-in must not end it.
        refresh_token=body.optional(body.secret, "refresh_token"),
        expires_in=_lifetime(body),
        scopes=_scopes(body, asked),
    )


def _lifetime(body: ResponseBody) -> float | None:
    if not body.has("expires_in"):
        return None
    told = body.fields.get("expires_in", body.fields.get("expiresIn"))
    if isinstance(told, str) and _SECONDS.fullmatch(told):
        return min(float(told), _LONGEST_LIFE)
    seconds = body.optional(lambda name: body.number(name, most=_LONGEST_LIFE), "expires_in")
    return _USUAL_LIFE if seconds is None else seconds


def _scopes(body: ResponseBody, asked: tuple[str, ...]) -> tuple[str, ...]:
    if not body.has("scope"):
        return asked
    if not _SCOPES.fullmatch(body.text("scope", 8192) or ""):
        body.refuse("scope")
    # A blank scope is no scope, not those asked for.
    return tuple(scope for scope in (body.text("scope", 8192) or "").split(" ") if scope)


def introspect(settings: Settings, token: str | Secret) -> HttpCall[Introspection]:
    """Look an access token up: whether it is active, and its user (RFC 7662).

    Configure takes the token as JSON and asks for no credentials, so the response alone is no proof for a token
    that came from outside.

    Raises:
        ConfigureError: INVALID_INPUT before anything is sent; SERVER_ERROR where `active` isn't true or false, or an
            active token has no `sub` of 1 to 255 characters. Other malformed fields count as absent.
            A refusal is an error, never "inactive".
    """
    require_token("token", token)
    return HttpCall(
        method="POST",
        url=f"{settings.base_url}/oauth/introspect",
        headers={"Content-Type": "application/json"},
        content=json_body({"token": plain(token)}),
        parse=lambda response: _introspection(read_response(response, "the introspection")),
    )


def _introspection(body: ResponseBody) -> Introspection:
    if not body.required_boolean("active"):
        return Introspection(active=False)
    return Introspection(
        active=True,
        sub=body.required_text("sub"),
        client_id=body.optional(body.text, "client_id"),
        agent=body.text("agent"),
        expires_at=body.optional(body.number, "exp"),
    )
