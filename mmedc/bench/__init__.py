"""Scores a checkpoint on multiple-choice questions, exactly and with error bars.

In the order of the data: `items` and `formats` (questions); `config` and `protocols` (what is asked, and which answers
are compared); `backends` (who answers: `local` with its `packing`, `fleet`, `vllm`, `served`) and `cache`; `parsing`
(answers in words); `statistics`, `rationales`, `perplexity`, `contamination`; `scoring` (all of it, from a recipe);
`harness` and `leaderboard` (what others read); `builder` and `judge` (made with a language model and people).
"""
