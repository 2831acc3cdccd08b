"""The pipeline from a recipe to a corpus; no other package knows the order of the passes."""
