"""The harness's side of `harness.py`: its command line, with the seconds, wall and CPU, of its requests told."""

import time

from lm_eval.__main__ import cli_evaluate
from lm_eval.models.huggingface import HFLM

spent = [0.0, 0.0]


def clocked(method):
    """Return a method of the harness's model that adds to `spent`."""

    def timed(self, *arguments, **named):
        begun = time.perf_counter(), time.process_time()
        try:
            return method(self, *arguments, **named)
        finally:
            spent[0] += time.perf_counter() - begun[0]
            spent[1] += time.process_time() - begun[1]

    return timed


for name in ("loglikelihood", "generate_until"):
    setattr(HFLM, name, clocked(getattr(HFLM, name)))

if __name__ == "__main__":
    cli_evaluate()
    print("scoring", *spent)
