"""An authorization server for tests: it checks what a client sends as a real one would, and signs what it gives."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import pytest

from negotiator.clock import Clock
from negotiator.testing import VirtualClock
from protocol_docs.errors import SourceUnreachable
from protocol_docs.fetch import Answer

jwt: Any = pytest.importorskip("jwt", reason="needs the extra oauth")
ec: Any = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec", reason="needs the extra oauth")
serialization: Any = pytest.importorskip("cryptography.hazmat.primitives.serialization", reason="needs the extra oauth")


@dataclass
class Key:
    """A key of an issuer's."""

    name: str
    private: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def jwk(self) -> dict[str, Any]:
        return {
            **json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.private.public_key())),
            "kid": self.name,
            "use": "sig",
            "alg": "ES256",
        }

    @property
    def pem(self) -> str:
        form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.private.private_bytes(serialization.Encoding.PEM, form, plain).decode()


@dataclass
class Issuer:
    """One authorization server; what its metadata say can be changed."""

    url: str = "https://login.example"
    clock: Clock = field(default_factory=VirtualClock)
    metadata: dict[str, Any] = field(default_factory=dict)
    life: int | None = 3600
    says_issuer: str | None = None
    """What `iss` is in its redirects; its own name where None."""

    def __post_init__(self) -> None:
        self.keys = [Key("one")]
        self.clients: dict[str, str | None] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.refreshes: dict[str, dict[str, str]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        """(method, path, form or registration) of each request, in their order."""
        self.others: dict[str, Any] = {}
        """What else is to be read: JSON by its address."""
        self._number = count(1)

    def says(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "introspection_endpoint": f"{self.url}/introspect",
            "jwks_uri": f"{self.url}/jwks",
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "private_key_jwt"],
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }

    def token(self, audience: Any, subject: str = "alice", key: Key | None = None, **claims: Any) -> str:
        """A token of this issuer's; `claims` of None are left out."""
        key = key or self.keys[0]
        now = int(self.clock.time())
        said = {"iss": self.url, "sub": subject, "aud": audience, "iat": now, "exp": now + 600, **claims}
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, key.private, algorithm="ES256", headers={"kid": key.name, "typ": "at+jwt"})

    async def exchange(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """An `Exchange` that reaches it, and what else is to be read, alone."""
        if method == "GET" and url in self.others:
            return _json(200, self.others[url])
        if not url.startswith(self.url + "/"):
            if any(known.startswith(_host(url)) for known in self.others):
                return Answer(status=404)
            raise SourceUnreachable(f"{url} is not there")
        return self.answer(method, url.removeprefix(self.url), dict(headers or {}), body)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        path = path.partition("?")[0]
        if path == "/register":
            said = json.loads(body)
            self.asked.append((method, path, said))
            name = f"client-{next(self._number)}"
            self.clients[name] = None
            return _json(201, {"client_id": name, "token_endpoint_auth_method": "none"})
        form = dict(parse_qsl(body.decode()))
        self.asked.append((method, path, form))
        match (method, path):
            case ("GET", "/.well-known/oauth-authorization-server"):
                return _json(200, self.says())
            case ("GET", "/jwks"):
                return _json(200, {"keys": [key.jwk for key in self.keys]})
            case ("POST", "/token"):
                return self._token(form, headers)
            case ("POST", "/introspect"):
                return self._introspected(form, headers)
        return Answer(status=404)

    async def says_yes(self, url: str) -> str:
        """A person who is asked and says yes: an `Authorize`."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert url.startswith(f"{self.url}/authorize?")
        assert asked["client_id"] in self.clients or asked["client_id"].startswith("https://")
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{next(self._number)}"
        self.codes[code] = asked
        self.asked.append(("GET", "/authorize", asked))
        back = {"code": code, "state": asked["state"], "iss": self.says_issuer or self.url}
        if not self.says()["authorization_response_iss_parameter_supported"]:
            del back["iss"]
        redirect = asked["redirect_uri"]
        return f"{redirect}{'&' if '?' in redirect else '?'}{urlencode(back)}"

    def paths(self, *, but: str = "/.well-known") -> list[str]:
        """The paths that were asked, in their order."""
        return [path for _, path, _ in self.asked if not path.startswith(but)]

    def _token(self, form: dict[str, str], headers: dict[str, str]) -> Answer:
        client = self._client(form, headers)
        if client is None:
            return _json(401, {"error": "invalid_client"})
        match form["grant_type"]:
            case "authorization_code":
                asked = self.codes.pop(form["code"], None)
                verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
                proved = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
                if asked is None or asked["code_challenge"] != proved or asked["redirect_uri"] != form["redirect_uri"]:
                    return _json(400, {"error": "invalid_grant"})
                given = {"client": client, "scope": asked.get("scope", ""), "resource": form.get("resource", "")}
            case "refresh_token":
                known = self.refreshes.pop(form["refresh_token"], None)
                if known is None or known["client"] != client:
                    return _json(400, {"error": "invalid_grant"})
                given = known
            case _:
                given = {"client": client, "scope": form.get("scope", ""), "resource": form.get("resource", "")}
        refresh = f"refresh-{next(self._number)}"
        self.refreshes[refresh] = given
        access = self.token(given["resource"], scope=given["scope"], client_id=client, jti=refresh)
        life = {} if self.life is None else {"expires_in": self.life}
        said = {
            "access_token": access,
            "token_type": "bearer",
            "refresh_token": refresh,
            "scope": given["scope"],
            **life,
        }
        return _json(200, said)

    def _introspected(self, form: dict[str, str], headers: dict[str, str]) -> Answer:
        if self._client(form, headers) is None:
            return _json(401, {"error": "invalid_client"})
        return _json(200, self.others.get(form["token"], {"active": False}))

    def _client(self, form: dict[str, str], headers: dict[str, str]) -> str | None:
        said = headers.get("authorization", "")
        if said.startswith("Basic "):
            name, _, secret = base64.b64decode(said.removeprefix("Basic ")).decode().partition(":")
            name = unquote_plus(name)
            return name if self.clients.get(name) == unquote_plus(secret) else None
        if "client_assertion" in form:
            claims = jwt.decode(
                form["client_assertion"],
                self.keys[0].private.public_key(),
                algorithms=["ES256"],
                audience=self.url,
                options={"verify_exp": False, "verify_iat": False},
            )
            return str(claims["sub"]) if claims["sub"] == claims["iss"] and claims["jti"] else None
        name = form.get("client_id", "")
        known = name.startswith("https://") or (name in self.clients and self.clients[name] is None)
        return name if known else None


def _json(status: int, value: Any) -> Answer:
    return Answer(status=status, headers={"content-type": "application/json"}, body=json.dumps(value).encode())


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
