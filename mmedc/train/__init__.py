"""Continued pretraining and fine-tuning, straight from a published corpus.

Modules, in the order of the data: `config` (what to train), `tokens` (the token pass), `mixture` (what the corpora
hold, and in which shares it is read), `examples` (fine-tuning), `stream` (a batch as a pure function of the step),
`loader`, `attention`, `loss`, `model`, `optimizer`, `checkpoint`, `windows` and `accuracy` (evaluation), `measure`,
`loop`, `launch`, `exporting`.
"""
