"""The bot: flask --app example_apps.cli_bot ask ada "I prefer window seats"

What it knows of a user lies at Configure, under an id of ours until the user connects Configure.
"""

from __future__ import annotations

import click
from flask import Blueprint, session

from configure_auth import ConfigureError, Profile
from configure_auth.flask import ConfigureAuth

from .models import User

__all__ = ["commands", "configure_auth", "profile_of"]

commands = Blueprint("bot", __name__, cli_group=None)

# [bot]
configure_auth = ConfigureAuth(user_id=lambda: session.get("user_id"))


def profile_of(user_id: int) -> Profile:
    if configure_auth.account_for(user_id) is None:
        return configure_auth.client.profile(external_id=configure_auth.external_id_for(user_id))
    return configure_auth.profile_for(user_id)


# [commands]
@commands.cli.command("ask")
@click.argument("name")
@click.argument("text")
def ask(name: str, text: str) -> None:
    """Tell the bot something, or ask it with a question mark at the end."""
    user = User.named(name)
    try:
        click.echo(answer(user.id, text))
    except ConfigureError as error:
        account = configure_auth.account_for(user.id)
        if account is not None and account.needs_reconnect:
            why = "Configure no longer accepts the connection of"
            raise click.ClickException(f"{why} {name}, who can connect again at {page()}") from error
        raise click.ClickException(f"Configure doesn't answer just now ({error.code}).") from error


@commands.cli.command("invite")
@click.argument("name")
def invite(name: str) -> None:
    """Give a user a new password for the page."""
    click.echo(f"{name} signs in at {page()} with the password {User.named(name).new_password()}")


def answer(user_id: int, text: str) -> str:
    with profile_of(user_id) as profile:  # which settles, at its end, what a read owes
        if not text.endswith("?"):
            profile.remember(text)
            return "I'll remember that."
        found = profile.search(text.rstrip("?")).results
    return "\n".join(f"You told me: {hit.text}" for hit in found) or "I don't know that of you."


def page() -> str:
    return configure_auth.client.settings.app_url or "the address of this app"
