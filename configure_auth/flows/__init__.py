"""Every decision, once: coroutines that await effects and return values. No framework, no I/O, no clock."""

from ..runtime.drivers import arun, run
from ..runtime.effects import Flow
from .agent_claims import CLAIM_ROUTES, PROFILE_ROUTES, AgentTable, Claims, UserProfiles
from .answer import Answer
from .app import App, AppResponse, Hook
from .destination import Destinations, require_path
from .features import Features
from .messages.journeys import MESSAGE_ROUTES, Messages
from .performers import AsyncPerformer, Performer
from .registration import LINK_PATH, LOGIN_PATH, Registration, register_callbacks, register_paths
from .routing import METHODS, Feature, Route, current_user, serve
from .sign_in import provider
from .sign_in.link import LINK_ROUTES, AccountLink
from .sign_in.login import Login, OAuthClient
from .sign_in.routes import SIGN_IN_ROUTES, reload_first
from .site import AppOptions, Clock, Site
from .tokens import checked, open_token
from .upkeep import Resealed, purge, reseal
from .visit import Visit

__all__ = [
    "CLAIM_ROUTES",
    "LINK_PATH",
    "LINK_ROUTES",
    "LOGIN_PATH",
    "MESSAGE_ROUTES",
    "METHODS",
    "PROFILE_ROUTES",
    "SIGN_IN_ROUTES",
    "AccountLink",
    "AgentTable",
    "Answer",
    "App",
    "AppOptions",
    "AppResponse",
    "AsyncPerformer",
    "Claims",
    "Clock",
    "Destinations",
    "Feature",
    "Features",
    "Flow",
    "Hook",
    "Login",
    "Messages",
    "OAuthClient",
    "Performer",
    "Registration",
    "Resealed",
    "Route",
    "Site",
    "UserProfiles",
    "Visit",
    "arun",
    "checked",
    "current_user",
    "open_token",
    "provider",
    "purge",
    "register_callbacks",
    "register_paths",
    "reload_first",
    "require_path",
    "reseal",
    "run",
    "serve",
]
