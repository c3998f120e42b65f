"""Some 3000 cases, run by the official SDK and by ours: whatever differs is one of the documented deviations.

The cases that are equal are the proof that ours asks, reads and refuses as the official SDK does. A deviation that no
case shows any more is an error too, so the list can't outlive its reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from configure_auth import Configure

from ..api.conftest import Server
from ..readme.document import ROOT
from .node import Node
from .replay import GROUPS, differences
from .sdk import Sdk

KINDS = "number|zero|true|false|list|object|control|blank|empty|padded"
WRONG = "number|true|false|list|object|control|blank|empty|null|missing|another|long|array|zero"
NOT_SENT = r"(sent 1\|0, )?(value|TypeError|NETWORK_ERROR)\|INVALID_INPUT"
REFUSED = r"(sent headers, )?value\|SERVER_ERROR"
CALL = "[a-zA-Z]+"


@dataclass(frozen=True)
class Deviation:
    """One difference that is meant: the sentence of docs/reference-names.md, and where it shows.

    `shown` are pairs of regular expressions: what differs, theirs before ours, and the cases.
    """

    sentence: str
    shown: tuple[tuple[str, str], ...]


DEVIATIONS = (
    Deviation(
        "An argument of a wrong type, or that can't be right, is `INVALID_INPUT`, before anything is sent.",
        (
            (NOT_SENT, rf".+: ({KINDS})"),
            (NOT_SENT, "(publishableKey|returnTo|messageCompleteUrl|theme): (text|marks|letters)"),
            (NOT_SENT, "createMessageSignInUrl (messageCompleteUrl|messageLinePhone|theme): (text|marks|letters)"),
            (NOT_SENT, "(allowSignInReturnTo|connect returnUrl): (text|marks|letters)"),
            (
                NOT_SENT,
                "(read sections|commit (sync|memories|toolResults)|registerMessageLine metadata): (text|marks|letters)",
            ),
            (NOT_SENT, "search (from|to|limit|detail): (text|marks|letters|[0-9-].*|yesterday)"),
            (NOT_SENT, "(returnTo|signInOrigin): (http://.*|javascript:.*|/x|.*/path.*)"),
            (NOT_SENT, r"connectors: \[\"gmail\", null\]"),
            (NOT_SENT, "(exchangeSignInCode|validateSignInToken|resolveMessageIdentity token): (marks|letters)"),
            (NOT_SENT, "(resolveMessageIdentity|createMessageSignInUrl subject.)[ ]?externalId: letters"),
            (
                NOT_SENT,
                f"{CALL} for (a blank id|a padded id|letters|a line break|a number|a blank token|a token with a space)",
            ),
            (NOT_SENT, "forget (scope everything|confirm alone|another reason|another date)"),
            (NOT_SENT, "commit another role"),
        ),
    ),
    Deviation(
        "Two names for one argument, and two subjects of one profile, must not differ.",
        (
            (NOT_SENT, ".+ and .+ differ"),
            (NOT_SENT, f"{CALL} for both"),
        ),
    ),
    Deviation(
        "Phone candidates are a list, and not an empty one.",
        (
            (
                NOT_SENT,
                '(recognizePhone|resolveMessageIdentity phoneCandidates): (text|marks|letters|null|\\[.*|"\\+.*)',
            ),
        ),
    ),
    Deviation(
        "A search without a query sends the `*` that it means; `None` as the query is refused.",
        (
            ("sent request", "search (nothing given|limit: (1|50|1000))"),
            (NOT_SENT, "search query: null"),
        ),
    ),
    Deviation("A phone number has its country code and a plus.", ((NOT_SENT, r"registerMessageLine phone: [0-9]+"),)),
    Deviation(
        "An argument that is `None`, and an empty list or thread, is left out.",
        (
            ("sent body", "commit sync: null|createMessageSignInUrl thread: empty"),
            ("sent request", "search limit: null|read sections: none"),
        ),
    ),
    Deviation("Connectors are sent as a list.", (("sent body", "createMessageSignInUrl connectors: .+"),)),
    Deviation("A `GET` has no `Content-Type`.", (("sent headers(, .+)?", "listMessageLines.*"),)),
    Deviation(
        "Boxes and pages of a profile, and links to connectors and imports, are left to `configure-ai`.",
        ((r"sent 1\|0, value\|TypeError", "read (box|page|since|detail): .+|connect (app|capability|purpose): .+"),),
    ),
    Deviation(
        "`agentPhone` is an argument of `sign_in_url` only.",
        ((r"sent 1\|0, value\|TypeError", "createMessageSignInUrl agentPhone: .+"),),
    ),
    Deviation("An unknown argument is Python's `TypeError`.", ((r"INVALID_INPUT\|TypeError", "forget: object"),)),
    Deviation("No redirect is followed.", ((r"sent 21\|1, NETWORK_ERROR\|SERVER_ERROR, status", "redirect .+"),)),
    Deviation(
        "A response that isn't a JSON object, or has no field that it must have, is `SERVER_ERROR` with its status.",
        (
            (r"(sent headers, )?NETWORK_ERROR\|SERVER_ERROR, status", f"{CALL}: (not JSON|no body)"),
            (REFUSED, f"{CALL}: (empty object|a list)"),
            ("status", f"{CALL}.*: (empty object|a list|{WRONG})"),
            (REFUSED, f"(validateSignInToken valid|(allow|remove)SignInReturnTo destination|commit status): ({WRONG})"),
            (
                REFUSED,
                f"(connect (connect_url|status)|forget deleted|remember saved|revokeMessageLine deleted): ({WRONG})",
            ),
            (REFUSED, "resolveMessageIdentity raising, asks True: broken"),
        ),
    ),
    Deviation(
        "A field of a wrong type, and an id or token that can't be one, is `SERVER_ERROR`.",
        (
            (REFUSED, f"(exchangeSignInCode|validateSignInToken|recognizePhone) {CALL}: ({WRONG})"),
            (REFUSED, f"(allow|remove)SignInReturnTo {CALL}: ({WRONG})"),
            (REFUSED, f"(listSignInReturnDestinations|revokeMessageLine|createMessageSignInUrl) {CALL}: ({WRONG})"),
            (REFUSED, rf"registerMessageLine line\.(channel|id|phoneLast4|createdAt|updatedAt): ({WRONG})"),
        ),
    ),
    Deviation(
        "A wrong `reason` in a response is Configure's error, not the caller's.",
        ((r"INVALID_INPUT\|SERVER_ERROR, status", "createMessageSignInUrl reason: .+"),),
    ),
    Deviation(
        "A link in a response must lead to the hosted sign-in.",
        ((REFUSED, "(createMessageSignInUrl url|connect connect_url): [a-z]+:.+"),),
    ),
    Deviation(
        "Any word is taken as `fallback_reason`, and none.",
        ((r"SERVER_ERROR\|value", "createMessageSignInUrl plain: (subject_signature_missing|None)"),),
    ),
    Deviation(
        "What Configure doesn't say is `None`, not assumed.",
        (
            ("value (approved|token_use)", "(exchangeSignInCode|validateSignInToken) (approved|tokenUse): .+"),
            (
                "(value (recognized|phone_candidate_count)(, )?)+",
                "recognizePhone.*: (missing|null|empty|blank|empty object)",
            ),
            (
                ".*value display_name, value recognized",
                "resolveMessageIdentity (approved|token): (missing|null|empty|blank|false)",
            ),
        ),
    ),
    Deviation(
        "A recognition that contradicts itself, or is another agent's, approves nothing, and there is a token only if "
        "approved.",
        (
            ("value .*token", "recognizePhone (matched|recognized|approved|agent): .+"),
            ("value approved, .*value token, value user_id", f"resolveMessageIdentity {CALL}: .+"),
        ),
    ),
    Deviation(
        "A sender is linked only if Configure says which user it is.",
        (("(value .*)?value linked, .*value token", "resolveMessageIdentity userId: .+"),),
    ),
    Deviation(
        "Texts for people are cleaned and cut, and one of a wrong type is left out, as is a malformed optional field.",
        (
            (
                "value [a-z_.]*",
                f"(remember|search|commit|connect|read|recognizePhone|resolveMessageIdentity) .+: ({WRONG})",
            ),
            ("value deleted_count(, value [a-z_]+)+", f"forget {CALL.replace('Z', 'Z_')}: ({WRONG})"),
            ("value (name|email)", f"identity: (name|email) ({WRONG})"),
            ("value line.label", f"registerMessageLine line.label: ({WRONG})"),
        ),
    ),
    Deviation(
        "`deleted_count` and `deleted_ids` say so of a single deletion too.",
        (("value deleted_count(, value deleted_ids)?(, value more_of)?", "forget.*"),),
    ),
    Deviation("An unknown field of a response is left out.", (("value more_of", f"{CALL}: unknown fields"),)),
    Deviation(
        "Both spellings are read in every response, and `created_at` is `saved_on`.",
        (
            ("value .+", "(search|commit|response): camel"),
            ("value results.created_at, value results.saved_on", "search results.created_at"),
        ),
    ),
    Deviation(
        "`suggested_action` is kept where it is an object or beside a flat error, and is `commit_profile` for "
        "`COMMIT_REQUIRED`.",
        (("action", f"[0-9]+ flat with code|details: action object|{CALL}: 409"),),
    ),
    Deviation(
        "A login is for an active token of this client and agent, for the user of the introspection.",
        (
            (r"value\|upstream_rejected", "inactive|active false|another client|another agent|expired"),
            (r"value\|upstream_rejected", "identity: another user"),
            (r"value\|SERVER_ERROR", f"(active|sub) ({WRONG})|without sub"),
        ),
    ),
    Deviation(
        "An email is verified only if Configure says so.",
        (("(value email, )?value email_verified(, value name)?", "good|active true|sub another|identity: .+"),),
    ),
    Deviation(
        "A callback is `http` or `https`, has no bare `#` or `@`, and is registered only if the response "
        "lists callbacks.",
        (
            (r"sent 1\|0, value .+", "uri: (.*/x#|.*//@.*|(ftp|javascript)://localhost.*)"),
            ("value redirect_uri, value status", "response: (nothing|uris text|uris null|text)|status: 201"),
        ),
    ),
)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.mark.extended
def test_every_difference_is_a_documented_deviation(node: Node, server: Server) -> None:
    environment = {"CONFIGURE_API_KEY": "sk_key", "CONFIGURE_AGENT": "acme", "CONFIGURE_BASE_URL": server.url}
    unexplained: list[str] = []
    unused = {(deviation.sentence, shown) for deviation in DEVIATIONS for shown in deviation.shown}
    counted: dict[str, tuple[int, int]] = {}
    with node.start("sdk.mjs", environment=environment) as process, Configure(server.settings) as configure:
        for name, cases in GROUPS.items():
            count, found = differences(Sdk(process), configure, server, cases())
            counted[name] = (count, count - len(found))
            for one in found:
                for deviation in DEVIATIONS:
                    shown = next((pair for pair in deviation.shown if fits(pair, str(one), one.case)), None)
                    if shown is not None:
                        unused.discard((deviation.sentence, shown))
                        break
                else:
                    unexplained.append(f"{one.case} [{one}]: {one.theirs} -> {one.ours}")
    print(f"cases and how many of them are equal: {counted}")
    assert not unexplained, "\n".join(unexplained)
    assert not unused


def fits(pair: tuple[str, str], difference: str, case: str) -> bool:
    return all(re.fullmatch(pattern, text) for pattern, text in zip(pair, (difference, case), strict=True))


def test_the_deviations_are_documented() -> None:
    page = " ".join((ROOT / "docs" / "reference-names.md").read_text().split())
    differs = page.partition("## Where the client differs")[2].partition(" ## ")[0]
    assert [line.strip() for line in differs.split(" - ")[1:]] == [deviation.sentence for deviation in DEVIATIONS]
