"""The Flask extension: where the session is, who the user is, how to redirect. It decides nothing."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from flask import Blueprint, Flask, Response, abort, current_app, has_app_context, has_request_context, request, session
from flask.blueprints import BlueprintSetupState
from flask.sessions import NullSession
from markupsafe import Markup
from werkzeug.routing import RequestRedirect

from .. import flows
from ..client.client import Configure, Profile
from ..errors import SettingsError
from ..flows.app import require_id, warn_of_fixation
from ..flows.registration import Registration, register_at_boot
from ..flows.verbs import BlockingVerbs
from ..options import FEATURES, ConfigureAuthOptions, RequestMethods, RouteMethods, feature_builder, require_known
from ..runtime.circuit import Circuit
from ..runtime.frozen import dataclass
from ..settings import Settings, SettingsSource, read_settings
from ..stores import Stores
from ..stores.opening import StateSource, StoreSource, chosen, make_tables
from ..values import Identity, Kind, LinkedAccount, Secret, TokenGrant, UserId
from .request import (
    FlaskApp,
    keep_headers,
    keeps_session_in_cookie,
    read_request,
    session_renewal,
    write_response,
)
from .signals import emit

if TYPE_CHECKING:
    from flask.sansio.app import App  # since Flask 3.0

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")

_KEY = "configure_auth"
_BUILDERS = "configure_auth_builders"
"""Key of the functions that build the features of registered blueprints, also of those before `init_app`."""
_BEFORE = "configure_auth_before"
"""Key of what runs before the requests to our routes."""


@dataclass(frozen=True)
class Installed:
    """The settings, client, stores and features of one `ConfigureAuth` in one Flask app."""

    app: Flask
    owner: ConfigureAuth
    site: flows.Site
    client: Configure
    stores: Stores
    make_tables: Callable[[], int] = field(repr=False)
    circuit: Circuit
    features: dict[str, flows.Feature] = field(default_factory=dict)

    def check_session(self) -> None:
        """Log a warning if the session's id can't change at a sign-in. It is known in a request only.

        An app sets its session interface after `init_app` as well.
        """
        if not (keeps_session_in_cookie() or self.site.renew_session is not None or session_renewal() is not None):
            warn_of_fixation(type(self.app.session_interface))

    @property
    def perform(self) -> flows.Performer:
        app = FlaskApp(bool(self.site.session))
        return flows.Performer(self.client, self.stores, app, partial(emit, self.app), self.circuit)

    def run(self, flow: flows.Flow[T]) -> T:
        try:
            return flows.run(flow, self.perform)
        except flows.AppResponse as made:
            # `user_id` aborted outside of our routes: the app's own error, as it raised it.
            raise made.__cause__ or made from None

    @property
    def all_features(self) -> flows.Features:
        return flows.Features(self.site, self.features)

    def close(self) -> None:
        try:
            self.client.close()
        finally:
            self.stores.close()


def installations(of: Flask | ConfigureAuth) -> tuple[Installed, ...]:
    """Every `ConfigureAuth` that was installed into an app, or one of them in every app that has it."""
    return of._everywhere() if isinstance(of, ConfigureAuth) else tuple(of.extensions.get(_KEY, {}).values())


class ConfigureAuth(BlockingVerbs, RouteMethods[Blueprint], RequestMethods):
    """Configure for Flask apps. One object serves several apps; nothing of a request is kept on it.

    Example::

        configure_auth = ConfigureAuth(user_id=lambda: session.get("user_id"))
        configure_auth.init_app(app)
        app.register_blueprint(configure_auth.account_link(after_link="/settings"))

        def on_login(identity, grant):
            user_id = identity.local_user_id or new_user(identity.name)
            session["user_id"] = user_id
            return user_id

        app.register_blueprint(configure_auth.login(on_login=on_login, after_login="/"))

    Args:
        settings: the credentials: `Settings`, a mapping, or an object with attributes such as CONFIGURE_API_KEY; by
            default read at `init_app` from `app.config`, then from the environment. A missing setting is reported at
            its first use.
        store: "sqlite:///configure.db" (a file of its own in the app's instance folder), "postgresql://..." for several
            machines, or "memory://" for development; also an Engine, a Flask-SQLAlchemy `db` or a Session factory on
            PostgreSQL, from which connections of our own are made, or a `Stores` of your own. Unless given, it is the
            setting CONFIGURE_STORE, or the file.
        states: "redis://...", or a redis-py client, to keep the attempts to sign in there, beside the accounts in
            `store`. Where `store` isn't given it may be the setting CONFIGURE_STATES.
        user_id: a function that gives the id of the signed-in user (a string or a whole number), None if no user is
            signed in. An id must never be given out twice; call `forget_user` where the app deletes a user.
        options: `configure_auth.options.ConfigureAuthOptions`.
    """

    def __init__(
        self,
        settings: SettingsSource = None,
        *,
        store: StoreSource | None = None,
        states: StateSource | None = None,
        user_id: Callable[[], object],
        **options: Unpack[ConfigureAuthOptions],
    ) -> None:
        require_known("ConfigureAuth", ConfigureAuthOptions, options)
        if isinstance(settings, Flask):
            raise SettingsError("ConfigureAuth got the app in the place of settings; give it to init_app(app)")
        self._settings = settings
        self._store = store
        self._states = states
        self._apps: WeakKeyDictionary[Flask, None] = WeakKeyDictionary()
        self._options = flows.AppOptions(user_id=user_id, **options)

    def init_app(self, app: Flask, settings: SettingsSource = None) -> None:
        """Install into an app, before or after its blueprints are registered.

        Raises:
            SettingsError: something is malformed or contradictory, or the app has another `ConfigureAuth` of this
                name; the message names it.
        """
        if not isinstance(app, Flask):
            raise _no_flask(app)
        known: Installed | None = app.extensions.get(_KEY, {}).get(self._options.name)
        if known is not None and known.owner is not self:
            raise flows.name_taken(self._options.name)
        source = self._settings if settings is None else settings
        found = read_settings(_configuration(app) if source is None else source)
        site = self._options.site(found, _keys(app, found))
        installed = Installed(
            app=app,
            owner=self,
            site=site,
            client=Configure(found, on_event=partial(emit, app)),
            stores=self._open(app, site),
            circuit=self._options.circuit(),
            make_tables=partial(make_tables, chosen(self._store, None, found)[0], Path(app.instance_path)),
        )
        app.extensions.setdefault(_KEY, {})[self._options.name] = installed
        self._apps[app] = None
        for name, (owner, build) in app.extensions.get(_BUILDERS, {}).items():
            if owner is self:
                installed.features[name] = build(site=installed.site)
        installed.all_features.require_one_message_agent()
        # Globals, and no context processor: macros that are imported have no context.
        app.jinja_env.globals.update(
            configure_button=self.button,
            configure_auth_element=self.element,
            configure_disconnect_form=self.disconnect_form,
        )

    # In a request: the signed-in user's connection.

    def account(self) -> LinkedAccount | None:
        """Return the signed-in user's connection, the link's before the login's; None without one.

        It reads the store, and makes no request to Configure.

        Example::

            account = configure_auth.account()
            connected = account is not None and not account.needs_reconnect
        """
        return self.account_for(self._current_user())

    def access_token(self, kind: Kind | None = None) -> Secret:
        """A token of the signed-in user that is good now, refreshed if need be.

        Raises:
            ConfigureError: AUTH_REQUIRED where nothing is connected, or it needs to be connected again.
        """
        return self.access_token_for(self._current_user(), kind)

    def profile(self, kind: Kind | None = None) -> Profile:
        """Return a client for the signed-in user's profile; errors as for `access_token`.

        Example::

            try:
                name = configure_auth.profile().read(sections=["identity"]).identity.name
            except ConfigureError:  # not connected, or Configure is down
                name = None
        """
        return self.profile_for(self._current_user(), kind)

    def unlink(self) -> tuple[LinkedAccount, ...]:
        """Delete the signed-in user's connections; what was deleted."""
        user_id = self._current_user()
        return () if user_id is None else self.unlink_for(user_id)

    def external_id(self) -> str | None:
        """The signed-in user's id at Configure, for `client.profile(external_id=)`; None if no user is signed in."""
        user_id = self._current_user()
        return None if user_id is None else self.external_id_for(user_id)

    # For any user, in an application context: the verbs in `flows.verbs`.

    def forget_browser(self) -> None:
        self._run(flows.forget_browser(self._features.site, read_request(has_session=False)))

    @property
    def client(self) -> Configure:
        """The API client of the current app."""
        return self._installed().client

    def button(self, flow: Literal["link", "login"] | None = None, next: str | None = None, **look: Any) -> Markup:
        return self._run(self._features.button(_request_or_none(), flow, next, look))

    def start(
        self,
        flow: Literal["link", "login"],
        *,
        next: str | None = None,
        replace: bool = False,
        data: Mapping[str, Any] | None = None,
    ) -> Response:
        seen = read_request(has_session=False)
        made = self._features.start(flow, seen, next=next, replace=replace, data=data)
        return write_response(self._run(made))

    def pending_login(self) -> tuple[Identity, TokenGrant] | None:
        return self._run(self._features.login.sign_in.pending(read_request(has_session=False)))

    def complete_login(self, user_id: UserId) -> str:
        kind = self._features.login.sign_in
        return self._run(kind.complete(read_request(has_session=False), require_id(user_id)))

    def disconnect_form(self, fields: Mapping[str, object] | None = None, *, label: str | None = None) -> Markup:
        words = self._run(flows.words_for(self._features.site, _request_or_none()))
        return self._features.disconnect_form(fields or {}, label, words)

    def element(self, next: str | None = None) -> Markup:
        return self._run(self._features.element(_request_or_none(), next))

    def close(self) -> None:
        """Close the connections to Configure and to the store, in every app. A later request opens new ones.

        Call it at the end of a process or of a test; in a web server's worker the end of the process is enough.
        """
        for installed in self._everywhere():
            installed.close()

    def _current_user(self) -> str | None:
        return self._run(flows.current_user(self._features.site))

    def _run(self, flow: flows.Flow[T]) -> T:
        return self._installed().run(flow)

    def _everywhere(self) -> tuple[Installed, ...]:
        """Return the installation in each app, in the order in which it was installed."""
        return tuple(app.extensions[_KEY][self._options.name] for app in list(self._apps))

    def _installed(self) -> Installed:
        found = self._found()
        if found is None:
            raise SettingsError("this app has no Configure yet: call configure_auth.init_app(app)")
        return found

    def _found(self) -> Installed | None:
        found: Installed | None = current_app.extensions.get(_KEY, {}).get(self._options.name)
        return found if found is not None and found.owner is self else None

    @property
    def _features(self) -> flows.Features:
        return self._installed().all_features

    def _performer(self) -> flows.Performer:
        return self._installed().perform

    def _ensure_callback(self) -> tuple[Registration, ...]:
        found = (self._installed(),) if has_app_context() else self._everywhere()
        if not found:
            raise SettingsError("no app has Configure yet: call configure_auth.init_app(app) first")
        return tuple(done for one in found for done in one.run(register_at_boot(one.all_features)))

    def _add(self, method: str, options: Mapping[str, Any]) -> Blueprint:
        made = FEATURES[method]
        build = feature_builder(made.feature, method, made.options, options)
        name, path = f"{self._options.name}{made.suffix}", options.get("path", made.feature.path)
        flows.require_path(path)
        blueprint = _Blueprint(name, __name__, url_prefix=path)
        for route in made.routes:
            blueprint.add_url_rule(
                route.rule.replace("{", "<").replace("}", ">"),
                route.endpoint,
                self._view(name, route),
                methods=flows.METHODS,
                merge_slashes=False,  # else a redirect repeats the code and the state of a callback
                provide_automatic_options=False,
            )

        def registered(state: BlueprintSetupState) -> None:
            app = cast(Flask, state.app)
            # As it was registered: below the blueprint that it is nested in, and with the `url_prefix=` given there.
            registered_name = f"{state.name_prefix}.{state.name}".lstrip(".")
            flows.require_path(state.url_prefix or "")
            build_here = partial(build, path=state.url_prefix)
            app.extensions.setdefault(_BUILDERS, {})[registered_name] = self, build_here
            installed: Installed | None = app.extensions.get(_KEY, {}).get(self._options.name)
            if installed is not None and installed.owner is self:
                installed.features[registered_name] = build_here(site=installed.site)
                installed.all_features.require_one_message_agent()
            before = _Before.of(app)
            if method == "login" and self._options.session:
                before.first.append(self._check_session)
            before.by_endpoint[None].append(partial(_refuse_merged_slashes, f"{state.url_prefix}/"))
            for route in made.routes:
                before.by_endpoint[f"{registered_name}.{route.endpoint}"] = [partial(self._reload_first, route)]
            # Flask calls the first one last: an app's own policy for its pages must not take the style off ours.
            after = app.after_request_funcs.setdefault(None, [])
            if keep_headers not in after:
                after.insert(0, keep_headers)

        def exempt(endpoint: str | None, values: dict[str, Any] | None) -> None:
            # Our routes judge where a request comes from by themselves (Fetch Metadata), without a token in a form.
            csrf = current_app.extensions.get("csrf")
            if csrf is not None and hasattr(csrf, "exempt"):
                csrf.exempt(blueprint)

        blueprint.record(registered)
        blueprint.url_value_preprocessor(exempt)
        return blueprint

    def _check_session(self) -> None:
        installed = self._found()
        if installed is not None:
            installed.check_session()

    def _reload_first(self, route: flows.Route) -> Response | None:
        installed = self._found()
        site = None if installed is None else installed.site
        response = flows.reload_first(route, read_request(bool(self._options.session)), site)
        return None if response is None else write_response(response)

    def _view(self, name: str, route: flows.Route) -> Callable[..., Response]:
        def view(**_parameters: str) -> Response:
            installed = self._installed()
            feature = installed.features[request.blueprint or ""]
            seen = read_request(bool(installed.site.session))

            def require(needed: Iterable[str]) -> None:
                if isinstance(feature, flows.Login) and installed.site.session and isinstance(session, NullSession):
                    raise SettingsError(
                        "the app has no session to keep the signed-in user in: set SECRET_KEY, or give "
                        "ConfigureAuth(session=False) if it keeps none"
                    )
                installed.all_features.require(needed)

            return write_response(installed.run(flows.serve(feature, route, seen, require)))

        # Other extensions tell views apart by these, so each has a name of its own.
        view.__name__ = view.__qualname__ = f"{name}_{route.endpoint}"
        view.__doc__ = inspect.getdoc(route.flow)
        return view

    def _open(self, app: Flask, site: flows.Site) -> Stores:
        with app.app_context():  # for the engine of a Flask-SQLAlchemy `db`
            return site.open_stores(self._store, self._states, Path(app.instance_path), awaited=False)


class _Before:
    """What runs before the requests to our routes.

    One function for all of them, because it runs before each request to the app's other routes as well.
    """

    def __init__(self) -> None:
        self.first: list[Callable[[], object]] = []
        """Before the first request of all."""
        # An iterator gives each of them once, also to threads that begin together.
        self._waiting = iter(self.first)
        self.by_endpoint: dict[str | None, list[Callable[[], Response | None]]] = {None: []}
        """By endpoint; under None, before a request that matches no route."""

    @classmethod
    def of(cls, app: Flask) -> _Before:
        if _BEFORE not in app.extensions:
            app.extensions[_BEFORE] = made = cls()
            # In front of whatever the app has there: a login guard would turn away who only lacks a strict cookie.
            app.before_request_funcs.setdefault(None, []).insert(0, made.before_request)
        found: _Before = app.extensions[_BEFORE]
        return found

    def before_request(self) -> Response | None:
        for check in self._waiting:
            check()
        for act in self.by_endpoint.get(request.endpoint, ()):
            if (response := act()) is not None:
                return response
        return None


def _refuse_merged_slashes(path: str) -> None:
    moved = request.routing_exception
    if isinstance(moved, RequestRedirect) and urlsplit(moved.new_url).path.startswith(f"{request.script_root}{path}"):
        abort(404)  # Werkzeug 2.2 merges slashes all the same


def _no_flask(app: object) -> SettingsError:
    kind = type(app)
    return SettingsError(
        f"got a {kind.__module__}.{kind.__qualname__}; expected a Flask app (configure_auth.starlette and "
        "configure_auth.fastapi are for others; Quart is not supported)"
    )


class _Blueprint(Blueprint, flows.OfOneFramework):
    """A blueprint that says how to give it another name, where the app has one of the same."""

    what = "a blueprint of Flask, for app.register_blueprint(); FastAPI and Starlette have a ConfigureAuth of their own"

    def register(self, app: App, options: dict[str, Any]) -> None:
        if not isinstance(app, Flask):
            raise _no_flask(app)
        name = f"{options.get('name_prefix', '')}.{options.get('name', self.name)}".lstrip(".")
        if isinstance(app.blueprints.get(name), _Blueprint):
            raise SettingsError(
                f"this app has our blueprint {name!a} already; register it once, and give a second ConfigureAuth "
                "another name: ConfigureAuth(name=...)"
            )
        if name in app.blueprints:
            raise SettingsError(
                f"this app has a blueprint {name!a} already; give this one another name: ConfigureAuth(name=...)"
            )
        super().register(app, options)


def _request_or_none() -> flows.Request | None:
    """The request that a button or form is for; None outside of one."""
    return read_request(has_session=False) if has_request_context() else None


def _configuration(app: Flask) -> dict[str, Any]:
    mine = {name: value for name, value in app.config.items() if name.startswith("CONFIGURE_") and value is not None}
    return {**os.environ, **mine}


def _keys(app: Flask, settings: Settings) -> tuple[Secret, ...]:
    if settings.token_keys or not settings.is_local or not settings.has_credentials:
        return settings.token_keys
    plain = [app.secret_key, *(app.config.get("SECRET_KEY_FALLBACKS") or ())]
    keys = tuple(
        Secret(key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key) for key in plain if key
    )
    if keys:
        log.warning("CONFIGURE_TOKEN_KEYS is not set: tokens are sealed with a key derived from SECRET_KEY")
    return keys
