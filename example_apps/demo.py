"""The sandbox and one example app, started together and ended together: `python example_apps/demo.py`.

The first start makes an environment in .venv, unless the running Python has the packages. Set by environment variables:
PORT (3000), SANDBOX_PORT (4010, and the two after it) and APP (flask, starlette, fastapi, message, bot or claims).
"""

from __future__ import annotations

import errno
import http.client
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from starlette.types import ASGIApp

ROOT = Path(__file__).parent.parent
EXTRAS = "bearer,flask,starlette,messages,sandbox"
PACKAGES = ("aiosqlite", "flask-login", "flask-sqlalchemy", "flask-wtf", "fastapi", "sqlalchemy[asyncio]")
MODULES = ("aiosqlite", "configure_auth", "fastapi", "flask_sqlalchemy", "flask_wtf", "jwt", "phonenumbers", "uvicorn")
"""Some modules of these, by which an environment that has them is recognised."""

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
START_SECONDS = 30.0
END_SECONDS = 5.0


class Stop(BaseException):
    """Ctrl-C, or somebody asked the demo to end."""


# ── the parent: starts both, watches both, ends both ──────────────────────────────────────────────────────────────────


def main() -> int:
    enter_environment()
    port, sandbox_port = port_from("PORT", 3000), port_from("SANDBOX_PORT", 4010)
    app = os.environ.get("APP", "flask")
    if app not in APPS:
        fail(f"APP={app} isn't an example; there is: {', '.join(APPS)}")
    sandbox_ports = range(sandbox_port, sandbox_port + 3)
    if port in sandbox_ports:
        fail(f"PORT={port} is one of the sandbox's ports, {sandbox_ports[0]} to {sandbox_ports[-1]}")
    for variable, number in [("PORT", port), *(("SANDBOX_PORT", number) for number in sandbox_ports)]:
        if trouble := unusable(number):
            fail(f"port {number} can't be used, {trouble}; choose another one with {variable}=...")

    for name in SIGNALS:  # a shell's background job starts with SIGINT ignored
        signal.signal(name, stop)
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        children["sandbox"] = start("sandbox", port, sandbox_port, stdout=subprocess.PIPE)
        settings = announced(children["sandbox"])
        check_alive(children)
        children[f"{app} app"] = start(app, port, sandbox_port, env={**os.environ, **settings})
        await_answer("127.0.0.1", sandbox_port, children)
        await_answer("127.0.0.1", port, children)
        print(
            f"\n  The app:      http://localhost:{port}  ({ABOUT[app]})\n"
            f"  The sandbox:  http://127.0.0.1:{sandbox_port}  (plays Configure; shows what happens in it)\n\n"
            f"{TO_DO.get(app, PRESS_THE_BUTTON).replace('PORT', str(port))}\n\n"
            "  Ctrl-C ends both.",
            flush=True,
        )
        while True:
            check_alive(children)
            time.sleep(0.2)
    except Stop:
        return 0
    finally:
        end(children)


def enter_environment() -> None:
    """Go on under the Python of .venv, made and filled first if need be, where this one lacks a package."""
    if all(importlib.util.find_spec(name) for name in MODULES):
        return
    if sys.version_info < (3, 11):  # noqa: UP036  # a newcomer's may be
        fail(f"{sys.executable} is older than Python 3.11; start the demo with a newer one")
    folder = ROOT / ".venv"
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    install = [python, "-m", "pip", "install", "-c", "tests/constraints.txt", "-e", f".[{EXTRAS}]", *PACKAGES]
    if not os.path.exists(python):
        try:
            venv.create(folder, with_pip=True)
        except (OSError, subprocess.CalledProcessError):
            fail(f"{sys.executable} can't make environments; on Debian and Ubuntu: apt install python3-venv")
    imports = [python, "-c", f"import {', '.join(MODULES)}"]
    if subprocess.run(imports, cwd=ROOT, stderr=subprocess.DEVNULL).returncode:  # noqa: S603
        print("Installing into .venv ...", flush=True)
        with open(folder / "pip.log", "wb") as log:
            done = subprocess.run(install, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603
        if done.returncode:
            fail(f"pip failed, see .venv/pip.log; is there a network? The command was: {' '.join(install)}")
    again = [python, str(Path(__file__).resolve()), *sys.argv[1:]]
    if os.name == "nt":  # has no way to become another program
        sys.exit(subprocess.call(again))  # noqa: S603
    os.execv(python, again)  # noqa: S606


def stop(number: int, frame: FrameType | None) -> NoReturn:
    for name in SIGNALS:  # a second Ctrl-C doesn't interrupt the ending
        signal.signal(name, signal.SIG_IGN)
    raise Stop


def start(
    server: str, port: int, sandbox_port: int, *, stdout: int | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a child that lives no longer than we do, and doesn't hear the terminal's Ctrl-C."""
    command = [sys.executable, "-m", "example_apps.demo", server, str(port), str(sandbox_port)]
    return subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=stdout, env=env, start_new_session=True
    )


def announced(sandbox: subprocess.Popen[bytes]) -> dict[str, str]:
    """The settings of an app that uses the sandbox: it prints them, a line each, and closes its output."""
    assert sandbox.stdout
    lines = sandbox.stdout.read().decode().splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines) if value}


def await_answer(host: str, port: int, children: dict[str, subprocess.Popen[bytes]]) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        check_alive(children)
        connection = http.client.HTTPConnection(host, port, timeout=2)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
    fail(f"http://{host}:{port} didn't answer within {START_SECONDS:.0f} seconds")


def check_alive(children: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, child in children.items():
        if child.poll() is not None:
            fail(f"the {name} ended by itself (exit code {child.returncode}), so the demo ends; its words are above")


def end(children: dict[str, subprocess.Popen[bytes]]) -> None:
    for child in children.values():
        child.terminate()
    for child in children.values():
        try:
            child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def port_from(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65533:
        fail(f"{variable}={text} isn't a port")
    return int(text)


def unusable(port: int) -> str | None:
    try:
        for listener in listen(port):
            listener.close()
    except OSError as error:
        return str(error)
    return None


def listen(port: int) -> list[socket.socket]:
    """Listen on every address that "localhost" may mean to a browser, which tries ::1 first."""
    from configure_auth.sandbox.server import listen as listen_on

    listeners = []
    for family, host in ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1")):
        try:
            listeners.append(listen_on(family, host, port))
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue  # a machine without ::1
            for listener in listeners:
                listener.close()
            raise OSError(f"{host}: {os.strerror(error.errno or 0)}") from error
    return listeners


def fail(sentence: str) -> NoReturn:
    sys.exit(f"demo: {sentence}")


# ── the children ──────────────────────────────────────────────────────────────────────────────────────────────────────


def child(server: str, port: int, sandbox_port: int) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    SERVERS[server](port, sandbox_port)


def end_with_parent() -> None:
    """The pipe from the parent closes when it ends, however it ends."""
    os.read(0, 1)
    os._exit(1)


def serve_sandbox(port: int, sandbox_port: int) -> None:
    from configure_auth.sandbox import Sandbox

    app_url = f"http://localhost:{port}"
    with Sandbox(sandbox_port) as sandbox:
        for prefix in ("", "/api"):  # of the FastAPI app's routers
            sandbox.register_return_to(f"{app_url}{prefix}/configure/callback")
            sandbox.register_redirect_uri(f"{app_url}{prefix}/auth/configure/callback")
        sandbox.variants.completion_sender = "page"  # as a served sandbox has it
        sandbox.add_person("+15550100002", name="Bob")
        sandbox.add_person(
            "+15550100001",
            name="Ada Lovelace",
            email="ada@example.com",
            preferences=("Window seats on trains", "Vegetarian food", "Short answers"),
            summary="Plans her trips by train, cooks on Sundays, and keeps notes on everything she reads.",
        )
        print("\n".join(f"{name}={value}" for name, value in sandbox.environment(app_url).items()), flush=True)
        os.dup2(2, 1)  # closes the pipe: that was all
        threading.Event().wait()


def serve_flask(port: int, sandbox_port: int) -> None:
    import logging

    from example_apps.flask_app import create_app

    # A key derived from the app's own is right on this machine: no word of it at every start.
    log = logging.getLogger("configure_auth.flask.extension")  # a filter doesn't hear the loggers below its own
    log.addFilter(lambda record: "CONFIGURE_TOKEN_KEYS" not in record.getMessage())
    serve_wsgi(create_app(), port)


def serve_starlette(port: int, sandbox_port: int) -> None:
    from example_apps.starlette_app import create_app

    serve_asgi(create_app(), port)


def serve_fastapi(port: int, sandbox_port: int) -> None:
    from example_apps.fastapi_app import create_app

    serve_asgi(create_app(), port)


def serve_message(port: int, sandbox_port: int) -> None:
    from example_apps.message_agent.settings import INSTANCE
    from example_apps.message_agent.web import create_app

    app = create_app()
    leave_settings(INSTANCE)
    serve_asgi(app, port)


def serve_bot(port: int, sandbox_port: int) -> None:
    from example_apps.cli_bot import INSTANCE, create_app

    app = create_app()
    leave_settings(INSTANCE)
    serve_wsgi(app, port)


def serve_claims(port: int, sandbox_port: int) -> None:
    from example_apps.claims_app import create_app

    serve_asgi(create_app(), port)


def leave_settings(folder: Path) -> None:
    """For the app's commands in other terminals."""
    own = (f"{name}={value}\n" for name, value in os.environ.items() if name.startswith("CONFIGURE_"))
    for_terminals = folder / "demo.env"
    for_terminals.touch(mode=0o600)
    for_terminals.write_text("".join(own))


def serve_wsgi(app: WSGIApplication, port: int) -> None:
    import logging

    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    threads = []
    for listener in listen(port):
        server = make_server(listener.getsockname()[0], port, app, threaded=True, fd=listener.fileno())
        threads.append(threading.Thread(target=server.serve_forever))
        threads[-1].start()
    for thread in threads:  # once the main thread ends, Python takes no new work into its pools
        thread.join()


def serve_asgi(app: ASGIApp, port: int) -> None:
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=listen(port))


APPS = {
    "flask": serve_flask,
    "starlette": serve_starlette,
    "fastapi": serve_fastapi,
    "message": serve_message,
    "bot": serve_bot,
    "claims": serve_claims,
}
ABOUT = {
    "flask": "Flask: pages and a session",
    "starlette": "Starlette: pages and a session",
    "fastapi": "FastAPI: a page with a bearer token; the API is at /docs",
    "message": "a message agent, and the threads of two people",
    "bot": "the page of a bot that lives in a terminal",
    "claims": "an API whose people come from another identity system; see /docs",
}
PRESS_THE_BUTTON = """\
  Open the app and press Continue with Configure. Any phone number works, the code is 000000;
  +1 555 010 0001 has a profile to look at. Or sign up with a password first, and connect
  Configure in the settings."""
TO_DO = {
    "message": f"""\
  Open the app, say "connect" in a thread and follow the link. Sign in with the number above that
  thread; the code is 000000. The same thread in another terminal:

    {os.path.relpath(sys.executable)} -m example_apps.message_agent.terminal ada""",
    "bot": f"""\
  Talk to the bot in another terminal:

    bot() {{ {os.path.relpath(sys.executable)} -m flask --app example_apps.cli_bot "$@"; }}
    bot ask ada "I prefer window seats"
    bot ask ada "Which seats?"
    bot invite ada

  Then open the app, sign in with that password, and verify any phone number; the code is 000000.
  What the bot knows of ada goes along. Ask it again.""",
    "claims": """\
  There is no page. A stand-in plays the identity system: it gives a token to whoever asks for one.
  Try this in another terminal:

    app=http://localhost:PORT
    ada=$(curl -s $app/stand-in/token/ada) grace=$(curl -s $app/stand-in/token/grace)
    agent=$(curl -s --json '{"name": "Scout"}' $app/api/v1/agents)
    key=$(echo $agent | cut -d '"' -f 6) claim=$(echo $agent | cut -d '"' -f 10)
    curl -s -X POST -H "x-agent-key: $key" $app/api/v1/sessions
    curl -s -H "authorization: Bearer $ada" --json '{"claimToken": "'$claim'"}' $app/api/v1/agents/claim
    curl -s -H "authorization: Bearer $grace" --json '{"claimToken": "'$claim'"}' $app/api/v1/agents/claim
    curl -s -X POST -H "x-agent-key: $key" $app/api/v1/sessions
    curl -s -H "authorization: Bearer $grace" $app/api/v1/users/0a8e6f2c-6f7b-4c39-9d40-5b1f5a0c0ada

  The first session is refused, since nobody has claimed the agent. It is for ada, who is first;
  grace comes too late. The last line is what grace may see of ada.""",
}
SERVERS = {"sandbox": serve_sandbox, **APPS}


if __name__ == "__main__":
    if len(sys.argv) == 4:
        child(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        sys.exit(main())
