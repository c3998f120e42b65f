"""One sender's thread in a terminal: python -m example_apps.message_agent.terminal ada

The agent runs in here, as in a bot's own process. It shares the store and the threads with the web app, which has the
route that Configure's page reports to.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from configure_auth import MessageAgent, SettingsError

from .agent import answer
from .settings import INSTANCE, NAME, open_settings
from .threads import PHONES, Threads

__all__ = ["main"]


def main(sender: str, folder: Path = INSTANCE) -> None:
    if sender not in PHONES:
        sys.exit(f"Whose thread? Say one of: {', '.join(PHONES)}")
    try:
        settings = open_settings(folder=folder)
        settings.require(("api_key", "agent", "token_keys"))
        agent = MessageAgent(settings, display_name=NAME)
    except SettingsError as error:
        sys.exit(f"{error}\n(`make demo APP=message` sets all of them.)")
    threads = Threads(folder)
    print('Say "connect", "disconnect" or anything else; Ctrl-D ends.', flush=True)
    last = show(threads, sender, 0, past=True)
    ended = threading.Event()
    screen = threading.Thread(target=follow, args=(threads, sender, last, ended))
    screen.start()
    try:
        for line in sys.stdin:
            text = line.strip()
            threads.add(sender, text)
            threads.add(sender, answer(agent, sender, PHONES[sender], text), by_agent=True)
    except KeyboardInterrupt:
        pass
    finally:
        ended.set()
        screen.join()
        agent.close()


def follow(threads: Threads, sender: str, last: int, ended: threading.Event) -> None:
    """Show what the agent says, whoever made it speak: this terminal, the page, or Configure's page."""
    while not ended.wait(0.2):
        last = show(threads, sender, last)
    show(threads, sender, last)


def show(threads: Threads, sender: str, last: int, *, past: bool = False) -> int:
    for message in threads.after(last):
        last = message.id
        if message.sender == sender and (message.by_agent or past):
            print(f"{NAME if message.by_agent else 'You'}: {message.text}", flush=True)
    return last


if __name__ == "__main__":
    main(sys.argv[-1])
