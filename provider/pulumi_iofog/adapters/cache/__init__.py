"""The operator's local cache."""
