"""The recipe server: pictures and words in, coordinates and masks out, over HTTP; and the page.

What is written to it and by it stands in :mod:`fiducial.server.schemas`, and in ``GET /openapi.json``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from fiducial.config import summary
from fiducial.errors import InputError, MissingExtraError
from fiducial.geometry import Frame
from fiducial.images import Image
from fiducial.images.reading import FORMATS, can_open
from fiducial.language import Answer
from fiducial.language.answers import check_instruction
from fiducial.language.dialects import DIALECTS, dialect
from fiducial.recipes.recipe import part_name
from fiducial.remote import Key
from fiducial.results import Segmentation
from fiducial.results.reading import read_segmentation
from fiducial.server.answers import image_facts, write_json, write_png, write_result
from fiducial.server.gate import RETRY_AFTER, Gate
from fiducial.server.gathering import Gatherer
from fiducial.server.problems import ProblemError, tell_problems
from fiducial.server.recipes import Job, Recipes, Served
from fiducial.server.scenes import DrawnScene, Scenes
from fiducial.server.store import ImageStore, check_digest

try:
    from fastapi import APIRouter, Depends, FastAPI, Request, Response

    from fiducial.server import schemas
    from fiducial.server.bodies import FORM, JSON, Upload, find_image, read_body
    from fiducial.server.documents import ANSWERS, describe, takes
    from fiducial.server.downloads import make_download
    from fiducial.server.files import START, page_files
    from fiducial.server.headers import closed
    from fiducial.server.metrics import Metrics
except ModuleNotFoundError as error:
    raise MissingExtraError("a server", "serve", f"no module {error.name!r}") from error

if TYPE_CHECKING:
    from fiducial.server.configs import RecipeServerConfig

T = TypeVar("T")
G = TypeVar("G", bound=schemas.Given)
_DECODERS = 2
"""How many pictures are decoded at once: each may take as much memory as the largest that is allowed."""


class RecipeServer:
    """What the routes share.

    Args:
        recipes: what answers.
        config: the limits.
        key: what requests have to bring.
    """

    def __init__(self, recipes: Recipes, config: RecipeServerConfig, key: Key) -> None:
        self.recipes, self.config = recipes, config
        self.gate = Gate(config, key)
        self.store = ImageStore(config.store_bytes, config.max_pixels)
        self.scenes = Scenes()
        self.worker = Gatherer[Job, Segmentation](recipes.work, recipes.kind)
        self.metrics = Metrics()
        self._decoding = asyncio.Semaphore(_DECODERS)
        gauge = self.metrics.gauge
        gauge("fiducial_inside", "requests that are being answered, waiting ones included", lambda: self.gate.inside)
        gauge("fiducial_images", "images in memory", lambda: len(self.store))
        gauge("fiducial_image_bytes", "what they take", lambda: self.store.size)
        gauge("fiducial_worked_requests", "requests that the models did", lambda: self.worker.counts["requests"])
        gauge("fiducial_worked_calls", "calls in which they did them", lambda: self.worker.counts["calls"])

    async def read(self, request: Request, model: type[G]) -> tuple[G, Upload | None]:
        """Read a request's body."""
        kinds = (JSON, FORM) if issubclass(model, schemas.StoreRequest) else (JSON,)
        body = await self.gate.read(request, kinds, self.config.max_bytes, "the limit --max-bytes")
        return await asyncio.to_thread(read_body, model, request, body)

    async def image(self, given: schemas.Encoded | schemas.Known | None, upload: Upload | None) -> Image:
        """Return the image that a request is about."""
        if isinstance(given, schemas.Known):
            scene = self.scenes.by_digest(check_digest(given.digest))
            return scene or find_image(given, upload, self.store)
        async with self._decoding:
            return await asyncio.to_thread(find_image, given, upload, self.store)

    async def work(self, request: Request, job: Job) -> Segmentation:
        """Have a job done; who goes away meanwhile, or waits for too long, has it taken out of the line."""
        self.recipes.check(job)
        try:
            waiting = self.worker.submit(job)
        except RuntimeError:
            raise ProblemError(503, "the server is closing", headers=RETRY_AFTER) from None
        result = await _answered(request, waiting, self.config.seconds)
        self.metrics.count(job.recipe, result)
        return result


def recipe_app(recipes: Recipes, config: RecipeServerConfig, key: Key) -> FastAPI:
    """Make the application.

    Args:
        recipes: what answers, in one thread.
        config: the limits.
        key: what requests have to bring.
    """
    server = RecipeServer(recipes, config, key)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(server.worker.close)  # what was asked for is answered by now

    app = FastAPI(title="fiducial", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.server = server
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # FastAPI says to
    app.add_middleware(closed)
    app.add_middleware(server.metrics.watched)
    tell_problems(app)

    async def allowed(request: Request) -> None:  # a plain function would cost a thread for each request
        server.gate.check(request)

    guarded = APIRouter(dependencies=[Depends(allowed)])
    _add_work(guarded, server)
    _add_words(guarded, server)
    _add_facts(guarded, server)
    app.include_router(guarded)
    _add_open(app, server)
    return app


def _add_work(routes: APIRouter, server: RecipeServer) -> None:
    """Add what the models are needed for."""

    @routes.post(
        "/v1/segment", response_model=schemas.Segmented, responses=ANSWERS, openapi_extra=takes(schemas.SegmentRequest)
    )
    async def segment(request: Request) -> Response:
        """Segment by instruction."""
        with server.gate.place():
            asked, upload = await server.read(request, schemas.SegmentRequest)
            words = check_instruction(asked.instruction)
            served = server.recipes.find(asked.recipe)
            image = await server.image(asked.image, upload)
            job = Job(served.recipe.name, image, words, None, asked.options.read())
            return await _json(write_result, await server.work(request, job), asked.masks)

    @routes.post(
        "/v1/cut", response_model=schemas.Segmented, responses=ANSWERS, openapi_extra=takes(schemas.CutRequest)
    )
    async def cut(request: Request) -> Response:
        """Cut by coordinates."""
        with server.gate.place():
            asked, upload = await server.read(request, schemas.CutRequest)
            if len(asked.prompts.targets) > server.config.max_prompts:
                raise ProblemError(422, f"prompts: more targets than the limit of {server.config.max_prompts:,}")
            served = server.recipes.find(asked.recipe)
            image = await server.image(asked.image, upload)
            prompts = asked.prompts.read(image.width, image.height)
            job = Job(served.recipe.name, image, asked.instruction.strip(), prompts, asked.options.read())
            return await _json(write_result, await server.work(request, job), asked.masks)

    @routes.post(
        "/v1/images", response_model=schemas.ImageFacts, responses=ANSWERS, openapi_extra=takes(schemas.StoreRequest)
    )
    async def keep(request: Request) -> Response:
        """Keep an image, to ask about it by its digest."""
        with server.gate.place():
            asked, upload = await server.read(request, schemas.StoreRequest)
            return await _json(write_json, image_facts(await server.image(asked.image, upload)))


def _add_words(routes: APIRouter, server: RecipeServer) -> None:
    """Add what needs no model."""

    @routes.post(
        "/v1/parse", response_model=schemas.Parsed, responses=ANSWERS, openapi_extra=takes(schemas.ParseRequest)
    )
    async def parse(request: Request) -> Response:
        """Read a model's reply into coordinates."""
        with server.gate.place():
            asked, _ = await server.read(request, schemas.ParseRequest)
            return await _json(_parsed, asked)

    @routes.post(
        "/v1/write", response_model=schemas.Written, responses=ANSWERS, openapi_extra=takes(schemas.WriteRequest)
    )
    async def write(request: Request) -> Response:
        """Write coordinates as a model family would."""
        with server.gate.place():
            asked, _ = await server.read(request, schemas.WriteRequest)
            return await _json(_written, asked)

    @routes.post("/v1/download", responses=ANSWERS, openapi_extra=takes(schemas.DownloadRequest))
    async def download(request: Request) -> Response:
        """Turn a result, which may have been edited, into a file."""
        with server.gate.place():
            asked, _ = await server.read(request, schemas.DownloadRequest)
            image = await server.image(asked.image, None)
            result = await asyncio.to_thread(read_segmentation, asked.result, image)
            file = await asyncio.to_thread(make_download, result, asked.format)
            return Response(file.data, media_type=file.type, headers={"Content-Disposition": file.disposition})


def _add_facts(routes: APIRouter, server: RecipeServer) -> None:
    """Add what tells what there is."""

    @routes.get("/v1/recipes", response_model=list[schemas.RecipeFacts], responses=ANSWERS)
    async def recipes() -> Response:
        """List the recipes that this server answers with; the first is the default."""
        return await _json(lambda: write_json([_facts(one, server.config) for one in server.recipes.served.values()]))

    @routes.get("/v1/dialects", response_model=list[schemas.DialectFacts], responses=ANSWERS)
    async def dialects() -> Response:
        """List the ways in which model families write coordinates."""
        found = [DIALECTS[name] for name in DIALECTS]
        told = [{"name": d.name, "summary": d.summary, "families": d.families, "extent": d.extent} for d in found]
        return await _json(write_json, told)

    @routes.get("/v1/scenes", response_model=list[schemas.SceneFacts], responses=ANSWERS)
    async def scenes() -> Response:
        """List the drawn scenes, each with its instruction and exact truth."""
        return await _json(lambda: write_json([_scene(one) for one in server.scenes.every()]))

    @routes.get("/v1/scenes/{name}.png", response_class=Response, responses=ANSWERS)
    async def scene(name: str) -> Response:
        """Return the picture of a scene."""
        try:
            image = (await asyncio.to_thread(server.scenes.find, name)).image
        except InputError as error:
            raise ProblemError(404, str(error)) from None
        return Response(await asyncio.to_thread(write_png, image), media_type="image/png")

    @routes.get("/v1/images/{digest}", response_class=Response, responses=ANSWERS)
    async def stored(digest: str) -> Response:
        """Return an image that was sent before, as a PNG file."""
        image = await server.image(schemas.Known(digest=check_digest(digest)), None)
        return Response(await asyncio.to_thread(write_png, image), media_type="image/png")

    @routes.get("/metrics", response_class=Response, responses=ANSWERS)
    async def metrics() -> Response:
        """Tell counts and times as Prometheus reads them."""
        return Response(server.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_open(app: FastAPI, server: RecipeServer) -> None:
    """Add what needs no key."""

    @app.get("/healthz", response_model=schemas.Status)
    async def healthz() -> dict[str, str]:
        """Say that the process lives."""
        return {"status": "ok"}

    @app.get("/readyz", response_model=schemas.Status, responses=ANSWERS)
    async def readyz() -> dict[str, str]:
        """Say that requests are taken."""
        if not server.worker.ready:
            raise ProblemError(503, "the server is closing", headers=RETRY_AFTER)
        return {"status": "ready"}

    shown = page_files()

    @app.get("/", include_in_schema=False)
    async def start(request: Request) -> Response:
        return await page(request, START)

    @app.get("/page/{path:path}", include_in_schema=False)
    async def page(request: Request, path: str) -> Response:
        if (file := shown.get(path)) is None:
            raise ProblemError(404, f"the page has no file {path!r:.80}")
        headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.data, media_type=file.type, headers=headers)


# -- the work of single routes ----------------------------------------------------------------------------


async def _json(write: Callable[..., bytes], *given: Any) -> Response:
    """Write an answer in another thread: large masks take a while."""
    return Response(await asyncio.to_thread(write, *given), media_type=JSON)


async def _answered(request: Request, done: Future[T], seconds: float) -> T:
    """Wait for a result; drop it where nobody waits any more, or after a time."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    result, leaving = asyncio.wrap_future(done), asyncio.ensure_future(gone())
    try:
        either: set[asyncio.Future[Any]] = {result, leaving}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if result.done():
            return result.result()
        if leaving.done():
            raise ProblemError(400, "the request broke off")  # nobody is left to read it
        raise ProblemError(503, f"there was no answer within {seconds:g} s: ask for less at once", headers=RETRY_AFTER)
    finally:
        leaving.cancel()
        result.cancel()


def _parsed(asked: schemas.ParseRequest) -> bytes:
    chosen = dialect(asked.dialect)
    frame = chosen.frame(asked.width, asked.height, asked.canvas)
    answer: Answer = chosen.decode(asked.reply, frame, strict=asked.strict).to(Frame.pixels(asked.width, asked.height))
    return write_json(
        {
            "outcome": answer.outcome.value,
            "text": answer.text,
            "thinking": answer.thinking,
            "prompts": answer.prompts.as_json(),
            "repairs": [*answer.repairs],
        }
    )


def _written(asked: schemas.WriteRequest) -> bytes:
    chosen = dialect(asked.dialect)
    prompts = asked.prompts.read(asked.width, asked.height)
    frame = chosen.frame(asked.width, asked.height, asked.canvas)
    return write_json({"text": chosen.encode(prompts, frame, thinking=asked.thinking)})


def _facts(served: Served, config: RecipeServerConfig) -> dict[str, Any]:
    recipe, pipeline = served.recipe, served.pipeline
    written = getattr(getattr(pipeline.prompter, "dialect", None), "name", None)
    threshold = {"name": "threshold", "type": "number in 0..1", "values": None, "default": None}
    refine = {"name": "refine", "type": "list", "values": [*served.refiners], "default": [*served.own_refiners]}
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "source": recipe.source,
        "prompter": None if recipe.prompter is None else part_name(recipe.prompter),
        "segmenter": None if recipe.segmenter is None else part_name(recipe.segmenter),
        "segments": pipeline.prompter is not None,
        "cuts": pipeline.segmenter is not None,
        "dialects": [written] if written else [],
        "options": [
            {**threshold, "help": "targets whose score lies below it are left out"},
            {**refine, "help": "refiners that work on prompts and masks"},
        ],
        "refiners": [
            {"name": name, "summary": summary(type(one)), "refines": refines}
            for refines, some in (("prompts", served.prompt_refiners), ("masks", served.mask_refiners))
            for name, one in some.items()
        ],
        "images": {
            "formats": [name for name in FORMATS if can_open(name)],
            "max_pixels": config.max_pixels,
            "max_bytes": config.max_bytes,
        },
    }


def _scene(drawn: DrawnScene) -> dict[str, Any]:
    sample = drawn.sample
    return {
        "name": drawn.name,
        "instruction": sample.instruction,
        "image": image_facts(drawn.image),
        "width": drawn.image.width,
        "height": drawn.image.height,
        "truth": sample.truth.to_coco(),
        "labels": [*sample.labels],
        "masks": [mask.to_coco() for mask in sample.instances or ()],
    }
