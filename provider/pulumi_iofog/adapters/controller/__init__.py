"""The ioFog Controller."""
