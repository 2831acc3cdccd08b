"""Items of a benchmark; `mmedc.questions` reads them for every room."""

from mmedc.questions import QUESTIONS, Item, read_items, write_items

__all__ = ["QUESTIONS", "Item", "read_items", "write_items"]
