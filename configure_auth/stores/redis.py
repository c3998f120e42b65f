"""The open attempts in Redis: each method is one call of a script, so that it is one step for every machine.

Every key lies under `PREFIX` and expires. What Redis loses is a sign-in that has to be started again: a state is good
only on the server process that took it in, since one that was restarted from a snapshot, or a replica that took over,
may have missed that it was claimed.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import secrets
import socket
import ssl
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from redis import Redis, exceptions
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio import SSLConnection as AsyncSSLConnection
from redis.backoff import NoBackoff
from redis.connection import SSLConnection
from redis.retry import Retry

from ..errors import SettingsError, StoreError
from ..runtime.loops import worker_threads
from ..values import PendingSignIn
from . import OUTCOME_TTL, REDIS_SCHEMES, REPLAY, StateStore
from .databases import BUSY_SECONDS

T = TypeVar("T")
Names = Callable[[str], tuple[str, ...]]

PREFIX = "{configure_auth}:"  # of every key; in braces, so that what shards by keys keeps them together

_SINGLE = (
    "{}, and Sentinel and Cluster can't be used; give the redis:// address of one server or of a proxy that follows "
    "the primary, or remove states= to keep the attempts in store="
)

_SCRIPT = """
local prefix, verbs, given = KEYS[1], {}, cjson.decode(ARGV[2])
-- The process that answers; each start of Redis gives itself another.
local function server()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or error('INFO gives no run_id')
end
local function state_key(state_hash) return prefix .. 'state:' .. state_hash end
local function replay_key(state_hash) return prefix .. 'replay:' .. state_hash end
local function browser_key(agent, browser_hash) return prefix .. 'browser:' .. agent .. ':' .. browser_hash end
-- Of one length, whatever an id is, and without it; by the keyed hash that the app gives, since ids can be tried.
local function user_key(agent, user_id, name)
  return prefix .. 'user:' .. (name ~= '' and agent .. ':' .. name or redis.sha1hex(agent .. '\\0' .. user_id))
end
-- A list of attempts lives as long as the last of them.
local function add(list, score, state_hash, seconds)
  redis.call('ZADD', list, score, state_hash)
  if redis.call('TTL', list) < seconds then redis.call('EXPIRE', list, seconds) end
end
local function add_to_user(agent, user_id, state_hash, seconds)
  local list, now = user_key(agent, user_id, given.names[1]), tonumber(redis.call('TIME')[1])
  redis.call('ZREMRANGEBYSCORE', list, '-inf', now)
  add(list, now + seconds, state_hash, seconds)
end
local function members(list) return ipairs(redis.call('ZRANGE', list, 0, -1)) end
local function delete(state_hash) redis.call('DEL', state_key(state_hash), replay_key(state_hash)) end
-- Whether there is such an attempt.
local function matches(ends_after)
  local found = redis.call('HGET', state_key(given.state_hash), 'record')
  local record = found and cjson.decode(found)
  return record and record.browser_hash == given.browser_hash and record.intent == given.intent
    and record.agent == given.agent and record.expires_at > ends_after
end
function verbs.put()
  local record, open = cjson.decode(given.record), 0
  local list, key = browser_key(record.agent, record.browser_hash), state_key(record.state_hash)
  for _, other in ipairs(redis.call('ZREVRANGE', list, 0, -1)) do
    local kept, claimed = unpack(redis.call('HMGET', state_key(other), 'record', 'claimed_at'))
    if kept and not claimed then open = open + 1 end
    local is_surplus = kept and not claimed and open >= given.limit
    if is_surplus then delete(other) end
    if is_surplus or not kept then redis.call('ZREM', list, other) end
  end
  local seconds = math.max(1, math.ceil(record.expires_at + given.outcome_ttl - given.now))
  redis.call('HSET', key, 'record', given.record, 'server', server())
  redis.call('EXPIRE', key, seconds)
  add(list, record.created_at, record.state_hash, seconds)
  if given.user_id then add_to_user(record.agent, given.user_id, record.state_hash, seconds) end
end
function verbs.claim()
  local key = state_key(given.state_hash)
  if not matches(given.now) or redis.call('HGET', key, 'server') ~= server() then return false end
  local is_first = redis.call('HSETNX', key, 'claimed_by', given.claimer) == 1
  if is_first then redis.call('HSET', key, 'claimed_at', given.now) end
  return redis.call('HGET', key, 'claimed_by') == given.claimer and redis.call('HGETALL', key)
end
function verbs.read()
  if not matches(given.now - given.outcome_ttl) then return false end
  local found = redis.call('HGETALL', state_key(given.state_hash))
  table.insert(found, 'replay')
  table.insert(found, redis.call('GET', replay_key(given.state_hash)) or '')
  return found
end
function verbs.finish()
  local key = state_key(given.state_hash)
  if redis.call('HEXISTS', key, 'claimed_at') == 0 then return end
  redis.call('HSET', key, 'outcome', given.outcome, 'finished_at', given.now)
  if given.replay then redis.call('SET', replay_key(given.state_hash), given.replay, 'EX', given.replay_ttl) end
  if given.user_id then
    redis.call('HSET', key, 'user_id', given.user_id)
    local agent = cjson.decode(redis.call('HGET', key, 'record')).agent
    add_to_user(agent, given.user_id, given.state_hash, math.max(redis.call('TTL', key), 1))
  end
end
function verbs.forget()
  for _, name in ipairs(given.names) do
    local list = user_key(given.agent, given.user_id, name)
    for _, state_hash in members(list) do delete(state_hash) end
    redis.call('DEL', list)
  end
end
function verbs.of_user()
  local found = {}
  for _, name in ipairs(given.names) do
    for _, state_hash in members(user_key(given.agent, given.user_id, name)) do
      table.insert(found, redis.call('HGETALL', state_key(state_hash)))
    end
  end
  return found
end
function verbs.forget_replays()
  for _, state_hash in members(browser_key(given.agent, given.browser_hash)) do
    redis.call('DEL', replay_key(state_hash))
  end
end
function verbs.purge() return 0 end  -- what has ended expires by itself
return verbs[ARGV[1]]()
"""


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


def _nothing(_answer: object = None) -> None: ...


def _verb(method: Callable[..., Any], read: Callable[[Any], Any]) -> Any:
    """Make the method of the Protocol that is the script's function of that name, with the same arguments."""
    names = [*inspect.signature(method).parameters][1:]

    def perform(self: RedisStates, /, *args: Any, **kwargs: Any) -> Any:
        given = dict(zip(names, args, strict=False)) | kwargs
        if "record" in given:
            given |= {"record": json.dumps(asdict(given["record"])), "user_id": given["record"].user_id}
        if given.get("user_id") is not None:
            given["names"] = self._names(given["user_id"])
        # The claimer has a name, so that a command that redis-py sends again finds what it did the first time.
        given |= {"claimer": secrets.token_hex(8), "outcome_ttl": OUTCOME_TTL, "replay_ttl": int(REPLAY)}
        known = json.dumps({name: value for name, value in given.items() if value is not None})
        return self._perform(partial(self._script, keys=[PREFIX], args=[method.__name__, known]), read)

    return perform


class RedisStates:
    """A `StateStore`. Where `perform` is awaited, so are its methods.

    `names` gives the keyed hashes of a user id, by each key that may have been the first one.
    """

    def __init__(self, client: Any, perform: Callable[..., Any], names: Names | None = None) -> None:
        self._script = client.register_script(_SCRIPT)
        self._perform = perform
        self._names = names or (lambda user_id: ("",))

    put: Any = _verb(StateStore.put, _nothing)
    claim: Any = _verb(StateStore.claim, _record)
    read: Any = _verb(StateStore.read, _record)
    finish: Any = _verb(StateStore.finish, _nothing)
    forget: Any = _verb(StateStore.forget, _nothing)
    of_user: Any = _verb(StateStore.of_user, _records)
    forget_replays: Any = _verb(StateStore.forget_replays, _nothing)
    purge: Any = _verb(StateStore.purge, int)


def open_redis(source: object, *, awaited: bool, names: Names | None = None) -> tuple[StateStore, Callable[[], object]]:
    """Return the attempts in one Redis, and what closes it.

    Args:
        source: a URL (redis://, rediss://, unix://, valkey://), or a client, which stays the app's to close. A
            blocking one works in threads on an event loop; an asynchronous one belongs to the loop it was made for.

    Raises:
        SettingsError: it is neither, or an asynchronous client in a blocking app.
    """
    if isinstance(source, AsyncRedis):
        if not awaited:
            raise SettingsError("states= is an asynchronous client, which can't be waited for here; give its URL")
        return RedisStates(source, partial(_awaited, source), names), _nothing
    client = source if isinstance(source, Redis) else _client(source)
    blocking = partial(_blocking, client)
    states = RedisStates(client, partial(_in_thread, worker_threads(), blocking) if awaited else blocking, names)
    return states, _nothing if client is source else client.close


def _client(source: object) -> Redis:
    scheme, is_url, _ = source.partition("://") if isinstance(source, str) else (type(source).__name__, "", "")
    if not isinstance(source, str) or scheme not in REDIS_SCHEMES:
        named = f"{scheme!a}:..." if is_url else "" if isinstance(source, str) else scheme  # it may be a password
        problem = f"states={named} is no store for states"
        clustered = re.search("sentinel|cluster", named, re.IGNORECASE)
        raise SettingsError(_SINGLE.format(problem) if clustered else f"{problem}; use redis://...")
    # Before version 6 redis-py takes a certificate for any host unless it is told. What the URL says goes first.
    names_host = scheme in ("rediss", "valkeys") and "ssl_cert_reqs=none" not in source.rpartition("?")[2]
    try:
        client = Redis.from_url(
            re.sub("^valkey", "redis", source),
            **({"ssl_check_hostname": True} if names_host else {}),
            socket_timeout=BUSY_SECONDS,
            socket_connect_timeout=BUSY_SECONDS,
            # Once more on a new connection, where a kept one had been closed; a call may be made twice.
            retry=Retry(NoBackoff(), 1, supported_errors=(exceptions.ConnectionError,)),
            retry_on_error=[exceptions.ConnectionError],  # redis-py 5 raises at once without it
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
    except exceptions.RedisError as error:
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
        except exceptions.RedisError as error:
            raise _store_error(error, client) from None
        except RuntimeError as error:
            # asyncio's own, where the client has connections of a loop that has ended.
            raise StoreError(f"the redis.asyncio client belongs to another event loop ({error})") from error
    return read(answer)


def _store_error(error: exceptions.RedisError, client: Any) -> StoreError | SettingsError:
    # Redis's own text may quote an argument; the class says enough.
    text, kind = str(error), type(error).__name__
    if isinstance(error, exceptions.AuthenticationError):
        return SettingsError("Redis refused the user or password of states=; set CONFIGURE_STATES to the right ones")
    if re.search("can't run this command|ACL failure in script", text) or kind == "NoPermissionError":
        return SettingsError(
            f"the Redis user of states= lacks a permission; allow it INFO, EVALSHA, SCRIPT and all keys of {PREFIX}*: "
            "ACL SETUSER name ~{configure_auth}:* +@all -@dangerous +info"
        )
    if isinstance(error, exceptions.ClusterError | exceptions.MovedError):
        return SettingsError(_SINGLE.format("the Redis of states= is in cluster mode"))
    if "DB index is out of range" in text:
        return SettingsError("the Redis of states= has no database of that number; change the end of its URL")
    is_unreachable = isinstance(error, exceptions.TimeoutError | exceptions.ConnectionError)
    if is_unreachable and (problem := _tls_problem(error, client)):
        return SettingsError(problem)
    return StoreError(f"Redis could not do its work now ({kind}); is it up, writable, not full?")


def _tls_problem(error: exceptions.RedisError, client: Any) -> str | None:
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
    if "path" in place or not (uses_tls or isinstance(error, exceptions.ConnectionError)):
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
