"""`negotiator docs`: the protocol documents at hand."""

import argparse
import re
import sys
from typing import Any, Final

from negotiator.cli import directory, exits
from negotiator.cli.console import Console, one_line, short
from negotiator.cli.kept import all_documents, documents_in, documents_to_add_to
from negotiator.cli.options import Commands, add_state, command, read_bytes
from negotiator.errors import UsageError
from protocol_docs import DocumentNotFound, DocumentStore, ProtocolDocument, catalog, parse_hash, search, spell

_PREFIX: Final = re.compile(r"(?:sha256:)?([0-9a-f]{6,63})")
"""The first digits of a hash, as lists show them."""
_FOUND: Final = 10
"""Documents that a search prints."""
_SPELLINGS: Final = ("sha1-hex", "sha1-base64", "cid", "rfc9530")


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("docs", help="protocol documents: list, show, add, find, verify, revoke, serve, sync")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    listing = command(
        actions,
        "list",
        "what is at hand",
        description="List the protocol documents at hand: those of the state folder, and those of the package.",
        example="  negotiator docs list",
    )
    add_state(listing)
    listing.set_defaults(run=_list)

    showing = command(
        actions,
        "show",
        "print one",
        description="Print the exact text of a document. HASH is any spelling of its hash, or its first digits.",
        example="  negotiator docs show sha256:8b747b85e9e9",
    )
    showing.add_argument("hash", metavar="HASH")
    add_state(showing)
    showing.set_defaults(run=_show)

    adding = command(
        actions,
        "add",
        "keep one",
        description="Keep a document: any UTF-8 text, an RFC or an API description included.",
        example="  negotiator docs add rfc2229.txt --source https://example.org/rfc2229.txt",
    )
    adding.add_argument("file", metavar="FILE", help="- reads standard input")
    adding.add_argument("--source", metavar="URL", action="append", default=[], help="where it can be had from")
    add_state(adding)
    adding.set_defaults(run=_add)

    finding = command(
        actions,
        "find",
        "search by words",
        description="Find documents by words in their names, descriptions, fields and prose.",
        example="  negotiator docs find weather forecast",
    )
    finding.add_argument(
        "--meaning", action="store_true", help="by what the words mean, too; needs the extra `embeddings`"
    )
    finding.add_argument("words", metavar="WORDS", nargs="+")
    add_state(finding)
    finding.set_defaults(run=_find)

    verifying = command(
        actions,
        "verify",
        "check one against its hash",
        description="Say what a file is as a document: its hash in every spelling, and whether its annex is sound. "
        f"With HASH, exit with {exits.FAILED} unless the file has it.",
        example="  negotiator docs verify forecast.md sha256:8b747b85...",
    )
    verifying.add_argument("file", metavar="FILE", help="- reads standard input")
    verifying.add_argument("hash", metavar="HASH", nargs="?")
    verifying.set_defaults(run=_verify)

    revoking = command(
        actions,
        "revoke",
        "use one no more",
        description="Use a document no more: no request is sent or answered under it by any process that shares the\n"
        "state folder, from its next look on. Its text stays, and peers are told nothing.",
        example="  negotiator docs revoke sha256:8b747b85e9e9 --because 'it mistakes the unit'",
    )
    revoking.add_argument("hash", metavar="HASH", help="any spelling of its hash, or its first digits")
    revoking.add_argument("--because", metavar="TEXT", default="", help="why, for those who look at it later")
    revoking.add_argument("--undo", action="store_true", help="use it again")
    add_state(revoking)
    revoking.set_defaults(run=_revoke)

    directory.add(actions)


def _list(chosen: argparse.Namespace, console: Console) -> int:
    _print_all(list(all_documents(documents_in(chosen.state))), console)
    return exits.OK


def _find(chosen: argparse.Namespace, console: Console) -> int:
    words, store = " ".join(chosen.words), documents_in(chosen.state, by_meaning=chosen.meaning)
    if chosen.meaning and store is not None:
        with console.waiting("reading what was not read before"):
            store.index_all(embed=len(store))
    hits = search(words, catalog.all_documents())
    if store is not None:
        kept = store.search(words)
        there = {hit.document.hash for hit in kept}
        # What comes with the package is found besides, where no agent has put it there yet.
        hits = [*kept, *(hit for hit in hits if hit.document.hash not in there)][:_FOUND]
    _print_all([hit.document for hit in hits], console)
    if not hits:
        console.note("no document has any of these words")
    return exits.OK if hits else exits.FAILED


def _show(chosen: argparse.Namespace, console: Console) -> int:
    store = documents_in(chosen.state)
    document = _named(chosen.hash, store)
    if document is None:
        raise DocumentNotFound(f"no document at hand has the hash {one_line(chosen.hash)}")
    if console.as_json:
        sources = store.sources(document.hash) if store is not None else ()
        why = None if store is None else store.revoked(document.hash)
        console.json(_facts(document) | {"sources": list(sources), "revoked": why, "text": document.text})
    else:
        # The exact bytes, so that what is piped on still has the hash.
        sys.stdout.buffer.write(document.data)
        sys.stdout.buffer.flush()
    return exits.OK


def _add(chosen: argparse.Namespace, console: Console) -> int:
    document = ProtocolDocument.from_bytes(read_bytes(chosen.file, "the document"))
    documents_to_add_to(chosen.state).put(document, chosen.source)
    if console.as_json:
        console.json(_facts(document) | {"sources": chosen.source})
    else:
        console.out(document.hash)
    return exits.OK


def _revoke(chosen: argparse.Namespace, console: Console) -> int:
    store = documents_to_add_to(chosen.state)
    document = _named(chosen.hash, store)
    name = parse_hash(chosen.hash) if document is None else document.hash
    done = store.reinstate(name) if chosen.undo else store.revoke(name, chosen.because)
    if console.as_json:
        console.json({"hash": name, "revoked": store.revoked(name), "changed": bool(done)})
    else:
        console.out(f"{'reinstated' if chosen.undo else 'revoked'} {name}")
    return exits.OK if done else exits.FAILED


def _verify(chosen: argparse.Namespace, console: Console) -> int:
    wanted = None if chosen.hash is None else parse_hash(chosen.hash)
    document = ProtocolDocument.from_bytes(read_bytes(chosen.file, "the document"))
    fits = wanted is None or wanted in document.aliases
    if console.as_json:
        console.json(_facts(document) | {"asked": wanted, "fits": fits})
    else:
        rows = [["hash", document.hash], *([spelling, spell(document, spelling)] for spelling in _SPELLINGS)]
        rows += [["name", document.name], ["effect", _effect(document)], ["annex", _annex(document)]]
        for label, value in rows:
            console.out(f"{label:<12} {one_line(value)}")
        if wanted is not None:
            console.out(f"{'asked for':<12} {wanted}: {'this is it' if fits else 'this is another text'}")
    return exits.OK if fits else exits.FAILED


def _named(spelling: str, store: DocumentStore | None) -> ProtocolDocument | None:
    """The document of a hash in any spelling, or of the first digits of one. Raises `UsageError`, `MalformedHash`."""
    prefix = _PREFIX.fullmatch(spelling.strip().lower())
    known = list(all_documents(store, though_revoked=True))
    if prefix is not None and len(prefix[1]) != 40:  # noqa: PLR2004 - forty digits are a whole SHA-1
        found = [document for document in known if document.hash.startswith(f"sha256:{prefix[1]}")]
        if len(found) > 1:
            raise UsageError(f"{len(found)} documents begin with {spelling}: give more digits")
        return found[0] if found else None
    name = parse_hash(spelling)
    return next((document for document in known if name in document.aliases), None)


def _print_all(documents: list[ProtocolDocument], console: Console) -> None:
    if console.as_json:
        console.json([_facts(document) for document in documents])
        return
    console.rows(
        [
            [
                short(document.hash),
                _effect(document),
                "schemas" if _has_schemas(document) else "prose",
                one_line(document.name),
                document.description,
            ]
            for document in documents
        ]
    )


def _facts(document: ProtocolDocument) -> dict[str, Any]:
    return {
        "hash": document.hash,
        "spellings": {spelling: spell(document, spelling) for spelling in _SPELLINGS},
        "name": document.name,
        "description": document.description,
        "multiround": document.multiround,
        "effect": document.annex.effect if document.annex else None,
        "annex": document.annex.to_json() if document.annex else None,
        "annex_problem": document.annex_problem,
        "bytes": len(document.data),
        "of_the_package": document.hash in catalog.hashes(),
    }


def _effect(document: ProtocolDocument) -> str:
    return (document.annex.effect if document.annex else None) or "unsaid"


def _has_schemas(document: ProtocolDocument) -> bool:
    annex = document.annex
    return annex is not None and annex.request_schema is not None and annex.reply_schema is not None


def _annex(document: ProtocolDocument) -> str:
    if document.annex is None:
        return f"none that is sound: {document.annex_problem}" if document.annex_problem else "none"
    return f"sound; {len(document.annex.examples)} examples"
