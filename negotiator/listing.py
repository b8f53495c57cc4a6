"""What an agent lists to its peers."""

from contextlib import suppress

from negotiator.engine import Engine
from negotiator.proposals import document_of
from negotiator.serving import Listed
from protocol_docs import DocumentRevoked, catalog


def listing_of(engine: Engine) -> dict[str, Listed]:
    """The documents that this agent lists to peers, by their hash; drafts of tools are put into the store."""
    if engine.publish == "none":
        return {}
    listed = list(catalog.all_documents())
    if engine.publish == "all":
        for tool in engine.tools.values():
            document = document_of(tool)
            with suppress(DocumentRevoked):
                if engine.documents.get(document.hash) is None:
                    engine.documents.put(document)
                listed.append(document)
    hashes = [*engine.agreements.served(engine.toolset), *engine.natives]
    found = (engine.documents.get(name) for name in hashes)
    listed.extend(document for document in found if document is not None)
    return {document.hash: Listed(document) for document in listed}
