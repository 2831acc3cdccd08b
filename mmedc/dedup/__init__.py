"""Duplicates, benchmark questions and repeated lines.

Signatures are made while the text is at hand and are compared later by keys alone. `signature` is a step of ingest.
`exchange` sends records to ranges of their keys and finds pairs within a range, `verify` reads the texts of pairs near
the threshold, and `groups` decides which rows are dropped. `contamination` finds benchmark questions in texts, `clean`
removes them, and `lines` removes lines that several documents have. No task needs memory that grows with the corpus.
"""
