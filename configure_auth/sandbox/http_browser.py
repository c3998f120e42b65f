"""A sign-in by plain HTTP, without a browser: posts what the forms of the sandbox's own pages have."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx2
from markupsafe import Markup

from .errors import SignInFailed
from .values import Completion

MAX_PAGES = 8


_INTERACTION: Final = re.compile(r'name="interaction" value="([^"]+)"')
_BUTTON: Final = re.compile(r'name="do" value="(\w+)"')
_CONNECTOR: Final = re.compile(r'name="connector" value="(\w+)" checked')
_COMPLETION: Final = re.compile(r'<script type="application/json" id="completion">(.*?)</script>')
_UNSEEN: Final = re.compile(r"<(style|script|title)\b.*?</\1>", re.DOTALL)


class HttpBrowser:
    """An HTTP client with a cookie jar of its own. `completions` are those that pages made it post."""

    def __init__(self) -> None:
        self.completions: list[Completion] = []
        self._client = _client(headers={"Accept": "text/html"})

    def __enter__(self) -> HttpBrowser:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def sign_in(self, url: str, phone: str, *, code: str = "000000", cancel: bool = False) -> str:
        """Submit the pages from `url` on and return the URL at which the sign-in ends.

        That is the redirect to the app, which is not fetched, or the last page's own address when there is none.
        Raises SignInFailed when an error page comes, or the pages don't end.
        """
        response = self._client.get(url)
        for _ in range(MAX_PAGES):
            if response.is_redirect:
                return urljoin(url, response.headers["location"])
            page = response.text
            if response.is_error:
                text = Markup(_UNSEEN.sub("", page)).striptags()  # noqa: S704  # for its words alone
                raise SignInFailed(text, response.status_code)
            ways: dict[str, dict[str, Any]] = {
                "phone": {"phone": phone},
                "code": {"code": code},
                "allow": {"connector": _CONNECTOR.findall(page)},
            }
            button = next((one for one in (["cancel"] if cancel else ways) if one in _BUTTON.findall(page)), None)
            if button is None:
                if found := _COMPLETION.search(page):
                    self.completions.append(_posted(Completion(**json.loads(found[1])), url))
                return url
            interaction = _INTERACTION.search(page)
            assert interaction is not None
            fields = {"interaction": interaction[1], "do": button, **ways.get(button, {})}
            response = self._client.post(urlsplit(url)._replace(query="", fragment="").geturl(), data=fields)
        raise SignInFailed("the sign-in has too many pages", response.status_code)


def _posted(completion: Completion, page: str) -> Completion:
    """Post what a page's script posts, as a browser does: after a CORS preflight, without cookies."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(page))
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    try:
        with _client(headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"}) as client:
            asked = client.options(completion.url, headers=asking)
            if not (asked.is_success and _allows(asked.headers, origin)):
                refused = f"the preflight got {asked.status_code} and does not allow {origin}"
                return replace(completion, error=refused)
            return replace(completion, status=client.post(completion.url, json=dict(completion.body)).status_code)
    except (httpx2.HTTPError, httpx2.InvalidURL) as failure:
        return replace(completion, error=repr(failure))


def _allows(headers: Mapping[str, str], origin: str) -> bool:
    named = {name.strip().lower() for name in headers.get("access-control-allow-headers", "").split(",")}
    return headers.get("access-control-allow-origin") in {origin, "*"} and bool(named & {"content-type", "*"})


def _client(**options: Any) -> httpx2.Client:
    # The sandbox is plain HTTP; a context without certificates saves the time to load them.
    no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx2.Client(trust_env=False, timeout=30, verify=no_tls, **options)
