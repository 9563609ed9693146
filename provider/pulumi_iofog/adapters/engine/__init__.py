"""An agent's container engine."""
