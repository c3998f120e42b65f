"""The app under test on Flask, served by Werkzeug's threaded server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, jsonify, request, session
from flask_wtf import CSRFProtect
from werkzeug.serving import BaseWSGIServer, make_server

from configure_auth import ConfigureAuthError, ConfigureError
from configure_auth.events import EVENTS
from configure_auth.flask import ConfigureAuth
from configure_auth.flask.signals import SIGNALS

from .flask_sessions import ServerSessions
from .web import Options, People, Serving, identity_of, plain, refusal_of


def build(
    settings: Mapping[str, str | None], options: Options, people: People, folder: Path, clock: Callable[[], float]
) -> tuple[Flask, ConfigureAuth]:
    app = Flask(__name__, instance_path=str(folder))
    app.secret_key = "a secret key of the app, long enough"
    app.config.update(settings, SESSION_COOKIE_SAMESITE=options.samesite)
    if options.server_session:
        app.session_interface = ServerSessions()
    constructor: dict[str, Any] = {
        "user_id": _user_id(options.bearer),
        **options.stores,
        "clock": clock,
        "show_outcome": False,
        **options.constructor,
    }
    configure_auth = ConfigureAuth(**constructor)
    configure_auth.init_app(app)

    def on_login(identity: Any, grant: Any) -> Any:
        result = (options.on_login or people.sign_in_or_up)(identity, grant)
        session["user_id"] = str(result[0] if isinstance(result, tuple) else result)
        return result

    if options.link is not None:
        app.register_blueprint(
            configure_auth.account_link(**{"after_link": f"{options.mount}/settings", **options.link})
        )
    if options.login is not None:
        app.register_blueprint(
            configure_auth.login(**{"on_login": on_login, "after_login": f"{options.mount}/", **options.login})
        )
    if options.messages is not None:
        hooks = {"on_linked": lambda key, account: people.linked.append((key, account))}
        app.register_blueprint(configure_auth.messages(**{**hooks, **options.messages}))
    if options.claims is not None:
        app.register_blueprint(configure_auth.agent_claims(**options.claims))
        _add_agents(app, configure_auth)
    if options.profiles is not None:
        app.register_blueprint(configure_auth.user_profiles(**options.profiles))
    for event in EVENTS:
        # Signals are of the process: listen to this app's only, as long as it lives.
        SIGNALS[event].connect(_listener(people), sender=app, weak=False)

    @app.post("/in/<user_id>")
    def sign_in(user_id: str) -> str:
        session["user_id"] = user_id
        return "in"

    @app.post("/out")
    def sign_out() -> str:
        configure_auth.forget_browser()
        session.clear()
        return "out"

    @app.post("/keep/<key>/<value>")
    def keep(key: str, value: str) -> str:
        session[key] = value
        return "kept"

    @app.errorhandler(ConfigureError)
    def failed(error: ConfigureError) -> Any:
        return jsonify(code=error.code, suggested_action=error.suggested_action), 502

    @app.get("/")
    @app.get("/settings")
    def page() -> str:
        return f"<title>The app</title>{configure_auth.button()}"

    pages: dict[str, Callable[[], Any]] = {
        "session": lambda: {key: value for key, value in session.items() if key != "user_id"},
        "who": lambda: {"user_id": session.get("user_id")},
        "account": lambda: {"account": _plain(configure_auth.account())},
        "profile": lambda: {"name": configure_auth.profile().read(sections=("identity",)).identity.name},
        "token": lambda: {"token": configure_auth.access_token(_kind()).reveal()},
    }
    forms: dict[str, Callable[[], Any]] = {
        "unlink": lambda: {"unlinked": len(configure_auth.unlink())},
        "journey": lambda: {"link": configure_auth.start_journey(**request.get_json())},
        "message": lambda: identity_of(configure_auth.message_identity(**request.get_json())),
        "purge": lambda: {"purged": configure_auth.purge()},
        "reseal": lambda: asdict(configure_auth.reseal()),
    }
    subjects: dict[str, Callable[[], Any]] = {
        "unlink": lambda: {"unlinked": configure_auth.unlink_subject(**request.get_json())},
        "forget": lambda: {"forgotten": configure_auth.forget_subject(**request.get_json())},
        "export": lambda: {"account": _plain(_account(configure_auth.export_subject(**request.get_json())))},
    }
    # One rule for all of a kind: Werkzeug compiles each, which takes longer than most requests.
    for endpoint, method, prefix, answers in (
        ("pages", "GET", "", pages),
        ("forms", "POST", "", forms),
        ("subjects", "POST", "subject/", subjects),
    ):
        rule = f"/{prefix}<any({','.join(answers)}):name>"
        app.add_url_rule(rule, view_func=_view(endpoint, answers), methods=[method])

    @app.post("/forget/<user_id>")
    def forget(user_id: str) -> Any:
        return jsonify(forgotten=configure_auth.forget_user(user_id))

    @app.get("/export/<user_id>")
    def export(user_id: str) -> Any:
        return jsonify(asdict(configure_auth.export_user(user_id)))

    if options.guard:
        _guard(app)
    if options.customise is not None:
        options.customise(app, configure_auth)
    return app, configure_auth


def _kind() -> Any:
    return request.args.get("kind")


def _view(endpoint: str, answers: Mapping[str, Callable[[], Any]]) -> Callable[[str], Any]:
    def view(name: str) -> Any:
        return jsonify(answers[name]())

    view.__name__ = endpoint  # by which extensions tell views apart
    return view


def _account(export: Any) -> Any:
    return None if export is None else export.account


def _plain(account: Any) -> Any:
    return None if account is None else plain(account)


def _add_agents(app: Flask, configure_auth: ConfigureAuth) -> None:
    def told(verb: Callable[..., Any], name: str, *given: Any) -> Any:
        try:
            said = verb(*given)
        except ConfigureAuthError as error:
            return jsonify(refusal_of(error)), error.status
        return jsonify({name: said.reveal() if name == "token" else said})

    @app.post("/agents/<agent_id>")
    def register_agent(agent_id: str) -> Any:
        return told(configure_auth.register_agent, "token", agent_id)

    @app.get("/agents")
    def agents() -> Any:
        return told(configure_auth.agents_owned_by, "agents", session.get("user_id"))

    @app.get("/agents/<agent_id>/owner")
    def agent_owner(agent_id: str) -> Any:
        return told(configure_auth.agent_owner, "owner", agent_id)


def _user_id(bearer: Any) -> Callable[[], Any]:
    if callable(bearer):
        return bearer  # type: ignore[no-any-return]
    return _bearer if bearer else lambda: session.get("user_id")


def _bearer() -> str | None:
    return request.headers.get("Authorization", "").removeprefix("Bearer ") or None


def _guard(app: Flask) -> None:
    CSRFProtect(app).exempt(app.view_functions["sign_in"])

    @app.before_request
    def turn_away() -> None:
        if session.get("user_id") is None and not request.path.startswith("/in/"):
            abort(Response("sign in first", 401))


def close(app: Flask, configure_auth: ConfigureAuth) -> None:
    """End what the app's process would end with."""
    configure_auth.close()


def hurry(app: Flask, configure_auth: ConfigureAuth, seconds: float) -> None:
    with app.app_context():
        configure_auth.client._transport.timeout = seconds


def _listener(people: People) -> Callable[..., None]:
    def listen(_app: Flask, event: Any) -> None:
        people.events.append(event)

    return listen


class _Later:
    """The WSGI app behind the server, which is bound before the app knows its own URL."""

    app: Flask

    def __init__(self, mount: str) -> None:
        self._mount = mount

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"].startswith(f"{self._mount}/"):
            environ["SCRIPT_NAME"] = self._mount
            environ["PATH_INFO"] = environ["PATH_INFO"][len(self._mount) :]
        return self.app(environ, start_response)


@contextmanager
def listening(mount: str = "") -> Iterator[tuple[int, Callable[[Flask], Serving]]]:
    later = _Later(mount)
    server: BaseWSGIServer = make_server("127.0.0.1", 0, later, threaded=True)

    def serve(app: Flask) -> Serving:
        later.app = app
        return Serving(lambda: server.serve_forever(poll_interval=0.01), server.shutdown)

    try:
        yield server.server_port, serve
    finally:
        server.server_close()
