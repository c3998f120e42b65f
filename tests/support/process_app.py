"""The app under test as a program: `python -m tests.support.process_app`, or gunicorn's `create()`.

The variable TEST_APP is a JSON object: see `AppOptions`. Several processes with the same one are one app.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flask import Flask, jsonify, request

from configure_auth import ConfigureAuthError

from .doom import Doom, doomed_stores, doomed_transport
from .flask_web import build, listening
from .web import Options, People


@dataclass(frozen=True, kw_only=True)
class AppOptions:
    """`clock` is a file with the seconds by which the app's time is ahead. `warm` is a token to read a profile with
    while the app is made, which under `gunicorn --preload` is before the fork. `doom` says in which step to die.
    `is_drill`: the log is written from INFO on, and the clock is also that of the other libraries.

    The file "linked" in the folder gets a line for each call of `on_linked`: the sender's key."""

    settings: dict[str, Any]
    stores: dict[str, str]
    folder: str
    clock: str
    warm: str | None = None
    doom: Doom | None = None
    is_drill: bool = False

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CONFIGURE_")}
        return {**inherited, "TEST_APP": json.dumps(asdict(self))}


def _ahead(clock: Path, now: Callable[[], float] = time.time) -> Callable[[], float]:
    return lambda: now() + float(clock.read_text())


def create() -> Flask:
    given = json.loads(os.environ["TEST_APP"])
    doom = given.pop("doom")
    if given["is_drill"]:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        time.time = _ahead(Path(given["clock"]))
    return make(AppOptions(**given, doom=doom and Doom(**doom)))


def make(options: AppOptions) -> Flask:
    def customise(app: Flask, configure_auth: Any) -> None:
        @app.get("/pid")
        def pid() -> Any:
            return jsonify(pid=os.getpid())

        @app.get("/read")
        def read() -> Any:
            answer = configure_auth.client.profile(token=request.args["token"]).read(sections=("identity",))
            return jsonify(pid=os.getpid(), name=answer.identity.name)

        @app.errorhandler(ConfigureAuthError)
        def failed(error: ConfigureAuthError) -> Any:
            return jsonify(error=str(error.code)), error.status

    def on_linked(sender: str, account: Any) -> None:
        with (folder / "linked").open("a") as file:
            file.write(f"{sender}\n")

    folder, steps = Path(options.folder), options.doom and options.doom.steps()
    stores = doomed_stores(options.stores, options.settings, folder, steps) if steps else options.stores
    chosen = Options(
        stores=stores,
        messages={"on_linked": on_linked, "on_unproven": "accept"},
        claims={},
        customise=customise,
        # As many as there are threads that ask at once: here they are to meet in the store.
        constructor={"max_calls": 64},
    )
    app, configure_auth = build(options.settings, chosen, People(), folder, _ahead(Path(options.clock)))
    if steps:
        with app.app_context():
            configure_auth.client._transport = doomed_transport(configure_auth.client._transport, steps)
    if options.warm is not None:
        with app.app_context():
            assert configure_auth.account_for("nobody") is None
            configure_auth.client.profile(token=options.warm).read(sections=("identity",))
    return app


def main() -> None:
    with listening() as (port, serve), serve(create()):
        print(port, flush=True)
        # Until the test lets go of the pipe, or is no more.
        sys.stdin.read()


if __name__ == "__main__":
    main()
