"""The nano segmenter: our own small network that cuts what a box or points show."""
