"""The pages of the sign-in, as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.responses import HTMLResponse, Response

from .database import Database
from .http_messages import UnregisteredAddress
from .interactions import CODE_TRIES, HostedRequest, Interaction, OAuthRequest
from .phones import show_phone
from .values import SCOPES

SCOPE_SENTENCES: Final[Mapping[str, str]] = {
    "profile.read": "Read your profile: your name, the end of your phone number, your preferences",
    "profile.search": "Search what you have saved",
    "profile.remember": "Save new facts about you, and forget them",
    "profile.commit": "Keep what you tell {agent}",
}

# No form-action: browsers apply it to the redirect after a form as well, which leads to the app.
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_templates = Environment(
    loader=PackageLoader(__package__), autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True
)


def _printable(value: object) -> str:
    # What came as JSON may have half a surrogate pair in it, which has no bytes.
    return str(value).encode("utf-8", "replace").decode() if value not in (None, "") else "\u2013"


_templates.filters["printable"] = _printable


def page(template: str, status: int = 200, *, script: bool = False, **values: object) -> Response:
    """Render a page. `script` lets the page run its one inline script."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:; frame-ancestors 'none'"
    if script:
        policy += "; script-src 'unsafe-inline'; connect-src *"
    html = _templates.get_template(template).render(values)
    return HTMLResponse(html, status, {**_HEADERS, "Content-Security-Policy": policy})


def error_page(
    title: str,
    text: str,
    status: int = 400,
    *,
    code: str = "",
    hosted: HostedRequest | None = None,
    address: UnregisteredAddress | None = None,
) -> Response:
    """Return the page of an error that ends a sign-in: no address is safe to redirect to, but `hosted`'s messages."""
    theme = hosted.theme if hosted else None
    return page("error.html", status, title=title, text=text, code=code, hosted=hosted, theme=theme, address=address)


def step_page(db: Database, interaction: Interaction, *, error: str | None = None, phone_text: str = "") -> Response:
    """Return the page of the step that a sign-in is at. With an error its status is 422."""
    hosted = interaction.request if isinstance(interaction.request, HostedRequest) else None
    scopes = interaction.request.scopes if isinstance(interaction.request, OAuthRequest) else SCOPES
    person = db.people.get(interaction.user_id) if interaction.user_id else None
    shown_phone = interaction.phone or (person.phone if person else None)
    return page(
        f"{interaction.step}.html",
        422 if error else 200,
        script=interaction.page_completion is not None,
        interaction=interaction,
        hosted=hosted,
        agent_name=interaction.agent_name,
        theme=hosted.theme if hosted else None,
        scopes=[SCOPE_SENTENCES[scope].format(agent=interaction.agent_name) for scope in scopes],
        connectors=[(name, name.title()) for name in (hosted.connectors if hosted else ())],
        person=person,
        phone=show_phone(shown_phone) if shown_phone else "",
        phone_text=phone_text,
        people=[(show_phone(person.phone), person.name) for person in db.people.values() if person.name],
        error=error,
        tries_left=CODE_TRIES - interaction.tries,
    )
