"""Tiny vision-language models with random weights, saved as folders like those of the hub.

Each folder holds what a repository of the hub holds at least: config, generation config,
safetensors, tokenizer with its chat template, and a preprocessor_config.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

HIDDEN = 32
CHATML_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
INTERNVL_TOKENS = ("<img>", "</img>", "<IMG_CONTEXT>", "<video>", "<ref>", "</ref>", "<box>", "</box>")
LLAVA_TOKENS = ("<unk>", "<s>", "</s>", "<image>", "<pad>")

CHATML = """{% for message in messages -%}
<|im_start|>{{ message.role }}
{% for part in message.content -%}
{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}
{%- endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
USER_ASSISTANT = """<s>{% for message in messages -%}
{{ message.role | upper }}: {% for part in message.content -%}
{% if part.type == 'image' %}<image>
{% else %}{{ part.text }}{% endif %}
{%- endfor %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"""


@cache
def _byte_pairs() -> str:
    """Train a byte-level vocabulary on the words that prompts use; returned as tokenizer JSON."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from fiducial.prompters.templates import read_template, template_names

    tokenizer = Tokenizer(models.BPE())
    # Digits alone, as the real families have them.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([read_template(name).user for name in template_names()], trainer)
    return str(tokenizer.to_str())


def tokenizer(tokens: tuple[str, ...], chat_template: str, end: str, pad: str, **more: Any) -> Any:
    """Build a tokenizer whose special tokens come behind the words."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    base = Tokenizer.from_str(_byte_pairs())
    base.add_special_tokens(list(tokens))
    fast = PreTrainedTokenizerFast(tokenizer_object=base, eos_token=end, pad_token=pad, **more)
    fast.chat_template = chat_template
    return fast


def _chatml(image: str, tokens: tuple[str, ...] = ()) -> Any:
    return tokenizer(CHATML_TOKENS + tokens, CHATML.replace("IMAGE", image), "<|im_end|>", "<|endoftext|>")


def _ids(words: Any, *tokens: str) -> list[int]:
    return [int(number) for number in words.convert_tokens_to_ids(list(tokens))]


def _text(words: Any, **more: Any) -> dict[str, Any]:
    (pad,) = _ids(words, str(words.pad_token))
    return {
        "vocab_size": len(words),
        "hidden_size": HIDDEN,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 8192,
        "pad_token_id": pad,
        "eos_token_id": words.eos_token_id,
        "bos_token_id": words.bos_token_id,
        **more,
    }


def _rope(*sections: int) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": list(sections)}}


def _clip() -> dict[str, Any]:
    return {
        "model_type": "clip_vision_model",
        "hidden_size": HIDDEN,
        "intermediate_size": 64,
        "projection_dim": HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 56,
        "patch_size": 14,
    }


def _qwen_ids(words: Any) -> dict[str, int]:
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    tokens = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    return dict(zip(names, _ids(words, *tokens), strict=True))


def _qwen_images(patch: int, least: int, greatest: int) -> dict[str, Any]:
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        "min_pixels": least,
        "max_pixels": greatest,
        "patch_size": patch,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }


def _save(folder: Path, make: Callable[[], Any], words: Any, images: dict[str, Any], seed: int) -> Path:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            # The customary 0.02 leaves every input with the same answer.
            if weight.ndim > 1 and "norm" not in name:
                weight.mul_(8)
    model.generation_config.eos_token_id = [words.eos_token_id, words.pad_token_id]
    # As some published checkpoints have it; a prompter must not let it through.
    model.generation_config.repetition_penalty = 1.05
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    (Path(folder) / "preprocessor_config.json").write_text(json.dumps(images), encoding="utf-8")
    return Path(folder)


def tiny_qwen2_vl(folder: Path, seed: int = 0) -> Path:
    """Save a tiny Qwen2-VL: canvases of multiples of 28, 3136 to 50176 pixels."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    words = _chatml("<|vision_start|><|image_pad|><|vision_end|>")
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": HIDDEN, "num_heads": 2, "mlp_ratio": 2, "patch_size": 14}
    config = Qwen2VLConfig(text_config=_text(words, **_rope(2, 3, 3)), vision_config=vision, **_qwen_ids(words))
    images = _qwen_images(14, 56 * 56, 64 * 28 * 28)
    return _save(folder, lambda: Qwen2VLForConditionalGeneration(config), words, images, seed)


def tiny_qwen2_5_vl(folder: Path, seed: int = 0) -> Path:
    """Save a tiny Qwen2.5-VL: canvases of multiples of 28, 3136 to 50176 pixels."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    words = _chatml("<|vision_start|><|image_pad|><|vision_end|>")
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "out_hidden_size": HIDDEN,
        "num_heads": 2,
        "patch_size": 14,
        "window_size": 56,
        "fullatt_block_indexes": [1],
    }
    config = Qwen2_5_VLConfig(text_config=_text(words, **_rope(2, 3, 3)), vision_config=vision, **_qwen_ids(words))
    images = _qwen_images(14, 56 * 56, 64 * 28 * 28)
    return _save(folder, lambda: Qwen2_5_VLForConditionalGeneration(config), words, images, seed)


def tiny_qwen3_vl(folder: Path, seed: int = 0) -> Path:
    """Save a tiny Qwen3-VL: canvases of multiples of 32, 4096 to 65536 pixels."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    words = _chatml("<|vision_start|><|image_pad|><|vision_end|>")
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "out_hidden_size": HIDDEN,
        "num_heads": 2,
        "patch_size": 16,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    text = _text(words, head_dim=16, **_rope(4, 2, 2))
    config = Qwen3VLConfig(text_config=text, vision_config=vision, **_qwen_ids(words))
    images = _qwen_images(16, 64 * 64, 64 * 32 * 32)
    return _save(folder, lambda: Qwen3VLForConditionalGeneration(config), words, images, seed)


def tiny_llava(folder: Path, seed: int = 0) -> Path:
    """Save a tiny LLaVA that sees squares of 56 pixels and, as published, would crop to them."""
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    words = tokenizer(LLAVA_TOKENS, USER_ASSISTANT, "</s>", "<pad>", bos_token="<s>", unk_token="<unk>")
    (image,) = _ids(words, "<image>")
    text = {"model_type": "llama", **_text(words)}
    config = LlavaConfig(vision_config=_clip(), text_config=text, image_token_id=image, image_seq_length=16)
    images = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 56},
        "crop_size": {"height": 56, "width": 56},
        "do_center_crop": True,
    }
    return _save(folder, lambda: LlavaForConditionalGeneration(config), words, images, seed)


def tiny_llava_next(folder: Path, seed: int = 0) -> Path:
    """Save a tiny LLaVA-NeXT with tiles of 56 pixels."""
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration

    words = tokenizer(LLAVA_TOKENS, USER_ASSISTANT, "</s>", "<pad>", bos_token="<s>", unk_token="<unk>")
    (image,) = _ids(words, "<image>")
    grid = [[56, 112], [112, 56], [112, 112]]
    text = {"model_type": "llama", **_text(words)}
    config = LlavaNextConfig(
        vision_config=_clip(), text_config=text, image_token_id=image, image_grid_pinpoints=grid, image_seq_length=16
    )
    images = {
        "image_processor_type": "LlavaNextImageProcessor",
        "size": {"shortest_edge": 56},
        "crop_size": {"height": 56, "width": 56},
        "image_grid_pinpoints": grid,
    }
    return _save(folder, lambda: LlavaNextForConditionalGeneration(config), words, images, seed)


def tiny_internvl(folder: Path, seed: int = 0) -> Path:
    """Save a tiny InternVL with up to four tiles of 56 pixels."""
    from transformers import InternVLConfig, InternVLForConditionalGeneration

    words = _chatml("<IMG_CONTEXT>", INTERNVL_TOKENS)
    (image,) = _ids(words, "<IMG_CONTEXT>")
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": [56, 56],
        "patch_size": [14, 14],
    }
    config = InternVLConfig(
        vision_config=vision,
        text_config={"model_type": "qwen2", **_text(words)},
        image_token_id=image,
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    images = {
        "image_processor_type": "GotOcr2ImageProcessor",
        "size": {"height": 56, "width": 56},
        "crop_to_patches": False,
        "min_patches": 1,
        "max_patches": 4,
    }
    return _save(folder, lambda: InternVLForConditionalGeneration(config), words, images, seed)


BUILDERS = {
    "qwen2_vl": tiny_qwen2_vl,
    "qwen2_5_vl": tiny_qwen2_5_vl,
    "qwen3_vl": tiny_qwen3_vl,
    "llava": tiny_llava,
    "llava_next": tiny_llava_next,
    "internvl": tiny_internvl,
}
"""One builder of a model's folder per ``model_type``."""


def first_logits(monkeypatch: Any, prompter: Any, images: Any, instructions: Any) -> dict[tuple[int, ...], Any]:
    """Ask, and return the logits of each reply's first token by the tokens of its question, padding left out."""
    generate, found = prompter.model.generate, {}

    def watched(**given: Any) -> Any:
        out = generate(**given)
        for row, mask, logits in zip(given["input_ids"], given["attention_mask"], out.logits[0], strict=True):
            found[tuple(row[mask.bool()].tolist())] = logits
        return out.sequences

    with monkeypatch.context() as patch:
        patch.setattr(prompter.model.generation_config, "output_logits", True)
        patch.setattr(prompter.model.generation_config, "return_dict_in_generate", True)
        patch.setattr(prompter.model, "generate", watched)
        prompter.ask(images, instructions)
    return found


def make_say(monkeypatch: Any, prompter: Any, replies: Mapping[str, str], *, finished: bool = True) -> list[Any]:
    """Make a prompter's model say given words, token by token, through its own generation.

    Args:
        monkeypatch: the fixture of pytest.
        prompter: a VLMPrompter.
        replies: the reply to every prompt in which the key occurs.
        finished: end each reply with the end token; otherwise the model goes on with dots.

    Returns:
        A list to which the inputs of every call of ``generate`` are added.
    """
    from transformers import LogitsProcessor

    words, generate, calls = prompter.processor.tokenizer, prompter.model.generate, []
    after = words.eos_token_id if finished else words.encode(".", add_special_tokens=False)[0]

    class Say(LogitsProcessor):
        def __init__(self, rows: Any) -> None:
            self.start = rows.shape[1]
            prompts = [words.decode(row, skip_special_tokens=False) for row in rows]
            said = [next(reply for key, reply in replies.items() if key in prompt) for prompt in prompts]
            self.said = [words.encode(reply, add_special_tokens=False) for reply in said]

        def __call__(self, rows: Any, scores: Any) -> Any:
            step = rows.shape[1] - self.start
            forced = scores.new_full(scores.shape, -1e9)
            for row, ids in enumerate(self.said):
                forced[row, ids[step] if step < len(ids) else after] = 0
            return forced

    def say(**inputs: Any) -> Any:
        calls.append(inputs)
        return generate(**inputs, logits_processor=[Say(inputs["input_ids"])])

    monkeypatch.setattr(prompter.model, "generate", say)
    return calls
