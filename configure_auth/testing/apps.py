"""An app that a test suite imports as it is, beside the sandbox."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ..commands.apps.targets import Target, at_least_one, targets_in
from ..flows.app import require_id
from ..flows.effects import UseStore
from ..flows.sign_in.link import AccountLink, LinkKind, WantedConnection
from ..flows.sign_in.routes import SignInFeature
from ..settings import Settings
from ..values import Secret, UserId

if TYPE_CHECKING:
    from ..sandbox import Sandbox


class AppUnderTest:
    """An app whose Configure is the sandbox.

    Attributes:
        sandbox: where its users sign in: `sandbox.sign_in(url, phone)`.
    """

    def __init__(self, sandbox: Sandbox, targets: tuple[Target, ...]) -> None:
        self.sandbox = sandbox
        self._targets = targets

    def connect(self, user_id: UserId, phone: str = "+15550100001", **person: Any) -> None:
        """Connect a user of the app, as the account link does, without its requests.

        Args:
            user_id: the app's id of the user.
            phone: of the person at Configure. Another user needs another one.
            person: what Configure knows: the arguments of `Sandbox.add_person`, such as `name=` and `email=`.
        """
        known = self.sandbox.add_person(phone, **person)
        token, user = Secret(self.sandbox.issue_agent_token(known)), require_id(user_id)

        async def connected(site: Any) -> None:
            version = await UseStore(lambda stores: stores.accounts.version(site.agent, user))
            await LinkKind(site=site).connect(WantedConnection(user, known.user_id, token, version, replace=True))

        # In a thread, because a test may run in an event loop.
        with ThreadPoolExecutor(1) as pool:
            for target in self._targets:
                flow = connected(target.features.site)
                # `target.run` would close a store in memory afterwards.
                on_asgi = target.configure_auth
                run = target.run if on_asgi is None else lambda flow, one=on_asgi: asyncio.run(one._run(flow))
                pool.submit(run, flow).result()


@contextmanager
def app_under_test(app: object, sandbox: Sandbox, app_url: str) -> Iterator[AppUnderTest]:
    """Give a Starlette or FastAPI app the sandbox's settings, and register its callbacks there."""
    settings = Settings.from_mapping(
        {**sandbox.environment(app_url), "CONFIGURE_TOKEN_KEYS": secrets.token_urlsafe(32)}
    )
    with ExitStack() as stack:
        for target in at_least_one(targets_in(app), "the app"):
            if target.configure_auth is not None:
                stack.enter_context(target.configure_auth._opened_for_test(settings, sandbox.clock))
        targets = targets_in(app)
        for feature in (one for target in targets for one in target.features.registered.values()):
            if isinstance(feature, SignInFeature):
                is_link = isinstance(feature, AccountLink)
                register = sandbox.register_return_to if is_link else sandbox.register_redirect_uri
                register(feature.url(app_url, "/callback"))
        yield AppUnderTest(sandbox, targets)
