"""What is verified: settings alone, or those of an app that was loaded, with its features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ...flows import LINK_PATH, LOGIN_PATH, AccountLink, Feature, Features, Login, OAuthClient
from ...settings import Settings
from .check import skipped
from .facts import Application

__all__ = ["NOWHERE", "Subject"]

F = TypeVar("F", bound=Feature)

NOWHERE = skipped("needs: CONFIGURE_APP_URL, below which the callbacks lie")
"""Of a callback while nothing says where the app is; on localhost the app itself takes what a request says."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """
    Args:
        settings: what of the settings is well-formed.
        features: of the app; None where only its settings are known.
        application: what the app's framework says of its set-up.
        environment: of the process, for what a server is told there.
        login_path, link_path: where the routes lie if `features` doesn't say.
    """

    settings: Settings
    features: Features | None = None
    application: Application | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    login_path: str = LOGIN_PATH
    link_path: str = LINK_PATH

    def feature(self, kind: type[F]) -> F | None:
        """The app's first feature of a kind."""
        known = () if self.features is None else self.features.registered.values()
        return next((feature for feature in known if isinstance(feature, kind)), None)

    @property
    def has_login(self) -> bool:
        """Whether people sign in with Configure; by its credentials where no app says."""
        if self.features is not None:
            return self.feature(Login) is not None
        return self.settings.oauth_client_id is not None or self.settings.oauth_client_secret is not None

    @property
    def has_link(self) -> bool | None:
        """Whether accounts are connected; None where no app says."""
        return None if self.features is None else self.feature(AccountLink) is not None

    @property
    def is_test_key(self) -> bool:
        """Whether the key is one of Configure's test mode, which has no OAuth client."""
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
    def client(self) -> OAuthClient:
        login = self.feature(Login)
        return OAuthClient.of(self.settings) if login is None else login.sign_in.client

    def _callback(self, path: str) -> str:
        return f"{self.settings.app_url or ''}{path}/callback"
