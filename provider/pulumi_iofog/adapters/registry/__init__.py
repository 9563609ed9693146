"""Image registries, read only."""
