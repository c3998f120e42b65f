"""GET /js/configure.js: the hosted script, as far as apps lean on it."""

from __future__ import annotations

from importlib.resources import files

from starlette.responses import Response

from .wire import Incoming
from .world import World


def hosted_script(world: World, incoming: Incoming) -> Response:
    text = files(__package__).joinpath("templates", "configure.js").read_text("utf-8")
    text = text.replace("__SIGN_IN_URL__", world.urls.sign_in).replace("__ACCOUNTS_URL__", world.urls.accounts)
    return Response(text, media_type="text/javascript", headers={"Cache-Control": "no-store"})
