"""One of several processes that train together: python train_worker.py KIND CONFIG.json OUT ..., three words a run."""

import json
import sys
from pathlib import Path

from fiducial.config import read
from fiducial.plugins import find

words = sys.argv[1:]
for kind, config, out in zip(words[::3], words[1::3], words[2::3], strict=True):
    values = json.loads(Path(config).read_text())
    read(find("training", kind), values, config).train(Path(), Path(out), device="cpu", quiet=True)
