"""The reward service: images by digest in a bounded store, prompts of completions in, masks out.

:mod:`fiducial.rewards.wire` tells what is written to it and by it. Beside that, ``GET /healthz`` says that the process
lives, ``GET /readyz`` that it takes requests (neither asks for the key), and ``GET /v1/service`` tells its segmenter,
limits and counts.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from fiducial.cache import LRUCache
from fiducial.config import as_plain
from fiducial.errors import MissingExtraError
from fiducial.images import Image
from fiducial.remote import Key
from fiducial.rewards.wire import UNKNOWN_IMAGE, read_completions, write_cuts
from fiducial.server.cutting import Cutter
from fiducial.server.gate import RETRY_AFTER, Gate
from fiducial.server.problems import ProblemError, tell_problems

try:
    from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
except ModuleNotFoundError as error:
    raise MissingExtraError("a server", "serve", f"no module {error.name!r}") from error

if TYPE_CHECKING:
    from fiducial.rewards.service import MaskService
    from fiducial.server.configs import RewardServerConfig

_DIGEST = re.compile(r"[0-9a-f]{64}")
Side = Annotated[int, Query(ge=1, le=2**31 - 1)]


class ImageStore:
    """The images that were sent, named by their digest, up to a limit.

    Args:
        max_bytes: of all pixels together; images unused for longest go first.
        max_pixels: of one image.
    """

    def __init__(self, max_bytes: int, max_pixels: int) -> None:
        self.max_bytes = max_bytes
        self.max_pixels = max_pixels
        self._images = LRUCache[str, Image](max_bytes, lambda image: int(image.pixels.nbytes))

    def check(self, width: int, height: int) -> int:
        """Return the bytes of an image of that size; 413 where it is too large to be kept."""
        if width * height > self.max_pixels:
            raise ProblemError(413, f"{width} x {height} pixels are more than {self.max_pixels:,}: raise --max-pixels")
        if width * height * 3 > self.max_bytes:
            raise ProblemError(413, f"{width} x {height} pixels do not fit into the store: raise --store-bytes")
        return width * height * 3

    def put(self, digest: str, width: int, height: int, pixels: bytes) -> None:
        """Keep an image; 422 where its pixels are not those that its digest and size say."""
        if len(pixels) != width * height * 3:
            raise ProblemError(
                422, f"{width} x {height} pixels of RGB are {width * height * 3:,} bytes, got {len(pixels):,}"
            )
        image = Image(np.frombuffer(pixels, np.uint8).reshape(height, width, 3), digest[:12])
        if image.digest != digest:
            raise ProblemError(422, f"the pixels have the digest {image.digest}, not {digest}")
        self._images.put(digest, image)

    def get(self, digest: str) -> Image:
        """Return an image; 404 of a type of its own where it is not, or no longer, known."""
        image = self._images.get(digest)
        if image is None:
            raise ProblemError(404, f"no image with the digest {digest} is known: send it (again)", UNKNOWN_IMAGE)
        return image

    def __len__(self) -> int:
        return len(self._images)


def reward_app(service: MaskService, config: RewardServerConfig, key: Key) -> FastAPI:
    """Make the application.

    Args:
        service: cuts the masks, in one thread.
        config: the limits.
        key: what requests have to bring.
    """
    store = ImageStore(config.store_bytes, config.max_pixels)
    cutter = Cutter(service, config.max_prompts)
    gate = Gate(config, key)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(cutter.close)  # what was asked for is answered by now

    app = FastAPI(title="fiducial reward service", lifespan=lifespan, openapi_url=None)
    app.state.cutter, app.state.store, app.state.gate = cutter, store, gate
    tell_problems(app)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        if not cutter.ready:
            raise ProblemError(503, "the server is closing", headers=RETRY_AFTER)
        return {"status": "ready"}

    async def allowed(request: Request) -> None:  # a plain function would cost a thread for each request
        gate.check(request)

    guarded = APIRouter(prefix="/v1", dependencies=[Depends(allowed)])

    @guarded.get("/service")
    async def about() -> dict[str, Any]:
        counts = {**service.counts, **cutter.counts, "inside": gate.inside, "images": len(store)}
        limits = {name: getattr(config, name) for name in ("queue", "max_bytes", "max_pixels", "max_prompts")}
        return {"service": "reward", "segmenter": as_plain(config.segmenter), "limits": limits, "counts": counts}

    @guarded.put("/images/{digest}", status_code=204)
    async def put_image(request: Request, digest: str, width: Side, height: Side) -> None:
        _check_digest(digest)
        size = store.check(width, height)
        with gate.place():
            pixels = await gate.read(request, "application/octet-stream", size, f"{width} x {height} pixels of RGB")
            await asyncio.to_thread(store.put, digest, width, height, pixels)

    @guarded.post("/images/{digest}/masks")
    async def post_masks(request: Request, digest: str) -> Response:
        _check_digest(digest)
        image = store.get(digest)
        with gate.place():
            body = await gate.read(request, "application/json", config.max_bytes, "the limit --max-bytes")
            completions = await asyncio.to_thread(read_completions, body, image.frame, config.max_prompts)
            cuts = await asyncio.wrap_future(cutter.submit(image, completions))
            return Response(await asyncio.to_thread(write_cuts, cuts), media_type="application/json")

    app.include_router(guarded)
    return app


def _check_digest(digest: str) -> None:
    if not _DIGEST.fullmatch(digest):
        raise ProblemError(422, f"a digest has 64 signs of 0-9a-f, got {digest!r:.80}")
