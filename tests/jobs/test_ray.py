"""Ray gives what processes give. It takes seconds to start, so there is one test; benchmarks/batch.py does the rest."""

import pytest

from fiducial.errors import ModelError
from fiducial.jobs import BatchOptions, run


def test_ray_gives_the_same_bytes(made, tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    made.rows = made.rows[:4]
    made.write({"id": "gone", "image": "gone.png", "instruction": "x"})
    run(made.path, tmp_path / "here", recipe="classic", options=BatchOptions(workers=0))
    try:
        batch = run(made.path, tmp_path / "ray", recipe="classic", options=BatchOptions(engine="ray", workers=2))
    except ModelError as error:
        if "cannot be started" not in str(error):
            raise
        pytest.skip(f"this machine is too busy to start ray: {error}")
    finally:
        import ray

        ray.shutdown()
    assert (batch.rows, batch.new) == (5, 5)
    for name in ("results/part-00000.parquet", "dead.jsonl"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
