"""Faults written as one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from configure_auth.sandbox import FaultError, Sandbox
from configure_auth.sandbox.faults import FIELDS, Fault, FaultOptions, read_fault
from configure_auth.sandbox.routes import TABLES
from configure_auth.sandbox.values import SCOPES

if TYPE_CHECKING:
    from tests.sandbox.conftest import Developer

VALIDATE = "/v1/auth/sign-in/validate"
EXCHANGE = "/v1/auth/sign-in/exchange"
AGENTS = ("demo-agent", "billing-agent")


# What a line does


def test_an_answer_is_forced_so_often(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.script(f"POST {VALIDATE} status=503 times=2")

    assert [developer.post(VALIDATE, {"token": "x"}).status_code for _ in range(3)] == [503, 503, 200]


def test_body_type_and_headers_are_those_of_the_line(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.script(
        f"""{VALIDATE} status=502 body='{{"a": "b c"}}' content_type=application/problem+json
        headers="Retry-After: 3" headers='X-Probe: one: two'"""
    )
    answer = developer.post(VALIDATE, {"token": "x"})

    assert (answer.status_code, answer.json()) == (502, {"a": "b c"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.headers["retry-after"], answer.headers["x-probe"]) == ("3", "one: two")


def test_an_empty_body_is_a_body(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.script(f"{VALIDATE} body=")

    assert (developer.post(VALIDATE, {"token": "x"}).content, sandbox.calls[-1].status) == (b"", 200)


@pytest.mark.parametrize(("word", "spent"), [("", False), (" handled", True)])
def test_a_dropped_connection_has_done_nothing_unless_handled(
    developer: Developer, sandbox: Sandbox, word: str, spent: bool
) -> None:
    code = sandbox.issue_return_code(sandbox.add_person())
    sandbox.script(f"post {EXCHANGE} drop times=1{word}")
    with pytest.raises(httpx2.RemoteProtocolError):
        developer.post(EXCHANGE, {"code": code})

    assert (developer.post(EXCHANGE, {"code": code}).status_code != 200) is spent


def test_an_answer_is_cut(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.script(f"{VALIDATE} cut=10")
    with pytest.raises(httpx2.RemoteProtocolError, match=r"incomplete|without sending complete"):
        developer.post(VALIDATE, {"token": "x"})


def test_an_answer_that_is_late_or_drips_is_the_endpoints_own(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.script(f"{VALIDATE} delay=0.01 times=1")
    sandbox.script(f"{VALIDATE} drip=0.0001 times=1")

    answers = [developer.post(VALIDATE, {"token": "x"}).json() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert read_fault(f"{VALIDATE} delay=3", AGENTS).delay == 3
    assert read_fault(f"{VALIDATE} drip=0.1", AGENTS).drip == 0.1


def test_an_answer_is_late_after_a_new_start_too() -> None:
    with Sandbox() as sandbox:
        sandbox.stop()
        sandbox.start()
        sandbox.script(f"{VALIDATE} delay=3600")
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{sandbox.api_url}{VALIDATE}", timeout=httpx2.Timeout(30, read=0.5), trust_env=False)


def test_another_origin_is_named(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.script("GET /oauth/authorize status=500 origin=accounts times=1")
    sandbox.script("GET /demo-agent origin=sign-in status=418")

    query = developer.authorize_url().partition("?")[2]
    assert developer.http.get(f"{sandbox.api_url}/oauth/authorize?{query}").status_code == 200
    assert developer.http.get(developer.authorize_url()).status_code == 500
    assert developer.http.get(developer.sign_in_url()).status_code == 418


def test_the_agents_of_a_seed_have_pages_that_can_fail(sandbox: Sandbox) -> None:
    line = "/billing-agent/reconnect status=500 origin=sign-in"
    with pytest.raises(FaultError):
        sandbox.script(line)
    sandbox.seed({"agents": [{"handle": "billing-agent"}]})
    sandbox.script(line)


def test_the_fields_of_a_line_are_the_arguments_of_fault() -> None:
    assert {*FIELDS, "method"} == set(FaultOptions.__annotations__)
    with pytest.raises(FaultError) as refused:
        read_fault(f"{VALIDATE} nonsense", AGENTS)
    assert str(refused.value).endswith(f"the fields are {', '.join(FIELDS)}")


def test_an_outage_by_the_clock(developer: Developer, sandbox: Sandbox) -> None:
    """502 for some seconds, after some seconds: by the sandbox's clock, so that no test has to wait."""
    sandbox.fault(VALIDATE, status=502, after=60, lasts=30, headers={"Retry-After": "7"})

    def status() -> int:
        return developer.post(VALIDATE, {"token": "x"}).status_code

    assert status() == 200
    sandbox.advance(61)
    answer = developer.post(VALIDATE, {"token": "x"})
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["error"]["retry_after"]) == (502, "7", 7)
    sandbox.advance(27)
    assert status() == 502
    sandbox.advance(3)
    assert status() == 200


def test_an_outage_ends_by_count_or_by_clock_whichever_is_first(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.script(f"{VALIDATE} status=503 lasts=3600 times=1")
    sandbox.script(f"{VALIDATE} status=500 lasts=3600")

    assert [developer.post(VALIDATE, {"token": "x"}).status_code for _ in range(3)] == [503, 500, 500]
    sandbox.advance(3600)
    assert developer.post(VALIDATE, {"token": "x"}).status_code == 200


def test_faults_of_a_seed(developer: Developer, sandbox: Sandbox) -> None:
    """The fields are those of a line; a body may be a table, which is sent as JSON."""
    sandbox.seed(
        {
            "agents": [{"handle": "billing-agent"}],
            "faults": [
                {"path": VALIDATE, "method": "POST", "status": 502, "times": 1, "body": {"error": "bad gateway"}},
                {"path": "/billing-agent", "origin": "sign-in", "status": 418},
            ],
        }
    )

    answer = developer.post(VALIDATE, {"token": "x"})
    assert (answer.status_code, answer.json()) == (502, {"error": "bad gateway"})
    assert developer.http.get(developer.sign_in_url("billing-agent")).status_code == 418


# What is refused


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "begin with a method and a path"),
        ("POST", "begin with a method and a path"),
        ("POST status=503", "begin with a method and a path"),
        ("status=503", "begin with a method and a path"),
        ("http://127.0.0.1:4010/oauth/token status=503", "begin with a method and a path"),
        (f"{VALIDATE}", "nothing fails"),
        (f"{VALIDATE} times=2 handled", "nothing fails"),
        (f"{VALIDATE} delay=0", "nothing fails"),
        (f"{VALIDATE} content_type=text/html", "nothing fails"),
        (f"{VALIDATE} body='x", "No closing quotation"),
        (f"GET {VALIDATE} status=503", "has no method 'GET'; it has POST"),
        ("'GE\nT' /v1/profile status=503", "has no method"),
        ("/oauth/tokens status=503", "its nearest paths are /oauth/token"),
        ("/oauth/token?a=b status=503", "its nearest paths are /oauth/token"),
        ("/oauth/token/ status=503", "its nearest paths are /oauth/token"),
        ("/ status=503", "does not serve '/'"),
        ("/oauth/token status=503 origin=accounts", "is served by api, not by accounts: add origin=api"),
        ("/demo-agent status=503", "is served by sign-in, not by api: add origin=sign-in"),
        ("/nobody status=503 origin=sign-in", "does not serve '/nobody'"),
        (f"{VALIDATE} state=503", "there is no field 'state'; the fields are status, body"),
        (f"{VALIDATE} method=POST status=503", "there is no field 'method'"),
        (f"{VALIDATE} left=1 status=503", "there is no field 'left'"),
        (f"{VALIDATE} status=503 status=502", "status is there twice"),
        (f"{VALIDATE} drop drop", "drop is there twice"),
        (f"{VALIDATE} status", "status needs a value"),
        (f"{VALIDATE} status=", "status: expected int"),
        (f"{VALIDATE} status=5xx", "status: expected int"),
        (f"{VALIDATE} status=٥٠٣", "status: expected int"),
        (f"{VALIDATE} status=199", "status: expected int"),
        (f"{VALIDATE} status=600", "status: expected int"),
        (f"{VALIDATE} status=503 times=0", "times: expected int >= 1"),
        (f"{VALIDATE} status=503 times=-1", "times: expected int >= 1"),
        (f"{VALIDATE} delay=soon", "delay: expected float"),
        (f"{VALIDATE} delay=nan", "delay: expected float >= 0"),
        (f"{VALIDATE} delay=-1", "delay: expected float >= 0"),
        (f"{VALIDATE} delay=86401", "delay: expected float <= 86400"),
        (f"{VALIDATE} drip=86401", "drip: expected float <= 86400"),
        (f"{VALIDATE} cut=-1", "cut: expected int >= 0"),
        (f"{VALIDATE} drop=yes", "stands alone"),
        (f"{VALIDATE} handled=1 status=503", "stands alone"),
        (f"{VALIDATE} drop status=503", "drop sends no response"),
        (f"{VALIDATE} drop body=x", "drop sends no response"),
        (f"{VALIDATE} drop cut=1", "drop sends no response"),
        (f"{VALIDATE} drop drip=1", "drop sends no response"),
        (f"{VALIDATE} drop headers=A:b", "drop sends no response"),
        (f"{VALIDATE} cut=1 drip=1", "exclude each other"),
        (f"{VALIDATE} status=204 body=x", "a response of status 204 has no body"),
        (f"{VALIDATE} status=503 origin=elsewhere", "choose from api, accounts, sign-in"),
        (f"{VALIDATE} status=503 origin", "origin needs a value"),
        (f"{VALIDATE} body", "body needs a value"),
        (f"{VALIDATE} status=503 content_type=", "content_type: expected str of length >= 1"),
        (f"{VALIDATE} headers=Retry-After", "must be a header"),
        (f"{VALIDATE} headers='A b: c'", "header 'A b' can't be sent like this"),
        (f"{VALIDATE} headers='A: b\nC: d'", "header 'A' can't be sent like this"),
        (f"{VALIDATE} headers='A: ä'", "header 'A' can't be sent like this"),
        (f"{VALIDATE} headers='Content-Length: 3'", "header 'Content-Length' can't be sent like this"),
        (f"{VALIDATE} status=500 content_type='a\nb'", "header 'Content-Type' can't be sent like this"),
        (f"{VALIDATE} body=\ud800", "not text in UTF-8"),
    ],
)
def test_a_line_that_cannot_be_played_is_one_sentence(
    developer: Developer, sandbox: Sandbox, line: str, words: str
) -> None:
    with pytest.raises(FaultError) as refused:
        sandbox.script(line)

    assert str(refused.value).startswith(f"the fault {line!r}: ")
    assert words in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert developer.post(VALIDATE, {"token": "x"}).status_code == 200


@pytest.mark.parametrize(
    "values",
    [{"status": 99}, {"delay": float("nan")}, {"drip": -1.0}, {"cut": -1}, {"drop": True, "status": 500}, {"times": 0}],
)
def test_fault_refuses_what_a_line_refuses(sandbox: Sandbox, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|drop"):
        sandbox.fault(VALIDATE, **{"status": 503, **values})


# Any line

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)
NAMES = st.text(st.sampled_from("abcXYZ-_1"), min_size=1, max_size=8)
SECONDS = st.integers(1, 86_400_000).map(lambda thousandths: thousandths / 1000)
ENDPOINTS = [(origin, method, path) for origin, table in TABLES.items() for method, path, _ in table]


@st.composite
def faults(draw: st.DrawFn) -> Fault:
    origin, method, path = draw(st.sampled_from(ENDPOINTS))
    path = path.replace("{agent}", draw(st.sampled_from(AGENTS))).replace("{code}", "x").replace("{client_id}", "y")
    said: dict[str, Any] = {
        "method": draw(st.none() | st.just(method)),
        "delay": draw(st.none() | SECONDS),
        "times": draw(st.none() | st.integers(1, 999_999_999)),
        "after": draw(st.none() | SECONDS),
        "lasts": draw(st.none() | SECONDS),
        "handled": draw(st.booleans()),
    }
    if draw(st.booleans()):
        said["drop"] = True
    else:
        said |= {
            "status": draw(st.integers(400, 599)),
            "body": draw(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)),
            "content_type": draw(st.none() | PRINTABLE),
            "headers": draw(st.none() | st.dictionaries(NAMES, PRINTABLE.map(str.strip), min_size=1, max_size=2)),
        }
        said |= draw(st.just({}) | st.builds(dict, cut=st.integers(0, 999_999_999)) | st.builds(dict, drip=SECONDS))
    return Fault(path=path, origin=origin, **said)


@given(faults())
@example(Fault(path="/oauth/token", cut=0))
@example(Fault(path="/oauth/token", body="", content_type="text/1.0", delay=3.0))
def test_any_fault_can_be_said_in_a_line(fault: Fault) -> None:
    assert read_fault(str(fault), AGENTS) == fault


WORD = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["POST", VALIDATE, "/oauth/token", "/demo-agent", "origin=sign-in", "drop", "handled", *SCOPES]),
    st.builds("{}={}".format, st.sampled_from([*FIELDS]), st.text(max_size=6) | st.integers().map(str)),
)


@given(st.lists(WORD, max_size=5).map(" ".join) | st.builds("{} {}".format, st.just(VALIDATE), WORD))
def test_anything_else_is_a_fault_or_one_sentence(line: str) -> None:
    said = ""
    try:
        read_fault(line, AGENTS)
    except FaultError as refused:
        said = str(refused)
    assert len(said.splitlines()) <= 1
