"""What the documentation names is there, and what is there is named."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from configure_auth import Settings, events
from configure_auth.commands.main import main
from configure_auth.errors import ApiCode, Code
from configure_auth.flask.signals import SIGNALS
from configure_auth.flows import LINK_ROUTES, LOGIN_ROUTES
from configure_auth.stores.schema import SCHEMA
from configure_auth.ui import buttons, wording
from configure_auth.ui.buttons import Theme
from example_apps.demo import APPS

from .document import BLOCKS, DOCUMENTATION, PAGES, README, ROOT, anchors, block, links, rows

DOCUMENTS = ("README.md", "CHANGELOG.md", "SECURITY.md", *PAGES)
EXAMPLE = (ROOT / "example_apps/flask_app/configure.py").read_text(encoding="utf-8")


def section(marker: str) -> str:
    """The lines of the example after a marker, up to the next one."""
    return re.split(r"^# \[\w+\]\n", EXAMPLE.split(f"# [{marker}]\n")[1], flags=re.MULTILINE)[0].strip()


@pytest.mark.parametrize(("marker", "name", "most"), [("link", "def add_link", 10), ("login", "def add_login", 26)])
def test_the_lines_to_add_are_few_and_those_of_the_example(marker: str, name: str, most: int) -> None:
    shown = block(name)
    assert len(shown.code_lines) <= most

    imports, _, rest = shown.text.partition("\n\n")
    assert rest.strip() == section(marker)
    known = re.sub(r"\(\s*([^)]*?),?\s*\)", r"\1", EXAMPLE)
    for line in imports.splitlines():
        module, _, names = line.partition(" import ")
        there = [other for other in known.splitlines() if other.startswith(f"{module} import ")]
        assert set(names.split(", ")) <= {one for other in there for one in other.partition(" import ")[2].split(", ")}


def test_every_setting_is_named_and_every_named_one_exists() -> None:
    settings = {f"CONFIGURE_{field.name.upper()}" for field in fields(Settings)}

    of_commands = {
        str(option.envvar) for command in main.commands.values() for option in command.params if option.envvar
    }
    assert set(re.findall(r"(?<!_)CONFIGURE_[A-Z_]+", DOCUMENTATION)) == settings | of_commands
    assert {name.strip("`") for name, *_ in rows("variable")} == settings


def test_the_origins_are_those_of_the_settings() -> None:
    plain = Settings()
    values = {name.strip("`"): value.strip("`") for name, value in (row for row in rows("variable") if len(row) == 2)}
    origins = {name: value for name, value in values.items() if value.startswith("https:")}

    assert origins == {name: getattr(plain, name.removeprefix("CONFIGURE_").lower()) for name in origins}
    assert len(origins) == 4


def test_every_code_is_there_with_its_status_and_its_words() -> None:
    shown = {
        re.sub(r"^\[`(\w+)`\]\(errors/\1\.md\)$", r"\1", name): (int(status), words)
        for name, status, words, _ in rows("code")
    }

    assert shown == {code.value: (code.status, wording.texts[code].heading) for code in Code}
    for code in Code:
        page = PAGES[f"docs/errors/{code.value}.md"]
        assert page.startswith(f"# {code.value}\n")
        ((status, _, words),) = rows("status", page)
        assert (int(status), words) == (code.status, wording.texts[code].heading)
        assert re.search(
            r"^## Causes\n\nThe most frequent one first\.\n\n1\. .*^## What to do\n\n- ", page, re.M | re.S
        )
    assert {path for path in PAGES if path.startswith("docs/errors/")} == {f"docs/errors/{code}.md" for code in Code}
    assert len(ApiCode) == 13  # "the thirteen of Configure's SDKs"


def test_the_words_of_an_outage_are_those_of_the_page() -> None:
    for code in (Code.UPSTREAM_UNAVAILABLE, Code.UPSTREAM_TIMEOUT):
        assert f"{wording.texts[code].heading}”" in " ".join(DOCUMENTATION.replace('"', "”").split())
        assert f"({code.status})" in DOCUMENTATION


def test_every_route_that_is_named_exists() -> None:
    routes = {f"/configure{route.rule}": set(route.methods) for route in LINK_ROUTES}
    routes |= {f"/auth/configure{route.rule}": set(route.methods) for route in LOGIN_ROUTES}

    for cell, _ in rows("route"):
        assert (found := re.fullmatch(r"`(?:(\w+)` or `)?(\w+) (/[\w/-]+)`", cell)), cell
        assert {found[1] or found[2], found[2]} <= routes[found[3]]
    scripts = "".join(one.text for one in BLOCKS if one.language == "js")
    fetched = re.findall(r'fetch\(["`]([\w/-]+).*?method: "(\w+)"', scripts)
    assert fetched == [("/configure/sign-in", "POST"), ("/configure/finish", "POST"), ("/auth/configure/token", "POST")]
    assert all(method in routes[path] for path, method in fetched)


def test_every_event_is_named() -> None:
    text = PAGES["docs/events.md"]

    assert {event.__name__ for event in events.EVENTS} == {
        name for name in re.findall(r"`(\w+)`", text) if name[0].isupper()
    }
    assert {signal.name for signal in SIGNALS.values()} >= set(re.findall(r"signals import (\w+)", text))


def test_every_make_target_exists() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"(?:^|`)make ([\w-]+)", DOCUMENTATION, re.MULTILINE)

    assert {"demo", "test"} <= set(named) <= set(targets)
    apps = re.findall(r"make demo APP=(\w+)", DOCUMENTATION)
    assert set(APPS) - {"flask"} <= set(apps) <= set(APPS)


def test_every_extra_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {
        extra for extras in re.findall(r"configure_auth\[([\w,]+)\]", DOCUMENTATION) for extra in extras.split(",")
    }

    assert named == set(project["optional-dependencies"])
    assert f"## {project['version']} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_changelog_says_which_schema_the_store_has() -> None:
    assert f"Store schema {SCHEMA}." in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in links(text):
        path, _, anchor = link.partition("#")
        if ":" in path:
            assert link.startswith("https://")
            continue
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_line_is_too_long_to_read(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")] == []


@pytest.mark.parametrize(("theme", "picture"), [("light", "button.svg"), ("dark", "button-dark.svg")])
def test_the_pictures_are_the_button_itself(theme: Theme, picture: str) -> None:
    """They show its label and its colours, and have its height."""
    drawn = (ROOT / "docs" / picture).read_text(encoding="utf-8")
    rule = buttons.BUTTON_STYLE.partition('="dark"]:any-link {' if theme == "dark" else "button:any-link {")[2]
    colours = re.findall(r"--\w+: (#\w+)", rule.partition("}")[0])

    assert len(colours) >= 3
    assert all(colour in drawn for colour in colours)
    assert f">{wording.CONTINUE}</text>" in drawn
    assert 'height="44"' in drawn
    assert f"docs/{picture}" in links(README)


def test_the_first_screen_has_what_it_must() -> None:
    first = README
    order = ["docs/button.svg", "make demo", "make test", "pip install 'configure_auth[flask]'", "def add_link"]

    assert [first.index(words) for words in order] == sorted(first.index(words) for words in order)
    assert all(name in first for name in ("Authlib", "Flask-Dance", "`configure-ai`"))


def test_every_named_file_of_the_example_is_there() -> None:
    assert all(Path(ROOT / path).is_file() for path in re.findall(r"example_apps/[\w./]+\.\w+", DOCUMENTATION))


def test_the_languages_of_the_blocks_are_those_that_are_tested() -> None:
    shown_only = {"nginx", "text", "css"}
    assert {one.language for one in BLOCKS} - shown_only == {"sh", "python", "jinja", "js", "toml", "yaml"}
