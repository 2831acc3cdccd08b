"""Steps on documents: decode, extract, normalise, identify language, find medicine, measure quality.

Each is a picklable value with `open() -> (RecordBatch -> RecordBatch)`; see `mmedc.engine.chain.Step`.
They measure; what a measure must be is said in `filters/`.
"""
