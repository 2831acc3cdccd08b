"""What the pages share: the corpus as it is now, its catalog, its marks, and the pictures of its PDF files."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mmedc.errors import MmedcError
from mmedc.folding import folded, origins, plain
from mmedc.inspect.catalog import Catalog
from mmedc.inspect.files import Opened, open_corpus, stamp_of
from mmedc.inspect.marks import Marks
from mmedc.inspect.picture import Pictures
from mmedc.steps.medical import term_finder

EVERY_S = 3.0
"""How often the page looks whether more is committed."""
CLOSING_S = 10.0
"""How long the end waits for the thread that reads."""
KEPT = 64
"""Answers of the catalog that are kept."""


@dataclass(frozen=True)
class Hit:
    """A term of the lexicon in a text: (start, end) in characters."""

    start: int
    end: int
    term: str
    category: str


@dataclass
class View:
    """An opened corpus with its catalog."""

    opened: Opened
    catalog: Catalog
    pictures: Pictures
    answers: dict[Any, Any] = field(default_factory=dict)

    def kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return an answer of the catalog, which is made only once when the catalog is complete."""
        if not self.catalog.done.is_set():
            return make()
        if key not in self.answers:
            if len(self.answers) >= KEPT:
                self.answers.clear()
            self.answers[key] = make()
        return self.answers[key]

    @cached_property
    def _finders(self) -> dict[str, Any]:
        return {}

    def hits(self, lang: str, text: str) -> list[Hit] | None:
        """Return the terms of the lexicon in a text; None where the language has no lexicon here."""
        policy = self.opened.policy
        language = policy.languages.get(lang) if policy else None
        if language is None:
            return None
        if lang not in self._finders:
            self._finders[lang] = term_finder([term.forms for term in language.lexicon])
        spans, length = self._finders[lang](text)
        seen = plain(text)
        if len(seen) != length:  # a few capitals become longer in lower case, to which the positions refer
            seen = folded(text)
        if seen == text:
            bounds = None
        elif (bounds := origins(text, seen)) is None:
            return []
        found = []
        for number, start, end in spans:
            term = language.lexicon[number]
            low, high = (bounds[start][0], bounds[end - 1][1]) if bounds else (start, end)
            found.append(Hit(low, high, term.forms[0], term.category))
        return found


class Looked:
    """The corpus that is looked at; it is opened again when more of it is committed."""

    def __init__(self, corpus: str, marks: Path) -> None:
        self.corpus, self.marks = corpus, Marks(marks)
        self._lock = threading.Lock()
        self._seen = time.monotonic()
        self._view = self._opened()

    def _opened(self) -> View:
        opened = open_corpus(self.corpus)
        view = View(opened, Catalog(opened), Pictures(opened))
        self._filling = threading.Thread(target=self._fill, args=(view,), daemon=True)
        self._filling.start()
        return view

    @staticmethod
    def _fill(view: View) -> None:
        view.catalog.fill()
        for lang in view.opened.policy.languages if view.opened.policy else ():
            if not view.catalog.stopped:
                view.hits(lang, "")  # so that the first document need not wait for the lexicons

    def view(self) -> View:
        """Return the corpus as it is now, looking at its files every few seconds at most."""
        with self._lock:
            if time.monotonic() - self._seen > EVERY_S:
                self._seen = time.monotonic()
                stamp = stamp_of(self.corpus)
                if stamp and stamp != self._view.opened.stamp:
                    try:
                        new = self._opened()
                    except MmedcError:
                        return self._view
                    self._view.catalog.close()
                    self._view = new
            return self._view

    def close(self) -> None:
        """Stop reading, then delete the files of the catalog. Python aborts if it ends while a thread reads Parquet."""
        self._view.catalog.stopped = True
        self._filling.join(CLOSING_S)
        self._view.catalog.close()
