"""The import rules of the package, read from the source, so that imports in functions count too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from .running import ROOT

PACKAGE = ROOT / "configure_auth"
FRAMEWORKS = {"flask", "werkzeug", "starlette", "fastapi", "blinker", "uvicorn", "django"}
CLIENTS = {"httpx", "httpx2", "httpcore", "httpcore2", "h11", "requests", "urllib3", "socket", "ssl", "http"}
DATABASES = {"sqlalchemy", "sqlite3", "aiosqlite", "redis", "psycopg"}
LAYERS = (
    {"__main__", "testing"},
    {"commands"},
    {"fastapi"},
    {"flask", "starlette", "message_agent", "alembic"},
    {"options"},
    {"flows"},
    {"bearer", "stores", "ui"},
    {"client"},
    {"events", "settings"},
    {"keys"},
    {"values"},
    {"access_log", "errors", "runtime", "sandbox"},
)
"""Parts of the package from top to bottom. Each imports only from layers below its own."""
INSIDE_COMMANDS = ("commands", "commands.checks", "commands.apps")
"""The same for the packages of the command line."""


def sources(part: str = "") -> list[Path]:
    found = PACKAGE / part
    return [found] if found.suffix == ".py" else sorted(found.rglob("*.py"))


def module_of(path: Path) -> list[str]:
    return list(path.relative_to(ROOT).with_suffix("").parts)


@cache
def imported(path: Path) -> tuple[str, ...]:
    """The full names of what a file imports, relative imports resolved; `from a import b` gives a and a.b."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[str]:
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


@cache
def modules() -> dict[str, Path]:
    """Every file below the package by its module's name, such as "flows.tokens"."""
    found = {".".join(module_of(path)[1:]).removesuffix("__init__").removesuffix("."): path for path in sources()}
    return {name: path for name, path in found.items() if name}


@cache
def edges() -> tuple[tuple[str, str], ...]:
    """Each import of one module of the package by another. A package counts where it isn't only on the way."""
    found = set()
    for importer, path in modules().items():
        ours = [name for name in imported(path) if name.startswith("configure_auth.")]
        names = [name.removeprefix("configure_auth.") for name in ours]
        on_the_way = {name.rpartition(".")[0] for name in names if name in modules()}
        found |= {(importer, name) for name in names if name in modules() and name not in {importer, *on_the_way}}
    return tuple(sorted(found))


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


def test_layers_name_every_part() -> None:
    named = [part for layer in LAYERS for part in layer]

    assert sorted(named) == sorted({name.partition(".")[0] for name in modules()})


def test_no_import_points_up() -> None:
    level = {part: number for number, layer in enumerate(LAYERS) for part in layer}
    parts = [(importer, target, importer.partition(".")[0], target.partition(".")[0]) for importer, target in edges()]

    assert [f"{importer}: {target}" for importer, target, a, b in parts if a != b and level[a] >= level[b]] == []


def test_no_import_points_up_inside_commands() -> None:
    def level(name: str) -> int:
        package = name if modules()[name].name == "__init__.py" else name.rpartition(".")[0]
        return INSIDE_COMMANDS.index(package)

    inside = [edge for edge in edges() if all(name.startswith("commands") for name in edge)]

    assert inside
    assert [edge for edge in inside if level(edge[0]) > level(edge[1])] == []


def test_modules_have_no_cycles() -> None:
    graph: dict[str, set[str]] = {}
    for importer, target in edges():
        graph.setdefault(importer, set()).add(target)

    TopologicalSorter(graph).prepare()


def test_no_module_imports_the_public_face() -> None:
    names = {name.partition(".")[0] for name in modules()}

    for path in modules().values():
        found = [name for name in imported(path) if name.startswith("configure_auth.")]
        assert {name.split(".")[1] for name in found} <= names, path


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
    kept = ("configure_auth.stores.sql", "configure_auth.stores.databases", "configure_auth.stores.schema")

    assert offences("flows", *adapters, *kept) == []


def test_the_adapters_never_meet() -> None:
    assert offences("flask", "starlette", "fastapi", "configure_auth.starlette") == []
    assert offences("starlette", "flask", "werkzeug", "fastapi", "configure_auth.flask", "configure_auth.fastapi") == []
    assert offences("fastapi", "flask", "werkzeug", "configure_auth.flask") == []


def test_the_api_knows_neither_flows_nor_stores() -> None:
    assert offences("client", "configure_auth.flows", "configure_auth.stores", "configure_auth.ui") == []


def test_the_stores_know_neither_flows_nor_the_api() -> None:
    assert offences("stores", "configure_auth.flows", "configure_auth.client", "configure_auth.ui") == []


def test_pages_know_neither_flows_nor_stores_nor_the_api() -> None:
    assert offences("ui", "configure_auth.flows", "configure_auth.client", "configure_auth.stores") == []


def test_the_sandbox_is_a_second_reading_of_the_wire_and_imports_nothing_of_ours() -> None:
    mine = {name for path in sources("sandbox") for name in imported(path) if name.startswith("configure_auth")}

    assert {name for name in mine if not name.startswith("configure_auth.sandbox")} == set()


def test_two_modules_touch_authlib_one_of_them_for_register_oauth_alone() -> None:
    users = {path for path in sources() if "authlib" in {name.split(".")[0] for name in imported(path)}}

    assert users == {PACKAGE / "client" / f"oauth_{name}.py" for name in ("messages", "registry")}


def test_one_module_touches_pyjwt() -> None:
    users = {path for path in sources() if "jwt" in {name.split(".")[0] for name in imported(path)}}

    assert users == {PACKAGE / "bearer" / "key_sets.py"}


def test_only_the_transport_the_registrys_client_and_the_sandboxs_robot_speak_http() -> None:
    speakers = {
        path.relative_to(PACKAGE).as_posix()
        for path in sources()
        if {name.split(".")[0] for name in imported(path)} & {"h11", "httpx", "httpx2", "httpcore2", "requests"}
    }

    transport = {"client/connections.py", "client/transport.py"}
    # A client of Authlib's registry answers `get` and `post` with the response of the framework's own HTTP library.
    registry = {"flask/provider.py", "starlette/provider.py"}
    assert {name for name in speakers if not name.startswith("sandbox/")} == transport | registry


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
