"""The public keys of the issuer of the tokens: a JSON Web Key Set (RFC 7517), from a file or by https.

When a fetch fails, the last set stays valid for a day. A token with an unknown `kid` triggers a new fetch, since keys rotate;
at most once every few seconds, since any client can send such a token.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final

import aiohttp
import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from msgspec import Meta

from relay.errors import ConfigurationError, RelayError
from relay.settings.notation import is_url

logger = logging.getLogger(__name__)

ALGORITHMS: Final = frozenset({"RS256", "ES256", "EdDSA"})
"""Of public keys (RFC 7518 section 3.1, RFC 8037). None of them is one of the shared secrets', and no key is of two."""

MAX_SIZE: Final = 64 * 1024
"""Bytes of a key set. Those of the large identity providers have less than 10 KB."""
MAX_KEYS: Final = 64
RSA_BITS: Final = range(2048, 8193)
"""RFC 7518 section 3.3 says at least 2048; a huge modulus would make each token expensive."""

FETCH_TIMEOUT: Final = 5.0
"""Seconds for all of a fetch: a log-in waits for it."""
REFRESH_AFTER: Final = 300.0
"""Seconds until a set is fetched again though nothing asks for a new key: that is how a key that was withdrawn goes."""
RETRY_AFTER: Final = 10.0
"""Seconds between two fetches."""
BELIEVED_FOR: Final = 86_400.0
"""Seconds that a set is used while no new one can be had."""


class UnusableKeys(RelayError):
    """A key set could not be had, or is none. The text names no address."""


class _KeySet(msgspec.Struct, frozen=True):
    keys: Annotated[list[dict[str, Any]], Meta(max_length=MAX_KEYS)]


def parse_key_set(body: bytes) -> tuple[jwt.PyJWK, ...]:
    """The keys of a JWK Set that tokens can be verified with; others, which RFC 7517 section 5 says to ignore, are left out.

    Raises:
        UnusableKeys: it is no such set, or no key of it is usable.
    """
    if len(body) > MAX_SIZE:
        raise UnusableKeys(f"the key set has more than {MAX_SIZE} bytes")
    try:
        given = msgspec.json.decode(body, type=_KeySet).keys
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise UnusableKeys('not a JSON Web Key Set: {"keys": […]}') from None
    keys = tuple(key for one in given if (key := _usable(one)) is not None)
    if not keys:
        raise UnusableKeys(f"the key set has no public key for {', '.join(sorted(ALGORITHMS))}")
    return keys


def _usable(given: dict[str, Any]) -> jwt.PyJWK | None:
    if not _is_for_tokens(given):
        return None
    try:
        key = jwt.PyJWK(given)
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    strong = not isinstance(key.key, RSAPublicKey) or key.key.key_size in RSA_BITS
    return key if strong and key.algorithm_name in ALGORITHMS else None


def _is_for_tokens(given: dict[str, Any]) -> bool:
    # A set is public, so a symmetric or private key in it is compromised.
    public = given.get("kty") in ("RSA", "EC", "OKP") and "d" not in given
    operations = given.get("key_ops", ["verify"])
    verifies = given.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    algorithm = given.get("alg", "ES256")  # optional: else the kind of key says it
    ours = isinstance(algorithm, str) and algorithm in ALGORITHMS
    return public and verifies and ours and isinstance(given.get("kid", ""), str)


class Keys:
    """The key set, as new as need be.

    Args:
        fetch: gets the set's bytes; raises `UnusableKeys`.
        clock: seconds, from any point on.

    Attributes:
        fetches: how many there were, by outcome: `good` and `failed`.
    """

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: tuple[jwt.PyJWK, ...] = ()
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self.fetches: Counter[str] = Counter()

    async def load(self) -> None:
        """Fetch the set.

        Raises:
            UnusableKeys: that did not work; the one that was there stays, and it is tried again when a token asks for a key.
        """
        self._tried_at = self._clock()
        try:
            self._keys = parse_key_set(await self._fetch())
        except UnusableKeys:
            self.fetches["failed"] += 1
            raise
        self.fetches["good"] += 1
        self._fetched_at = self._clock()

    async def find(self, algorithm: str, key_id: str | None) -> jwt.PyJWK | None:
        """The key for a token.

        Args:
            algorithm: the token's `alg`, one of `ALGORITHMS`.
            key_id: its `kid`. Without one, the only key for the algorithm is meant.
        """
        key = self._known(algorithm, key_id)
        if key is None or self._clock() - self._fetched_at > REFRESH_AFTER:
            self._refresh()
        # Wait for the new set only if the present one lacks the key.
        if key is None and self._fetching is not None:
            await asyncio.shield(self._fetching)
            key = self._known(algorithm, key_id)
        return key

    def _known(self, algorithm: str, key_id: str | None) -> jwt.PyJWK | None:
        if self._clock() - self._fetched_at > BELIEVED_FOR:
            return None
        fitting = [key for key in self._keys if key.algorithm_name == algorithm]
        named = [key for key in fitting if key.key_id == key_id] if key_id is not None else []
        # RFC 7517 section 4.5: `kid` is optional, in a key too.
        candidates = named or [key for key in fitting if key_id is None or key.key_id is None]
        return candidates[0] if len(candidates) == 1 else None

    def _refresh(self) -> None:
        if self._fetching is None and self._clock() - self._tried_at >= RETRY_AFTER:
            self._fetching = asyncio.get_running_loop().create_task(self._load_again())

    def reload(self) -> None:
        """Fetch the set now, however new the one that is there is. How that went is in the log."""
        self._fetching = asyncio.get_running_loop().create_task(self._reload(self._fetching))

    async def _load_again(self) -> None:
        try:
            await self.load()
        except UnusableKeys as error:
            logger.warning("the keys of the tokens could not be fetched: %s", error)
        finally:
            self._forget_fetching()

    async def _reload(self, under_way: asyncio.Task[None] | None) -> None:
        if under_way is not None:  # it may have read what was there before
            await asyncio.gather(under_way, return_exceptions=True)
        try:
            await self.load()
        except UnusableKeys as error:
            logger.error("the keys of the tokens could not be loaded again, the old ones stay: %s", error)
        else:
            logger.info("the keys of the tokens have been loaded again, %d of them usable", len(self._keys))
        finally:
            self._forget_fetching()

    def _forget_fetching(self) -> None:
        if self._fetching is asyncio.current_task():
            self._fetching = None

    async def close(self) -> None:
        """Nothing is fetched any more."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)


def file_fetch(path: Path) -> Callable[[], Awaitable[bytes]]:
    """Reads the set from a file, anew each time."""

    def read() -> bytes:
        try:
            with path.open("rb") as file:
                return file.read(MAX_SIZE + 1)
        except OSError as error:
            raise UnusableKeys(f"the file cannot be read: {error.strerror}") from None

    return lambda: asyncio.to_thread(read)


def url_fetch(url: str, patience: float = FETCH_TIMEOUT) -> Callable[[], Awaitable[bytes]]:
    """Gets the set by http: not from elsewhere than asked, not without end, not for ever.

    Args:
        url: where it is.
        patience: seconds for all of it.
    """

    async def fetch() -> bytes:
        # Not compressed: a small answer could be a large one.
        headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=patience), auto_decompress=False) as http,
                http.get(url, headers=headers, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise UnusableKeys(f"the server answered with status {response.status}")
                return await _body(response)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise UnusableKeys(type(error).__name__) from None  # its text has addresses

    return fetch


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_SIZE:
            break
    return bytes(body)


def fetch_from(source: str) -> Callable[[], Awaitable[bytes]]:
    """Gets the set from a path or a URL; see `relay.settings.notation.check_key_source`."""
    return url_fetch(source) if is_url(source) else file_fetch(Path(source))


async def load_at_start(keys: Keys, source: str) -> None:
    """Load the set as the server starts. A missing file stops the start; an issuer's server that is down does not.

    Raises:
        ConfigurationError: the file is missing, or has no usable key.
    """
    try:
        await keys.load()
    except UnusableKeys as error:
        if not is_url(source):
            raise ConfigurationError(f"RELAY_JWKS: {error}") from None
        logger.warning("the keys of the tokens could not be fetched: %s; it is tried again when a token comes", error)
