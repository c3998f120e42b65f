"""The features that an app has registered, and what depends on their combination."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Literal, TypeVar

from markupsafe import Markup

from ..errors import ConfigureAuthError, NotConfigured, SettingsError
from ..runtime.frozen import dataclass
from ..ui import buttons, element, wording
from ..values import Kind
from .agent_claims import AgentClaims
from .destination import with_query
from .effects import AskApp, UseStore
from .keyed_ids import external_id
from .localization import words_for
from .messages.journeys import Messages
from .request import Request
from .response import Response
from .routing import Feature, Route, current_user, serve
from .sign_in.link import AccountLink
from .sign_in.login import Login
from .sign_in.routes import SignInFeature, start_in_view
from .site import Site

log: logging.Logger = logging.getLogger(__name__)

F = TypeVar("F", bound=Feature)

TWO_MESSAGE_AGENTS = (
    "messages() is registered twice, and the methods for senders can't tell which one is meant; use a second "
    "ConfigureAuth(name=...) for a second message agent"
)


@dataclass(frozen=True)
class Features:
    """The features of an app by their names."""

    site: Site
    registered: Mapping[str, Feature]

    @property
    def resource(self) -> str:
        """The resource of the login's tokens (RFC 8707); a refresh must request the same one."""
        login = self._first(Login)
        return self.site.settings.base_url if login is None else login.sign_in.client.resource

    def require(self, needed: Iterable[str] = Feature.needs) -> None:
        """Check that some settings are set.

        Raises:
            NotConfigured: one of them isn't; the message names all that is missing for what the app has registered.
        """
        needed = tuple(needed)
        try:
            self.site.require(needed)
        except NotConfigured:
            others = (name for feature in self.registered.values() for name in feature.needs)
            self.site.require(dict.fromkeys((*needed, *others)))
            raise

    async def button(
        self, request: Request | None, flow: Literal["link", "login"] | None, next: str | None, look: Mapping[str, Any]
    ) -> Markup:
        """Return the button: by default the link for a signed-in user, the login otherwise."""
        if not self.site.settings.has_credentials:
            return Markup()
        user_id = await current_user(self.site)
        words, key = await words_for(self.site, request), "continue"
        if "label" not in look and user_id is not None:
            kinds: dict[Kind, Feature | None] = {"agent": self._first(AccountLink), "oauth": self._first(Login)}
            dead = {kind for kind in await self._dead(user_id) if kinds[kind] is not None}
            if flow is None and dead:
                flow = "link" if "agent" in dead else "login"
            if {"link": "agent", "login": "oauth"}.get(flow or "") in dead:
                key = "reconnect"
        return self.plain_button(flow, next, {"label": words[key], **look}, signed_in=user_id is not None)

    async def _dead(self, user_id: str) -> frozenset[Kind]:
        """Return the kinds of connections that the user must renew. All buttons of a page read the store once."""
        memory, key = await AskApp(lambda app: app.memory()), ("dead", self.site.agent, user_id)
        if key not in memory:
            try:
                found = await UseStore(lambda stores: stores.accounts.find(self.site.agent, user_id))
            except ConfigureAuthError as error:
                log.warning("the button failed to read the account: %s", error)
                found = ()
            memory[key] = frozenset(one.kind for one in found if one.needs_reconnect)
        dead: frozenset[Kind] = memory[key]
        return dead

    def plain_button(
        self, flow: Literal["link", "login"] | None, next: str | None, look: Mapping[str, Any], *, signed_in: bool
    ) -> Markup:
        """`button` without a look at the connection and the language, if it is known whether a user is signed in."""
        if not self.site.settings.has_credentials:
            return Markup()
        chosen = self.sign_in(flow, "configure_button", signed_in=signed_in)
        href = chosen.start_href(next)
        if isinstance(chosen, AccountLink) and not signed_in:
            # A signed-out user would get a 401 there.
            if self.site.login_url is None:
                return Markup()
            href = with_query(self.site.login_url, "next", href)
        return buttons.button(href, stylesheet=chosen.button_style, **look)

    def sign_in(self, flow: str | None, caller: str, *, signed_in: bool = False) -> SignInFeature:
        """Return the feature that a method of the app is about: the link or the login."""
        link, login = self._first(AccountLink), self._first(Login)
        by_flow: dict[str | None, SignInFeature | None] = {
            "link": link,
            "login": login,
            None: (link or login) if signed_in else (login or link),
        }
        if flow not in by_flow:
            raise SettingsError(f'{caller}: flow is "link", "login", or left out')
        chosen = by_flow[flow]
        if chosen is None:
            raise SettingsError(f"{caller}: register configure_auth.account_link(...) or .login(...) first")
        return chosen

    async def start(
        self, flow: str, request: Request, *, next: str | None, replace: bool, data: Mapping[str, Any] | None
    ) -> Response:
        """Return the response to a view of the app that starts a link or a login."""
        starting = partial(start_in_view, next=next, replace=replace, data=data)
        route = Route("start", "", ("GET", "POST"), starting)
        return await serve(self.sign_in(flow, "start"), route, request, self.require, in_view=True)

    @property
    def login(self) -> Login:
        """The app's login."""
        return self._only(Login, "register configure_auth.login(...) first: its on_login may return SignUpNeeded")

    def disconnect_form(
        self, fields: Mapping[str, object], label: str | None, words: wording.Words = wording.ENGLISH_WORDS
    ) -> Markup:
        """Return a form that disconnects Configure, with hidden fields of the app's own."""
        if not self.site.settings.has_credentials:
            return Markup()
        link = self._first(AccountLink)
        if link is None:
            raise SettingsError("configure_disconnect_form: register configure_auth.account_link(...) first")
        return buttons.disconnect_form(f"{self.site.mount}{link.path}/disconnect", fields, label or words["disconnect"])

    async def element(self, request: Request | None, next: str | None) -> Markup:
        """Return the hosted element for the signed-in user, or nothing if no user is signed in."""
        link = self._first(AccountLink)
        if link is None:
            raise SettingsError("configure_auth_element: register configure_auth.account_link(...) first")
        try:
            self.require((*AccountLink.needs, "publishable_key"))
        except NotConfigured as error:
            if self.site.settings.has_credentials:
                log.error("%s: %s", error.code, error)
            return Markup()
        user_id = await current_user(self.site)
        if user_id is None:
            return Markup()
        settings, words = self.site.settings, await words_for(self.site, request)
        home = f"{self.site.mount}{link.path}"
        return element.element(
            publishable_key=settings.required_publishable_key,
            agent=settings.required_agent,
            external_id=await external_id(self.site, user_id),
            hosted_script=f"{settings.script_url}/js/configure.js",
            script=f"{home}/element.js",
            session=f"{home}/session",
            button=buttons.button(
                link.start_href(next), label=words["continue"], theme="auto", stylesheet=link.button_style
            ),
            words=words,
            next=self.site.destinations.accepted_or_none(next),
            connectors=link.connectors,
        )

    def require_one_message_agent(self) -> None:
        """Check that there is one message agent, whose verbs have no name.

        Raises:
            SettingsError: `messages()` was registered twice.
        """
        if sum(isinstance(feature, Messages) for feature in self.registered.values()) > 1:
            raise SettingsError(TWO_MESSAGE_AGENTS)

    @property
    def messages(self) -> Messages:
        """The app's message agent."""
        return self._only(Messages, "register configure_auth.messages(...) first: journeys are completed at its route")

    @property
    def claims(self) -> AgentClaims:
        """The agents that the app's users claim."""
        return self._only(AgentClaims, "register configure_auth.agent_claims() first: agents are claimed at its route")

    def _only(self, kind: type[F], sentence: str) -> F:
        """Return the feature of a kind.

        Raises:
            SettingsError: none is registered; with this sentence.
            NotConfigured: a setting that it needs is missing.
        """
        found = self._first(kind)
        if found is None:
            raise SettingsError(sentence)
        self.require(found.needs)
        return found

    def _first(self, kind: type[F]) -> F | None:
        return next((feature for feature in self.registered.values() if isinstance(feature, kind)), None)
