"""The button and the pages as a real browser shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, expect

from configure_auth.errors import Code
from configure_auth.ui import buttons, pages, wording

from ..support.stores import first

if TYPE_CHECKING:
    from tests.ui.conftest import OpenTab, Site

STRICT = "default-src 'self'; base-uri 'none'; form-action 'self'; object-src 'none'; frame-ancestors 'none'"

Colours = Callable[[bytes, list[tuple[int, int]]], list[str]]

BORDER, SURFACE = (120, 0), (6, 22)


LABEL_OFF_CENTRE = """link => {
    const box = link.getBoundingClientRect(), range = document.createRange();
    range.selectNodeContents(link.querySelector("span"));
    const label = range.getBoundingClientRect();
    return [label.left + label.right - box.left - box.right, label.top + label.bottom - box.top - box.bottom]
        .map((twice) => Math.abs(twice) / 2);
}"""


def app_page(body: str, *, scheme: str | None = None) -> str:
    """A page of an app with the button's stylesheet, as the app serves it."""
    meta = f'<meta name="color-scheme" content="{scheme}">' if scheme else ""
    sheet = '<link rel="stylesheet" href="/button.css">' if "configure-button" in body else ""
    head = f"<title>An app</title>{meta}{sheet}"
    return f'<!doctype html><html lang="en"><head>{head}</head><body><div>{body}</div></body></html>'


@pytest.fixture(autouse=True)
def button_style(site: Site) -> None:
    site.serve("/button.css", buttons.BUTTON_STYLE, "text/css")


def look(locator: Locator, colours: Colours) -> tuple[str, str]:
    border, surface = colours(locator.screenshot(), [BORDER, SURFACE])
    return border, surface


@pytest.mark.parametrize(
    ("theme", "surface"), first([("light", "#ffffff"), ("dark", "#1f2328"), ("auto", "#ffffff")], rows=True)
)
def test_a_button_looks_right_under_the_strictest_policy(
    site: Site, open_tab: OpenTab, colours: Colours, theme: buttons.Theme, surface: str
) -> None:
    tab = open_tab(site.page("/", app_page(buttons.button("/go", theme=theme)), policy=STRICT))
    assert tab.console == []
    box = tab.page.locator("a").bounding_box()
    assert box is not None
    assert box["height"] == 44
    assert look(tab.page.locator("a"), colours) == ("#747775", surface)


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
    url = site.page("/", app_page(buttons.button("/go", theme="auto"), scheme=page), policy=STRICT)
    tab = open_tab(url, color_scheme=reader)
    assert look(tab.page.locator("a"), colours)[1] == surface


@pytest.mark.extended
def test_auto_is_light_where_light_dark_is_unknown(site: Site, open_tab: OpenTab, colours: Colours) -> None:
    site.serve("/button.css", buttons.BUTTON_STYLE.replace("light-dark(", "from-the-future("), "text/css")
    drawn = app_page(buttons.button("/go", theme="auto"), scheme="light dark")
    tab = open_tab(site.page("/", drawn, policy=STRICT), color_scheme="dark")
    assert look(tab.page.locator("a"), colours) == ("#747775", "#ffffff")
    paint = "node => [getComputedStyle(node).color, getComputedStyle(node).stroke]"
    assert tab.page.locator("a").evaluate(paint) == ["rgb(31, 31, 31)", "none"]
    assert tab.page.locator("svg").evaluate(paint)[1] == "rgb(88, 102, 117)"


@pytest.mark.parametrize(
    "label", first(["Continue with Configure", "Reconnect Configure", "Mit Configure weitermachen"])
)
def test_a_screen_reader_hears_a_link_with_the_label_once(site: Site, open_tab: OpenTab, label: str) -> None:
    tab = open_tab(site.page("/", app_page(buttons.button("/go", label=label)), policy=STRICT))
    expect(tab.page.get_by_role("link", name=label, exact=True)).to_have_count(1)
    assert tab.page.locator("body").aria_snapshot() == f'- link "{label}":\n  - /url: /go'


@pytest.mark.parametrize(
    ("font", "label"),
    first([("serif", "Continue with Configure"), ("monospace", "続ける"), ("sans-serif", "Go")], rows=True),
)
def test_the_label_is_centred_in_every_font(site: Site, open_tab: OpenTab, font: str, label: str) -> None:
    style = f"<style>:root {{ --configure-button-font: {font} }} a {{ width: var(--wide) }}</style>"
    tab = open_tab(site.page("/", app_page(style + str(buttons.button("/go", label=label)))))
    button = tab.page.locator("a")
    for wide in ("auto", "400px", "100%"):
        tab.page.evaluate(f"document.documentElement.style.setProperty('--wide', '{wide}')")
        across, down = button.evaluate(LABEL_OFF_CENTRE)
        assert across < 1
        assert down < 2


def test_the_button_grows_with_the_readers_text_and_breaks_where_there_is_no_room(
    site: Site, open_tab: OpenTab
) -> None:
    tab = open_tab(site.page("/", app_page(buttons.button("/go"))), viewport={"width": 320, "height": 480})
    size = "node => [parseFloat(getComputedStyle(node).fontSize), node.offsetHeight, node.offsetWidth]"
    for percent, least in ((50, 15), (100, 16), (200, 32)):
        tab.page.evaluate(f"document.documentElement.style.fontSize = '{percent}%'")
        font, height, _ = tab.page.locator("a").evaluate(size)
        assert (font, height >= max(44, 2.75 * least)) == (least, True)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 320


def test_an_app_restyles_the_button_by_properties(site: Site, open_tab: OpenTab, colours: Colours) -> None:
    names = {"surface": "#0000ff", "border": "#ff0000", "ink": "#fff", "mark": "#fff", "radius": "0", "size": "20px"}
    style = "".join(f"--configure-button-{name}: {value};" for name, value in names.items())
    tab = open_tab(site.page("/", app_page(f"<style>:root {{{style}}}</style>{buttons.button('/go', theme='dark')}")))
    assert look(tab.page.locator("a"), colours) == ("#ff0000", "#0000ff")
    found = "node => { const s = getComputedStyle(node); return [s.fontSize, s.color, s.borderTopLeftRadius] }"
    assert tab.page.locator("a").evaluate(found) == ["20px", "rgb(255, 255, 255)", "0px"]


def test_the_app_around_it_does_not_change_it(site: Site, open_tab: OpenTab, colours: Colours) -> None:
    at_one_place = "<style>a { position: absolute; top: 0; left: 0 }</style>"
    loud = """<style>
        body { letter-spacing: 9px; text-indent: 9px; text-transform: uppercase; fill: red;
               stroke: red; font: italic 40px serif }
        a, a:hover, a:visited { color: red; text-decoration: underline }
        svg { fill: currentColor; stroke: currentColor; stroke-width: 9 }
    </style>"""
    plain = open_tab(site.page("/", app_page(at_one_place + str(buttons.button("/go")))))
    dressed = open_tab(site.page("/dressed", app_page(at_one_place + loud + str(buttons.button("/go")))))
    for tab in (plain, dressed):
        tab.page.locator("a").hover()
    points = [(x, y) for x in range(0, 240, 2) for y in range(0, 44, 2)]
    seen = [colours(tab.page.locator("a").screenshot(), points) for tab in (plain, dressed)]
    assert seen[0] == seen[1]


def test_the_tab_key_reaches_every_button_and_the_browsers_ring_shows(site: Site, open_tab: OpenTab) -> None:
    themes: tuple[buttons.Theme, ...] = ("light", "dark", "auto")
    many = " ".join(buttons.button(f"/go-{number}", theme=theme) for number, theme in enumerate(themes))
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
    tab = open_tab(site.page("/", app_page(" ".join(buttons.button(f"/{n}") for n in range(4))), policy=STRICT))
    assert tab.page.locator("[id]").count() == 0
    expect(tab.page.get_by_role("link", name="Continue with Configure", exact=True)).to_have_count(4)


def test_a_style_that_the_policy_does_not_know_would_be_seen(site: Site, open_tab: OpenTab) -> None:
    html = pages.render(pages.ErrorPage(Code.EXPIRED, None, "/")).replace("<main>", '<main style="color: red">')
    tab = open_tab(site.page("/", html, policy=pages.CONTENT_SECURITY_POLICY))
    assert "Content Security Policy" in " ".join(tab.console)


@pytest.mark.parametrize(
    ("scheme", "ground"), first([("light", "rgb(243, 244, 246)"), ("dark", "rgb(16, 19, 23)")], rows=True)
)
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(pages.ConfirmPage("link", "/go"), id="confirm-link"),
        pytest.param(pages.ConfirmPage("login", "/go"), id="confirm-login"),
        pytest.param(pages.ErrorPage(Code.COOKIE_MISSING, "/again", "/home"), id="error"),
        pytest.param(pages.ErrorPage(Code.LOGIN_REFUSED, None, "/home", "<b>" + "x" * 90), id="error-refused"),
    ],
)
def test_a_page_shows_as_drawn_under_its_own_policy(
    site: Site, open_tab: OpenTab, page: pages.Page, scheme: str, ground: str
) -> None:
    url = site.page("/page", pages.render(page), policy=pages.CONTENT_SECURITY_POLICY)
    tab = open_tab(url, color_scheme=scheme, viewport={"width": 320, "height": 480})
    assert tab.console == []
    assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 320
    assert site.asked == ["/page"]


@pytest.mark.extended
def test_every_error_page_fits_a_small_phone_with_text_twice_as_large(site: Site, open_tab: OpenTab) -> None:
    tab = open_tab(site.page("/", app_page("")), viewport={"width": 320, "height": 480})
    for code in Code:
        page = pages.ErrorPage(code, "/again", "/home")
        tab.page.goto(site.page("/page", pages.render(page), policy=pages.CONTENT_SECURITY_POLICY))
        expect(tab.page.get_by_role("heading", name=wording.texts[code].heading, level=1)).to_be_visible()
        tab.page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 320
    assert tab.console == []


def test_the_confirm_page_says_where_its_link_leads(site: Site, open_tab: OpenTab) -> None:
    url = site.page("/", pages.render(pages.ConfirmPage("login", "/go")), policy=pages.CONTENT_SECURITY_POLICY)
    tab = open_tab(url)
    tab.page.get_by_role("link", name="Continue with Configure", exact=True).click()
    tab.page.wait_for_url("**/go")


@pytest.mark.parametrize("page", [pages.ReloadPage(), pages.WaitPage()], ids=["reload", "wait"])
def test_a_page_that_reloads_asks_for_the_same_address(site: Site, open_tab: OpenTab, page: pages.Page) -> None:
    url = site.page("/back", pages.render(page), app_page("You are in"), policy=pages.CONTENT_SECURITY_POLICY)
    tab = open_tab(url + "?a=b&c=d")
    expect(tab.page.get_by_text("You are in")).to_be_visible()
    assert site.asked == ["/back?a=b&c=d"] * 2
    assert tab.console == []


def test_focus_shows_on_the_links_of_a_page(site: Site, open_tab: OpenTab) -> None:
    url = site.page("/", pages.render(pages.ErrorPage(Code.EXPIRED, "/r", "/h")), policy=pages.CONTENT_SECURITY_POLICY)
    tab = open_tab(url)
    for href in ("/r", "/h"):
        tab.page.keyboard.press("Tab")
        assert tab.page.evaluate("document.activeElement.getAttribute('href')") == href
        assert tab.page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"


@pytest.mark.extended
def test_forced_colours_keep_links_and_label_readable(site: Site, open_tab: OpenTab, colours: Colours) -> None:
    url = site.page("/", pages.render(pages.ConfirmPage("link", "/go")), policy=pages.CONTENT_SECURITY_POLICY)
    tab = open_tab(url, forced_colors="active", color_scheme="dark")
    ink, mark = "node => getComputedStyle(node).color", "node => getComputedStyle(node).stroke"
    found = (
        tab.page.locator(".configure-button").evaluate(ink),
        tab.page.locator(".configure-button svg").evaluate(mark),
    )
    surface = look(tab.page.locator(".configure-button"), colours)[1]
    assert found[0] == found[1] != "rgb(31, 31, 31)"
    assert surface == "#000000"


HOLD_ANIMATIONS = """document.addEventListener("animationstart", ({target}) => {
    for (const one of target.getAnimations()) { one.pause(); one.currentTime = 1; }
})"""


def test_confirm_page_ignores_the_end_of_a_double_click(site: Site, open_tab: OpenTab) -> None:
    """Its link is inert when the page was just loaded, and again when the pointer just came to its window."""
    url = site.page("/confirm", pages.render(pages.ConfirmPage("login", "/go")), policy=pages.CONTENT_SECURITY_POLICY)
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
    url = site.page("/confirm", pages.render(pages.ConfirmPage("login", "/go")), policy=pages.CONTENT_SECURITY_POLICY)
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
