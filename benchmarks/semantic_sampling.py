"""Semantic sampling: finding the neighbours of a vocabulary on a CPU, and what the rule adds to a step of decoding.

The table's cost does not depend on what the embeddings hold, so they are random. Cosines are computed in blocks, each
once; ``--blocks N`` measures the first N of them and says how long all would take. The first ones cost most, as nothing
is known yet that a neighbour has to be nearer than. Peak memory is that of a process of its own, beyond the embeddings.

A step of decoding is one forward pass for one more token with a cache of keys and values. The rule's share is the time
inside of the processor over that of the rest of ``generate``; both are also timed as a whole, in turns. Models have
random weights in the shapes of Qwen's with fewer layers, so that a whole model's share is smaller.

    python benchmarks/semantic_sampling.py
    python benchmarks/semantic_sampling.py --blocks 703 --threads 2
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
from recording import RESULTS, record

from fiducial.language.semantic_sampling import BLOCK, NeighbourTable, neighbour_table
from fiducial.prompters.decoding_configs import SemanticConfig

LARGE = {"vocabulary": 151_936, "width": 2048, "layers": 2, "inner": 6144, "heads": 16}
SMALL = {"vocabulary": 905, "width": 320, "layers": 6, "inner": 896, "heads": 5}
K = 10


class _EnoughError(Exception):
    """As many blocks as were asked for."""


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def table(tokens: int, width: int, blocks: int) -> dict[str, Any]:
    """Find the neighbours of random embeddings, or the first blocks of them."""
    embeddings = np.empty((tokens, width), np.float32)
    rng = np.random.default_rng(0)
    for start in range(0, tokens, BLOCK):
        rows = embeddings[start : start + BLOCK]
        rows[:] = rng.standard_normal(rows.shape, np.float32)
    sides = -(-tokens // BLOCK)
    whole, done = sides * (sides + 1) // 2, 0
    before, started, began = _peak(), time.process_time(), time.perf_counter()

    def count(share: float) -> None:
        nonlocal done
        done += 1
        if done == blocks:
            raise _EnoughError

    with contextlib.suppress(_EnoughError):
        neighbour_table(embeddings, np.ones(tokens, np.bool_), K, progress=count)
    seconds = time.process_time() - started
    return {
        "tokens": tokens,
        "width": width,
        "neighbours": K,
        "blocks_measured": done,
        "blocks_in_all": whole,
        "seconds_of_the_process": round(seconds, 1),
        "seconds_on_the_wall": round(time.perf_counter() - began, 1),
        "seconds_of_the_process_for_all_blocks": round(seconds * whole / done, 1),
        "embeddings_MB": round(embeddings.nbytes / 1e6),
        "peak_MB_beyond_the_embeddings": round((_peak() - before) / 1e6),
        "dense_cosines_would_take_MB": round(4 * tokens**2 / 1e6),
    }


def apart(*words: object) -> dict[str, Any]:
    """Run :func:`table` in a process of its own, whose peak of memory is nobody else's."""
    command = [sys.executable, __file__, "--table", *map(str, words)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def decoding(shape: dict[str, int], batch: int, tokens: int, repeats: int) -> dict[str, Any]:
    """Time steps of decoding with the rule and without, in turns."""
    import torch
    from transformers import LogitsProcessor, Qwen2Config, Qwen2ForCausalLM

    from fiducial.prompters.vlm.semantic import SemanticSampling

    size = shape["vocabulary"]
    config = Qwen2Config(
        vocab_size=size,
        hidden_size=shape["width"],
        intermediate_size=shape["inner"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["heads"],
        tie_word_embeddings=True,
        eos_token_id=None,
        pad_token_id=0,
        bos_token_id=None,
    )
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config).eval()
    model.to_empty(device="cpu").tie_weights()
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(0.02 * rng.standard_normal(1 << 20, np.float32))
    for weight in model.parameters():  # drawing every weight would take longer than what is measured
        flat = weight.data.view(-1)
        for start in range(0, len(flat), len(noise)):
            flat[start : start + len(noise)] = noise[: len(flat) - start]
    model.model.rotary_emb.__init__(config)
    near = NeighbourTable(
        rng.integers(0, size, (size, K), dtype=np.int32), rng.random((size, K), np.float32), np.ones(size, np.bool_)
    )
    # A random model spreads its probability widely, so that there are as many candidates as may be: the dearest case.
    rule = SemanticSampling(near, SemanticConfig(k=K), "cpu")

    class Timed(LogitsProcessor):
        seconds = 0.0

        def __call__(self, ids: Any, scores: Any) -> Any:
            started = time.process_time()
            found = rule(ids, scores)
            self.seconds += time.process_time() - started
            return found

    prompt = torch.from_numpy(rng.integers(1, size, (batch, 4)))
    shares, pairs = [], []
    for _ in range(repeats + 1):  # the first warms up
        seconds = []
        timed = Timed()
        for processors in ([timed], []):
            started = time.process_time()
            with torch.inference_mode():
                model.generate(
                    prompt,
                    attention_mask=torch.ones_like(prompt),
                    logits_processor=processors,
                    max_new_tokens=tokens,
                    min_new_tokens=tokens,
                    do_sample=False,
                )
            seconds.append(time.process_time() - started)
        shares.append(timed.seconds / (seconds[0] - timed.seconds))
        pairs.append((seconds[0] / seconds[1], timed.seconds / tokens, seconds[1] / tokens))
    ratios, rules, steps = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
    return {
        "model": {**shape, "parameters_millions": round(sum(one.numel() for one in model.parameters()) / 1e6, 1)},
        "batch": batch,
        "tokens": tokens,
        "milliseconds_of_the_rule": round(1000 * rules, 2),
        "milliseconds_of_a_step_without": round(1000 * steps, 2),
        "share_of_the_rule": round(statistics.median(shares[1:]), 4),
        "whole_over_whole_without": round(ratios, 3),
        "candidates_at_most": 50,
        "neighbours": K,
    }


def main() -> None:
    """Measure and write the numbers down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--table", nargs=3, type=int, metavar=("TOKENS", "WIDTH", "BLOCKS"), help="print one table's cost"
    )
    parser.add_argument("--part", choices=("tables", "decoding", "both"), default="both", help="what is measured anew")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--blocks", type=int, default=60, help="of the 703 of the large table")
    parser.add_argument("--tokens", type=int, default=16, help="of a reply")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.table:
        print(json.dumps(table(*options.table)))
        return
    os.environ |= {name: str(options.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    busy = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores when it began"
    kept = RESULTS / "semantic_sampling.json"
    measured = json.loads(kept.read_text())["measured"] if kept.is_file() else {}
    about = {"threads": options.threads, "other_work_on_the_machine": busy}
    if options.part != "decoding":
        tables = [apart(20_000, 2048, 10**6), apart(150_000, 2048, options.blocks)]
        measured["finding_neighbours"] = {**about, "tables": tables}
    if options.part != "tables":
        import torch

        torch.set_num_threads(options.threads)
        shapes = [(shape, batch) for shape in (LARGE, SMALL) for batch in options.batches]
        steps = [decoding(shape, batch, options.tokens, options.repeats) for shape, batch in shapes]
        measured["decoding"] = {**about, "steps": steps}
    record("semantic_sampling", measured, ("numpy", "torch", "transformers"))


if __name__ == "__main__":
    main()
