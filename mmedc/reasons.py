"""Every reason for which a step drops or rejects a document: the one table, which the documentation shows.

A document is *dropped* when it is sound but not wanted, and *rejected* when it is broken or cannot be processed. A
step writes the name of the reason, then perhaps `: ` and what it saw; the funnel counts names. Tests hold this table
against the steps, so a step that gives a new reason needs a line here.
"""

from mmedc.document import MEASURES

DROPPED: dict[str, dict[str, str]] = {
    "read": {
        "forgotten": "The recipe forgets it (`forget`); nothing of it is stored, not even its address.",
        "http_status": "The server did not answer with status 200.",
        "superseded": "A later visit of the crawl found another version of the page, or that it is gone or reserved.",
        "cut_by_archive": "The archive cut the payload, as its index says (`content_truncated`); it is not fetched.",
        "not_text": "The content type, or the suffix of the file, is not that of a page, of plain text or of a book.",
        "not_article": "The page of a dump is a redirect, or no article: a discussion, a template, a category.",
        "needs_ocr": "A page of a PDF has no text that can be used, and the recipe asks for no OCR (`books.ocr`).",
        "ocr_empty": "OCR finds no text on a page of a PDF.",
        "ocr_unsure": "OCR is less sure of a page of a PDF than `books.ocr.confidence`.",
        "reserved": "The publisher of the book reserves text and data mining; `books: {reserved: keep}` reads it.",
    },
    "forget": {"forgotten": "The recipe forgets the DOI that the page states (`forget`)."},
    "block": {
        "blocked_host": "The host, or a parent domain of it, is on a list that the recipe names in `block`.",
        "blocked_word": "A part of the host name is in `filters/block/host_words.txt`.",
    },
    "prefilter": {"prefilter": "The source cannot contain enough lexicon terms of any language of the recipe."},
    "preview": {
        "few_terms": "The fast main text has fewer lexicon terms than a quarter of the policy's floor.",
        "low_density": "The fast main text has a lower density of lexicon terms than a quarter of the policy's floor.",
        "other_language": "The fast main text is surely in a language that the recipe does not name.",
    },
    "extract": {
        "no_main_text": "No main text was found in the page.",
        "opted_out": "The page, or the answer that brought it, asks not to be used to train models (`opt_outs`).",
    },
    "normalise": {"empty": "The text is empty after normalisation."},
    "language": {"other_language": "The text is in a language that the recipe does not name."},
    "limits": {
        "licence": "The licence of the document is none of those that the recipe publishes (`publish.licences`).",
        "licence_unknown": "No licence is stated for the document, and the recipe publishes none such (`publish`).",
    },
    "dedup": {
        "same_locator": "Another document of the same source has the same URL or locator.",
        "exact_duplicate": "Another document has the same text.",
        "near_duplicate": "Another document has nearly the same text (`dedup.jaccard`).",
        "already_published": "A corpus that `dedup.against` names already has this document.",
    },
    "decontaminate": {"benchmark_question": "The text contains a benchmark question (`decontaminate`)."},
}
"""By step, then by reason: what the reason means. Reasons made from a policy's limits come on top: see `limits`."""

REJECTED: dict[str, dict[str, str]] = {
    "read": {
        "ambiguous_column": "A column that the recipe names occurs more than once in the file.",
        "bad_encoding": "The body has a coding that is not read, or is damaged (Content-Encoding, Transfer-Encoding).",
        "bad_http": "The record does not begin with an HTTP status line.",
        "bad_json": "The line is not a JSON object.",
        "bomb": "The compressed file unpacks to more than `limits.ratio` times its size; the rest of it is not read.",
        "encrypted": "The book has a copy protection or a password.",
        "no_chapters": "None of the chapters that the book names can be read.",
        "needs_ocr": "The PDF has no text that can be used: scanned pages, or fonts without a sound map to Unicode.",
        "ocr_empty": "OCR finds no text on any page of the PDF.",
        "ocr_unsure": "OCR is not sure of any page of the PDF (`books.ocr.confidence`).",
        "not_pdf": "The file calls itself a PDF but does not begin as one.",
        "damaged": "The bytes cannot be read as the format of the file; how many are lost is reported.",
        "empty_file": "The file has no bytes, or unpacks to none.",
        "no_column": "The file lacks a column that the recipe names.",
        "no_text": "The value of the text column or key is null, or is not text; a book is all left-out parts.",
        "rest_unread": "The reader fails at this record even when it skips it; nothing after it in the unit is read.",
        "too_large": "The payload is larger than `limits.document` after decompression.",
        "too_deep": "The elements of the XML nest deeper than a parser reads.",
        "truncated": "The record or the page ends before its headers say, or says itself that it was cut off.",
        "unreadable": "The name leads to no file: a link to itself, or a device.",
    },
    "decode": {
        "binary": "Too many NUL bytes: the payload is not text.",
        "undecodable": "Too many characters mean nothing in the best charset, or browsers refuse to read the charset.",
    },
    "nesting": {
        "too_deep": "The elements of the page nest deeper than `limits.html_depth`.",
        "too_many_nodes": "The page has more tags than `limits.html_nodes`.",
    },
}
"""By step, then by reason: what the reason means."""

REJECTED_ANYWHERE = {
    "error": "The step raised an exception on this document.",
    "timeout": "The document took more CPU seconds than `limits.document_seconds`.",
    "memory": "The document made its parser process grow beyond `limits.document_memory` or `limits.memory`.",
    "crash": "The parser process crashed on this document; the name of the signal follows.",
    "killed": "The parser process was killed from outside at this document again and again.",
    "exit": "The parser process ended by itself on this document; the exit code follows.",
}
"""Reasons that any step may have, because they come from the process in which it runs."""

DATATROVE = "datatrove_"
"""What the reasons begin with that a filter of datatrove gives."""

LIMITED = {
    "language": ("lang_score",),
    "medical": ("medical_terms", "medical_density", "medical_spread"),
    "rules": (
        *("chars", "words", "letter_ratio", "symbol_ratio", "mean_word_chars", "stopword_ratio"),
        *("duplicate_line_ratio", "sentence_end_ratio", "top_trigram_ratio"),
    ),
    "medical_model": ("medical_model",),
    "quality": ("quality",),
    "perplexity": ("perplexity",),
    "limits": tuple(MEASURES),
    "lines": ("chars", "words"),
}
"""Steps that drop by the limits of a policy, with the measures that they look at.

Such a reason is the name of a measure with `_low` or `_high`. All of these steps but `limits` and `lines` look at the
policy's floors and ceilings, those two at its limits.
"""


def meaning(step: str, fate: str, reason: str) -> str | None:
    """Return what `reason` means when `step` gives it; None for a reason that is not declared.

    `fate` is `dropped` or `rejected`. The reasons of a user's own steps are not declared.
    """
    if fate == "rejected":
        return REJECTED.get(step, {}).get(reason) or REJECTED_ANYWHERE.get(reason.split()[0])
    if reason.startswith(DATATROVE):
        return f"The filter of datatrove gave the reason `{reason.removeprefix(DATATROVE)}`."
    measure, _, side = reason.rpartition("_")
    if side in ("low", "high") and measure in LIMITED.get(step, ()):
        return f"`{measure}` is {'below' if side == 'low' else 'above'} what the policy allows."
    return DROPPED.get(step, {}).get(reason)
