"""The reward service from the trainer's side: asked as the one in this process is, and waited for when it is gone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fiducial.errors import InputError, ModelError
from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.remote import UNKNOWN_IMAGE
from fiducial.rewards.configs import ServiceConfig
from fiducial.rewards.service import Cut
from fiducial.rewards.wire import image_path, read_cuts, write_completions
from fiducial.services import Service, ServiceError

MOST_SENDINGS = 10
"""How often one image is sent for one request before the service's store is taken for too small."""


class RemoteMaskService:
    """A :class:`fiducial.rewards.service.MaskService` behind HTTP; any number of threads may use it, and it is pickled.

    A service that was killed, is starting or busy is waited for, and the same request made again, so that no completion
    is lost; an image that it does not know is sent first. ``counts`` says what was done from here: ``prompts`` asked
    for, ``failed`` completions, ``images`` sent, ``repeated`` requests.

    Args:
        config: where the service is, and how long it is waited for.
        sleep: waits for seconds.
        clock: tells seconds.
    """

    def __init__(
        self,
        config: ServiceConfig,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.service = Service(config, sleep=sleep, clock=clock)
        self.counts: Counter[str] = self.service.counts

    @property
    def concurrency(self) -> int:
        """How many threads that ask at once gain something."""
        return self.config.concurrency

    def cut(self, image: Image, completions: Sequence[Prompts]) -> list[Cut]:
        """Cut one mask per prompt of each completion, as :meth:`fiducial.rewards.service.MaskService.cut` does.

        Raises:
            ServiceError: the service refuses the request, or was waited for in vain.
        """
        for prompts in completions:
            image.frame.require(prompts.frame, "the prompts of a completion")
        asked = [index for index, prompts in enumerate(completions) if len(prompts)]
        found: list[Cut] = [()] * len(completions)
        if asked:
            cuts = self._ask(image, [completions[index] for index in asked])
            for index, cut in zip(asked, cuts, strict=True):
                found[index] = cut
        failed = sum(isinstance(cut, ModelError) for cut in found)
        self.service.count(prompts=sum(map(len, completions)), failed=failed)
        return found

    def about(self) -> dict[str, Any]:
        """Return what the service says about itself: its segmenter, limits and counts."""
        return self.service.read(self.service.ask("GET", "/v1/service"))

    def close(self) -> None:
        """Close the connections; asking again opens new ones."""
        self.service.close()

    def _ask(self, image: Image, completions: list[Prompts]) -> list[Cut]:
        """Ask for masks; send the image where the service does not have it."""
        service, path, body = self.service, image_path(image.digest), write_completions(completions)
        for _ in range(MOST_SENDINGS):
            try:
                answer = service.ask("POST", f"{path}/masks", body, "application/json")
            except ServiceError as error:
                if error.kind != UNKNOWN_IMAGE:
                    raise
            else:
                return self._read(answer, image, completions)
            pixels = np.ascontiguousarray(image.pixels).tobytes()
            size = f"?width={image.width}&height={image.height}"
            service.ask("PUT", path + size, pixels, "application/octet-stream")
            service.count(images=1)
        raise ServiceError(
            f"{service.at} let {image.name} go {MOST_SENDINGS} times before it was cut: its store is too small for "
            "what is asked at once; raise --store-bytes there, or ask for less at once (concurrency)"
        )

    def _read(self, answer: bytes, image: Image, completions: list[Prompts]) -> list[Cut]:
        try:
            return read_cuts(answer, image, completions)
        except InputError as error:
            raise self.service.senseless(error) from None
