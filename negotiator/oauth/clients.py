"""Which client an agent is at an issuer, and where people are sent back to from there.

An answer that a person brings back is for one issuer. Where that issuer says in it whose it is (RFC 9207), it is
compared; where it does not, another's answer could be taken for it, and the code in it be shown to the wrong one
(mix-up, RFC 9700 4.4). Such an issuer has an address of its own that people are sent back to, and is told no other's.
"""

import orjson

from negotiator.oauth.discovery import Exchange, carried
from negotiator.oauth.errors import AuthorizationNeeded, AuthorizationUntrusted
from negotiator.oauth.kept import Held, Kept
from negotiator.oauth.messages import Client, method_for, own_redirect, read_registration, registration
from negotiator.oauth.metadata import ServerMetadata, covers
from negotiator.oauth.terms import OAuthClient
from negotiator.oauth.ways import Way


class Clients:
    """The clients that one agent is."""

    def __init__(self, terms: OAuthClient, exchange: Exchange, kept: Kept) -> None:
        """As `terms` have it; what is registered is registered through `exchange`, and kept in `kept`."""
        self._terms = terms
        self._exchange = exchange
        self._kept = kept

    async def client(self, url: str, way: Way) -> tuple[Client, str]:
        """Who this agent is at the issuer that a token for `url` is had from, and the redirect that it has there.

        What one issuer calls it is told to no other. Raises `AuthorizationNeeded` where it is nobody there, and
        `AuthorizationUntrusted` where the issuer's answers could be another's.
        """
        terms, server = self._terms, way.server
        known = terms.client_for(server.issuer, url)
        if known is not None:
            if known.servers and not any(covers(each, url) for each in known.servers):
                raise AuthorizationNeeded(f"the client {known.id!r} of {server.issuer} is for other servers than {url}")
            return known, self._fixed(known, server)
        says = server.authorization_response_iss_parameter_supported is True
        # The document names its redirects for all issuers.
        if terms.metadata_url is not None and server.client_id_metadata_document_supported and says:
            return Client(id=terms.metadata_url, method="none"), terms.redirect
        redirect = terms.redirect if says else own_redirect(terms.redirect, server.issuer)
        kept = self._kept.client(server.issuer, redirect)
        return (await self._registered(url, way, redirect) if kept is None else kept), redirect

    def renewing(self, held: Held, server: ServerMetadata) -> Client:
        """The client that a token was given to."""
        places = (self._terms.redirect, own_redirect(self._terms.redirect, server.issuer))
        known = self._terms.client_for(server.issuer, held.resource)
        found = [known, *(self._kept.client(server.issuer, each) for each in places)]
        return next((each for each in found if each is not None and each.id == held.client), None) or Client(
            id=held.client, method="none"
        )

    def forget(self, client: Client, server: ServerMetadata) -> None:
        """The issuer knows it no longer: it is registered anew, where it was registered."""
        for redirect in (self._terms.redirect, own_redirect(self._terms.redirect, server.issuer)):
            kept = self._kept.client(server.issuer, redirect)
            if kept is not None and kept.id == client.id:
                self._kept.drop_client(server.issuer, redirect)

    def _fixed(self, client: Client, server: ServerMetadata) -> str:
        """The redirect that was registered by hand for a client. Raises `AuthorizationUntrusted`."""
        redirect = client.redirect_uri or self._terms.redirect
        if client.grant == "client_credentials" or server.authorization_response_iss_parameter_supported:
            return redirect
        people = [each for each in self._terms.clients.values() if each.grant != "client_credentials"]
        if sum((each.redirect_uri or self._terms.redirect) == redirect for each in people) > 1:
            raise AuthorizationUntrusted(
                f"the answers of {server.issuer} do not say whose they are, and other issuers send people back to "
                f"{redirect} too: register a redirect there that is its own, and name it in Client(redirect_uri=...)"
            )
        return redirect

    async def _registered(self, url: str, way: Way, redirect: str) -> Client:
        terms, server = self._terms, way.server
        if server.registration_endpoint is None:
            raise AuthorizationNeeded(
                f"the authorization server {server.issuer} registers nobody by itself: register this agent there, and "
                f"give OAuthClient(clients={{{server.issuer!r}: Client(id=...)}})"
            )
        if terms.authorize is None:
            raise AuthorizationNeeded(f"{url} asks for an authorization by a person, and nobody can be asked here")
        method = method_for(server)
        listed = () if way.metadata is None else way.metadata.scopes_supported or ()
        said = registration(name=terms.name, redirect_uri=redirect, scopes=listed, method=method)
        headers = {"accept": "application/json", "content-type": "application/json"}
        answer = await carried(self._exchange, "POST", server.registration_endpoint, headers, orjson.dumps(said))
        client = read_registration(answer.status, answer.body, asked=method)
        self._kept.put_client(server.issuer, redirect, client)
        return client
