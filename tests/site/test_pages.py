"""The pages of the site as a browser shows them: `make test-docs`, which builds the site before."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page

from .test_search import SITE, browser, chromium_executable, page, site

__all__ = ["browser", "chromium_executable", "page", "site"]


@pytest.mark.parametrize("folder", ["errors", "reference"])
def test_links_of_pages_in_folders_lead_to_pages(folder: str) -> None:
    """Those to pages beside the folder are links, not the name of a file."""
    pages = {found.name: found.read_text(encoding="utf-8") for found in (SITE / folder).glob("*.html")}

    assert pages
    lost = {name: re.findall(r'<span class="pre">[\w/-]+\.md', html) for name, html in pages.items()}
    assert {name: links for name, links in lost.items() if links} == {}


@pytest.mark.parametrize("name", ["index", "errors/cookie_missing", "reference/flask", "settings"])
def test_a_page_fits_a_phone_and_the_keyboard_reaches_what_scrolls(name: str, site: str, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto(f"{site}/{name}.html")

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    wide = """boxes => boxes.filter(box => box.scrollWidth > box.clientWidth && box.tabIndex !== 0).length"""
    assert page.eval_on_selector_all("article pre, article .table-wrapper", wide) == 0
    assert page.locator(".caption[role=heading]:not([aria-level])").count() == 0
    title = page.locator("article h1").evaluate(
        "h1 => h1.getBoundingClientRect().height / parseFloat(getComputedStyle(h1).lineHeight)"
    )
    assert round(title) == 1
