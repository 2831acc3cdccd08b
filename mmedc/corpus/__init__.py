"""The published corpus: its shards, its manifest, its card, and the check that they agree."""
