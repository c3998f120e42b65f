"""A worker beside a web app, with the lines that the README has for it.

They come from standard input; the arguments are a user of the app and what that user asks. It prints the answer.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from flask import Flask

from configure_auth.flask import ConfigureAuth

app = Flask("worker", instance_path=str(Path.cwd()))
configure_auth = ConfigureAuth(user_id=lambda: None)
configure_auth.init_app(app)
lines: dict[str, Any] = {"configure_auth": configure_auth, "ask_model": lambda known, question: f"{question}\n{known}"}
exec(compile(sys.stdin.read(), "README.md", "exec", dont_inherit=True), lines)
with app.app_context():
    print(lines["answer_with_profile"](*sys.argv[1:]))
