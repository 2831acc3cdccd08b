"""Output for people: progress, tables, plots, and the explanation of a document."""
