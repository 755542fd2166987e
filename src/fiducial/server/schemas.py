"""What is written to a recipe server and by it, as typed models; the server's OpenAPI document is made of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fiducial.errors import MissingExtraError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.language import Outcome
from fiducial.language.answers import MAX_INSTRUCTION
from fiducial.language.dialects import dialect
from fiducial.language.dialects.replies import MAX_CHARACTERS
from fiducial.server.recipes import Options

try:
    from pydantic import BaseModel, ConfigDict, Field
except ModuleNotFoundError as error:
    raise MissingExtraError("a server", "serve", f"no module {error.name!r}") from error

Number = Annotated[float, Field(allow_inf_nan=False)]
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=2**31 - 1)]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Corners = tuple[Number, Number, Number, Number]
Place = tuple[Number, Number]
Name = Annotated[str, Field(max_length=200)]
MASK_FORMS = Literal["rle", "png", "none"]
DOWNLOADS = Literal["overlay", "masks", "json", "coco", "labelme"]


class Given(BaseModel):
    """What is asked for: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Told(BaseModel):
    """What is answered."""

    model_config = ConfigDict(frozen=True)


# -- images -----------------------------------------------------------------------------------------------


class Encoded(Given):
    """A picture file, base64."""

    base64: str = Field(description="the bytes of a picture file, base64 as RFC 4648 has it")
    name: Annotated[str, Field(max_length=4096)] = Field(default="image", description="the file's name")


class Known(Given):
    """An image that was sent before."""

    digest: str = Field(
        pattern="^(sha256:)?[0-9a-f]{64}$", description="as an answer told it: the SHA-256 of size and pixels"
    )


class ImageFacts(Told):
    """An image that a server has; asked again, its digest is enough."""

    name: str
    digest: str = Field(description="sha256:HEX; name it in the next request in place of the picture")
    width: int = Field(description="pixels, upright")
    height: int = Field(description="pixels, upright")


# -- frames and prompts -----------------------------------------------------------------------------------


class Canvas(Given):
    """Pixels of the image after it was resized, aspect kept or not."""

    kind: Literal["canvas"]
    width: Length
    height: Length

    def frame(self, width: int, height: int) -> Frame:
        """Return the frame."""
        return Frame.canvas(self.width, self.height)


class Crop(Given):
    """Pixels counted from the corner (x, y) of a crop."""

    kind: Literal["crop"]
    x: Number
    y: Number

    def frame(self, width: int, height: int) -> Frame:
        """Return the frame of an image of that size."""
        return Frame.crop(self.x, self.y, width, height)


class Letterbox(Given):
    """Pixels of a canvas into which the image was fitted with its aspect kept, then padded."""

    kind: Literal["letterbox"]
    width: Length
    height: Length
    centred: bool = Field(
        default=True, description="whether the padding is on both sides, or at the right and bottom alone"
    )

    def frame(self, width: int, height: int) -> Frame:
        """Return the frame of an image of that size."""
        return Frame.letterbox(width, height, self.width, self.height, centred=self.centred)


class DialectFrame(Given):
    """The frame in which a dialect writes."""

    kind: Literal["dialect"]
    dialect: Name = Field(description="one of GET /v1/dialects")

    def frame(self, width: int, height: int) -> Frame:
        """Return the frame of an image of that size."""
        return dialect(self.dialect).frame(width, height)


class Edges(Given):
    """Any frame: where the image's edges lie in it."""

    kind: Literal["edges"]
    left: Number
    top: Number
    right: Number
    bottom: Number

    def frame(self, width: int, height: int) -> Frame:
        """Return the frame."""
        return Frame(self.left, self.top, self.right, self.bottom)


Described = Annotated[Canvas | Crop | Letterbox | DialectFrame | Edges, Field(discriminator="kind")]
FRAMES = Literal["pixels", "unit", "thousand", "centred"]


class Target(Given):
    """One target: a box and/or points."""

    box: Corners | None = Field(default=None, description="x1, y1, x2, y2 with x1 < x2 and y1 < y2")
    points: tuple[Place, ...] | None = Field(default=(), description="x, y each")
    point_labels: tuple[Literal[0, 1], ...] | None = Field(
        default=None, description="one per point: 1 on the target, 0 beside it; default: all 1"
    )
    label: Annotated[str, Field(max_length=MAX_INSTRUCTION)] | None = Field(
        default=None, description="what it is called"
    )
    score: Number | None = Field(default=None, description="confidence in 0..1")


class Targets(Given):
    """Targets with the frame of all their numbers."""

    frame: FRAMES | Described = Field(default="pixels", description="which numbers mean which place")
    targets: tuple[Target, ...] = ()

    def read(self, width: int, height: int) -> Prompts:
        """Return the prompts for an image of that size, in their own frame.

        Raises:
            GeometryError: a target without box and points, or a box without extent.
        """
        named = {"unit": Frame.unit, "thousand": Frame.thousand, "centred": Frame.centred}
        if isinstance(self.frame, str):
            frame = Frame.pixels(width, height) if self.frame == "pixels" else named[self.frame]()
        else:
            frame = self.frame.frame(width, height)
        made = (
            Prompt(frame, one.box, one.points or (), one.point_labels, one.label, one.score) for one in self.targets
        )
        return Prompts(frame, tuple(made))


# -- requests ---------------------------------------------------------------------------------------------


class OptionsOf(Given):
    """What a request may choose beside the recipe."""

    threshold: Score | None = Field(default=None, description="leave out targets whose score lies below it")
    refine: tuple[Name, ...] | None = Field(
        default=None, description="refiners by name, those of GET /v1/recipes; [] for none; default: the recipe's own"
    )

    def read(self) -> Options:
        """Return the options."""
        return Options(self.refine, self.threshold)


class StoreRequest(Given):
    """Keep an image, to ask about it by its digest."""

    image: Encoded | Known | None = Field(
        default=None,
        description="a picture or the digest of one; left out where the picture is a part of multipart/form-data",
    )


class AboutImage(StoreRequest):
    """What all requests have that ask the models about an image."""

    recipe: Name | None = Field(default=None, description="one of GET /v1/recipes; default: the first")
    options: OptionsOf = Field(default_factory=OptionsOf)
    masks: MASK_FORMS = Field(default="rle", description="COCO run-length codes, PNG files in base64, or no masks")


class SegmentRequest(AboutImage):
    """Segment by instruction."""

    instruction: Annotated[str, Field(max_length=MAX_INSTRUCTION)] = Field(description="what to segment, in words")


class CutRequest(AboutImage):
    """Cut by coordinates."""

    prompts: Targets
    instruction: Annotated[str, Field(max_length=MAX_INSTRUCTION)] = Field(default="", description="words to keep")


class ParseRequest(Given):
    """Read a model's reply."""

    reply: Annotated[str, Field(max_length=4 * MAX_CHARACTERS)] = Field(description="letter by letter")
    dialect: Name = Field(description="one of GET /v1/dialects")
    width: Side = Field(description="of the original image, pixels")
    height: Side = Field(description="of the original image, pixels")
    canvas: tuple[Side, Side] | None = Field(
        default=None, description="width and height that the model was shown; default: the dialect's own rule"
    )
    strict: bool = Field(default=False, description="accept exactly the form, mend nothing")


class WriteRequest(Given):
    """Write prompts as a model family would."""

    prompts: Targets
    dialect: Name = Field(description="one of GET /v1/dialects")
    width: Side = Field(description="of the original image, pixels")
    height: Side = Field(description="of the original image, pixels")
    canvas: tuple[Side, Side] | None = Field(default=None, description="as for /v1/parse")
    thinking: Annotated[str, Field(max_length=MAX_CHARACTERS)] = Field(
        default="", description="goes between the thinking tags, where the dialect has them"
    )


class DownloadRequest(Given):
    """Turn a result into a file of another tool."""

    image: Encoded | Known
    result: dict[str, Any] = Field(description="an answer with its masks as run-length codes; it may have been edited")
    format: DOWNLOADS


# -- answers ----------------------------------------------------------------------------------------------


class PromptOf(Told):
    """One target, in pixels of the image."""

    label: str | None
    score: float | None
    box: tuple[float, float, float, float] | None
    points: list[tuple[float, float]]
    point_labels: list[int]


class Rle(Told):
    """A mask as COCO's compressed run-length code."""

    size: tuple[int, int] = Field(description="height, width")
    counts: str


class Png(Told):
    """A mask as a PNG file: 255 on the target, 0 elsewhere."""

    size: tuple[int, int] = Field(description="height, width")
    png: str = Field(description="base64")


class RefinementOf(Told):
    """What a refiner did to one target."""

    refiner: str
    changed: bool
    reason: str
    figures: dict[str, float | int | str]


class Segmented(Told):
    """The result for one image: coordinates in pixels of it, one mask per prompt, in order."""

    image: ImageFacts
    width: int
    height: int
    instruction: str
    recipe: str
    outcome: Outcome = Field(description="how asking ended; look at it before the masks")
    thinking: str
    text: str = Field(description="in plain words, how the choice was made, or why there is nothing")
    prompts: list[PromptOf] = Field(description="as the segmenter saw them")
    masks: list[Rle | Png] = Field(description='one per prompt; none where "masks" is "none"')
    scores: list[float | None] = Field(description="one per prompt, in 0..1")
    repairs: list[str] = Field(description="what had to be mended, one line each")
    refinements: list[list[RefinementOf]] = Field(description="per prompt, what each refiner did")
    seconds: dict[str, float | None] = Field(description="prompt, encode, decode, refine, total")


class Parsed(Told):
    """What a reply says."""

    outcome: Outcome
    text: str
    thinking: str
    prompts: list[PromptOf] = Field(description="in pixels of the original image")
    repairs: list[str] = Field(description="what had to be mended, one line each")


class Written(Told):
    """Prompts as a model family would write them."""

    text: str


class OptionFacts(Told):
    """One option of a recipe's requests."""

    name: str
    type: str
    values: list[str] | None
    default: Any
    help: str


class ImagesTaken(Told):
    """Which pictures are taken."""

    formats: list[str]
    max_pixels: int
    max_bytes: int = Field(description="of a whole request")


class RefinerFacts(Told):
    """A refiner that a request may ask for."""

    name: str
    summary: str
    refines: Literal["prompts", "masks"]


class RecipeFacts(Told):
    """A recipe that this server answers with."""

    name: str
    summary: str
    source: str
    prompter: str | None
    segmenter: str | None
    segments: bool = Field(description="whether /v1/segment takes it")
    cuts: bool = Field(description="whether /v1/cut takes it")
    dialects: list[str] = Field(description="in which its model writes; none where it gives coordinates itself")
    options: list[OptionFacts]
    refiners: list[RefinerFacts] = Field(description="values of the option refine, in the order in which they work")
    images: ImagesTaken


class DialectFacts(Told):
    """How one model family writes coordinates."""

    name: str
    summary: str
    families: list[str]
    extent: float | None = Field(description="the number at the right and bottom edge; null: pixels of a canvas")


class SceneFacts(Told):
    """A drawn scene with its exact truth."""

    name: str
    instruction: str
    image: ImageFacts = Field(description="its digest is known to the server, whether it was sent or not")
    width: int
    height: int
    truth: Rle = Field(description="what the instruction means, as one mask; empty where nothing is meant")
    labels: list[str]
    masks: list[Rle] = Field(description="the same, one mask per target")


class Status(Told):
    """That the server lives, or takes requests."""

    status: str


class Problem(Told):
    """What was wrong, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
