"""Sign-in links that Configure creates for one subject of ours."""

from __future__ import annotations

from dataclasses import field
from functools import partial
from typing import Literal, TypeAlias, cast, get_args

from ..runtime.frozen import dataclass
from ..runtime.verbs import verb
from ..settings import Settings
from .call import HttpCall
from .profile_session import ProfileCalls
from .sign_in import is_hosted_sign_in, web_origin
from .texts import first, whole
from .wire import ResponseBody, invalid, require_text

ConnectStatus: TypeAlias = Literal["authorization_required", "connect_app", "permission_needed", "import_ready"]
"""What the link is for: a sign-in, a connector, a permission, or an import."""

_STATUSES: tuple[str, ...] = get_args(ConnectStatus)


@dataclass(frozen=True, kw_only=True)
class ConnectResponse:
    """A link for one subject; send it unchanged, to that user only.

    Attributes:
        status: "authorization_required" for a subject that isn't linked yet.
        connect_url: the link.
        import_url: the link where `status` is "import_ready", instead of `connect_url`.
        expires_at: when the link expires, as Configure writes it (ISO 8601).
        instructions: Configure's sentence on what to do with the link, for a language model.
    """

    status: ConnectStatus
    connect_url: str | None = field(default=None, repr=False)
    import_url: str | None = field(default=None, repr=False)
    expires_at: str | None = None
    instructions: str | None = None


class ConnectCalls(ProfileCalls):
    """Sign-in links for the subject of a profile."""

    @verb
    def connect(self, *, return_url: str | None = None) -> HttpCall[ConnectResponse]:
        """Have Configure create the link with which the user of this profile signs in and approves our agent.

        Links for connectors and imports are left to Configure's own SDK, `configure-ai`.

        Args:
            return_url: where the user goes afterwards: https, or http on loopback. Nothing is added to it.

        Raises:
            ConfigureError: INVALID_INPUT before anything is sent; later Configure's refusal; SERVER_ERROR for a
                response without a link, or whose link isn't to the hosted sign-in.
        """
        if return_url is not None:
            require_text("return_url", return_url)
            if web_origin(return_url) is None:
                raise invalid("return_url must be an absolute URL: https, or http on loopback")
        body = {} if return_url is None else {"return_url": return_url}
        parse = partial(_connect_response, self._session.settings)
        return self._session.call("POST", "/v1/profile/connect", parse, "the request for a sign-in link", body=body)


def _connect_response(settings: Settings, body: ResponseBody) -> ConnectResponse:
    status = cast(ConnectStatus, body.required_choice("status", _STATUSES))
    name = "import_url" if status == "import_ready" else "connect_url"
    if not is_hosted_sign_in(settings, body.required_secret(name)):
        body.refuse(name)
    link = body.required_secret(name).reveal()
    return ConnectResponse(
        status=status,
        connect_url=None if status == "import_ready" else link,
        import_url=link if status == "import_ready" else None,
        expires_at=body.optional(lambda name: body.text(name, 64), "expires_at"),
        instructions=first(body.fields, "instructions", read=whole),
    )
