"""Configure in a registry that has other providers already."""

from __future__ import annotations

from typing import Any

import pytest
from authlib.integrations.flask_client import OAuth as FlaskRegistry
from flask import Flask

from configure_auth import Settings, SettingsError
from configure_auth.flask import register_oauth
from configure_auth.sandbox import Sandbox

from ..support.web import Adapter, query_of
from .apps import OTHERS, REGISTER, REGISTRY, Provided
from .conftest import Make, Person


def registry_of(adapter: Adapter) -> Any:
    return FlaskRegistry(Flask(__name__)) if adapter == "flask" else REGISTRY[adapter]()


@pytest.fixture
def settings(configure_sandbox: Sandbox) -> Settings:
    return Settings.from_mapping(configure_sandbox.environment())


def test_the_other_providers_stay_as_they_are(adapter: Adapter, settings: Settings) -> None:
    alone, beside = registry_of(adapter), registry_of(adapter)
    for registry in (alone, beside):
        for name, row in OTHERS.items():
            registry.register(name, **row)
    REGISTER[adapter](beside, settings)

    for name in OTHERS:
        old, now = alone.create_client(name), beside.create_client(name)
        assert type(now) is type(old)
        assert (now.client_id, now.client_secret, now.authorize_url) == (
            old.client_id,
            old.client_secret,
            old.authorize_url,
        )
        assert now.client_kwargs == old.client_kwargs
    assert type(beside).framework_integration_cls is REGISTRY[adapter].framework_integration_cls


@pytest.mark.parametrize("resource", ["api.configure.dev", "", "/v1", "https://api.configure.dev/#v1"])
def test_a_resource_that_is_no_absolute_uri_is_refused(adapter: Adapter, settings: Settings, resource: str) -> None:
    """RFC 8707 section 2."""
    with pytest.raises(SettingsError, match="resource must be an absolute URI"):
        REGISTER[adapter](registry_of(adapter), settings, resource=resource)


@pytest.mark.parametrize("name", OTHERS)
def test_the_other_providers_still_send_people_to_their_own_pages(person: Person, name: str) -> None:
    person.away()
    answer = person.press(name)

    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"{OTHERS[name]['authorize_url']}?")
    assert query_of(answer.headers["location"])["client_id"] == OTHERS[name]["client_id"]


def test_starts_at_other_providers_leave_an_attempt_at_configure_open(person: Person) -> None:
    callback = person.returning()
    for name in OTHERS:
        person.press(name)

    assert person.come_back(callback).status_code == 200


def test_it_is_found_by_attribute_and_by_name(provided: Provided) -> None:
    assert provided.registry.configure is provided.provider
    assert provided.registry.create_client("configure") is provided.provider


def test_another_name_is_another_provider(adapter: Adapter, settings: Settings) -> None:
    registry = registry_of(adapter)
    mine = [REGISTER[adapter](registry, settings, name=name) for name in ("configure", "second")]

    assert [registry.configure, registry.second] == mine


def test_a_provider_registered_later_gets_none_of_our_settings(adapter: Adapter, settings: Settings) -> None:
    registry = registry_of(adapter)
    REGISTER[adapter](registry, settings)
    registry.register("late", client_id="late-id", authorize_url="https://late.example/authorize")

    late = registry.create_client("late")
    assert (late.client_id, late.client_secret, late.authorize_url) == (
        "late-id",
        None,
        "https://late.example/authorize",
    )


def test_a_registry_without_an_app_yet_takes_it_too(settings: Settings) -> None:
    registry = FlaskRegistry()
    provider = register_oauth(registry, settings)
    registry.init_app(Flask(__name__))

    assert registry.configure is provider


@pytest.mark.parametrize(
    "missing",
    [
        "CONFIGURE_API_KEY",
        "CONFIGURE_AGENT",
        "CONFIGURE_OAUTH_CLIENT_ID",
        "CONFIGURE_OAUTH_CLIENT_SECRET",
    ],
)
def test_a_missing_credential_is_named_at_the_first_use(make: Make, missing: str) -> None:
    provided = make(settings={missing: ""})

    with Person(provided) as person:
        response = person.press()

    assert response.json()["error"] == "not_configured"
    assert missing in response.json()["description"]


def test_what_the_login_does_not_need_may_be_missing(adapter: Adapter, configure_sandbox: Sandbox) -> None:
    unneeded = {"CONFIGURE_PUBLISHABLE_KEY": "", "CONFIGURE_APP_URL": "", "CONFIGURE_TOKEN_KEYS": ""}

    REGISTER[adapter](registry_of(adapter), Settings.from_mapping(configure_sandbox.environment() | unneeded))


def test_an_unknown_keyword_is_a_type_error(adapter: Adapter, settings: Settings) -> None:
    with pytest.raises(TypeError, match="client_kwargs"):
        REGISTER[adapter](registry_of(adapter), settings, client_kwargs={"scope": "profile.read"})


@pytest.mark.parametrize("scopes", ["profile.read", (), ("profile.read profile.search",), ("profil\u00e9",)])
def test_scopes_are_a_tuple_of_words(adapter: Adapter, settings: Settings, scopes: Any) -> None:
    with pytest.raises(SettingsError, match="scopes"):
        REGISTER[adapter](registry_of(adapter), settings, scopes=scopes)
