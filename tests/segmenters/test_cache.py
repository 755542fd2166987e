from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fiducial.contracts import Embedding, Segmenter
from fiducial.errors import InputError
from fiducial.geometry import Mask, Prompts
from fiducial.images import Image
from fiducial.segmenters import CachedSegmenter, DiskCache, MemoryCache, SamSegmenter
from fiducial.segmenters.cache import EmbeddingCache, embedding_bytes
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
        time.sleep(0.01)
        values: Any = image.pixels.astype(np.float32).mean(axis=2)
        if self.kind == "torch":
            values = torch.from_numpy(values)
        return Embedding(self.embedding_key(image), image.width, image.height, {"image": values})

    def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
        return [Mask.empty(embedding.height, embedding.width) for _ in prompts]


def test_memory_holds_so_many_bytes_and_drops_what_was_not_used() -> None:
    cache = MemoryCache(1000)
    cache.put(entry(1))
    cache.put(entry(2))
    assert (len(cache), cache.nbytes) == (2, 800)
    assert cache.get(entry(1).key) is not None  # now the second is the oldest
    cache.put(entry(3))
    assert cache.get(entry(2).key) is None
    assert cache.get(entry(1).key) is not None
    cache.put(entry(3))
    assert (len(cache), cache.nbytes) == (2, 800)
    cache.put(entry(4, size=251))
    assert cache.get(entry(4).key) is None, "larger than the whole cache"
    assert len(cache) == 2
    found = cache.get(entry(3).key)
    assert found is not None
    assert found.image is None, "images are not counted, so they are not kept"
    with pytest.raises(InputError, match="at least one byte, got 0"):
        MemoryCache(0)


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
        lambda raw: raw.replace(b"fiducial-embedding-1", b"fiducial-embedding-0"),
        lambda raw: raw.replace(b'"sha256"', b'"sha255"'),
    ],
)
def test_a_broken_file_is_reported_and_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    inner, image = Counting(), picture()
    segmenter = CachedSegmenter(inner, DiskCache(tmp_path))
    whole = segmenter.encode(image)
    path = DiskCache(tmp_path).path(whole.key)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING, logger="fiducial.segmenters.cache"):
        again = segmenter.encode(image)
    assert "is broken" in caplog.text
    assert inner.encoded == 2
    assert torch.equal(again.tensors["image"], whole.tensors["image"])
    segmenter.encode(image)
    assert inner.encoded == 2


def test_a_file_under_a_wrong_name_is_no_entry(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = DiskCache(tmp_path)
    cache.put(entry(1))
    target = cache.path(entry(2).key)
    target.parent.mkdir(exist_ok=True)
    os.replace(cache.path(entry(1).key), target)
    assert cache.get(entry(2).key) is None
    assert "another format or key" in caplog.text


def test_disk_drops_the_oldest_files(tmp_path: Path) -> None:
    size = 0
    for number in range(4):
        unbounded = DiskCache(tmp_path / "unbounded")
        unbounded.put(entry(number))
        size = unbounded.path(entry(number).key).stat().st_size
    cache = DiskCache(tmp_path / "bounded", max_bytes=2 * size)
    for number in (0, 1):
        cache.put(entry(number))
        os.utime(cache.path(entry(number).key), (number, number))
    assert cache.get(entry(0).key) is not None  # now the second is the oldest
    cache.put(entry(2))
    assert [cache.path(entry(n).key).exists() for n in range(3)] == [True, False, True]
    cache.put(entry(3, size=10_000))
    assert not cache.path(entry(3).key).exists()
    with pytest.raises(InputError, match="at least one byte"):
        DiskCache(tmp_path, max_bytes=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be a folder"):
        DiskCache(tmp_path / "file")


def test_a_disk_that_cannot_be_written_costs_time_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    segmenter = CachedSegmenter(Counting(), DiskCache(tmp_path))
    assert segmenter.encode(picture()).key == picture().digest
    assert "No space left on device" in caplog.text
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nothing half written is left"


def test_an_image_is_encoded_once_and_never_gets_another_ones_embedding(tmp_path: Path) -> None:
    inner, memory, disk = Counting(), MemoryCache(10_000), DiskCache(tmp_path)
    segmenter = CachedSegmenter(inner, memory, disk)
    assert isinstance(segmenter, Segmenter)
    for _ in range(2):
        for seed in range(3):
            image = picture(seed)
            embedding = segmenter.encode(image)
            assert embedding.key == image.digest == segmenter.embedding_key(image)
            assert embedding.image is image
            np.testing.assert_array_equal(embedding.tensors["image"], image.pixels.astype(np.float32).mean(axis=2))
    assert inner.encoded == 3
    later = CachedSegmenter(Counting("numpy"), MemoryCache(10_000), disk)
    later.encode(picture(1))
    assert later.segmenter.encoded == 0
    assert later.caches[0].get(picture(1).digest) is not None, "the slower cache fills the faster one"
    assert later.decode(embedding, Prompts.from_boxes(picture().frame, [(0, 0, 5, 5)])) == [Mask.empty(20, 30)]


def test_a_segmenter_without_keys_cannot_be_cached() -> None:
    class Nameless:
        def encode(self, image: Image) -> Embedding:
            raise NotImplementedError

        def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
            raise NotImplementedError

    with pytest.raises(InputError, match="Nameless has no embedding_key"):
        CachedSegmenter(Nameless())  # type: ignore[arg-type]


def test_threads_wait_for_one_computation(tmp_path: Path) -> None:
    inner = Counting()
    segmenter = CachedSegmenter(inner, MemoryCache(20_000), DiskCache(tmp_path, max_bytes=50_000))
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
    assert not segmenter._at_work


def test_a_failing_computation_leaves_no_lock_behind() -> None:
    class Failing(Counting):
        def encode(self, image: Image) -> Embedding:
            raise RuntimeError("out of memory")

    segmenter = CachedSegmenter(Failing(), MemoryCache(100))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of memory"):
            segmenter.encode(picture())
    assert not segmenter._at_work


def test_sam_behaves_the_same_with_a_cache(tmp_path: Path) -> None:
    image = picture()
    prompts = Prompts.from_boxes(image.frame, [(1, 1, 20, 15), (4, 2, 28, 18)])
    plain = SamSegmenter(tiny.sam2_model())
    expected = plain.decode(plain.encode(image), prompts)
    disk = DiskCache(tmp_path)
    assert isinstance(disk, EmbeddingCache)
    for _ in range(2):
        cached = CachedSegmenter(SamSegmenter(tiny.sam2_model()), disk)
        embedding = cached.encode(image)
        before = {name: tensor.clone() for name, tensor in embedding.tensors.items()}
        found = cached.decode(embedding, prompts)
        tiny.assert_alike(found, expected)
        assert all(torch.equal(before[name], embedding.tensors[name]) for name in before)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    assert embedding_bytes(embedding) == sum(tensor.nbytes for tensor in embedding.tensors.values())
    CachedSegmenter(SamSegmenter(tiny.sam2_model(seed=1)), disk).encode(image)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2, "other weights, another entry"
