"""What the buttons of one page cost."""

from __future__ import annotations

from typing import Any

from configure_auth.flows import Features, Performer, run

from .world import App, Browser, World


def test_all_buttons_of_a_page_read_the_store_once_for_each_user() -> None:
    world = World()
    features = Features(world.link.site, {"link": world.link, "login": world.login})
    client: Any = None

    def page(*users: str) -> int:
        """The reads of a page with a button for each of these users."""
        perform = Performer(client, world._stores, App(Browser()), print)
        for user in users:
            world.current = Browser(user=user)
            assert "configure" in run(features.button(None, None, None, {}), perform).lower()
        reads = world.log.count("accounts.find")
        world.log.clear()
        return reads

    assert page("u1", "u1", "u1") == 1
    assert page("u1", "u2", "u1") == 2
