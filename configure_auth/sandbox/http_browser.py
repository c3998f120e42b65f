"""A sign-in by plain HTTP, without a browser: reads the pages' forms and posts them."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

from .errors import SignInFailed
from .values import Completion

MAX_PAGES = 8


@dataclass(slots=True)
class _Form:
    action: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self._words: list[str] = []
        self._silent = 0
        self._data: list[str] | None = None
        self.feed(text)
        self.close()

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())

    @property
    def completion(self) -> Completion | None:
        """The completion that the page's script posts to the app."""
        return Completion(**json.loads("".join(self._data))) if self._data else None

    def form_with(self, button: str) -> _Form | None:
        return next((form for form in self.forms if button in form.buttons), None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in {"style", "script", "title"}:
            self._silent += 1
            if values.get("type") == "application/json":
                self._data = []
        elif tag == "form":
            self.forms.append(_Form(values.get("action", "")))
        elif tag == "button" and self.forms:
            self.forms[-1].buttons.append(values.get("value", ""))
        elif tag == "input" and self.forms:
            kind = values.get("type", "text")
            if kind == "hidden" or (kind == "checkbox" and "checked" in values):
                self.forms[-1].fields.setdefault(values["name"], []).append(values.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in {"style", "script", "title"}:
            self._silent -= 1

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._words.append(data)
        elif self.lasttag == "script" and self._data == []:
            self._data.append(data)


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
            page = _Page(response.text)
            form, extra = self._choose(page, phone, code, cancel)
            if response.is_error:
                raise SignInFailed(page.text, response.status_code)
            if form is None:
                if page.completion is not None:
                    self.completions.append(_posted(page.completion, url))
                return url
            response = self._client.post(urljoin(url, form.action), data={**form.fields, **extra})
        raise SignInFailed("the sign-in has too many pages", response.status_code)

    @staticmethod
    def _choose(page: _Page, phone: str, code: str, cancel: bool) -> tuple[_Form | None, dict[str, str]]:
        ways = {"phone": {"phone": phone}, "code": {"code": code}, "allow": {}}
        for button, values in ({"cancel": {}} if cancel else ways).items():
            form = page.form_with(button)
            if form is not None:
                return form, {**values, "do": button}
        return None, {}


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
