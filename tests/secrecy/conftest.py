"""Everything that anybody gets to see of the app, and the secrets that must not be in it."""

from __future__ import annotations

import base64
import binascii
import logging
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from blinker import ANY

import configure_auth
from configure_auth.flask.signals import SIGNALS
from configure_auth.flows.response import LOOPBACK_COOKIE_NAME
from configure_auth.sandbox import Sandbox

from ..behaviour.conftest import make_web
from ..support.visitor import TOKEN, FlowName, Got, Visitor
from ..support.web import Adapter, MakeWeb, Web, query_of, start_path

__all__ = ["make_web"]

TOKEN_KEY = "canary-token-key-0123456789-abcdefghij"
PACKAGE = Path(configure_auth.__file__).parent
SERVERS = ("werkzeug", "uvicorn.access")
"""Loggers of a web server's access log, whose lines quote the URL that was asked for."""


def told(error: BaseException) -> str:
    """An exception as an error tracker shows it: the whole chain, with the locals of our frames."""
    seen: set[int] = set()
    texts = []
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        pending += [one.__cause__, one.__context__]
        texts += [repr(one), str(one), repr(vars(one))]
        captured = traceback.TracebackException.from_exception(one, capture_locals=True)
        for frame in captured.stack:
            path = Path(frame.filename)
            if PACKAGE in path.parents and "sandbox" not in path.parts:
                texts += [f"{path.name}:{frame.lineno} {frame.name}", *(frame.locals or {}).values()]
    return "\n".join(texts)


class Ear(logging.Handler):
    """Hears every logger at DEBUG, with tracebacks, but for the sandbox's own thread and the walker of its pages."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        self.heard: list[tuple[str, str]] = []
        self.deaf = False

    def emit(self, record: logging.LogRecord) -> None:
        if self.deaf or threading.current_thread().name == "configure-sandbox":
            return
        text = self.format(record)
        if record.exc_info and record.exc_info[1] is not None:
            text += told(record.exc_info[1])
        self.heard.append((record.name, f"{text}\n{vars(record)}"))


@dataclass
class Evidence:
    """What was seen, and where. `known` are the secrets by name, filled in as they come to be."""

    ear: Ear
    known: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)

    def see(self, where: str, *texts: str) -> None:
        self.seen += [(where, text) for text in texts]

    def see_error(self, where: str, error: BaseException) -> None:
        self.see(where, told(error))

    def plant(self, **secrets: str) -> None:
        self.known |= secrets

    def leaks(self) -> list[str]:
        """Every secret that is where it must not be."""
        heard = [
            (f"log {name}", text)
            for name, text in self.ear.heard
            # The inbound URL is the server's to log; the app's own words are not.
            if name not in SERVERS
        ]
        return sorted({f"{name} in {where}" for where, text in self.seen + heard for name in self._in(where, text)})

    def _in(self, where: str, text: str) -> Iterator[str]:
        for name, secret in self.known.items():
            if name.startswith("state") and where == "start":
                # The URL at Configure carries it there.
                continue
            if any(form in text for form in forms(secret)):
                yield name


def forms(secret: str) -> set[str]:
    """A secret as it is, and as URLs, Basic headers and Python's bytes write it."""
    return {secret, quote(secret, safe=""), quote_plus(secret), base64.b64encode(secret.encode()).decode().rstrip("=")}


class Watched(Visitor):
    """A visitor all of whose answers are evidence."""

    evidence: Evidence

    @classmethod
    def watching(cls, web: Web, evidence: Evidence) -> Watched:
        plain = Visitor.of(web)
        visitor = cls(plain.port, plain.host, plain.sandbox)
        visitor.evidence = evidence
        return visitor

    def ask(
        self, url: str, *, method: str = "GET", site: str = "same-origin", port: int | None = None, accept: str = ""
    ) -> Got:
        got = super().ask(url, method=method, site=site, port=port, accept=accept)
        self.look_at(url, got)
        return got

    def look_at(self, url: str, got: Got) -> None:
        where = "start" if url.split("?")[0].endswith("/sign-in") else "answer"
        if not url.startswith("/token"):
            self.evidence.see(where, got.text)
        for name, value in got.headers:
            if name != "set-cookie":
                self.evidence.see(where, f"{name}: {value}")
            elif value.startswith(f"{LOOPBACK_COOKIE_NAME}="):
                # Our cookie, which is for the browser; its attributes are not.
                binding, _, attributes = value.partition(";")
                self.evidence.plant(browser_cookie=binding.removeprefix(f"{LOOPBACK_COOKIE_NAME}="))
                self.evidence.see("cookie", attributes)
            else:
                self.evidence.see("cookie", value, _decoded(value))

    def walk(self, flow: FlowName, query: str = "", **choices: Any) -> str:
        """From the button to the callback's URL, whose code and state are secrets from here on."""
        got = self.get(start_path(flow) + query)
        assert got.location is not None, got.text
        return self.walk_on(got.location, **choices)

    def walk_on(self, start: str, **choices: Any) -> str:
        """The rest of `walk`, from the URL at Configure."""
        self.evidence.ear.deaf = True
        callback = self.sandbox.sign_in(start, **choices)
        self.evidence.ear.deaf = False
        sent, number = query_of(callback), len(self.evidence.known)
        self.evidence.plant(**{f"state {number}": sent["state"]})
        if "code" in sent:
            self.evidence.plant(**{f"code {number}": sent["code"]})
        return callback


def _decoded(cookie: str) -> str:
    """What a signed session cookie has in it."""
    value = cookie.partition("=")[2].partition(";")[0].partition(".")[0]
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode("latin-1")
    except binascii.Error:
        return ""


def plant_what_configure_knows(evidence: Evidence, sandbox: Sandbox) -> None:
    """The keys, the verifiers that were sent, and every token that was given out."""
    credentials = sandbox.credentials
    evidence.plant(
        api_key=credentials.api_key,
        client_secret=credentials.client_secret,
        basic=f"{credentials.client_id}:{credentials.client_secret}",
        token_key=TOKEN_KEY,
    )
    for number, call in enumerate(sandbox.calls_to("POST", TOKEN)):
        if verifier := call.form.get("code_verifier"):
            evidence.plant(**{f"verifier {number}": verifier})
    for number, token in enumerate(sandbox.tokens):
        evidence.plant(**{f"{token.kind} token {number}": token.token})


@contextmanager
def listening_to_everything() -> Iterator[Ear]:
    ear, root = Ear(), logging.getLogger()
    level = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    try:
        yield ear
    finally:
        root.setLevel(level)
        root.removeHandler(ear)


def see_files(evidence: Evidence, folder: Path) -> Mapping[str, int]:
    """The bytes of the database and of whatever lies beside it; how many there are of each."""
    files = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name, content in files.items():
        evidence.see(f"file {name}", content.decode("latin-1"))
    return {name: len(content) for name, content in files.items()}


@pytest.fixture
def store() -> str:
    return "sqlite"


@pytest.fixture(params=["flask", "starlette"])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    chosen: Adapter = request.param
    return chosen


@pytest.fixture
def evidence() -> Iterator[Evidence]:
    with listening_to_everything() as ear:
        yield Evidence(ear)


@pytest.fixture
def only_own_receivers() -> Iterator[None]:
    """Without those that an example app, imported by another test of this process, has for every app there is."""
    others = [(signal, receiver) for signal in SIGNALS.values() for receiver in signal.receivers_for(ANY)]
    for signal, receiver in others:
        signal.disconnect(receiver)
    yield
    for signal, receiver in others:
        signal.connect(receiver)


@pytest.fixture
def make_watched(make_web: MakeWeb, only_own_receivers: None) -> MakeWeb:
    def make(*, folder: Path | None = None, **options: Any) -> Web:
        return make_web(folder=folder, **{"settings": {"CONFIGURE_TOKEN_KEYS": TOKEN_KEY}, **options})

    return make
