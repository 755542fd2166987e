"""Tokens a second of a vision-language prompter: alone and batched, with weights as they are, in 8 and in 4 bits.

The whole way is timed, from pictures and words to answers, with a fixed number of tokens a reply: the end token is not
allowed, so that what a model happens to say changes nothing. Without ``--model`` it is a LLaVA of about 9 million
parameters with random weights: 144 visual tokens, 6 layers of width 320. Nothing is downloaded. How much accuracy fewer
bits cost says ``fiducial evaluate DATASET --prompter vlm:MODEL --set prompter.quantize=int8``.

    python benchmarks/prompter_speed.py
    python benchmarks/prompter_speed.py --model "FOLDER?dialect=think2seg"
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recording import record

from fiducial.config import read_part
from fiducial.images import Image
from fiducial.prompters.model_configs import VLMConfig
from fiducial.prompters.templates import read_template, template_names
from fiducial.prompters.vlm import VLMPrompter
from fiducial.prompters.vlm.loading import weight_bytes

SIDE, PATCH, WIDTH, LAYERS = 168, 14, 320, 6
Clock = Callable[[], float]
BITS = (None, "int8", "int4")
WORDS = ("the disc", "the two largest ships near the pier", "every red car in the top left corner", "boat")
CHAT = (
    "<s>{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}\n{% endif %}"
)


def small_llava(folder: Path) -> Path:
    """Save a small LLaVA with random weights and a tokenizer of our prompts' words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlavaConfig, LlavaForConditionalGeneration, PreTrainedTokenizerFast
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

    base = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    base.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    base.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)
    base.train_from_iterator([read_template(name).user for name in template_names()], trainer)
    base.add_special_tokens(["<unk>", "<s>", "</s>", "<image>", "<pad>"])
    marks = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    words = PreTrainedTokenizerFast(tokenizer_object=base, **marks)
    words.chat_template = CHAT
    words.save_pretrained(folder)
    image, pad = (int(words.convert_tokens_to_ids(token)) for token in ("<image>", "<pad>"))
    tower = {"hidden_size": 160, "intermediate_size": 640, "num_hidden_layers": 3, "num_attention_heads": 4}
    text = {
        "model_type": "llama",
        "vocab_size": len(words),
        "hidden_size": WIDTH,
        "intermediate_size": 896,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 5,
        "num_key_value_heads": 5,
        "max_position_embeddings": 4096,
        "pad_token_id": pad,
        "eos_token_id": words.eos_token_id,
        "bos_token_id": words.bos_token_id,
    }
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", "image_size": SIDE, "patch_size": PATCH, **tower},
        text_config=text,
        image_token_id=image,
        image_seq_length=(SIDE // PATCH) ** 2,
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    square = {"height": SIDE, "width": SIDE}
    LlavaImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=square).save_pretrained(folder)
    return folder


def questions(count: int) -> tuple[list[Image], list[str]]:
    """Return so many pictures of noise with instructions of several lengths."""
    rng = np.random.default_rng(0)
    pictures = [Image(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)) for _ in range(count)]
    return pictures, [WORDS[place % len(WORDS)] for place in range(count)]


def seconds(prompter: VLMPrompter, count: int, tokens: int, clock: Clock) -> float:
    """Return the seconds for a batch of questions with so many tokens a reply."""
    chosen = prompter.model.generation_config
    chosen.max_new_tokens = chosen.min_new_tokens = tokens
    pictures, words = questions(count)
    started = clock()
    prompter.ask(pictures, words)
    return clock() - started


def row(count: int, tokens: int, first: float, whole: float) -> dict[str, Any]:
    """Write down one batch size: the whole, and the part up to the first token."""
    return {
        "batch": count,
        "seconds": round(whole, 3),
        "seconds_to_the_first_token": round(first, 3),
        "tokens_per_second": round(count * tokens / whole, 1),
        "tokens_per_second_after_the_first": round(count * (tokens - 1) / max(whole - first, 1e-9), 1),
    }


def measure(config: VLMConfig, batches: list[int], tokens: int, repeats: int, clock: Clock) -> dict[str, Any]:
    """Load the model with every number of bits, and time every batch size side by side, in turns."""
    found: dict[str, Any] = {}
    prompters: dict[str, VLMPrompter] = {}
    for bits in BITS:
        options = {"quantize": bits, "dtype": "float32", "batch_size": max(batches), "stop": "never", "device": "cpu"}
        prompter = prompters[bits or "float32"] = VLMPrompter.from_config(config.with_settings(options))
        found[bits or "float32"] = {
            "weights_MB": round(weight_bytes(prompter.model) / 1e6, 2),
            "language_tower_MB": round(weight_bytes(prompter.model.model.language_model) / 1e6, 2),
            "batches": [],
        }
        seconds(prompter, 1, 2, clock)  # warm up
    for count in batches:
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in prompters}
        for _ in range(repeats):
            for name, prompter in prompters.items():
                times[name].append((seconds(prompter, count, 1, clock), seconds(prompter, count, tokens, clock)))
        for name, pairs in times.items():
            first, whole = (statistics.median(column) for column in zip(*pairs, strict=True))
            found[name]["batches"].append(row(count, tokens, first, whole))
        print(count, {name: found[name]["batches"][-1] for name in found}, flush=True)
    plain = found["float32"]
    for one in found.values():
        one["size_over_float32"] = round(one["weights_MB"] / plain["weights_MB"], 2)
        for mine, theirs in zip(one["batches"], plain["batches"], strict=True):
            alone = one["batches"][0]["tokens_per_second"]
            mine["speed_over_float32"] = round(theirs["seconds"] / mine["seconds"], 2)
            mine["speed_over_one_by_one"] = round(mine["tokens_per_second"] / alone, 2)
    return found


def main() -> None:
    """Measure and write the numbers down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder, perhaps with options of the prompter: FOLDER?dialect=NAME")
    parser.add_argument("--tokens", type=int, default=64, help="of a reply")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    # One thread's own time is the same on a machine that does other work too.
    clock = time.process_time if options.threads == 1 else time.perf_counter
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or small_llava(Path(folder))
        config = read_part("prompter", f"vlm:{model}")
        busy = os.getloadavg()[0]
        parameters = sum(weight.numel() for weight in VLMPrompter.from_config(config).model.parameters())
        found = measure(config, options.batches, options.tokens, options.repeats, clock)
    measured = {
        "model": Path(options.model).name if options.model else "LLaVA with random weights",
        "parameters_millions": round(parameters / 1e6, 2),
        "tokens_a_reply": options.tokens,
        "torch_threads": options.threads,
        "seconds_are": "of the process" if options.threads == 1 else "of the clock on the wall",
        "other_work_on_the_machine": f"load average {busy:.1f} on {os.cpu_count()} cores when it began",
        "weights": found,
    }
    record("prompter_speed", measured, ("torch", "transformers", "torchao"))


if __name__ == "__main__":
    main()
