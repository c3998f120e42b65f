"""What somebody does on the sandbox's pages, in a real browser."""

from __future__ import annotations

from playwright.sync_api import Page

__all__ = ["ADA", "answer"]

ADA = "+15550100001"


def answer(page: Page, url: str, phone: str = ADA, *, button: str = "Allow") -> None:
    """Open a sign-in, prove a phone and press a button of the last page."""
    page.goto(url)
    page.get_by_label("Phone number").fill(phone)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Six-digit code").fill("000000")
    page.get_by_role("button", name="Verify").click()
    page.get_by_role("button", name=button, exact=True).click()
