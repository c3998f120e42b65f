"""The page: the same document at each of its paths; its script fills in what the API says."""

from __future__ import annotations

from fastapi import Request, Response

__all__ = ["page"]

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


async def page(request: Request) -> Response:
    response: Response = request.app.state.templates.TemplateResponse(request, "page.html", headers=HEADERS)
    return response
