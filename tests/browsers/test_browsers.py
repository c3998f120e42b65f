"""Link, disconnect, cancel and login in each browser, as `SameSite`, `Sec-Fetch-Site` and `Referer` work there."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from ..browser.apps import Served
from ..browser.person import ADA, BUTTON
from .conftest import Scheme, Serve
from .drivers import Driver

PHONE = '//input[@name="phone"]'
PRESS = f'//a[@aria-label="{BUTTON}"]'


def button(label: str) -> str:
    return f'//button[normalize-space()="{label}"]'


def text(words: str) -> str:
    return f'//*[contains(text(), "{words}")]'


def sign_up(driver: Driver, served: Served) -> None:
    example = served.example
    driver.go(served.url + example.sign_up)
    driver.type('//input[@name="username"]', "ada")
    driver.type('//input[@name="password"]', "a long password")
    driver.click("//main" + button(example.sign_up_button))
    driver.find(button(example.sign_out_button))


def prove_phone(driver: Driver) -> None:
    driver.type(PHONE, ADA)
    driver.click(button("Continue"))
    driver.type('//input[@name="code"]', "000000")
    driver.click(button("Verify"))


@pytest.mark.parametrize(
    ("name", "scheme", "strict"),
    [
        *(("flask", scheme, strict) for scheme in ("http", "https") for strict in (False, True)),
        ("starlette", "http", False),
        ("starlette", "https", True),
    ],
)
def test_link_disconnect_cancel_login(driver: Driver, serve: Serve, name: str, scheme: Scheme, strict: bool) -> None:
    with serve(name, scheme, strict=strict) as served:
        example = served.example
        sign_up(driver, served)
        settings = served.url + example.settings

        driver.go(settings)
        driver.click(PRESS)
        prove_phone(driver)
        driver.click(button("Allow"))
        driver.find(text(example.connected))
        assert driver.url == settings

        driver.click(button(example.disconnect_button))
        driver.find(PRESS)
        assert driver.url == settings

        driver.click(PRESS)
        driver.click(button("Cancel"))
        driver.find(text(example.cancelled))
        assert urlsplit(driver.url).path == example.settings

        driver.click(button(example.sign_out_button))
        driver.find(f'//a[normalize-space()="{example.sign_up_button}"]')
        driver.go(served.url + example.sign_in)
        driver.click(PRESS)
        prove_phone(driver)
        driver.click(button("Allow"))
        driver.find(button(example.sign_out_button))
        assert driver.url == served.url + example.home
        assert len(served.user_ids()) == 2


def test_the_button_in_a_new_tab(driver: Driver, serve: Serve) -> None:
    """Goes straight to Configure. WebKit says `Sec-Fetch-Site: cross-site` then, although `Referer` is the app's."""
    with serve("flask", "http", strict=False) as served:
        sign_up(driver, served)
        driver.go(served.url + served.example.settings)
        driver.find(PRESS)
        driver.run("document.querySelector('.configure-button').target = '_blank'")
        driver.click_for_new_window(PRESS)
        driver.find(PHONE)
