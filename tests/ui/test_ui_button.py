from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from configure_auth.ui import buttons


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
    drawn = buttons.button("/configure/sign-in")
    assert isinstance(drawn, Markup)
    link = first(drawn, "a")
    assert link["class"] == "configure-button"
    assert (link["target"], link["hx-boost"], link["data-turbo"]) == ("_top", "false", "false")
    assert link["href"] == "/configure/sign-in"
    assert drawn.startswith("<a ")
    assert drawn.strip().endswith("</a>")


def test_a_button_links_its_stylesheet_with_the_nonce_of_the_page() -> None:
    drawn = buttons.button("/go", stylesheet="/configure/button.css?v=1&a", nonce='n"1')
    sheet = first(drawn, "link")
    assert (sheet["rel"], sheet["href"], sheet["nonce"]) == ("stylesheet", "/configure/button.css?v=1&a", 'n"1')
    assert "nonce" not in first(buttons.button("/go", stylesheet="/configure/button.css"), "link")


@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_nothing_in_it_needs_a_policy_to_allow_it_or_collides_with_another(theme: buttons.Theme) -> None:
    for tag, attrs in Reader(buttons.button("/", theme=theme)).tags:
        assert tag in {"a", "svg", "rect", "span"}
        assert not {"style", "id"} & attrs.keys()
        assert not [name for name in attrs if name.startswith("on")]


@given(st.text(min_size=1).filter(lambda text: bool(text.split())))
def test_any_label_stays_text(label: str) -> None:
    words = " ".join(label.split())
    drawn = buttons.button("/", label=label)
    assert drawn.count("<") == buttons.button("/").count("<")
    assert Markup(str(drawn).rpartition("</span>")[0].rpartition(">")[2]).unescape() == words


def test_markup_as_a_label_is_text_too() -> None:
    assert Reader(buttons.button("/", label=Markup('"><b>x</b>'))).words == ['"><b>x</b>']


def test_a_hostile_query_cannot_leave_the_href() -> None:
    href = "/sign-in?next=\"><script>alert('1')</script>&a=1"
    reader = Reader(buttons.button(href))
    assert reader.tags[0][1]["href"] == href
    assert "script" not in {tag for tag, _ in reader.tags}


@pytest.mark.parametrize(
    "href", ["/", "/a?b=c#d", "/a b", "http://localhost:5000/x", "HTTPS://app.example/é", "/javascript:x"]
)
def test_web_addresses_pass(href: str) -> None:
    assert first(buttons.button(href), "a")["href"] == href


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
        buttons.button(href)


def test_a_button_needs_a_label_and_a_theme_that_exists() -> None:
    with pytest.raises(ValueError, match="label"):
        buttons.button("/", label=" \n")
    with pytest.raises(ValueError, match="theme"):
        buttons.button("/", theme="blue")  # type: ignore[arg-type]
