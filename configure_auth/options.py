"""Options of `ConfigureAuth` and of its methods that make routes, the same for every framework.

Where a hook is written `(identity, grant)`, Starlette's gets the request before these, and may be async.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Required, TypeAlias, TypedDict, TypeVar, Unpack

from . import flows
from .flows import AgentTable, Clock, Feature, Hook
from .flows.app import require_hook
from .runtime.frozen import dataclass
from .ui.wording import Texts

if TYPE_CHECKING:
    from .client.oauth_registry import MapProfile
    from .stores.opening import AttemptSource

F = TypeVar("F", bound=Feature)
R = TypeVar("R")
T = TypeVar("T")

Answering: TypeAlias = Callable[..., T | Awaitable[T]]
"""A hook by what it returns, awaited or not; what it is called with differs by framework, and is checked at start."""


class ConfigureAuthOptions(TypedDict, total=False):
    """Options of `ConfigureAuth` beside its settings, its stores and the user.

    Attributes:
        name: begins the names of the blueprints, mounts or routes; a plain word, "configure" by default. A second
            `ConfigureAuth` in the same app needs another one.
        allowed_next: origins beside the app's own that `next` may lead to, and nothing more.
        trusted_origins: origins of the app's other pages, such as "https://app.example.com", which may start, finish
            and disconnect, and claim an agent, and which `next` may lead to. Their CORS headers are the app's to send.
        session: False for an app without sessions. On FastAPI, by default, a session is renewed at a sign-in where the
            request has one, and a link is finished by the page's bearer token where its start carried one.
        keep_session: keys of the session that survive a sign-in; everything else is cleared.
        renew_session: `()`, called after that, to give the session a new id where the session's library has no method
            for it that we know. Prevents session fixation.
        allow_guessable_external_id: give Configure the user ids as they are; only where none can be guessed.
        login_url: path of the app's own sign-in page. Where only the link is mounted, the button leads signed-out
            users there, with the start of the link as `next`; without it the button is empty for them.
        texts: words for pages and buttons: a mapping of texts by their keys, or of such mappings by language, or a
            function `(language)` that returns such a mapping or None. The documentation lists the keys; what is left
            out is English.
        locale: `()` that returns the language of a request, such as Flask-Babel's `get_locale`; by default the
            browser's languages count.
        base_template: a Jinja template of the app's with the blocks `title` and `content`, in which the pages are
            shown. On Starlette and FastAPI it needs `install(templates)`.
        show_outcome: False to lead users back without `?configure=connected`, `disconnected` or `signed-in`. After a
            cancelled sign-in, which has no page of ours, `?configure=cancelled` stays.
        max_calls: sign-ins that may be under way to Configure at once in this process. A callback beyond them gets a
            page that reloads itself, with its state and code untouched. On Flask, where each takes a thread, 4 by
            default, and it should leave most of the worker's threads to the app's other routes; else 100.
        clock: Unix seconds, for tests.
    """

    name: str
    allowed_next: Sequence[str]
    trusted_origins: Sequence[str]
    session: bool
    keep_session: tuple[str, ...]
    renew_session: Hook | None
    allow_guessable_external_id: bool
    login_url: str | None
    texts: Texts | None
    locale: Hook | None
    base_template: str | None
    show_outcome: bool
    max_calls: int
    clock: Clock | None


class RegistryOptions(TypedDict, total=False):
    """Options of `register_oauth` and `oauth_client`, which put Configure into an Authlib registry.

    Attributes:
        store: "sqlite:///configure.db" (on Flask in the instance folder, else in the working directory),
            "redis://..." or another store keeps each attempt single-use. Without one the attempts lie in the app's
            session, as Authlib's do, and a copy of the session cookie can use a state twice.
        scopes, resource: as for `login`.
        map_profile: makes `token["userinfo"]` from an `Identity`.
        max_calls: sign-ins that may be under way to Configure at once in this process, 4 on Flask and 100 on Starlette
            by default; beyond them a callback raises OAuthError with `busy`, and can be loaded again.
        clock: Unix seconds, for tests.
    """

    store: AttemptSource | None
    scopes: tuple[str, ...] | None
    resource: str | None
    map_profile: MapProfile | None
    max_calls: int
    clock: Clock | None


class SignInOptions(TypedDict, total=False):
    """Options of both `account_link` and `login`.

    Attributes:
        path: the path of the routes. Configure must have CONFIGURE_APP_URL + path + "/callback" registered.
        after_cancel: the page after the user cancelled at Configure, a path or the name of an endpoint; by default the
            start's `next`, or the page after a success. It gets `?configure=cancelled`.
        query: names of parameters of the start's query that are handed to `on_login` and events as `untrusted`, such as
            ("invite",); 256 characters in all.
        on_error: `(error) -> response | None`; None shows our page.
    """

    path: str
    after_cancel: str | None
    query: tuple[str, ...]
    on_error: Hook | None


class LinkOptions(SignInOptions, total=False):
    """Options of `account_link`; `path` is "/configure" by default.

    Attributes:
        after_link: the page after a success where the start had no `next`: a path (with the prefix that the app is
            mounted under), or the name of an endpoint; by default the app's root.
        on_conflict: what to do if the Configure user is connected to another user of the app: "reject" (default),
            "move", or `(account, owner_user_id) -> "reject" | "move"`.
        can_disconnect: `(user_id) -> bool`, whether the user has another way to sign in. Without it, a user who signs
            in with Configure can't disconnect it.
        require_fresh: `() -> bool`, whether the user signed in to the app recently enough to connect and to disconnect,
            such as Flask-Login's `login_fresh`. Where it says no, the browser goes to `refresh_url` first.
        refresh_url: path of the app's page that asks for the password again, and leads on to its parameter `next`.
        connectors: tools that Configure's page offers to connect, such as ("gmail", "calendar").
        display_name: the app's name on Configure's page.
    """

    after_link: str | None
    on_conflict: Literal["reject", "move"] | Answering[Literal["reject", "move"]]
    can_disconnect: Answering[bool] | None
    require_fresh: Answering[bool] | None
    refresh_url: str | None
    connectors: tuple[str, ...]
    display_name: str | None


class LoginOptions(SignInOptions, total=False):
    """Options of `login`; `path` is "/auth/configure" by default.

    Attributes:
        on_login: `(identity, grant)`: find or create the local user, beginning with `identity.local_user_id`; commit;
            sign the user in; return its id, or `(id, response)` (`grant.next` is the page that the start named). It may
            be called again for the same user. Raise `LoginRefused(sentence)` to refuse, return `SignUpNeeded(response)`
            to show a form first.
        after_login: the page after a success where the start had no `next`: a path (with the prefix that the app is
            mounted under), or the name of an endpoint; by default the app's root.
        scopes: scopes to request; ("profile.read", "profile.search") by default.
        resource: the API that the tokens are for (RFC 8707); Configure's by default.
        issue_token: `(user_id)`, for pages that send a bearer token: return the app's own token, as a string or as a
            mapping for JSON. A script POSTs path + "/token" for it, once, within 30 seconds after the login.
    """

    on_login: Required[Hook]
    issue_token: Answering[str | Mapping[str, Any]] | None
    after_login: str | None
    scopes: tuple[str, ...] | None
    resource: str | None


class SenderOptions(TypedDict, total=False):
    """Options of `MessageAgent`.

    Attributes:
        path: the path of the app's `messages()` routes, "/configure/messages" by default. Configure is told
            CONFIGURE_APP_URL + path + "/complete" in each link.
        display_name: the agent's name on Configure's page.
        agent_logo: URL of an image for that page.
        message_line_phone: the agent's own number, registered at Configure, which the page leads back to.
        message_body: the text that the user then sends.
        connectors: tools that the page offers to connect, such as ("gmail", "calendar").
        theme: "light" or "dark".
        region: two capital letters, such as "US": the country of phone candidates without a country code that fit no
            other country. None: such numbers prove nothing.
        platform: "whatsapp" if digits without a plus are whole international numbers, as in WhatsApp's webhooks; also
            in a sender's id.
        on_unproven: what to do with a new link in a call without a phone, because another user may have followed a
            forwarded link: "wait" (default) doesn't use it until a phone proves it, "accept" uses it until a phone
            contradicts it (for platforms without phones), "reject" deletes it.
        timeout: seconds for one call to Configure; the client's 10 by default.
        deadline: seconds for the whole of `message_identity`, 8 by default: platforms deliver a message again after 10.
    """

    path: str
    display_name: str | None
    agent_logo: str | None
    message_line_phone: str | None
    message_body: str | None
    connectors: tuple[str, ...]
    theme: Literal["light", "dark"] | None
    region: str | None
    platform: Literal["whatsapp"] | None
    on_unproven: Literal["wait", "accept", "reject"]
    timeout: float | None
    deadline: float


class MessageOptions(SenderOptions, total=False):
    """Options of `messages`: those of `MessageAgent`, and a hook.

    Attributes:
        on_linked: `(sender, account)`, or `(sender, account, context)` where `start_journey` got a context; called
            at most once when a sender has connected, after the commit, to answer in the thread.
    """

    on_linked: Hook | None


class ClaimOptions(TypedDict, total=False):
    """Options of `agent_claims`.

    Attributes:
        path: the path of the route, "/api/v1/agents" by default; POST {"claimToken": ...} to path + "/claim".
        table: the app's own table of agents instead of our store: an object with `register(agent_id, claim_hash)` and
            `claim(claim_hash, user_id)`, coroutines on Starlette; see `configure_auth.flows.AgentTable`.
        require_fresh: `() -> bool`, whether the user signed in to the app recently enough to claim an agent; else the
            response is 403 `not_fresh`.
    """

    path: str
    table: AgentTable | None
    require_fresh: Answering[bool] | None


class ProfileOptions(TypedDict, total=False):
    """Options of `user_profiles`.

    Attributes:
        path: the path of the route, "/api/v1/users" by default.
        resolve: `(user_id)`: the app's own profile of a user, a mapping or an object; None if there is no such user.
        fields: what is shown of it, such as ("display_name", "avatar_url"), and nothing else.
    """

    path: str
    resolve: Required[Hook]
    fields: Required[tuple[str, ...]]


HOOKS: Mapping[str, tuple[str, ...]] = {
    "on_login": ("identity", "grant"),
    "on_conflict": ("account", "owner_user_id"),
    "can_disconnect": ("user_id",),
    "require_fresh": (),
    "issue_token": ("user_id",),
    "on_error": ("error",),
    "on_linked": ("sender", "account", "context"),
    "resolve": ("user_id",),
}
"""What each hook is called with, after the request on Starlette."""

_FIELDS = {"after_link": "after", "after_login": "after"}


def require_known(called: str, allowed: Any, options: Mapping[str, Any]) -> None:
    """
    Raises:
        TypeError: what was called got an option that its `TypedDict` doesn't have.
    """
    known = allowed.__required_keys__ | allowed.__optional_keys__
    for name in options:
        if name not in known:
            raise TypeError(f"{called}() got an unknown option {name!r}; its options: {', '.join(sorted(known))}")


def feature_builder(
    feature: Callable[..., F], method: str, allowed: Any, options: Mapping[str, Any], *, with_request: bool = False
) -> Callable[..., F]:
    """Return a function that makes a feature with the options that an app gave.

    Args:
        method: the name of the method that the options were given to.
        allowed: the `TypedDict` of its options.
        with_request: its hooks get the request first.

    Raises:
        TypeError: an option is unknown or missing.
        SettingsError: a hook can't be called as it will be.
    """
    require_known(method, allowed, options)
    for name in sorted(allowed.__required_keys__ - options.keys()):
        raise TypeError(f"{method}() lacks the option {name!r}")
    for name in HOOKS.keys() & options.keys():
        hook, is_required = options[name], not hasattr(feature, name)
        # What else `on_conflict` may be is checked by the link.
        if callable(hook) or (name != "on_conflict" and (is_required or hook is not None)):
            require_hook(name, hook, *HOOKS[name], with_request=with_request)
    return partial(feature, **{_FIELDS.get(name, name): value for name, value in options.items()})


@dataclass(frozen=True)
class FeatureRoutes:
    """What a method of `ConfigureAuth` makes. `suffix` is added to the name; `options` is a `TypedDict`."""

    suffix: str
    feature: type[Feature]
    options: Any
    routes: tuple[flows.Route, ...]


FEATURES: Mapping[str, FeatureRoutes] = {
    "account_link": FeatureRoutes("", flows.AccountLink, LinkOptions, flows.LINK_ROUTES),
    "login": FeatureRoutes("_login", flows.Login, LoginOptions, flows.LOGIN_ROUTES),
    "messages": FeatureRoutes("_messages", flows.Messages, MessageOptions, flows.MESSAGE_ROUTES),
    "agent_claims": FeatureRoutes("_agents", flows.AgentClaims, ClaimOptions, flows.CLAIM_ROUTES),
    "user_profiles": FeatureRoutes("_users", flows.UserProfiles, ProfileOptions, flows.PROFILE_ROUTES),
}
"""The features by the method that makes their routes, the same on every framework."""


class RouteMethods(ABC, Generic[R]):
    """The methods of `ConfigureAuth` that make routes, as an `R` of the framework."""

    def account_link(self, **options: Unpack[LinkOptions]) -> R:
        """Return the routes by which a signed-in user connects and disconnects Configure.

        Args:
            options: `configure_auth.options.LinkOptions`.
        """
        return self._add("account_link", options)

    def login(self, **options: Unpack[LoginOptions]) -> R:
        """Return the routes by which users sign in with Configure.

        Args:
            options: `configure_auth.options.LoginOptions`; `on_login` is required.
        """
        return self._add("login", options)

    def messages(self, **options: Unpack[MessageOptions]) -> R:
        """Return the route that Configure reports a journey's end to. With it come the methods for message senders.

        Args:
            options: `configure_auth.options.MessageOptions`.
        """
        return self._add("messages", options)

    def agent_claims(self, **options: Unpack[ClaimOptions]) -> R:
        """Return the route by which a signed-in user claims an agent of the app.

        Args:
            options: `configure_auth.options.ClaimOptions`.
        """
        return self._add("agent_claims", options)

    def user_profiles(self, **options: Unpack[ProfileOptions]) -> R:
        """Return the route by which signed-in users see each other's profiles: GET path + "/<user id>".

        Args:
            options: `configure_auth.options.ProfileOptions`; `resolve` and `fields` are required.
        """
        return self._add("user_profiles", options)

    @abstractmethod
    def _add(self, method: str, options: Mapping[str, Any]) -> R:
        """Make the routes of one row of `FEATURES`."""


class RequestMethods(ABC):
    """The methods of `ConfigureAuth` that a view calls. On Starlette and FastAPI they have the request as their first
    argument, and are awaited, all but `disconnect_form`.
    """

    @abstractmethod
    def forget_browser(self, *_request: Any) -> Any:
        """Forget this browser's recent sign-ins. Call it where the app signs a user out.

        A callback that is loaded again within 30 seconds of a sign-in would sign the user in again.
        """

    @abstractmethod
    def button(self, *_arguments: Any, **_look: Any) -> Any:
        """The "Continue with Configure" button; it says "Reconnect Configure" where that is what is needed.

        In templates it is `configure_button`.

        Args:
            flow: by default the link for a signed-in user, the login otherwise.
            next: the page to come back to.
            look: `theme="light" | "dark" | "auto"`, and `label=`.
        """

    @abstractmethod
    def start(self, *_arguments: Any, **_options: Any) -> Any:
        """Return the redirect to Configure, for a view of the app: a start with data of the app's own.

        Args:
            flow: which of the two to start, "link" or "login".
            next: the page to come back to.
            replace: the link may replace the connected Configure user.
            data: a mapping that can be written as JSON, of 2 KiB at most. It travels with the attempt, sealed, and in
                no URL. `on_login` gets it as `grant.data`, and the events of the link have it.
        """

    @abstractmethod
    def pending_login(self, *_request: Any) -> Any:
        """Return what `on_login` got before it returned `SignUpNeeded`; None if no login of this browser waits."""

    @abstractmethod
    def complete_login(self, *_arguments: Any) -> Any:
        """Connect the user that a sign-up form has made; return the page to go on to. Sign the user in after it.

        The session is renewed, as before `on_login`. Commit the user before.

        Raises:
            SignInError: `expired` if no login of this browser waits, or it is completed already; `account_taken`.
        """

    @abstractmethod
    def disconnect_form(self, fields: Mapping[str, object] | None = None, *, label: str | None = None) -> Any:
        """Return a form that disconnects Configure; `configure_disconnect_form` in templates.

        Args:
            fields: hidden fields that the app's own check of forms wants, such as `{"nonce": session["nonce"]}`.
            label: the text of its button; by default "Disconnect Configure", or the text in `texts`.
        """

    @abstractmethod
    def element(self, *_arguments: Any) -> Any:
        """Configure's hosted `<configure-auth>` element for the signed-in user; empty if no user is signed in.

        A user who verifies a phone in it keeps the profile of `external_id()`. On Flask it is `configure_auth_element`
        in templates; a template of Starlette can't await, so give it to the template as a value.

        Args:
            next: the page to go on to; the link's `after_link` by default.
        """
