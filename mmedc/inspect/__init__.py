"""`mmedc inspect`: a local web page on which people look at a corpus, move limits, and mark what is wrong.

Everything is read from the committed files: from the published shards, and from what the passes left beside them. The
scores of all documents are coded once, by numbers of 16 bits in files of a temporary folder (`catalog`), so that
filters, histograms and limits are answered without another look at the corpus. Text of documents is never markup:
every page is made by `markup.tag`, which escapes what it is given.
"""
