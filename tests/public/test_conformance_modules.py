"""Each module of the OpenID Foundation's conformance suite that fits this package has a test under its name.

They are those of its plans for clients, `oidcc-client-test-plan` and
`fapi2-security-profile-final-client-test-plan`, but for what a client has no use for that gets no `id_token`: `nonce`,
`at_hash` and `c_hash`, DPoP, mutual TLS, request objects, JARM, discovery, aggregated claims, logout by the provider.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from ..bearer.test_conformance import MODULES

TESTS = Path(__file__).parents[1]

SIGN_IN = {
    "client-secret-basic",
    "ensure-authorization-response-with-invalid-missing-state-fails",
    "ensure-authorization-response-with-invalid-state-fails",
    "happy-path",
    "invalid-authorization-response-iss",
    "remove-authorization-response-iss",
    "scope-userinfo-claims",
    "token-endpoint-response-without-expires_in",
    "token-type-case-insensitivity",
    "userinfo-bearer-header",
    "userinfo-invalid-sub",
}
"""On link and login, where a module is about their requests."""

TOKENS = {
    "idtoken-sig-none",
    "idtoken-sig-rs256",
    "ignores-unparseable-key-in-jwks",
    "invalid-alternate-alg",
    "invalid-aud",
    "invalid-expired-exp",
    "invalid-iss",
    "invalid-missing-aud",
    "invalid-missing-exp",
    "invalid-missing-iss",
    "invalid-null-alg",
    "invalid-secondary-aud",
    "invalid-sig-es256",
    "invalid-sig-hs256",
    "invalid-sig-rs256",
    "invalid-signature",
    "kid-absent-multiple-jwks",
    "kid-absent-single-jwks",
    "missing-aud",
    "missing-iat",
    "missing-sub",
    "signing-key-rotation",
    "signing-key-rotation-just-before-signing",
    "valid-aud-as-array",
}
"""About ID tokens there, and here on the bearer tokens of a `BearerUser`."""


def marked(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.conformance":
            yield from map(ast.literal_eval, node.args)


def test_each_module_has_a_test() -> None:
    tested = {name for path in TESTS.rglob("test_*.py") for name in marked(path)} | MODULES.keys()

    assert sorted((SIGN_IN | TOKENS) - tested) == [], "modules without a test"
