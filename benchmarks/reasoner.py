"""What the joint model costs: a mask without words, a whole answer, a step of training, and how much of them is words.

The weights are those of the package (cg-reasoner-nano), or of another folder. Pictures are noise: nothing of what is
timed depends on what they show, but for the length of the words, which is printed beside.

    python benchmarks/reasoner.py
    python benchmarks/reasoner.py --model RUN/model --batch 8
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from recording import median_seconds, record

from fiducial.config import build, read_part
from fiducial.images import Image
from fiducial.reasoner.model import as_batch, encoder_pixels
from fiducial.reasoner.prompter import on_device

QUESTION = "Where is the polyp in this endoscopy picture?"
ANSWER = "The polyp lies at the upper left, near the centre."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cg-reasoner-nano", help="of the package, or RUN/model")
    parser.add_argument("--batch", type=int, default=8, help="pictures at once")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    told = {"name": "cg-reasoner", "model": arguments.model, "device": "cpu", "dtype": "float32", "presence": 0.0}
    prompter = build(read_part("prompter", told | {"batch_size": arguments.batch}))
    network, asker = prompter.network, prompter.asker
    random = np.random.default_rng(0)
    images = [Image(random.integers(0, 255, (256, 256, 3), np.uint8)) for _ in range(arguments.batch)]
    pixels = as_batch([encoder_pixels(one, network.config.size) for one in images], torch.device("cpu"))
    pictures = [asker.show(one)[0].pixels for one in images]
    chats = [asker.chat(*prompter.template.fill(QUESTION, (0, 0)))] * len(images)

    def tensors(said: str) -> tuple[Any, torch.Tensor]:
        inputs, labels = asker.answered(pictures, chats, [said] * len(images))
        return on_device(inputs, torch.device("cpu"), asker.model.dtype), labels

    asked, answered = tensors(""), tensors(ANSWER)

    def looked() -> Any:
        with torch.inference_mode():
            return network(*asked, pixels)

    def half() -> Any:
        with torch.inference_mode():
            counts = network.counted(asked[0], asked[1])
            prompt = network.projection(
                torch.zeros(*counts.shape, asker.model.config.get_text_config().hidden_size), counts
            )
            return network.decoder(network.encoder(pixels, prompt), prompt)

    def step() -> None:
        network.train()
        network.zero_grad()
        found = network(*answered, pixels)
        (found.logits.mean() + found.presence.mean() + found.points.mean() + found.answer_loss).backward()
        network.eval()

    for weight in (*network.language.parameters(), *network.parameters()):
        weight.requires_grad_(True)
    seconds = {
        "encoder and decoder alone": median_seconds(half) / len(images),
        "forward pass, mask and place": median_seconds(looked) / len(images),
        "whole answer, words and mask": median_seconds(lambda: prompter.ask(images, [QUESTION] * len(images)))
        / len(images),
        "training step, forward and backward": median_seconds(step) / len(images),
    }
    said = [answer.raw for answer in prompter.ask(images, [QUESTION] * len(images))]
    base = seconds["encoder and decoder alone"]
    measured = {
        "model": arguments.model,
        "pictures at once": arguments.batch,
        "threads": arguments.threads,
        "weights": sum(one.numel() for one in network.parameters()),
        "words of an answer, mean": float(np.mean([len(one.split()) for one in said])),
        "seconds a picture": {name: round(value, 4) for name, value in seconds.items()},
        "times the encoder and decoder alone": {name: round(value / base, 2) for name, value in seconds.items()},
    }
    record("reasoner", measured, ("torch", "transformers"))


if __name__ == "__main__":
    main()
