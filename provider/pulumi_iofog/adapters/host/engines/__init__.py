"""An edge host's container engines."""
