"""`negotiator identity`: who an agent is, and whose proofs it takes."""

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from negotiator.cli import exits
from negotiator.cli.console import Console, one_line
from negotiator.cli.kept import folder_of
from negotiator.cli.options import Commands, add_state, command
from negotiator.errors import UsageError

if TYPE_CHECKING:
    from negotiator.identity.did import DidDocument
    from negotiator.state import State


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("identity", help="who an agent is, and whose proofs it takes: new, show, verify, ...")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    making = command(
        actions,
        "new",
        "make keys and a DID",
        description="Make an Ed25519 key, in a folder of this user's alone, and a DID for an agent at URL.\n"
        "An agent that is given the folder, Agent(identity=FOLDER), serves the DID's document and signs what it sends.",
        example="  negotiator identity new https://weather.example/agent",
    )
    making.add_argument("url", metavar="URL", help="the address that callers use; a DID needs a host that has a name")
    making.add_argument(
        "--method", choices=("wba", "web"), default="wba", help="the kind of DID (default: %(default)s)"
    )
    _add_folder(making)
    making.set_defaults(run=_new)

    showing = command(
        actions,
        "show",
        "print an identity",
        description="Print a DID, where its document is, and its keys; with --document the document itself.",
        example="  negotiator identity show --document",
    )
    showing.add_argument("--document", action="store_true", help="print the DID document, to be served by a host")
    _add_folder(showing)
    showing.set_defaults(run=_show)

    verifying = command(
        actions,
        "verify",
        "fetch a DID's document and check it",
        description="Fetch the document of a DID under the same guard as an agent does, and check it: its shape, its\n"
        "proof, and its keys against those that were seen first.",
        example="  negotiator identity verify did:web:weather.example",
    )
    verifying.add_argument("did", metavar="DID")
    verifying.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="NETWORK",
        help="loopback, private, or a network, beside public ones",
    )
    add_state(verifying)
    verifying.set_defaults(run=_verify)

    for name, what, run in (
        ("rotate", "put a new key in force, in running agents too", _rotate),
        (
            "revoke",
            "let a key of ours (key-1), or a DID, key, principal or issuer of others, prove nothing more",
            _revoke,
        ),
        ("approve", "take the keys that a DID has now, where they are others than before", _approve),
    ):
        made = command(
            actions, name, what, description=f"{what[0].upper()}{what[1:]}.", example=f"  negotiator identity {name}"
        )
        if name != "rotate":
            made.add_argument("name", metavar="DID" if name == "approve" else "KEY")
        if name == "revoke":
            made.add_argument("--undo", action="store_true", help="hear those others again; keys of ours stay revoked")
        if name != "approve":
            made.add_argument("--folder", metavar="FOLDER", help="where the keys are (default: identity/ in the state)")
        add_state(made)
        made.set_defaults(run=run)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", metavar="FOLDER", help="where the keys are (default: identity/ in the state)")
    add_state(parser)


def _folder(chosen: argparse.Namespace) -> Path:
    return Path(chosen.folder) if chosen.folder else folder_of(chosen.state) / "identity"


def _new(chosen: argparse.Namespace, console: Console) -> int:
    from negotiator.identity import Identity  # noqa: PLC0415 - on use

    identity = Identity.new(_folder(chosen), chosen.url, method=chosen.method)
    facts = {
        "did": identity.did,
        "url": identity.url,
        "document": identity.parsed.url(),
        "folder": str(_folder(chosen)),
    }
    _say(console, facts)
    return exits.OK


def _show(chosen: argparse.Namespace, console: Console) -> int:
    from negotiator.identity import Identity  # noqa: PLC0415 - on use
    from negotiator.identity.key_files import KeyFiles  # noqa: PLC0415

    files = KeyFiles(_folder(chosen))
    identity = Identity(files.did, files.url, files)
    if chosen.document:
        document = asyncio.run(identity.document())
        if console.as_json:
            console.json(orjson.loads(document))
        else:
            console.out(document.decode())
        return exits.OK
    keys = [{"name": key.name, "public": key.public.multibase, "state": key.state} for key in files.all_keys()]
    facts = {"did": identity.did, "url": identity.url, "document": identity.parsed.url()}
    if console.as_json:
        console.json({**facts, "keys": keys})
    else:
        _say(console, facts)
        for key in keys:
            console.out(f"{key['name']:<10}{key['state']:<9}{key['public']}")
    return exits.OK


def _verify(chosen: argparse.Namespace, console: Console) -> int:
    document = asyncio.run(_looked_up(chosen))
    keys = [{"id": name, "public": document.keys[name].multibase} for name in sorted(document.authentication)]
    if console.as_json:
        console.json({"did": document.did, "authentication": keys})
    else:
        console.out(f"{document.did}: the document holds")
        for key in keys:
            console.out(f"{one_line(key['id'])}  {key['public']}")
    return exits.OK


async def _looked_up(chosen: argparse.Namespace) -> "DidDocument":
    from negotiator.identity import DidResolver  # noqa: PLC0415 - on use
    from negotiator.identity.resolver import MAX_DOCUMENT_BYTES  # noqa: PLC0415
    from protocol_docs.fetch import GuardedFetcher  # noqa: PLC0415

    state = _state(chosen)
    try:
        fetcher = GuardedFetcher(allow=chosen.allow, max_bytes=MAX_DOCUMENT_BYTES, seconds=10.0)
    except ValueError as error:
        raise UsageError(str(error)) from None
    resolver = DidResolver(fetcher.fetch, state.text, state.clock, loopback="loopback" in chosen.allow)
    return await resolver.document(chosen.did)


def _rotate(chosen: argparse.Namespace, console: Console) -> int:
    from negotiator.identity.key_files import KeyFiles  # noqa: PLC0415 - on use

    _say(console, {"in force": KeyFiles(_folder(chosen)).rotate()})
    return exits.OK


def _revoke(chosen: argparse.Namespace, console: Console) -> int:
    from negotiator.identity import Revocations  # noqa: PLC0415 - on use
    from negotiator.identity.did import parse_did  # noqa: PLC0415
    from negotiator.identity.key_files import KeyFiles  # noqa: PLC0415

    # Keys of ours have names without a colon; others' are DIDs, `oauth:<issuer>#<subject>` and issuers' addresses.
    if ":" not in chosen.name:
        if chosen.undo:
            raise UsageError("a key of ours that is revoked is gone; put a new one in force with: identity rotate")
        KeyFiles(_folder(chosen)).revoke(chosen.name)
        _say(console, {"revoked": chosen.name})
        return exits.OK
    if chosen.name.startswith("did:"):
        parse_did(chosen.name.partition("#")[0])
    revocations = Revocations(_state(chosen).text)
    if chosen.undo and chosen.name not in revocations.all():
        raise UsageError(f"{one_line(chosen.name)} is not revoked")
    (revocations.restore if chosen.undo else revocations.revoke)(chosen.name)
    _say(console, {"heard again" if chosen.undo else "revoked": chosen.name})
    return exits.OK


def _approve(chosen: argparse.Namespace, console: Console) -> int:
    from negotiator.identity import Pins  # noqa: PLC0415 - on use

    if not Pins(_state(chosen).text).approve(chosen.name):
        raise UsageError(f"no other keys of {one_line(chosen.name)} wait for approval")
    _say(console, {"approved": chosen.name})
    return exits.OK


def _state(chosen: argparse.Namespace) -> "State":
    from negotiator.state import open_state  # noqa: PLC0415 - on use

    return open_state(folder_of(chosen.state))


def _say(console: Console, facts: dict[str, Any]) -> None:
    if console.as_json:
        console.json(facts)
    else:
        # Whole, however long: they are there to be copied.
        for name, said in facts.items():
            console.out(f"{name:<10}{one_line(str(said))}")
