"""What servers can be given; building one loads what it serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import environ
from typing import TYPE_CHECKING, Annotated

from fiducial import config as _config
from fiducial.config import Config, option
from fiducial.errors import InputError
from fiducial.remote import SERVICE_KEY_VARIABLE, Key, is_loopback, read_key
from fiducial.segmenters.configs import CacheConfig
from fiducial.segmenters.remembering import MEMORY_BYTES

if TYPE_CHECKING:
    from fiducial.recipes import Recipe
    from fiducial.rewards.service import MaskService
    from fiducial.server.recipes import Recipes


@dataclass(frozen=True, kw_only=True)
class ServerConfig(Config):
    """What every server has."""

    host: str = option("127.0.0.1", "address to listen at; any but this machine's own needs a key", unit="HOST")
    port: int = option(8100, "port to listen at; 0 takes a free one", unit="N", minimum=0, maximum=65535)
    key_variable: str = option(SERVICE_KEY_VARIABLE, "environment variable that holds the key", unit="NAME")
    queue: int = option(64, "most requests at once, waiting ones included", unit="N", minimum=1)
    max_bytes: int = option(2**23, "most bytes of the JSON of a request", unit="N", minimum=1)
    read_seconds: float = option(60.0, "how long a request may take to arrive", unit="S", above=0)

    def key(self, environment: Mapping[str, str] = environ) -> Key:
        """Read the key that requests have to bring, "" where they need none.

        Raises:
            InputError: none is set, and others than this machine's own programs could ask.
        """
        key = read_key((self.key_variable,), environment)
        if not key.value and not is_loopback(self.host.lower()):
            raise InputError(
                f"--host {self.host} lets other machines ask: set the environment variable {self.key_variable} to a "
                "long random text, here and for the clients, or listen at 127.0.0.1"
            )
        return key


@dataclass(frozen=True, kw_only=True)
class ImageServerConfig(ServerConfig):
    """What every server has that is sent images."""

    memory_bytes: int = option(MEMORY_BYTES, "bound of the embeddings in memory", unit="N", minimum=0)
    store_bytes: int = option(2**31, "bound of the images in memory; those unused for longest go", unit="N", minimum=3)
    max_pixels: int = option(25_000_000, "refuse larger images", unit="N", minimum=1)


@dataclass(frozen=True, kw_only=True)
class RewardServerConfig(ImageServerConfig):
    """A service that cuts the masks of completions for rewards, with one frozen segmenter."""

    segmenter: Annotated[Config, "segmenter"] = option("sam2", "frozen; cuts all prompts", unit="NAME[:MODEL]")
    cache: CacheConfig | None = option(None, "keep embeddings in this folder too", unit="DIR")
    max_prompts: int = option(16_384, "most prompts of a request, and of requests cut together", unit="N", minimum=1)

    def build(self) -> MaskService:
        """Load the segmenter."""
        from fiducial.rewards.service import MaskService

        segmenter = _config.build(self.segmenter)
        return MaskService(self.cache.wrap(segmenter) if self.cache else segmenter, self.memory_bytes)


@dataclass(frozen=True, kw_only=True)
class RecipeServerConfig(ImageServerConfig):
    """A server that segments by instruction, cuts by coordinates and shows the page."""

    queue: int = option(32, "most requests at once, waiting ones included", unit="N", minimum=1)
    max_bytes: int = option(2**25, "most bytes of a request, its picture included", unit="N", minimum=1)
    store_bytes: int = option(2**29, "bound of the images in memory; those unused for longest go", unit="N", minimum=3)
    max_prompts: int = option(256, "most targets of a request, and of requests cut together", unit="N", minimum=1)
    seconds: float = option(120.0, "how long a request may wait and be worked on", unit="S", above=0)
    refine: str = option("cfpg,mbo", "refiners that a request may ask for; none offers none", unit="NAME,NAME")

    def build_recipes(self, recipes: Sequence[Recipe]) -> Recipes:
        """Load what recipes need; a segmenter that several share is loaded once.

        Raises:
            InputError: none, two of one name, or one that has no prompter to ask.
        """
        from fiducial.server.recipes import load_recipes

        return load_recipes(recipes, self.refine, self.memory_bytes, self.max_prompts)
