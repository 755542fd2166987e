"""The option that all prompters share that read instructions by the spatial phrases."""

from __future__ import annotations

from dataclasses import dataclass

from fiducial.config import Config, option


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseConfig(Config):
    """What is done with words that are not understood."""

    rest: bool = option(
        False, "where words are not understood, choose by the rest and say so; off: choose nothing and name them"
    )
