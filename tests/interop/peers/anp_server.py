"""An openanp server made of the anp package alone, over TLS: says its port, and listens until its input ends.

`anp_server.py CERTIFICATE KEY`. Which authorities are trusted is in SSL_CERT_FILE, as the package's own resolver of DIDs
reads it; it asks https addresses alone.
"""

import json
import logging
import os
import socket
import sys
import threading
from typing import TypedDict

import uvicorn
from anp.authentication.did_wba_verifier import DidWbaVerifierConfig
from anp.openanp import AgentConfig, Context, anp_agent, interface
from anp.openanp.middleware import create_auth_middleware
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI
from pydantic import BaseModel

logging.disable(logging.CRITICAL)


class Forecast(TypedDict):
    high: int
    summary: str


class Guest(BaseModel):
    name: str
    nights: int


class Booking(TypedDict):
    room: str
    guest: str
    caller: str


@anp_agent(
    AgentConfig(name="A stranger", did="did:wba:localhost:stranger", prefix="/agent", description="Says weather")
)
class Stranger:
    @interface
    async def forecast(self, city: str, day: str) -> Forecast:
        """Weather forecast for a city and a day."""
        return {"high": len(city), "summary": f"sunny in {city} on {day}"}

    @interface
    async def book(self, room: str, guest: Guest, ctx: Context) -> Booking:
        """Book a room for a guest."""
        return {"room": room, "guest": guest.name, "caller": ctx.did}

    @interface(mode="link")
    async def broken(self, city: str) -> Forecast:
        """Fail for a city."""
        raise RuntimeError(f"nothing is known of {city}")


def config() -> DidWbaVerifierConfig:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return DidWbaVerifierConfig(jwt_private_key=private.decode(), jwt_public_key=public.decode())


app = FastAPI()
app.middleware("http")(create_auth_middleware(config()))
app.include_router(Stranger.router())

listening = socket.create_server(("127.0.0.1", 0))
sys.stdout.write(json.dumps({"port": listening.getsockname()[1]}) + "\n")
sys.stdout.flush()
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
uvicorn.Server(uvicorn.Config(app, log_level="critical", ssl_certfile=sys.argv[1], ssl_keyfile=sys.argv[2])).run(
    [listening]
)
