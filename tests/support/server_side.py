"""What an app adds for users that it also serves without a browser: a page with the hosted element, and their profiles.

`pages(policy)` is a `customise` of `Options`. Beside the app's own routes there are then GET /element (`?next=`, with
`policy` as its Content-Security-Policy), GET /external-id and /external-id/<user>, and, of the profile under a user's
external id, POST /remember/<user> (the fact is the body) and GET /memories/<user>. GET /known is what the profile of
the signed-in user's connection has. A `SettingsError` on one of them answers 500 with its sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, jsonify, request
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from configure_auth import SettingsError

__all__ = ["PAGE", "pages"]

PAGE = (
    '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Connect</title>'
    "<main><h1>Connect Configure</h1>\n{}</main></html>"
)


def pages(policy: str | None = None) -> Callable[[Any, Any], None]:
    def customise(app: Any, configure_auth: Any) -> None:
        add = _to_flask if isinstance(app, Flask) else _to_starlette
        add(app, configure_auth, {} if policy is None else {"Content-Security-Policy": policy})

    return customise


def _to_flask(app: Flask, configure_auth: Any, headers: dict[str, str]) -> None:
    def profile_of(user_id: str) -> Any:
        return configure_auth.client.profile(external_id=configure_auth.external_id_for(user_id))

    @app.errorhandler(SettingsError)
    def said(error: SettingsError) -> Any:
        return str(error), 500

    @app.get("/favicon.ico")
    def icon() -> Any:
        return "", 204

    @app.get("/element")
    def element() -> Any:
        return PAGE.format(configure_auth.element(request.args.get("next"))), headers

    @app.get("/external-id")
    def own_external_id() -> Any:
        return jsonify(external_id=configure_auth.external_id())

    @app.get("/external-id/<user_id>")
    def external_id(user_id: str) -> Any:
        return jsonify(external_id=configure_auth.external_id_for(user_id))

    @app.post("/remember/<user_id>")
    def remember(user_id: str) -> Any:
        return jsonify(saved=profile_of(user_id).remember(request.get_data(as_text=True)).saved)

    @app.get("/memories/<user_id>")
    def memories(user_id: str) -> Any:
        return jsonify(memories=[hit.text for hit in profile_of(user_id).search("*").results])

    @app.get("/known")
    def known() -> Any:
        return jsonify(memories=[hit.text for hit in configure_auth.profile().search("*").results])


def _to_starlette(app: Any, configure_auth: Any, headers: dict[str, str]) -> None:
    async def profile_of(request: Request) -> Any:
        user_id = request.path_params["user_id"]
        return configure_auth.client.profile(external_id=await configure_auth.external_id_for(user_id))

    async def said(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse(str(error), 500)

    async def icon(request: Request) -> Response:
        return Response(status_code=204)

    async def element(request: Request) -> HTMLResponse:
        markup = await configure_auth.element(request, request.query_params.get("next"))
        return HTMLResponse(PAGE.format(markup), headers=headers)

    async def own_external_id(request: Request) -> JSONResponse:
        return JSONResponse({"external_id": await configure_auth.external_id(request)})

    async def external_id(request: Request) -> JSONResponse:
        return JSONResponse({"external_id": await configure_auth.external_id_for(request.path_params["user_id"])})

    async def remember(request: Request) -> JSONResponse:
        fact = (await request.body()).decode()
        return JSONResponse({"saved": (await (await profile_of(request)).remember(fact)).saved})

    async def memories(request: Request) -> JSONResponse:
        found = await (await profile_of(request)).search("*")
        return JSONResponse({"memories": [hit.text for hit in found.results]})

    async def known(request: Request) -> JSONResponse:
        found = await (await configure_auth.profile(request)).search("*")
        return JSONResponse({"memories": [hit.text for hit in found.results]})

    app.add_exception_handler(SettingsError, said)
    app.router.routes += [
        Route("/favicon.ico", icon),
        Route("/element", element),
        Route("/external-id", own_external_id),
        Route("/external-id/{user_id}", external_id),
        Route("/remember/{user_id}", remember, methods=["POST"]),
        Route("/memories/{user_id}", memories),
        Route("/known", known),
    ]
