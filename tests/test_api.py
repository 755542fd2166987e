import importlib

import fiducial


def test_every_public_name_is_there():
    for name in fiducial.__all__:
        assert getattr(fiducial, name) is not None
        assert name in dir(fiducial)


def test_public_names_do_not_vanish_unnoticed():
    assert set(fiducial.__all__) == {
        "Answer",
        "Embedding",
        "FiducialError",
        "Frame",
        "Image",
        "Mask",
        "MaskRefiner",
        "Outcome",
        "Overlay",
        "Pipeline",
        "Prompt",
        "PromptRefiner",
        "Prompter",
        "Prompts",
        "Segmentation",
        "Segmenter",
        "load",
        "read_image",
    }


def test_nothing_else_is_listed():
    importlib.import_module("fiducial.datasets")
    assert set(dir(fiducial)) == {*fiducial.__all__, "__version__"}


def test_unknown_names_are_attribute_errors():
    assert not hasattr(fiducial, "no_such_thing")
