"""A web of our own on the loopback interface, for tests and benchmarks of the crawler: pages, traps, and a log."""
