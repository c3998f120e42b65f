"""Seeds: what a file gives a sandbox, and what it is refused for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configure_auth.sandbox import Person, Sandbox, Seed, SeedError, read_seed
from configure_auth.sandbox.values import IdentityField, PersonFields

if TYPE_CHECKING:
    from tests.sandbox.conftest import Developer

IDENTITY = get_args(IdentityField)
ADA = {
    "phone": "+1 555 010 0001",
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "email_verified": True,
    "preferences": ["Window seats"],
    "summary": "Plans her trips by train.",
    "occupation": "Mathematician",
    "location": "London",
    "bio": "Writes notes.",
    "interests": ["Engines", "Trains"],
    "memories": ["Takes her tea without sugar"],
}
SEED: dict[str, Any] = {
    "people": [ADA, {"phone": "+44 20 7946 0958", "user_id": "bob", "name": "Bob"}],
    "agents": [
        {
            "handle": "billing-agent",
            "redirect_uris": ["https://billing.example.com/callback"],
            "return_destinations": ["https://billing.example.com/back"],
        }
    ],
    "redirect_uris": ["https://app.example.com/callback"],
    "return_destinations": ["myapp://signed-in#gone"],
    "scopes": ["profile.read", "profile.search"],
}
AS_TOML = """
redirect_uris = ["https://app.example.com/callback"]
return_destinations = ["myapp://signed-in#gone"]
scopes = ["profile.read", "profile.search"]

[[people]]
phone = "+1 555 010 0001"
name = "Ada Lovelace"
email = "ada@example.com"
email_verified = true
preferences = ["Window seats"]
summary = "Plans her trips by train."
occupation = "Mathematician"
location = "London"
bio = "Writes notes."
interests = ["Engines", "Trains"]
memories = ["Takes her tea without sugar"]

[[people]]
phone = "+44 20 7946 0958"
user_id = "bob"
name = "Bob"

[[agents]]
handle = "billing-agent"
redirect_uris = ["https://billing.example.com/callback"]
return_destinations = ["https://billing.example.com/back"]
"""

Written = Callable[[str, str | bytes], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def refusal_of(source: Path | dict[str, Any]) -> SeedError:
    with pytest.raises(SeedError) as refused:
        read_seed(source)
    assert len(str(refused.value).splitlines()) == 1
    return refused.value


# What a seed gives


def test_a_person_of_a_seed_has_the_profile_that_it_says(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.seed(SEED)
    ada, bob = sandbox.people
    token = sandbox.issue_agent_token(ada)

    profile = developer.get("/v1/profile", developer.as_user(token)).json()
    assert profile["identity"] == {
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "email_verified": True,
        "phone_last4": "0001",
        "occupation": "Mathematician",
        "location": "London",
        "bio": "Writes notes.",
        "interests": ["Engines", "Trains"],
    }
    assert "Window seats" in json.dumps(profile)
    assert "Plans her trips by train." in json.dumps(profile)
    assert sandbox.memories(ada) == ("Takes her tea without sugar",)
    assert (bob.user_id, bob.phone, sandbox.memories(bob)) == ("bob", "+442079460958", ())


def test_a_person_of_a_seed_signs_in_with_their_phone(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.seed(SEED)
    sandbox.sign_in(developer.sign_in_url(), "020 7946 0958".replace("0", "+44 ", 1))

    assert [grant.user_id for grant in sandbox.grants] == ["bob"]


def test_addresses_and_scopes_are_registered(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.seed(SEED)

    assert "https://app.example.com/callback" in sandbox.redirect_uris
    assert "myapp://signed-in" in sandbox.return_destinations
    refused = developer.http.get(developer.authorize_url(scope="profile.commit"))
    assert (refused.status_code, "invalid_scope" in refused.text) == (400, True)
    assert developer.http.get(developer.authorize_url(scope="profile.read profile.search")).status_code == 200


def test_a_further_agent_has_keys_and_addresses_of_its_own(developer: Developer, sandbox: Sandbox) -> None:
    sandbox.seed(SEED)
    settings = sandbox.environment(agent="billing-agent")
    headers = {"X-API-Key": settings["CONFIGURE_API_KEY"], "X-Agent": settings["CONFIGURE_AGENT"]}

    listed = developer.get("/v1/auth/sign-in/return-destinations", headers).json()["destinations"]
    assert [one["destination"] for one in listed] == ["https://billing.example.com/back"]
    (client,) = developer.get("/v1/developer/oauth/clients", headers).json()["clients"]
    assert client["redirect_uris"] == ["https://billing.example.com/callback"]
    assert sandbox.agents == ("demo-agent", "billing-agent")


def test_an_agent_that_is_there_keeps_what_it_has(sandbox: Sandbox) -> None:
    before = sandbox.redirect_uris
    sandbox.seed({"agents": [{"handle": "demo-agent", "redirect_uris": ["https://app.example.com/callback"]}]})

    assert sandbox.redirect_uris == (*before, "https://app.example.com/callback")


@pytest.mark.parametrize("hidden", IDENTITY)
def test_what_a_person_hides_is_not_shown(developer: Developer, sandbox: Sandbox, hidden: str) -> None:
    sandbox.seed({"people": [{**ADA, "hidden": [hidden]}]})
    token = sandbox.issue_agent_token(sandbox.people[0])

    shown = developer.get("/v1/profile", developer.as_user(token)).json()["identity"]
    assert set(shown) == {*IDENTITY, "email_verified"} - {hidden, *(["email_verified"] if hidden == "email" else [])}


def test_both_formats_say_the_same(written: Written) -> None:
    seed = read_seed(SEED)

    assert read_seed(written("people.json", json.dumps(SEED))) == seed
    assert read_seed(written("people.toml", AS_TOML)) == seed
    assert read_seed(written("PEOPLE.TOML", "\ufeff" + AS_TOML)) == seed


def test_an_empty_seed_changes_nothing(sandbox: Sandbox) -> None:
    before = sandbox.redirect_uris, sandbox.return_destinations
    sandbox.seed({})

    assert read_seed({}) == Seed()
    assert (sandbox.redirect_uris, sandbox.return_destinations) == before
    assert (sandbox.people, sandbox.agents) == ((), ("demo-agent",))


def test_a_reset_forgets_the_seed(sandbox: Sandbox) -> None:
    sandbox.seed(SEED)
    sandbox.reset()

    assert (sandbox.people, sandbox.agents, sandbox.redirect_uris) == ((), ("demo-agent",), ())


def test_what_a_seed_says_of_a_person_is_what_add_person_takes() -> None:
    assert {"phone", *PersonFields.__annotations__} == set(Person.__struct_fields__)


# What is refused


def person(**changes: Any) -> dict[str, Any]:
    return {"people": [ADA, {"phone": "+15550100002", **changes}]}


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown key": ({"persons": []}, "", "unknown field persons"),
    "unknown key of a person": (person(fone="x"), "people 2", "unknown field fone"),
    "unknown key of an agent": ({"agents": [{"handle": "ab", "key": "x"}]}, "agents 1", "unknown field key"),
    "no phone": ({"people": [{"name": "Ada"}]}, "people 1", "missing field phone"),
    "no phone number": (person(phone="hello"), "people 2", "'hello' is not a phone number"),
    "phone as a number": (person(phone=15550100002), "people 2, phone", "expected str, got int"),
    "two with one phone": (person(phone="(555) 010-0001"), "", "people 2, phone: people 1 has the same one"),
    "two with one id": (
        person(user_id=read_seed({"people": [ADA]}).people[0].user_id),
        "",
        "people 2, user_id: people 1 has the same one",
    ),
    "name as a list": (person(name=["Bob"]), "people 2, name", "expected str, got array"),
    "blank name": (person(name=" "), "people 2, name", "must not be blank"),
    "flag as text": (person(email_verified="true"), "people 2, email_verified", "expected bool, got str"),
    "flag as a number": (person(email_verified=1), "people 2, email_verified", "expected bool, got int"),
    "list as text": (person(preferences="Tea"), "people 2, preferences", "expected array, got str"),
    "list of numbers": (person(interests=["Tea", 7]), "people 2, interests 2", "expected str, got int"),
    "half a letter": (person(name="Bob\ud800"), "", "surrogate"),
    "unknown field to hide": (person(hidden=["nam"]), "people 2, hidden 1", "choose from name, email"),
    "long memory": (person(memories=["short", "x" * 1001]), "people 2, memories 2", "length <= 1000"),
    "people as an object": ({"people": ADA}, "people", "expected array, got object"),
    "person as text": ({"people": ["Ada"]}, "people 1", "expected object, got str"),
    "unknown scope": ({"scopes": ["profile.read", "openid"]}, "scopes 2", "choose from profile.read"),
    "redirect uri": (
        {"redirect_uris": ["http://app.example.com/"]},
        "",
        "redirect_uris 1: redirect_uri must use https",
    ),
    "return destination": ({"return_destinations": ["javascript:alert(1)"]}, "", "return_destinations 1: "),
    "agent without a handle": ({"agents": [{}]}, "agents 1", "missing field handle"),
    "agent with capitals": ({"agents": [{"handle": "Billing"}]}, "agents 1, handle", "2 to 63 of a-z"),
    "one agent twice": (
        {"agents": [{"handle": "ab"}, {"handle": "ab"}]},
        "",
        "agents 2, handle: agents 1 has the same",
    ),
    "address of an agent": (
        {"agents": [{"handle": "ab", "redirect_uris": ["https://a.example.com/*"]}]},
        "agents 1",
        "redirect_uris 1: redirect_uri must not contain a wildcard",
    ),
    "fault that does nothing": ({"faults": [{"path": "/v1/profile"}]}, "faults 1", "nothing fails"),
    "unknown field of a fault": ({"faults": [{"path": "/v1/profile", "state": 1}]}, "faults 1", "unknown field state"),
    "status of a fault": (
        {"faults": [{"path": "/v1/profile", "status": 99}]},
        "faults 1, status",
        "expected int >= 200",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_mistake_is_one_sentence_with_its_file_and_place(sandbox: Sandbox, written: Written, kind: str) -> None:
    wrong, place, words = WRONG[kind]
    path = written("people.json", json.dumps(wrong))
    refused = refusal_of(path)

    assert str(refused).startswith(": ".join(filter(None, [str(path), place, ""])))
    assert words in str(refused)
    assert refused.place == place
    assert refusal_of(wrong).place == place
    before = sandbox.redirect_uris, sandbox.return_destinations
    with pytest.raises(SeedError):
        sandbox.seed({**wrong, "people": [ADA, *list(wrong.get("people", []))]} if "people" not in wrong else wrong)
    assert (sandbox.people, sandbox.agents) == ((), ("demo-agent",))
    assert (sandbox.redirect_uris, sandbox.return_destinations) == before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("people.yaml", "people: []", "must end in .json or .toml"),
        ("people", "{}", "must end in .json or .toml"),
        ("people.json", "{", "it is not JSON"),
        ("people.json", "", "it is not JSON"),
        ("people.json", "people = []", "it is not JSON"),
        ("people.json", "[]", "expected object, got array"),
        ("people.json", '{"people": [], "people": []}', "is there twice"),
        ("people.json", "[" * 100_000, "nested too deeply"),
        ("people.json", b"\xff\xfe", "not UTF-8"),
        ("people.json", '{"people": ' + "1" * 5000 + "}", "it is not JSON"),
        ("people.toml", "people = [", "it is not TOML"),
        ("people.toml", "people = []\npeople = []", "it is not TOML"),
        ("people.toml", b"\xff", "not UTF-8"),
        ("people.toml", "[[people]]\nphone = 1979-05-27", "expected str"),
    ],
)
def test_a_file_that_is_no_seed_is_one_sentence(written: Written, name: str, content: str | bytes, words: str) -> None:
    path = written(name, content)

    assert str(refusal_of(path)).startswith(f"{path}: ")
    assert words in str(refusal_of(path))


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()

    for name in ("nothing.toml", "folder.toml"):
        assert str(refusal_of(tmp_path / name)).startswith(f"{tmp_path / name}: it can't be read: ")


# Any seed

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
PEOPLE = st.fixed_dictionaries(
    {"phone": st.integers(2_000_000, 9_999_999).map(lambda number: f"+1555{number}")},
    optional={
        **dict.fromkeys(("name", "email", "summary", "occupation", "location", "bio"), TEXTS),
        **dict.fromkeys(("preferences", "interests", "memories"), st.lists(TEXTS, max_size=3)),
        "email_verified": st.booleans(),
        "hidden": st.lists(st.sampled_from(IDENTITY), max_size=3),
    },
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["+15550100001", "demo-agent"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*SEED, *ADA, "handle", "user_id", "hidden"]) | st.text(max_size=4), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.lists(PEOPLE, max_size=4, unique_by=lambda one: one["phone"]))
def test_any_people_are_read_as_they_were_written(people: list[dict[str, Any]]) -> None:
    seed = read_seed({"people": people})

    assert [one.phone for one in seed.people] == [one["phone"] for one in people]
    for written_down, one in zip(people, seed.people, strict=True):
        assert one.memories == tuple(written_down.get("memories", ()))
        for name, value in written_down.items():
            if name != "memories":
                assert getattr(one, name) == (tuple(value) if isinstance(value, list) else value)
        assert {getattr(one, name) for name in IDENTITY if name not in written_down} <= {
            None,
            (),
            one.phone_last4,
        }


@given(st.dictionaries(st.sampled_from([*SEED]) | st.text(max_size=4), JSON, max_size=4))
def test_anything_else_is_a_seed_or_one_sentence(values: dict[str, Any]) -> None:
    refused: SeedError | None = None
    seed = Seed()
    try:
        seed = read_seed(values)
    except SeedError as error:
        refused = error

    if refused is not None:
        assert str(refused).startswith("the seed: ")
        assert len(str(refused).splitlines()) == 1
    else:
        assert len(seed.people) == len(values.get("people", ()))
