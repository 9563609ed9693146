"""A preview's decisions. Pure."""
