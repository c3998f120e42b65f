"""What can't work is refused when the app is made, with a sentence that names what to set."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from configure_auth import ConfigureAuthError, Settings
from configure_auth.commands.checks.findings import End
from configure_auth.commands.checks.settings import read_settings
from configure_auth.errors import SettingsError
from configure_auth.flask import ConfigureAuth

from ..support.adapters import either
from ..support.web import MakeWeb

__all__ = ["either"]


@pytest.fixture
def store() -> str:
    """No store is reached."""
    return "memory"


@pytest.mark.parametrize("name", ["CONFIGURE_OAUTH_CLIENT_ID", "CONFIGURE_OAUTH_CLIENT_SECRET"])
def test_a_link_needs_no_oauth_credentials(make_web: MakeWeb, name: str) -> None:
    web = make_web(settings={name: None}, login=None)
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        assert browser.link().status_code == 303


@pytest.mark.catalogue("F4", "O5", "P1")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONFIGURE_API_KEY", "pk_live_x"),
        ("CONFIGURE_API_KEY", "sk_a b"),
        ("CONFIGURE_PUBLISHABLE_KEY", "sk_live_x"),
        ("CONFIGURE_OAUTH_CLIENT_ID", "ocs_x"),
        ("CONFIGURE_OAUTH_CLIENT_SECRET", "oc_x"),
        ("CONFIGURE_AGENT", "../x"),
        ("CONFIGURE_AGENT", "@evil"),
        ("CONFIGURE_AGENT", "a%2fb"),
        ("CONFIGURE_AGENT", "Agent"),
        ("CONFIGURE_AGENT", "a" * 64),
        ("CONFIGURE_AGENT", "v1"),
        ("CONFIGURE_APP_URL", "http://app.example.com"),
        ("CONFIGURE_APP_URL", "app.example.com"),
        ("CONFIGURE_APP_URL", "https://"),
        ("CONFIGURE_APP_URL", "https://user@app.example.com"),
        ("CONFIGURE_APP_URL", "http://localhost:80@evil.example"),
        ("CONFIGURE_APP_URL", "https://app.example.com/#x"),
        ("CONFIGURE_APP_URL", "https://app.example.com/?x"),
        ("CONFIGURE_APP_URL", "https://*.example.com"),
        ("CONFIGURE_APP_URL", "https://app.example.com /"),
        ("CONFIGURE_APP_URL", "https://app.example.com\\x"),
        ("CONFIGURE_APP_URL", "https://app.example.com:99999"),
        ("CONFIGURE_APP_URL", "javascript://localhost"),
        ("CONFIGURE_BASE_URL", "http://api.example.com"),
        ("CONFIGURE_ACCOUNTS_URL", "https://accounts.example.com/path"),
        ("CONFIGURE_SIGN_IN_URL", "//sign-in.me"),
        ("CONFIGURE_SCRIPT_URL", "ftp://configure.dev"),
        ("CONFIGURE_SSO_REDIRECT_URI", "https://elsewhere.example.com/auth/configure/callback"),
        ("CONFIGURE_SSO_REDIRECT_URI", "{url}/auth/configure/callback/"),
        ("CONFIGURE_SSO_REDIRECT_URI", "{url}/other/callback"),
        ("CONFIGURE_TOKEN_KEYS", "short"),
    ],
)
def test_a_malformed_value_is_refused_by_its_name(make_web: MakeWeb, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        make_web(settings={name: value})

    assert value not in str(refused.value) or not value.startswith(("sk_", "ocs_"))


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("https://App.Example.COM", "https://app.example.com"),
        ("HTTPS://app.example.com/", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("https://app.example.com:", "https://app.example.com"),
        ("https://app.example.com:0443/Shop/", "https://app.example.com/Shop"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("https://app.example.com:08443", "https://app.example.com:8443"),
        ("http://LOCALHOST:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://[0:0:0:0:0:0:0:1]:3000", "http://[0:0:0:0:0:0:0:1]:3000"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
@pytest.mark.parametrize("name", ["app_url", "base_url", "accounts_url", "sign_in_url", "script_url"])
def test_an_origin_is_written_as_browsers_write_it(name: str, given: str, read: str) -> None:
    """Configure and the Origin header are compared with byte for byte."""
    if name not in ("app_url", "base_url") and "Shop" in given:
        given, read = given.replace("/Shop", ""), read.replace("/Shop", "")
    variable = f"CONFIGURE_{name.upper()}"

    assert getattr(Settings.from_mapping({variable: given}), name) == read


@pytest.mark.parametrize(
    "value",
    [
        "https://127.1",
        "https://127.0.1:8443",
        "https://2130706433",
        "https://0x7f000001",
        "https://0x7f.0.0.1",
        "https://0177.0.0.1",
        "https://1.2.3.4.",
        "https://api.example.0x",
        "http://127.1",
        "https://app%2eexample.com",
        "https://%61pp.example.com",
        "https://[fe80::1%25eth0]",
        "https://app.example.com/./shop",
        "https://app.example.com/../shop",
        "https://app.example.com/shop/..",
        "https://app.example.com/shop/%2e%2E/admin",
        "https://app.example.com/shop/.%2e",
    ],
)
def test_an_origin_that_browsers_read_as_another_one(value: str) -> None:
    """WHATWG URL: percent-decoding of the host, the IPv4 parser and dot segments."""
    with pytest.raises(SettingsError, match="CONFIGURE_APP_URL"):
        Settings(app_url=value)


@pytest.mark.parametrize(
    "value",
    [
        "https://127.0.0.1:8443",
        "http://127.0.0.1",
        "https://10.0.0.1",
        "https://1password.example",
        "https://a.example/.well/..x",
    ],
)
def test_an_origin_that_looks_like_another_one(value: str) -> None:
    assert Settings(app_url=value).app_url == value


def test_the_callback_that_configures_own_variable_names_may_be_said_twice(make_web: MakeWeb) -> None:
    web = make_web(settings={"CONFIGURE_SSO_REDIRECT_URI": "{url}/auth/configure/callback"})
    with web.browser() as browser:
        assert browser.login().status_code == 303


@pytest.mark.catalogue("D7")
@pytest.mark.parametrize(
    ("part", "options", "words"),
    [
        ("constructor", {"user_id": "u1"}, "user_id"),
        ("constructor", {"keep_session": "cart"}, "keep_session"),
        ("constructor", {"name": "not a word"}, "name"),
        ("link", {"path": "configure"}, "path must begin with a slash"),
        ("login", {"path": "/auth/"}, "path must begin with a slash"),
        ("constructor", {"allowed_next": "a.example"}, "allowed_next"),
        ("constructor", {"allowed_next": ("https://a.example/path",)}, "allowed_next"),
        ("constructor", {"allowed_next": ("http://a.example",)}, "allowed_next"),
        ("constructor", {"allowed_next": ("*",)}, "allowed_next"),
        ("constructor", {"trusted_origins": ("*",)}, "trusted_origins"),
        ("constructor", {"store": "mysql://x"}, "store"),
        ("constructor", {"store": ""}, "store"),
        ("link", {"path": "/configure/"}, "path"),
        ("link", {"path": "//evil.example"}, "path"),
        ("link", {"path": ""}, "path"),
        ("link", {"after_link": "https://evil.example"}, "after_link"),
        ("link", {"after_link": "//evil.example"}, "after_link"),
        ("link", {"after_link": "settings/account"}, "after_link"),
        ("link", {"on_conflict": "merge"}, "on_conflict"),
        ("login", {"after_login": "javascript:alert(1)"}, "after_login"),
        ("login", {"on_login": None}, "on_login"),
        ("login", {"scopes": "profile.read"}, "scopes"),
        ("login", {"scopes": ()}, "scopes"),
        ("login", {"resource": "api.configure.dev"}, "resource must be an absolute URI"),
        ("login", {"resource": ""}, "resource must be an absolute URI"),
        ("login", {"resource": "/v1"}, "resource must be an absolute URI"),
        ("login", {"resource": "https:///v1"}, "resource must be an absolute URI"),
        ("login", {"resource": "https://api.configure.dev/#v1"}, "resource must be an absolute URI"),
        ("login", {"resource": "https://api.configure.dev/a b"}, "resource must be an absolute URI"),
        ("login", {"resource": 7}, "resource must be an absolute URI"),
        ("login", {"scopes": ("profile.read profile.search",)}, "scopes"),
    ],
)
def test_an_option_that_cannot_work_is_refused_by_its_name(
    make_web: MakeWeb, part: str, options: dict[str, Any], words: str
) -> None:
    given: dict[str, Any] = {part: options}
    with pytest.raises(SettingsError, match=words):
        make_web(**given)


def test_a_path_without_its_slash_is_refused(make_web: MakeWeb) -> None:
    # Flask refuses it before we see it, in its own words.
    with pytest.raises((SettingsError, ValueError), match="slash"):
        make_web(link={"path": "configure"})


def test_a_refusal_is_one_of_the_packages_errors() -> None:
    assert issubclass(SettingsError, ConfigureAuthError)


@pytest.mark.parametrize("end", ["", "/"])
def test_the_callback_beside_the_app_url_is_read_the_same_way_up_to_its_path(end: str) -> None:
    settings = Settings(
        app_url="https://Shop.Example.com:443",
        sso_redirect_uri=f"https://Shop.Example.com:443/auth/Configure/callback{end}",
    )

    assert settings.sso_redirect_uri == f"{settings.app_url}/auth/Configure/callback{end}"


# http, for development


@pytest.mark.parametrize("host", ["localhost", "app.localhost", "a.b.localhost", "127.0.0.1", "[::1]"])
def test_http_on_this_machine(host: str) -> None:
    """RFC 6761, section 6.3: browsers take every subdomain of localhost as loopback."""
    settings = Settings(app_url=f"http://{host}:3000")

    assert settings.app_url == f"http://{host}:3000"
    assert settings.is_local


@pytest.mark.parametrize("host", ["localhost.example.com", "notlocalhost", "localhost.", "app-localhost"])
def test_http_on_a_name_that_only_resembles_localhost(host: str) -> None:
    with pytest.raises(SettingsError, match="loopback only"):
        Settings(app_url=f"http://{host}:3000")


@pytest.mark.parametrize("given", ["sandbox,host.docker.internal", ["sandbox", "host.docker.internal"], " SANDBOX , x"])
@pytest.mark.parametrize("name", ["BASE", "ACCOUNTS", "SIGN_IN", "SCRIPT"])
def test_http_of_a_sandbox_in_another_container(given: str | list[str], name: str) -> None:
    url = "http://sandbox:4010"
    variables = {f"CONFIGURE_{name}_URL": url, "CONFIGURE_API_KEY": "sk_local_x", "CONFIGURE_ALLOW_HTTP": given}
    settings = Settings.from_mapping({**variables, "CONFIGURE_OAUTH_CLIENT_SECRET": "ocs_local_x"})

    assert getattr(settings, f"{name.lower()}_url") == url
    assert settings.allow_http[0] == "sandbox"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"CONFIGURE_ALLOW_HTTP": "elsewhere"}, "CONFIGURE_BASE_URL is http, which is for loopback only"),
        ({"CONFIGURE_ALLOW_HTTP": "sandbo"}, "CONFIGURE_BASE_URL is http, which is for loopback only"),
        ({"CONFIGURE_ALLOW_HTTP": "http://sandbox"}, "CONFIGURE_ALLOW_HTTP must list host names"),
        ({"CONFIGURE_ALLOW_HTTP": "sandbox:4010"}, "CONFIGURE_ALLOW_HTTP must list host names"),
        ({"CONFIGURE_ALLOW_HTTP": "*"}, "CONFIGURE_ALLOW_HTTP must list host names"),
        ({"CONFIGURE_API_KEY": "sk_live_x"}, "CONFIGURE_API_KEY is not a sandbox's"),
        ({"CONFIGURE_API_KEY": "cfg_x"}, "CONFIGURE_API_KEY is not a sandbox's"),
        ({"CONFIGURE_OAUTH_CLIENT_SECRET": "ocs_x"}, "CONFIGURE_OAUTH_CLIENT_SECRET is not a sandbox's"),
        ({"CONFIGURE_APP_URL": "http://sandbox:3000"}, "CONFIGURE_APP_URL is http, which is for loopback only"),
    ],
)
def test_http_is_refused_for_other_hosts_and_with_live_keys(changes: dict[str, Any], words: str) -> None:
    variables = {
        "CONFIGURE_BASE_URL": "http://sandbox:4010",
        "CONFIGURE_ALLOW_HTTP": "sandbox",
        "CONFIGURE_API_KEY": "sk_local_x",
    }
    with pytest.raises(SettingsError) as refused:
        Settings.from_mapping({**variables, **changes})

    assert words in str(refused.value)
    assert "sk_live" not in str(refused.value)


@pytest.mark.parametrize(("url", "warned"), [("https://app.example.com", True), ("http://localhost:5000", False)])
def test_allow_http_off_localhost_is_warned_of(caplog: pytest.LogCaptureFixture, url: str, warned: bool) -> None:
    """By the app at its start, and by verify."""
    given = {
        "CONFIGURE_API_KEY": "sk_test_x",
        "CONFIGURE_APP_URL": url,
        "CONFIGURE_ALLOW_HTTP": "sandbox",
        "CONFIGURE_TOKEN_KEYS": "vgk2MPqpVJIhQ4GFKmxEWSnCjzT3y8Ld0aNbXrUt",
    }
    ConfigureAuth(Settings.from_mapping(given), user_id=lambda: None).init_app(Flask(__name__))
    _, results = read_settings(given)

    (found,) = [result.finding.end for result in results if result.name == "CONFIGURE_ALLOW_HTTP"]
    assert ("CONFIGURE_ALLOW_HTTP is set" in caplog.text, found is End.WARNED) == (warned, warned)
