"""The web app: a page with both threads, in place of two phones, and the route that Configure's page reports to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from configure_auth import LinkedAccount
from configure_auth.starlette import ConfigureAuth

from .agent import CONNECTED, answer_in_web_app
from .settings import INSTANCE, NAME, open_settings
from .threads import PHONES, Threads

__all__ = ["create_app"]

HERE = Path(__file__).parent
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def create_app(config: Mapping[str, str] | None = None, *, instance_path: Path = INSTANCE) -> Starlette:
    threads = Threads(instance_path)
    templates = Jinja2Templates(HERE)
    settings = open_settings(config, instance_path)
    configure_auth = ConfigureAuth(settings, user_id=lambda request: None, session=False)  # nobody signs in here

    def on_linked(request: Request, sender: str, account: LinkedAccount) -> None:
        threads.add(sender, CONNECTED, by_agent=True)

    async def receive(request: Request) -> Response:
        """A message. An SMS provider's webhook is signed; here it is enough that our own page sent it."""
        sender = request.path_params["sender"]
        if sender not in PHONES or request.headers.get("sec-fetch-site") != "same-origin":
            return Response(status_code=403)
        text = (await request.body()).decode(errors="replace")[:1000].strip()
        await run_in_threadpool(threads.add, sender, text)
        said = await answer_in_web_app(configure_auth, sender, PHONES[sender], text)
        await run_in_threadpool(threads.add, sender, said, by_agent=True)
        return Response(status_code=204)

    def read(request: Request) -> Response:
        messages = threads.after(int(request.query_params["after"]))
        return JSONResponse([message._asdict() for message in messages], headers=HEADERS)

    def page(request: Request) -> Response:
        return templates.TemplateResponse(request, "page.html", {"phones": PHONES}, headers=HEADERS)

    return Starlette(
        lifespan=configure_auth.lifespan,
        routes=[
            configure_auth.messages(display_name=NAME, on_linked=on_linked),
            Route("/", page),
            Route("/threads", read),
            Route("/threads/{sender}", receive, methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
    )
