"""The types that users see; `mypy --strict` judges every `assert_type` here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from flask import Blueprint, Flask
from markupsafe import Markup
from starlette.requests import Request
from starlette.routing import Mount

from configure_auth import AsyncConfigure, Configure, Identity, LinkedAccount, Secret, Settings, TokenGrant
from configure_auth.client.client import AsyncProfile, Profile
from configure_auth.client.profile import ProfileResponse
from configure_auth.events import AccountLinked, LoggedIn
from configure_auth.flask import ConfigureAuth as OnFlask
from configure_auth.flask import signals
from configure_auth.flask.provider import OAuthProvider as ProviderOnFlask
from configure_auth.flask.provider import register_oauth as register_on_flask
from configure_auth.starlette import ConfigureAuth as OnStarlette
from configure_auth.starlette.provider import OAuthProvider as ProviderOnStarlette
from configure_auth.starlette.provider import register_oauth as register_on_starlette
from configure_auth.stores import UserExport
from configure_auth.values import SignInGrant

if TYPE_CHECKING:

    def flask_verbs(configure_auth: OnFlask, settings: Settings, registry: Any) -> None:
        assert_type(configure_auth.account_link(), Blueprint)
        assert_type(configure_auth.login(on_login=lambda identity, grant: "u1"), Blueprint)
        assert_type(configure_auth.account(), LinkedAccount | None)
        assert_type(configure_auth.account_for(7), LinkedAccount | None)
        assert_type(configure_auth.access_token(), Secret)
        assert_type(configure_auth.profile(), Profile)
        assert_type(configure_auth.profile().read(sections=("identity",)), ProfileResponse)
        assert_type(configure_auth.unlink(), tuple[LinkedAccount, ...])
        assert_type(configure_auth.forget_user("u1"), bool)
        assert_type(configure_auth.export_user("u1"), UserExport)
        assert_type(configure_auth.button(), Markup)
        assert_type(configure_auth.client, Configure)
        assert_type(register_on_flask(registry, settings), ProviderOnFlask)

    async def starlette_verbs(configure_auth: OnStarlette, settings: Settings, registry: Any, request: Request) -> None:
        assert_type(configure_auth.account_link(), Mount)
        assert_type(configure_auth.login(on_login=lambda request, identity, grant: "u1"), Mount)
        assert_type(await configure_auth.account(request), LinkedAccount | None)
        assert_type(await configure_auth.account_for(7), LinkedAccount | None)
        assert_type(await configure_auth.access_token(request), Secret)
        assert_type(await configure_auth.profile(request), AsyncProfile)
        assert_type(await (await configure_auth.profile(request)).read(), ProfileResponse)
        assert_type(await configure_auth.unlink(request), tuple[LinkedAccount, ...])
        assert_type(await configure_auth.forget_user("u1"), bool)
        assert_type(await configure_auth.export_user("u1"), UserExport)
        assert_type(await configure_auth.button(request), Markup)
        assert_type(configure_auth.client, AsyncConfigure)
        assert_type(register_on_starlette(registry, settings), ProviderOnStarlette)

    def of_another_event(event: LoggedIn) -> None: ...

    def of_another_signal(app: Flask, event: LoggedIn) -> None: ...

    def handlers(configure_auth: OnStarlette) -> None:
        configure_auth.on(LoggedIn)(of_another_event)
        configure_auth.on(AccountLinked)(of_another_event)  # type: ignore[arg-type]
        signals.logged_in.connect(of_another_signal)
        signals.account_linked.connect(of_another_signal)  # type: ignore[arg-type]
        signals.acount_linked.connect(of_another_signal)  # type: ignore[attr-defined]

    async def clients(configure: Configure, awaited: AsyncConfigure) -> None:
        assert_type(configure.auth.exchange_sign_in_code("cfgsic_x"), SignInGrant)
        assert_type(await awaited.auth.exchange_sign_in_code("cfgsic_x"), SignInGrant)
        assert_type(configure.profile(token="t").read(), ProfileResponse)
        assert_type(await awaited.profile(token="t").read(), ProfileResponse)

    def values(identity: Identity, grant: TokenGrant) -> None:
        assert_type(identity.user_id, str)
        assert_type(identity.local_user_id, str | None)
        assert_type(grant.access_token.reveal(), str)
        assert_type(grant.scopes, tuple[str, ...])
        assert_type(Settings.from_env(), Settings)


def test_the_package_says_that_it_is_typed() -> None:
    from importlib.resources import files

    assert files("configure_auth").joinpath("py.typed").is_file()
