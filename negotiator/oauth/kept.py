"""Tokens and registrations that outlive a process: rows of the state, which is this user's alone (0700, files 0600)."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from pydantic import ValidationError

from negotiator.adapters import adapter
from negotiator.oauth.messages import Client, Token
from negotiator.oauth.metadata import covers, origin
from protocol_docs.text_store import TextStore

MAX_HELD: Final = 16
"""Tokens for one origin."""
_TOKENS: Final = "oauth/tokens/"
_CLIENTS: Final = "oauth/clients/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A token, and what it is for."""

    resource: str
    """What it was made for: it is shown to no address that this does not cover."""
    issuer: str
    client: str
    """The client's name at the issuer."""
    asked: tuple[str, ...] = ()
    """Scopes that were asked for, so far."""
    token: Token
    legacy: bool = False
    """Whether the server told nothing of itself, so that its token was asked for without naming it."""
    token_url: str | None = None
    """Where it is renewed, where that is not to be read from the issuer's own metadata by its name."""


@dataclass(frozen=True, slots=True)
class _Rows:
    held: tuple[Held, ...] = field(default=(), repr=False)


class Kept:
    """What one agent holds."""

    def __init__(self, store: TextStore) -> None:
        """Keep it in `store`."""
        self._store = store

    def find(self, url: str) -> Held | None:
        """The token to show to `url`, whatever became of it since: that of the closest resource."""
        found = [held for held in self._rows(url) if covers(held.resource, url)]
        return max(found, key=lambda held: len(held.resource), default=None)

    def put(self, held: Held) -> None:
        """Keep a token, in place of the one that was kept for that resource."""
        others = [each for each in self._rows(held.resource) if each.resource != held.resource]
        self._write(held.resource, (*others, held))

    def drop(self, held: Held) -> None:
        """Keep it no more."""
        self._write(held.resource, tuple(each for each in self._rows(held.resource) if each.resource != held.resource))

    def client(self, issuer: str, redirect_uri: str) -> Client | None:
        """The client that was registered at an issuer for that redirect."""
        try:
            return adapter(Client).validate_json(self._store.get(_client_key(issuer, redirect_uri)) or "")
        except ValidationError:
            return None

    def put_client(self, issuer: str, redirect_uri: str, client: Client) -> None:
        """Keep it."""
        self._store.put(_client_key(issuer, redirect_uri), adapter(Client).dump_json(client).decode())

    def drop_client(self, issuer: str, redirect_uri: str) -> None:
        """Keep it no more: the issuer knows it no longer."""
        self._store.delete(_client_key(issuer, redirect_uri))

    def _rows(self, url: str) -> tuple[Held, ...]:
        try:
            return adapter(_Rows).validate_json(self._store.get(_token_key(url)) or "").held
        except ValidationError:
            return ()

    def _write(self, url: str, held: tuple[Held, ...]) -> None:
        self._store.put(_token_key(url), adapter(_Rows).dump_json(_Rows(held[-MAX_HELD:])).decode())


def _token_key(url: str) -> str:
    return _TOKENS + sha256(origin(url).encode()).hexdigest()


def _client_key(issuer: str, redirect_uri: str) -> str:
    return _CLIENTS + sha256(f"{issuer} {redirect_uri}".encode()).hexdigest()
