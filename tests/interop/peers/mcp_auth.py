"""OAuth of the `mcp` package alone: its authorization server, a server of its own that asks for its tokens, and its client.

It says {"issuer", "server"} and listens; an order {"url", "tool", "arguments"} has its client call a tool of a server
that asks for a token, and tells {"structured", "text", "is_error", "asked"}: how often a person was asked among it.
"""

import asyncio
import json
import os
import secrets
import socket
import sys
import threading
import time
from typing import TypedDict
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.shared.auth import OAuthClientMetadata, OAuthToken
from mcp.types import ToolAnnotations
from starlette.requests import Request
from starlette.responses import JSONResponse

listening = socket.create_server(("127.0.0.1", 0))
HERE = f"http://127.0.0.1:{listening.getsockname()[1]}"
KEY = rsa.generate_private_key(65537, 2048)
LIFE = 20
"""Seconds: short enough to be renewed at each use."""


class Provider(OAuthAuthorizationServerProvider):
    """Everybody is alice, and says yes at once."""

    def __init__(self):
        self.clients, self.codes, self.refreshes, self.asked = {}, {}, {}, 0

    async def get_client(self, client_id):
        return self.clients.get(client_id)

    async def register_client(self, client_info):
        # Whatever a client named when it came, it may ask for more later.
        client_info.scope = "tools rooms"
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client, params):
        self.asked += 1
        code = secrets.token_urlsafe(32)
        self.codes[code] = AuthorizationCode(
            code=code,
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)

    async def load_authorization_code(self, client, authorization_code):
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(self, client, authorization_code):
        del self.codes[authorization_code.code]
        return self._made(client, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(self, client, refresh_token):
        return self.refreshes.get(refresh_token)

    async def exchange_refresh_token(self, client, refresh_token, scopes):
        del self.refreshes[refresh_token.token]
        return self._made(client, scopes, refresh_token.resource)

    async def load_access_token(self, token):
        try:
            said = jwt.decode(token, KEY.public_key(), algorithms=["RS256"], audience=f"{HERE}/mcp")
        except jwt.PyJWTError:
            return None
        return AccessToken(token=token, client_id=said["client_id"], scopes=said["scope"].split(), resource=said["aud"])

    async def revoke_token(self, token):
        raise NotImplementedError

    def _made(self, client, scopes, resource):
        now = int(time.time())
        said = {"iss": HERE, "sub": "alice", "aud": resource, "iat": now, "exp": now + 600, "scope": " ".join(scopes)}
        access = jwt.encode({**said, "client_id": client.client_id}, KEY, algorithm="RS256", headers={"kid": "k"})
        refresh = secrets.token_urlsafe(32)
        self.refreshes[refresh] = RefreshToken(
            token=refresh, client_id=client.client_id, scopes=scopes, resource=resource
        )
        return OAuthToken(access_token=access, expires_in=LIFE, scope=" ".join(scopes), refresh_token=refresh)


class Forecast(TypedDict):
    high: int
    summary: str


provider = Provider()
server = MCPServer(
    "a stranger that asks for a token",
    auth_server_provider=provider,
    auth=AuthSettings(
        issuer_url=HERE,
        resource_server_url=f"{HERE}/mcp",
        required_scopes=["tools"],
        validate_token_resource=True,
        client_registration_options=ClientRegistrationOptions(
            enabled=True, valid_scopes=["tools", "rooms"], default_scopes=["tools"]
        ),
    ),
)


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def forecast(city: str, day: str) -> Forecast:
    """Weather forecast for a city and a day."""
    return {"high": len(city), "summary": f"sunny in {city} on {day}"}


@server.custom_route("/jwks", methods=["GET"])
async def keys(_request: Request) -> JSONResponse:
    key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
    return JSONResponse({"keys": [{**key, "kid": "k", "use": "sig", "alg": "RS256"}]})


@server.custom_route("/asked", methods=["GET"])
async def asked(_request: Request) -> JSONResponse:
    return JSONResponse({"asked": provider.asked, "clients": len(provider.clients)})


class Storage:
    def __init__(self):
        self.tokens = self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info


async def called(order: dict) -> dict:
    came: list[str] = []

    async def sent(url: str) -> None:
        async with httpx2.AsyncClient() as browser:
            came.append((await browser.get(url)).headers["location"])

    async def back() -> AuthorizationCodeResult:
        said = parse_qs(urlsplit(came[-1]).query)
        return AuthorizationCodeResult(code=said["code"][0], state=said["state"][0], iss=said.get("iss", [None])[0])

    auth = OAuthClientProvider(
        order["url"],
        OAuthClientMetadata(redirect_uris=["http://127.0.0.1:9/callback"], client_name="a stranger"),
        Storage(),
        redirect_handler=sent,
        callback_handler=back,
    )
    async with (
        httpx2.AsyncClient(auth=auth) as carrier,
        Client(streamable_http_client(order["url"], http_client=carrier)) as client,
    ):
        made = await client.call_tool(order["tool"], order["arguments"])
        told = made.model_dump(by_alias=True, mode="json")
        return {
            "structured": told.get("structuredContent"),
            "text": told["content"][0]["text"],
            "is_error": bool(told.get("isError")),
            "asked": len(came),
        }


def serve() -> None:
    uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="critical")).run([listening])


threading.Thread(target=serve, daemon=True).start()
sys.stdout.write(json.dumps({"issuer": HERE, "server": f"{HERE}/mcp"}) + "\n")
sys.stdout.flush()
for line in sys.stdin:
    sys.stdout.write(json.dumps(asyncio.run(called(json.loads(line)))) + "\n")
    sys.stdout.flush()
os._exit(0)
