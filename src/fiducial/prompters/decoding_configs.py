"""What rules by which a model chooses its next token can be given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fiducial.config import Config, option
from fiducial.errors import InputError

if TYPE_CHECKING:
    from fiducial.prompters.vlm.semantic import SemanticSampling


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingConfig(Config):
    """A rule by which the next token is chosen, in place of the model's own way."""

    kind: ClassVar[str] = "decoding"
    extra: ClassVar[str] = "models"

    def processor(self, model: Any, tokenizer: Any, drawing: Mapping[str, Any] | None) -> SemanticSampling:
        """Make what transformers' ``generate`` is given as a processor of scores.

        Args:
            model: one of transformers', on its device.
            tokenizer: its tokenizer.
            drawing: ``temperature``, ``top_k`` and ``top_p`` of the model's own draws; None: it takes the likeliest.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticConfig(DecodingConfig):
    """Semantic sampling (MIS-SemSam): of likely tokens, the one whose neighbours in meaning are likely too."""

    name: ClassVar[str] = "semantic"

    # The authors published the rule and none of these.
    k: int = option(10, "neighbours per token, itself not counted", minimum=1)
    top_m: int | None = option(50, "most candidates; none: as many as top_p takes", minimum=1)
    top_p: float | None = option(
        0.9, "candidates are the fewest with this much probability; none: top_m of them", above=0, maximum=1
    )
    include_self: bool = option(True, "a candidate's own probability counts, with weight 1")
    temperature: float | None = option(
        None, "of the softmax of the scores, where tokens are drawn (do_sample); none is 1", above=0
    )
    embedding: Literal["input", "output"] = option("input", "which embedding says what is near; one, where tied")
    numerals: bool = option(True, "tokens with a digit are content; false: where one is a candidate, nothing changes")
    cache: Path | None = option(
        Path("~/.cache/fiducial/neighbours"), "folder that keeps each model's table; none finds it anew at each start"
    )

    def check(self) -> None:
        """Refuse to take every token for a candidate."""
        if self.top_m is None and self.top_p is None:
            raise InputError("semantic sampling needs top_m or top_p, or every token is a candidate")

    def processor(self, model: Any, tokenizer: Any, drawing: Mapping[str, Any] | None) -> SemanticSampling:
        """Find the neighbours, or read them from ``cache``."""
        from fiducial.prompters.vlm.semantic import semantic_sampling

        return semantic_sampling(model, tokenizer, self, drawing)


def check_decoding(decode: Config | None, *, draws: bool) -> None:
    """Refuse a temperature of the rule by which tokens are chosen where none is drawn."""
    if not draws and getattr(decode, "temperature", None) is not None:
        raise InputError("decode: a temperature changes nothing while do_sample is off")
