"""Starts in a view of the app, whose data comes back at the end; logins that wait for a form of the app."""

from __future__ import annotations

import json
from typing import Any

import flask
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from configure_auth import LoginRefused, SignInError, SignUpNeeded
from configure_auth.events import AccountLinked, LinkFailed, LoggedIn
from configure_auth.stores.memory import memory_stores

from ..support.reading import ending, links_of, no_calls
from ..support.web import Adapter, Flow, MakeWeb, Web

DATA = {"invite": "invited-by-AB12", "cart": [1, 2], "plan": None}


@pytest.fixture
def store() -> str:
    """No store matters here."""
    return "memory"


def pages(app: Any, configure_auth: Any) -> None:
    """GET|POST /begin/<flow> starts with DATA, GET /form tells who waits, POST /form/<user> ends the login."""
    if isinstance(app, flask.Flask):

        @app.route("/begin/<flow>", methods=["GET", "POST"])
        def begin(flow: Any) -> Any:
            data = flask.request.args.get("data")
            return configure_auth.start(flow, next="/settings", data=DATA if data is None else json.loads(data))

        @app.get("/form")
        def form() -> Any:
            found = configure_auth.pending_login()
            return flask.jsonify(found and (found[0].name, dict(found[1].data)))

        @app.post("/form/<user_id>")
        def create(user_id: str) -> Any:
            try:
                return flask.jsonify(next=configure_auth.complete_login(user_id))
            except SignInError as error:
                return flask.jsonify(error=error.code)

        return

    async def start(request: Request) -> Response:
        data = request.query_params.get("data")
        given = DATA if data is None else json.loads(data)
        started: Response = await configure_auth.start(
            request, request.path_params["flow"], next="/settings", data=given
        )
        return started

    async def waiting(request: Request) -> Response:
        found = await configure_auth.pending_login(request)
        return JSONResponse(found and (found[0].name, dict(found[1].data)))

    async def complete(request: Request) -> Response:
        try:
            return JSONResponse({"next": await configure_auth.complete_login(request, request.path_params["user_id"])})
        except SignInError as error:
            return JSONResponse({"error": error.code})

    app.router.routes[:0] = [
        Route("/begin/{flow}", start, methods=["GET", "POST"]),
        Route("/form", waiting),
        Route("/form/{user_id}", complete, methods=["POST"]),
    ]


def form_first(adapter: Adapter) -> Any:
    """An `on_login` that leads new users to a form."""

    def on_login(identity: Any, grant: Any) -> Any:
        if identity.local_user_id is not None:
            return identity.local_user_id
        return SignUpNeeded(flask.redirect("/form") if adapter == "flask" else RedirectResponse("/form", 302))

    return on_login


@pytest.fixture
def signing_up(adapter: Adapter, make_web: MakeWeb) -> Web:
    return make_web(customise=pages, login={"on_login": form_first(adapter)})


# Data of a start.


@pytest.mark.parametrize("flow", ["link", "login"])
def test_start_data_reaches_hook_and_events(make_web: MakeWeb, flow: Flow) -> None:
    web = make_web(customise=pages)
    with web.browser() as browser:
        if flow == "link":
            browser.sign_in_locally("u1")
        begun = browser.get(f"/begin/{flow}")
        assert begun.status_code == 303
        assert "invited-by-AB12" not in str(begun.headers)
        callback = browser.at_configure(begun.headers["location"])
        assert "invited-by-AB12" not in callback
        assert browser.come_back(callback).headers["location"] == "/settings"
        # Again, from what is remembered for 30 s.
        assert browser.come_back(callback).status_code == 303

    if flow == "login":
        _, grant = web.people.logins[0]
        assert (grant.data, grant.untrusted) == (DATA, {})
    else:
        (linked,) = [event for event in web.people.events if isinstance(event, AccountLinked)]
        assert (linked.data, linked.untrusted) == (DATA, {})
        assert "invited-by-AB12" not in repr(linked)


def test_start_data_is_in_the_event_of_a_failure(make_web: MakeWeb) -> None:
    web = make_web(customise=pages)
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        begun = browser.get("/begin/link").headers["location"]
        browser.come_back(browser.end(begun, error="access_denied"))

    (failed,) = [event for event in web.people.events if isinstance(event, LinkFailed)]
    assert (failed.code, failed.data) == ("cancelled", DATA)


def test_start_data_is_sealed_in_the_store(make_web: MakeWeb) -> None:
    seen: list[str] = []
    stores = memory_stores()
    put = stores.states.put

    def noted(record: Any, **more: Any) -> None:
        seen.append(str(record.verifier))
        put(record, **more)

    stores.states.put = noted  # type: ignore[method-assign]
    web = make_web(customise=pages, stores={"store": stores})
    with web.browser() as browser:
        browser.get("/begin/login")

    (verifier,) = seen
    assert verifier
    assert "invited-by-AB12" not in verifier


@pytest.mark.parametrize("data", ['{"a": "' + "x" * 2048 + '"}'])
def test_start_data_over_2_kib_is_refused(make_web: MakeWeb, data: str) -> None:
    web = make_web(customise=pages)
    with web.browser() as browser, no_calls(web.sandbox):
        assert ending(browser.get(f"/begin/login?data={data}")) == (500, "misconfigured")
        assert web.people.events == []


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_start_in_a_view_asks_first_if_another_site_caused_it(make_web: MakeWeb, site: str) -> None:
    web = make_web(customise=pages)
    with web.browser() as browser:
        asked = browser.get("/begin/login", site=site)
        assert asked.status_code == 200
        (href,) = links_of(asked)
        assert "invited-by-AB12" not in asked.text
        assert browser.come_back(browser.at_configure(href)).headers["location"] == "/settings"
        assert web.people.logins[0][1].data == DATA

        assert ending(browser.post("/begin/login", site=site)) == (403, "cross_site")


def test_start_in_a_view_needs_a_user_for_the_link(make_web: MakeWeb) -> None:
    web = make_web(customise=pages)
    with web.browser() as browser:
        assert ending(browser.get("/begin/link")) == (401, "signed_out")


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"sec_purpose": "prefetch"}, 503), ({"sec_fetch_mode": "cors", "sec_fetch_dest": "empty"}, 406)],
)
def test_start_in_a_view_ignores_prefetches_and_fetches(
    make_web: MakeWeb, headers: dict[str, str], status: int
) -> None:
    web = make_web(customise=pages)
    with web.browser() as browser:
        assert browser.get("/begin/login", **headers).status_code == status
        assert web.people.events == []


# Parameters of the start's query.


@pytest.mark.parametrize("flow", ["link", "login"])
def test_allowed_query_reaches_the_app_as_untrusted(make_web: MakeWeb, flow: Flow) -> None:
    web = make_web(link={"query": ("invite",)}, login={"query": ("invite",)})
    with web.browser() as browser:
        start = browser.begin(flow, "?invite=by%20AB%2012&plan=gold")
        assert not any(invite in start for invite in ("by AB", "by%20AB", "by+AB"))
        browser.come_back(browser.at_configure(start))

    if flow == "login":
        (_, given) = web.people.logins[0]
    else:
        (given,) = [event for event in web.people.events if isinstance(event, AccountLinked)]
    assert (dict(given.data), dict(given.untrusted)) == ({}, {"invite": "by AB 12"})


def test_allowed_query_survives_the_page_that_asks_first(make_web: MakeWeb) -> None:
    web = make_web(login={"query": ("invite",)})
    with web.browser() as browser:
        asked = browser.get("/auth/configure/sign-in?invite=invited-by-AB12", site="none")
        (href,) = links_of(asked)
        browser.come_back(browser.at_configure(browser.get(href).headers["location"]))

    assert web.people.logins[0][1].untrusted == {"invite": "invited-by-AB12"}


@pytest.mark.parametrize("query", ["invite=" + "x" * 257, f"invite={'x' * 200}&plan={'x' * 57}", "invite=a&invite=b"])
def test_allowed_query_is_limited(make_web: MakeWeb, query: str) -> None:
    web = make_web(login={"query": ("invite", "plan")})
    with web.browser() as browser:
        assert ending(browser.get(f"/auth/configure/sign-in?{query}")) == (400, "invalid_request")


@pytest.mark.parametrize("query", ["invite", ("next",), ("a b",)])
def test_query_option_is_checked(make_web: MakeWeb, query: Any) -> None:
    with pytest.raises(Exception, match="query is a tuple of names"):
        make_web(login={"query": query})


# A form before the login's end.


def test_sign_up_form_gets_the_identity_and_ends_the_login_once(signing_up: Web) -> None:
    with signing_up.browser() as browser:
        assert browser.get("/form").json() is None
        callback = browser.at_configure(browser.get("/begin/login").headers["location"], name="Ada")
        came = browser.come_back(callback)
        assert (came.status_code, came.headers["location"]) == (302, "/form")
        assert browser.get("/form").json() == ["Ada", DATA]
        assert not [event for event in signing_up.people.events if isinstance(event, LoggedIn)]
        # A reload leads to the form again, and changes nothing.
        assert browser.come_back(callback).headers["location"] == "/form"

        assert browser.post("/form/u7").json() == {"next": "/settings"}
        assert browser.get("/form").json() is None
        assert browser.post("/form/u8").json() == {"error": "expired"}
        (logged_in,) = [event for event in signing_up.people.events if isinstance(event, LoggedIn)]
        assert logged_in.account.user_id == "u7"

    with signing_up.browser() as later:
        assert later.login().headers["location"] == "/"
        assert later.get("/form").json() is None


def test_sign_up_form_is_of_one_browser(signing_up: Web) -> None:
    with signing_up.browser() as browser, signing_up.browser() as other:
        browser.login()
        other.start("login")
        assert other.get("/form").json() is None
        assert other.post("/form/u8").json() == {"error": "expired"}
        assert browser.get("/form").json() is not None


def test_sign_up_form_waits_15_minutes(signing_up: Web) -> None:
    with signing_up.browser() as browser:
        browser.login()
        signing_up.sandbox.advance(899)
        assert browser.get("/form").json() is not None
        signing_up.sandbox.advance(2)
        assert browser.get("/form").json() is None
        assert browser.post("/form/u7").json() == {"error": "expired"}


def test_sign_up_form_is_of_the_latest_login(signing_up: Web) -> None:
    with signing_up.browser() as browser:
        browser.come_back(browser.at_configure(browser.start("login"), "+15550100001", name="Ada"))
        browser.come_back(browser.at_configure(browser.start("login"), "+15550100002", name="Grace"))
        assert browser.get("/form").json() == ["Grace", {}]
        browser.post("/form/u7")
        assert browser.get("/form").json() is None


def test_sign_up_form_refuses_a_profile_that_was_connected_meanwhile(signing_up: Web) -> None:
    with signing_up.browser() as browser, signing_up.browser() as other:
        browser.login()
        other.sign_in_locally("u2")
        other.link()
        assert browser.post("/form/u7").json() == {"error": "account_taken"}


def test_sign_up_form_ends_with_a_sign_out(signing_up: Web) -> None:
    with signing_up.browser() as browser:
        browser.login()
        browser.sign_out()
        assert browser.get("/form").json() is None
        assert browser.post("/form/u8").json() == {"error": "expired"}


def test_sign_up_form_is_not_another_users(signing_up: Web) -> None:
    """Somebody else signs in at the browser that a person left before the form."""
    with signing_up.browser() as browser:
        browser.login()
        browser.sign_in_locally("u2")
        assert browser.get("/form").json() is None
        assert browser.post("/form/u8").json() == {"error": "wrong_user"}
        assert browser.post("/form/u2").json() == {"next": "/"}


def test_start_in_a_view_of_another_site_ends_no_sign_in(make_web: MakeWeb) -> None:
    """Ten attempts are open at most: one that waits for a click goes before one that the user has begun."""
    web = make_web(customise=pages)
    with web.browser() as browser:
        begun = browser.start("login")
        for _ in range(12):
            assert browser.get("/begin/login", site="cross-site").status_code == 200
        assert browser.come_back(browser.at_configure(begun)).headers["location"] == "/"


def test_sign_up_form_renews_the_session(signing_up: Web) -> None:
    with signing_up.browser() as browser:
        browser.login()
        browser.post("/keep/planted/x")
        browser.post("/form/u7")
        assert browser.get("/session").json() == {}


# A refusal that leads to the app's own sign-in.


def test_refusal_links_to_the_apps_sign_in(make_web: MakeWeb) -> None:
    def refuse(identity: Any, grant: Any) -> str:
        raise LoginRefused("You have an account already.", sign_in="/sign-in?next=/configure/sign-in")

    web = make_web(login={"on_login": refuse})
    with web.browser() as browser:
        callback = browser.at_configure(browser.start("login"))
        for _ in range(2):  # the second time from the store
            answer = browser.come_back(callback)
            assert ending(answer) == (403, "login_refused")
            assert "You have an account already." in answer.text
            assert links_of(answer)[0] == "/sign-in?next=/configure/sign-in"
