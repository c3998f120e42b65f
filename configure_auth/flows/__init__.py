"""Every decision, once: coroutines that await effects and return values. No framework, no I/O, no clock."""

from ..runtime.drivers import arun, run
from ..runtime.effects import Flow
from .agent_claims import CLAIM_ROUTES, PROFILE_ROUTES, AgentClaims, AgentTable, UserProfiles
from .app import App, AppResponse, Hook, OfOneFramework
from .destination import require_path
from .features import TWO_MESSAGE_AGENTS, Features
from .localization import words_for
from .messages.journeys import MESSAGE_ROUTES, Messages
from .performers import AsyncPerformer, Performer
from .registration import LINK_PATH, LOGIN_PATH, Registration, register_callbacks, register_paths
from .request import Request
from .response import Response
from .routing import METHODS, Feature, Route, current_user, serve
from .sign_in.link import LINK_ROUTES, AccountLink
from .sign_in.login import LOGIN_ROUTES, Login, OAuthOptions
from .sign_in.pending_logins import forget_browser
from .sign_in.routes import reload_first
from .site import AppOptions, Clock, Site, name_taken
from .upkeep import purge, reseal

__all__ = [
    "CLAIM_ROUTES",
    "LINK_PATH",
    "LINK_ROUTES",
    "LOGIN_PATH",
    "LOGIN_ROUTES",
    "MESSAGE_ROUTES",
    "METHODS",
    "PROFILE_ROUTES",
    "TWO_MESSAGE_AGENTS",
    "AccountLink",
    "AgentClaims",
    "AgentTable",
    "App",
    "AppOptions",
    "AppResponse",
    "AsyncPerformer",
    "Clock",
    "Feature",
    "Features",
    "Flow",
    "Hook",
    "Login",
    "Messages",
    "OAuthOptions",
    "OfOneFramework",
    "Performer",
    "Registration",
    "Request",
    "Response",
    "Route",
    "Site",
    "UserProfiles",
    "arun",
    "current_user",
    "forget_browser",
    "name_taken",
    "purge",
    "register_callbacks",
    "register_paths",
    "reload_first",
    "require_path",
    "reseal",
    "run",
    "serve",
    "words_for",
]
