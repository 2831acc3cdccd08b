"""Scores a checkpoint on multiple-choice questions, exactly and with error bars.

Rooms, in the order of the data: `items` (questions), `protocols` (what the model is asked and which answers are
compared), `likelihood` (the log-likelihood of answers), `statistics`, `scoring` (all of it, from a recipe).
"""
