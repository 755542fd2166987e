"""Ending a reply where its dialect needs nothing more, each row of a batch for itself."""

from __future__ import annotations

from typing import Any

import torch
from transformers import StoppingCriteria

from fiducial.language.dialects import Dialect


class CompleteReplies(StoppingCriteria):
    """Stops each row of a batch as soon as its reply is complete in its dialect (:meth:`Dialect.end`).

    ``generate`` fills the row with padding from there on, and ends when every row has ended in one way or another.
    Where the last token went on behind the end, as one that holds a bracket and a new line does, the rest of it is
    cut off: the text does not depend on how a tokenizer cuts it.

    Args:
        dialect: that of the replies.
        tokenizer: of the model.
        start: tokens of the padded prompt, which comes before each reply.

    Attributes:
        texts: the replies that were complete, by row, up to their end.
    """

    def __init__(self, dialect: Dialect, tokenizer: Any, start: int) -> None:
        self._dialect, self._tokenizer, self._start = dialect, tokenizer, start
        self._ends: dict[int, bool] = {}  # by token, whether a form may end in it
        self.texts: dict[int, str] = {}

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> torch.BoolTensor:
        """Return (rows,) booleans: which rows need nothing more."""
        last = input_ids[:, -1].tolist()
        for row, token in enumerate(last):
            if row not in self.texts and self._may_end(token):
                text = decoded(self._tokenizer, input_ids[row, self._start :].tolist())
                end = self._dialect.end(text)
                if end is not None:
                    self.texts[row] = text[:end]
        done = [row in self.texts for row in range(len(last))]
        return torch.tensor(done, device=input_ids.device)  # type: ignore[return-value]

    def _may_end(self, token: int) -> bool:
        """Look at one token alone: no form ends in a letter, a digit or a space, so most replies need no reading."""
        if token not in self._ends:
            signs = decoded(self._tokenizer, [token])
            self._ends[token] = any(not (sign.isalnum() or sign.isspace()) for sign in signs)
        return self._ends[token]


def decoded(tokenizer: Any, tokens: list[int]) -> str:
    """Return the text of a reply's tokens, letter by letter: box marks are special tokens in some families."""
    return str(tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False))
