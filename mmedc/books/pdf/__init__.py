"""PDF by its text layer: pages read by an engine, laid out by one code, and put together as books.

model      a page as an engine reads it: positioned lines; what the cover says
engines    the engines by name, and when a page is read again glyph by glyph
mupdf, inspector, glyphs    the libraries, one each
hidden     text that a page does not show
repair     files whose end is lost
layout     reading order, columns, tables, vertical text and the beginnings of paragraphs, page by page
wrapped    tables whose cells run over several lines
quality    whether the text of a page can be trusted, and the figures that a decision for OCR needs
tables     pages as Arrow tables
furniture  headers, footers and page numbers, learned over the whole book
joining    lines joined to paragraphs
book       pages put together: sections, footnotes, parts, offsets
cover      title, authors, licence and identifiers
"""
