"""Folders as the hub has them: what is found in them, and what is said when something is not."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fiducial.checkpoints import pick_device
from fiducial.errors import HubError, InputError, MissingExtraError, ModelError, UnknownNameError
from fiducial.images import Image
from fiducial.prompters.model_configs import VLMConfig
from fiducial.prompters.vlm import VLMPrompter
from fiducial.prompters.vlm.loading import load, quantise_language_tower, weight_bytes
from tiny.vlm import BUILDERS, first_logits

PICTURE = Image(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    torch.set_num_threads(1)
    made = {}

    def original(family):
        if family not in made:
            made[family] = BUILDERS[family](tmp_path_factory.mktemp(family))
        return made[family]

    return original


@pytest.fixture
def folder(originals, tmp_path):
    """A copy of Qwen2.5-VL's folder to break."""
    return Path(shutil.copytree(originals("qwen2_5_vl"), tmp_path / "model"))


def open_(model, **options):
    return VLMPrompter.from_pretrained(
        model, **{"max_new_tokens": 6, "device": "cpu", "local_files_only": True, **options}
    )


def edit(file, **values):
    data = json.loads(file.read_text())
    file.write_text(json.dumps({**data, **values}))


# -- folders ----------------------------------------------------------------------------------------


def test_names_of_the_files_that_a_tiny_folder_holds(originals):
    """Nothing but what older repositories hold: no processor_config.json, no video settings."""
    assert {file.name for file in originals("internvl").iterdir()} == {
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


@pytest.mark.parametrize(
    ("family", "dialect"),
    [
        ("qwen2_vl", "qwen2-vl"),
        ("qwen2_5_vl", "qwen2.5-vl"),
        ("qwen3_vl", "qwen3-vl"),
        ("llava", "llava"),
        ("llava_next", "llava"),
        ("internvl", "internvl"),
    ],
)
def test_the_family_chooses_dialect_and_template(originals, family, dialect):
    prompter = open_(originals(family))
    assert (prompter.dialect.name, prompter.template.name) == (dialect, dialect)
    assert not prompter.model.training


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "llava"])
def test_processors_save_and_reload_without_torchvision(originals, tmp_path, family):
    first = open_(originals(family)).processor
    first.save_pretrained(tmp_path)
    second = type(first).from_pretrained(tmp_path, backend="pil")
    text = [first.image_token + " dog"]
    one, two = (one([PICTURE.pixels], text=text, return_tensors="pt") for one in (first, second))
    assert set(one) == set(two)
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_chat_template_beside_the_tokenizer(folder):
    """Older checkpoints keep it in chat_template.json."""
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="has no chat template"):
        open_(folder)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert open_(folder).processor.chat_template == template
    (folder / "chat_template.json").write_text(json.dumps({"other": 1}))
    with pytest.raises(InputError, match="has no chat template"):
        open_(folder)


def test_a_tokenizer_without_a_padding_token(folder, monkeypatch):
    edit(folder / "tokenizer_config.json", pad_token=None)
    prompter = open_(folder, batch_size=2)
    assert prompter.processor.tokenizer.pad_token == "<|im_end|>"
    together = first_logits(monkeypatch, prompter, [PICTURE, PICTURE], ["dog", "two dogs by the river"])
    ((question, alone),) = first_logits(monkeypatch, prompter, [PICTURE], ["dog"]).items()
    torch.testing.assert_close(together[question], alone, rtol=1e-3, atol=1e-4)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(InputError, match=r"no model is in this folder, as it has no config\.json"):
        open_(tmp_path)


@pytest.mark.parametrize("nowhere", ["/no/such/folder", "./gone", "~/gone/model", "gone", Path("gone"), "a/b/c"])
def test_a_folder_that_is_not_there(nowhere):
    with pytest.raises(InputError, match="no such folder, and no id of the hub"):
        open_(nowhere)


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        (["model.safetensors"], r"lacks model\.safetensors \(or model\.safetensors\.index\.json\)$"),
        (["preprocessor_config.json"], r"lacks preprocessor_config\.json \(or processor_config\.json\)$"),
        (
            ["tokenizer.json", "model.safetensors"],
            r"lacks model\.safetensors \(or .*\), tokenizer\.json \(or vocab\.json or tokenizer\.model\)$",
        ),
    ],
)
def test_a_folder_that_lacks_files_names_them(folder, gone, named):
    for name in gone:
        (folder / name).unlink()
    with pytest.raises(HubError, match=named):
        open_(folder)


def test_a_shard_that_is_not_there(folder):
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(HubError, match="the folder's files cannot be read"):
        open_(folder)


def test_weights_that_broke_off(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"its weights cannot be read .*fetch the files again"):
        open_(folder)


def test_weights_of_another_model(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop(next(name for name in sorted(weights) if "mlp" in name))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"does not fit a Qwen2_5_VLForConditionalGeneration: 1 weights .*mlp"):
        open_(folder)


def test_other_kinds_of_model(folder):
    edit(folder / "config.json", model_type="gpt2")
    with pytest.raises(UnknownNameError, match=r"unknown vision-language model_type 'gpt2': .*qwen3_vl_moe"):
        open_(folder)
    edit(folder / "config.json", model_type="qwen2_5_vll")
    with pytest.raises(UnknownNameError, match="did you mean 'qwen2_5_vl'"):
        open_(folder)
    data = json.loads((folder / "config.json").read_text())
    del data["model_type"]
    (folder / "config.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="names no model_type"):
        open_(folder)


@pytest.mark.parametrize("packing", ["awq", "gptq", "compressed-tensors"])
def test_packed_weights_are_for_a_server(folder, packing):
    edit(folder / "config.json", quantization_config={"quant_method": packing, "bits": 4})
    (folder / "model.safetensors").write_bytes(b"whatever the packing is")  # it is not read
    with pytest.raises(InputError, match=rf"packed by {packing} .*quantize='int4', or serve .*prompter 'endpoint'"):
        open_(folder)


def test_a_llava_with_a_tower_that_is_not_known(originals):
    from transformers import AutoTokenizer, LlavaConfig

    from fiducial.prompters.vlm.families import FAMILIES

    family, source = FAMILIES["llava"], originals("llava")
    config = LlavaConfig(vision_config={"model_type": "pixtral"})
    images = family.image_processor.from_pretrained(source)
    with pytest.raises(InputError, match="a llava model with a pixtral tower is not supported: known: clip"):
        family.build_processor(images, AutoTokenizer.from_pretrained(source), config, "")


# -- the hub ----------------------------------------------------------------------------------------


def test_an_unreachable_hub_says_what_is_missing_and_where_it_would_go(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(HubError) as caught:
        open_("nobody/no-such-model")
    message = str(caught.value)
    for words in (
        "nobody/no-such-model: not on this machine, and the hub did not send it",
        ": config.json, model.safetensors (or",
        "preprocessor_config.json",
        str(tmp_path / "models--nobody--no-such-model"),
        "'classic', which needs no weights",
    ):
        assert words in message


def test_an_impossible_id():
    with pytest.raises(InputError, match="neither a local folder nor an id of the hub"):
        open_("what is/this?")


# -- device, dtype, quantisation ---------------------------------------------------------------------


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    assert pick_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda"))
    assert pick_device("auto") == torch.device("cuda")
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("dtype", "weights"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_dtypes(originals, dtype, weights):
    prompter = open_(originals("qwen2_5_vl"), dtype=dtype)
    assert {weight.dtype for weight in prompter.model.parameters()} == {weights}
    assert len(prompter.ask([PICTURE], ["dog"])) == 1


def test_the_checkpoints_own_dtype(originals, tmp_path):
    loaded = load(VLMConfig(model=originals("llava"), dtype="bfloat16", local_files_only=True))
    shutil.copytree(originals("llava"), tmp_path / "half")
    loaded.model.save_pretrained(tmp_path / "half")
    assert open_(tmp_path / "half").model.dtype == torch.bfloat16


def linear_layers(model):
    tower = model.model.language_model
    return {name: layer for name, layer in tower.named_modules() if isinstance(layer, torch.nn.Linear)}


@pytest.mark.parametrize("bits", ["int8", "int4"])
@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava", "internvl"])
def test_quantising_changes_the_language_tower_only(originals, family, bits):
    plain, packed = open_(originals(family)), open_(originals(family), quantize=bits)
    weights = dict(plain.model.named_parameters())
    changed = {name for name, weight in packed.model.named_parameters() if type(weight.data) is not torch.Tensor}
    before, after = linear_layers(plain.model), linear_layers(packed.model)
    assert changed == {f"model.language_model.{name}.weight" for name in before}
    kept = {name: weight for name, weight in packed.model.named_parameters() if not name.endswith(".bias")}
    assert all(torch.equal(weight, weights[name]) for name, weight in kept.items() if name not in changed)
    for name, layer in after.items():
        given = torch.randn(3, layer.in_features, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            wanted, got = before[name](given), layer(given)
        error = (got - wanted).norm() / wanted.norm()
        assert got.dtype == wanted.dtype
        assert 0 < error < (0.02 if bits == "int8" else 0.15)
    answers = packed.ask([PICTURE, PICTURE], ["dog", "the two largest ships"])
    assert all(answer.raw for answer in answers)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_quantised_weights_take_less_room(originals, dtype):
    """Counted where they lie: a byte and a scale per row, or half a byte, a scale and a zero per 32 weights."""
    sizes, towers = {}, {}
    for bits in (None, "int8", "int4"):
        prompter = open_(originals("llava"), quantize=bits, dtype=dtype)
        layers = linear_layers(prompter.model).values()
        count = sum(layer.in_features * layer.out_features for layer in layers)
        sizes[bits] = sum(weight_bytes(layer) for layer in layers) / count
        towers[bits] = weight_bytes(prompter.model)
        assert prompter.ask([PICTURE], ["dog"])[0].raw
    assert sizes[None] == (4 if dtype == "float32" else 2)
    assert 1 < sizes["int8"] < 1.3  # rows of 32 weights have dear scales
    assert sizes["int4"] == 0.5 + 2 * 2 / 32
    assert towers["int4"] < towers["int8"] < towers[None]


def test_four_bits_away_from_the_cpu_keep_a_byte_each(originals):
    """What the documentation says of other devices, and no more."""
    model = open_(originals("llava")).model
    before = {name: layer.weight.detach().clone() for name, layer in linear_layers(model).items()}
    assert quantise_language_tower(model, "int4", "cuda") == len(before)
    for name, layer in linear_layers(model).items():
        error = (layer.weight.dequantize() - before[name]).abs().max() / before[name].abs().max()
        assert 0 < error < 0.12
        assert weight_bytes(layer) > before[name].numel()


def test_quantisation_that_cannot_be(originals, monkeypatch):
    with pytest.raises(InputError, match="quantize: 'int2'"):
        open_(originals("llava"), quantize="int2")
    monkeypatch.setitem(__import__("sys").modules, "torchao.quantization", None)
    with pytest.raises(MissingExtraError, match=r"fiducial\[quantize\]"):
        open_(originals("llava"), quantize="int8")


@pytest.mark.parametrize(
    ("layer", "device", "fault"),
    [
        ((33, 16), "cpu", "a multiple of 32 inputs, 1 has 33: use 'int8'"),
        ((48, 16), "cuda", "a multiple of 32 inputs, 1 has 48: use 'int8'"),
        ((32, 24), "cpu", "a multiple of 16 outputs, 1 has 24: use 'int8'"),
    ],
)
def test_four_bits_need_layers_that_fit(layer, device, fault):
    model = torch.nn.Module()
    model.model = torch.nn.Module()
    model.model.language_model = torch.nn.Sequential(torch.nn.Linear(32, 16), torch.nn.Linear(*layer))
    with pytest.raises(InputError, match=fault):
        quantise_language_tower(model, "int4", device)
    assert not any(type(weight.data) is not torch.Tensor for weight in model.parameters())
    assert quantise_language_tower(model, "int8") == 2


def test_experts_that_quantising_does_not_reach_are_refused():
    from transformers.models.qwen3_vl_moe.configuration_qwen3_vl_moe import Qwen3VLMoeTextConfig
    from transformers.models.qwen3_vl_moe.modeling_qwen3_vl_moe import Qwen3VLMoeTextModel

    config = Qwen3VLMoeTextConfig(
        vocab_size=32,
        hidden_size=32,
        intermediate_size=32,
        moe_intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        num_experts=4,
        num_experts_per_tok=2,
    )
    model = torch.nn.Module()
    model.model = torch.nn.Module()
    model.model.language_model = Qwen3VLMoeTextModel(config)
    with pytest.raises(InputError, match=r"does not reach the experts .*gate_up_proj and 1 more.*without quantize"):
        quantise_language_tower(model, "int8")
    model.model.language_model = torch.nn.Sequential(torch.nn.Linear(32, 8), torch.nn.Conv1d(4, 4, 3))
    assert quantise_language_tower(model, "int8") == 1
