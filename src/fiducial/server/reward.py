"""The reward service: images by digest in a bounded store, prompts of completions in, masks out.

:mod:`fiducial.rewards.wire` tells what is written to it and by it. Beside that, ``GET /healthz`` says that the process
lives, ``GET /readyz`` that it takes requests (neither asks for the key), and ``GET /v1/service`` tells its segmenter,
limits and counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fiducial.config import as_plain
from fiducial.errors import MissingExtraError
from fiducial.remote import Key
from fiducial.rewards.wire import read_completions, write_cuts
from fiducial.server.cutting import Cutter
from fiducial.server.gate import RETRY_AFTER, Gate
from fiducial.server.problems import ProblemError, tell_problems
from fiducial.server.store import ImageStore, check_digest

try:
    from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
except ModuleNotFoundError as error:
    raise MissingExtraError("a server", "serve", f"no module {error.name!r}") from error

if TYPE_CHECKING:
    from fiducial.rewards.service import MaskService
    from fiducial.server.configs import RewardServerConfig

Side = Annotated[int, Query(ge=1, le=2**31 - 1)]


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
        digest = check_digest(digest)
        size = store.check(width, height)
        with gate.place():
            pixels = await gate.read(request, "application/octet-stream", size, f"{width} x {height} pixels of RGB")
            await asyncio.to_thread(store.put, digest, width, height, pixels)

    @guarded.post("/images/{digest}/masks")
    async def post_masks(request: Request, digest: str) -> Response:
        digest = check_digest(digest)
        image = store.get(digest)
        with gate.place():
            body = await gate.read(request, "application/json", config.max_bytes, "the limit --max-bytes")
            completions = await asyncio.to_thread(read_completions, body, image.frame, config.max_prompts)
            cuts = await asyncio.wrap_future(cutter.cut(image, completions))
            return Response(await asyncio.to_thread(write_cuts, cuts), media_type="application/json")

    app.include_router(guarded)
    return app
