"""The access logs of servers, in which a callback's address would stand with its code and state."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from gunicorn.glogging import SafeAtoms  # type: ignore[import-untyped]

from configure_auth import AccessLogFilter
from configure_auth.sandbox import Sandbox

from ..support.web import Adapter, Options, query_of, running

LOGGERS: dict[Adapter, str] = {"flask": "werkzeug", "starlette": "uvicorn.access"}
SECRET = "code=cfgsic_1&state=s"


@contextmanager
def filtered(name: str) -> Iterator[logging.Logger]:
    logger, hides = logging.getLogger(name), AccessLogFilter()
    logger.addFilter(hides)
    try:
        yield logger
    finally:
        logger.removeFilter(hides)


@contextmanager
def heard(logger: logging.Logger, handler: logging.Handler) -> Iterator[None]:
    """Another uvicorn in this process, such as the sandbox's, may have turned the access log off."""
    logger.addHandler(handler)
    logger.propagate, propagates = False, logger.propagate
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


@pytest.mark.parametrize("adapter", LOGGERS)
def test_filter_hides_codes_and_states(
    configure_sandbox: Sandbox, tmp_path: object, caplog: pytest.LogCaptureFixture, adapter: Adapter
) -> None:
    caplog.set_level(logging.INFO, LOGGERS[adapter])
    with (
        filtered(LOGGERS[adapter]) as logger,
        heard(logger, caplog.handler),
        running(adapter, configure_sandbox, tmp_path, Options()) as web,  # type: ignore[arg-type]
        web.browser() as browser,
    ):
        callback = browser.at_configure(browser.start("login", "?next=/settings?tab=2"))
        browser.come_back(callback)
        # Refused before its exchange, so that the code stays good.
        browser.come_back(callback.replace("state=", "state=x"))

    ours = [record for record in caplog.records if record.name == LOGGERS[adapter]]
    lines = [line for record in ours if "/auth/configure/" in (line := record.getMessage())]
    assert len([line for line in lines if "/auth/configure/callback?[hidden] HTTP/1.1" in line]) == 2
    assert any("/auth/configure/sign-in?next=/settings?tab=2 " in line for line in lines)
    assert not [secret for secret in query_of(callback).values() if any(secret in line for line in lines)]


@pytest.mark.parametrize("address", [f"/configure/callback?{SECRET}", f"/configure/callback/?{SECRET}"])
def test_filter_hides_an_address_in_the_message_itself(caplog: pytest.LogCaptureFixture, address: str) -> None:
    caplog.set_level(logging.INFO, "werkzeug")
    with filtered("werkzeug") as logger, heard(logger, caplog.handler):
        logger.info(f"GET {address} HTTP/1.1")

    (said,) = [record.getMessage() for record in caplog.records if record.name == "werkzeug"]
    assert said == f"GET {address.partition('?')[0]}?[hidden] HTTP/1.1"


@pytest.mark.parametrize("query", [SECRET, "configure_finish=h"])
def test_filter_hides_gunicorns_atoms(caplog: pytest.LogCaptureFixture, query: str) -> None:
    path = "/configure/callback" if query is SECRET else "/settings"
    atoms = {
        "r": f"GET {path}?{query} HTTP/1.1",
        "U": path,
        "q": query,
        "f": f"https://a.example{path}?{query}",
        "s": "303",
    }
    form = '%(h)s "%(r)s" %(s)s "%(f)s" %(U)s %(q)s'
    with filtered("gunicorn.access") as logger, caplog.at_level(logging.INFO, "gunicorn.access"):
        logger.info(form, SafeAtoms(atoms))
        logger.info(form, SafeAtoms({**atoms, "r": "GET /a?b=c HTTP/1.1", "U": "/a", "q": "b=c", "f": None}))

    hidden, other = (record.getMessage() for record in caplog.records)
    assert query not in hidden
    assert hidden.startswith(f'- "GET {path}?')
    assert other == '- "GET /a?b=c HTTP/1.1" 303 "None" /a b=c'
