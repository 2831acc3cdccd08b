"""mmedc: multilingual medical corpora for language-model pretraining.

The Python front door is `read_recipe`, `build` and `open_corpus`; everything else is for those who extend mmedc. The
rooms, and the direction in which they may import each other, are in docs/explanation/architecture.md. Importing this
package loads nothing heavy: a name of the front door is loaded when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmedc.api import Corpus, build, open_corpus, read_recipe

__version__ = "0.1.0"
__all__ = ["Corpus", "__version__", "build", "open_corpus", "read_recipe"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        import mmedc.api as api

        return getattr(api, name)
    raise AttributeError(f"module mmedc has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
