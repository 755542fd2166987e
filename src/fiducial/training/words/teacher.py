"""The teacher: sentence embeddings of words and phrases by a frozen MiniLM in a local folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError

BATCH = 256
WIDTH = 384
"""Dimensions of a MiniLM sentence embedding."""


class Teacher:
    """A sentence-transformers MiniLM (mean pooling, then unit length), run by transformers.

    Args:
        folder: holds ``config.json``, ``model.safetensors``, ``tokenizer.json`` and ``vocab.txt``.

    Raises:
        InputError: one of them is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        names = ("config.json", "model.safetensors", "tokenizer.json", "vocab.txt")
        if missing := [name for name in names if not (self.folder / name).is_file()]:
            raise InputError(f"{folder}: is no folder of a MiniLM: it lacks {', '.join(missing)}")

    def pieces(self) -> list[str]:
        """Return its word pieces, in the order of its vocabulary; those inside a word begin with ``##``."""
        return (self.folder / "vocab.txt").read_text(encoding="utf-8").splitlines()

    def embed(self, texts: Sequence[str], tell: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """Embed texts.

        Args:
            texts: words or short phrases.
            tell: called with the number of texts done, after each batch.

        Returns:
            Unit vectors, float32, shape (n, 384).
        """
        import torch

        tokenizer, network = self._load()
        ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
        # texts of one length need no padding, and padding is most of the work with phrases
        order = sorted(range(len(ids)), key=lambda k: len(ids[k]))
        out = np.empty((len(ids), WIDTH), dtype=np.float32)
        done = 0
        with torch.inference_mode():
            while done < len(order):
                length = len(ids[order[done]])
                rows = [k for k in order[done : done + BATCH] if len(ids[k]) == length]
                states = network(torch.tensor([ids[k] for k in rows])).last_hidden_state
                out[rows] = torch.nn.functional.normalize(states.mean(dim=1), dim=-1).numpy()
                done += len(rows)
                if tell is not None:
                    tell(done)
        return out

    def _load(self) -> tuple[Any, Any]:
        from tokenizers import Tokenizer
        from transformers import BertModel

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        network: Any = BertModel.from_pretrained(self.folder)
        return tokenizer, network.eval()
