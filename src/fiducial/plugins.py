"""The manifest: which parts exist, by name, and where their code is, loaded only when asked for.

Parts of other packages join through the entry-point group ``fiducial.plugins``: each entry point is a
callable without arguments (or an object) that gives :class:`Part` values.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal

from fiducial.errors import InputError, MissingExtraError, UnknownNameError

Kind = Literal["prompter", "segmenter", "overlay", "prompt_refiner", "mask_refiner", "dataset", "prompt_source"]
GROUP = "fiducial.plugins"
_UNKNOWN_OPTION = ("unexpected keyword argument", "takes no arguments", "takes no keyword arguments")


@dataclass(frozen=True, slots=True)
class Part:
    """One implementation that a recipe can name.

    A part whose ``target`` is a :class:`fiducial.config.Config` class needs no more than kind, name and target: the
    class says the rest (``kind``, ``name`` and ``extra`` as ``ClassVar``, the summary as the first line of its
    docstring, the model as a field ``model: str = option(..., positional=True)``, the device as a field ``device``),
    and its ``build()`` makes the real thing. Several names of one code (``qwen2-vl``, ``qwen3-vl``) are subclasses that
    change a default::

        Part("segmenter", "grabcut", "fiducial.segmenters.configs:GrabCutConfig")

    Args:
        kind: what it implements.
        name: how it is asked for; lower case.
        target: ``module:attribute`` of a callable that builds it.
        summary: one line for people.
        extra: the extra of this package that it needs, or "".
        model: the model it loads when none is named: a hub name, or "" when it needs none.
        takes_model: whether ``NAME:MODEL`` makes sense.
        takes_device: whether it runs on a device that can be chosen.
        options: keyword arguments that this name stands for.
    """

    kind: Kind
    name: str
    target: str
    summary: str = ""
    extra: str = ""
    model: str = ""
    takes_model: bool = False
    takes_device: bool = False
    options: tuple[tuple[str, Any], ...] = ()

    def build(self, model: str | None = None, **options: Any) -> Any:
        """Load the code and build the part.

        Args:
            model: a hub name, folder or file for parts that take one.
            options: keyword arguments of the part.

        Raises:
            InputError: a model for a part that takes none, or an option that it does not know.
            MissingExtraError: a package is not installed.
        """
        what = f"{self.kind} {self.name!r}"
        make = self._load(what)
        if isinstance(make, type) and hasattr(make, "with_settings"):
            config = importlib.import_module("fiducial.config")
            value = f":{model}" if model else ""
            return config.read_part(self.kind, {**config.read_short(self.kind, self.name + value), **options}).build()
        if model and not self.takes_model:
            raise InputError(f"{what} takes no model, got {model!r}: write just {self.name!r}")
        if self.takes_model and not (model or self.model):
            raise InputError(f"{what} needs a model, folder or file: write {self.name}:PATH")
        arguments = {**dict(self.options), **options}
        first = (model or self.model,) if self.takes_model else ()
        try:
            return make(*first, **arguments)
        except TypeError as error:
            if not arguments or not any(said in str(error) for said in _UNKNOWN_OPTION):
                raise
            raise InputError(f"{what} was given an option that it does not know: {error}") from error

    def _load(self, what: str) -> Callable[..., Any]:
        module, _, attribute = self.target.partition(":")
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and error.name.startswith("fiducial"):
                raise
            raise MissingExtraError(what, self.extra or "models", f"no module {error.name!r}") from error
        for name in attribute.split("."):
            found = getattr(found, name)
        return found  # type: ignore[no-any-return]


_PROMPTERS = "fiducial.prompters.configs"
_SEGMENTERS = "fiducial.segmenters.configs"


def _vlm(name: str, config: str, model: str, summary: str) -> Part:
    target = f"{_PROMPTERS}:{config}"
    return Part("prompter", name, target, summary, extra="models", model=model, takes_model=True, takes_device=True)


def _sam(name: str, config: str, model: str, summary: str) -> Part:
    target = f"{_SEGMENTERS}:{config}"
    return Part("segmenter", name, target, summary, extra="models", model=model, takes_model=True, takes_device=True)


BUILT_IN = (
    Part(
        "prompter",
        "classic",
        f"{_PROMPTERS}:ClassicConfig",
        "regions by colour and texture, picked by spatial phrases; no weights, recognises no nouns",
    ),
    Part(
        "prompter",
        "oracle",
        f"{_PROMPTERS}:OracleConfig",
        "prompts that you give: a JSON, JSONL or COCO file",
        takes_model=True,
    ),
    _vlm("vlm", "VLMConfig", "", "any supported vision-language model; its family is read from its configuration"),
    _vlm("qwen2-vl", "Qwen2VLConfig", "Qwen/Qwen2-VL-7B-Instruct", "Qwen2-VL, boxes in thousandths"),
    _vlm("qwen2.5-vl", "Qwen25VLConfig", "Qwen/Qwen2.5-VL-3B-Instruct", "Qwen2.5-VL, pixels of the resized canvas"),
    _vlm("qwen3-vl", "Qwen3VLConfig", "Qwen/Qwen3-VL-4B-Instruct", "Qwen3-VL, boxes in thousandths"),
    _vlm("llava", "LlavaConfig", "llava-hf/llava-1.5-7b-hf", "LLaVA, boxes in fractions"),
    _vlm("internvl", "InternVLConfig", "OpenGVLab/InternVL3-1B-hf", "InternVL, boxes in thousandths"),
    Part(
        "prompter",
        "endpoint",
        f"{_PROMPTERS}:EndpointConfig",
        "a vision-language model behind an OpenAI-compatible server: vLLM, SGLang, Ollama, hosted",
        extra="endpoint",
        takes_model=True,
    ),
    Part(
        "prompter",
        "nano",
        f"{_PROMPTERS}:NanoConfig",
        "our own small detector for a closed vocabulary, spatial phrases pick; its weights come with the package",
        model="nano-grounder",
        takes_model=True,
        takes_device=True,
    ),
    Part(
        "prompter",
        "grounding-dino",
        f"{_PROMPTERS}:GroundingDinoConfig",
        "Grounding DINO finds whatever nouns name, spatial phrases pick among them",
        extra="models",
        model="IDEA-Research/grounding-dino-tiny",
        takes_model=True,
        takes_device=True,
    ),
    Part(
        "prompter",
        "owlv2",
        f"{_PROMPTERS}:Owlv2Config",
        "OWLv2 finds whatever nouns name, spatial phrases pick among them",
        extra="models",
        model="google/owlv2-base-patch16-ensemble",
        takes_model=True,
        takes_device=True,
    ),
    Part(
        "segmenter",
        "nano",
        f"{_SEGMENTERS}:NanoConfig",
        "our own small network; its weights come with the package",
        model="nano-segmenter",
        takes_model=True,
        takes_device=True,
    ),
    Part(
        "segmenter",
        "truth",
        "fiducial.evaluation.prompting:TrueMasks",
        "the true masks themselves, in evaluations: what do refiners do to them?",
    ),
    Part("segmenter", "grabcut", f"{_SEGMENTERS}:GrabCutConfig", "OpenCV GrabCut; no weights"),
    _sam("sam", "SamConfig", "facebook/sam-vit-base", "Segment Anything (ViT)"),
    _sam("sam-hq", "SamHQConfig", "syscv-community/sam-hq-vit-base", "SAM-HQ, finer edges"),
    _sam("sam2", "Sam2Config", "facebook/sam2.1-hiera-small", "Segment Anything 2.1"),
    _sam("sam3", "Sam3Config", "facebook/sam3", "the promptable segmenter of SAM 3"),
    Part(
        "prompt_refiner",
        "cfpg",
        "fiducial.refiners.configs:ForegroundPoint",
        "adds one foreground point per box, by clusters of colour and convexity; no weights",
    ),
    Part(
        "mask_refiner",
        "mbo",
        "fiducial.refiners.configs:BoundaryOptimisation",
        "moves a mask's edge to where the colours change, by GrabCut in a band; no weights",
    ),
    Part("prompt_source", "truth", "fiducial.evaluation.prompting:TruthPrompts"),
    Part("prompt_source", "blind", "fiducial.evaluation.prompting:BlindPrompts"),
    Part("overlay", "grid", "fiducial.overlays:GridOverlay"),
    *(
        Part("dataset", name, f"fiducial.datasets.configs:{described}Config")
        for name, described in {
            "earthreason": "EarthReason",
            "rrsisd": "RrsisD",
            "refcoco": "RefCoco",
            "refcoco+": "RefCocoPlus",
            "refcocog": "RefCocoG",
            "grefcoco": "GRefCoco",
            "refsegrs": "RefSegRs",
            "risbench": "RisBench",
            "reasonseg": "ReasonSeg",
            "coco": "Coco",
            "panoptic": "Panoptic",
            "voc": "Voc",
            "prs-med": "PrsMed",
            "volume": "Volume",
            "folder": "Folder",
        }.items()
    ),
    Part("dataset", "scenes", "fiducial.synthetic.configs:ScenesConfig"),
    Part("dataset", "referring", "fiducial.synthetic.configs:ReferringConfig"),
)


@cache
def parts() -> dict[tuple[str, str], Part]:
    """Return every known part by (kind, name): the built-in ones, then those of plugins.

    A plugin whose code cannot be imported is left out with a warning.

    Raises:
        InputError: a plugin gives something that is no Part, or takes a name that exists.
    """
    known: dict[tuple[str, str], Part] = {}
    for origin, found in [("fiducial", BUILT_IN), *_plugged_in()]:
        for part in found:
            if not isinstance(part, Part):
                raise InputError(f"plugin {origin!r} gives {part!r}, which is no fiducial.plugins.Part")
            if (part.kind, part.name) in known:
                raise InputError(f"plugin {origin!r}: there is a {part.kind} {part.name!r} already")
            known[part.kind, part.name] = part
    return known


def find(kind: Kind, name: str) -> Part:
    """Return the part of that kind and name.

    Raises:
        UnknownNameError: nobody registered it; the closest name is suggested.
    """
    known = parts()
    if (kind, name) not in known:
        raise UnknownNameError(kind.replace("_", " "), name, [n for k, n in known if k == kind])
    return known[kind, name]


def description(kind: str, name: str) -> type[Any]:
    """Return the class that describes a part, a :class:`fiducial.config.Config`.

    Raises:
        UnknownNameError: nobody registered it; the closest name is suggested.
    """
    found: Any = find(kind, name)._load(f"{kind} {name!r}")  # type: ignore[arg-type]
    return found  # type: ignore[no-any-return]


def split_reference(reference: str) -> tuple[str, str | None]:
    """Split ``NAME`` or ``NAME:MODEL``; only the first colon counts, so models may hold one."""
    name, _, model = reference.partition(":")
    return name.strip().lower(), model.strip() or None


def _plugged_in() -> list[tuple[str, Iterable[Part]]]:
    found = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            given = entry.load()
        except (ImportError, AttributeError) as error:
            # One broken package is no reason for every command to fail: its parts are missing, and it is said.
            warnings.warn(f"plugin {entry.name!r} cannot be loaded, its parts are left out: {error}", stacklevel=2)
            continue
        found.append((entry.name, given() if callable(given) else given))
    return found
