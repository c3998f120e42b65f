"""The browser that `verify` opens: what it is started with, and that nobody waits for its end."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from ..support.stores import first
from .setups import SetUp
from .test_apps_by_name import ON_FLASK


def written(setup: SetUp, name: str, text: str) -> Path:
    file = setup.folder / name
    file.write_text(text)
    return file


@pytest.mark.parametrize("named", first([(), ("--app", "shop:create_app")]))
def test_a_browser_gets_no_key_and_a_file_names_none(free: SetUp, named: tuple[str, ...]) -> None:
    other = written(free, "other", f"#!/bin/sh\ntouch '{free.folder / 'ran'}'\n")
    other.chmod(0o755)
    given = {**free.variables, "BROWSER": f"{other} %s", "PLANTED": "of the file"}
    file = written(free, "shop.env", "".join(f"{name}='{value}'\n" for name, value in given.items()))
    written(free, "shop.py", ON_FLASK.replace("ConfigureAuth(", 'ConfigureAuth(store="memory://", '))
    # Some of them may be in the process's own environment besides.
    free.variables = {"CONFIGURE_API_KEY": free.variables["CONFIGURE_API_KEY"], "KEPT": "1"}

    with free.verifying("--env-file", str(file), *named) as verifying:
        httpx2.get(free.sandbox.sign_in(verifying.url()), trust_env=False, timeout=30)
        told = verifying.end()

    assert (told.code, told.checks["profile_read"]["end"]) == (0, "passed")
    started_with = (free.folder / "environment").read_text().splitlines()
    assert "KEPT=1" in started_with
    assert [line for line in started_with if line.startswith(("CONFIGURE_", "PLANTED="))] == []
    assert not (free.folder / "ran").exists()


def test_a_browser_that_stays_is_not_waited_for(free: SetUp) -> None:
    with free.verifying("--patience", "1", stays=True) as verifying:
        verifying.url()
        told = verifying.end()

    assert told.checks["sign_in"]["found"] == "no callback within 1 s"


@pytest.mark.parametrize("browser", first(["'%s", "/nowhere/at/all %s"]))
def test_where_none_can_be_opened_the_address_is_shown(free: SetUp, browser: str) -> None:
    told = free.run("--json", "--patience", "1", BROWSER=browser)

    assert told.checks["sign_in"]["found"] == "no callback within 1 s"
    assert "sign in: http" in told.stderr


def test_a_person_is_asked_once_for_all_of_an_app(free: SetUp) -> None:
    second = ON_FLASK.replace(
        "    return app",
        '    other.init_app(app)\n    app.register_blueprint(other.account_link(path="/other"))\n    return app',
    ).replace("ConfigureAuth(", 'ConfigureAuth(store="memory://", ')
    written(
        free, "shop.py", f'{second}\n\nother = ConfigureAuth(user_id=lambda: None, store="memory://", name="other")\n'
    )
    free.sandbox.register_return_to(f"{free.app_url}/other/callback")

    with free.verifying("--app", "shop:create_app") as verifying:
        httpx2.get(free.sandbox.sign_in(verifying.url()), trust_env=False, timeout=30)
        told = verifying.end()

    assert told.troubles == {}
    assert [told.checks[f"1.{name}"]["end"] for name in ("sign_in", "exchange", "profile_read")] == ["passed"] * 3
    assert told.reasons["2.sign_in"] == "one sign-in is enough, and another ConfigureAuth of this app had it"
    assert told.stderr.count("sign in: ") == 1


@pytest.mark.extended
def test_the_next_one_is_asked_for_where_the_first_cannot_be(free: SetUp) -> None:
    first = ON_FLASK.replace("ConfigureAuth(user_id", 'ConfigureAuth(store="memory://", user_id')
    first = first.replace("account_link()", 'account_link(path="/unknown")').replace(
        '    app.register_blueprint(configure_auth.login(on_login=lambda identity, grant: "1"))\n',
        '    other.init_app(app)\n    app.register_blueprint(other.login(on_login=lambda identity, grant: "1"))\n',
    )
    written(
        free, "shop.py", f'{first}\n\nother = ConfigureAuth(user_id=lambda: None, store="memory://", name="other")\n'
    )

    with free.verifying("--app", "shop:create_app") as verifying:
        httpx2.get(free.sandbox.sign_in(verifying.url()), trust_env=False, timeout=30)
        told = verifying.end()

    assert told.checks["1.sign_in"]["end"] == "skipped"
    assert told.checks["2.profile_read"]["end"] == "passed"
