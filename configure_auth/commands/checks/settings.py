"""The settings themselves: whether each is set and well-formed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ...errors import SettingsError
from ...keys import MAKE_KEY, key_weakness
from ...settings import Settings
from ...values import Secret
from .findings import End, Finding, Result, failed, passed, skipped, warned

_OURS = tuple(f"CONFIGURE_{field.name.upper()}" for field in fields(Settings))
# Variables of Configure's own programs.
_THEIRS = ("CONFIGURE_REDIRECT_URI", "CONFIGURE_DEVELOPER_TOKEN")
_PREFIXES = {
    "ocs_": "CONFIGURE_OAUTH_CLIENT_SECRET",
    "oc_": "CONFIGURE_OAUTH_CLIENT_ID",
    "pk_": "CONFIGURE_PUBLISHABLE_KEY",
    "sk_": "CONFIGURE_API_KEY",
}
_HALVES = {
    "CONFIGURE_OAUTH_CLIENT_ID": "CONFIGURE_OAUTH_CLIENT_SECRET",
    "CONFIGURE_OAUTH_CLIENT_SECRET": "CONFIGURE_OAUTH_CLIENT_ID",
}
_FROM_DASHBOARD = "copy it from Configure's dashboard (configure.dev/login)"


def configuration_of(settings: Settings, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return an app's settings as variables, together with all other variables of the environment."""
    beside = {name: value for name, value in environment.items() if name not in _OURS}
    return beside | {name: getattr(settings, field.name) for name, field in zip(_OURS, fields(Settings), strict=True)}


def read_settings(configuration: Mapping[str, Any]) -> tuple[Settings, list[Result]]:
    """Judge each variable by itself, so that one mistake doesn't hide another.

    Returns:
        the well-formed settings, and a result for each relevant variable.
    """
    good: dict[str, Any] = {}
    results = []
    is_test = str(_plain(configuration.get("CONFIGURE_API_KEY")) or "").startswith("sk_test_")
    for name in _OURS:
        finding = _check(name, configuration, is_test)
        if finding is None:
            continue
        if finding.end in (End.PASSED, End.WARNED) and configuration.get(name):
            good[name] = configuration[name]
        results.append(Result(name=name, title=name, finding=finding))
    for name in sorted(configuration):
        is_unknown = name.startswith("CONFIGURE_") and name not in (*_OURS, *_THEIRS) and configuration[name]
        if is_unknown and (near := difflib.get_close_matches(name, _OURS, 1, cutoff=0.75)):
            finding = warned("unknown variable", f"did you mean {near[0]}?")
            results.append(Result(name=name, title=name, finding=finding))
    return Settings.from_mapping(good), results


def _check(name: str, configuration: Mapping[str, Any], is_test: bool) -> Finding | None:
    value = configuration.get(name)
    try:
        alone = Settings.from_mapping({name: value})
    except SettingsError as error:
        return failed(f"its value is invalid{_mixed_up(name, value)}", str(error))
    read = getattr(alone, name.removeprefix("CONFIGURE_").lower())
    if value and read:
        return _set(name, read, configuration)
    return _absent(name, configuration, is_test)


def _set(name: str, read: Any, configuration: Mapping[str, Any]) -> Finding | None:
    if name in ("CONFIGURE_AGENT", "CONFIGURE_OAUTH_CLIENT_ID", "CONFIGURE_SSO_REDIRECT_URI") or name.endswith("_URL"):
        return passed(str(read))
    if name == "CONFIGURE_TOKEN_KEYS":
        weakness = next(filter(None, map(key_weakness, read)), None)
        if weakness is not None:
            report = warned if _is_local(configuration) else failed
            return report(f"a key {weakness}: with a copy of the store it can be guessed", MAKE_KEY)
        return passed("1 key" if len(read) == 1 else f"{len(read)} keys; the first one encrypts")
    if name == "CONFIGURE_API_KEY":
        prefix = next(prefix for prefix in ("sk_test_", "sk_", "cfg_") if read.reveal().startswith(prefix))
        return passed(f"is set ({prefix}...)")
    if name == "CONFIGURE_ALLOW_HTTP" and not _is_local(configuration):
        return warned("it is set, and the app is not on localhost: secrets are sent unencrypted", "unset it")
    return passed("is set")


def _absent(name: str, configuration: Mapping[str, Any], is_test: bool) -> Finding | None:
    if name in _HALVES:
        if is_test:
            return skipped("a test-mode key (sk_test_) has no OAuth client")
        if configuration.get(_HALVES[name]):
            return failed(f"it isn't set, but {_HALVES[name]} is", _FROM_DASHBOARD)
        return skipped("it isn't set; only a login needs it")
    if name == "CONFIGURE_PUBLISHABLE_KEY":
        return skipped("it isn't set; only Configure's element in a page needs it")
    if name in ("CONFIGURE_API_KEY", "CONFIGURE_AGENT"):
        return failed("it isn't set", f"{_FROM_DASHBOARD}, and set {name}")
    if name == "CONFIGURE_APP_URL":
        return warned(
            "it isn't set, so the app works on localhost only, and callbacks can't be checked",
            "set it to the app's public https URL; on localhost to its URL there, with the port",
        )
    if name == "CONFIGURE_TOKEN_KEYS":
        if not _is_local(configuration):
            return failed("it isn't set, but is required to encrypt the stored tokens", MAKE_KEY)
        return warned(
            "it isn't set; on localhost Flask's SECRET_KEY is used instead, elsewhere it's required", MAKE_KEY
        )
    return None


def _is_local(configuration: Mapping[str, Any]) -> bool:
    try:
        return Settings.from_mapping({"CONFIGURE_APP_URL": configuration.get("CONFIGURE_APP_URL")}).is_local
    except SettingsError:
        return False


def _mixed_up(name: str, value: object) -> str:
    plain = _plain(value)
    if not isinstance(plain, str):
        return ""
    plain = plain.strip()
    if plain[:1] in "\"'" and plain:
        return ": it begins with a quotation mark, which became part of the value"
    for prefix, owner in _PREFIXES.items():
        if plain.startswith(prefix):
            return "" if owner == name else f": it begins with {prefix}, as {owner} does; were the two mixed up?"
    return ""


def _plain(value: object) -> object:
    return value.reveal() if isinstance(value, Secret) else value
