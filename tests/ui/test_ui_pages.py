from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Literal

import pytest

from configure_auth.errors import Code
from configure_auth.ui import pages, wording

HOSTILE = "\"'><script>alert(1)</script><style>*{color:red}</style><a href=javascript:x>{{ 7*7 }}&amp;"

EVERY_PAGE = [
    pytest.param(pages.ConfirmPage("link", "/configure/sign-in"), id="confirm-link"),
    pytest.param(pages.ConfirmPage("login", "/auth/configure/sign-in"), id="confirm-login"),
    pytest.param(pages.ReloadPage(), id="reload"),
    pytest.param(pages.WaitPage(), id="wait"),
    pytest.param(pages.TerminalPage(), id="terminal"),
    *(pytest.param(pages.ErrorPage(code, "/again", "/home"), id=f"error-{code}") for code in Code),
]

every_page = pytest.mark.parametrize("page", EVERY_PAGE)


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, list[str]] = {}
        self._open = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.setdefault(self._open, []).append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.seen if name == tag]


def test_every_code_has_its_own_words() -> None:
    assert set(wording.texts) == set(Code)
    assert len({text.heading for text in wording.texts.values()}) == len(Code)
    for text in wording.texts.values():
        assert not text.heading.endswith(".")
        assert text.sentence.endswith(".")
        assert text.way_on.endswith(".")


@pytest.mark.parametrize("code", Code)
def test_the_words_need_no_developer(code: Code) -> None:
    words = " ".join(dataclasses.astuple(wording.texts[code])).lower()
    jargon = (
        r"states?|tokens?|o-?auth\d?|codes?|verifier|pkce|csrf|csp|ur[il]s?|https?|api|sso|otp|agents?|callbacks?|"
        r"redirect\w*|sessions?|parameters?|requests?|upstream|server|store|database|host|invalid|authenticat\w*|"
        r"authoris\w*|authoriz\w*|credentials?|consent|null|none|error|failed|timeout|\d{3}"
    )
    assert not re.findall(rf"\b(?:{jargon})\b", words)


@pytest.mark.parametrize("code", Code)
def test_the_words_say_that_nothing_is_lost(code: Code) -> None:
    assert re.search(
        r"nothing (is|was|you)|nothing you had here is lost|neither account was changed|as (they were|it was)|"
        r"nothing is lost",
        wording.texts[code].sentence.lower(),
    )


@every_page
def test_a_page_is_one_plain_document(page: pages.Page) -> None:
    html = pages.render(page)
    tags = Tags(html)
    assert html.startswith("<!doctype html>")
    assert tags.all("html") == [{"lang": "en"}]
    assert len(tags.all("h1")) == len(tags.all("main")) == len(tags.all("title")) == 1
    assert tags.words["title"] == tags.words["h1"]
    assert {"name": "robots", "content": "noindex"} in tags.all("meta")
    assert {"name": "referrer", "content": "no-referrer"} in tags.all("meta")
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in tags.all("meta")


@every_page
def test_a_page_loads_nothing_and_runs_nothing(page: pages.Page) -> None:
    html = pages.render(page)
    for tag, attrs in Tags(html).seen:
        assert tag not in {"script", "link", "img", "image", "iframe", "object", "form", "use", "base"}
        assert not {"style", "src", "srcset", "xlink:href"} & attrs.keys()
        assert not [name for name in attrs if name.startswith("on")]
    style = html.partition("<style>")[2].partition("</style>")[0]
    assert not re.search(r"url\(|@import|expression", style)


@every_page
def test_the_policy_allows_the_style_of_the_page_and_no_other(page: pages.Page) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", pages.render(page), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert pages.CONTENT_SECURITY_POLICY.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]


@pytest.mark.parametrize("intent", ["link", "login"])
def test_the_confirm_page_goes_on_by_one_link(intent: Literal["link", "login"]) -> None:
    html = pages.render(pages.ConfirmPage(intent, "/configure/sign-in?next=%2Fa&b=c"))
    (link,) = Tags(html).all("a")
    assert link["href"] == "/configure/sign-in?next=%2Fa&b=c"
    assert "close this page" in html
    assert "refresh" not in html


def test_confirming_a_link_and_a_login_says_different_things() -> None:
    link, login = (pages.render(pages.ConfirmPage(intent, "/x")) for intent in ("link", "login"))
    assert "connected" in link
    assert "signed in" in login
    assert Tags(link).words["h1"] != Tags(login).words["h1"]


@pytest.mark.parametrize(
    ("page", "seconds"), [(pages.ReloadPage(), "0"), (pages.WaitPage(), "1"), (pages.WaitPage(4, Code.BUSY), "4")]
)
def test_a_page_that_reloads_names_no_address_and_shows_that_it_works(page: pages.Page, seconds: str) -> None:
    tags = Tags(pages.render(page))
    assert tags.all("progress") == [{"aria-label": tags.words["h1"][0]}]
    assert {"http-equiv": "refresh", "content": seconds} in tags.all("meta")
    assert not tags.all("a")


@pytest.mark.parametrize("code", Code)
def test_an_error_page_says_what_happened_and_how_to_go_on(code: Code) -> None:
    tags = Tags(pages.render(pages.ErrorPage(code, "/again?a=1&b=2", "/home")))
    text = wording.texts[code]
    assert tags.words["h1"] == [text.heading]
    assert text.sentence in tags.words["p"]
    assert text.way_on in tags.words["p"]
    assert tags.words["code"] == [code.value]
    assert [link["href"] for link in tags.all("a")] == ["/again?a=1&b=2", "/home"]
    assert not tags.all("progress")


def test_an_error_page_without_a_retry_leads_back_only() -> None:
    tags = Tags(pages.render(pages.ErrorPage(Code.LOGIN_REFUSED, None, "https://app.example/")))
    assert [link["href"] for link in tags.all("a")] == ["https://app.example/"]


def test_the_apps_own_sentence_stands_in_the_place_of_ours() -> None:
    html = pages.render(pages.ErrorPage(Code.LOGIN_REFUSED, None, "/", sentence="Come back on Monday."))
    assert "Come back on Monday." in Tags(html).words["p"]
    assert wording.texts[Code.LOGIN_REFUSED].sentence not in html
    blank = pages.render(pages.ErrorPage(Code.LOGIN_REFUSED, None, "/", sentence=" \n "))
    assert wording.texts[Code.LOGIN_REFUSED].sentence in Tags(blank).words["p"]


def test_a_hostile_sentence_is_text() -> None:
    plain = Tags(pages.render(pages.ErrorPage(Code.LOGIN_REFUSED, None, "/", sentence="plain")))
    hostile = Tags(pages.render(pages.ErrorPage(Code.LOGIN_REFUSED, None, "/", sentence=HOSTILE)))
    assert hostile.seen == plain.seen
    assert HOSTILE in hostile.words["p"]


def test_hostile_hrefs_stay_hrefs() -> None:
    tags = Tags(pages.render(pages.ErrorPage(Code.EXPIRED, "/r?" + HOSTILE, "/h?" + HOSTILE)))
    assert [link["href"] for link in tags.all("a")] == ["/r?" + HOSTILE, "/h?" + HOSTILE]
    assert not tags.all("script")
    (link,) = Tags(pages.render(pages.ConfirmPage("link", "/c?" + HOSTILE))).all("a")
    assert link["href"] == "/c?" + HOSTILE


@pytest.mark.parametrize("href", ["javascript:alert(1)", "//evil.example", "data:text/html,x", ""])
def test_a_page_refuses_an_address_that_is_none(href: str) -> None:
    with pytest.raises(ValueError, match="href"):
        pages.ConfirmPage("link", href)
    with pytest.raises(ValueError, match="href"):
        pages.ErrorPage(Code.EXPIRED, href, "/")
    with pytest.raises(ValueError, match="href"):
        pages.ErrorPage(Code.EXPIRED, None, href)


def test_pages_and_texts_are_frozen() -> None:
    page = pages.ErrorPage(Code.EXPIRED, None, "/")
    with pytest.raises(dataclasses.FrozenInstanceError):
        page.home_href = "/other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        wording.texts[Code.EXPIRED] = wording.texts[Code.CANCELLED]  # type: ignore[index]


def test_the_documentation_lists_every_key() -> None:
    """Each label's key and text, and each page's key and heading."""
    page = (Path(__file__).parents[2] / "docs" / "translating.md").read_text(encoding="utf-8")
    rows = {(cells[1].strip(" `"), cells[3].strip()) for line in page.splitlines() if len(cells := line.split("|")) > 4}

    parts = {key: key.removesuffix(".heading") for key in wording.ENGLISH if "." not in key or key.endswith(".heading")}
    assert {(name, wording.ENGLISH[key]) for key, name in parts.items()} <= rows
