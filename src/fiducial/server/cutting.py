"""The reward service's thread: completions of requests about the same image that wait together are cut together."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.rewards.service import Cut, MaskService
from fiducial.server.gathering import Gatherer, Kind

_Job = tuple[Image, Sequence[Prompts]]


class Cutter(Gatherer[_Job, list[Cut]]):
    """Cuts what is submitted, oldest first; requests about one image that wait together become one call.

    Args:
        service: cuts the masks; nobody else needs to use it.
        max_prompts: most prompts of requests that are put together; a single request may have more.
    """

    def __init__(self, service: MaskService, max_prompts: int) -> None:
        self.service = service
        self.max_prompts = max_prompts
        super().__init__(self._cut, self._kind_of)

    def cut(self, image: Image, completions: Sequence[Prompts]) -> Future[list[Cut]]:
        """Let completions be cut; the result is that of :meth:`fiducial.rewards.service.MaskService.cut`.

        Raises:
            RuntimeError: the cutter was closed.
        """
        return self.submit((image, completions))

    def _kind_of(self, job: _Job) -> Kind:
        image, completions = job
        return Kind(image.digest, sum(map(len, completions)), self.max_prompts)

    def _cut(self, jobs: Sequence[_Job]) -> list[list[Cut]]:
        cuts = self.service.cut(jobs[0][0], [prompts for _, completions in jobs for prompts in completions])
        found = []
        for _, completions in jobs:
            found.append(cuts[: len(completions)])
            del cuts[: len(completions)]
        return found
