"""Training: from a configuration and data to weights with a card; seeded, resumable, logged."""
