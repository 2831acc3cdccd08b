"""From a laptop to a cluster: files that start one, what a build would cost there, and submission to it."""
