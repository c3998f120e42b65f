"""Flask's request, session and responses, as the flows see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from flask import (
    Response,
    current_app,
    has_request_context,
    make_response,
    render_template_string,
    request,
    session,
    url_for,
)
from flask.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import HTTPException

from .. import flows
from ..flows import AppResponse, Hook
from ..flows.app import id_renewal, note_hook, reaches_app
from ..flows.response import RenderedResponse
from ..runtime.frozen import dataclass
from ..ui import pages


def read_request(has_session: bool) -> flows.Request:
    """Convert the current request.

    Args:
        has_session: the app keeps the signed-in user in Flask's session.
    """
    strict = has_session and str(current_app.config.get("SESSION_COOKIE_SAMESITE")).lower() == "strict"
    headers = {name.lower(): value for name, value in request.headers.items()}
    propagated: bool | None = current_app.config["PROPAGATE_EXCEPTIONS"]
    return flows.Request(
        method=request.method,
        host=request.host,
        # From the environ: an app's own request class may leave the prefix in `path`, or take it out of `root_path`.
        path=_decoded("SCRIPT_NAME").rstrip("/") + _decoded("PATH_INFO"),
        query=request.query_string.decode("latin-1"),
        headers=headers,
        lacks_strict_session=strict and current_app.config["SESSION_COOKIE_NAME"] not in request.cookies,
        debug=current_app.debug,
        # As Flask does, but for debug mode, in which our page shows the cause.
        propagates=current_app.testing if propagated is None else propagated,
    )


def write_response(response: flows.Response) -> Response:
    """Convert to a Flask response. The app's own gets our headers unless it has set them."""
    made = response.app_response
    if isinstance(made, Exception):
        # As Flask does with what a view raised.
        made = make_response(current_app.handle_user_exception(made))
    if isinstance(made, Response):
        for name, value in response.headers.items():
            made.headers.setdefault(name, value)
        return made
    return _Ours(response.render())


def _handled() -> Iterator[type[Exception]]:
    """Exception classes that the app, or a blueprint of this request, has a handler for."""
    scopes = request.blueprints if has_request_context() else []
    for scope in (*scopes, None):
        yield from current_app.error_handler_spec.get(scope, {}).get(None, {})


_KEPT = frozenset(
    {
        "content-security-policy",
        "cross-origin-opener-policy",
        "x-frame-options",
        "referrer-policy",
        "cache-control",
    }
)


class _Ours(Response):
    """A response of ours, with the headers that it must keep."""

    def __init__(self, reply: RenderedResponse) -> None:
        super().__init__(reply.body, status=reply.status, headers=list(reply.headers))
        self.kept = {name: value for name, value in reply.headers if name.lower() in _KEPT}


def keep_headers(response: Response) -> Response:
    """Put back what an `after_request` of the app replaced in a response of ours, such as its page's policy."""
    if isinstance(response, _Ours):
        response.headers.update(response.kept)
    return response


def _decoded(name: str) -> str:
    value: str = request.environ.get(name, "")
    # WSGI hands over the bytes of a path as Latin-1 (PEP 3333).
    return value.encode("latin-1").decode("utf-8", "replace")


@dataclass(frozen=True)
class FlaskApp:
    """The duties of `flows.App`. `has_session` is false for an app that keeps no session."""

    has_session: bool

    def call(self, hook: Hook, *args: object) -> Any:
        try:
            return current_app.ensure_sync(hook)(*args)
        except HTTPException as error:
            raise AppResponse(error) from error
        except Exception as error:
            if reaches_app(error, _handled()):
                raise AppResponse(error) from error
            note_hook(error, hook)
            raise

    def body(self, limit: int) -> Any:
        # Not `get_data` first, which keeps a body of any size; a stream may give less at once than was asked for.
        parts, left = [], limit + 1
        try:
            while left and (part := request.stream.read(left)):
                parts.append(part)
                left -= len(part)
            # Nothing is left of a body that the app has read before, and that Flask has kept.
            return b"".join(parts) or request.get_data()
        except (HTTPException, OSError):
            return b""

    def memory(self) -> dict[Any, Any]:
        if not has_request_context():
            return {}
        found: dict[Any, Any] = request.environ.setdefault("configure_auth.memory", {})
        return found

    def call_for_response(self, hook: Hook, *args: object) -> Any:
        made = self.call(hook, *args)
        return None if made is None else self.to_response(made)

    def to_response(self, value: object) -> Any:
        return make_response(value)

    def path_of(self, endpoint: str) -> str:
        return urlsplit(url_for(endpoint)).path

    def fill_layout(self, base_template: str, values: Mapping[str, object]) -> str:
        return render_template_string(pages.LAYOUT, configure_base=base_template, **values)

    def renew_session(self, keep: tuple[str, ...], hook: Hook | None) -> None:
        if not self.has_session:
            return
        kept = {name: session[name] for name in keep if name in session}
        renew = session_renewal()
        if renew is not None:
            session["configure_auth"] = True  # Flask-Session leaves an empty session its id
            renew()
        session.clear()
        session.update(kept)
        if hook is not None:
            self.call(hook)


def session_renewal() -> Callable[[], object] | None:
    """Return what gives this request's session a new id; None if the session has none, or none that we can change."""
    by_interface = id_renewal(current_app.session_interface)
    if by_interface is not None:
        return partial(by_interface, session)
    # Not a look at a session in a cookie, which would make the response depend on it (`Vary: Cookie`).
    return None if keeps_session_in_cookie() else id_renewal(session)


def keeps_session_in_cookie() -> bool:
    """Whether the session has no id: it is new by being rewritten."""
    return isinstance(current_app.session_interface, SecureCookieSessionInterface)
