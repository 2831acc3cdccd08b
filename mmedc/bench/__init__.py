"""Scores a checkpoint on multiple-choice questions, with error bars.

Modules, in the order of the data: `items` and `formats` (questions); `config` and `protocols` (what is asked, and
which answers are compared); `backends` (what answers: `local` with `prompting`, `packing` and `greedy`, `fleet`,
`vllm`, `served`) and `cache`; `parsing` (answers in words); `statistics`, `rationales`, `perplexity` and
`contamination`; `scoring` (everything, from a recipe); `harness` and `leaderboard` (for other programs); `builder` and
`judge` (rationales and topics, with a language model and people).
"""
