"""What travels to an edge host, and how. Pure."""
