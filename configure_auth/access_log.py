"""A filter that keeps the codes and states of callbacks out of access logs."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Mapping
from typing import Any, cast

# To the end of the address, wherever it stands: a request line, an address alone, a `Referer`.
_SECRET_QUERY = re.compile(r"(/callback/*\?|[?&]configure_finish=)[^\s\"'#]+")
_HIDDEN = r"\1[hidden]"


class AccessLogFilter(logging.Filter):
    """Hides the query of every address that ends in "/callback", and what follows `configure_finish=`.

    An unspent code in a log can be redeemed by a reader of the log. Add it to the logger of the server: "werkzeug" for
    Flask's own, "gunicorn.access" or "uvicorn.access". It changes the record, and lets every record pass.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _hidden(record.msg)
        if isinstance(record.args, Mapping):
            record.args = self._hidden_atoms(record.args)
        elif record.args:
            record.args = tuple(_hidden(one) for one in record.args)
        return True

    @staticmethod
    def _hidden_atoms(atoms: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return gunicorn's atoms: the request line is `r`, the `Referer` is `f`, path and query alone are `U`, `q`."""
        found: Any = copy.copy(atoms)  # of its own type, which gives "-" for what is absent
        found.update({name: _hidden(value) for name, value in atoms.items()})
        if atoms.get("q") and _SECRET_QUERY.search(f"{atoms.get('U')}?{atoms['q']}"):
            found["q"] = "[hidden]"
        return cast(Mapping[str, Any], found)


def _hidden(value: Any) -> Any:
    return _SECRET_QUERY.sub(_HIDDEN, value) if isinstance(value, str) else value
