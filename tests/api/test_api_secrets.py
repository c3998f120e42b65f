"""No key, token, code or verifier in a log, a repr or a traceback, whatever the other side does with it."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import trio

from configure_auth.client.call import HttpCall
from configure_auth.client.client import AsyncConfigure, Configure
from configure_auth.client.oauth import exchange_authorization_code, introspect, refresh_tokens
from configure_auth.client.profile import Subject, read_profile
from configure_auth.client.sign_in import SignInCalls
from configure_auth.errors import ConfigureError
from configure_auth.settings import Settings
from configure_auth.values import Secret

from .conftest import CLOSE, http

if TYPE_CHECKING:
    from .conftest import Line, Received, Server

CANARY = "CANARY"
ECHO = "sk_CANARY ocs_CANARY cfgsic_CANARY verifierCANARY tokenCANARY"


def settings_of(server: Server) -> Settings:
    return Settings(
        api_key=Secret("sk_CANARY"),
        agent="acme",
        oauth_client_id="oc_client",
        oauth_client_secret=Secret("ocs_CANARY"),
        base_url=server.url,
    )


def calls_of(settings: Settings) -> list[HttpCall[Any]]:
    return [
        SignInCalls(settings).exchange_sign_in_code("cfgsic_CANARY"),
        SignInCalls(settings).validate_sign_in_token(Secret("tokenCANARY")),
        exchange_authorization_code(
            settings,
            code="codeCANARY",
            redirect_uri="https://a.example/cb",
            code_verifier="verifierCANARY" + "v" * 40,
            resource=None,
        ),
        refresh_tokens(settings, refresh_token="tokenCANARY", resource=None),
        introspect(settings, "tokenCANARY"),
        read_profile(settings, Subject(token="tokenCANARY")),
    ]


def broken_head(line: Line, _: Received) -> object:
    line.write(f"HTTP/1.1 {ECHO}\r\n\r\n".encode())
    return CLOSE


def cut(line: Line, _: Received) -> object:
    line.write(http({"token": ECHO})[:-5])
    return CLOSE


GOOD = {
    "token": "tokenCANARY",
    "userId": "u1",
    "agent": "acme",
    "valid": True,
    "access_token": "tokenCANARY",
    "refresh_token": "tokenCANARY",
    "active": True,
    "sub": "u1",
}
ANSWERS: dict[str, bytes | Callable[[Line, Received], object]] = {
    "good": http(GOOD),
    "an echo in the headers": http(GOOD, headers={"location": ECHO, "set-cookie": ECHO, "x-request-id": ECHO}),
    "an echo in an error": http({"error": {"type": "x", "code": ECHO, "message": ECHO}}, status=400),
    "an echo in OAuth's error": http({"error": ECHO, "error_description": ECHO}, status=400),
    "an echo in a redirect": http(ECHO.encode(), status=307, headers={"location": f"https://evil.example/?{ECHO}"}),
    "an echo in HTML": http(f"<p>{ECHO}".encode(), content_type="text/html"),
    "broken JSON": http(f'{{"token": "{ECHO}"'.encode()),
    "fields of the wrong shape": http(GOOD | {"userId": [ECHO], "token_type": ECHO, "active": ECHO, "valid": ECHO}),
    "an odd token": http(GOOD | {"token": ECHO + "\n", "access_token": ECHO + "\n", "sub": ECHO + "\n", "valid": ECHO}),
    "too large": http((ECHO * 10_000).encode()),
    "a broken head": broken_head,
    "a cut body": cut,
}


def told_of(act: Callable[[], object]) -> str:
    """All that an error tracker would see: the message, the repr, and the frames of our code with their locals."""
    failures: list[ConfigureError] = []
    value: object = None
    try:
        value = act()
    except ConfigureError as error:
        failures.append(error)
    told = [repr(value)]
    for failure in failures:
        assert failure.__context__ is None
        seen = traceback.TracebackException.from_exception(failure, capture_locals=True)
        told += [repr(failure), str(failure), repr(vars(failure))]
        told += [frame for frame in seen.format() if "/configure_auth/" in frame or "Error" in frame]
    return "\n".join(told)


@pytest.mark.parametrize("kind", ["blocking", "asyncio", "trio"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_no_canary_escapes(server: Server, caplog: pytest.LogCaptureFixture, answer: str, kind: str) -> None:
    settings = settings_of(server)
    calls = calls_of(settings)
    server.answers(ANSWERS[answer])
    told = [repr(calls), repr(settings)]
    caplog.set_level(logging.DEBUG)
    with Configure(settings) as configure:
        awaited = AsyncConfigure(settings)
        for call in calls:
            if kind == "blocking":
                told.append(told_of(lambda call=call: configure.send(call)))  # type: ignore[misc]
            elif kind == "asyncio":
                told.append(told_of(lambda call=call: asyncio.run(awaited.send(call))))  # type: ignore[misc]
            else:
                told.append(told_of(lambda call=call: trio.run(awaited.send, call)))  # type: ignore[misc]
    assert len(server.received) == len(calls)
    assert CANARY not in "\n".join(told)
    assert [record for record in caplog.records if CANARY in record.getMessage()] == []


def test_a_verb_keeps_no_argument_in_its_frames(server: Server) -> None:
    server.answers(http({}, status=400))
    configure = Configure(settings_of(server))
    with configure:
        code = "cfgsic_CANARY"
        assert CANARY not in told_of(lambda: configure.auth.exchange_sign_in_code(code))
        assert CANARY not in told_of(lambda: configure.profile(token=Secret("tokenCANARY")).read())
        assert CANARY not in told_of(lambda: configure.send_both(*calls_of(configure.settings)[:2]))


def test_no_logger_is_changed(server: Server) -> None:
    loggers = [logging.getLogger(name) for name in ("", "h11", "asyncio", "configure_auth")]
    before = [(logger.level, logger.disabled, list(logger.filters)) for logger in loggers]
    server.answers(http(GOOD))
    with Configure(settings_of(server)) as configure:
        configure.auth.validate_sign_in_token("tokenCANARY")
    assert [(logger.level, logger.disabled, list(logger.filters)) for logger in loggers] == before


def test_clients_and_profiles_show_and_pickle_nothing(server: Server) -> None:
    configure = Configure(settings_of(server))
    profile = configure.profile(token="tokenCANARY")
    for shown in (configure, configure.auth, profile, Subject(token="tokenCANARY"), vars(configure)):
        assert CANARY not in repr(shown)
    for kept in (configure.settings, Subject(token="tokenCANARY")):
        with pytest.raises(TypeError):
            pickle.dumps(kept)


def test_a_header_that_is_refused_is_not_shown(server: Server) -> None:
    call: HttpCall[object] = HttpCall(
        method="GET", url=server.url, headers={"Authorization": "Bearer tokenCANARY\n"}, parse=lambda reply: reply
    )
    with Configure(settings_of(server)) as configure:
        assert CANARY not in told_of(lambda: configure.send(call))
