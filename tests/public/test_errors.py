"""The tree of errors: each has a stable code, a status, whose fault it is and what to do."""

from __future__ import annotations

import copy
import pickle

import pytest

from configure_auth import errors
from configure_auth.errors import (
    AgentNoOwner,
    AgentOwned,
    ApiCode,
    BearerError,
    Blame,
    Code,
    ConfigureAuthError,
    ConfigureError,
    LoginRefused,
    NotConfigured,
    SettingsError,
    SignInError,
    StoreError,
)

ERRORS = (
    SettingsError("x"),
    NotConfigured("x"),
    StoreError("x"),
    BearerError("x"),
    BearerError("x", retry_after=5),
    AgentNoOwner("x"),
    AgentOwned("x"),
    LoginRefused("x"),
    *(ConfigureError(code, "x", status_code=status) for code in ApiCode for status in (None, 401, 503)),
    *(SignInError(code) for code in Code),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{type(error).__name__}-{error.code}")
def test_an_error_says_whose_fault_it_is_and_what_to_do(error: ConfigureAuthError) -> None:
    assert error.code
    assert 400 <= error.status < 600
    assert isinstance(error.blame, Blame)
    assert error.advice


def test_every_class_of_the_tree_is_drawn() -> None:
    classes = {name for name in errors.__all__ if issubclass(getattr(errors, name), ConfigureAuthError)}

    assert {type(error).__name__ for error in ERRORS} | {"ConfigureAuthError"} == classes
    assert all(name in (errors.__doc__ or "") for name in classes)


@pytest.mark.parametrize("code", [*Code, *ApiCode])
def test_a_code_is_its_value(code: Code | ApiCode) -> None:
    assert code == code.value == f"{code}"
    assert type(code)(code.value) is code
    assert pickle.loads(pickle.dumps(code)) is copy.deepcopy(code) is code
