"""Images from elsewhere than a registry: archives, layouts, the operator's own engine."""
