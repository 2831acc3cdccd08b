"""Makes policy from labelled texts: terms, thresholds, models and labels, as files of `filters/`, each evaluated."""
