"""Every error of the package, in one tree.

ConfigureAuthError          has a stable `code`, an HTTP `status` as a hint, and `blame`: whose fault it is
├── SettingsError           the app's developer set something that can't work; the message says what to set
├── ConfigureError          Configure, or the way to it, answered a call with an error
├── StoreError              the store is locked, full, or can't be reached
├── BearerError             a request's bearer token isn't good, or can't be judged now
├── AgentNoOwner            nobody has claimed the agent
├── AgentOwned              somebody has
└── SignInError             a sign-in, a link or a disconnect ended without success
    └── LoginRefused        the app's `on_login` turned the person away
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

__all__ = [
    "AgentNoOwner",
    "AgentOwned",
    "ApiCode",
    "BearerError",
    "Blame",
    "Code",
    "ConfigureAuthError",
    "ConfigureError",
    "LoginRefused",
    "SettingsError",
    "SignInError",
    "StoreError",
]


class Blame(StrEnum):
    """Whose fault an error is, and so who can mend it."""

    PERSON = "person"
    APP = "app"
    CONFIGURE = "configure"


class ApiCode(StrEnum):
    """The codes of a failed call, the same thirteen that Configure's own SDKs use."""

    API_KEY_MISSING = "API_KEY_MISSING"
    AUTH_REQUIRED = "AUTH_REQUIRED"
    INVALID_INPUT = "INVALID_INPUT"
    TOOL_NOT_CONNECTED = "TOOL_NOT_CONNECTED"
    NETWORK_ERROR = "NETWORK_ERROR"
    RATE_LIMITED = "RATE_LIMITED"
    NOT_FOUND = "NOT_FOUND"
    SERVER_ERROR = "SERVER_ERROR"
    TIMEOUT = "TIMEOUT"
    ACCESS_DENIED = "ACCESS_DENIED"
    TOOL_ERROR = "TOOL_ERROR"
    PAYMENT_REQUIRED = "PAYMENT_REQUIRED"
    COMMIT_REQUIRED = "COMMIT_REQUIRED"


class Code(StrEnum):
    """The codes of a flow's end. They are part of the public surface and never change their meaning."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"
    ALREADY_USED = "already_used"
    INTERRUPTED = "interrupted"
    COOKIE_MISSING = "cookie_missing"
    WRONG_BROWSER = "wrong_browser"
    WRONG_USER = "wrong_user"
    SIGNED_OUT = "signed_out"
    WRONG_HOST = "wrong_host"
    CROSS_SITE = "cross_site"
    INVALID_REQUEST = "invalid_request"
    NOT_APPROVED = "not_approved"
    NOT_AN_AGENT_TOKEN = "not_an_agent_token"
    ACCOUNT_TAKEN = "account_taken"
    ALREADY_CONNECTED = "already_connected"
    LAST_SIGN_IN = "last_sign_in"
    LOGIN_REFUSED = "login_refused"
    UPSTREAM_REJECTED = "upstream_rejected"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    STORE_BUSY = "store_busy"
    MISCONFIGURED = "misconfigured"

    @property
    def status(self) -> int:
        return _FATE[self][0]

    @property
    def blame(self) -> Blame:
        return _FATE[self][1]


_FATE: dict[Code, tuple[int, Blame]] = {
    Code.CANCELLED: (400, Blame.PERSON),
    Code.EXPIRED: (400, Blame.PERSON),
    Code.ALREADY_USED: (400, Blame.PERSON),
    Code.INTERRUPTED: (409, Blame.APP),
    Code.COOKIE_MISSING: (400, Blame.PERSON),
    Code.WRONG_BROWSER: (400, Blame.PERSON),
    Code.WRONG_USER: (403, Blame.PERSON),
    Code.SIGNED_OUT: (401, Blame.PERSON),
    Code.WRONG_HOST: (400, Blame.APP),
    Code.CROSS_SITE: (403, Blame.PERSON),
    Code.INVALID_REQUEST: (400, Blame.PERSON),
    Code.NOT_APPROVED: (403, Blame.PERSON),
    Code.NOT_AN_AGENT_TOKEN: (400, Blame.APP),
    Code.ACCOUNT_TAKEN: (409, Blame.PERSON),
    Code.ALREADY_CONNECTED: (409, Blame.PERSON),
    Code.LAST_SIGN_IN: (409, Blame.PERSON),
    Code.LOGIN_REFUSED: (403, Blame.APP),
    Code.UPSTREAM_REJECTED: (502, Blame.CONFIGURE),
    Code.UPSTREAM_UNAVAILABLE: (503, Blame.CONFIGURE),
    Code.UPSTREAM_TIMEOUT: (504, Blame.CONFIGURE),
    Code.STORE_BUSY: (503, Blame.APP),
    Code.MISCONFIGURED: (500, Blame.APP),
}


class ConfigureAuthError(Exception):
    """The root. `str(error)` is a sentence for the developer, never for a page."""

    code: str
    status: int
    blame: Blame


class SettingsError(ConfigureAuthError):
    """A setting is missing, malformed or contradicts another; the message names it and the way out."""

    code = Code.MISCONFIGURED.value
    status = Code.MISCONFIGURED.status
    blame = Blame.APP


class StoreError(ConfigureAuthError):
    """The store could not do its work now (locked, full, unreachable). Nothing was half done."""

    code = Code.STORE_BUSY.value
    status = Code.STORE_BUSY.status
    blame = Blame.APP


class BearerError(ConfigureAuthError):
    """A bearer token isn't good ("invalid_token", 401), or can't be judged now ("upstream_unavailable", 503).

    `retry_after` is in seconds, and there with the latter alone. `str(error)` is for the log: a response says why to
    nobody. It has nothing of the token in it.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        unavailable = Code.UPSTREAM_UNAVAILABLE
        # The word of RFC 6750, section 3.1.
        self.code = "invalid_token" if retry_after is None else unavailable.value
        self.status = 401 if retry_after is None else unavailable.status
        self.blame = Blame.PERSON if retry_after is None else Blame.APP

    @property
    def headers(self) -> dict[str, str]:
        """Those of the response (RFC 6750 section 3; RFC 9110 section 10.2.3)."""
        if self.retry_after is None:
            return {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return {"Retry-After": f"{self.retry_after:.0f}"}


class ConfigureError(ConfigureAuthError):
    """A call to Configure failed.

    `code` is one of the SDK's thirteen (`ApiCode`); `backend_code` is Configure's own word where it gave one.
    `status_code` is the HTTP status, None where no answer came; `sent` is false where the request never left.
    `retry_after` is in seconds. Neither the key nor the token of the call is kept here, and `str(error)` is our
    sentence, not the other side's text.
    """

    def __init__(
        self,
        code: ApiCode,
        message: str,
        *,
        status_code: int | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        request_id: str | None = None,
        suggested_action: str | dict[str, Any] | None = None,
        doc_url: str | None = None,
        backend_code: str | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status_code = status_code
        self.retryable = retryable
        self.retry_after = retry_after
        self.request_id = request_id
        self.suggested_action = suggested_action
        self.doc_url = doc_url
        self.backend_code = backend_code
        self.sent = sent

    @property
    def sign_in_code(self) -> Code:
        """What this failure means for a person who is in the middle of a sign-in."""
        if self.code is ApiCode.TIMEOUT:
            return Code.UPSTREAM_TIMEOUT
        if self.code in (ApiCode.NETWORK_ERROR, ApiCode.RATE_LIMITED):
            return Code.UPSTREAM_UNAVAILABLE
        if self.status_code is not None and self.status_code >= 500:
            return Code.UPSTREAM_UNAVAILABLE
        return Code.UPSTREAM_REJECTED

    @property
    def status(self) -> int:  # type: ignore[override]  # the base declares a plain attribute
        return self.sign_in_code.status

    @property
    def blame(self) -> Blame:  # type: ignore[override]
        return Blame.APP if self.code is ApiCode.INVALID_INPUT else Blame.CONFIGURE


class SignInError(ConfigureAuthError):
    """A flow ended without success. `code` is one of `Code`; `next` is the page of the app to go on with."""

    def __init__(
        self,
        code: Code,
        message: str = "",
        *,
        next: str | None = None,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message or code.value)
        self.code = code
        self.status = code.status if status is None else status
        self.blame = code.blame
        self.next = next
        self.retry_after = retry_after


class AgentNoOwner(ConfigureAuthError):
    """Nobody has claimed this agent, or there is no such agent: its user claims it first, with its claim token."""

    code = "agent_no_owner"
    status = 409
    blame = Blame.PERSON


class AgentOwned(ConfigureAuthError):
    """The agent belongs to somebody already, so it can't be registered again."""

    code = "agent_owned"
    status = 409
    blame = Blame.APP


class LoginRefused(SignInError):
    """Raise this in `on_login` to turn a person away.

    Args:
        sentence: what the person reads, as plain text; it is escaped.
    """

    def __init__(self, sentence: str) -> None:
        # A translation may come as a lazy string, which no store can keep.
        self.sentence = str(sentence)
        super().__init__(Code.LOGIN_REFUSED, self.sentence)
