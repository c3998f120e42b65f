"""Keys and secrets of an app: which are accepted, how they are read, and what an error shows of them."""

from __future__ import annotations

import copy
import dataclasses
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from configure_auth import AsyncConfigure, Configure, Secret, Settings
from configure_auth.bearer.user import BearerUser
from configure_auth.errors import SettingsError
from configure_auth.keys import key_weakness, read_key

GOOD = "h8Yx2mQe-vT0bLkz4nRw_J6sPu1cGd7A9fKo3EiXtNU"
OTHER = "Zq5Wm1Tb8uRk_xP3eVn0LyHa7cJd-2GfSo4i9KtEwXA"
CANARY = "canary0123456789QwertzuiopAsdfghjkl"


def shown(error: BaseException) -> str:
    """An exception as an error tracker shows it: the whole chain with the locals of every frame but the test's."""
    pending: list[BaseException | None] = [error]
    texts: list[str] = []
    while pending:
        one = pending.pop()
        if one is None:
            continue
        pending += [one.__cause__, one.__context__]
        texts += [repr(one), str(one), repr(vars(one))]
        for frame in traceback.TracebackException.from_exception(one, capture_locals=True).stack:
            if not frame.filename.endswith(("test_keys.py", "pytest")):
                texts += (frame.locals or {}).values()
    return "\n".join(texts)


@pytest.mark.catalogue("J3")
@pytest.mark.parametrize(
    "key",
    [
        "a" * 32,
        "changeme" * 4,
        "0123456789" * 4,
        "0123456789abcdef" * 2 + "0123",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "change-me-to-something-long-and-random-please",
        "your-secret-key-goes-here-0123456789",
        "this is an example, do not use it in production",
        "django-insecure-k3#v!x9@q2&w8^e7*r6(t5)y4_u1-i0",
        "h8Yx2mQe-vT0bLkz4nRw",
    ],
)
def test_token_keys_that_can_be_guessed(key: str) -> None:
    """The name of a row is the fingerprint of its key, so a copied store allows guessing offline."""
    with pytest.raises(SettingsError, match=r"CONFIGURE_TOKEN_KEYS.*token_urlsafe") as refused:
        Settings.from_mapping({"CONFIGURE_APP_URL": "https://app.example.com", "CONFIGURE_TOKEN_KEYS": [GOOD, key]})

    assert key not in shown(refused.value)


def test_token_keys_that_can_be_guessed_are_accepted_on_loopback() -> None:
    for app_url in (None, "http://localhost:3000"):
        assert Settings(app_url=app_url, token_keys=(Secret("a" * 32),)).token_keys


@pytest.mark.parametrize(
    "key", [GOOD, "0f3a9c5be7d1428860b7e49dc21fa5387e6d90c4", "drehe Zwölf Boxkämpfer quer übern Sylter Deich"]
)
def test_token_keys_that_cannot_be_guessed(key: str) -> None:
    assert Settings(app_url="https://app.example.com", token_keys=[key]).token_keys == (Secret(key),)
    assert key_weakness(Secret(key)) is None


@pytest.mark.parametrize(
    "given",
    [
        GOOD,
        GOOD.encode(),
        Secret(GOOD),
        f"{GOOD}\n",
        Secret(f" {GOOD}\n"),
        [GOOD],
        [GOOD.encode()],
        (Secret(f"{GOOD}\r\n"),),
        [f"{GOOD}\n".encode()],
    ],
)
def test_a_key_is_the_same_however_it_is_given(given: Any) -> None:
    assert Settings.from_mapping({"CONFIGURE_TOKEN_KEYS": given}).token_keys == (Secret(GOOD),)
    assert Settings(token_keys=given).token_keys == (Secret(GOOD),)


@pytest.mark.parametrize("given", [f"{GOOD},{OTHER}", f"{GOOD}, {OTHER},", f"{GOOD},{OTHER}".encode(), [GOOD, OTHER]])
def test_several_keys(given: Any) -> None:
    assert Settings.from_mapping({"CONFIGURE_TOKEN_KEYS": given}).token_keys == (Secret(GOOD), Secret(OTHER))


@pytest.mark.parametrize(
    "given",
    [
        f"['{CANARY}']",
        f'["{CANARY}"]',
        f"('{CANARY}',)",
        f"'{CANARY}'",
        f"b'{CANARY}'",
        [f"{CANARY}\x00{CANARY}"],
        [f"{CANARY}\n{CANARY}"],
        [CANARY + "\udcff"],
        CANARY + "\udcff",
        CANARY.encode() + b"\xff",
        [CANARY.encode() + b"\xff"],
        [5],
        5,
        [[CANARY]],
        object(),
    ],
)
def test_a_key_that_cannot_be_read(given: Any) -> None:
    makers: tuple[Callable[[], Settings], ...] = (
        lambda: Settings.from_mapping({"CONFIGURE_TOKEN_KEYS": given}),
        lambda: Settings(token_keys=given),
    )
    for make in makers:
        with pytest.raises(SettingsError, match="CONFIGURE_TOKEN_KEYS") as refused:
            make()
        assert CANARY not in shown(refused.value)


def test_an_error_names_the_key_and_shows_nothing() -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY") as refused:
        read_key("SECRET_KEY", CANARY + "\udcff")
    assert CANARY not in shown(refused.value)


@pytest.mark.parametrize(
    "raises",
    [
        lambda: Settings(api_key=f"pk_{CANARY}"),
        lambda: Settings(api_key=Secret(f"pk_{CANARY}")),
        lambda: Settings(api_key=f"sk_{CANARY}\n"),
        lambda: Settings(publishable_key=f"sk_{CANARY}"),
        lambda: Settings(oauth_client_secret=f"oc_{CANARY}", api_key=f"sk_{CANARY}"),
        lambda: Settings(oauth_client_id=f"ocs_{CANARY}"),
        lambda: Settings(agent=f"sk_{CANARY}"),
        lambda: Settings(api_key=f"sk_{CANARY}", agent="Not A Handle", store=f"postgresql://u:{CANARY}@h/d"),
        lambda: Settings(token_keys=[CANARY, CANARY[:8]]),
        lambda: Settings.from_mapping({"CONFIGURE_API_KEY": f"sk_{CANARY}", "CONFIGURE_AGENT": "v1"}),
        lambda: Settings.from_mapping({"CONFIGURE_API_KEY": f"{CANARY} "}),
        lambda: Settings.from_mapping({"CONFIGURE_STORE": 5, "CONFIGURE_API_KEY": f"sk_{CANARY}"}),
        lambda: Configure(api_key=f"pk_{CANARY}", agent="acme"),
        lambda: AsyncConfigure(api_key=f"pk_{CANARY}", agent="acme"),
        lambda: Configure(Settings(), api_key=f"sk_{CANARY}"),  # type: ignore[call-overload]
        lambda: Configure(api_key=f"sk_{CANARY}", agent="acme", timeout=0),
        lambda: BearerUser.supabase_shared_secret("my project", CANARY),
        lambda: BearerUser.supabase_shared_secret("project", Secret(CANARY), leeway=-1),
        lambda: BearerUser.supabase_shared_secret("project", CANARY[:20]),
        lambda: BearerUser(issuer="i", audience="", algorithms=("HS256",), key=CANARY),
        lambda: BearerUser(issuer="i", audience="a", algorithms=("HS256",), key=CANARY + "\ud800"),
    ],
)
def test_settings_errors_hold_no_plain_secret(raises: Callable[[], object]) -> None:
    with pytest.raises(SettingsError) as refused:
        raises()
    assert CANARY[:20] not in shown(refused.value)


def test_the_environment_is_in_no_frame_of_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIGURE_API_KEY", f"sk_{CANARY}")
    monkeypatch.setenv("CONFIGURE_AGENT", "v1")
    for make in (Settings.from_env, Configure, AsyncConfigure, lambda: Configure(api_key=f"sk_{CANARY}")):
        with pytest.raises(SettingsError) as refused:
            make()
        assert CANARY not in shown(refused.value)


@pytest.mark.parametrize(
    "take_out",
    [
        lambda secret: secret.__getstate__(),
        lambda secret: secret.__reduce__(),
        lambda secret: secret.__reduce_ex__(4),
        lambda secret: setattr(secret, "_value", "x"),
        lambda secret: delattr(secret, "_value"),
        lambda secret: setattr(secret, "other", "x"),
    ],
)
def test_a_secret_can_be_neither_pickled_nor_changed(take_out: Callable[[Secret], object]) -> None:
    secret = Secret(CANARY)
    with pytest.raises((TypeError, AttributeError)) as refused:
        take_out(secret)
    assert CANARY not in str(refused.value)
    assert secret.reveal() == CANARY


def test_copies_of_a_secret() -> None:
    settings = Settings(api_key=f"sk_{CANARY}", token_keys=[GOOD])

    assert copy.copy(settings.api_key) is settings.api_key
    assert copy.deepcopy(settings.api_key) is settings.api_key
    assert dataclasses.asdict(settings)["api_key"] is settings.api_key
    assert copy.deepcopy(settings) == settings == dataclasses.replace(settings)


def test_secrets_with_a_lone_surrogate_compare() -> None:
    assert Secret("\udcff") == Secret("\udcff") != Secret("\udcfe")


@pytest.mark.parametrize("variable", ["CONFIGURE_APP_URL", "CONFIGURE_BASE_URL", "CONFIGURE_SIGN_IN_URL"])
@pytest.mark.parametrize("form", ["{}", "https://app.example.com/?{}", "ftp://{}"])
def test_a_secret_in_a_setting_for_a_url_is_not_shown(variable: str, form: str) -> None:
    with pytest.raises(SettingsError, match=variable) as refused:
        Settings.from_mapping({variable: form.format(CANARY)})

    assert CANARY not in shown(refused.value)
