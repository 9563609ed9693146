"""SSH to agents."""
