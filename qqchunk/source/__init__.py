"""A path, bytes or a stream as one readable source, and its digests."""
