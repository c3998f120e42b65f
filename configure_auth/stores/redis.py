"""The open attempts in Redis: each method is one script, so that it is one step for every process and machine.

Every key lies under `PREFIX` and expires. What Redis loses is a sign-in that has to be started again: a state is good
only on the server process that took it in, since one that was restarted from a snapshot, or a replica that took over,
may have missed that it was claimed.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import secrets
import socket
import ssl
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio import SSLConnection as AsyncSSLConnection
from redis.backoff import NoBackoff
from redis.connection import SSLConnection
from redis.exceptions import (
    AuthenticationError,
    ClusterError,
    ConnectionError,
    MovedError,
    NoPermissionError,
    RedisError,
    TimeoutError,
)
from redis.retry import Retry

from ..errors import SettingsError, StoreError
from ..runtime.loops import worker_threads
from ..values import PendingSignIn
from . import OUTCOME_TTL, REPLAY, StateStore

T = TypeVar("T")
Names = Callable[[str], tuple[str, ...]]

BUSY_SECONDS = 5
"""How long Redis is waited for before the person is told to try again."""

SINGLE = (
    "{}, and Sentinel and Cluster can't be used; give the redis:// address of one server or of a proxy that follows "
    "the primary, or remove states= to keep the attempts in store="
)

PREFIX = "{configure_auth}:"
"""Of every key; in braces, so that what shards by keys keeps together those that one script touches."""

# What several scripts use. `server`: the process that answers; each start of Redis gives itself another. `mine`: the
# record of an attempt that matches. `extend`: a list of attempts lives as long as the last of them. `user_key`: of one
# length, whatever an id is, and without it; by the keyed hash that the app gives, since ids can be tried.
_SHARED = """
local prefix = KEYS[1]
local function server()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or error('INFO gives no run_id')
end
local function state_key(state_hash) return prefix .. 'state:' .. state_hash end
local function extend(key, seconds)
  if redis.call('TTL', key) < tonumber(seconds) then redis.call('EXPIRE', key, seconds) end
end
local function user_key(agent, user_id, name)
  return prefix .. 'user:' .. (name ~= '' and agent .. ':' .. name or redis.sha1hex(agent .. '\\0' .. user_id))
end
local function index(agent, user_id, name, state_hash, seconds)
  local user, now = user_key(agent, user_id, name), tonumber(redis.call('TIME')[1])
  redis.call('ZREMRANGEBYSCORE', user, '-inf', now)
  redis.call('ZADD', user, now + seconds, state_hash)
  extend(user, seconds)
end
local function browser_key(agent, browser_hash) return prefix .. 'browser:' .. agent .. ':' .. browser_hash end
local function mine(state_hash, browser_hash, intent, agent, ends_after)
  local record = redis.call('HGET', state_key(state_hash), 'record')
  record = record and cjson.decode(record)
  return record and record.browser_hash == browser_hash and record.intent == intent and record.agent == agent
    and record.expires_at > tonumber(ends_after)
end
local function forget(state_hash) redis.call('DEL', state_key(state_hash), prefix .. 'replay:' .. state_hash) end
"""

_PUT = """
local state_hash, browser_hash, agent, record, created_at, seconds, limit, user_id, name = unpack(ARGV)
local browser, open = browser_key(agent, browser_hash), 0
for _, other in ipairs(redis.call('ZREVRANGE', browser, 0, -1)) do
  local claimed = redis.call('HMGET', state_key(other), 'record', 'claimed_at')
  local is_open = claimed[1] and not claimed[2]
  if is_open then open = open + 1 end
  if is_open and open >= tonumber(limit) then forget(other) end
  if not claimed[1] or (is_open and open >= tonumber(limit)) then redis.call('ZREM', browser, other) end
end
redis.call('HSET', state_key(state_hash), 'record', record, 'server', server())
redis.call('EXPIRE', state_key(state_hash), seconds)
redis.call('ZADD', browser, created_at, state_hash)
extend(browser, seconds)
if user_id ~= '' then index(agent, user_id, name, state_hash, tonumber(seconds)) end
"""

_CLAIM = """
local state_hash, browser_hash, intent, agent, now, claimer = unpack(ARGV)
local key = state_key(state_hash)
if not mine(state_hash, browser_hash, intent, agent, now) or redis.call('HGET', key, 'server') ~= server() then
  return false
end
if redis.call('HSETNX', key, 'claimed_at', now) == 1 then redis.call('HSET', key, 'claimed_by', claimer) end
return redis.call('HGET', key, 'claimed_by') == claimer and redis.call('HGETALL', key)
"""

_READ = """
if not mine(unpack(ARGV)) then return false end
local found = redis.call('HGETALL', state_key(ARGV[1]))
table.insert(found, 'replay')
table.insert(found, redis.call('GET', prefix .. 'replay:' .. ARGV[1]) or '')
return found
"""

_FINISH = """
local state_hash, outcome, now, replay, replay_seconds, user_id, name = unpack(ARGV)
local key = state_key(state_hash)
if redis.call('HEXISTS', key, 'claimed_at') == 0 then return end
redis.call('HSET', key, 'outcome', outcome, 'finished_at', now)
if replay ~= '' then redis.call('SET', prefix .. 'replay:' .. state_hash, replay, 'EX', replay_seconds) end
if user_id ~= '' then
  local agent = cjson.decode(redis.call('HGET', key, 'record')).agent
  redis.call('HSET', key, 'user_id', user_id)
  index(agent, user_id, name, state_hash, math.max(redis.call('TTL', key), 1))
end
"""

_FORGET_USER = """
for place = 3, #ARGV do
  local user = user_key(ARGV[1], ARGV[2], ARGV[place])
  for _, state_hash in ipairs(redis.call('ZRANGE', user, 0, -1)) do forget(state_hash) end
  redis.call('DEL', user)
end
"""

_OF_USER = """
local found = {}
for place = 3, #ARGV do
  for _, state_hash in ipairs(redis.call('ZRANGE', user_key(ARGV[1], ARGV[2], ARGV[place]), 0, -1)) do
    local record = redis.call('HGETALL', state_key(state_hash))
    if #record > 0 then table.insert(found, record) end
  end
end
return found
"""

_FORGET_REPLAYS = """
for _, state_hash in ipairs(redis.call('ZRANGE', browser_key(unpack(ARGV)), 0, -1)) do
  redis.call('DEL', prefix .. 'replay:' .. state_hash)
end
"""

_NOTHING = "return 0"


class RedisStates:
    """A `StateStore`. Where `perform` is awaited, so are its methods.

    Args:
        names: the keyed hashes of a user id, by each key that may have been the first one.
    """

    def __init__(
        self,
        client: Any,
        perform: Callable[[Callable[[], Any], Callable[[Any], Any]], Any],
        names: Names | None = None,
    ) -> None:
        self._client = client
        self._scripts: dict[str, Any] = {}
        self._perform = perform
        self._names = names or (lambda user_id: ("",))

    def put(self, record: PendingSignIn, *, limit: int, now: float) -> None:
        seconds = max(1, math.ceil(record.expires_at + OUTCOME_TTL - now))
        mine = (record.state_hash, record.browser_hash, record.agent, json.dumps(asdict(record)))
        return self._does(_PUT, _nothing, *mine, repr(record.created_at), seconds, limit, *self._user(record.user_id))

    def claim(self, state_hash: str, *, browser_hash: str, intent: str, agent: str, now: float) -> PendingSignIn | None:
        # The claimer has a name, so that a command that redis-py sends again finds what it did the first time.
        return self._does(_CLAIM, _record, state_hash, browser_hash, intent, agent, repr(now), secrets.token_hex(8))

    def read(self, state_hash: str, *, browser_hash: str, intent: str, agent: str, now: float) -> PendingSignIn | None:
        return self._does(_READ, _record, state_hash, browser_hash, intent, agent, repr(now - OUTCOME_TTL))

    def finish(self, state_hash: str, *, outcome: str, replay: str | None, user_id: str | None, now: float) -> None:
        given = (state_hash, outcome, repr(now), replay or "", math.ceil(REPLAY), *self._user(user_id))
        return self._does(_FINISH, _nothing, *given)

    def forget(self, agent: str, user_id: str) -> None:
        return self._does(_FORGET_USER, _nothing, agent, user_id, *self._names(user_id))

    def of_user(self, agent: str, user_id: str) -> tuple[PendingSignIn, ...]:
        return self._does(_OF_USER, _records, agent, user_id, *self._names(user_id))

    def forget_replays(self, agent: str, browser_hash: str) -> None:
        return self._does(_FORGET_REPLAYS, _nothing, agent, browser_hash)

    def purge(self, *, now: float) -> int:
        """Nothing: what has ended expires by itself."""
        return self._does(_NOTHING, int)

    def _user(self, user_id: str | None) -> tuple[str, str]:
        return ("", "") if user_id is None else (user_id, self._names(user_id)[0])

    def _does(self, script: str, read: Callable[[Any], T], *given: str | int) -> T:
        if script not in self._scripts:
            self._scripts[script] = self._client.register_script(_SHARED + script)
        return cast(T, self._perform(partial(self._scripts[script], keys=[PREFIX], args=given), read))


def open_redis(source: object, *, awaited: bool, names: Names | None = None) -> tuple[StateStore, Callable[[], object]]:
    """The attempts in one Redis, and what closes it.

    Args:
        source: a URL (redis://, rediss://, unix://, valkey://), or a client, which stays the app's to close. A
            blocking one works in threads on an event loop; an asynchronous one belongs to the loop that the app made
            it for.
        awaited: whether the app runs on an event loop.
        names: as for `RedisStates`.

    Raises:
        SettingsError: it is neither, or an asynchronous client in a blocking app.
    """
    if isinstance(source, AsyncRedis):
        if not awaited:
            raise SettingsError("states= is an asynchronous client, which can't be waited for here; give its URL")
        return RedisStates(source, partial(_awaited, source), names), _nothing
    if not isinstance(source, str | Redis):
        name = f"states={type(source).__name__}"
        clustered = "Cluster" in name or "Sentinel" in name
        raise SettingsError(SINGLE.format(name) if clustered else f"{name} is no store for states; use redis://...")
    client = _client(source) if isinstance(source, str) else source
    blocking = partial(_blocking, client)
    states = RedisStates(client, partial(_in_thread, worker_threads(), blocking) if awaited else blocking, names)
    return states, client.close if isinstance(source, str) else _nothing


def _client(url: str) -> Redis:
    try:
        client = Redis.from_url(
            re.sub("^valkey", "redis", url),
            socket_timeout=BUSY_SECONDS,
            socket_connect_timeout=BUSY_SECONDS,
            # Once more on a new connection, where a kept one had been closed; each script may run twice.
            retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
            retry_on_error=[ConnectionError],  # redis-py 5 raises at once without it
        )
        # Opens nothing; an option of the URL that there isn't is noticed now and not at the first sign-in.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
        return client
    except (ValueError, TypeError) as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        reason = f"has an unknown option {unknown[1]}" if unknown else "is no URL of a Redis"
        raise SettingsError(f"states= {reason}; it looks like redis://localhost:6379/0") from None


def _blocking(client: Any, call: Callable[[], Any], read: Callable[[Any], T]) -> T:
    try:
        return read(call())
    except RedisError as error:
        raise _store_error(error, client) from None


async def _in_thread(threads: Any, blocking: Callable[..., T], *given: Any) -> T:
    return await anyio.to_thread.run_sync(blocking, *given, limiter=await threads.get())


async def _awaited(client: Any, call: Callable[[], Any], read: Callable[[Any], T]) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise SettingsError(
            "redis.asyncio runs on asyncio only; under trio give the URL, which works in threads"
        ) from None
    # Shielded: a claim whose answer nobody waits for any more would be nobody's.
    with anyio.CancelScope(shield=True):
        try:
            answer = await call()
        except RedisError as error:
            raise _store_error(error, client) from None
        except RuntimeError as error:
            # asyncio's own, where the client has connections of a loop that has ended.
            raise StoreError(f"the redis.asyncio client belongs to another event loop ({error})") from error
    return read(answer)


def _store_error(error: RedisError, client: Any) -> StoreError | SettingsError:
    # Redis's own text may quote an argument; the class says enough.
    text, kind = str(error), type(error).__name__
    if isinstance(error, AuthenticationError):
        return SettingsError("Redis refused the user or password of states=; set CONFIGURE_STATES to the right ones")
    if isinstance(error, NoPermissionError) or "can't run this command" in text or "ACL failure in script" in text:
        return SettingsError(
            f"the Redis user of states= lacks a permission; allow it INFO, EVALSHA, SCRIPT and all keys of {PREFIX}*: "
            "ACL SETUSER name ~{configure_auth}:* +@all -@dangerous +info"
        )
    if isinstance(error, ClusterError | MovedError):
        return SettingsError(SINGLE.format("the Redis of states= is in cluster mode"))
    if "DB index is out of range" in text:
        return SettingsError("the Redis of states= has no database of that number; change the end of its URL")
    if isinstance(error, TimeoutError | ConnectionError) and (problem := _tls_problem(error, client)):
        return SettingsError(problem)
    return StoreError(f"Redis could not do its work now ({kind}); is it up, writable, not full?")


def _tls_problem(error: RedisError, client: Any) -> str | None:
    """Return the sentence about a connection that failed because of TLS."""
    place, pool = client.connection_pool.connection_kwargs, client.connection_pool
    uses_tls = issubclass(pool.connection_class, SSLConnection | AsyncSSLConnection)
    cause: BaseException | None = error
    while cause is not None and uses_tls:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of Redis is refused ({cause.verify_message}); give its CA in "
                "states=rediss://...?ssl_ca_certs=/path.pem, and the host name that it was issued for"
            )
        if isinstance(cause, FileNotFoundError):
            return "states= names a file that doesn't exist; check ssl_ca_certs, ssl_certfile and ssl_keyfile"
        cause = cause.__cause__ or cause.__context__
    if "path" in place or not (uses_tls or isinstance(error, ConnectionError)):
        return None
    try:
        with socket.create_connection((place.get("host", "localhost"), place.get("port", 6379)), 1) as probe:
            if uses_tls:  # a server without TLS waits for the end of a line, and says nothing
                probe.sendall(b"PING\r\n")
                is_plain = probe.recv(1) in (b"+", b"-")
                sentence = "states= is rediss://, and that port of Redis has no TLS; use redis:// or the TLS port"
                return sentence if is_plain else None
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent
            context.wrap_socket(probe).close()
            return "states= is redis://, and that port of Redis has TLS; use rediss://"
    except OSError:
        return None


def _record(found: list[Any] | None) -> PendingSignIn | None:
    if not found:
        return None
    texts = [one.decode() if isinstance(one, bytes) else str(one) for one in found]
    since: dict[str, Any] = dict(zip(texts[::2], texts[1::2], strict=True))
    record = json.loads(since["record"])
    record |= {name: float(since[name]) for name in ("claimed_at", "finished_at") if name in since}
    record |= {name: since[name] for name in ("outcome", "user_id") if name in since}
    return PendingSignIn(**record | {"replay": since.get("replay") or None})


def _records(found: list[list[Any]]) -> tuple[PendingSignIn, ...]:
    records = (record for one in found if (record := _record(one)) is not None)
    return tuple(sorted(records, key=lambda record: record.created_at))


def _nothing(_answer: object = None) -> None:
    return None
