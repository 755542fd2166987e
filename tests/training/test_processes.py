import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fiducial.config import read
from fiducial.errors import InputError
from fiducial.training.grpo_configs import GrpoConfig
from fiducial.training.prompter_runs import Processes, check_whole
from fiducial.training.runs import read_tensors
from fiducial.training.sft_configs import SftConfig
from tiny.vlm import BUILDERS

WORKER = Path(__file__).with_name("train_worker.py")


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def start(words, rank, port):
    launched = {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(WORKER), *words],
        env={**os.environ, **launched, **where},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_learn_what_one_learns_from_the_same_samples(tmp_path):
    torch.set_num_threads(1)
    model = BUILDERS["llava"](tmp_path / "model")
    words = tmp_path / "short.txt"
    words.write_text("[user]\nWhere is $instruction?\n")
    shared = {
        "model": str(model),
        "data": [{"dataset": "scenes:shapes?count=12&seed=3&size=96", "held_out": 0.25}],
        "answers": {"dialect": "sjtu", "canvas": [56, 56], "template": str(words)},
        **{"steps": 2, "eval_every": 2, "eval_limit": 2, "save_every": 2, "max_new_tokens": 4, "num_threads": 1},
    }
    supervised = {**shared, "learning_rate": 1e-3, "augmentation": {"flip": 0.0, "crop": 0.0}}
    rewarded = {
        **shared,
        **{"reward": "mask-only?segmenter=grabcut", "eval_segmenter": "grabcut", "pictures_every": 2},
        **{"batch_size": 2, "num_generations": 4, "completions_at_once": 2, "beta": 0.0},
    }
    runs = {"sft": {**supervised, "batch_size": 2}, "grpo": rewarded}
    given = []
    for kind, values in runs.items():
        path = tmp_path / f"{kind}.json"
        path.write_text(json.dumps(values))
        given += [kind, str(path), str(tmp_path / kind)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [start(given, rank, port) for rank in (0, 1)]
    errors = [process.communicate(timeout=600)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors

    alone = tmp_path / "alone"
    read(SftConfig, {**supervised, "batch_size": 4}, "test").train(Path(), alone, device="cpu", quiet=True)
    losses = [
        [line["loss"] for line in lines(run / "log.jsonl") if "loss" in line] for run in (alone, tmp_path / "sft")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    one, other = (read_tensors(run / "model" / "model.safetensors")[0] for run in (alone, tmp_path / "sft"))
    for key, value in one.items():
        torch.testing.assert_close(other[key], value, rtol=1e-2, atol=2e-3)  # AdamW's first steps turn on signs

    table = lines(tmp_path / "grpo" / "steps.jsonl")
    assert [line["step"] for line in table] == [1, 2]
    assert all(sum(line["outcomes"].values()) == 8 for line in table)  # of both processes
    for kind in runs:
        scored = [line["step"] for line in lines(tmp_path / kind / "log.jsonl") if {"accuracy", "mean_iou"} & {*line}]
        assert scored == [0, 2]  # by one of them
        assert (tmp_path / kind / "model" / "model.safetensors").exists()
    assert (tmp_path / "grpo" / "pictures" / "step-000002.png").exists()


def test_where_a_process_stands_is_what_the_launcher_says(monkeypatch):
    for key in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(key, raising=False)
    assert Processes.here("cpu") == Processes(1, 0, "cpu")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    assert Processes.here("cpu") == Processes(4, 3, "cpu")
    assert not Processes.here("cpu").is_main
    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES"):
        Processes.here("cpu:0")


class Launched:
    def __init__(self, kind, stage=None):
        self.distributed_type = kind
        self.state = type("State", (), {"deepspeed_plugin": stage and type("Plugin", (), {"zero_stage": stage})})


def test_weights_that_are_split_over_processes_are_refused():
    check_whole(Launched("DistributedType.MULTI_GPU"))
    check_whole(Launched("DistributedType.DEEPSPEED", 2))
    for launched in (Launched("DistributedType.FSDP"), Launched("DistributedType.DEEPSPEED", 3)):
        with pytest.raises(InputError, match="ZeRO stage 1 or 2"):
            check_whole(launched)


def test_answers_have_to_be_shared_out_evenly(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    values = {"model": "m", "data": [{"dataset": "scenes:shapes"}], "answers": {"dialect": "sjtu"}}
    config = read(GrpoConfig, {**values, "reward": "seg-zero"} | {"answers": {"dialect": "seg-zero"}}, "test")
    with pytest.raises(InputError, match="in each of 3 processes does not divide the 64 answers"):
        config.train(Path(), tmp_path / "run", device="cpu")
