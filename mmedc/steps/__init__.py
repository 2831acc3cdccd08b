"""Steps on documents: decode, extract, normalise, identify language, find medicine, measure quality.

Each step is a picklable value with `open() -> (RecordBatch -> RecordBatch)`; see `mmedc.engine.chain.Step`.
The steps only measure; the limits on the measures are in `filters/`.
"""
