"""Carrying a decision out, over Protocols."""
