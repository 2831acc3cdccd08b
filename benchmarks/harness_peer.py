"""The harness's side of `harness.py`: its command line, with the seconds of its requests told."""

import time

from lm_eval.__main__ import cli_evaluate
from lm_eval.models.huggingface import HFLM

spent = 0.0


def clocked(method):
    """Return a method of the harness's model that adds to `spent`."""

    def timed(self, *arguments, **named):
        global spent
        begun = time.perf_counter()
        try:
            return method(self, *arguments, **named)
        finally:
            spent += time.perf_counter() - begun

    return timed


for name in ("loglikelihood", "generate_until"):
    setattr(HFLM, name, clocked(getattr(HFLM, name)))

if __name__ == "__main__":
    cli_evaluate()
    print(f"scoring {spent}")
