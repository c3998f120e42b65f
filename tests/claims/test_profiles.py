"""What the app's users may see of each other."""

from __future__ import annotations

import http.client
import json
import sqlite3
from collections import UserDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, quote_from_bytes, urlsplit
from uuid import UUID

import pytest
from flask import abort
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.exceptions import HTTPException

from configure_auth import AgentNoOwner, SettingsError

from ..support.examples import examples
from ..support.web import Adapter, MakeWeb
from .conftest import Said, people_of, said

FIELDS = ("display_name", "avatar_url")
HIDDEN = {"email": "ada@example.org", "password_hash": "scrypt:1", "phone": "+15550100001", "is_admin": True}
SHOWN = {"display_name": "Ada", "avatar_url": None}
NOBODY = (404, {"error": "invalid_request"})
BROKEN = (500, {"error": "misconfigured"})

See = Callable[..., Said]


@pytest.fixture
def store() -> str:
    """None of it is in our store."""
    return "memory"


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str]
    avatar_url: Mapped[str | None]
    email: Mapped[str]
    password_hash: Mapped[str]


@dataclass(frozen=True)
class Plain:
    display_name: str = "Ada"
    avatar_url: str | None = None
    email: str = "ada@example.org"


class Computed:
    """An object of the app's whose field is made when it's asked for."""

    avatar_url = None
    email = "ada@example.org"

    @property
    def display_name(self) -> str:
        return "Ada"


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, Any]:
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(User(id="ada", **SHOWN, email="ada@example.org", password_hash="scrypt:1"))
        session.commit()
        found = {
            "a model": session.get(User, "ada"),
            "a row": session.execute(select(User.__table__)).one(),
            "a row's mapping": session.execute(select(User.__table__)).mappings().one(),
        }
        session.expunge_all()
    engine.dispose()
    return found


@pytest.fixture
def see(make_web: MakeWeb) -> Iterator[See]:
    """What a user of an app with these profiles sees of another one."""
    with ExitStack() as stack:

        def see(resolve: Callable[[str], Any], **more: Any) -> Said:
            web = make_web(profiles={"resolve": resolve, "fields": FIELDS, **more}, link=None, login=None)
            people = stack.enter_context(people_of(web))
            return said(people.browser("bob").get("/api/v1/users/ada"))

        yield see


@pytest.mark.parametrize(
    "profile",
    [
        {**SHOWN, **HIDDEN},
        UserDict({**SHOWN, **HIDDEN}),
        {"display_name": "Ada", **HIDDEN},
        SimpleNamespace(**SHOWN, **HIDDEN),
        Plain(),
        Computed(),
    ],
    ids=["dict", "mapping", "without a key", "object", "dataclass", "property"],
)
def test_only_what_is_listed_is_shown(see: See, profile: object) -> None:
    assert see(lambda _: profile) == (200, SHOWN)


def test_only_what_is_listed_is_shown_of_a_database_row(see: See, rows: dict[str, Any]) -> None:
    for name, row in rows.items():
        assert see(lambda _, row=row: row) == (200, SHOWN), name


def test_a_row_that_has_its_fields_in_another_way_is_refused_and_not_shown_as_empty(
    see: See, rows: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = sqlite3.connect(tmp_path / "app.db")
    database.row_factory = sqlite3.Row
    row = database.execute("SELECT * FROM users").fetchone()
    database.close()

    assert see(lambda _: row) == BROKEN

    assert "a user's profile is a Row without an attribute 'display_name'" in caplog.text
    assert see(lambda _: dict(row)) == (200, SHOWN)


def test_the_app_is_asked_for_the_user_of_the_url_and_nobody_is_not_found(make_web: MakeWeb) -> None:
    asked: list[str] = []

    def resolve(user_id: str) -> Any:
        asked.append(user_id)
        return {"display_name": user_id} if user_id != "nobody" else None

    with people_of(make_web(profiles={"resolve": resolve, "fields": FIELDS})) as people:
        ada = people.browser("ada")
        assert said(ada.get("/api/v1/users/ada")) == (200, {"display_name": "ada", "avatar_url": None})
        assert said(ada.get("/api/v1/users/bob?user_id=ada")) == (200, {"display_name": "bob", "avatar_url": None})
        assert said(ada.get("/api/v1/users/nobody")) == NOBODY
        head = ada.request("HEAD", "/api/v1/users/bob", site=None)
        assert (head.status_code, head.content) == (200, b"")
        assert asked == ["ada", "bob", "nobody", "bob"]

        # Whoever isn't signed in isn't told who there is.
        for user_id in ("ada", "nobody"):
            assert said(people.browser(None).get(f"/api/v1/users/{user_id}")) == (401, {"error": "signed_out"})
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            answer = ada.request(method, "/api/v1/users/ada", site="same-origin")
            assert said(answer) == (405, {"error": "invalid_request"})
            assert answer.headers["allow"] == "GET"
        assert len(asked) == 4


class Level(StrEnum):
    GOLD = "gold"


PLAIN_VALUES: dict[str, tuple[object, object]] = {
    "text": ("é\U0001f600\ud800\0</script>", "é\U0001f600\ud800\0</script>"),
    "a number": (2**63, 2**63),
    "a fraction": (1.5, 1.5),
    "false": (False, False),
    "an instant": (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
    "a day": (date(2026, 1, 2), "2026-01-02"),
    "a UUID": (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    "a decimal": (Decimal("1.10"), "1.10"),
    "an enum of texts": (Level.GOLD, "gold"),
    "a list": ([1, (date(2026, 1, 2), None)], [1, ["2026-01-02", None]]),
    "a mapping": ({1: {"a": UUID(int=1)}}, {"1": {"a": "00000000-0000-0000-0000-000000000001"}}),
}


def test_a_field_is_shown_as_json_has_it(see: See) -> None:
    profile = {name: value for name, (value, _) in PLAIN_VALUES.items()}

    status, shown = see(lambda _: profile, fields=tuple(profile))

    assert status == 200
    assert shown == {name: expected for name, (_, expected) in PLAIN_VALUES.items()}


class Colour(Enum):
    RED = 1


def cyclic() -> list[object]:
    found: list[object] = []
    found.append(found)
    return found


NOT_JSON: dict[str, Callable[[], object]] = {
    "a set": lambda: {"secret"},
    "bytes": lambda: b"secret",
    "an object": lambda: SimpleNamespace(secret="secret"),
    "a model": lambda: User(id="secret", display_name="secret"),
    "a time": lambda: time(1, 2),
    "an enum": lambda: Colour.RED,
    "not a number": lambda: float("nan"),
    "infinite": lambda: [float("-inf")],
    "a function": lambda: len,
    "in a list": lambda: ["secret", {"secret"}],
    "in a mapping": lambda: {"a": {"b": b"secret"}},
    "a circle": cyclic,
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_a_field_that_is_no_json_is_our_error_and_shows_nothing(
    make_web: MakeWeb, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    profile = {"display_name": "shown before", "avatar_url": NOT_JSON[name]()}
    with people_of(make_web(profiles={"resolve": lambda _: profile, "fields": FIELDS})) as people:
        answer = people.browser("bob").get("/api/v1/users/ada")

    assert said(answer) == BROKEN
    assert answer.text == '{"error": "misconfigured"}'
    (error,) = [record for record in caplog.records if record.levelname == "ERROR" and record.module == "failures"]
    assert name == "a circle" or "a field of a user's profile is" in error.getMessage()
    assert "secret" not in error.getMessage()


def test_a_profile_that_cannot_be_had_is_our_error_and_logged(see: See, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        avatar_url = None

        @property
        def display_name(self) -> str:
            raise RuntimeError("detached")

    def fail(_: str) -> object:
        raise RuntimeError("no connection")

    def nobodys(_: str) -> object:
        raise AgentNoOwner("nobody has claimed this agent")

    for resolve in (lambda _: Broken(), fail, nobodys):
        assert see(resolve) == BROKEN

    for reason in ("detached", "no connection", "nobody has claimed"):
        assert reason in caplog.text


def test_a_response_that_the_app_raises_goes_through(make_web: MakeWeb, adapter: Adapter) -> None:
    def refuse(_: str) -> object:
        if adapter == "flask":
            abort(403)
        raise HTTPException(403)

    with people_of(make_web(profiles={"resolve": refuse, "fields": FIELDS})) as people:
        answer = people.browser("bob").get("/api/v1/users/ada")

    assert answer.status_code == 403
    assert "error" not in answer.text
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")


def test_under_a_path_of_its_own_and_a_mount(make_web: MakeWeb) -> None:
    profiles = {"resolve": lambda user_id: {"display_name": user_id}, "fields": FIELDS[:1], "path": "/people"}
    url = {"CONFIGURE_APP_URL": "{url}/shop"}
    with people_of(make_web(profiles=profiles, mount="/shop", settings=url)) as people:
        browser = people.browser(None)
        browser.post("/shop/in/bob").raise_for_status()
        assert said(browser.get("/shop/people/ada")) == (200, {"display_name": "ada"})
        assert browser.get("/shop/people/ada/x").status_code == 404
        assert browser.get("/shop/people/").status_code == 404


def test_at_another_path_than_the_setting_says_it_is_misconfigured(
    make_web: MakeWeb, caplog: pytest.LogCaptureFixture
) -> None:
    url = {"CONFIGURE_APP_URL": "{url}/elsewhere"}
    web = make_web(link=None, login=None, profiles={"resolve": dict, "fields": FIELDS}, settings=url)
    with people_of(web) as people:
        assert said(people.browser("bob").get("/api/v1/users/ada")) == BROKEN

    assert "add the prefix that the app is mounted under to CONFIGURE_APP_URL" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"fields": "display_name"}, "fields is a tuple"),
        ({"fields": ()}, "fields is a tuple"),
        ({"resolve": 7}, "resolve must be a function"),
    ],
)
def test_profiles_that_cannot_work_are_refused_at_once(make_web: MakeWeb, wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        make_web(profiles={"resolve": len, "fields": FIELDS, **wrong})


# Any id.


@pytest.fixture
def echo(make_web: MakeWeb) -> Iterator[Callable[[str], tuple[int, str]]]:
    """Asks, over one connection, for a profile that has the id as the app was given it."""
    web = make_web(profiles={"resolve": lambda user_id: {"id": user_id}, "fields": ("id",)}, link=None, login=None)
    with people_of(web) as people:
        jar = people.browser("bob").http.cookies.jar
        headers = {"Cookie": "; ".join(f"{one.name}={one.value}" for one in jar)}
        line = http.client.HTTPConnection("127.0.0.1", urlsplit(web.url).port or 80, timeout=30)

        def ask(quoted: str) -> tuple[int, str]:
            line.request("GET", f"/api/v1/users/{quoted}", headers=headers)
            answer = line.getresponse()
            return answer.status, answer.read().decode()

        yield ask
        line.close()


over_http = examples(150)


@over_http
@given(user_id=st.text(min_size=1, max_size=300))
@example(user_id="%2F")
@example(user_id="..")
@example(user_id="\n")
@example(user_id="u1\n")
@example(user_id="a\0b")
@example(user_id="x" * 256)
@example(user_id="{user_id}")
@example(user_id="é")
def test_any_id_is_the_apps_to_know_as_it_was_asked(echo: Callable[[str], tuple[int, str]], user_id: str) -> None:
    status, body = echo(quote(user_id, safe=""))

    assert status < 500, body
    if status == 200:
        assert json.loads(body) == {"id": user_id}
    else:
        # A slash ends a part of the path, Starlette's mounts know no line break, and no store keeps the others.
        assert {"/", "\n", "\0"} & set(user_id) or len(user_id) > 255


@over_http
@given(raw=st.binary(min_size=1, max_size=300))
@example(raw=b"\xff")
@example(raw=b"\xed\xa0\x80")
@example(raw=b"\xc3")
@example(raw=b"a/../b")
@example(raw=b"//evil.example")
def test_no_bytes_are_an_error_of_ours(echo: Callable[[str], tuple[int, str]], raw: bytes) -> None:
    for quoted in (quote_from_bytes(raw, safe=""), quote_from_bytes(raw)):
        assert echo(quoted)[0] < 500
