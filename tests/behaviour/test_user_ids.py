"""What an app may give as the id of its user."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pytest

from configure_auth import Secret

from ..support.reading import ending
from ..support.web import MakeWeb

UUID = uuid.UUID("01926b4e-7d3c-7f00-8000-0242ac120002")


class Ulid:
    """As the ULID packages have it."""

    def __str__(self) -> str:
        return "01J9NMWZ9WFW00000G28NC4084"


@dataclass
class User:
    name: str


@pytest.mark.parametrize(
    ("user_id", "reason"),
    [
        ("", "got an empty string; expected None where no user is signed in"),
        ("x" * 256, "got an id of 256 characters; at most 255 can be stored"),
        ("a\0b", "got an id with a NUL or a lone surrogate"),
        ("\ud800", "got an id with a NUL or a lone surrogate"),
        (True, "got a bool; expected a user's id"),
        (1.5, "got a float"),
        (b"u1", "got a bytes"),
        (object(), "got a object"),
        (User("ada"), "got a User"),
        (User("ada").__repr__, "got a method-wrapper|got a method|got a function"),
        (["u1"], "got a list"),
        (Secret("u1"), "got a Secret"),
    ],
)
def test_an_id_that_no_store_can_keep_is_refused(
    make_web: MakeWeb, user_id: object, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with make_web(constructor={"user_id": lambda: user_id}).browser() as browser:
        assert ending(browser.get("/configure/sign-in")) == (500, "misconfigured")

    assert any(f"user_id: {one}" in caplog.text for one in reason.split("|"))


@pytest.mark.parametrize("user_id", ["u", "x" * 255, "é😀 '%_", " u", 7, 0, UUID, Ulid()])
def test_any_other_is_kept_as_it_is_written(make_web: MakeWeb, user_id: object) -> None:
    with make_web(constructor={"user_id": lambda: user_id}).browser() as browser:
        assert browser.link().status_code == 303
        account = browser.account()

    assert account is not None
    assert account["user_id"] == str(user_id)


@pytest.mark.parametrize("user_id", [7, UUID, Ulid()])
def test_on_login_returns_an_id_of_any_kind(make_web: MakeWeb, user_id: object) -> None:
    """The session, as JSON, keeps it as a string."""
    known: list[str | None] = []

    def on_login(identity: object, grant: object) -> object:
        known.append(getattr(identity, "local_user_id", None))
        return user_id

    def user_of_nobody() -> None:
        return None

    web = make_web(on_login=on_login, constructor={"user_id": user_of_nobody})
    for _ in range(2):
        with web.browser() as browser:
            assert browser.login().headers["location"] == "/"

    assert known == [None, str(user_id)]
    assert web.people.events[-1].account.user_id == str(user_id)  # type: ignore[attr-defined]
