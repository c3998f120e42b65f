"""Configure's hosted element in a page of the app, and the script that brings its token to the server."""

from __future__ import annotations

from importlib.resources import files

from markupsafe import Markup

from configure_auth.ui.templating import checked_href, fill
from configure_auth.ui.wording import ENGLISH_WORDS, Words

ELEMENT_SCRIPT = files(__package__).joinpath("element.js").read_text(encoding="utf-8")
"""The script that `element` loads from the app itself, so that no policy has to allow an inline one."""


def element(
    *,
    publishable_key: str,
    agent: str,
    external_id: str,
    hosted_script: str,
    script: str,
    session: str,
    button: Markup,
    next: str | None = None,
    connectors: tuple[str, ...] = (),
    words: Words = ENGLISH_WORDS,
) -> Markup:
    """Draw the hosted `<configure-auth>` element.

    Args:
        external_id: of the signed-in user; it is visible in the page's source.
        hosted_script: URL of Configure's script.
        script: path of `ELEMENT_SCRIPT`; `session` is where it posts the token.
        button: that starts the link, for a token that lets no agent in yet, or can't be handed over.
        next: where the page goes on to.
        connectors: tools that the element offers to connect.
        words: the texts in the user's language.
    """
    return fill(
        "element.html",
        publishable_key=publishable_key,
        agent=agent,
        external_id=external_id,
        hosted_script=hosted_script,
        script=script,
        session=session,
        button=button,
        words=words,
        next=None if next is None else checked_href(next),
        connectors=",".join(connectors),
    )
