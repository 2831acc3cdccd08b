"""Runs any plan: units, commits, retries, quarantine, progress. Knows no medicine.

Ray is in one file, `runner`. A unit's rows are computed in a killable child process
(`child`, watched by `supervisor`) and committed once (`commit`).
"""
