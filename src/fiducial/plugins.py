"""The manifest: which parts exist, by kind and name, and which class describes each; loaded only when asked for.

Parts of other packages join through the entry-point group ``fiducial.plugins``: each entry point is a class derived
from :class:`fiducial.config.Config` that sets ``kind`` and ``name``, a list of such, or a callable that gives one.
"""

from __future__ import annotations

import importlib
import re
import warnings
from dataclasses import is_dataclass
from functools import cache
from typing import Any

from fiducial.errors import UnknownNameError

GROUP = "fiducial.plugins"
_NAME = re.compile(r"[a-z0-9][a-z0-9+._-]*")  # what the short form can express
_PROMPTERS = "fiducial.prompters.configs:"
_MODELS = "fiducial.prompters.model_configs:"
_SEGMENTERS = "fiducial.segmenters.configs:"
_SAM = "fiducial.segmenters.sam_configs:"
_DATASETS = "fiducial.datasets.configs:"
_TRAINING = "fiducial.training.configs:"
_REWARDS = "fiducial.rewards.configs:"

BUILT_IN = {
    "prompter": {
        "nano": _PROMPTERS + "NanoConfig",
        "classic": _PROMPTERS + "ClassicConfig",
        "oracle": _PROMPTERS + "OracleConfig",
        "endpoint": _MODELS + "EndpointConfig",
        "grounding-dino": _MODELS + "GroundingDinoConfig",
        "owlv2": _MODELS + "Owlv2Config",
        "nano-vlm": _MODELS + "NanoVLMConfig",
        "vlm": _MODELS + "VLMConfig",
        "qwen2-vl": _MODELS + "Qwen2VLConfig",
        "qwen2.5-vl": _MODELS + "Qwen25VLConfig",
        "qwen3-vl": _MODELS + "Qwen3VLConfig",
        "llava": _MODELS + "LlavaConfig",
        "internvl": _MODELS + "InternVLConfig",
        "cg-reasoner": "fiducial.reasoner.model_configs:CGReasonerConfig",
    },
    "decoding": {"semantic": "fiducial.prompters.decoding_configs:SemanticConfig"},
    "segmenter": {
        "nano": _SEGMENTERS + "NanoConfig",
        "grabcut": _SEGMENTERS + "GrabCutConfig",
        "sam": _SAM + "SamConfig",
        "sam-hq": _SAM + "SamHQConfig",
        "sam2": _SAM + "Sam2Config",
        "sam3": _SAM + "Sam3Config",
        "truth": "fiducial.evaluation.prompting:TrueMasksConfig",
    },
    "prompt_refiner": {"cfpg": "fiducial.refiners.configs:ForegroundPoint"},
    "mask_refiner": {"mbo": "fiducial.refiners.configs:BoundaryOptimisation"},
    "overlay": {
        "blank": "fiducial.overlays.blank:BlankOverlay",
        "grid": "fiducial.overlays.grid:GridOverlay",
    },
    "dataset": {
        "coco": _DATASETS + "CocoConfig",
        "earthreason": _DATASETS + "EarthReasonConfig",
        "folder": _DATASETS + "FolderConfig",
        "grefcoco": _DATASETS + "GRefCocoConfig",
        "panoptic": _DATASETS + "PanopticConfig",
        "prs-med": _DATASETS + "PrsMedConfig",
        "reasonseg": _DATASETS + "ReasonSegConfig",
        "refcoco": _DATASETS + "RefCocoConfig",
        "refcoco+": _DATASETS + "RefCocoPlusConfig",
        "refcocog": _DATASETS + "RefCocoGConfig",
        "refsegrs": _DATASETS + "RefSegRsConfig",
        "risbench": _DATASETS + "RisBenchConfig",
        "rrsisd": _DATASETS + "RrsisDConfig",
        "voc": _DATASETS + "VocConfig",
        "volume": "fiducial.volumes.dataset_configs:VolumeConfig",
        "misground": "fiducial.misground.configs:MisgroundConfig",
        "asked": "fiducial.reasoner.configs:AskedConfig",
        "scenes": "fiducial.synthetic.configs:ScenesConfig",
        "referring": "fiducial.synthetic.configs:ReferringConfig",
    },
    "training": {
        "cg-reasoner": "fiducial.training.cg_reasoner_configs:CGReasonerRunConfig",
        "decoder": _TRAINING + "DecoderConfig",
        "grounder": _TRAINING + "GrounderConfig",
        "grpo": "fiducial.training.grpo_configs:GrpoConfig",
        "kinds": "fiducial.training.kinds_configs:KindsConfig",
        "nano-vlm": "fiducial.training.nano_vlm_configs:NanoVLMConfig",
        "segmenter": _TRAINING + "SegmenterConfig",
        "sft": "fiducial.training.sft_configs:SftConfig",
        "sizes": "fiducial.training.sizes_configs:SizesConfig",
        "text2centroid": "fiducial.training.text2centroid_configs:Text2CentroidConfig",
        "words": "fiducial.training.words_configs:WordsConfig",
    },
    "reward": {
        "think2seg": _REWARDS + "Think2SegConfig",
        "visionreasoner": _REWARDS + "VisionReasonerConfig",
        "seg-zero": _REWARDS + "SegZeroConfig",
        "mask-only": _REWARDS + "MaskOnlyConfig",
    },
    "prompt_source": {
        "truth": "fiducial.evaluation.prompting:TruthPrompts",
        "blind": "fiducial.evaluation.prompting:BlindPrompts",
    },
}


def find(kind: str, name: str) -> type[Any]:
    """Return the class that describes a part, a :class:`fiducial.config.Config`.

    Raises:
        UnknownNameError: nobody registered it; the closest name is suggested.
    """
    found: Any = BUILT_IN.get(kind, {}).get(name)  # no plugin can take it, so none needs to be looked for
    if found is None:
        known = parts().get(kind, {})
        if name not in known:
            raise UnknownNameError(kind.replace("_", " "), name, known)
        found = known[name]
    if isinstance(found, str):
        module, _, attribute = found.partition(":")
        found = getattr(importlib.import_module(module), attribute)
    return found  # type: ignore[no-any-return]


def names(kind: str) -> list[str]:
    """Name the parts of a kind: the built-in ones, then those of plugins."""
    return list(parts().get(kind, {}))


@cache
def parts() -> dict[str, dict[str, Any]]:
    """Return every known part by kind and name: its class, or ``module:Class``.

    What a plugin gives is left out with a warning when its code cannot be imported, when it describes no part, or when
    its name is taken: one broken package is no reason for every command to fail.
    """
    from importlib.metadata import entry_points  # 40 ms that --help has no use for

    known: dict[str, dict[str, Any]] = {kind: dict(named) for kind, named in BUILT_IN.items()}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            problems = _join(entry, known)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001
            # Somebody else's code: whatever it raises is no reason for every command to fail. It is left out, and said.
            problems = [f"{type(error).__name__}: {_said_by(error)}"]
        for problem in problems:
            warnings.warn(f"plugin {entry.name!r} is left out: {problem}", stacklevel=2)
    return known


def _join(entry: Any, known: dict[str, dict[str, Any]]) -> list[str]:
    """Put what a plugin gives beside what is known; returns what is wrong with the rest of it."""
    given = entry.load()
    given = given() if callable(given) and not isinstance(given, type) else given
    problems = []
    for described in list(given) if isinstance(given, (list, tuple)) else [given]:
        kind, name = getattr(described, "kind", None), getattr(described, "name", None)
        if not (isinstance(described, type) and is_dataclass(described) and hasattr(described, "with_settings")):
            problems.append(f"{described!r:.200} is no dataclass derived from fiducial.config.Config")
        elif not isinstance(kind, str) or kind not in known or not isinstance(name, str) or not _NAME.fullmatch(name):
            problems.append(f"{described.__name__} needs a kind ({', '.join(known)}) and a lower-case name")
        elif name in known[kind]:
            problems.append(f"the {kind.replace('_', ' ')} {name!r} exists already")
        else:
            known[kind][name] = described
    return problems


def _said_by(error: BaseException) -> str:
    from fiducial.remote import excerpt

    try:
        return excerpt(str(error))
    except Exception:  # noqa: BLE001 - its text is somebody else's code too
        return "it does not say why"
