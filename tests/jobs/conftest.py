"""Pictures, manifests, and a pipeline that finds red: what a batch needs that is no batch itself."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import PIL.Image
import pytest

from evaluation_fakes import RedPrompter, picture, place
from fakes import BoxSegmenter
from fiducial import Pipeline, provenance
from fiducial.jobs import BatchOptions


@pytest.fixture(autouse=True)
def ask_git_never(monkeypatch):
    """Asking git and every package takes longer than a small batch."""
    monkeypatch.setattr(provenance, "commit", lambda: None)
    monkeypatch.setattr(provenance, "versions", dict)


@pytest.fixture
def pipeline(monkeypatch):
    """What every recipe loads in this process."""
    made = Pipeline(prompter=RedPrompter(), segmenter=BoxSegmenter(), name="red")
    monkeypatch.setattr("fiducial.jobs.working.recipes.load", lambda recipe: made)
    return made


@pytest.fixture
def here():
    """Options of a batch that works in this process."""
    return BatchOptions(workers=0, shard=4)


@dataclass
class Made:
    """A folder of pictures, and a manifest that asks about each twice, first about all and then about all again."""

    folder: Path
    path: Path
    rows: list = field(default_factory=list)

    def write(self, *more):
        """Write the rows, with more of them, into the manifest; returns its path."""
        self.rows += more
        self.path.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        return self.path


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(10):
        image = picture(number, place(number))
        PIL.Image.fromarray(image.pixels).save(folder / image.name)
    rows = [
        {"id": f"r{number}", "image": f"picture-{number % 10:03}.png", "instruction": f"the red thing {number // 10}"}
        for number in range(20)
    ]
    made = Made(folder, folder / "rows.jsonl", rows)
    made.write()
    return made
