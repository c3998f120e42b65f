from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from configure_auth import ui


class Reader(HTMLParser):
    """Keeps the tags, attributes and words of a piece of HTML as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data)


def first(html: str, tag: str) -> dict[str, str | None]:
    return next(attrs for name, attrs in Reader(html).tags if name == tag)


def test_a_button_is_a_link_that_templates_do_not_escape() -> None:
    drawn = ui.button("/configure/sign-in")
    assert isinstance(drawn, Markup)
    link = first(drawn, "a")
    assert link["class"] == "configure-button"
    assert (link["target"], link["hx-boost"], link["data-turbo"]) == ("_top", "false", "false")
    assert link["href"] == "/configure/sign-in"
    assert drawn.startswith("<a ")
    assert drawn.strip().endswith("</a>")


def test_the_first_label_has_the_measures_of_the_model() -> None:
    svg, rect = first(ui.button("/"), "svg"), first(ui.button("/"), "rect")
    assert (svg["width"], svg["height"], svg["viewbox"]) == ("240", "40", "0 0 240 40")
    assert (rect["x"], rect["y"], rect["width"], rect["height"], rect["rx"]) == ("0.5", "0.5", "239", "39", "8")
    text = first(ui.button("/"), "text")
    assert (text["x"], text["y"], text["font-size"], text["font-weight"]) == ("60", "25", "14", "500")


def test_the_width_grows_with_the_label() -> None:
    widths = [int(first(ui.button("/", label=label), "svg")["width"] or 0) for label in ("Go", "Connect", "x" * 60)]
    assert widths == sorted(set(widths))
    wide = first(ui.button("/", label="設定で続ける"), "svg")["width"]
    assert int(wide or 0) >= 60 + 6 * 14


@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_nothing_in_it_needs_a_policy_to_allow_it_or_collides_with_another(theme: ui.Theme) -> None:
    for tag, attrs in Reader(ui.button("/", theme=theme)).tags:
        assert tag in {"a", "svg", "g", "rect", "text"}
        assert not {"style", "id"} & attrs.keys()
        assert not [name for name in attrs if name.startswith("on")]


@given(st.text(min_size=1).filter(lambda text: bool(text.split())))
def test_any_label_stays_text(label: str) -> None:
    words = " ".join(label.split())
    drawn = ui.button("/", label=label)
    assert drawn.count("<") == ui.button("/").count("<")
    link = drawn.partition(">")[0] + ">"
    assert Markup(link.partition('aria-label="')[2].rpartition('"')[0]).unescape() == words
    assert Markup(drawn.rpartition("</text>")[0].rpartition(">")[2]).unescape() == words


def test_markup_as_a_label_is_text_too() -> None:
    assert Reader(ui.button("/", label=Markup('"><b>x</b>'))).words == ['"><b>x</b>']


def test_a_hostile_query_cannot_leave_the_href() -> None:
    href = "/sign-in?next=\"><script>alert('1')</script>&a=1"
    reader = Reader(ui.button(href))
    assert reader.tags[0][1]["href"] == href
    assert "script" not in {tag for tag, _ in reader.tags}


@pytest.mark.parametrize(
    "href", ["/", "/a?b=c#d", "/a b", "http://localhost:5000/x", "HTTPS://app.example/é", "/javascript:x"]
)
def test_web_addresses_pass(href: str) -> None:
    assert first(ui.button(href), "a")["href"] == href


@pytest.mark.parametrize(
    "href",
    [
        "",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\tscript:alert(1)",
        " javascript:alert(1)",
        "\x01javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "mailto:a@b.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " /a",
        "/a\u200b",
        "http:",
        "http:/evil.example",
        "https:///evil.example",
        "https:evil.example",
        "http://[::1",
        "sign-in",
        "?a=b",
        "#a",
    ],
)
def test_other_addresses_are_refused(href: str) -> None:
    with pytest.raises(ValueError, match=r"href|IPv6"):
        ui.button(href)


def test_a_button_needs_a_label_and_a_theme_that_exists() -> None:
    with pytest.raises(ValueError, match="label"):
        ui.button("/", label=" \n")
    with pytest.raises(ValueError, match="theme"):
        ui.button("/", theme="blue")  # type: ignore[arg-type]
