"""Open-vocabulary detectors of transformers: Grounding DINO and OWLv2, asked for any noun."""
