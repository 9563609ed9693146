"""The OCI vocabulary: references, platforms, digests, manifests. Pure."""
