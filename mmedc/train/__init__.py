"""Continued pretraining and fine-tuning, straight from a published corpus.

Rooms, in the order of the data: `config` (what to train), `tokens` (the token pass), `cells` (what
a corpus holds, and in which shares it is read), `stream` (a batch as a pure function of the step),
`loader`, `attention`, `loss`, `model`, `optimizer`, `checkpoint`, `loop`, `launch`.
"""
