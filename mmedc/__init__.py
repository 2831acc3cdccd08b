"""mmedc: multilingual medical corpora for language-model pretraining.

The rooms and the direction in which they may import each other are drawn in docs/explanation/architecture.md.
Importing this package loads nothing heavy.
"""

__version__ = "0.1.0"
