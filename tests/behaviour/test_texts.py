"""Pages and buttons in the language and in the layout of the app."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest
from jinja2 import DictLoader, Environment
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from configure_auth import SettingsError
from configure_auth.errors import Code
from configure_auth.ui import pages, wording

from ..support.reading import ending
from ..support.web import Adapter, MakeWeb

ENGLISH = wording.texts[Code.WRONG_BROWSER]
GERMAN = {
    "wrong_browser.heading": "Diese Anmeldung ist abgelaufen",
    "wrong_browser.sentence": "Sie muss in 15 Minuten beendet sein.",
    "continue": "Weiter mit <Configure>",
    "disconnect": "Von Configure trennen",
    "confirm_login.heading": "Mit Configure anmelden?",
}
CHINESE = {"wrong_browser.heading": "此登录是在另一个浏览器中开始的"}
ARABIC = {"lang": "ar", "dir": "rtl", "wrong_browser.heading": "انتهت صلاحية تسجيل الدخول"}
EXPIRED = "/auth/configure/callback?code=c&state=" + "s" * 65
"""A callback whose attempt nobody knows; the browser needs a cookie to be told so."""


@pytest.fixture
def store() -> str:
    """No store matters here."""
    return "memory"


def heading(response: httpx2.Response) -> str:
    (found,) = re.findall(r"<h1>(.*?)</h1>", response.text)
    return str(found)


def of_page(response: httpx2.Response) -> tuple[str, str, str]:
    """Language, direction and heading."""
    ((language, direction),) = re.findall(r'<html lang="(.*?)"(?: dir="(.*?)")?>', response.text)
    return language, direction or "ltr", heading(response)


def expire(web: Any, **headers: str) -> httpx2.Response:
    with web.browser() as browser:
        browser.get("/auth/configure/sign-in")
        response: httpx2.Response = browser.get(EXPIRED, **headers)
    return response


@pytest.mark.parametrize(
    ("accepted", "page"),
    [
        ("de-AT, en;q=0.5", ("de", "ltr", GERMAN["wrong_browser.heading"])),
        ("zh-Hans-CN, de", ("zh-Hans", "ltr", CHINESE["wrong_browser.heading"])),
        ("fr, AR;q=0.9, de;q=0.8", ("ar", "rtl", ARABIC["wrong_browser.heading"])),
        ("en-GB, de;q=0.9", ("en", "ltr", ENGLISH.heading)),
        ("de;q=0, *", ("en", "ltr", ENGLISH.heading)),
        ("", ("en", "ltr", ENGLISH.heading)),
        ("x" * 5000 + ", ;q=, de;q=nan", ("en", "ltr", ENGLISH.heading)),
    ],
)
def test_texts_by_the_languages_of_the_browser(make_web: MakeWeb, accepted: str, page: tuple[str, str, str]) -> None:
    web = make_web(constructor={"texts": {"de": GERMAN, "ar": ARABIC, "zh_Hans": CHINESE}})

    response = expire(web, accept_language=accepted)

    assert of_page(response) == page
    assert ENGLISH.way_on in response.text  # a missing key is English


def test_a_script_reads_the_message_in_the_language_of_its_page(make_web: MakeWeb) -> None:
    web = make_web(constructor={"texts": {"de": GERMAN}})

    found = expire(web, accept="application/json", accept_language="de").json()

    assert found == {"error": "wrong_browser", "message": GERMAN["wrong_browser.sentence"]}


def test_one_mapping_is_for_everybody(make_web: MakeWeb) -> None:
    web = make_web(constructor={"texts": {**GERMAN, "lang": "de"}})

    assert of_page(expire(web, accept_language="en")) == ("de", "ltr", GERMAN["wrong_browser.heading"])


def test_a_function_of_the_language_is_asked_from_the_preferred_one_on(make_web: MakeWeb) -> None:
    asked = []

    def texts(language: str) -> dict[str, str] | None:
        asked.append(language)
        return GERMAN if language == "de" else None

    web = make_web(constructor={"texts": texts})

    assert of_page(expire(web, accept_language="pt-BR, de-CH, en")) == ("de", "ltr", GERMAN["wrong_browser.heading"])
    assert asked[-4:] == ["pt-BR", "pt", "de-CH", "de"]


def test_locale_decides_before_the_browser(make_web: MakeWeb, adapter: Adapter) -> None:
    """Flask-Babel's `get_locale` returns an object whose string has an underscore."""

    class Locale:
        def __str__(self) -> str:
            return "de_DE"

    web = make_web(constructor={"texts": {"de": GERMAN}, "locale": lambda *_request: Locale()})

    assert of_page(expire(web, accept_language="en"))[0] == "de"


@pytest.mark.parametrize("broken", ["texts", "locale", "key"])
def test_a_broken_hook_leaves_the_page_in_english(
    make_web: MakeWeb, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    def fail(*_given: object) -> Any:
        raise RuntimeError("planted")

    constructor: dict[str, Any] = {
        "texts": {"texts": fail, "locale": {"fr": GERMAN}, "key": lambda language: {"wrong_browsr.heading": "x"}}[
            broken
        ]
    }
    constructor |= {"locale": fail} if broken == "locale" else {}

    response = expire(make_web(constructor=constructor), accept_language="de")

    assert (response.status_code, *of_page(response)) == (400, "en", "ltr", ENGLISH.heading)
    assert ("wrong_browser.heading" if broken == "key" else "planted") in caplog.text


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"wrong_browsr.heading": "x"}, "unknown key 'wrong_browsr.heading'; did you mean 'wrong_browser.heading'?"),
        ({"de": GERMAN, "fr": {"Titel": "x"}}, "unknown key 'Titel'"),
        ([GERMAN], "got a list"),
        ({"dir": "up"}, 'expected "ltr" or "rtl"'),
        ({"continue": " "}, "continue must be a text"),
        ({"continue": 5}, "continue must be a text"),
        ({"de": GERMAN, "continue": "x"}, "unknown key 'de'"),
    ],
)
def test_texts_that_cannot_be_meant_are_refused(make_web: MakeWeb, texts: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        make_web(constructor={"texts": texts})
    with pytest.raises(SettingsError, match="locale chooses the language of texts="):
        make_web(constructor={"locale": lambda: "de"})


def add_form(app: Any, configure_auth: Any) -> None:
    """A page with what templates have: the button and the form to disconnect."""
    source = "{{ configure_button() }}{{ configure_disconnect_form() }}"
    if hasattr(app, "add_url_rule"):
        app.add_url_rule("/form", "form", lambda: app.jinja_env.from_string(source).render())
        return
    templates = Jinja2Templates(env=Environment(loader=DictLoader({"form.html": source}), autoescape=True))
    configure_auth.install(templates)
    app.router.routes.append(Route("/form", lambda request: templates.TemplateResponse(request, "form.html")))


@pytest.mark.parametrize("locale", [None, "de"])
def test_the_button_and_the_form_have_the_words(make_web: MakeWeb, locale: str | None) -> None:
    constructor: dict[str, Any] = {"texts": {"de": GERMAN}}
    constructor |= {"locale": lambda *_request: locale} if locale else {}
    web = make_web(customise=add_form, constructor=constructor)
    with web.browser() as browser:
        page = browser.get("/form", accept_language="en" if locale else "de").text
        settings = browser.get("/settings", accept_language="en" if locale else "de").text

    assert "<span>Weiter mit &lt;Configure&gt;</span>" in page
    assert ">Von Configure trennen</button>" in page
    assert "<span>Weiter mit &lt;Configure&gt;</span>" in settings


LAYOUT = """<html><head><title>{% block title %}{% endblock %} - Shop</title>
<link rel="stylesheet" href="/shop.css"></head>
<body><nav>{{ greeting }}</nav>{% block content %}{% endblock %}</body></html>"""
BROKEN = {"no content": "<html>{% block title %}{% endblock %}</html>", "broken": "{{ 1 // 0 }}", "none": None}


def add_layout(source: str | None) -> Any:
    templates = {} if source is None else {"layout.html": source}

    def customise(app: Any, configure_auth: Any) -> None:
        if hasattr(app, "add_url_rule"):
            app.jinja_loader = DictLoader(templates)
            app.context_processor(lambda: {"greeting": "Hello from the shop"})
            return
        found = Jinja2Templates(
            env=Environment(loader=DictLoader(templates), autoescape=True),
            context_processors=[lambda request: {"greeting": "Hello from the shop"}],
        )
        configure_auth.install(found)

    return customise


def test_a_page_wears_the_apps_layout_and_keeps_our_headers(make_web: MakeWeb) -> None:
    texts = {"wrong_browser.heading": "<Too late>"}
    web = make_web(customise=add_layout(LAYOUT), constructor={"base_template": "layout.html", "texts": texts})

    response = expire(web)

    assert ending(response) == (400, "wrong_browser")
    assert "<nav>Hello from the shop</nav>" in response.text
    assert "<title>&lt;Too late&gt; - Shop</title>" in response.text
    assert heading(response) == "&lt;Too late&gt;"
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert re.fullmatch(r"'self' 'sha256-\S+'", policy["style-src"])
    assert (policy["img-src"], policy["font-src"], policy["form-action"]) == ("'self' data:", "'self'", "'self'")
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"


def test_the_page_to_confirm_is_in_the_layout_and_the_one_that_may_be_framed_is_not(make_web: MakeWeb) -> None:
    web = make_web(customise=add_layout(LAYOUT), constructor={"base_template": "layout.html"})
    with web.browser() as browser:
        asks = browser.get("/auth/configure/sign-in", site="cross-site", sec_fetch_mode="navigate")
        framed = browser.get("/auth/configure/sign-in", sec_fetch_mode="navigate", sec_fetch_dest="iframe")

    assert "Hello from the shop" in asks.text
    assert 'class="actions confirm"' in asks.text
    assert "pointer-events: none" in asks.text
    assert "Hello from the shop" not in framed.text
    assert "frame-ancestors *" in framed.headers["content-security-policy"]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_layout_leaves_the_plain_page(
    make_web: MakeWeb, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    web = make_web(customise=add_layout(BROKEN[broken]), constructor={"base_template": "layout.html"})

    response = expire(web)

    assert of_page(response) == ("en", "ltr", ENGLISH.heading)
    assert response.headers["content-security-policy"] == pages.CONTENT_SECURITY_POLICY
    assert "base_template='layout.html'" in caplog.text


def test_on_starlette_a_layout_needs_templates(make_web: MakeWeb, adapter: Adapter) -> None:
    if adapter == "starlette":
        web = make_web(constructor={"base_template": "layout.html"})
        assert of_page(expire(web))[2] == ENGLISH.heading
