"""Where the pure parts meet the adapters."""
