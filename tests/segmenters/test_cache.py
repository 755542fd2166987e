from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fiducial.contracts import Embedding, Segmenter
from fiducial.errors import InputError
from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.segmenters.cache import CachedSegmenter, DiskCache
from fiducial.segmenters.configs import CacheConfig
from fiducial.segmenters.grabcut import GrabCutSegmenter
from fiducial.segmenters.sam import SamSegmenter
from tiny import sam as tiny

torch.set_num_threads(1)


def picture(seed: int = 0) -> Image:
    return Image(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8))


def entry(number: int, size: int = 100) -> Embedding:
    values = torch.full((size,), float(number), dtype=torch.float32)
    return Embedding(f"{number:064x}", 30, 20, {"image": values}, picture())


class Counting:
    """A segmenter that counts, and whose embedding tells the image."""

    def __init__(self, kind: str = "torch") -> None:
        self.encoded = 0
        self.kind = kind

    def embedding_key(self, image: Image) -> str:
        return image.digest

    def encode(self, image: Image) -> Embedding:
        self.encoded += 1
        values: Any = image.pixels.astype(np.float32).mean(axis=2)
        if self.kind == "torch":
            values = torch.from_numpy(values)
        return Embedding(self.embedding_key(image), image.width, image.height, {"image": values})

    def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
        return [Mask.empty(embedding.height, embedding.width) for _ in prompts]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_disk_gives_back_what_it_got(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {"a": torch.arange(24).reshape(2, 3, 4).to(dtype), "b": torch.zeros(0, 3, dtype=dtype)}
    tensors["view"] = tensors["a"].transpose(0, 2)
    with torch.inference_mode():
        given = Embedding("ab" * 32, 30, 20, {name: tensor.clone() for name, tensor in tensors.items()})
    DiskCache(tmp_path).put(given)
    found = DiskCache(tmp_path).get(given.key)
    assert found is not None
    assert (found.key, found.width, found.height, found.image) == (given.key, 30, 20, None)
    assert set(found.tensors) == set(tensors)
    for name, tensor in tensors.items():
        assert found.tensors[name].dtype == dtype
        assert torch.equal(found.tensors[name], tensor)


def test_disk_keeps_arrays_as_arrays(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float16).reshape(3, 4).T
    cache = DiskCache(tmp_path)
    cache.put(Embedding("a key of any letters / ../", 4, 3, {"image": values}))
    found = cache.get("a key of any letters / ../")
    assert found is not None
    np.testing.assert_array_equal(found.tensors["image"], values)
    assert cache.get("another") is None
    assert all(path.is_relative_to(tmp_path) for path in tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-7],
        lambda raw: raw[:5],
        lambda raw: b"",
        lambda raw: raw[:-3] + bytes([raw[-3] ^ 1]) + raw[-2:],
        lambda raw: b"\xff" * len(raw),
        lambda raw: raw[:8] + b"x" + raw[9:],
        lambda raw: (10**6).to_bytes(8, "little") + b"[" * 10**6,
        lambda raw: b"\x89PNG, say",
        lambda raw: raw.replace(b"fiducial-embedding-1", b"fiducial-embedding-0"),
        lambda raw: raw.replace(b'"sha256"', b'"sha255"'),
    ],
)
def test_a_broken_file_is_reported_and_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    inner, image = Counting(), picture()
    segmenter = CachedSegmenter(inner, tmp_path)
    whole = segmenter.encode(image)
    path = segmenter.cache.path(whole.key)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING, logger="fiducial.cache"):
        again = segmenter.encode(image)
    assert len(caplog.records) == 1
    assert "is broken" in caplog.text
    assert inner.encoded == 2
    assert torch.equal(again.tensors["image"], whole.tensors["image"])
    segmenter.encode(image)
    assert (inner.encoded, len(caplog.records)) == (2, 1)


def test_a_file_under_a_wrong_name_is_no_entry(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = DiskCache(tmp_path)
    cache.put(entry(1))
    target = cache.path(entry(2).key)
    target.parent.mkdir(exist_ok=True)
    os.replace(cache.path(entry(1).key), target)
    assert cache.get(entry(2).key) is None
    assert "another format or key" in caplog.text


def kept_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_least_recently_used_files_go_first_and_the_bound_holds(tmp_path: Path) -> None:
    unbounded = DiskCache(tmp_path / "unbounded", max_bytes=None)
    unbounded.put(entry(0))
    size = kept_bytes(unbounded.folder)
    cache = DiskCache(tmp_path / "bounded", max_bytes=3 * size + 1)
    for number in range(3):
        cache.put(entry(number))
    assert cache.get(entry(0).key) is not None  # now the second was not used for longest, then the third
    for number, left in ((3, {0, 2, 3}), (4, {0, 3, 4})):
        cache.put(entry(number))
        assert {n for n in range(5) if entry(n).key in cache} == left
        assert kept_bytes(cache.folder) <= 3 * size + 1
    cache.put(entry(5, size=10_000))
    assert entry(5).key not in cache, "larger than the whole cache"
    assert {n for n in range(5) if entry(n).key in cache} == {0, 3, 4}
    for number in range(20):
        cache.put(entry(number, size=50 + 7 * number))
        assert kept_bytes(cache.folder) <= 3 * size + 1
    assert entry(19).key in cache


def test_what_a_dead_process_left_half_written_goes_too(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, max_bytes=10_000)
    cache.put(entry(0))
    old, fresh = (cache.path(entry(0).key).with_name(f".{name}.part") for name in ("old", "fresh"))
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    cache.put(entry(1))
    assert (old.exists(), fresh.exists()) == (False, True)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="folder cannot be made"):
        DiskCache(tmp_path / "file")


PROCESS = """
import logging, sys
import numpy as np
from fiducial.contracts import Embedding
from fiducial.images import Image
from fiducial.segmenters.cache import CachedSegmenter

class Means:
    def embedding_key(self, image):
        return image.digest
    def encode(self, image):
        return Embedding(image.digest, image.width, image.height, {"image": image.pixels.astype(np.float32)})

logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
print("ready", flush=True)
sys.stdin.readline()
segmenter = CachedSegmenter(Means(), sys.argv[1], max_bytes=int(sys.argv[2]))
order = np.random.default_rng(int(sys.argv[3])).integers(0, 12, 150)
for seed in order:
    image = Image(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8))
    found = segmenter.encode(image)
    assert found.key == image.digest and (found.tensors["image"] == image.pixels).all()
print("done")
"""


def test_two_processes_share_a_folder_that_is_too_small_for_both(tmp_path: Path) -> None:
    bound = 5 * 8_000  # about five of the twelve embeddings, so that each process removes what the other reads
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path), str(bound), str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        said, wrong = worker.communicate(timeout=60)
        assert (said, worker.returncode) == ("done\n", 0), said + wrong
    DiskCache(tmp_path, bound).put(entry(0))
    assert kept_bytes(tmp_path) <= bound
    assert not list(tmp_path.rglob("*.part"))


def test_a_disk_that_cannot_be_written_costs_time_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    segmenter = CachedSegmenter(Counting(), tmp_path)
    assert segmenter.encode(picture()).key == picture().digest
    assert "No space left on device" in caplog.text
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nothing half written is left"


def test_an_image_is_encoded_once_and_never_gets_another_ones_embedding(tmp_path: Path) -> None:
    inner = Counting()
    segmenter = CachedSegmenter(inner, tmp_path)
    assert isinstance(segmenter, Segmenter)
    for _ in range(2):
        for seed in range(3):
            image = picture(seed)
            embedding = segmenter.encode(image)
            assert embedding.key == image.digest
            assert embedding.image is image
            np.testing.assert_array_equal(embedding.tensors["image"], image.pixels.astype(np.float32).mean(axis=2))
    assert inner.encoded == 3
    later = Counting("numpy")
    CachedSegmenter(later, tmp_path).encode(picture(1))
    assert later.encoded == 0
    assert segmenter.decode(embedding, Prompts.from_boxes(picture().frame, [(0, 0, 5, 5)])) == [Mask.empty(20, 30)]


def test_segmenters_that_work_on_pixels_pass_through(tmp_path: Path) -> None:
    image, inner = picture(), GrabCutSegmenter()
    cached = CachedSegmenter(inner, tmp_path)
    prompts = Prompts(image.frame, (Prompt(image.frame, box=(4, 4, 20, 16)),))
    embedding = cached.encode(image)
    assert embedding.image is image
    assert cached.decode(embedding, prompts) == inner.decode(inner.encode(image), prompts)
    assert not list(tmp_path.iterdir())
    assert CacheConfig(folder=tmp_path).wrap(inner) is inner
    assert isinstance(CacheConfig(folder=tmp_path).wrap(Counting()), CachedSegmenter)


def test_threads_wait_for_one_computation(tmp_path: Path) -> None:
    inner = Counting()
    segmenter = CachedSegmenter(inner, tmp_path, max_bytes=50_000)
    found: list[tuple[str, str]] = []

    def work(start: int) -> None:
        for step in range(8):
            image = picture((start + step) % 4)
            embedding = segmenter.encode(image)
            same = np.array_equal(embedding.tensors["image"], image.pixels.astype(np.float32).mean(axis=2))
            found.append((embedding.key, image.digest if same else "stale"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 64
    assert all(key == digest for key, digest in found)
    assert inner.encoded == 4


def test_a_failing_computation_leaves_no_lock_behind(tmp_path: Path) -> None:
    class Failing(Counting):
        def encode(self, image: Image) -> Embedding:
            raise RuntimeError("out of memory")

    segmenter = CachedSegmenter(Failing(), tmp_path)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of memory"):
            segmenter.encode(picture())
    assert not any(lock.locked() for lock in segmenter._locks)


def test_sam_behaves_the_same_with_a_cache(tmp_path: Path) -> None:
    image = picture()
    prompts = Prompts.from_boxes(image.frame, [(1, 1, 20, 15), (4, 2, 28, 18)])
    plain = SamSegmenter(tiny.sam2_model())
    expected = plain.decode(plain.encode(image), prompts)
    for _ in range(2):
        cached = CachedSegmenter(SamSegmenter(tiny.sam2_model()), tmp_path)
        embedding = cached.encode(image)
        before = {name: tensor.clone() for name, tensor in embedding.tensors.items()}
        found = cached.decode(embedding, prompts)
        tiny.assert_alike(found, expected)
        assert all(torch.equal(before[name], embedding.tensors[name]) for name in before)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    CachedSegmenter(SamSegmenter(tiny.sam2_model(seed=1)), tmp_path).encode(image)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2, "other weights, another entry"
