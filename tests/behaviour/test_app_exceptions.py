"""What `user_id` and the hooks raise, and what becomes of the sign-in under way.

| raised                                               | in `user_id` at a callback | in a hook after the exchange |
|------------------------------------------------------|----------------------------|------------------------------|
| an HTTP error of the framework                       | the app responds; kept     | the app responds; used       |
| an exception that the app has a handler for          | the app responds; kept     | the app responds; used       |
| anything else, also with a handler for `Exception`   | `misconfigured`; kept      | `misconfigured`; used        |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import starlette.exceptions
import werkzeug.exceptions
from starlette.responses import PlainTextResponse

from ..support.reading import ending
from ..support.web import Adapter, MakeWeb, Web

# Each adapter reads and writes these by itself.
pytestmark = pytest.mark.every_case


class NotAuthenticated(Exception):
    """An exception of the app, with a handler."""


class TokenExpired(NotAuthenticated):
    """Handled by the handler of its base."""


class Unhandled(Exception):
    """An exception without a handler of its own."""


@pytest.fixture
def store() -> str:
    """No store matters here."""
    return "memory"


def register_handlers(app: Any, configure_auth: Any) -> None:
    """An app's handlers, one for everything included."""
    if hasattr(app, "register_error_handler"):
        app.register_error_handler(NotAuthenticated, lambda error: ("the app's own page", 401))
        # Flask hands its HTTP errors to this one too.
        app.register_error_handler(Exception, lambda error: getattr(error, "get_response", lambda: ("all", 500))())
    else:
        app.add_exception_handler(NotAuthenticated, lambda _, error: PlainTextResponse("the app's own page", 401))
        app.add_exception_handler(Exception, lambda _, error: PlainTextResponse("all", 500))


def http_error(adapter: Adapter) -> Exception:
    if adapter == "flask":
        return werkzeug.exceptions.Unauthorized()
    # Of FastAPI's dependency for the user, a 401 means that no user is signed in.
    return starlette.exceptions.HTTPException(404 if adapter == "fastapi" else 401)


class Raising:
    """A user function that raises when it is told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __call__(self) -> str:
        if self.error is not None:
            raise self.error
        return "u1"


Make = Callable[[Adapter], Exception]
RAISED: dict[str, Make] = {
    "HTTP error": http_error,
    "handled": lambda adapter: NotAuthenticated(),
    "handled by its base": lambda adapter: TokenExpired(),
}


@pytest.fixture(params=RAISED)
def error(request: pytest.FixtureRequest, adapter: Adapter) -> Exception:
    return RAISED[request.param](adapter)


def serve(make_web: MakeWeb, **options: Any) -> Web:
    return make_web(customise=register_handlers, **options)


def test_user_id_at_a_start_and_a_callback(make_web: MakeWeb, error: Exception) -> None:
    user_id = Raising()
    web = serve(make_web, constructor={"user_id": user_id})
    with web.browser() as browser:
        callback = browser.at_configure(browser.start("link"))
        user_id.error = error

        for response in (browser.get("/configure/sign-in"), browser.come_back(callback)):
            assert response.status_code == getattr(error, "status_code", 401)
            assert response.headers["cache-control"] == "no-store"
            assert response.headers["referrer-policy"] == "no-referrer"
            if isinstance(error, NotAuthenticated):
                assert response.text == "the app's own page"

        user_id.error = None
        assert browser.come_back(callback).headers["location"] == "/settings"


def test_on_login(make_web: MakeWeb, error: Exception) -> None:
    calls = []

    def on_login(identity: Any, grant: Any) -> str:
        calls.append(identity)
        raise error

    with serve(make_web, on_login=on_login).browser() as browser:
        callback = browser.at_configure(browser.start("login"))

        assert browser.come_back(callback).status_code == getattr(error, "status_code", 401)
        assert ending(browser.come_back(callback)) == (403, "login_refused")
        assert browser.who() is None
    assert len(calls) == 1


def test_anything_else_is_misconfigured(make_web: MakeWeb, caplog: pytest.LogCaptureFixture) -> None:
    user_id = Raising()
    with serve(make_web, constructor={"user_id": user_id}).browser() as browser:
        callback = browser.at_configure(browser.start("link"))
        user_id.error = Unhandled("secret words")
        assert ending(browser.come_back(callback)) == (500, "misconfigured")
        assert "raised by the hook" in caplog.text
        assert "Raising" in caplog.text or "user_id" in caplog.text

        user_id.error = None
        assert browser.come_back(callback).headers["location"] == "/settings"


def test_anything_else_in_on_login_uses_the_attempt(make_web: MakeWeb, caplog: pytest.LogCaptureFixture) -> None:
    def on_login(identity: Any, grant: Any) -> str:
        raise Unhandled

    with serve(make_web, on_login=on_login).browser() as browser:
        callback = browser.at_configure(browser.start("login"))

        assert ending(browser.come_back(callback)) == (500, "misconfigured")
        assert ending(browser.come_back(callback)) == (500, "misconfigured")
    assert [one.getMessage() for one in caplog.records if "raised by the hook" in one.getMessage()][1:] == []
    assert "raised by the hook" in caplog.text


def test_outside_our_routes_the_app_gets_what_was_raised(make_web: MakeWeb) -> None:
    user_id = Raising()
    user_id.error = NotAuthenticated()
    with serve(make_web, constructor={"user_id": user_id}).browser() as browser:
        response = browser.get("/account")

    assert (response.status_code, response.text) == (401, "the app's own page")
