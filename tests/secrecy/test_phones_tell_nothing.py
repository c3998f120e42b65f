"""Senders whose only name is their phone number: it goes to Configure to be recognised, and is nowhere else."""

from __future__ import annotations

import json
import pprint
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import inspect, text

from configure_auth import ConfigureError, MessageAgent, Settings
from configure_auth.sandbox.values import Call

from ..messages.conftest import Platform
from ..support.servers import PostgreSQL
from ..support.stores import StoresAt
from ..support.web import MakeWeb, Web, query_of
from .conftest import TOKEN_KEY, Evidence, plant_what_configure_knows, see_files

ADA, BOB = "+14155550173", "+442079460958"
SPELLINGS = {ADA: ("+1 (415) 555-0173", "415-555-0173", "415.555.0173"), BOB: ("+44 20 7946 0958", "whatsapp:" + BOB)}
RECOGNIZE = "/v1/auth/sign-in/recognize-phone"


def numbers() -> Iterator[str]:
    """Each number in every spelling, and as hashes that anybody can make who tries all numbers."""
    for number, spellings in SPELLINGS.items():
        for plain in (number[1:], number[2:], *spellings, *(one.removeprefix("+1 ") for one in spellings)):
            yield plain
        for plain in (number, number[1:], *(f"{prefix}:{number}" for prefix in ("subject", "sender", "whatsapp"))):
            yield sha256(plain.encode()).hexdigest()


def see_tables(evidence: Evidence, server: PostgreSQL, url: str) -> None:
    """Every column of every row."""
    with server.engine(url) as engine, closing(engine.connect()) as connection:
        for table in inspect(engine).get_table_names():
            for row in connection.execute(text(f"SELECT * FROM {table}")).mappings():
                for column, value in row.items():
                    evidence.see(f"column {table}.{column}", str(value))


def seen_at_configure(call: Call) -> str:
    """All of a request but for what is there to be recognised."""
    body = call.body.decode()
    if call.path == RECOGNIZE:
        body = json.dumps({name: value for name, value in json.loads(body).items() if name != "candidates"})
    return f"{call.path} {call.query_string} {dict(call.headers)} {body}"


@pytest.fixture
def web(make_watched: MakeWeb) -> Web:
    # A hook of the app's gets the number, and may do what it wants with it.
    return make_watched(
        settings={"CONFIGURE_TOKEN_KEYS": TOKEN_KEY},
        messages={"region": "US", "message_line_phone": "+1 415 555 0100", "on_linked": lambda key, account: None},
    )


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_number_is_nowhere(web: Web, store: str, stores_at: StoresAt, evidence: Evidence, request: Any) -> None:
    platform, sandbox = Platform(web), web.sandbox
    evidence.plant(**{f"number {place}": number for place, number in enumerate(numbers())})

    # The whole of two conversations, one by a link and one by phone, and all that can go wrong in them.
    for number, spellings in SPELLINGS.items():
        for key in (number, *spellings):
            platform.message(key)
            platform.message(key, number, *spellings)
        sandbox.add_person(number, name="Ada" if number == ADA else "Bob")
        for fault in ({"status": 500, "body": f"{number} {spellings}"}, {"drop": True}, {"status": 200, "body": "x"}):
            sandbox.fault(RECOGNIZE, **fault)
            platform.message(number, number)
            sandbox.clear_faults()
        links = [platform.connect(key) for key in (number, *spellings)]
        evidence.see("link", *links)
        token = sandbox.issue_agent_token(sandbox.add_person(number))
        for changes in ({"token": "forged"}, {"token": token, "userId": "another"}, {"token": token}, {"token": token}):
            platform.post(platform.completion(links[-1], **changes))
        assert platform.message(number, number)["linked"]
        assert platform.message(spellings[-1], number)["linked"]
        evidence.see("export", str(platform.verb("/subject/export", sender=number)))

    store_url = stores_at(store, web.folder)["store"]
    settings = Settings.from_mapping({**sandbox.environment(app_url=web.url), "CONFIGURE_TOKEN_KEYS": TOKEN_KEY})
    with MessageAgent(settings, store=store_url, region="US", clock=sandbox.clock) as agent:
        for number in SPELLINGS:
            identity = agent.message_identity(number, phone_candidates=[number])
            account = agent.export_subject(number)
            agent.client.profile(identity).read(sections=("identity",))
            evidence.see(
                "identity", *(show(one) for one in (identity, account) for show in (repr, str, pprint.pformat))
            )
        evidence.see("agent", repr(agent), pprint.pformat(vars(agent)))
        sandbox.fault(RECOGNIZE, status=500)
        with pytest.raises(ConfigureError) as raised:
            agent.message_identity("new", phone_candidates=[ADA], raise_on_error=True)
        evidence.see("error", repr(raised.value), str(raised.value), repr(vars(raised.value)))

    # On its way still, as most of the above is gone: its row has the sender's name, sealed.
    on_its_way = platform.connect(ADA)
    evidence.see("link", on_its_way)
    evidence.see("events", *map(repr, platform.events))
    platform.browser.close()

    if store == "postgresql":
        see_tables(evidence, request.getfixturevalue("postgresql"), store_url)
    else:
        assert see_files(evidence, web.folder)["configure.db"]
    plant_what_configure_knows(evidence, sandbox)
    assert evidence.leaks() == []

    calls = [call for call in sandbox.calls if call.origin == "api"]
    at_configure = Evidence(evidence.ear, {name: one for name, one in evidence.known.items() if name[:7] == "number "})
    at_configure.see("request", *map(seen_at_configure, calls))
    assert [leak for leak in at_configure.leaks() if leak.endswith("in request")] == []
    # It did go where it has to, and only as the number that it is.
    sent = {number for call in calls if call.path == RECOGNIZE for number in call.json["candidates"]}
    assert sent == set(SPELLINGS)
    assert query_of(on_its_way)["message_line_phone"] == "+14155550100"
