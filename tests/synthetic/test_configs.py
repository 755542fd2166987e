import subprocess
import sys


def test_descriptions_load_nothing_heavy():
    code = "import sys, fiducial.synthetic.configs, fiducial.datasets.configs; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "cv2", "scipy", "nibabel"} & set(loaded)
