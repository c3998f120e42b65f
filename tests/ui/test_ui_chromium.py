"""The button and the pages as a real browser shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, expect

from configure_auth import ui
from configure_auth.errors import Code

from ..support.stores import first

if TYPE_CHECKING:
    from tests.ui.conftest import OpenTab, Site

STRICT = "default-src 'self'; base-uri 'none'; form-action 'self'; object-src 'none'; frame-ancestors 'none'"

Colours = Callable[[bytes, list[tuple[int, int]]], list[str]]

BORDER, SURFACE = (120, 0), (12, 20)


def app_page(body: str, *, scheme: str | None = None) -> str:
    meta = f'<meta name="color-scheme" content="{scheme}">' if scheme else ""
    return (
        f'<!doctype html><html lang="en"><head><title>An app</title>{meta}</head><body><div>{body}</div></body></html>'
    )


def look(locator: Locator, colours: Colours) -> tuple[str, str]:
    border, surface = colours(locator.screenshot(), [BORDER, SURFACE])
    return border, surface


@pytest.mark.parametrize(
    ("theme", "surface"), first([("light", "#ffffff"), ("dark", "#1f2328"), ("auto", "#ffffff")], rows=True)
)
def test_a_button_looks_right_under_the_strictest_policy(
    site: Site, open_tab: OpenTab, colours: Colours, theme: ui.Theme, surface: str
) -> None:
    tab = open_tab(site.page("/", app_page(ui.button("/go", theme=theme)), policy=STRICT))
    assert tab.console == []
    box = tab.page.locator("svg").bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (240, 40)
    assert look(tab.page.locator("svg"), colours) == ("#747775", surface)


@pytest.mark.parametrize(
    ("reader", "page", "surface"),
    first(
        [
            ("dark", "light dark", "#1f2328"),
            ("light", "light dark", "#ffffff"),
            ("dark", None, "#ffffff"),
            ("light", "dark", "#1f2328"),
        ],
        rows=True,
    ),
)
def test_auto_takes_the_scheme_that_the_page_is_shown_in(
    site: Site, open_tab: OpenTab, colours: Colours, reader: str, page: str | None, surface: str
) -> None:
    url = site.page("/", app_page(ui.button("/go", theme="auto"), scheme=page), policy=STRICT)
    tab = open_tab(url, color_scheme=reader)
    assert look(tab.page.locator("svg"), colours)[1] == surface


@pytest.mark.extended
def test_auto_is_light_where_light_dark_is_unknown(site: Site, open_tab: OpenTab, colours: Colours) -> None:
    drawn = ui.button("/go", theme="auto").replace("light-dark(", "from-the-future(")
    tab = open_tab(site.page("/", app_page(drawn, scheme="light dark"), policy=STRICT), color_scheme="dark")
    assert look(tab.page.locator("svg"), colours) == ("#747775", "#ffffff")
    paint = "node => [getComputedStyle(node).fill, getComputedStyle(node).stroke]"
    assert tab.page.locator("text").evaluate(paint) == ["rgb(31, 31, 31)", "none"]
    assert tab.page.locator("g > g").evaluate(paint) == ["none", "rgb(88, 102, 117)"]


@pytest.mark.parametrize(
    "label", first(["Continue with Configure", "Reconnect Configure", "Mit Configure weitermachen"])
)
def test_a_screen_reader_hears_a_link_with_the_label_once(site: Site, open_tab: OpenTab, label: str) -> None:
    tab = open_tab(site.page("/", app_page(ui.button("/go", label=label)), policy=STRICT))
    expect(tab.page.get_by_role("link", name=label, exact=True)).to_have_count(1)
    assert tab.page.locator("body").aria_snapshot() == f'- link "{label}":\n  - /url: /go'


@pytest.mark.parametrize(
    "label", first(["Continue with Configure", "Reconnect Configure", "WWWWWW", "iiiiiiiiii", "続ける", "Go"])
)
def test_the_label_fits_its_button(site: Site, open_tab: OpenTab, label: str) -> None:
    tab = open_tab(site.page("/", app_page(ui.button("/go", label=label)), policy=STRICT))
    spare = tab.page.locator("svg").evaluate(
        """svg => {
            const box = svg.querySelector("text").getBBox();
            return svg.width.baseVal.value - (box.x + box.width);
        }"""
    )
    assert 8 <= spare <= 50


def test_the_app_around_it_does_not_change_it(site: Site, open_tab: OpenTab, colours: Colours) -> None:
    loud = """<style>
        body { direction: rtl; text-anchor: end; text-align: left; letter-spacing: 9px; fill: red; stroke: red;
               font: italic 40px serif }
        a { color: red; text-decoration: underline }
        svg { fill: currentColor; stroke: currentColor; stroke-width: 9 }
    </style>"""
    plain = open_tab(site.page("/", app_page(ui.button("/go"))))
    dressed = open_tab(site.page("/dressed", app_page(loud + ui.button("/go"))))
    points = [(x, y) for x in range(0, 240, 2) for y in range(0, 40, 2)]
    seen = [colours(tab.page.locator("svg").screenshot(), points) for tab in (plain, dressed)]
    assert seen[0] == seen[1]


def test_the_tab_key_reaches_every_button_and_the_browsers_ring_shows(site: Site, open_tab: OpenTab) -> None:
    themes: tuple[ui.Theme, ...] = ("light", "dark", "auto")
    many = " ".join(ui.button(f"/go-{number}", theme=theme) for number, theme in enumerate(themes))
    tab = open_tab(site.page("/", app_page(many), policy=STRICT))
    plain = tab.page.screenshot()
    for number in range(3):
        tab.page.keyboard.press("Tab")
        assert tab.page.evaluate("document.activeElement.getAttribute('href')") == f"/go-{number}"
        assert tab.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "auto"
        assert tab.page.screenshot() != plain
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url("**/go-2")


def test_many_buttons_on_one_page_share_no_id(site: Site, open_tab: OpenTab) -> None:
    tab = open_tab(site.page("/", app_page(" ".join(ui.button(f"/{n}") for n in range(4))), policy=STRICT))
    assert tab.page.locator("[id]").count() == 0
    expect(tab.page.get_by_role("link", name="Continue with Configure", exact=True)).to_have_count(4)


def test_a_style_that_the_policy_does_not_know_would_be_seen(site: Site, open_tab: OpenTab) -> None:
    html = ui.render(ui.ErrorPage(Code.EXPIRED, None, "/")).replace("<main>", '<main style="color: red">')
    tab = open_tab(site.page("/", html, policy=ui.CONTENT_SECURITY_POLICY))
    assert "Content Security Policy" in " ".join(tab.console)


@pytest.mark.parametrize(
    ("scheme", "ground"), first([("light", "rgb(243, 244, 246)"), ("dark", "rgb(16, 19, 23)")], rows=True)
)
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(ui.ConfirmPage("link", "/go"), id="confirm-link"),
        pytest.param(ui.ConfirmPage("login", "/go"), id="confirm-login"),
        pytest.param(ui.ErrorPage(Code.COOKIE_MISSING, "/again", "/home"), id="error"),
        pytest.param(ui.ErrorPage(Code.LOGIN_REFUSED, None, "/home", "<b>" + "x" * 90), id="error-refused"),
    ],
)
def test_a_page_shows_as_drawn_under_its_own_policy(
    site: Site, open_tab: OpenTab, page: ui.Page, scheme: str, ground: str
) -> None:
    url = site.page("/page", ui.render(page), policy=ui.CONTENT_SECURITY_POLICY)
    tab = open_tab(url, color_scheme=scheme, viewport={"width": 320, "height": 480})
    assert tab.console == []
    assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 320
    assert site.asked == ["/page"]


@pytest.mark.extended
def test_every_error_page_fits_a_small_phone_with_text_twice_as_large(site: Site, open_tab: OpenTab) -> None:
    tab = open_tab(site.page("/", app_page("")), viewport={"width": 320, "height": 480})
    for code in Code:
        page = ui.ErrorPage(code, "/again", "/home")
        tab.page.goto(site.page("/page", ui.render(page), policy=ui.CONTENT_SECURITY_POLICY))
        expect(tab.page.get_by_role("heading", name=ui.texts[code].heading, level=1)).to_be_visible()
        tab.page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 320
    assert tab.console == []


def test_the_confirm_page_says_where_its_link_leads(site: Site, open_tab: OpenTab) -> None:
    url = site.page("/", ui.render(ui.ConfirmPage("login", "/go")), policy=ui.CONTENT_SECURITY_POLICY)
    tab = open_tab(url)
    tab.page.get_by_role("link", name="Continue with Configure", exact=True).click()
    tab.page.wait_for_url("**/go")


@pytest.mark.parametrize("page", [ui.ReloadPage(), ui.WaitPage()], ids=["reload", "wait"])
def test_a_page_that_reloads_asks_for_the_same_address(site: Site, open_tab: OpenTab, page: ui.Page) -> None:
    url = site.page("/back", ui.render(page), app_page("You are in"), policy=ui.CONTENT_SECURITY_POLICY)
    tab = open_tab(url + "?a=b&c=d")
    expect(tab.page.get_by_text("You are in")).to_be_visible()
    assert site.asked == ["/back?a=b&c=d"] * 2
    assert tab.console == []


def test_focus_shows_on_the_links_of_a_page(site: Site, open_tab: OpenTab) -> None:
    url = site.page("/", ui.render(ui.ErrorPage(Code.EXPIRED, "/r", "/h")), policy=ui.CONTENT_SECURITY_POLICY)
    tab = open_tab(url)
    for href in ("/r", "/h"):
        tab.page.keyboard.press("Tab")
        assert tab.page.evaluate("document.activeElement.getAttribute('href')") == href
        assert tab.page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"


@pytest.mark.extended
def test_forced_colours_keep_links_and_label_readable(site: Site, open_tab: OpenTab, colours: Colours) -> None:
    url = site.page("/", ui.render(ui.ConfirmPage("link", "/go")), policy=ui.CONTENT_SECURITY_POLICY)
    tab = open_tab(url, forced_colors="active", color_scheme="dark")
    label = tab.page.locator("text").evaluate("node => getComputedStyle(node).fill")
    surface = look(tab.page.locator(".configure-button svg"), colours)[1]
    assert (label, surface) == ("rgb(255, 255, 255)", "#1f2328")


HOLD_ANIMATIONS = """document.addEventListener("animationstart", ({target}) => {
    for (const one of target.getAnimations()) { one.pause(); one.currentTime = 1; }
})"""


def test_confirm_page_ignores_the_end_of_a_double_click(site: Site, open_tab: OpenTab) -> None:
    """Its link is inert when the page was just loaded, and again when the pointer just came to its window."""
    url = site.page("/confirm", ui.render(ui.ConfirmPage("login", "/go")), policy=ui.CONTENT_SECURITY_POLICY)
    page = open_tab(site.page("/", app_page(""))).page
    page.add_init_script(HOLD_ANIMATIONS)
    page.goto(url)
    link = page.get_by_role("link")
    box = link.bounding_box()
    assert box is not None
    for name in ("inert", "inert-again"):
        page.wait_for_function(f"document.getAnimations()[0]?.animationName === '{name}'")
        page.mouse.click(box["x"] + 9, box["y"] + 9)
        assert page.evaluate("location.pathname") == "/confirm"
    page.evaluate("document.getAnimations().forEach(one => one.finish())")

    page.mouse.click(box["x"] + 9, box["y"] + 9)

    page.wait_for_url("**/go")


def test_confirm_page_ignores_the_end_of_a_double_tap(site: Site, open_tab: OpenTab) -> None:
    """On a touch screen no pointer comes to the window: only the load makes the link inert."""
    url = site.page("/confirm", ui.render(ui.ConfirmPage("login", "/go")), policy=ui.CONTENT_SECURITY_POLICY)
    page = open_tab(site.page("/", app_page("")), has_touch=True, is_mobile=True).page
    page.add_init_script(HOLD_ANIMATIONS)
    page.goto(url)
    box = page.get_by_role("link").bounding_box()
    assert box is not None
    page.wait_for_function("document.getAnimations()[0]?.animationName === 'inert'")
    page.touchscreen.tap(box["x"] + 9, box["y"] + 9)
    assert page.evaluate("location.pathname") == "/confirm"
    page.evaluate("document.getAnimations().forEach(one => one.finish())")

    page.touchscreen.tap(box["x"] + 9, box["y"] + 9)

    page.wait_for_url("**/go")
