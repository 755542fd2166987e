"""What prompters with a published model can be given; building one loads its code and its model."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fiducial.checkpoints import Dtype
from fiducial.config import Config, option
from fiducial.errors import InputError
from fiducial.images.image import Resample
from fiducial.prompters.configs import DEVICE
from fiducial.prompters.decoding_configs import DecodingConfig, check_decoding
from fiducial.prompters.phrase_config import PhraseConfig

if TYPE_CHECKING:
    from fiducial.prompters.detector import DetectorPrompter
    from fiducial.prompters.endpoint import EndpointPrompter
    from fiducial.prompters.vlm import VLMPrompter

KEY_VARIABLE = "FIDUCIAL_API_KEY"
_HUB = "a folder, or an id of the hub"
_SUPPRESS = "IoU above which a box goes that overlaps a larger one; none keeps all"
_SUPPRESS_NAME = "IoU above which the worse of two boxes of one name goes; none keeps all"
_CANVAS = "width, height to which every image is stretched; none: the dialect's square, else the aspect is kept"
_RESAMPLE = "how pictures are brought to the canvas: lanczos, bicubic, bilinear, area (the mean of what a pixel covers)"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVocabularyConfig(PhraseConfig):
    """What the detectors of transformers share."""

    kind: ClassVar[str] = "prompter"
    extra: ClassVar[str] = "models"

    model: str = option(help=_HUB, positional=True)
    suppress: float | None = option(0.5, _SUPPRESS_NAME, minimum=0, maximum=1)
    batch_size: int | None = option(None, "most pictures in one run; none: 1 on a CPU, otherwise 4", minimum=1)
    device: str = option("auto", DEVICE)
    dtype: Dtype = option("auto", "of the costly operations; auto is float32, which scores and boxes always are")
    local_files_only: bool = option(False, "never ask the network")
    revision: str | None = option(None, "branch, tag or commit on the hub")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundingDinoConfig(OpenVocabularyConfig):
    """Grounding DINO finds whatever nouns name, spatial phrases pick among them."""

    name: ClassVar[str] = "grounding-dino"

    # Defaults of transformers' post-processing; the demo of the authors' repository has 0.3 and 0.25.
    model: str = option("IDEA-Research/grounding-dino-tiny", _HUB, positional=True)
    box_threshold: float = option(0.25, "least score of a box's best name", minimum=0, maximum=1)
    text_threshold: float = option(0.25, "least score of a name", minimum=0, maximum=1)
    # The model seldom finds a thing twice, so this only takes what lies nearly on top of each other.
    suppress: float | None = option(0.7, _SUPPRESS_NAME, minimum=0, maximum=1)

    def build(self) -> DetectorPrompter:
        """Load the checkpoint."""
        from fiducial.prompters.detector import DetectorPrompter
        from fiducial.prompters.open_vocabulary.grounding_dino import GroundingDinoDetector

        return DetectorPrompter(GroundingDinoDetector.from_config(self), rest=self.rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owlv2Config(OpenVocabularyConfig):
    """OWLv2 finds whatever nouns name, spatial phrases pick among them."""

    name: ClassVar[str] = "owlv2"

    model: str = option("google/owlv2-base-patch16-ensemble", _HUB, positional=True)
    threshold: float = option(0.1, "least score; the default of transformers' post-processing", minimum=0, maximum=1)
    # That of the model's page, with "a" before vowels too, as in CLIP's templates, on whose text encoder it stands.
    template: str = option("a photo of a {}", "the query text, with {} for the name")

    def check(self) -> None:
        """Refuse a template without one place for the name."""
        if self.template.count("{}") != 1:
            raise InputError(f"a template needs one place {{}} for the name, got {self.template!r}")

    def build(self) -> DetectorPrompter:
        """Load the checkpoint."""
        from fiducial.prompters.detector import DetectorPrompter
        from fiducial.prompters.open_vocabulary.owlv2 import Owlv2Detector

        return DetectorPrompter(Owlv2Detector.from_config(self), rest=self.rest)


_DECODE = "how the next token is chosen: semantic, or none for the model's own way"


@dataclass(frozen=True, slots=True, kw_only=True)
class VLMConfig(Config):
    """Any supported vision-language model; its family is read from its configuration."""

    kind: ClassVar[str] = "prompter"
    name: ClassVar[str] = "vlm"
    extra: ClassVar[str] = "models"

    model: str = option(help=_HUB, positional=True)
    dialect: str | None = option(None, "how the model writes coordinates; none: as its family does")
    template: str | None = option(None, "a shipped template, or a .txt file; none: that of the dialect")
    canvas: tuple[int, int] | None = option(None, _CANVAS, unit="pixels", minimum=1)
    resample: Resample = option("lanczos", _RESAMPLE)
    min_pixels: int | None = option(None, "least area of the canvas (Qwen)", unit="pixels", minimum=1)
    max_pixels: int | None = option(None, "greatest area of the canvas (Qwen)", unit="pixels", minimum=1)
    suppress: float | None = option(None, _SUPPRESS, minimum=0, maximum=1)
    max_new_tokens: int = option(1024, "most tokens of a reply", minimum=1)
    # A list is not the last word to the tolerant reader, which reads a second one too; behind the tag it reads nothing.
    stop: Literal["tags", "form", "never"] = option(
        "tags", "end a reply behind </answer>; form: behind the outermost list too; never: the model says when"
    )
    do_sample: bool = option(False, "draw tokens (top-p and top-k of the checkpoint), not the likeliest")
    temperature: float | None = option(None, "of the draws; none is 1", above=0)
    seed: int = option(0, "of the draws; every batch starts from it")
    decode: DecodingConfig | None = option(None, _DECODE)
    batch_size: int = option(4, "most questions at once; memory grows with it", minimum=1)
    device: str = option("auto", DEVICE)
    dtype: Dtype = option("auto", "auto is that of the checkpoint")
    quantize: Literal["int8", "int4"] | None = option(None, "bits per weight of the language tower; needs torchao")
    local_files_only: bool = option(False, "never ask the network")
    revision: str | None = option(None, "branch, tag or commit on the hub")

    def check(self) -> None:
        """Refuse options that do not go together, and names that nobody knows."""
        if self.temperature is not None and not self.do_sample:
            raise InputError("a temperature changes nothing while do_sample is off")
        check_decoding(self.decode, draws=self.do_sample)
        _check_language(self.dialect, self.template)

    @property
    def varies(self) -> bool:
        """Whether asking again, from another seed, may give another answer."""
        return self.do_sample

    def build(self) -> VLMPrompter:
        """Load the checkpoint."""
        from fiducial.prompters.vlm import VLMPrompter

        return VLMPrompter.from_config(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Qwen2VLConfig(VLMConfig):
    """Qwen2-VL, boxes in thousandths."""

    name: ClassVar[str] = "qwen2-vl"
    model: str = option("Qwen/Qwen2-VL-7B-Instruct", _HUB, positional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Qwen25VLConfig(VLMConfig):
    """Qwen2.5-VL, boxes in pixels of the resized canvas."""

    name: ClassVar[str] = "qwen2.5-vl"
    model: str = option("Qwen/Qwen2.5-VL-3B-Instruct", _HUB, positional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Qwen3VLConfig(VLMConfig):
    """Qwen3-VL, boxes in thousandths."""

    name: ClassVar[str] = "qwen3-vl"
    model: str = option("Qwen/Qwen3-VL-4B-Instruct", _HUB, positional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class LlavaConfig(VLMConfig):
    """LLaVA, boxes in fractions."""

    name: ClassVar[str] = "llava"
    model: str = option("llava-hf/llava-1.5-7b-hf", _HUB, positional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class InternVLConfig(VLMConfig):
    """InternVL, boxes in thousandths."""

    name: ClassVar[str] = "internvl"
    model: str = option("OpenGVLab/InternVL3-1B-hf", _HUB, positional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoVLMConfig(VLMConfig):
    """The package's own small vision-language model; it knows drawn shapes and ten kinds of things seen from above."""

    name: ClassVar[str] = "nano-vlm"
    model: str = option("nano-vlm", "of the package; else a folder of the same make-up", positional=True)
    dialect: str | None = option("think2seg", "think2seg (a box and two points each) or sjtu (boxes alone)")
    template: str | None = option(None, "a shipped template, or a .txt file; none: nano- and the dialect")
    canvas: tuple[int, int] | None = option((192, 192), _CANVAS, unit="pixels", minimum=1)
    max_new_tokens: int = option(256, "most tokens of a reply", minimum=1)
    batch_size: int = option(16, "most questions at once; memory grows with it", minimum=1)
    dtype: Dtype = option("float32", "it is kept in half precision, which CPUs compute slowly")

    def build(self) -> VLMPrompter:
        """Load the checkpoint."""
        from fiducial.prompters.vlm import VLMPrompter

        return VLMPrompter.from_config(replace(self, template=self.template or f"nano-{self.dialect}"))


_OURS = {"model", "messages", "temperature", "seed", "n", "stream", "response_format"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig(Config):
    """A vision-language model behind an OpenAI-compatible server: vLLM, SGLang, Ollama, hosted."""

    kind: ClassVar[str] = "prompter"
    name: ClassVar[str] = "endpoint"
    extra: ClassVar[str] = "endpoint"

    model: str = option("", "its name on the server; auto: the only one that the server has", positional=True)
    url: str | None = option(None, "none: FIDUCIAL_ENDPOINT of the environment, else http://localhost:8000/v1")
    dialect: str | None = option(None, "how the model writes coordinates; none: taken from its name")
    template: str | None = option(None, "a shipped template, or a .txt file; none: that of the dialect")
    canvas: tuple[int, int] | None = option(None, _CANVAS, unit="pixels", minimum=1)
    resample: Resample = option("lanczos", _RESAMPLE)
    min_pixels: int | None = option(None, "least area of a picture (Qwen's dialects)", unit="pixels", minimum=1)
    max_pixels: int | None = option(None, "greatest area; none: 1280 patches, a million", unit="pixels", minimum=1)
    image_format: Literal["png", "jpeg"] = option("png", "jpeg (quality 95) is smaller")
    suppress: float | None = option(None, _SUPPRESS, minimum=0, maximum=1)
    max_new_tokens: int = option(1024, "most tokens of a reply", minimum=1)
    stop: Literal["tags", "never"] = option("tags", "have a reply ended at </answer>, where the dialect has it")
    temperature: float | None = option(0.0, "0 takes the likeliest token; none leaves it to the server", minimum=0)
    seed: int = option(0, "of the server's draws, and of the waits between attempts")
    structured: bool = option(False, "make the server hold the model to the dialect's JSON")
    timeout: float = option(120.0, "for one request, to the reply's last byte", unit="seconds", above=0)
    deadline: float = option(600.0, "for one question, attempts and waits together", unit="seconds", above=0)
    concurrency: int = option(8, "most requests at once", minimum=1)
    retries: int = option(4, "most attempts after the first, where trying again may help", minimum=0)
    # For OpenAI's own hosts, and for no other, OPENAI_API_KEY is looked at too.
    key_variable: str | None = option(KEY_VARIABLE, "environment variable that holds the key; none sends none")
    allow_insecure: bool = option(False, "send the key over plain http to another machine too")
    token_limit: Literal["max_tokens", "max_completion_tokens"] = option(
        "max_tokens", "the server's name for max_new_tokens; OpenAI's newer models want the longer"
    )
    extra_body: dict[str, Any] = option({}, "further fields of every request, such as skip_special_tokens")

    def check(self) -> None:
        """Refuse fields of the request that other options set, and names that nobody knows."""
        if taken := sorted(self.extra_body.keys() & {*_OURS, "max_tokens", "max_completion_tokens"}):
            raise InputError(f"extra_body cannot set {', '.join(taken)}: the prompter's own options do")
        try:
            json.dumps(self.extra_body, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"extra_body needs plain JSON values ({error})") from None
        _check_language(self.dialect, self.template)

    @property
    def varies(self) -> bool:
        """Whether asking again, from another seed, may give another answer."""
        return self.temperature != 0

    def build(self) -> EndpointPrompter:
        """Build it; nothing is sent yet."""
        from fiducial.prompters.endpoint import EndpointPrompter

        return EndpointPrompter(self)


def _check_language(dialect: str | None, template: str | None) -> None:
    """Refuse a dialect or template that does not exist."""
    from fiducial.language.dialects import dialect as dialect_named
    from fiducial.prompters.templates import read_template

    if dialect is not None:
        dialect_named(dialect)
    if template is not None:
        read_template(template)
