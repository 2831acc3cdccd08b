"""Duplicates: signatures made while text is in hand, matched later by keys alone.

`signature` is a step of gather. `exchange` sends keys to ranges, `match` verifies candidates in a
range, `components` says which document of each group stays. Text is not read again.
"""
