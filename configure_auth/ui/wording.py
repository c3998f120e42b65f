# ruff: noqa: RUF001  # pages for people have typographic apostrophes
"""Every text that a user reads: of the pages, of the buttons, and of an error page for each code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast

from configure_auth.errors import Code, SettingsError
from configure_auth.values import STATE_LIFETIME

from ..runtime.frozen import dataclass


@dataclass(frozen=True)
class Text:
    """Text of a page.

    Args:
        heading: what happened, in a few words.
        sentence: what happened, in one or two sentences, and what it means for the user's data.
        way_on: what to do next.
    """

    heading: str
    sentence: str
    way_on: str = ""


CONTINUE = "Continue with Configure"

_LABELS = {
    "continue": CONTINUE,
    "reconnect": "Reconnect Configure",
    "disconnect": "Disconnect Configure",
    "retry": "Try again",
    "replace": "Connect the new profile instead",
    "back": "Go back",
    "sign_in": "Sign in",
    "support": "For support:",
    "one_more_step": "One more step: let this app in.",
    "element_failed": "That didn’t work. Please try again.",
    "confirm_aside": "If you didn’t mean to, close this page. Nothing has happened yet.",
}
"""Labels of buttons and links, and sentences beside them. "one_more_step" and "element_failed" are of the element."""

CAUSE = "Shown in development only:"

_WHOLE_WINDOW = "This goes on in the whole window. Then you come back to this site."
_PAGES = {
    "confirm_link": Text(
        "Connect your account with Configure?",
        "You didn’t come here by a button on this site, so we ask first. If you go on, you visit Configure for a "
        "moment and choose what it may share with this site. Then you come back, and your account here is connected "
        "with your Configure profile.",
    ),
    "confirm_login": Text(
        "Sign in with Configure?",
        "You didn’t come here by a button on this site, so we ask first. If you go on, you visit Configure for a "
        "moment and sign in with your phone number. Then you come back, and you’re signed in here.",
    ),
    "frame_link": Text("Connect your account with Configure", _WHOLE_WINDOW),
    "frame_login": Text("Sign in with Configure", _WHOLE_WINDOW),
    "reload": Text(
        "One moment", "You’re back from Configure, and we’re finishing here. If this page stays, reload it."
    ),
    "wait": Text("One moment", "We’re finishing with Configure. This page goes on by itself; if it stays, reload it."),
    "popup": Text("You can close this window", "The page that opened it goes on."),
    "terminal": Text("You can close this window", "The terminal says what came of it."),
}

texts: Mapping[Code, Text] = MappingProxyType(
    {
        Code.CANCELLED: Text(
            "You stopped before the end",
            "That’s fine: nothing was changed and nothing was shared.",
            "Try again whenever you like, or go back to where you were.",
        ),
        Code.EXPIRED: Text(
            "This sign-in is no longer open",
            f"For your security, it has to be finished within {STATE_LIFETIME / 60:g} minutes, and starting more than "
            "ten at once ends the oldest. Nothing was changed, and nothing is lost.",
            "Please start again.",
        ),
        Code.ALREADY_USED: Text(
            "This link was used already",
            "It works once only, and it was opened before. Nothing was changed just now, and nothing is lost.",
            "Go back and look: you may be signed in already. If not, start again.",
        ),
        Code.INTERRUPTED: Text(
            "This sign-in was interrupted",
            "Something stopped on this site before it was finished. Nothing you had here is lost.",
            "Please start again. Doing this twice does no harm.",
        ),
        Code.COOKIE_MISSING: Text(
            "Your browser lost this sign-in",
            "While you were at Configure, your browser dropped the cookie that this site recognises you by, or this "
            "began in another app or browser, such as one on the home screen. "
            "Nothing was changed, and nothing is lost.",
            "Allow cookies for this site, then start again in the same window. A private window may be the reason too.",
        ),
        Code.WRONG_BROWSER: Text(
            "This sign-in began in another browser",
            "For your security, it has to end in the same browser or app, on the same device, where it began. "
            "Nothing was changed, and nothing is lost.",
            "Go back there to finish, or start again here.",
        ),
        Code.WRONG_USER: Text(
            "You’re signed in with another account now",
            "This began from another account on this site, so we stopped. Neither account was changed.",
            "Sign in to the account you want to connect, then start again.",
        ),
        Code.ALREADY_SIGNED_IN: Text(
            "You’re signed in already",
            "While you were at Configure, you or another person signed in here in another tab, and we left it so. "
            "Nothing was changed, and nothing is lost.",
            "Go back and look who is signed in. To change it, sign out first, then sign in again.",
        ),
        Code.SIGNED_OUT: Text(
            "You’re signed out here",
            "You need to be signed in to this site to do that. Nothing was changed, and nothing is lost.",
            "Sign in, then start again.",
        ),
        Code.WRONG_HOST: Text(
            "This site has another address",
            "You opened it at an address where this can’t be finished. Nothing was changed, and nothing is lost.",
            "Go back to the site’s usual address and start again there.",
        ),
        Code.CROSS_SITE: Text(
            "This didn’t come from this site",
            "It looks as if another site asked for this in your name, so we stopped. "
            "Nothing was changed, and nothing is lost.",
            "If you meant to do this, go back and do it from this site.",
        ),
        Code.INVALID_REQUEST: Text(
            "This address can’t be opened like this",
            "Part of it is missing or wrong, or it’s for a button of this site. "
            "Nothing was changed, and nothing is lost.",
            "Go back and start again with the button.",
        ),
        Code.NOT_APPROVED: Text(
            "You didn’t approve this at Configure",
            "You were recognised, but sharing with this site wasn’t approved. "
            "Nothing was shared, and nothing was changed.",
            "If you’d like to go on, start again and approve it when Configure asks.",
        ),
        Code.NOT_AN_AGENT_TOKEN: Text(
            "This site can’t use that response",
            "Configure sent something that this site can’t recognise you by. "
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
            "Keep the one you have, or connect the new profile instead.",
        ),
        Code.LAST_SIGN_IN: Text(
            "This is your only way to sign in",
            "Without Configure you couldn’t sign in to this account any more, so we left it connected. "
            "Nothing was changed.",
            "Add another way to sign in first, then disconnect.",
        ),
        Code.NOT_FRESH: Text(
            "Confirm that it’s you",
            "You signed in here some time ago, and this is for people who have just done so. Nothing was changed.",
            "Sign in here again, then start again.",
        ),
        Code.LOGIN_REFUSED: Text(
            "You can’t sign in here",
            "This site didn’t let you in. Your Configure profile is as it was.",
            "If you think that’s a mistake, tell the people who run this site.",
        ),
        Code.UPSTREAM_REJECTED: Text(
            "Configure didn’t accept that",
            "It responded, but this couldn’t be finished. Nothing was changed here, and nothing is lost.",
            "Please start again. If it happens once more, tell the people who run this site.",
        ),
        Code.UPSTREAM_UNAVAILABLE: Text(
            "Configure can’t be reached right now",
            "This isn’t your fault. The rest of this site works as usual, and nothing you had is lost.",
            "Please try again in a few minutes.",
        ),
        Code.UPSTREAM_TIMEOUT: Text(
            "Configure took too long to respond",
            "We waited, then stopped. Nothing you had here is lost.",
            "Please try again in a minute.",
        ),
        Code.BUSY: Text(
            "Many people are here right now",
            "You’re back from Configure, and it’s your turn in a moment. Nothing is lost.",
            "This page goes on by itself. If it stays as it is, reload it.",
        ),
        Code.STORE_BUSY: Text(
            "This site is too busy right now",
            "This site couldn’t save what it needed just now. Nothing was half done, and nothing is lost.",
            "Please try again in a moment.",
        ),
        Code.MISCONFIGURED: Text(
            "This isn’t set up correctly",
            "The people who run this site have to change something before this can work. "
            "It isn’t your fault, and nothing is lost.",
            "Please let them know. Trying again won’t help until then.",
        ),
        Code.NOT_CONFIGURED: Text(
            "Configure isn’t available here yet",
            "The people who run this site haven’t finished setting it up. "
            "The rest of this site works as usual, and nothing is lost.",
            "Please use another way to sign in, if there is one, or come back later.",
        ),
    }
)
"""The text for every code, without technical terms."""


_PARTS = tuple(part.name for part in fields(Text))

ENGLISH: Mapping[str, str] = MappingProxyType(
    _LABELS
    | {
        f"{name}.{part}": getattr(text, part)
        for name, text in (_PAGES | {code.value: text for code, text in texts.items()}).items()
        for part in _PARTS
    }
)
"""Every text by its key: `continue`, and `cancelled.heading`, `.sentence` and `.way_on` for a page."""


@dataclass(frozen=True)
class Words:
    """The texts in one language.

    Args:
        lang: of the texts, for HTML (BCP 47).
        dir: the direction of its script.
        changed: texts by the keys of `ENGLISH`, from where those that it lacks are taken.
    """

    lang: str = "en"
    dir: Literal["ltr", "rtl"] = "ltr"
    changed: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, key: str) -> str:
        return self.changed.get(key, ENGLISH[key])

    def page(self, name: str) -> Text:
        """Return the text of a page."""
        return Text(*(self[f"{name}.{part}"] for part in _PARTS))

    def of(self, code: Code) -> Text:
        """Return the text for a code; one that has no text of its own gets that of its kind."""
        own = code in texts
        return self.page(code if own else Code.MISCONFIGURED if code.status >= 500 else Code.INVALID_REQUEST)


ENGLISH_WORDS = Words()

Texts: TypeAlias = Mapping[str, Any] | Callable[[str], Mapping[str, str] | None]
"""What an app gives as `texts=`: texts by their keys; or those by language; or a function of the language."""


def read_texts(given: Texts | None) -> Callable[[Iterable[str]], Words]:
    """Return a function that chooses the texts for a user's languages, the preferred one first.

    Raises:
        SettingsError: a key is unknown, or a text isn't one; of what a function returns, when it is used.
    """
    if not callable(given) and not isinstance(given, Mapping | None):
        raise SettingsError(f"texts: got a {type(given).__name__}; expected a mapping, or a function of the language")
    if callable(given):

        def find(language: str) -> Words | None:
            found = given(language)
            return None if found is None else _words(found, language)

    elif given and all(isinstance(one, Mapping) for one in given.values()):
        made = {_tag(name).lower(): _words(texts, _tag(name)) for name, texts in given.items()}

        def find(language: str) -> Words | None:
            return made.get(language.lower())

    else:
        always = _words(given or {}, "en")

        def find(language: str) -> Words | None:
            return always

    def choose(languages: Iterable[str]) -> Words:
        for language in map(_tag, (*languages, "en")):
            parts = language.split("-")
            for length in range(len(parts), 0, -1):  # RFC 4647, section 3.4
                if (words := find("-".join(parts[:length]))) is not None:
                    return words
            if parts[0].lower() == "en":
                break
        return ENGLISH_WORDS

    return choose


def _tag(language: str) -> str:
    return language.replace("_", "-")


def _words(given: Mapping[str, str], language: str) -> Words:
    changed = dict(given)
    lang, direction = changed.pop("lang", language), changed.pop("dir", "ltr")
    if direction not in ("ltr", "rtl"):
        raise SettingsError(f'texts: dir is {direction!a}; expected "ltr" or "rtl"')
    for key, text in {**changed, "lang": lang}.items():
        if key != "lang" and key not in ENGLISH:
            import difflib

            near = difflib.get_close_matches(str(key), ENGLISH, 1)
            raise SettingsError(f"texts: unknown key {key!a}" + (f"; did you mean {near[0]!a}?" if near else ""))
        if not isinstance(text, str) or not (text.strip() or key.endswith(".way_on")):
            raise SettingsError(f"texts: {key} must be a text that isn't empty; leave it out for the English one")
    return Words(lang, cast(Literal["ltr", "rtl"], direction), changed)
