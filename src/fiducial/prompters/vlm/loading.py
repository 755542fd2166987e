"""Loading a vision-language model, and quantising it, with errors that say what is missing and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from fiducial.checkpoints import CONFIG, WEIGHTS, check_complete, first_line, loading, locate, pick_device
from fiducial.errors import InputError, MissingExtraError, ModelError
from fiducial.files import read_json
from fiducial.prompters.model_configs import VLMConfig
from fiducial.prompters.vlm.families import FAMILIES, Family, family_of

_NEEDED = (
    CONFIG,
    WEIGHTS,
    ("tokenizer.json", "vocab.json", "tokenizer.model"),
    ("preprocessor_config.json", "processor_config.json"),
)
"""What a checkpoint holds: one file of each row is enough."""
ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model in evaluation mode on its device, its processor (images and chats to tensors), its family, its source."""

    model: Any
    processor: Any
    family: Family
    source: str


@dataclass(frozen=True, slots=True)
class Adapter:
    """A folder of adapters (LoRA), as peft writes them, and the model that it is for: a folder or an id of the hub."""

    folder: Path
    base: str

    def merged_into(self, model: Any) -> Any:
        """Add what the adapters learned to the weights of their base, in place.

        Raises:
            MissingExtraError: peft is not installed.
            ModelError: they do not fit the model.
        """
        try:
            from peft import PeftModel
        except ImportError as error:
            raise MissingExtraError(f"the adapters in {self.folder}", "train", str(error)) from error
        try:
            return PeftModel.from_pretrained(model, str(self.folder)).merge_and_unload()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{self.folder}: the adapters do not fit {self.base} ({first_line(error)})") from error


def adapter_in(model: str) -> Adapter | None:
    """Return the adapters that a folder holds, None where it is no folder of adapters.

    Raises:
        InputError: they name no base, or lack safetensors; pickled weights are not read.
    """
    folder = Path(model).expanduser()
    if not (folder / ADAPTER).is_file() or (folder / "config.json").is_file():
        return None
    base = read_json(folder / ADAPTER, kind=dict).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise InputError(f"{folder / ADAPTER}: names no base_model_name_or_path to load the adapters on")
    if not (folder / "adapter_model.safetensors").is_file():
        raise InputError(f"{folder}: the folder of adapters lacks adapter_model.safetensors")
    return Adapter(folder, base)


def adapters_of(model: str) -> list[Adapter]:
    """Return the adapters of a folder, and before them those that its base is made of; none where it holds a model.

    Raises:
        InputError: a folder of adapters that is not whole, or that is its own base in the end.
    """
    found: list[Adapter] = []
    while (adapter := adapter_in(model)) is not None:
        if any(adapter.folder.samefile(known.folder) for known in found):
            raise InputError(f"{adapter.folder}: the folder of adapters is its own base")
        found.insert(0, adapter)
        model = adapter.base
    return found


def load(config: VLMConfig) -> Loaded:
    """Load a model of a known family; only safetensors are read, and no code of the checkpoint runs.

    A folder of adapters is loaded on the base that it names, which may be a folder of adapters too.

    Raises:
        HubError: files are neither here nor to be had.
        InputError: no such device, a folder that holds no model, a family or a packing of weights that is not
            supported, or no chat template.
        MissingExtraError: ``quantize`` without torchao.
        ModelError: the checkpoint lacks weights of the model that its config describes, or they do not fit the device.
    """
    import transformers

    device = pick_device(config.device)
    adapters = adapters_of(config.model)
    where: dict[str, Any] = {"local_files_only": config.local_files_only, "revision": config.revision}
    source = locate(adapters[0].base if adapters else config.model, _NEEDED)
    with loading(source, _NEEDED, revision=config.revision):
        stated, _ = transformers.PreTrainedConfig.get_config_dict(source, **where)
        family = _checked_family(source, stated)
        model, report = getattr(transformers, family.model_class).from_pretrained(
            source, **where, dtype=config.dtype, use_safetensors=True, output_loading_info=True
        )
        processor = _load_processor(source, model.config, family, where)
    check_complete(source, family.model_class, report)
    for adapter in adapters:
        model = adapter.merged_into(model)
    if config.quantize is not None:
        quantise_language_tower(model, config.quantize, device.type)
    try:
        return Loaded(model.eval().to(device), processor, family, source)
    except RuntimeError as error:
        hint = "try quantize='int8', dtype='bfloat16' or device='cpu'"
        raise ModelError(f"{source}: the model does not fit {device} ({error}): {hint}") from error


def _load_processor(source: str, config: Any, family: Family, where: Mapping[str, Any]) -> Any:
    """Put a family's processor together from a checkpoint's tokenizer and image settings."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False, **where)
    tokenizer.padding_side = "left"  # generation goes on at the right
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    template = tokenizer.chat_template or _legacy_chat_template(source, where)
    if not template:
        raise InputError(f"{source}: the checkpoint has no chat template, so it is not known how to talk to it")
    image_processor = family.image_processor.from_pretrained(source, **where)
    return family.build_processor(image_processor, tokenizer, config, template)


def _legacy_chat_template(source: str, where: Mapping[str, Any]) -> str | None:
    """Read chat_template.json, where older checkpoints keep what the processor, not the tokenizer, says."""
    from transformers.utils.hub import cached_file

    quiet = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors")}
    found = cached_file(source, "chat_template.json", **quiet, **where)
    if found is None:
        return None
    template = read_json(Path(found), kind=dict).get("chat_template")
    return template if isinstance(template, str) else None


def _checked_family(source: str, config: Mapping[str, Any]) -> Family:
    if "model_type" not in config:
        raise InputError(f"{source}: its config.json names no model_type; known: {', '.join(FAMILIES)}")
    family = family_of(str(config["model_type"]))
    packing = (config.get("quantization_config") or {}).get("quant_method", "")
    if packing and packing != "torchao":
        raise InputError(
            f"{source}: weights packed by {packing} cannot be run in this process: take the checkpoint that is not "
            "packed, with quantize='int4', or serve this one with vLLM and ask it with the prompter 'endpoint'"
        )
    return family


# -- fewer bits per weight of the language tower ---------------------------------------------------------


GROUP = 32
"""Weights that share one scale at four bits, along a layer's inputs."""
_ROWS = 16
"""Outputs that torch's kernel for four bits takes together on a CPU."""


def quantise_language_tower(model: Any, bits: Literal["int8", "int4"], device: str = "cpu") -> int:
    """Replace the weights of the language tower's linear layers in place; return how many layers that are.

    ``"int8"`` has one scale per output row: a little more than a byte a weight. ``"int4"`` has a scale and a zero per
    32 inputs: on a CPU two weights share a byte (0.63 bytes a weight in all), and the products are made in bfloat16,
    whatever the model's dtype, since torch's kernel is fast for no other; on other devices torchao keeps each weight
    in a byte of its own, so that nothing is saved against ``"int8"``. Embeddings, the output head (often one tensor
    with the embeddings) and the vision tower with its projector keep their weights: coordinates are read off the one
    and seen by the other.

    Args:
        model: on the CPU.
        bits: how many bits a weight has left.
        device: the kind of device on which it will run: ``"cpu"``, ``"cuda"``, ...

    Raises:
        MissingExtraError: torchao is not installed, or not in a version that has what is needed.
        InputError: layers that four bits do not fit, or a tower that keeps most of its weights outside linear layers,
            as mixtures of experts do: quantising the rest would save next to nothing.
    """
    try:
        from torchao.prototype.quantization.int4 import PrototypeInt4WeightOnlyConfig
        from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig, quantize_
        from torchao.quantization.granularity import PerGroup
    except ImportError as error:
        raise MissingExtraError(f"quantize={bits!r}", "quantize", str(error)) from error
    tower = model.model.language_model
    layers = {name: layer for name, layer in tower.named_modules() if isinstance(layer, nn.Linear)}
    _refuse_experts(tower, layers)
    config: Any = Int8WeightOnlyConfig()
    if bits == "int4":
        _refuse_odd(layers, on_cpu=device == "cpu")
        config = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(GROUP))  # type: ignore[attr-defined]
    if bits == "int4" and device == "cpu":
        config = PrototypeInt4WeightOnlyConfig(group_size=GROUP, set_inductor_config=False)
        for layer in layers.values():
            _multiply_in_bfloat16(layer)
    quantize_(tower, config, filter_fn=lambda layer, _: isinstance(layer, nn.Linear))
    return len(layers)


def _refuse_odd(layers: Mapping[str, nn.Linear], *, on_cpu: bool) -> None:
    """Refuse layers that torchao would leave as they are without a word, or that its kernel cannot take."""
    for name, layer in layers.items():
        sides = [(layer.in_features, GROUP, "inputs"), (layer.out_features, _ROWS if on_cpu else 1, "outputs")]
        for count, multiple, side in sides:
            if count % multiple:
                raise InputError(
                    f"quantize='int4' needs layers of a multiple of {multiple} {side}, {name} has {count}: use 'int8'"
                )


def _multiply_in_bfloat16(layer: nn.Linear) -> None:
    """Make a layer multiply in bfloat16, whatever it is given, and give back what it was given."""
    dtype = layer.weight.dtype
    layer.to(torch.bfloat16)
    if dtype is not torch.bfloat16:
        layer.register_forward_pre_hook(lambda _, given: (given[0].to(torch.bfloat16),))
        layer.register_forward_hook(lambda _, given, made: made.to(dtype))


def _refuse_experts(tower: nn.Module, layers: dict[str, nn.Linear]) -> None:
    """Refuse a tower whose experts are stacked in tensors of three axes, which torchao does not reach here."""
    kernels = {id(layer.weight) for layer in tower.modules() if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d))}
    stacked = ((name, weight) for name, weight in tower.named_parameters() if weight.ndim >= 3)
    experts = {name: weight.numel() for name, weight in stacked if id(weight) not in kernels}
    if not experts:
        return
    outside = sum(experts.values())
    share = outside / (outside + sum(layer.weight.numel() for layer in layers.values()))
    raise InputError(
        f"quantize does not reach the experts of this model ({next(iter(experts))} and {len(experts) - 1} more, "
        f"{share:.0%} of the weights that count): load it without quantize"
    )


def weight_bytes(module: nn.Module) -> int:
    """Return how many bytes a module's weights take, those that torchao packed with their scales and zeros."""
    total = 0
    for weight in module.parameters():
        flat = getattr(weight.data, "__tensor_flatten__", None)
        parts = [weight] if flat is None else [getattr(weight.data, name) for name in flat()[0]]
        total += sum(part.nbytes for part in parts)
    return total
