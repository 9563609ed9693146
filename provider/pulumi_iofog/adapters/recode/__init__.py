"""Layers are decompressed, encoded and compared in a child process."""
