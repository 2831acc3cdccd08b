"""Parsers of books and articles: from the bytes of one file to texts with sections, what is known of them, and parts.

A parser is pure: bytes and `BookRules` in, a `Book` for each document out. `manuscript` collects the text, leaves out
what the rules do not want and keeps offsets; `sniff` tells formats apart by their content. No module here reads a file
or knows of units: that is for `mmedc.sources.books`.
"""
