"""Which part may know of which: read from the source, so that an import inside a function counts too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from .running import ROOT

PACKAGE = ROOT / "configure_auth"
FRAMEWORKS = {"flask", "werkzeug", "starlette", "fastapi", "blinker", "uvicorn", "django"}
CLIENTS = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "aiohttp", "socket", "ssl", "http"}
DATABASES = {"sqlalchemy", "sqlite3", "aiosqlite", "redis", "psycopg"}


def sources(part: str = "") -> list[Path]:
    found = PACKAGE / part
    return [found] if found.suffix == ".py" else sorted(found.rglob("*.py"))


def module_of(path: Path) -> list[str]:
    return list(path.relative_to(ROOT).with_suffix("").parts)


def imported(path: Path) -> Iterator[str]:
    """The full names of what a file imports, relative imports resolved; `from a import b` gives a and a.b."""
    here = module_of(path)
    package = here[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            home = ".".join([*base, *(node.module.split(".") if node.module else [])])
            yield home
            yield from (f"{home}.{alias.name}" for alias in node.names)


def offences(part: str, *forbidden: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources(part)
        for name in imported(path)
        if any(name == other or name.startswith(f"{other}.") for other in forbidden)
    ]


def roots(part: str) -> set[str]:
    return {name.split(".")[0] for path in sources(part) for name in imported(path)}


def test_the_reader_sees_relative_and_late_imports() -> None:
    assert "configure_auth.flows" in set(imported(PACKAGE / "flask" / "extension.py"))
    assert "configure_auth.sandbox.Sandbox" in set(imported(PACKAGE / "testing" / "__init__.py"))
    assert "configure_auth.sandbox.PortInUse" in set(imported(PACKAGE / "commands" / "sandbox.py"))


@pytest.mark.parametrize(
    "part",
    ["flows", "client", "runtime", "stores", "ui", "bearer", "errors.py", "events.py", "settings.py", "values.py"],
)
def test_only_the_adapters_and_the_sandbox_know_a_framework(part: str) -> None:
    assert roots(part) & FRAMEWORKS == set()


def test_flows_know_no_http_client_and_no_database() -> None:
    assert roots("flows") & (CLIENTS | DATABASES) == set()


def test_flows_know_no_adapter_and_no_particular_database() -> None:
    adapters = (
        "configure_auth.flask",
        "configure_auth.starlette",
        "configure_auth.sandbox",
        "configure_auth.commands.main",
    )
    kept = ("configure_auth.stores.sql", "configure_auth.stores.database", "configure_auth.stores.schema")

    assert offences("flows", *adapters, *kept) == []


def test_the_adapters_never_meet() -> None:
    assert offences("flask", "starlette", "fastapi", "configure_auth.starlette") == []
    assert offences("starlette", "flask", "werkzeug", "configure_auth.flask") == []


def test_the_api_knows_neither_flows_nor_stores() -> None:
    assert offences("client", "configure_auth.flows", "configure_auth.stores", "configure_auth.ui") == []


def test_the_stores_know_neither_flows_nor_the_api() -> None:
    assert offences("stores", "configure_auth.flows", "configure_auth.client", "configure_auth.ui") == []


def test_pages_know_neither_flows_nor_stores_nor_the_api() -> None:
    assert offences("ui", "configure_auth.flows", "configure_auth.client", "configure_auth.stores") == []


def test_the_sandbox_is_a_second_reading_of_the_wire_and_imports_nothing_of_ours() -> None:
    mine = {name for path in sources("sandbox") for name in imported(path) if name.startswith("configure_auth")}

    assert {name for name in mine if not name.startswith("configure_auth.sandbox")} == set()


def test_one_module_touches_authlib() -> None:
    users = {path for path in sources() if "authlib" in {name.split(".")[0] for name in imported(path)}}

    assert users == {PACKAGE / "client" / "oauth_messages.py"}


def test_one_module_touches_pyjwt() -> None:
    users = {path for path in sources() if "jwt" in {name.split(".")[0] for name in imported(path)}}

    assert users == {PACKAGE / "bearer" / "key_sets.py"}


def test_only_the_transport_and_the_sandboxs_robot_speak_http() -> None:
    speakers = {
        path.relative_to(PACKAGE).as_posix()
        for path in sources()
        if {name.split(".")[0] for name in imported(path)} & {"httpx", "httpx2", "httpcore", "httpcore2", "requests"}
    }

    assert "client/transport.py" in speakers
    assert {name for name in speakers if not name.startswith("sandbox/")} == {"client/transport.py"}


def calls_at_import(tree: ast.Module) -> Iterator[ast.Call]:
    """The calls of a module that run when it's imported: not those inside functions."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d)]
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Call):
            yield node
        waiting += ast.iter_child_nodes(node)


READS = {"read_text", "read_bytes", "open", "connect", "create_engine", "getenv", "urlopen", "socket", "run", "Popen"}


def test_nothing_is_read_or_opened_at_import_but_the_packages_own_pages() -> None:
    found: list[str] = []
    for path in sources():
        for call in calls_at_import(ast.parse(path.read_text())):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            part = path.relative_to(PACKAGE).as_posix()
            # The style, whose hash is in the policy of every page, and the templates lie in the package.
            if name in READS and (path.parent.name, name) != ("ui", "read_text"):
                found.append(f"{part}: {name}")

    assert found == []


def test_no_module_reads_the_environment_at_import() -> None:
    readers = []
    for path in sources():
        tree = ast.parse(path.read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        inside = {id(node) for function in functions for node in ast.walk(function)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "environ" and id(node) not in inside:
                readers.append(path.relative_to(PACKAGE).as_posix())

    assert readers == []
