import numpy as np

from fiducial.rasters import Raster, make_map
from fiducial.synthetic.scenes import SceneDataset


def test_a_made_map_shows_scenes_whose_things_are_known(tmp_path):
    truth = make_map(tmp_path / "map.tif", (700, 600), seed=5, scenes=2)
    drawn = SceneDataset("aerial", 2, seed=5, size=512)
    labels = {label for number in range(2) for label in drawn.scene(number).labels}
    assert {piece.label for piece in truth} <= labels
    with Raster.open(tmp_path / "map.tif") as raster:
        assert (raster.width, raster.height, raster.crs.to_epsg()) == (700, 600, 32633)
        first = raster.read(0, 0, 512, 512)[0]
    turns = [
        one.image.pixels[::down, ::across]
        for one in map(drawn.scene, range(2))
        for down in (1, -1)
        for across in (1, -1)
    ]
    (same,) = [turn for turn in range(8) if np.array_equal(turns[turn], first)]
    scene, down, across = drawn.scene(same // 4), 1 - (same // 2) % 2 * 2, 1 - same % 2 * 2
    within = [piece for piece in truth if piece.patch.x < 512 and piece.patch.y < 512]
    expected = [mask.to_dense()[::down, ::across] for mask in scene.masks]
    for piece, dense in zip(within, expected, strict=True):
        assert np.array_equal(piece.patch.within((0, 0, 512, 512)).to_dense(), dense)


def test_the_same_seed_makes_the_same_map(tmp_path):
    maps = [make_map(tmp_path / name, (520, 300), seed=2, scenes=1) for name in ("a.tif", "b.tif")]
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    assert [piece.patch.box for piece in maps[0]] == [piece.patch.box for piece in maps[1]]
