"""The pages of the tutorials and of FastAPI when a user cancels, when Configure is down, and without a name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.testclient import TestClient

from configure_auth.sandbox import Sandbox

from .conftest import APP_URL
from .document import PAGES
from .test_fastapi_page import page
from .test_tutorials import ADDED, SAVED

__all__ = ["page"]

PHONE = "+15550100001"


class Shown(NamedTuple):
    """A response as both frameworks' test clients have it."""

    status: int
    location: str | None
    text: str


class Site:
    """A browser at the app of a page, and the pages of that app.

    Args:
        home: the app's page for everybody.
        profile: the page that reads the profile.
    """

    def __init__(self, client: Any, sandbox: Sandbox, home: str, profile: str) -> None:
        self._client, self.sandbox, self.home, self.profile = client, sandbox, home, profile
        self._bearer: dict[str, str] = {}

    def get(self, url: str, site: str = "same-origin") -> Shown:
        headers = {"Sec-Fetch-Site": site, "Accept": "text/html", **self._bearer}
        response = self._client.get(url.removeprefix(APP_URL), headers=headers)
        cookies = getattr(response, "cookies", None) or {}
        if "token" in cookies:  # of docs/fastapi.md, whose script sends it as a bearer token
            self._bearer = {"Authorization": f"Bearer {cookies['token']}"}
        return Shown(response.status_code, response.headers.get("location"), response.text)

    def sign_in(self, **choices: Any) -> Shown:
        start = self.get("/auth/configure/sign-in")
        assert start.location is not None, start.text
        return self.get(self.sandbox.sign_in(start.location, PHONE, **choices), site="cross-site")


def tutorial(path: str, folder: Path) -> Any:
    """The app of a tutorial."""
    for name, code in SAVED.findall(PAGES[path]):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code, encoding="utf-8")
    (added,) = (code for _, code in ADDED.findall(PAGES[path]))
    names: dict[str, Any] = {"__name__": "tutorial", "__file__": str(folder / "app.py")}
    code = f"{(folder / 'app.py').read_text(encoding='utf-8')}\n\n{added}"
    exec(compile(code, path, "exec", dont_inherit=True), names)
    return names["app"]


@pytest.fixture(params=["docs/tutorial-flask.md", "docs/tutorial-fastapi.md", "docs/fastapi.md"])
def site(
    request: pytest.FixtureRequest,
    settings: dict[str, str],
    configure_sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        if request.param == "docs/fastapi.md":
            names = request.getfixturevalue("page")
            stack.callback(lambda: asyncio.run(names["engine"].dispose()))
            client: Any = stack.enter_context(TestClient(names["app"], APP_URL, follow_redirects=False))
            yield Site(client, configure_sandbox, "/docs", "/name")
            return
        app = tutorial(request.param, tmp_path)
        if request.param == "docs/tutorial-flask.md":
            client = app.test_client()
        else:
            client = stack.enter_context(TestClient(app, APP_URL, follow_redirects=False))
        yield Site(client, configure_sandbox, "/", "/profile")


def test_cancelled(site: Site) -> None:
    back = site.sign_in(cancel=True)

    assert (back.status, (back.location or "").endswith("?configure=cancelled")) == (303, True)
    assert site.get(site.home).status == 200
    assert site.sign_in().status == 303


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": True}], ids=["503", "drop"])
def test_outage_at_the_callback(site: Site, fault: dict[str, Any]) -> None:
    site.sandbox.fault("/oauth/token", **fault)
    back = site.sign_in()
    assert (back.status, "reached right now" in back.text) == (503, True)
    assert site.get(site.home).status == 200

    site.sandbox.clear_faults()
    assert site.sign_in().status == 303


def test_outage_at_the_profile(site: Site) -> None:
    assert site.sign_in().status == 303
    site.sandbox.fault("/v1/profile", status=503)

    assert site.get(site.profile).status == 503
    assert site.get(site.home).status == 200

    site.sandbox.clear_faults()
    assert site.get(site.profile).status == 200


def test_without_a_name(site: Site) -> None:
    assert site.sign_in().status == 303

    profile = site.get(site.profile)

    assert (profile.status, "null" in profile.text) == (200, True)
    assert site.get(site.home).status == 200


def test_signed_out(site: Site) -> None:
    assert site.get(site.profile).status in (302, 401, 409)
