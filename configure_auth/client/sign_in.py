"""The hosted sign-in: the URL that a person is sent to, and the server's side of what comes back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal
from urllib.parse import quote, urlsplit

from ..errors import SettingsError
from ..runtime.frozen import dataclass
from ..runtime.verbs import verb
from ..settings import Settings, require_origin
from ..values import Secret, SignInGrant, TokenValidation
from .call import HttpCall
from .wire import ApiCalls, ResponseBody, api_call, form, given_text, invalid, plain, require_text, require_token

_DESTINATIONS = "/v1/auth/sign-in/return-destinations"


@dataclass(frozen=True, kw_only=True)
class ReturnDestination:
    """A page or app link that a hosted sign-in may return to.

    `destination` is as Configure stores it, without a fragment. `created_at` and `deleted` are None where the response
    leaves them out.
    """

    destination: str
    created_at: str | None = None
    deleted: bool | None = None


class SignInCalls(ApiCalls):
    """The hosted sign-in."""

    def sign_in_url(
        self,
        *,
        publishable_key: str | None = None,
        return_to: str | None = None,
        state: str | None = None,
        journey_id: str | None = None,
        display_name: str | None = None,
        agent_name: str | None = None,
        agent_logo: str | None = None,
        delivery: str | None = None,
        message_line_phone: str | None = None,
        agent_phone: str | None = None,
        message_body: str | None = None,
        message_complete_url: str | None = None,
        connectors: str | Sequence[str] | None = None,
        sign_in_origin: str | None = None,
        theme: Literal["light", "dark"] | None = None,
    ) -> str:
        """Build the URL of the hosted sign-in for our agent. Nothing is sent.

        What is None or empty is left out. Configure finds the agent's browser key by itself when `publishable_key` is
        left out.

        Args:
            publishable_key: the `pk_` key; a secret key is refused, so that none gets into a URL.
            return_to: where the person comes back with `code` and `state`: https, http on loopback, or an app link such
                as `myapp://signed-in`. It must be among the allowed return destinations.
            state: opaque to Configure; it comes back with the code.
            journey_id: ties a sign-in from a message to its thread.
            display_name: what the page calls the agent; `agent_name` is its older spelling.
            agent_logo: URL of an image.
            delivery: how the person got the link: browser, message, messages, imessage, sms or opener.
            message_line_phone: the agent's registered number; `agent_phone` is its older spelling.
            message_body: the text that the person sends back to that number.
            message_complete_url: where Configure reports that the journey is done.
            connectors: names of connectors to offer, as a list or with commas.
            sign_in_origin: instead of `self._settings.sign_in_url`.
            theme: "light" or "dark".

        Raises:
            ConfigureError: INVALID_INPUT for a value that can't be right, or two spellings that differ.
            SettingsError: the agent is not set.
        """
        if given_text("publishable_key", publishable_key) and not is_publishable(publishable_key):
            raise invalid("publishable_key must be the key that begins with pk_; no other key may be in a URL")
        if given_text("return_to", return_to) is not None:
            _require_return_to(return_to, self._settings.allow_http)
        if given_text("message_complete_url", message_complete_url) is not None:
            require_complete_url(message_complete_url)
        if given_text("theme", theme) is not None:
            require_theme(theme)
        origin = given_text("sign_in_origin", sign_in_origin)
        try:
            origin = self._settings.sign_in_url if origin is None else require_origin("sign_in_origin", origin)
        except SettingsError as error:
            raise invalid(str(error)) from None
        parameters = {
            "pk": publishable_key,
            "return_to": return_to,
            "state": given_text("state", state),
            "journey": given_text("journey_id", journey_id),
            "agent_name": _one_of("display_name", display_name, "agent_name", agent_name),
            "agent_logo": given_text("agent_logo", agent_logo),
            "delivery": given_text("delivery", delivery),
            "message_line_phone": _one_of("message_line_phone", message_line_phone, "agent_phone", agent_phone),
            "message_body": given_text("message_body", message_body),
            "message_complete_url": message_complete_url,
            # A string goes as it is.
            "connectors": connectors.strip() if isinstance(connectors, str) else ",".join(connector_names(connectors)),
            "theme": theme,
        }
        query = form((name, value) for name, value in parameters.items() if value)
        url = f"{origin}/{quote(self._settings.required_agent, safe='')}"
        return f"{url}?{query}" if query else url

    @verb
    def exchange_sign_in_code(self, code: str | Secret) -> HttpCall[SignInGrant]:
        """Exchange the code of a hosted sign-in (`cfgsic_...`) for the agent token of the person.

        A code is good once. The call is never repeated by the client, and a second try after an error can only fail.
        Whether the grant is for our agent and approved is for the caller to judge.

        Args:
            code: the `code` parameter of the return, 1 to 2048 visible ASCII characters.

        Raises:
            ConfigureError: INVALID_INPUT before anything is sent; later what Configure says of the code or the key;
                SERVER_ERROR for a response without token, user id or agent.
        """
        require_token("code", code, 2048)
        path, body = "/v1/auth/sign-in/exchange", {"code": plain(code)}
        return api_call(self._settings, "POST", path, _grant, "the code exchange", body=body)

    @verb
    def validate_sign_in_token(self, token: str | Secret) -> HttpCall[TokenValidation]:
        """Ask Configure what an agent token is worth.

        Args:
            token: the token, 1 to 8192 visible ASCII characters.

        Raises:
            ConfigureError: INVALID_INPUT before anything is sent; SERVER_ERROR for a response that says neither true
                nor false.
        """
        require_token("token", token)
        path, body = "/v1/auth/sign-in/validate", {"token": plain(token)}
        return api_call(self._settings, "POST", path, _validation, "the token validation", body=body)

    @verb
    def allow_sign_in_return_to(self, return_to: str) -> HttpCall[ReturnDestination]:
        """Let hosted sign-ins of our agent return to a URL or app link (`myapp://...`).

        Raises:
            ConfigureError: INVALID_INPUT for something that can't be a destination.
        """
        _require_return_to(return_to, self._settings.allow_http)
        return _return_destination_call(self._settings, "POST", return_to)

    @verb
    def remove_sign_in_return_to(self, return_to: str) -> HttpCall[ReturnDestination]:
        """Take a return destination back; `deleted` of the result says whether there was one.

        Raises:
            ConfigureError: INVALID_INPUT for something that isn't text.
        """
        require_text("return_to", return_to)
        return _return_destination_call(self._settings, "DELETE", return_to)

    @verb
    def list_sign_in_return_destinations(self) -> HttpCall[tuple[ReturnDestination, ...]]:
        """The return destinations that our agent may use."""
        what = "the list of return destinations"
        return api_call(self._settings, "GET", _DESTINATIONS, _destinations, what, content_type=False)


def _grant(body: ResponseBody) -> SignInGrant:
    return SignInGrant(
        token=body.required_secret("token"),
        user_id=body.required_text("user_id"),
        agent=body.required_text("agent"),
        token_use=body.text("token_use"),
        approved=body.boolean("approved"),
    )


def _validation(body: ResponseBody) -> TokenValidation:
    return TokenValidation(
        valid=body.required_boolean("valid"),
        user_id=body.text("user_id"),
        token_use=body.text("token_use"),
        approved=body.boolean("approved"),
        agent=body.text("agent"),
    )


def is_agent_token(validation: TokenValidation, agent: str) -> bool:
    """Whether a token from outside is an agent token of ours, for a person who approved us.

    Everything must be said: what is left out speaks against the token.
    """
    return (
        validation.valid is True
        and validation.agent == agent
        and validation.token_use == "agent"
        and validation.approved is True
        and bool(validation.user_id)
    )


def _return_destination_call(settings: Settings, method: str, return_to: str) -> HttpCall[ReturnDestination]:
    what = "the change of return destinations"
    return api_call(settings, method, _DESTINATIONS, _destination, what, body={"return_to": return_to})


def _destinations(body: ResponseBody) -> tuple[ReturnDestination, ...]:
    return tuple(map(_destination, body.objects("destinations") or ()))


def _destination(body: ResponseBody) -> ReturnDestination:
    return ReturnDestination(
        destination=body.required_text("destination", 2048),
        created_at=body.text("created_at", 64),
        deleted=body.boolean("deleted"),
    )


def _require_return_to(return_to: str | None, allow_http: Collection[str]) -> None:
    require_text("return_to", return_to)
    assert return_to is not None
    scheme = return_to.partition(":")[0].lower()
    if scheme in ("http", "https"):
        good = web_origin(return_to, allow_http) is not None
    else:
        # An app link has a scheme of its own; these four run or read what follows them.
        good = "://" in return_to and scheme not in ("javascript", "vbscript", "data", "file", "blob")
    if not good or " " in return_to:
        raise invalid("return_to must be an absolute URL: https, http on loopback, or a link of your own app")


def web_origin(url: str, allow_http: Collection[str] = ()) -> tuple[str, str | None, int] | None:
    """Scheme, host and port of an absolute URL: https, or http on loopback or these hosts; None for anything else."""
    try:
        parts = urlsplit(url)
        require_origin("url", f"{parts.scheme}://{parts.netloc}", allow_http=allow_http)
        return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except (ValueError, SettingsError):
        return None


def is_hosted_sign_in(settings: Settings, url: Secret) -> bool:
    """Whether a link that Configure created is one of the hosted sign-in."""
    origin = web_origin(url.reveal(), settings.allow_http)
    return origin is not None and origin == web_origin(settings.sign_in_url, settings.allow_http)


def require_complete_url(url: str | None) -> None:
    """Refuse, before anything is sent, a page that Configure couldn't report to."""
    require_text("message_complete_url", url)
    if web_origin(url or "") is None:
        raise invalid("message_complete_url must be an absolute URL: https, or http on loopback")


def require_theme(theme: str | None) -> None:
    """Refuse, before anything is sent, a look that the hosted pages don't have."""
    if theme not in ("light", "dark"):
        raise invalid('theme must be "light" or "dark"')


def connector_names(connectors: str | Sequence[str] | None) -> list[str]:
    """Return the names in a list of connectors, or in a string with commas, without the blank ones.

    Raises:
        ConfigureError: INVALID_INPUT for another type, also inside of the list, and for a name that can't be one.
    """
    listed = connectors.split(",") if isinstance(connectors, str) else connectors
    if listed is not None and not isinstance(listed, Sequence):
        raise invalid(f"connectors must be a list of strings, not {type(listed).__name__}")
    wrong = next((name for name in listed or () if not isinstance(name, str)), "")
    if wrong != "":
        raise invalid(f"connectors must be a list of strings, not of {type(wrong).__name__}")
    names = [name.strip() for name in listed or () if name.strip()]
    for name in names:
        require_text("a name in connectors", name, 64)
    return names


def is_publishable(key: str | None) -> bool:
    """Whether a key is one that pages and URLs may show."""
    return isinstance(key, str) and key.startswith("pk_") and key.isascii()


def _one_of(name: str, value: str | None, older_name: str, older: str | None) -> str | None:
    value, older = given_text(name, value), given_text(older_name, older)
    if value and older and value != older:
        raise invalid(f"{name} and {older_name} mean the same; give one of them")
    return value or older
