"""The language and the layout of what a user reads."""

from __future__ import annotations

import logging
from dataclasses import replace

from ..errors import SettingsError
from ..ui import pages, wording
from .effects import AskApp
from .request import Request
from .response import Response
from .site import Site

log: logging.Logger = logging.getLogger(__name__)


async def words_for(site: Site, request: Request | None) -> wording.Words:
    """Return the texts in the language of a request; in English if the app's hook fails."""
    chosen, hook = None, site.locale
    try:
        chosen = None if hook is None else await AskApp(lambda app: app.call(hook))
    except Exception:
        log.exception("locale= failed, and the texts are in the browser's language")
    return site.words([] if request is None else request.languages, chosen)


async def localized(site: Site, request: Request, response: Response) -> Response:
    """Return a response whose page, if it has one, is in the user's language and in the app's layout."""
    if response.page is None:
        return response
    words = await words_for(site, request)
    base, html = site.base_template, None
    values = None if base is None else pages.layout_values(response.page, words)
    if base is not None and values is not None:
        try:
            html = await AskApp(lambda app: app.fill_layout(base, values))
            if 'class="configure-page"' not in html:
                html = None
                raise SettingsError(f"base_template={base!a} has no block named content")
        except Exception:
            log.exception("base_template=%r failed, and a page is shown without it", base)
    return replace(response, words=words, html=html)
