"""Random grids: any order and direction of storage axes, oblique, with voxels that are no cubes."""

import itertools

import numpy as np

from fiducial.volumes.affines import LETTERS, make_affine

AXES = tuple(
    "".join(LETTERS[axis][along] for axis, along in zip(order, signs, strict=True))
    for order in itertools.permutations(range(3))
    for signs in itertools.product((0, 1), repeat=3)
)


def random_grid(rng, *, low=3, high=9, tilt=40.0):
    """Return a shape and an affine."""
    shape = tuple(int(size) for size in rng.integers(low, high + 1, 3))
    rotation = rng.uniform(-tilt, tilt, 3) * (rng.random() < 0.7)
    affine = make_affine(
        shape, rng.uniform(0.3, 8.0, 3), AXES[rng.integers(len(AXES))], rotation, rng.uniform(-300, 300, 3)
    )
    return shape, affine


def random_labels(rng, shape, count=3):
    """Return sparse labels, each 1 to ``count`` at least once."""
    array = np.zeros(int(np.prod(shape)), np.uint8)
    array[rng.permutation(array.size)[: 4 * count]] = np.tile(np.arange(1, count + 1), 4)[: array.size]
    return array.reshape(shape)
