"""What an app may give as the id of its user."""

from __future__ import annotations

import pytest

from ..support.reading import ending
from ..support.web import MakeWeb


@pytest.mark.parametrize("user_id", ["", "x" * 256, "a\0b", "\ud800", True, 1.5, b"u1"])
def test_an_id_that_no_store_can_keep_is_refused(
    make_web: MakeWeb, user_id: object, caplog: pytest.LogCaptureFixture
) -> None:
    with make_web(constructor={"user_id": lambda: user_id}).browser() as browser:
        assert ending(browser.get("/configure/sign-in")) == (500, "misconfigured")

    assert "user_id must give the user's id" in caplog.text


@pytest.mark.parametrize("user_id", ["u", "x" * 255, "é😀 '%_", " u", 7, 0])
def test_any_other_is_kept_as_it_is(make_web: MakeWeb, user_id: object) -> None:
    with make_web(constructor={"user_id": lambda: user_id}).browser() as browser:
        assert browser.link().status_code == 303
        account = browser.account()

    assert account is not None
    assert account["user_id"] == str(user_id)
