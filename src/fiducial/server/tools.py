"""The recipes as tools of an agent, over the Model Context Protocol: segment, cut and parse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fiducial.errors import FiducialError, ImageError, InputError, MissingExtraError
from fiducial.geometry import Frame, Mask
from fiducial.images import Image, read_image
from fiducial.language.answers import check_instruction
from fiducial.language.dialects import dialect as find_dialect
from fiducial.results import Segmentation
from fiducial.results.png import write_overlay
from fiducial.server.gathering import Gatherer
from fiducial.server.recipes import Job, Recipes

try:
    from anyio import to_thread
    from mcp.server.mcpserver import Image as Picture
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from pydantic import ConfigDict

    from fiducial.server import schemas
except ModuleNotFoundError as error:
    raise MissingExtraError("fiducial serve --mcp", "mcp", f"no module {error.name!r}") from error

Content = list[str | Picture]
"""JSON, and the picture with its masks where it was asked for."""


class AskedTarget(schemas.Target):
    """One target, as an agent writes it: numbers may be whole."""

    model_config = ConfigDict(strict=False)


class Folder:
    """The only folder whose pictures are read.

    Args:
        path: of it.
        max_pixels: refuse larger pictures before decoding.

    Raises:
        InputError: there is no such folder.
    """

    def __init__(self, path: Path, max_pixels: int) -> None:
        if not path.is_dir():
            raise InputError(f"--folder {path}: there is no such folder")
        self.path, self.max_pixels = path.resolve(), max_pixels

    def read(self, name: str) -> Image:
        """Read a picture by its path below the folder.

        Raises:
            InputError: it lies elsewhere, wherever links lead, or there is none; no path outside is told.
        """
        try:
            found = (self.path / name).resolve()
            inside = found.is_relative_to(self.path) and found.is_file()
        except (OSError, ValueError, RuntimeError):  # a name that no file can have, or links in a circle
            inside = False
        if not inside:
            raise InputError(f"path: {name!r:.200} is no file under the folder that this server was started with")
        try:
            image = read_image(found, max_pixels=self.max_pixels)
        except ImageError as error:
            raise ImageError(str(error).replace(str(found), name)) from None
        return Image(image.pixels, found.relative_to(self.path).as_posix(), image.notes)


def tool_server(recipes: Recipes, folder: Folder) -> tuple[MCPServer[Any], Gatherer[Job, Segmentation]]:
    """Make the server, and the thread in which its models work.

    Args:
        recipes: what answers.
        folder: where pictures may lie.
    """
    worker = Gatherer[Job, Segmentation](recipes.work, recipes.kind)
    names = ", ".join(recipes.served)
    server = MCPServer[Any](
        "fiducial",
        instructions="Segments pictures by words or by coordinates. Coordinates are pixels of the picture, x to the "
        f"right and y down, unless a frame is named. Recipes: {names}; the first is the default.",
        log_level="WARNING",
    )

    async def done(job: Job) -> Segmentation:
        recipes.check(job)
        return await to_thread.run_sync(lambda: worker.submit(job).result())

    @server.tool(structured_output=False)
    async def segment(
        path: str, instruction: str, recipe: str | None = None, masks: bool = False, overlay: bool = False
    ) -> Content:
        """Find what an instruction names in a picture: boxes, points, and a mask of each target.

        Args:
            path: of a picture below the server's folder.
            instruction: such as "the two largest ships near the pier".
            recipe: what answers; leave it out for the default.
            masks: whether to return each mask as COCO's run-length code too.
            overlay: whether to return the picture with the masks drawn on it.
        """
        try:
            words, name = check_instruction(instruction), recipes.find(recipe).recipe.name
            image = await to_thread.run_sync(folder.read, path)
            return _told(await done(Job(name, image, words)), masks, overlay)
        except FiducialError as error:
            raise ToolError(str(error)) from None

    @server.tool(structured_output=False)
    async def cut(
        path: str,
        targets: list[AskedTarget],
        frame: schemas.FRAMES = "pixels",
        recipe: str | None = None,
        masks: bool = False,
        overlay: bool = False,
    ) -> Content:
        """Cut one mask per target out of a picture, by boxes and points that you give.

        Args:
            path: of a picture below the server's folder.
            targets: each with a box (x1, y1, x2, y2), with points, or both; point_labels are 1 on the target and 0
                beside it.
            frame: which numbers mean which place: pixels, unit (0 to 1), thousand (0 to 1000), or centred (-1 to 1, y
                up).
            recipe: what cuts; leave it out for the default.
            masks: whether to return each mask as COCO's run-length code too.
            overlay: whether to return the picture with the masks drawn on it.
        """
        try:
            if len(targets) > recipes.max_prompts:
                raise InputError(f"targets: more than the limit of {recipes.max_prompts}")
            name = recipes.find(recipe).recipe.name
            image = await to_thread.run_sync(folder.read, path)
            asked = schemas.Targets(frame=frame, targets=tuple(targets))
            prompts = asked.read(image.width, image.height)
            return _told(await done(Job(name, image, prompts=prompts)), masks, overlay)
        except FiducialError as error:
            raise ToolError(str(error)) from None

    @server.tool(structured_output=False)
    async def parse(reply: str, dialect: str, width: int, height: int) -> Content:
        """Read the coordinates in a vision-language model's reply, mending what it got wrong.

        Args:
            reply: letter by letter.
            dialect: how the model writes coordinates, such as qwen2.5-vl, gemini or sjtu.
            width: of the picture in pixels.
            height: of the picture in pixels.
        """
        try:
            chosen = find_dialect(dialect)
            answer = await to_thread.run_sync(chosen.decode, reply, chosen.frame(width, height))
            prompts = answer.to(Frame.pixels(width, height)).prompts
        except FiducialError as error:
            raise ToolError(str(error)) from None
        told = {"outcome": answer.outcome.value, "text": answer.text, "thinking": answer.thinking}
        return [json.dumps({**told, "targets": prompts.as_json(), "repairs": [*answer.repairs]})]

    return server, worker


def _told(result: Segmentation, masks: bool, overlay: bool) -> Content:
    """Tell a result in few words: an agent reads boxes and areas, not run lengths, unless it asks for them."""
    values = result.as_json()
    written = zip(values["prompts"], values["masks"], values["scores"], result.masks, strict=True)
    targets = [
        {**prompt, "score": score, "mask": _mask(mask) | ({"rle": code} if masks else {})}
        for prompt, code, score, mask in written
    ]
    picture = {"name": result.image.name, "width": result.image.width, "height": result.image.height}
    kept = {key: values[key] for key in ("outcome", "text", "thinking", "repairs")}
    told = json.dumps({"image": picture, **kept, "targets": targets})
    return [told, Picture(data=write_overlay(result, Path()), format="png")] if overlay else [told]


def _mask(mask: Mask) -> dict[str, Any]:
    centroid = None if mask.centroid is None else [round(value, 1) for value in mask.centroid]
    return {"box": mask.box, "area": mask.area, "centroid": centroid}
