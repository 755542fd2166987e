import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from tiny.detectors import tiny_grounding_dino, tiny_owlv2  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread):
    """For every test of this folder."""


@pytest.fixture(scope="session")
def dino_folder(tmp_path_factory):
    return tiny_grounding_dino(tmp_path_factory.mktemp("grounding-dino"))


@pytest.fixture(scope="session")
def owl_folder(tmp_path_factory):
    return tiny_owlv2(tmp_path_factory.mktemp("owlv2"))
