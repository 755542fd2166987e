"""The vocabulary of a small vision-language model: words, and each coordinate as one token.

A coordinate is a whole pixel of the square canvas, written as each dialect writes it ("57", or "0.2969" where numbers
are fractions), and once more with the comma that follows most of them ("57, "); what stands between coordinates
("], [") is one token too, so that answers are short. What is not in the vocabulary is spelled, in the end by bytes: no
text is lost.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.language.dialects import Dialect
from fiducial.training.sft_samples import points_written

PAD, IMAGE, REPLY, END = "<pad>", "<image>", "<reply>", "<end>"
CHAT = (
    "{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}" + IMAGE + "{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}" + REPLY + "{% endif %}"
)
"""The chat template: nothing but the picture, the words, and where the reply begins."""
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\w)")
_COMMA = ", "
_PIECE = r" ?[A-Za-z]+|\d+(?:\.\d+)?(?:, )?|\s|[^\sA-Za-z\d]"
_THOUGHT = "</think>"


@dataclass(frozen=True, slots=True)
class NumberTokens:
    """The tokens of one dialect's coordinates.

    ``first`` is the id of pixel 0, ``followed`` that with a comma behind it; the ``count`` pixels of each follow.
    """

    first: int
    followed: int
    count: int

    def start(self, token: int) -> int | None:
        """Return the id of pixel 0 among the tokens of a coordinate's kind; None for what is no coordinate."""
        starts = (one for one in (self.first, self.followed) if one <= token < one + self.count)
        return next(starts, None)


def written(dialect: Dialect, canvas: int, prompts: Sequence[Prompt], thinking: str = "") -> str:
    """Write prompts, in pixels of the square canvas, as the dialect does."""
    whole = Prompts(Frame.pixels(canvas, canvas), tuple(prompts))
    return dialect.encode(whole, dialect.frame(canvas, canvas, (canvas, canvas)), thinking=thinking)


def after_thinking(text: str) -> str:
    """Return an answer without its thinking."""
    return text[text.rfind(_THOUGHT) :] if _THOUGHT in text else text


def number_texts(dialect: Dialect, canvas: int) -> list[str]:
    """Return how a dialect writes each whole pixel from 0 to ``canvas``."""
    found = []
    for pixel in range(canvas):
        box = (float(pixel), 0.0, float(canvas), float(canvas))
        found.append(_NUMBER.findall(after_thinking(written(dialect, canvas, [_example(dialect, canvas, box)])))[0])
    last = _example(dialect, canvas, (0.0, 0.0, float(canvas), float(canvas)))
    return [*found, _NUMBER.findall(after_thinking(written(dialect, canvas, [last])))[2]]


def skeleton(dialect: Dialect, canvas: int) -> list[str]:
    """Return what a dialect writes before its thinking, and around and between coordinates, and for no target."""
    one = _example(dialect, canvas, (1.0, 2.0, float(canvas), float(canvas)))
    texts = [written(dialect, canvas, [one] * count, "x") for count in (0, 1, 3)]
    pieces = [texts[0].partition("x")[0]] if _THOUGHT in texts[0] else []
    pieces += [piece for text in texts for piece in _NUMBER.split(after_thinking(text))]
    return list(dict.fromkeys(piece for piece in pieces if len(piece) > 1 and piece != _COMMA))


def _example(dialect: Dialect, canvas: int, box: tuple[float, float, float, float]) -> Prompt:
    positive, negative = points_written(dialect)
    spots = tuple((float(1 + index), 1.0) for index in range(positive + negative))
    kinds = (1,) * positive + (0,) * negative
    return Prompt(Frame.pixels(canvas, canvas), box=box, points=spots, point_labels=kinds)


def make_tokenizer(dialects: Sequence[Dialect], canvas: int, texts: Iterable[str], min_count: int = 3) -> Any:
    """Build the tokenizer: special tokens, the dialects' pieces and numbers, and the words of the texts that recur."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = [PAD, IMAGE, REPLY, END]
    pieces = list(dict.fromkeys(piece for one in dialects for piece in skeleton(one, canvas)))
    tokens = [*special, *pieces]
    for dialect in dialects:
        texts_of_numbers = number_texts(dialect, canvas)
        tokens += [*texts_of_numbers, *(text + _COMMA for text in texts_of_numbers)]
    counts = Counter(word for text in texts for word in re.findall(_PIECE, text))
    words = sorted(word for word, count in counts.items() if count >= min_count)
    letters = [*map(chr, range(32, 127)), "\n"]
    tokens += [*words, *letters, *(f"<0x{byte:02X}>" for byte in range(256))]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    base = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True, ignore_merges=True))
    base.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECE), behavior="isolated")
    base.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    base.add_special_tokens(special)
    base.add_tokens([AddedToken(piece, normalized=False) for piece in pieces])
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=base, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = CHAT
    return tokenizer


def number_tokens(tokenizer: Any, dialect: Dialect, canvas: int) -> NumberTokens:
    """Find the tokens of a dialect's coordinates in the vocabulary, where they follow each other."""
    texts = number_texts(dialect, canvas)
    first, last, followed = tokenizer.convert_tokens_to_ids([texts[0], texts[-1], texts[0] + _COMMA])
    return NumberTokens(first, followed, last - first + 1)


def with_words(tokenizer: Any, texts: Iterable[str], min_count: int) -> Any:
    """Return a vocabulary of :func:`make_tokenizer` with the words of texts that recur and that it spells.

    What it holds already keeps its numbers; new words follow, in alphabetical order.

    Raises:
        InputError: the vocabulary is of another kind, which cuts words into pieces of its own.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    base = tokenizer.backend_tokenizer
    state = json.loads(base.to_str())
    model = state["model"]
    if model.get("type") != "BPE" or model.get("merges") or not model.get("ignore_merges"):
        raise InputError("new_words: words can be added to vocabularies of `fiducial train nano-vlm` alone")
    pieces = (piece for text in texts for piece, _ in base.pre_tokenizer.pre_tokenize_str(text))
    counts = Counter(piece for piece in pieces if piece.strip().isalpha() and piece not in model["vocab"])
    new = sorted(word for word, count in counts.items() if count >= min_count)
    model["vocab"] |= {word: len(tokenizer) + number for number, word in enumerate(new)}
    grown = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
        padding_side=tokenizer.padding_side,
        clean_up_tokenization_spaces=False,
    )
    grown.chat_template = tokenizer.chat_template
    return grown
