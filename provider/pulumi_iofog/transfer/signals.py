"""What a host is told while its engine reads layers that are still arriving. Pure."""

MORE, WHOLE, COMPLETE = b"more\n", b"whole\n", b"complete\n"
"""Look again; the next layer is whole and proven; so are all, and what stands behind them follows."""
