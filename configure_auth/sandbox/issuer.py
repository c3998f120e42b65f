"""Codes and tokens: issued, redeemed, rotated and revoked. Has nothing to do with HTTP."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, Literal

from .http_messages import OAuthError
from .interactions import OAuthRequest

OAUTH_CODE_SECONDS: Final = 300.0
"""A guess: only "short-lived" is known."""
RETURN_CODE_SECONDS: Final = 300.0
"""A guess, for `cfgsic_` codes."""
ACCESS_TOKEN_SECONDS: Final = 3600.0
REFRESH_TOKEN_SECONDS: Final = 30 * 86400.0
"""A guess: no lifetime is documented."""
AGENT_TOKEN_SECONDS: Final = 30 * 86400.0
"""A guess, after the old documents' 30 days."""

TokenKind = Literal["access", "refresh", "agent", "user"]


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """The code of an authorization request. `scopes` are those granted; `family` is set when the code is redeemed."""

    code: str = field(repr=False)
    user_id: str
    request: OAuthRequest
    scopes: tuple[str, ...]
    expires_at: float
    family: str | None = None
    kind: ClassVar[str] = "authorization code"

    @property
    def client_id(self) -> str:
        return self.request.client_id

    @property
    def end(self) -> str | None:
        """Why it isn't valid any more, beside its time."""
        return None if self.family is None else "used"


@dataclass(frozen=True, slots=True)
class ReturnCode:
    """A `cfgsic_` code of the hosted sign-in."""

    code: str = field(repr=False)
    user_id: str
    agent: str
    expires_at: float
    spent: bool = False
    kind: ClassVar[str] = "return code"

    @property
    def end(self) -> str | None:
        """Why it isn't valid any more, beside its time."""
        return "used" if self.spent else None


@dataclass(frozen=True, slots=True)
class Token:
    """An issued token. `agent` is set for agent tokens, `client_id` and `family` for OAuth tokens."""

    token: str = field(repr=False)
    kind: TokenKind
    user_id: str
    scopes: tuple[str, ...]
    issued_at: float
    expires_at: float
    agent: str | None = None
    client_id: str | None = None
    family: str | None = None
    rotated_at: float | None = None
    successor: str | None = field(default=None, repr=False)
    revoked: bool = False

    @property
    def end(self) -> str | None:
        """Why it isn't valid any more, beside its time."""
        return "revoked" if self.revoked else None if self.rotated_at is None else "rotated"


@dataclass(frozen=True, slots=True)
class Grant:
    """One consent of a person, to an OAuth client or to an agent."""

    kind: Literal["oauth", "agent"]
    user_id: str
    agent: str
    scopes: tuple[str, ...]
    connectors: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class TokenPair:
    access: Token
    refresh: Token


@dataclass(slots=True)
class TokenIssuer:
    """Everything that was issued. `now` gives Unix seconds."""

    now: Callable[[], float]
    codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    return_codes: dict[str, ReturnCode] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    grants: list[Grant] = field(default_factory=list)

    def issue_code(self, user_id: str, request: OAuthRequest, scopes: tuple[str, ...]) -> str:
        code = f"cfgoac_{secrets.token_urlsafe(32)}"
        self.codes[code] = AuthorizationCode(code, user_id, request, scopes, self.now() + OAUTH_CODE_SECONDS)
        return code

    def resolve_code(self, code: str) -> AuthorizationCode:
        """Return the code, if it can still be exchanged. A second use revokes the tokens of the first one.

        Any client can cause that, because the code is resolved before the client is authenticated.
        """
        found = self.codes.get(code)
        if found is None:
            raise OAuthError("invalid_grant", "the authorization code is unknown")
        if found.family is not None:
            self.revoke(lambda token: token.family == found.family)
            raise OAuthError("invalid_grant", "the authorization code was already used")
        if self.now() >= found.expires_at:
            raise OAuthError("invalid_grant", "the authorization code has expired")
        return found

    def spend_code(self, code: AuthorizationCode) -> str:
        """Mark the code as used and return the id of the family of its tokens."""
        family = secrets.token_hex(8)
        self.codes[code.code] = replace(code, family=family)
        return family

    def issue_pair(
        self,
        user_id: str,
        client_id: str,
        scopes: tuple[str, ...],
        family: str,
        narrower: tuple[str, ...] | None = None,
    ) -> TokenPair:
        """Return a new pair; `narrower` are the scopes of the access token, if they are fewer."""
        of = {"client_id": client_id, "family": family}
        access = self._issue("access", user_id, scopes if narrower is None else narrower, ACCESS_TOKEN_SECONDS, **of)
        return TokenPair(access, self._issue("refresh", user_id, scopes, REFRESH_TOKEN_SECONDS, **of))

    def rotate(self, refresh: Token, scopes: tuple[str, ...], *, grace: float) -> TokenPair:
        """Return a new pair of tokens for a refresh token.

        A token that was rotated already gets another pair within `grace` seconds, as a client that lost the response
        needs; the lost pair counts as used then. The strict part: if its successor was
        already used, the response was not lost, and the whole family is revoked.
        """
        if refresh.rotated_at is not None:
            successor = self.tokens[refresh.successor] if refresh.successor else None
            used = successor is None or successor.rotated_at is not None
            if used or self.now() - refresh.rotated_at > grace:
                self.revoke(lambda token: token.family == refresh.family)
                raise OAuthError("invalid_grant", "the refresh token was already used; its whole family is revoked")
            assert successor is not None
            self.tokens[successor.token] = replace(successor, rotated_at=refresh.rotated_at)
        assert refresh.client_id is not None
        assert refresh.family is not None
        pair = self.issue_pair(refresh.user_id, refresh.client_id, refresh.scopes, refresh.family, scopes)
        rotated_at = refresh.rotated_at if refresh.rotated_at is not None else self.now()
        self.tokens[refresh.token] = replace(refresh, rotated_at=rotated_at, successor=pair.refresh.token)
        return pair

    def issue_return_code(self, user_id: str, agent: str) -> str:
        code = f"cfgsic_{secrets.token_urlsafe(32)}"
        self.return_codes[code] = ReturnCode(code, user_id, agent, self.now() + RETURN_CODE_SECONDS)
        return code

    def spend_return_code(self, code: str, agent: str) -> ReturnCode | None:
        """Return the code if this agent can still exchange it, else None."""
        found = self.return_codes.get(code)
        if found is None or found.agent != agent or found.spent or self.now() >= found.expires_at:
            return None
        self.return_codes[code] = replace(found, spent=True)
        return found

    def issue_agent_token(self, user_id: str, agent: str, scopes: tuple[str, ...]) -> Token:
        return self._issue("agent", user_id, scopes, AGENT_TOKEN_SECONDS, agent=agent)

    def issue_user_token(self, user_id: str) -> Token:
        """Return the raw token of a one-time password: it proves a phone and is not an agent token."""
        return self._issue("user", user_id, (), AGENT_TOKEN_SECONDS)

    def approved(self, user_id: str, agent: str) -> bool:
        """Whether this person approved this agent on the hosted sign-in."""
        return any(g.kind == "agent" and g.user_id == user_id and g.agent == agent for g in self.grants)

    def live(self, token: str, *kinds: TokenKind) -> Token | None:
        """Return the token, if it is one of these kinds and neither expired nor revoked."""
        found = self.tokens.get(token)
        if found is None or found.kind not in kinds or found.revoked or self.now() >= found.expires_at:
            return None
        return found

    def revoke(self, concerned: Callable[[Token], bool]) -> bool:
        """Revoke these tokens; False when there are none."""
        found = [token for token in self.tokens.values() if concerned(token)]
        self.tokens |= {token.token: replace(token, revoked=True) for token in found}
        return bool(found)

    def revoke_approval(self, user_id: str, agent: str) -> None:
        """Revoke the approval of an agent and its tokens, as when the person removes it."""
        self.grants = [g for g in self.grants if (g.user_id, g.agent, g.kind) != (user_id, agent, "agent")]
        self.revoke(lambda token: (token.user_id, token.agent) == (user_id, agent))

    def _issue(
        self,
        kind: TokenKind,
        user_id: str,
        scopes: tuple[str, ...],
        seconds: float,
        *,
        agent: str | None = None,
        client_id: str | None = None,
        family: str | None = None,
    ) -> Token:
        now, secret = self.now(), f"{kind}_local_{secrets.token_urlsafe(32)}"
        token = Token(secret, kind, user_id, scopes, now, now + seconds, agent, client_id, family)
        self.tokens[token.token] = token
        return token
