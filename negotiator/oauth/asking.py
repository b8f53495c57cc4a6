"""How a client says at the token endpoint who it is (RFC 6749 2.3.1, RFC 7523)."""

from base64 import b64encode
from typing import Final
from urllib.parse import quote

from negotiator.errors import UsageError
from negotiator.oauth.jose import signed
from negotiator.oauth.messages import AuthMethod, Client, Form
from negotiator.oauth.metadata import ServerMetadata

ASSERTION_SECONDS: Final = 60
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def identified(
    form: Form, client: Client, server: ServerMetadata, *, method: AuthMethod, now: float, name: str
) -> tuple[dict[str, str], Form]:
    """Headers and form of a request to the token endpoint, with what says whose it is.

    Args:
        form: What is asked for.
        client: Who asks.
        server: Of whom.
        method: In which way, as `method_for` has it.
        now: Unix seconds.
        name: An unguessable identifier, of what is signed.

    Raises:
        UsageError: the client has no secret, or no key, for that.
    """
    headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
    match method:
        case "none":
            return headers, form | {"client_id": client.id}
        case "client_secret_post" if client.secret is not None:
            return headers, form | {"client_id": client.id, "client_secret": client.secret}
        case "client_secret_basic" if client.secret is not None:
            # Of the two spellings of a blank, all servers read this one.
            pair = f"{quote(client.id, safe='')}:{quote(client.secret, safe='')}"
            proved = {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}
            # Named besides: some servers look the client up by the form.
            return headers | proved, form | {"client_id": client.id}
        case "private_key_jwt" if client.key is not None:
            said = _assertion(client, client.key, server, now=now, name=name)
            return headers, form | {"client_assertion_type": _ASSERTION, "client_assertion": said}
        case _:
            raise UsageError(f"the client {client.id!r} has nothing to prove itself with by {method}")


def _assertion(client: Client, key: str, server: ServerMetadata, *, now: float, name: str) -> str:
    claims = {
        "iss": client.id,
        "sub": client.id,
        # The issuer itself, and not its endpoint: nothing that another server could pass on.
        "aud": server.issuer,
        "iat": int(now),
        "exp": int(now) + ASSERTION_SECONDS,
        "jti": name,
    }
    try:
        return signed(claims, key, client.algorithm, client.key_id)
    except ValueError as problem:
        raise UsageError(f"the key of the client {client.id!r} cannot sign: {problem}") from None
