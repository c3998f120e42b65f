"""GET /js/configure.js: the hosted script, as far as apps lean on it."""

from __future__ import annotations

from importlib.resources import files

from starlette.responses import Response

from .wire import Incoming
from .world import World


def hosted_script(world: World, incoming: Incoming) -> Response:
    """The script, with the sandbox's own addresses in it, and the reading of the wire that it plays."""
    text = files(__package__).joinpath("templates", "configure.js").read_text("utf-8")
    text = text.replace("__API_URL__", world.urls.api).replace("__ACCOUNTS_URL__", world.urls.accounts)
    text = text.replace("__ELEMENT_TOKEN__", world.variants.element_token)
    return Response(text, media_type="text/javascript", headers={"Cache-Control": "no-store"})
