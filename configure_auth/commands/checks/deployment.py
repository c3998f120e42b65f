"""What `verify` checks: settings alone, or an app with its features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ...flows import LINK_PATH, LOGIN_PATH, AccountLink, Feature, Features, Login, OAuthOptions, Site
from ...settings import Settings
from .application import Application
from .findings import skipped

F = TypeVar("F", bound=Feature)

NO_APP_URL = skipped("needs: CONFIGURE_APP_URL, which the callbacks are below")
"""For checks of a callback. On localhost the app can do without the setting: it takes the URL of the request."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Settings, and the app that has them if one was loaded.

    Args:
        settings: the settings that are well-formed.
        features: of the app; None if only settings are known.
        application: the app's own configuration.
        environment: of the process; servers read the number of workers from it.
        login_path, link_path: paths of the routes, used without `features`.
    """

    settings: Settings
    features: Features | None = None
    application: Application | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    login_path: str = LOGIN_PATH
    link_path: str = LINK_PATH

    def feature(self, kind: type[F]) -> F | None:
        """Return the app's first feature of a kind."""
        return next((feature for feature in self.registered.values() if isinstance(feature, kind)), None)

    @property
    def registered(self) -> Mapping[str, Feature]:
        """The app's features by their names; none without an app."""
        return {} if self.features is None else self.features.registered

    @property
    def site(self) -> Site:
        """The app as its flows know it. Only with an app."""
        assert self.features is not None
        return self.features.site

    @property
    def has_login(self) -> bool:
        """Whether there is a login; without an app, whether it has credentials."""
        if self.features is not None:
            return self.feature(Login) is not None
        return self.settings.oauth_client_id is not None or self.settings.oauth_client_secret is not None

    @property
    def has_link(self) -> bool | None:
        """Whether there is an account link; None without an app."""
        return None if self.features is None else self.feature(AccountLink) is not None

    @property
    def is_test_key(self) -> bool:
        """Whether the API key is one of Configure's test mode, which has no OAuth client."""
        key = self.settings.api_key
        return key is not None and key.reveal().startswith("sk_test_")

    @property
    def redirect_uri(self) -> str:
        """The login's callback."""
        login = self.feature(Login)
        return self._callback(self.login_path if login is None else login.path)

    @property
    def return_to(self) -> str:
        """The link's callback."""
        link = self.feature(AccountLink)
        return self._callback(self.link_path if link is None else link.path)

    @property
    def client(self) -> OAuthOptions:
        """The login's OAuth client."""
        login = self.feature(Login)
        return OAuthOptions.of(self.settings) if login is None else login.sign_in.client

    def _callback(self, path: str) -> str:
        return f"{self.settings.app_url or ''}{path}/callback"
