"""The engine runs the passes of any plan: units, commits, retries, quarantine, progress. Nothing in it is medical.

Only `runner` imports Ray. The rows of a unit are computed in a child process that can be killed
(`child`, watched by `supervisor`) and are committed exactly once (`commit`).
"""
