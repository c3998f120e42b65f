"""Every error of the package, in one tree::

    ConfigureAuthError          has a stable `code`, a fitting HTTP `status`, `blame` and `advice` on what to do
    ├── SettingsError           a setting or option can't work; the message says what to set
    │   └── NotConfigured       a setting that is needed now is not set
    ├── ConfigureError          a call to Configure failed; its codes are in `ApiCode`
    ├── StoreError              the store is locked, full or unreachable
    ├── BearerError             a request's bearer token is invalid, or can't be validated now
    ├── AgentNoOwner            the agent hasn't been claimed
    ├── AgentOwned              the agent has been claimed already
    └── SignInError             a sign-in, link or disconnect ended without success; its codes are in `Code`
        └── LoginRefused        raised by the app's `on_login` to refuse a user

A new code is one line in `Code`: its value, its status, whose fault it is and what to do. Its page shows the words for
other errors until the user interface has words of its own for it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

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
    "NotConfigured",
    "SettingsError",
    "SignInError",
    "StoreError",
]


class Blame(StrEnum):
    """Whose fault an error is, and so who can fix it."""

    PERSON = "person"
    """The user who signs in, or their browser."""
    APP = "app"
    """The app: its settings, its code, its store."""
    CONFIGURE = "configure"
    """Configure, or the network on the way to it."""


class ApiCode(StrEnum):
    """Codes of a failed call: the same thirteen that Configure's own SDKs use."""

    sentence: str
    """What happened, for the error's message."""

    def __new__(cls, value: str, sentence: str = "") -> Self:  # the default is for `ApiCode(value)`
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    API_KEY_MISSING = "API_KEY_MISSING", "Configure got no API key"
    AUTH_REQUIRED = "AUTH_REQUIRED", "Configure rejected the API key, the client's credentials or the token"
    INVALID_INPUT = "INVALID_INPUT", "Configure rejected the request"
    TOOL_NOT_CONNECTED = "TOOL_NOT_CONNECTED", "the tool isn't connected for this user at Configure"
    NETWORK_ERROR = "NETWORK_ERROR", "Configure can't be reached"
    RATE_LIMITED = "RATE_LIMITED", "Configure's rate limit is exceeded"
    NOT_FOUND = "NOT_FOUND", "Configure found nothing under this name"
    SERVER_ERROR = "SERVER_ERROR", "Configure failed"
    TIMEOUT = "TIMEOUT", "Configure didn't respond in time"
    ACCESS_DENIED = "ACCESS_DENIED", "Configure doesn't allow this"
    TOOL_ERROR = "TOOL_ERROR", "the tool failed at Configure"
    PAYMENT_REQUIRED = "PAYMENT_REQUIRED", "the quota at Configure is used up"
    COMMIT_REQUIRED = "COMMIT_REQUIRED", "an earlier read of this profile must be committed first"


class Code(StrEnum):
    """Codes of a flow that ended without success. They are public and never change their meaning."""

    status: int
    """The HTTP status of the response."""
    blame: Blame
    """Whose fault it is."""
    advice: str
    """What to do about it, for the app's developer."""

    # The defaults are for `Code(value)`.
    def __new__(cls, value: str, status: int = 500, blame: Blame = Blame.APP, advice: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.status, member.blame, member.advice = status, blame, advice
        return member

    CANCELLED = "cancelled", 400, Blame.PERSON, "nothing: the user declined at Configure"
    EXPIRED = "expired", 400, Blame.PERSON, "let the user start again: the sign-in or link was too old, or unknown"
    ALREADY_USED = "already_used", 400, Blame.PERSON, "let the user start again: the callback was used before"
    INTERRUPTED = "interrupted", 409, Blame.APP, "let the user start again; look for a process that was stopped"
    COOKIE_MISSING = "cookie_missing", 400, Blame.PERSON, "allow cookies; a fetch() starts with credentials: 'include'"
    WRONG_BROWSER = "wrong_browser", 400, Blame.PERSON, "let the user start again and finish in the same browser"
    WRONG_USER = "wrong_user", 403, Blame.PERSON, "let the user start again: another user is signed in now"
    ALREADY_SIGNED_IN = "already_signed_in", 409, Blame.PERSON, "nothing: the user is signed in, by another tab"
    SIGNED_OUT = "signed_out", 401, Blame.PERSON, "let the user sign in to the app first; login_url= leads to its page"
    WRONG_HOST = "wrong_host", 400, Blame.APP, "link to the app under CONFIGURE_APP_URL only, or correct that setting"
    CROSS_SITE = "cross_site", 403, Blame.PERSON, "start from a page of the app, or name its origin in trusted_origins="
    INVALID_REQUEST = "invalid_request", 400, Blame.PERSON, "let the user start again; the request was malformed"
    NOT_APPROVED = "not_approved", 403, Blame.PERSON, "let the user start again and approve the agent at Configure"
    NOT_AN_AGENT_TOKEN = "not_an_agent_token", 400, Blame.APP, "post the token of `configure:linked`, for this agent"
    ACCOUNT_TAKEN = "account_taken", 409, Blame.PERSON, "let the user sign in as the other user, or set on_conflict"
    ALREADY_CONNECTED = "already_connected", 409, Blame.PERSON, "let the user disconnect first, or start with replace"
    LAST_SIGN_IN = "last_sign_in", 409, Blame.PERSON, "let the user add another way to sign in before disconnecting"
    NOT_FRESH = "not_fresh", 403, Blame.PERSON, "let the user sign in to the app again, then repeat the request"
    LOGIN_REFUSED = "login_refused", 403, Blame.APP, "nothing: the app's on_login refused the user"
    UPSTREAM_REJECTED = "upstream_rejected", 502, Blame.CONFIGURE, "run `configure_auth verify`; see the log"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable", 503, Blame.CONFIGURE, "try again later; the app works on without it"
    UPSTREAM_TIMEOUT = "upstream_timeout", 504, Blame.CONFIGURE, "try again later; the app works on without it"
    BUSY = "busy", 503, Blame.APP, "raise max_calls, or add workers, if sign-ins wait often; see the log for outages"
    STORE_BUSY = "store_busy", 503, Blame.APP, "see the log: the store is locked, full or unreachable"
    NOT_CONFIGURED = "not_configured", 503, Blame.APP, "set the CONFIGURE_ variables that the log names"
    MISCONFIGURED = (
        "misconfigured",
        500,
        Blame.APP,
        "see the log for the setting to change; run `configure_auth verify`",
    )


class ConfigureAuthError(Exception):
    """The root of all errors. `str(error)` is a sentence for the developer, never for a page.

    Attributes:
        code: stable; for programs.
        status: the HTTP status that fits.
        blame: whose fault it is.
        advice: what to do about it, for the developer.
    """

    code: str
    status: int
    blame: Blame
    advice: str


class SettingsError(ConfigureAuthError):
    """A setting is missing, malformed or contradicts another; the message names it and the way out."""

    code: str = Code.MISCONFIGURED.value
    status: int = Code.MISCONFIGURED.status
    blame: Blame = Code.MISCONFIGURED.blame
    advice: str = "set what the message names"


class NotConfigured(SettingsError):
    """A setting that is needed now is not set; the message names every one that is missing."""

    code: str = Code.NOT_CONFIGURED.value
    status: int = Code.NOT_CONFIGURED.status


class StoreError(ConfigureAuthError):
    """The store is locked, full or unreachable now. Nothing was written in part."""

    code: str = Code.STORE_BUSY.value
    status: int = Code.STORE_BUSY.status
    blame: Blame = Code.STORE_BUSY.blame
    advice: str = Code.STORE_BUSY.advice


class BearerError(ConfigureAuthError):
    """A bearer token is invalid ("invalid_token", 401), or can't be validated now ("upstream_unavailable", 503).

    `str(error)` is for the log, and shows nothing of the token.

    Args:
        retry_after: seconds; with "upstream_unavailable" only.
        challenge: the value of `WWW-Authenticate`, with the cause for the client.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, challenge: str = 'Bearer error="invalid_token"'
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.challenge = challenge
        unavailable = Code.UPSTREAM_UNAVAILABLE
        if retry_after is None:
            # RFC 6750 section 3.1.
            self._set("invalid_token", 401, Blame.PERSON, "let the client get a new token from its issuer")
        else:
            why = "see the log: the issuer's keys can't be fetched"
            self._set(unavailable.value, unavailable.status, Blame.APP, why)

    def _set(self, code: str, status: int, blame: Blame, advice: str) -> None:
        self.code: str = code
        self.status: int = status
        self.blame: Blame = blame
        self.advice: str = advice

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the response (RFC 6750 section 3; RFC 9110 section 10.2.3)."""
        if self.retry_after is None:
            return {"WWW-Authenticate": self.challenge}
        return {"Retry-After": f"{self.retry_after:.0f}"}


class ConfigureError(ConfigureAuthError):
    """A call to Configure failed.

    Neither the key nor the token of the call is kept here, and `str(error)` has nothing of the response's text.

    Attributes:
        code: one of the thirteen of Configure's SDKs (`ApiCode`).
        backend_code: Configure's own code, where the response has one.
        status_code: the HTTP status; None where no response came.
        retryable: whether the same call may succeed later.
        retry_after: seconds, as Configure said; it isn't capped.
        request_id: Configure's id of the request, for its support.
        suggested_action: what Configure suggests, such as "reauthenticate" or "commit_profile".
        doc_url: Configure's page about the error.
        sent: false where the request was never sent.
        endpoint: method and path of the call, such as "POST /oauth/token".
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
        self.code: str = code
        self.status_code = status_code
        self.retryable = retryable
        self.retry_after = retry_after
        self.request_id = request_id
        self.suggested_action = suggested_action
        self.doc_url = doc_url
        self.backend_code = backend_code
        self.sent = sent
        self.endpoint: str | None = None

    @property
    def sign_in_code(self) -> Code:
        """The code of a sign-in that ends with this error."""
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

    @property
    def advice(self) -> str:  # type: ignore[override]
        return "correct what the message names" if self.blame is Blame.APP else self.sign_in_code.advice


class SignInError(ConfigureAuthError):
    """A flow ended without success.

    `code` is one of `Code`; `next` is the page of the app to continue with. `reference` is on the page and in the log,
    for support: random, and made only when the flow has ended.
    """

    reference: str | None = None

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
        self.code: str = code
        self.status: int = code.status if status is None else status
        self.blame: Blame = code.blame
        self.advice: str = code.advice
        self.next = next
        self.retry_after = retry_after


class AgentNoOwner(ConfigureAuthError):
    """The agent hasn't been claimed, or doesn't exist."""

    code: str = "agent_no_owner"
    status: int = 409
    blame: Blame = Blame.PERSON
    advice: str = "let its user claim the agent first, with its claim token"


class AgentOwned(ConfigureAuthError):
    """The agent has an owner already, so it can't be registered again."""

    code: str = "agent_owned"
    status: int = 409
    blame: Blame = Blame.APP
    advice: str = "register each agent once"


class LoginRefused(SignInError):
    """Raise this in `on_login` to refuse a user.

    Args:
        sentence: what the user reads, as plain text; it is escaped.
        sign_in: the app's own sign-in page, which the error page then links to; give it the start of the link as `next`
            for a user who has an account already.
    """

    def __init__(self, sentence: str, *, sign_in: str | None = None) -> None:
        # A translation may come as a lazy string, which no store can keep.
        self.sentence: str = str(sentence)
        self.sign_in = sign_in
        super().__init__(Code.LOGIN_REFUSED, self.sentence)
