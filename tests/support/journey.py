"""Link, login, disconnect and a dependency in a small app of the framework that is installed, as a program.

Run by `versions.py` in environments without the suite's own requirements: `python journey.py flask|fastapi FOLDER`.
"""

# Annotations are evaluated here: FastAPI couldn't look up the names of an import within a function.

import sys
from typing import Any

from configure_auth import Settings
from configure_auth.sandbox import Sandbox

SITE = "http://localhost:3000"
OWN, FROM_CONFIGURE = {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "cross-site"}


def on_flask(settings: Settings, folder: str) -> Any:
    from flask import Flask, jsonify, session

    from configure_auth.flask import ConfigureAuth

    app = Flask(__name__, instance_path=folder)
    app.secret_key = "a key of the app that signs its sessions"
    configure_auth = ConfigureAuth(settings, user_id=lambda: session.get("user_id"))
    configure_auth.init_app(app)

    def on_login(identity: Any, grant: Any) -> str:
        session["user_id"] = identity.local_user_id or "u2"
        return str(session["user_id"])

    app.register_blueprint(configure_auth.account_link(can_disconnect=lambda user_id: True))
    app.register_blueprint(configure_auth.login(on_login=on_login))

    @app.post("/in/<user_id>")
    def sign_in(user_id: str) -> str:
        session["user_id"] = user_id
        return "in"

    @app.post("/out")
    def sign_out() -> str:
        configure_auth.forget_browser()
        session.clear()
        return "out"

    @app.get("/account")
    def account() -> Any:
        found = configure_auth.account()
        return jsonify(found and found.user_id)

    client = app.test_client()

    def send(method: str, url: str, headers: dict[str, str]) -> Any:
        answer = client.open(url, method=method, base_url=SITE, headers=headers)
        return answer.status_code, answer.location, answer.text

    return send


def on_fastapi(settings: Settings, folder: str) -> Any:
    from fastapi import Depends, FastAPI, Request, Response
    from starlette.middleware.sessions import SessionMiddleware
    from starlette.testclient import TestClient

    from configure_auth.fastapi import ConfigureAuth

    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key="a key of the app that signs its sessions")

    def current_user(request: Request) -> Any:
        return request.session.get("user_id")

    store = f"sqlite:///{folder}/configure.db"
    configure_auth = ConfigureAuth(settings, store=store, user=current_user, user_id=lambda user: user)

    async def on_login(identity: Any, grant: Any, request: Request) -> str:
        request.session["user_id"] = identity.local_user_id or "u2"
        return str(request.session["user_id"])

    app.include_router(configure_auth.account_link(can_disconnect=lambda user_id: True))
    app.include_router(configure_auth.login(on_login=on_login))

    async def sign_in(request: Request) -> Response:
        request.session["user_id"] = request.path_params["user_id"]
        return Response("in")

    async def sign_out(request: Request) -> Response:
        await configure_auth.forget_browser(request)
        request.session.clear()
        return Response("out")

    async def account(found: Any = Depends(configure_auth.account)) -> Any:  # noqa: B008  # FastAPI's way
        return found and found.user_id

    app.add_route("/in/{user_id}", sign_in, methods=["POST"])
    app.add_route("/out", sign_out, methods=["POST"])
    app.add_api_route("/account", account, response_model=None)
    client = TestClient(app, SITE, follow_redirects=False)

    def send(method: str, url: str, headers: dict[str, str]) -> Any:
        answer = client.request(method, url, headers=headers)
        return answer.status_code, answer.headers.get("location"), answer.text

    return send


def main(framework: str, folder: str) -> None:
    """Walk through all of it; an exception is a failure."""
    with Sandbox() as sandbox:
        sandbox.register_return_to(f"{SITE}/configure/callback")
        sandbox.register_redirect_uri(f"{SITE}/auth/configure/callback")
        settings = Settings.from_mapping({**sandbox.environment(SITE), "CONFIGURE_TOKEN_KEYS": "k" * 43})
        send = (on_flask if framework == "flask" else on_fastapi)(settings, folder)

        def sign_in(path: str, phone: str) -> None:
            status, location, text = send("GET", f"{path}/sign-in", OWN)
            assert status == 303, (status, text)
            status, location, text = send("GET", sandbox.sign_in(location, phone).removeprefix(SITE), FROM_CONFIGURE)
            assert (status, location and location.partition("?")[0]) == (303, "/"), (status, text)

        def account() -> str:
            return str(send("GET", "/account", OWN)[2]).strip()

        send("POST", "/in/u1", OWN)
        sign_in("/configure", "+15550100001")
        assert account() == '"u1"', account()
        assert send("POST", "/configure/disconnect", OWN)[0] == 303
        assert account() == "null", account()
        send("POST", "/out", OWN)
        sign_in("/auth/configure", "+15550100002")
        assert account() == '"u2"', account()


if __name__ == "__main__":
    main(*sys.argv[1:])
