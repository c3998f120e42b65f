"""The button and a plain link to the start, on pages with htmx 2 and 4 and Turbo 8, and in a frame."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.extended

PACKAGES = {
    "htmx2": ("htmx.org", "2.0.11", "dist/htmx.min.js"),
    "htmx4": ("htmx.org", "4.0.1", "dist/htmx.min.js"),
    "turbo": ("@hotwired/turbo", "8.0.23", "dist/turbo.es2017-umd.js"),
}
BOOSTS = {"htmx2": 'hx-boost="true"', "htmx4": 'hx-boost:inherited="true"', "turbo": ""}
