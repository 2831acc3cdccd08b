"""Makes policy from labelled texts: terms, thresholds, models, labels; files for `filters/`, with their evaluation."""
