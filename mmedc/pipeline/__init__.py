"""From a recipe to a corpus: the only room that knows the order of passes."""
