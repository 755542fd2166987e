"""The nano grounder: a small network of our own that finds the things of a closed vocabulary by a phrase."""
