"""Templates are compiled once."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment

from configure_auth.ui.templating import TEMPLATES, CompiledOnce


class Counting(Environment):
    """Without a cache of its own, as in threads that all need a template for the first time."""

    def __init__(self) -> None:
        super().__init__(loader=CompiledOnce(), autoescape=True, cache_size=0)
        self.compiled: list[Any] = []

    def compile(self, source: Any, name: Any = None, *others: Any, **more: Any) -> Any:
        self.compiled.append(name)
        return super().compile(source, name, *others, **more)


def test_a_template_is_compiled_once_however_many_need_it() -> None:
    environment = Counting()

    for name in [*TEMPLATES, *TEMPLATES]:
        assert environment.get_template(name).name == name

    assert environment.compiled == [*TEMPLATES]
