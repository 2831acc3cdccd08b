"""The published corpus: its shards, its manifest, its card, and the proof that they agree."""
