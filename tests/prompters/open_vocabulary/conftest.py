import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from tiny.detectors import tiny_grounding_dino, tiny_owlv2  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def dino_folder(tmp_path_factory):
    return tiny_grounding_dino(tmp_path_factory.mktemp("grounding-dino"))


@pytest.fixture(scope="session")
def owl_folder(tmp_path_factory):
    return tiny_owlv2(tmp_path_factory.mktemp("owlv2"))
