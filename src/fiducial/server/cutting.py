"""The one thread in which a server's segmenter works: what waits for the same image is cut together."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.rewards.service import Cut, MaskService


@dataclass(slots=True, eq=False)
class _Request:
    image: Image
    completions: Sequence[Prompts]
    done: Future[list[Cut]] = field(default_factory=Future)

    @property
    def prompts(self) -> int:
        return sum(map(len, self.completions))


class Cutter:
    """Cuts what is submitted, oldest first; requests about one image that wait together become one call.

    ``counts`` says how many ``requests`` became how many ``calls``. How many may wait is the caller's to bound.

    Args:
        service: cuts the masks; nobody else needs to use it.
        max_prompts: most prompts of requests that are put together; a single request may have more.
    """

    def __init__(self, service: MaskService, max_prompts: int) -> None:
        self.service = service
        self.max_prompts = max_prompts
        self.counts: Counter[str] = Counter()
        self._waiting: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="fiducial-cutter", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether what is submitted will be cut."""
        return self._thread.is_alive() and not self._closing

    def submit(self, image: Image, completions: Sequence[Prompts]) -> Future[list[Cut]]:
        """Let completions be cut; the result is that of :meth:`fiducial.rewards.service.MaskService.cut`.

        Raises:
            RuntimeError: the cutter was closed.
        """
        request = _Request(image, completions)
        with self._changed:
            if self._closing:
                raise RuntimeError("the cutter was closed")
            self._waiting.append(request)
            self._changed.notify()
        return request.done

    def close(self) -> None:
        """Finish what was submitted, take nothing more, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while requests := self._next():
            # Whoever went away meanwhile gets nothing; from here on nobody can.
            if wanted := [request for request in requests if request.done.set_running_or_notify_cancel()]:
                self._cut(wanted)

    def _next(self) -> list[_Request]:
        """Wait for the oldest request, and take along what waits for the same image; nothing left and closing: []."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            taken: list[_Request] = []
            prompts = 0
            for request in tuple(self._waiting):
                alike = not taken or request.image.digest == taken[0].image.digest
                if alike and (not taken or prompts + request.prompts <= self.max_prompts):
                    taken.append(request)
                    prompts += request.prompts
                    self._waiting.remove(request)
            return taken

    def _cut(self, requests: list[_Request]) -> None:
        completions = [prompts for request in requests for prompts in request.completions]
        try:
            cuts = self.service.cut(requests[0].image, completions)
        except Exception as error:  # noqa: BLE001  # it belongs to whoever asked; the thread has to go on for the others
            if len(requests) == 1:
                requests[0].done.set_exception(error)
                return
            for request in requests:  # so that it meets nobody else
                self._cut([request])
            return
        self.counts.update(requests=len(requests), calls=1)
        for request in requests:
            request.done.set_result(cuts[: len(request.completions)])
            del cuts[: len(request.completions)]
