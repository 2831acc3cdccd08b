"""Duplicates: signatures made while text is in hand, matched later by keys alone.

`signature` is a step of ingest. `exchange` sends records to ranges of their keys and finds pairs within
a range, `weigh` reads the texts of the pairs that only texts can tell, `groups` joins pairs into
groups and says who stays. No pass has a task whose memory grows with the corpus.
"""
