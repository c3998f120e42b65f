"""What a person meets in a debugger, a log line or a pickle: every object of ours, in every form that prints."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import pprint
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from configure_auth import ConfigureAuthError, ConfigureError, Secret, Settings
from configure_auth.client.oauth import exchange_authorization_code, introspect, refresh_tokens
from configure_auth.client.sign_in import SignInCalls

from ..support.web import MakeWeb, Web
from .conftest import Evidence, Watched, plant_what_configure_knows

SECRET = "canary-of-a-secret-0123456789"


def printed(thing: object) -> Iterator[str]:
    """A thing in every form in which it may get into a text; a form that is refused says nothing."""
    yield from (repr(thing), str(thing), f"{thing}", f"{thing!s}", f"{[thing]}", f"{thing!a}", pprint.pformat(thing))
    instance: Any = thing
    forms: tuple[Callable[[], str], ...] = (
        lambda: pickle.dumps(thing).decode("latin-1"),
        lambda: json.dumps(thing),
        lambda: json.dumps(thing, default=str),
        lambda: json.dumps(thing, default=repr),
        lambda: json.dumps(thing, default=vars),
        lambda: repr(vars(thing)),
        lambda: repr(dataclasses.asdict(instance)),
        lambda: repr(copy.copy(thing)),
        lambda: repr(copy.deepcopy(thing)),
        lambda: repr(thing.__reduce_ex__(4)),
    )
    for form in forms:
        try:
            yield form()
        except Exception as refused:  # noqa: BLE001  # whatever it is, its own words count too
            yield repr(refused)


@pytest.mark.catalogue("O2")
@pytest.mark.parametrize(
    "form",
    [
        lambda secret: "".join(printed(secret)),
        lambda secret: "".join(printed({"token": secret, "list": [secret]})),
        lambda secret: f"{secret:>50}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
        lambda secret: repr(sorted(dir(secret))),
    ],
)
def test_a_secret_prints_nothing(form: Any) -> None:
    try:
        said = form(Secret(SECRET))
    except TypeError as refused:
        said = str(refused)

    assert SECRET not in said


@pytest.mark.catalogue("O2")
def test_settings_and_calls_print_nothing() -> None:
    settings = Settings(
        api_key=Secret(f"sk_{SECRET}"),
        agent="acme",
        oauth_client_id="oc_x",
        oauth_client_secret=Secret(f"ocs_{SECRET}"),
        token_keys=(Secret(f"key-{SECRET}"),),
    )
    calls = [
        SignInCalls(settings).exchange_sign_in_code(SECRET),
        SignInCalls(settings).validate_sign_in_token(SECRET),
        exchange_authorization_code(
            settings, code=SECRET, redirect_uri="https://a.example/cb", code_verifier=SECRET * 2, resource=None
        ),
        refresh_tokens(settings, refresh_token=SECRET, resource=None),
        introspect(settings, SECRET),
    ]

    assert SECRET not in "".join(printed(settings))
    for call in calls:
        assert SECRET not in "".join((repr(call), str(call), pprint.pformat(call)))


def things(web: Web) -> Iterator[tuple[str, object]]:
    """The objects that an app holds after it was used, and those they are made of."""
    configure_auth = web.configure_auth
    yield "ConfigureAuth", configure_auth
    yield "its vars", vars(configure_auth)
    installed = web.app.extensions["configure_auth"]["configure"] if web.adapter == "flask" else configure_auth
    for owner in (installed, getattr(installed, "site", None)):
        for name in (
            "client",
            "stores",
            "site",
            "features",
            "settings",
            "sealer",
            "_client",
            "_stores",
            "_site",
            "_installed",
            "_settings",
        ):
            part = getattr(owner, name, None)
            if part is not None and not callable(part):
                yield name, part
                yield f"vars of {name}", getattr(part, "__dict__", None)


@pytest.mark.catalogue("O2")
def test_an_app_in_use_prints_nothing(make_watched: MakeWeb, evidence: Evidence) -> None:
    web = make_watched()
    visitor = Watched.watching(web, evidence)
    assert visitor.come_back(visitor.walk("login")).status == 303
    visitor.post("/out")
    visitor.sign_in_locally("u1")
    assert visitor.come_back(visitor.walk("link", phone="+15550100002")).status == 303
    plant_what_configure_knows(evidence, web.sandbox)

    for name, thing in things(web):
        evidence.see(name, repr(thing), str(thing), pprint.pformat(thing))
        if "vars" not in name:
            evidence.see(name, *printed(thing))

    assert evidence.leaks() == []


@pytest.mark.catalogue("O2")
def test_stored_records_and_grants_print_nothing(make_watched: MakeWeb, evidence: Evidence) -> None:
    web = make_watched()
    visitor = Watched.watching(web, evidence)
    assert visitor.come_back(visitor.walk("login")).status == 303
    plant_what_configure_knows(evidence, web.sandbox)
    (identity, grant) = web.people.logins[0]

    evidence.see("identity", *printed(identity))
    evidence.see("grant", *printed(grant))
    for event in web.people.events:
        evidence.see("event", *printed(event))

    assert {"access token 0", "refresh token 1"} <= set(evidence.known)
    assert evidence.leaks() == []


@pytest.mark.catalogue("O2")
@pytest.mark.parametrize("adapter", ["flask"])
@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 401}, {"drop": True}, {"status": 200, "body": "x"}])
def test_the_errors_of_the_verbs_print_nothing(make_watched: MakeWeb, evidence: Evidence, fault: Any) -> None:
    """As an app's error tracker gets them: with the locals of every frame of ours."""
    web = make_watched()
    visitor = Watched.watching(web, evidence)
    assert visitor.come_back(visitor.walk("login")).status == 303
    user_id = visitor.ask("/who").json["user_id"]
    plant_what_configure_knows(evidence, web.sandbox)
    body = " ".join(evidence.known.values())
    for path in ("/oauth/token", "/v1/profile", "/oauth/introspect", "/v1/auth/sign-in/validate"):
        web.sandbox.fault(path, **{"body": body, **fault} if "status" in fault else fault)
    raised: list[ConfigureAuthError] = []

    def use() -> None:
        with web.app.app_context():
            verbs = web.configure_auth
            profile = verbs.profile_for(user_id)
            web.sandbox.advance(3600)
            used: tuple[Callable[[], object], ...] = (
                lambda: profile.read(),
                lambda: verbs.access_token_for(user_id),
                lambda: verbs.access_token_for("nobody"),
                lambda: verbs.client.auth.validate_sign_in_token(Secret(evidence.known["access token 0"])),
            )
            for verb in used:
                try:
                    verb()
                except ConfigureAuthError as error:
                    raised.append(error)

    with ThreadPoolExecutor(1) as other:
        other.submit(use).result()

    assert len(raised) == 4
    assert all(isinstance(error, ConfigureError) for error in raised)
    for error in raised:
        evidence.see_error(repr(error), error)
        evidence.see("error", *printed(error))
    assert evidence.leaks() == []
