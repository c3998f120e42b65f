"""What every `AgentStore` must do."""

from __future__ import annotations

import pytest

from ...stores import Stores
from ...values import ClaimedAgent
from .asking import CONTESTANTS, ROUNDS, AtOnce, Conformance
from .records import END, NOW, ODD_IDS, hashed


class AgentConformance(Conformance):
    """The agents that users claim."""

    def test_an_agent_waits_to_be_claimed(self, kept: Stores) -> None:
        assert _register(kept, "a1", "t1") is True
        assert kept.agents.owner("a1", app="a") is None
        assert kept.agents.owned_by("u1", app="a") == ()

    def test_an_agent_is_its_first_claimers(self, kept: Stores) -> None:
        _register(kept, "a1", "t1")
        assert _claim(kept, "t1", "u1") == _claimed("a1", "u1", is_new=True)
        assert _claim(kept, "t1", "u1") == _claimed("a1", "u1")
        assert _claim(kept, "t1", "u2") == _claimed("a1", "u1")
        assert kept.agents.owner("a1", app="a") == "u1"
        assert [kept.agents.owned_by(user_id, app="a") for user_id in ("u1", "u2")] == [("a1",), ()]

    def test_another_token_gets_nothing(self, kept: Stores) -> None:
        _register(kept, "a1", "t1")
        for token in ("t2", "a1", ""):
            assert _claim(kept, token, "u1") is None
        # As it stands, and not another letter of it.
        assert kept.agents.claim(hashed("t1").upper(), "u1", app="a", now=NOW) is None
        assert kept.agents.claim(hashed("t1")[:-1] + "%", "u1", app="a", now=NOW) is None
        assert kept.agents.owner("a1", app="a") is None
        assert _claim(kept, "t1", "u2") == _claimed("a1", "u2", is_new=True)

    def test_a_claim_is_of_one_agent_alone(self, kept: Stores) -> None:
        for number in range(3):
            _register(kept, f"a{number}", f"t{number}")
        _claim(kept, "t1", "u1")
        assert [kept.agents.owner(f"a{number}", app="a") for number in range(3)] == [None, "u1", None]
        assert _claim(kept, "t2", "u2") == _claimed("a2", "u2", is_new=True)
        assert [kept.agents.owner(f"a{number}", app="a") for number in range(3)] == [None, "u1", "u2"]

    def test_a_token_is_good_until_its_end(self, kept: Stores) -> None:
        _register(kept, "a1", "t1", until=END + 0.25)
        _register(kept, "a2", "t2", until=END + 0.25)
        assert _claim(kept, "t1", "u1", now=END) == _claimed("a1", "u1", is_new=True)
        assert _claim(kept, "t2", "u1", now=END + 0.25) is None
        assert kept.agents.owner("a2", app="a") is None
        # Then it says nothing of the owner either, whose the agent stays.
        assert [_claim(kept, "t1", user_id, now=END + 0.25) for user_id in ("u1", "u2")] == [None, None]
        assert kept.agents.owner("a1", app="a") == "u1"

    @pytest.mark.parametrize("now", [NOW, END], ids=["good", "at its end"])
    def test_an_agent_that_waits_gets_another_token(self, kept: Stores, now: float) -> None:
        _register(kept, "a1", "t1")
        # With an end of its own.
        assert kept.agents.register("a1", hashed("t2"), app="a", until=END + 1, now=now) is True
        assert _claim(kept, "t1", "u1", now=now) is None
        assert kept.agents.owner("a1", app="a") is None
        assert _claim(kept, "t2", "u1", now=END) == _claimed("a1", "u1", is_new=True)

    def test_an_agent_that_somebody_has_is_not_registered_again(self, kept: Stores) -> None:
        _register(kept, "a1", "t1")
        _claim(kept, "t1", "u1")
        for now in (NOW + 1, END, END + 900):
            assert kept.agents.register("a1", hashed("t2"), app="a", until=END + 1800, now=now) is False
        assert kept.agents.owner("a1", app="a") == "u1"
        assert _claim(kept, "t2", "u2") is None
        assert _claim(kept, "t1", "u2") == _claimed("a1", "u1")

    def test_nobody_has_an_unknown_agent(self, kept: Stores) -> None:
        _register(kept, "a1", "t1")
        _claim(kept, "t1", "u1")
        for agent_id in ("a2", "A1", "a1 ", "u1", "%", hashed("t1")):
            assert kept.agents.owner(agent_id, app="a") is None
        for user_id in ("u2", "U1", "u1 ", "a1", "%"):
            assert kept.agents.owned_by(user_id, app="a") == ()

    def test_the_agents_of_a_user_are_in_order(self, kept: Stores) -> None:
        agents = ("b", "a", "B", "é", "a1", "10", "9", "_", "\U0001f600")
        for agent_id in agents:
            _register(kept, agent_id, agent_id)
            _claim(kept, agent_id, "u1")
        assert kept.agents.owned_by("u1", app="a") == tuple(sorted(agents))

    def test_the_agents_of_a_user_are_forgotten(self, kept: Stores) -> None:
        for number in range(4):
            _register(kept, f"a{number}", f"t{number}")
        for number, user_id in enumerate(("u1", "u1", "u2")):
            _claim(kept, f"t{number}", user_id)
        kept.agents.forget("a", "u1")
        assert [kept.agents.owned_by(user_id, app="a") for user_id in ("u1", "u2")] == [(), ("a2",)]
        assert [kept.agents.owner(f"a{number}", app="a") for number in range(4)] == [None, None, "u2", None]
        # Neither by the old token, of which nothing is left, nor otherwise.
        for user_id in ("u1", "u2"):
            assert _claim(kept, "t1", user_id) is None
        assert _claim(kept, "t3", "u1") == _claimed("a3", "u1", is_new=True)

    def test_an_agent_that_was_forgotten_can_be_registered_again(self, kept: Stores) -> None:
        _register(kept, "a1", "t1")
        _claim(kept, "t1", "u1")
        kept.agents.forget("a", "u1")
        assert _register(kept, "a1", "t2") is True
        assert _claim(kept, "t1", "u1") is None
        assert _claim(kept, "t2", "u2") == _claimed("a1", "u2", is_new=True)

    def test_to_forget_a_user_without_agents_is_nothing(self, kept: Stores) -> None:
        _register(kept, "a1", "t1")
        _register(kept, "a2", "t2")
        _claim(kept, "t2", "u2")
        for user_id in ("u1", "None", "", "%"):
            kept.agents.forget("a", user_id)
        assert kept.agents.owner("a2", app="a") == "u2"
        assert _claim(kept, "t1", "u1") == _claimed("a1", "u1", is_new=True)

    def test_of_two_apps_neither_meets_the_others_agents(self, kept: Stores) -> None:
        _register(kept, "a1", "mine")
        _register(kept, "a1", "yours", app="b")
        assert _claim(kept, "mine", "u1", app="b") is None
        assert _claim(kept, "mine", "u1") == _claimed("a1", "u1", is_new=True)
        assert (kept.agents.owner("a1", app="b"), kept.agents.owned_by("u1", app="b")) == (None, ())
        assert _claim(kept, "mine", "u1", app="b") is None
        assert _register(kept, "a1", "yours again", app="b") is True
        assert _claim(kept, "yours again", "u2", app="b") == _claimed("a1", "u2", is_new=True)
        assert (kept.agents.owner("a1", app="a"), kept.agents.owner("a1", app="b")) == ("u1", "u2")
        kept.agents.forget("b", "u1")
        kept.agents.forget("b", "u2")
        assert (kept.agents.owner("a1", app="a"), kept.agents.owner("a1", app="b")) == ("u1", None)

    def test_odd_agents_and_their_users_are_told_apart(self, kept: Stores) -> None:
        users = dict(zip(ODD_IDS, reversed(ODD_IDS), strict=True))
        for agent_id in ODD_IDS:
            assert _register(kept, agent_id, f"token {agent_id}") is True
        for agent_id, user_id in users.items():
            assert _claim(kept, f"token {agent_id}", user_id) == _claimed(agent_id, user_id, is_new=True)
        assert [kept.agents.owner(agent_id, app="a") for agent_id in ODD_IDS] == list(users.values())
        assert [kept.agents.owned_by(user_id, app="a") for user_id in users.values()] == [(one,) for one in users]
        for user_id in ODD_IDS[::3]:
            kept.agents.forget("a", user_id)
        left = [kept.agents.owner(agent_id, app="a") for agent_id in ODD_IDS]
        assert left == [None if user_id in ODD_IDS[::3] else user_id for user_id in users.values()]

    @pytest.mark.parametrize("users", [CONTESTANTS, 1])
    def test_one_of_many_users_claims_an_agent(self, kept: Stores, at_once: AtOnce, users: int) -> None:
        for turn in range(ROUNDS):
            _register(kept, f"a{turn}", f"t{turn}")
            got = at_once(lambda stores, number, token: _claim(stores, token, f"u{number % users}"), f"t{turn}")
            (winner,) = [number for number, agent in enumerate(got) if agent is not None and agent.is_new]
            owner = f"u{winner % users}"
            assert got == [_claimed(f"a{turn}", owner, is_new=number == winner) for number in range(CONTESTANTS)]
            assert kept.agents.owner(f"a{turn}", app="a") == owner

    def test_of_many_registrations_at_once_one_token_is_good(self, kept: Stores, at_once: AtOnce) -> None:
        for turn in range(ROUNDS):
            agent_id = f"a{turn}"
            got = at_once(
                lambda stores, number, agent_id: _register(stores, agent_id, f"{agent_id} {number}"), agent_id
            )
            assert got == [True] * CONTESTANTS
            claims = [_claim(kept, f"{agent_id} {number}", f"u{number}") for number in range(CONTESTANTS)]
            (winner,) = [number for number, agent in enumerate(claims) if agent is not None]
            assert claims[winner] == _claimed(agent_id, f"u{winner}", is_new=True)

    def test_of_a_claim_and_a_registration_at_once_one_comes_too_late(self, kept: Stores, at_once: AtOnce) -> None:
        def step(stores: Stores, number: int, agent_id: str) -> ClaimedAgent | bool | None:
            if number % 2:
                return _register(stores, agent_id, f"{agent_id} anew")
            return _claim(stores, agent_id, f"u{number}")

        for turn in range(ROUNDS):
            agent_id = f"a{turn}"
            _register(kept, agent_id, agent_id)
            got = at_once(step, agent_id)
            owner = kept.agents.owner(agent_id, app="a")
            claims, registrations = got[::2], got[1::2]
            if owner is None:
                # No claim came before a registration, which ended the token.
                assert claims == [None] * len(claims)
                assert registrations == [True] * len(registrations)
                assert _claim(kept, f"{agent_id} anew", "late") == _claimed(agent_id, "late", is_new=True)
            else:
                assert registrations == [False] * len(registrations)
                assert {agent.owner_user_id for agent in claims if isinstance(agent, ClaimedAgent)} == {owner}
                assert _claim(kept, f"{agent_id} anew", "late") is None


def _register(stores: Stores, agent_id: str, token: str, *, app: str = "a", until: float = END) -> bool:
    return stores.agents.register(agent_id, hashed(token), app=app, until=until, now=NOW)


def _claim(stores: Stores, token: str, user_id: str, *, app: str = "a", now: float = NOW + 1) -> ClaimedAgent | None:
    return stores.agents.claim(hashed(token), user_id, app=app, now=now)


def _claimed(agent_id: str, user_id: str, *, is_new: bool = False) -> ClaimedAgent:
    return ClaimedAgent(agent_id=agent_id, owner_user_id=user_id, is_new=is_new)
