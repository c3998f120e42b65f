"""What a `BearerUser` can't be made with: nothing that would leave a check out."""

from __future__ import annotations

import base64
import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from configure_auth import BearerUser, Secret, SettingsError

from ..public.running import says
from ..public.test_importing import HIDDEN
from ..support.stores import first
from .conftest import MakeBearerUser, package_locals
from .issuer import Issuer, Signer, ec_key, ed25519_key, rsa_key

PUBLIC = rsa_key("issuer").public_key()
PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PKCS1 = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
DER = PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
BODY = base64.b64encode(DER).decode()
SSH = PUBLIC.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
PRIVATE = rsa_key("issuer").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
WEAK = rsa_key("weak", 1024).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
EC = ec_key("issuer").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
P384 = ec_key("issuer-384", ec.SECP384R1).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
ED25519 = ed25519_key("issuer").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
SECRET = "s" * 64

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "issuer None": ({"issuer": None}, "issuer"),
    "issuer empty": ({"issuer": ""}, "issuer"),
    "issuer blank": ({"issuer": " "}, "issuer"),
    "issuer a tuple": ({"issuer": ("https://a.example",)}, "issuer"),
    "issuer with a line break": ({"issuer": "https://a.example\n"}, "issuer"),
    "audience None": ({"audience": None}, "audience"),
    "audience empty": ({"audience": ""}, "audience"),
    "audience of none": ({"audience": ()}, "audience"),
    "audience with an empty one": ({"audience": ("a", "")}, "audience"),
    "audience with None": ({"audience": ("a", None)}, "audience"),
    "extra audience empty": ({"extra_audiences": ("",)}, "extra_audiences"),
    "algorithms None": ({"algorithms": None}, "algorithms"),
    "algorithms of none": ({"algorithms": ()}, "algorithms"),
    "algorithm none": ({"algorithms": ("none",)}, "algorithms"),
    "algorithm None": ({"algorithms": ("RS256", "None")}, "algorithms"),
    "none with a key": ({"algorithms": ("none",), "key": SECRET}, "algorithms"),
    "algorithm unknown": ({"algorithms": ("RS257",)}, "algorithms"),
    "algorithm in small letters": ({"algorithms": ("rs256",)}, "algorithms"),
    "algorithm ES256K": ({"algorithms": ("ES256K",)}, "algorithms"),
    "a secret's at a URL": ({"algorithms": ("HS256",)}, "jwks_url publishes"),
    "a secret's and a public one's": ({"algorithms": ("RS256", "HS256")}, "mix"),
    "both with a secret": ({"algorithms": ("HS256", "RS256"), "key": SECRET}, "mix"),
    "both with a PEM": ({"algorithms": ("RS256", "HS256"), "key": PEM}, "mix"),
    "a PEM as a secret": ({"algorithms": ("HS256",), "key": PEM}, "key isn't one for"),
    "a PKCS1 PEM as a secret": ({"algorithms": ("HS256",), "key": PKCS1}, "key isn't one for"),
    "a DER as a secret": ({"algorithms": ("HS256",), "key": DER}, "key isn't one for"),
    "the base64 of a PEM as a secret": ({"algorithms": ("HS256",), "key": BODY}, "key isn't one for"),
    "the base64 lines of a PEM as a secret": (
        {"algorithms": ("HS256",), "key": b"\n".join(PEM.splitlines()[1:-1])},
        "key isn't one for",
    ),
    "the base64url of a DER as a secret": (
        {"algorithms": ("HS256",), "key": base64.urlsafe_b64encode(DER).rstrip(b"=")},
        "key isn't one for",
    ),
    "the base64 of a DER with too much padding": ({"algorithms": ("HS256",), "key": BODY + "="}, "key isn't one for"),
    "an SSH key as a secret": ({"algorithms": ("HS256",), "key": SSH}, "key isn't one for"),
    "a private PEM as a secret": ({"algorithms": ("HS256",), "key": PRIVATE}, "key isn't one for"),
    "a JWK as a secret": (
        {"algorithms": ("HS256",), "key": str(Signer("k", "RS256", rsa_key("issuer")).jwk()).replace("'", '"')},
        "key isn't one for",
    ),
    "a secret as a PEM": ({"algorithms": ("RS256",), "key": SECRET}, "key isn't one for"),
    "a private key": ({"algorithms": ("RS256",), "key": PRIVATE}, "key isn't one for"),
    "a weak RSA key": ({"algorithms": ("RS256",), "key": WEAK}, "key isn't one for"),
    "a key of another kind": ({"algorithms": ("RS256",), "key": EC}, "key isn't one for"),
    "a key of another curve": ({"algorithms": ("ES256",), "key": P384}, "key isn't one for"),
    "an EC key for EdDSA": ({"algorithms": ("EdDSA",), "key": EC}, "key isn't one for"),
    "an Ed25519 key for RS256": ({"algorithms": ("RS256",), "key": ED25519}, "key isn't one for"),
    "a key for one of two": ({"algorithms": ("RS256", "ES256"), "key": PEM}, "key isn't one for"),
    "a secret of 31 bytes": ({"algorithms": ("HS256",), "key": "s" * 31}, "key isn't one for"),
    "a secret of 47 for HS384": ({"algorithms": ("HS384",), "key": "s" * 47}, "key isn't one for"),
    "a secret of 63 for HS512": ({"algorithms": ("HS256", "HS512"), "key": "s" * 63}, "key isn't one for"),
    "a secret of nothing": ({"algorithms": ("HS256",), "key": ""}, "key isn't one for"),
    "half a character as a secret": ({"algorithms": ("HS256",), "key": "\ud800" * 32}, "key isn't one for"),
    "neither URL nor key": ({"jwks_url": None}, "either jwks_url"),
    "URL and key": ({"jwks_url": "https://a.example/k", "key": PEM, "algorithms": ("RS256",)}, "either jwks_url"),
    "http": ({"jwks_url": "http://a.example/keys"}, "http, which is for loopback only"),
    "http in a private network": ({"jwks_url": "http://10.0.0.1/keys"}, "http, which is for loopback only"),
    "http with loopback in it": ({"jwks_url": "http://localhost.evil.example/keys"}, "http, which is for loopback"),
    "a file": ({"jwks_url": "file:///etc/keys"}, "jwks_url"),
    "no scheme": ({"jwks_url": "a.example/keys"}, "jwks_url"),
    "user info": ({"jwks_url": "https://u:p@a.example/keys"}, "jwks_url"),
    "a fragment": ({"jwks_url": "https://a.example/keys?p=1#x"}, "jwks_url"),
    "a space": ({"jwks_url": "https://a.example/keys?p= 1"}, "jwks_url"),
    "an empty URL": ({"jwks_url": ""}, "jwks_url"),
    "leeway below 0": ({"leeway": -1}, "leeway"),
    "stale keys for less than a fetch": ({"max_stale": 599}, "max_stale"),
    "stale keys for ever": ({"max_stale": float("inf")}, "max_stale"),
    "stale keys true": ({"max_stale": True}, "max_stale"),
    "stale keys of a key": ({"max_stale": 600, "algorithms": ("HS256",), "key": SECRET}, "max_stale is for"),
    "leeway of hours": ({"leeway": 301}, "leeway"),
    "leeway without end": ({"leeway": float("inf")}, "leeway"),
    "leeway that is no number": ({"leeway": float("nan")}, "leeway"),
    "leeway as a string": ({"leeway": "30"}, "leeway"),
    "leeway true": ({"leeway": True}, "leeway"),
}


@pytest.mark.catalogue("L19", "L21")
@pytest.mark.parametrize(("options", "word"), BAD.values(), ids=BAD)
def test_a_setting_that_would_be_unsafe_is_refused(
    make_bearer_user: MakeBearerUser, issuer: Issuer, options: dict[str, Any], word: str
) -> None:
    with pytest.raises(SettingsError, match=word):
        make_bearer_user(**options)
    assert issuer.fetches == 0


@pytest.mark.parametrize(
    "url", ["http://localhost:1/k", "http://127.0.0.1:1/k", "http://[::1]:1/k", "https://a.example/k?p=policy/1"]
)
def test_where_keys_may_be(make_bearer_user: MakeBearerUser, url: str) -> None:
    make_bearer_user(jwks_url=url)


@pytest.mark.catalogue("L21")
@pytest.mark.parametrize("missing", ["issuer", "algorithms"])
def test_nothing_has_a_default_that_checks_less(missing: str) -> None:
    needed: dict[str, Any] = {
        "issuer": "i",
        "audience": "a",
        "jwks_url": "https://a.example/k",
        "algorithms": ("RS256",),
    }
    del needed[missing]

    with pytest.raises(TypeError, match=missing):
        BearerUser(**needed)


def test_a_key_shows_in_no_repr_and_no_error(make_bearer_user: MakeBearerUser) -> None:
    short = "a secret, but short"
    with pytest.raises(SettingsError) as caught:
        make_bearer_user(algorithms=("HS256",), key=short)

    assert short not in package_locals(caught) + str(caught.value)
    assert SECRET not in repr(vars(make_bearer_user(algorithms=("HS256",), key=Secret(SECRET))))


def test_by_itself_it_knows_no_framework(bearer_user: BearerUser) -> None:
    with pytest.raises(SettingsError, match=r"configure_auth\.flask or configure_auth\.starlette"):
        bearer_user()  # type: ignore[operator]


MODULES = ("configure_auth", "configure_auth.flask", "configure_auth.starlette")
NEEDS_PYJWT = """
import configure_auth
from configure_auth import *
from {module} import BearerUser
try:
    BearerUser(issuer="i", audience="a", jwks_url="https://a.example/k", algorithms=("RS256",))
except SettingsError as error:
    print(error)
"""


@pytest.mark.parametrize("module", first(MODULES))
def test_without_pyjwt_it_says_what_to_install_when_it_is_made(module: str) -> None:
    said = says(HIDDEN.format(hidden=["jwt"]) + NEEDS_PYJWT.format(module=module))

    assert said == "a BearerUser needs PyJWT: pip install 'configure_auth[bearer]'"


def test_without_pyjwt_it_cannot_be_made(make_bearer_user: MakeBearerUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "configure_auth.bearer.key_sets", None)

    with pytest.raises(SettingsError, match=r"pip install 'configure_auth\[bearer\]'"):
        make_bearer_user()


@pytest.mark.parametrize("module", first(MODULES))
def test_importing_it_loads_no_pyjwt(module: str) -> None:
    program = f"from configure_auth import *; from {module} import BearerUser"

    assert says(f"import sys; {program}; print('jwt' in sys.modules)") == "False"


def test_making_one_loads_no_framework() -> None:
    program = "BearerUser(issuer='i', audience='a', key='s' * 32, algorithms=('HS256',)).user_id([])"
    watched = "{'flask', 'werkzeug', 'starlette', 'fastapi', 'jinja2', 'sqlalchemy'}"

    assert says(
        f"import sys; from configure_auth import BearerUser; {program}; print({watched} & {{*sys.modules}})"
    ) == ("set()")
