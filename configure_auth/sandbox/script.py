"""GET /js/configure.js: the parts of the hosted script that apps use."""

from __future__ import annotations

from importlib.resources import files

from starlette.responses import Response

from .database import Database
from .http_messages import ApiRequest


def hosted_script(db: Database, incoming: ApiRequest) -> Response:
    """Return the script, with the sandbox's own URLs and variant in it."""
    text = files(__package__).joinpath("templates", "configure.js").read_text("utf-8")
    text = text.replace("__API_URL__", db.urls.api_in_browsers).replace("__ACCOUNTS_URL__", db.urls.accounts)
    text = text.replace("__ELEMENT_TOKEN__", db.variants.element_token)
    return Response(text, media_type="text/javascript", headers={"Cache-Control": "no-store"})
