"""The open attempts in Redis: each method is one script, so that it is one step for every process and machine.

Every key lies under `PREFIX` and expires. What Redis loses is a sign-in that
has to be started again: a state is good only on the server process that took it in, since one that was restarted from a
snapshot, or a replica that took over, may have missed that it was claimed.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar, cast

import anyio
import anyio.to_thread
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError
from redis.retry import Retry

from ..errors import SettingsError, StoreError
from ..runtime.loops import worker_threads
from ..values import Intent, PendingSignIn
from . import OUTCOME_TTL, REPLAY, StateStore

__all__ = ["open_redis"]

T = TypeVar("T")

BUSY_SECONDS = 5
"""How long Redis is waited for before the person is told to try again."""

PREFIX = "{configure_auth}:"
"""Of every key; in braces, so that what shards by keys keeps together those that one script touches."""

# What several scripts use. `server`: the process that answers; each start of Redis gives itself another. `extend`: a
# list of attempts lives as long as the last of them. `user_key`: of one length, whatever an id is, and without it.
_SHARED = """
local function server()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or error('INFO gives no run_id')
end
local function extend(key, seconds)
  if redis.call('TTL', key) < tonumber(seconds) then redis.call('EXPIRE', key, seconds) end
end
local function user_key(prefix, agent, user_id)
  return prefix .. 'user:' .. redis.sha1hex(agent .. '\\0' .. user_id)
end
local function index(prefix, agent, user_id, state_hash, seconds)
  local user, now = user_key(prefix, agent, user_id), tonumber(redis.call('TIME')[1])
  redis.call('ZREMRANGEBYSCORE', user, '-inf', now)
  redis.call('ZADD', user, now + seconds, state_hash)
  extend(user, seconds)
end
local function replays(prefix, agent, browser_hash)
  return prefix .. 'replays:' .. agent .. ':' .. browser_hash
end
local function mine(record)
  return record.browser_hash == ARGV[2] and record.intent == ARGV[3] and record.agent == ARGV[4]
end
local function forget(prefix, state_hash)
  redis.call('DEL', prefix .. 'state:' .. state_hash, prefix .. 'replay:' .. state_hash)
end
"""

# KEYS: the prefix. ARGV: state_hash, browser_hash, agent, record, created_at, seconds to keep, limit, user_id or ''.
_PUT = """
local prefix, state_hash, seconds = KEYS[1], ARGV[1], tonumber(ARGV[6])
local browser = prefix .. 'browser:' .. ARGV[3] .. ':' .. ARGV[2]
local open = {}
for _, other in ipairs(redis.call('ZREVRANGE', browser, 0, -1)) do
  local claimed = redis.call('HMGET', prefix .. 'state:' .. other, 'record', 'claimed_at')
  if claimed[1] and not claimed[2] then
    table.insert(open, other)
  else
    redis.call('ZREM', browser, other)
  end
end
for place = tonumber(ARGV[7]), #open do
  forget(prefix, open[place])
  redis.call('ZREM', browser, open[place])
end
redis.call('HSET', prefix .. 'state:' .. state_hash, 'record', ARGV[4], 'server', server())
redis.call('EXPIRE', prefix .. 'state:' .. state_hash, seconds)
redis.call('ZADD', browser, ARGV[5], state_hash)
extend(browser, seconds)
if ARGV[8] ~= '' then index(prefix, ARGV[3], ARGV[8], state_hash, seconds) end
"""

# KEYS: the prefix. ARGV: state_hash, browser_hash, intent, agent, now, who claims.
_CLAIM = """
local key = KEYS[1] .. 'state:' .. ARGV[1]
local found = redis.call('HMGET', key, 'record', 'server', 'claimed_at', 'claimed_by')
if not found[1] or found[2] ~= server() then return false end
local record = cjson.decode(found[1])
if not mine(record) then return false end
if found[3] then
  return found[4] == ARGV[6] and {found[1], 'claimed_at', found[3]}
end
if record.expires_at <= tonumber(ARGV[5]) then return false end
redis.call('HSET', key, 'claimed_at', ARGV[5], 'claimed_by', ARGV[6])
return {found[1], 'claimed_at', ARGV[5]}
"""

# KEYS: the prefix. ARGV: state_hash, browser_hash, intent, agent, by when it must not have ended.
_READ = """
local key = KEYS[1] .. 'state:' .. ARGV[1]
local found = redis.call('HMGET', key, 'record', 'claimed_at', 'finished_at', 'outcome', 'user_id')
if not found[1] then return false end
local record = cjson.decode(found[1])
if not mine(record) or record.expires_at <= tonumber(ARGV[5]) then return false end
local said = {found[1]}
for place, name in ipairs({'claimed_at', 'finished_at', 'outcome', 'user_id'}) do
  if found[place + 1] then
    table.insert(said, name)
    table.insert(said, found[place + 1])
  end
end
local replay = redis.call('GET', KEYS[1] .. 'replay:' .. ARGV[1])
if replay then
  table.insert(said, 'replay')
  table.insert(said, replay)
end
return said
"""

# KEYS: the prefix. ARGV: state_hash, outcome, now, replay or '', seconds to keep that, user_id or ''.
_FINISH = """
local key = KEYS[1] .. 'state:' .. ARGV[1]
if redis.call('HEXISTS', key, 'claimed_at') == 0 then return end
local record = cjson.decode(redis.call('HGET', key, 'record'))
redis.call('HSET', key, 'outcome', ARGV[2], 'finished_at', ARGV[3])
if ARGV[4] ~= '' then
  local others = replays(KEYS[1], record.agent, record.browser_hash)
  redis.call('SET', KEYS[1] .. 'replay:' .. ARGV[1], ARGV[4], 'EX', ARGV[5])
  redis.call('SADD', others, ARGV[1])
  redis.call('EXPIRE', others, ARGV[5])
end
if ARGV[6] ~= '' then
  redis.call('HSET', key, 'user_id', ARGV[6])
  index(KEYS[1], record.agent, ARGV[6], ARGV[1], math.max(redis.call('TTL', key), 1))
end
"""

# KEYS: the prefix. ARGV: agent, user_id.
_FORGET_USER = """
local user = user_key(KEYS[1], ARGV[1], ARGV[2])
for _, state_hash in ipairs(redis.call('ZRANGE', user, 0, -1)) do
  forget(KEYS[1], state_hash)
end
redis.call('DEL', user)
"""

# KEYS: the prefix. ARGV: agent, browser_hash.
_FORGET_REPLAYS = """
local ended = replays(KEYS[1], ARGV[1], ARGV[2])
for _, state_hash in ipairs(redis.call('SMEMBERS', ended)) do
  redis.call('DEL', KEYS[1] .. 'replay:' .. state_hash)
end
redis.call('DEL', ended)
"""

_NOTHING = "return 0"

_SCRIPTS = (_PUT, _CLAIM, _READ, _FINISH, _FORGET_USER, _FORGET_REPLAYS, _NOTHING)


@dataclass(frozen=True, slots=True)
class _Step(Generic[T]):
    """A script with what it is given, and how its answer is read."""

    script: str
    arguments: tuple[str | int, ...]
    read: Callable[[Any], T]


class RedisStates:
    """A `StateStore`. Where `perform` is awaited, so are its methods."""

    def __init__(self, perform: Callable[[_Step[Any]], Any]) -> None:
        self._perform = perform

    def put(self, record: PendingSignIn, *, limit: int, now: float) -> None:
        seconds = max(1, math.ceil(record.expires_at + OUTCOME_TTL - now))
        mine = (record.state_hash, record.browser_hash, record.agent)
        given = (*mine, json.dumps(asdict(record)), repr(record.created_at), seconds, limit, record.user_id or "")
        return self._does(_PUT, given, _nothing)

    def claim(
        self, state_hash: str, *, browser_hash: str, intent: Intent, agent: str, now: float
    ) -> PendingSignIn | None:
        # The claimer has a name, so that a command that redis-py sends again finds what it did the first time.
        given = (state_hash, browser_hash, intent, agent, repr(now), secrets.token_hex(8))
        return self._does(_CLAIM, given, _record)

    def read(
        self, state_hash: str, *, browser_hash: str, intent: Intent, agent: str, now: float
    ) -> PendingSignIn | None:
        return self._does(_READ, (state_hash, browser_hash, intent, agent, repr(now - OUTCOME_TTL)), _record)

    def finish(self, state_hash: str, *, outcome: str, replay: str | None, user_id: str | None, now: float) -> None:
        return self._does(
            _FINISH, (state_hash, outcome, repr(now), replay or "", math.ceil(REPLAY), user_id or ""), _nothing
        )

    def forget(self, agent: str, user_id: str) -> None:
        return self._does(_FORGET_USER, (agent, user_id), _nothing)

    def forget_replays(self, agent: str, browser_hash: str) -> None:
        return self._does(_FORGET_REPLAYS, (agent, browser_hash), _nothing)

    def purge(self, *, now: float) -> int:
        """Nothing: what has ended expires by itself."""
        return self._does(_NOTHING, (), int)

    def _does(self, script: str, given: tuple[str | int, ...], read: Callable[[Any], T]) -> T:
        return cast(T, self._perform(_Step(script, given, read)))


def open_redis(source: object, *, awaited: bool) -> tuple[StateStore, Callable[[], object]]:
    """The attempts in one Redis, and what closes it.

    Args:
        source: a URL (redis://, rediss://, unix://), or a client, which stays the app's to close. A blocking one works
            in threads on an event loop; an asynchronous one belongs to the loop that the app made it for.
        awaited: whether the app runs on an event loop.

    Raises:
        SettingsError: it is neither, or an asynchronous client in a blocking app.
    """
    if isinstance(source, AsyncRedis):
        if not awaited:
            raise SettingsError("states= is an asynchronous client, which can't be waited for here; give its URL")
        return RedisStates(_Awaited(source)), _nothing
    if not isinstance(source, str | Redis):
        raise SettingsError(f"states={type(source).__name__} is no store for states; use redis://...")
    client = _client(source) if isinstance(source, str) else source
    blocking = _Blocking(client)
    states = RedisStates(_Threaded(blocking) if awaited else blocking)
    return states, client.close if isinstance(source, str) else _nothing


def _client(url: str) -> Redis:
    try:
        client = Redis.from_url(
            url,
            socket_timeout=BUSY_SECONDS,
            socket_connect_timeout=BUSY_SECONDS,
            # Once more on a new connection, where a kept one had been closed; each script may run twice.
            retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
            retry_on_error=[ConnectionError],  # redis-py 5 raises at once without it
        )
        # Opens nothing; an option of the URL that there isn't is noticed now and not at the first sign-in.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
        return client
    except (ValueError, TypeError):
        raise SettingsError("states= is no URL of a Redis; it looks like redis://localhost:6379/0") from None


class _Blocking:
    def __init__(self, client: Redis) -> None:
        self._scripts = _registered(client)

    def __call__(self, step: _Step[T]) -> T:
        try:
            answer = self._scripts[step.script](keys=[PREFIX], args=step.arguments)
        except RedisError as error:
            raise _store_error(error) from None
        return step.read(answer)


class _Threaded:
    def __init__(self, blocking: _Blocking) -> None:
        self._blocking = blocking
        self._threads = worker_threads()

    async def __call__(self, step: _Step[T]) -> T:
        return await anyio.to_thread.run_sync(self._blocking, step, limiter=await self._threads.get())


class _Awaited:
    def __init__(self, client: AsyncRedis) -> None:
        self._scripts = _registered(client)

    async def __call__(self, step: _Step[T]) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise SettingsError(
                "redis.asyncio runs on asyncio only; under trio give the URL, which works in threads"
            ) from None
        # Shielded: a claim whose answer nobody waits for any more would be nobody's.
        with anyio.CancelScope(shield=True):
            try:
                answer = await self._scripts[step.script](keys=[PREFIX], args=step.arguments)
            except RedisError as error:
                raise _store_error(error) from None
            except RuntimeError as error:
                # asyncio's own, where the client has connections of a loop that has ended.
                raise StoreError(f"the redis.asyncio client belongs to another event loop ({error})") from error
        return step.read(answer)


def _registered(client: Any) -> dict[str, Any]:
    return {script: client.register_script(_SHARED + script) for script in _SCRIPTS}


def _store_error(error: RedisError) -> StoreError:
    # Redis's own text may quote an argument; the class says enough.
    return StoreError(f"Redis could not do its work now ({type(error).__name__}); is it up, writable, not full?")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _record(answer: list[Any] | None) -> PendingSignIn | None:
    if not answer:
        return None
    record, *said = map(_text, answer)
    since: dict[str, Any] = dict(zip(said[::2], said[1::2], strict=True))
    since |= {name: float(since[name]) for name in ("claimed_at", "finished_at") if name in since}
    return PendingSignIn(**{**json.loads(record), **since})


def _nothing(_answer: object = None) -> None:
    return None
