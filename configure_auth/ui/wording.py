# ruff: noqa: RUF001  # pages for people have typographic apostrophes
"""What a person reads when a sign-in ends without success."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from configure_auth.errors import Code

__all__ = ["Text", "texts"]


@dataclass(frozen=True, slots=True)
class Text:
    """The words for one code.

    Args:
        heading: what happened, in a few words.
        sentence: the same in a sentence or two, and what it means for the person's things.
        way_on: what to do now.
    """

    heading: str
    sentence: str
    way_on: str


texts: Mapping[Code, Text] = MappingProxyType(
    {
        Code.CANCELLED: Text(
            "You stopped before the end",
            "That’s fine: nothing was changed and nothing was shared.",
            "Try again whenever you like, or go back to where you were.",
        ),
        Code.EXPIRED: Text(
            "That took a little too long",
            "To keep you safe, each try has to be finished within 15 minutes. "
            "Nothing was changed, and nothing is lost.",
            "Start again, and go through it in one go.",
        ),
        Code.ALREADY_USED: Text(
            "This link has done its work",
            "It works one time only, and it was opened before. Nothing was changed just now, and nothing is lost.",
            "Go back and look: you may be done already. If not, start again.",
        ),
        Code.INTERRUPTED: Text(
            "We were cut off halfway",
            "Something stopped on this site before we had finished. Nothing you had here is lost.",
            "Please start again. Doing it twice does no harm.",
        ),
        Code.COOKIE_MISSING: Text(
            "Your browser didn’t remember this try",
            "While you were away at Configure, your browser dropped the cookie that leads you back. "
            "Nothing was changed, and nothing is lost.",
            "Allow cookies for this site, then start again in the same window. A private window may be the reason too.",
        ),
        Code.WRONG_BROWSER: Text(
            "This began in another browser",
            "For your safety, it has to end in the same browser, on the same device, where it began. "
            "Nothing was changed, and nothing is lost.",
            "Go back to that browser to finish, or start again in this one.",
        ),
        Code.WRONG_USER: Text(
            "You’re signed in as somebody else now",
            "This was begun from another account on this site, so we stopped. Neither account was changed.",
            "Sign in to the account you want to connect, then start again.",
        ),
        Code.SIGNED_OUT: Text(
            "You’re signed out here",
            "You need to be signed in to this site to do that. Nothing was changed, and nothing is lost.",
            "Sign in, then start again.",
        ),
        Code.WRONG_HOST: Text(
            "This site has another address",
            "You opened it under an address where this can’t be finished. Nothing was changed, and nothing is lost.",
            "Go back to the site’s usual address and start again there.",
        ),
        Code.CROSS_SITE: Text(
            "That didn’t come from this site",
            "It looks as if another site asked us to do this in your name, so we didn’t. "
            "Nothing was changed, and nothing is lost.",
            "If it was you who wanted it, go back and do it from here.",
        ),
        Code.INVALID_REQUEST: Text(
            "This address isn’t complete",
            "Part of it is missing or garbled; it may have been cut off when it was copied. "
            "Nothing was changed, and nothing is lost.",
            "Go back and start again with the button.",
        ),
        Code.NOT_APPROVED: Text(
            "Configure didn’t get your yes",
            "You were recognised, but sharing with this site wasn’t approved. "
            "Nothing was shared, and nothing was changed.",
            "If you’d like to go on, start again and approve it when Configure asks.",
        ),
        Code.NOT_AN_AGENT_TOKEN: Text(
            "This site got the wrong kind of answer",
            "It was an answer from Configure that this site can’t use to know you. "
            "This isn’t your fault; nothing was changed, and nothing is lost.",
            "Please start again. If it happens once more, tell the people who run this site.",
        ),
        Code.ACCOUNT_TAKEN: Text(
            "That profile is connected already",
            "Your Configure profile belongs to another account on this site. Both accounts are as they were.",
            "Sign in to that other account, or disconnect the profile there first.",
        ),
        Code.ALREADY_CONNECTED: Text(
            "This account is connected already",
            "It has a different Configure profile, and we left that one in its place. Nothing is lost.",
            "To change it, disconnect the one you have, then start again.",
        ),
        Code.LAST_SIGN_IN: Text(
            "This is your only way in",
            "Without Configure you couldn’t sign in to this account any more, so we left it connected. "
            "Nothing was changed.",
            "Add another way to sign in first, then disconnect.",
        ),
        Code.LOGIN_REFUSED: Text(
            "You can’t sign in here",
            "This site decided not to let you in. Your Configure profile is as it was.",
            "If you think that’s a mistake, tell the people who run this site.",
        ),
        Code.UPSTREAM_REJECTED: Text(
            "Configure didn’t accept that",
            "It answered, but wouldn’t let us finish. Nothing was changed here, and nothing is lost.",
            "Please start again. If it happens once more, tell the people who run this site.",
        ),
        Code.UPSTREAM_UNAVAILABLE: Text(
            "Configure can’t be reached right now",
            "The trouble isn’t on your side. The rest of this site works as usual, and nothing you had is lost.",
            "Please try again in a few minutes.",
        ),
        Code.UPSTREAM_TIMEOUT: Text(
            "Configure took too long to answer",
            "We waited, and then stopped. Nothing you had here is lost.",
            "Please try again in a minute.",
        ),
        Code.STORE_BUSY: Text(
            "We’re a little too busy",
            "This site couldn’t save what it needed just now. Nothing was half done, and nothing is lost.",
            "Please try again in a moment.",
        ),
        Code.MISCONFIGURED: Text(
            "This isn’t set up yet",
            "The people who run this site still have something to put right before this can work. "
            "It isn’t your fault, and nothing is lost.",
            "Please let them know. Trying again won’t help until then.",
        ),
    }
)
"""The words for every code. Plain ones: no word in them needs a developer to explain it."""
