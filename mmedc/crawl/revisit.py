"""When a page is fetched again, by its age and by how often it changed; pure arithmetic on seconds."""

import math
from dataclasses import dataclass

DAY = 86_400.0


@dataclass(frozen=True)
class Revisits:
    """How often pages are fetched again."""

    first: float = 30 * DAY
    """Seconds until the second visit, when nothing is known."""
    least: float = 1 * DAY
    most: float = 365 * DAY
    chance: float = 0.5
    """A page is due when it has changed with this probability."""


@dataclass(frozen=True)
class History:
    """What is known of the changes of a page."""

    last: float
    """The time of the last visit, in seconds since 1970."""
    visits: int = 1
    changes: int = 0
    """At how many visits after the first the page had changed; a 304 and an equal payload are no change."""
    span: float = 0.0
    """Seconds between the first and the last visit."""


def change_rate(history: History) -> float:
    """Return the changes per second of a page that changes at random (a Poisson process).

    The estimator of Cho and Garcia-Molina (Estimating frequency of change, ACM TOIT 2003), which is not biased towards
    rare changes: -ln((n - X + 0.5) / (n + 0.5)) for n intervals of one length, in X of which there was a change.
    0 without two visits.
    """
    intervals = history.visits - 1
    if intervals < 1 or history.span <= 0:
        return 0.0
    changes = min(history.changes, intervals)
    return -math.log((intervals - changes + 0.5) / (intervals + 0.5)) / (history.span / intervals)


def next_visit(history: History, revisits: Revisits, lastmod: float | None = None) -> float:
    """Return when a page is due again, in seconds since 1970.

    `lastmod` is when it changed last, as a sitemap or feed says; a change after the last visit makes it due at once,
    but for `least`.
    """
    if lastmod is not None and lastmod > history.last:
        return history.last + revisits.least
    rate = change_rate(history)
    if history.visits < 2 or history.span <= 0:
        wait = revisits.first
    elif rate <= 0:
        wait = revisits.most if history.visits > 3 else max(revisits.first, 2 * history.span)
    else:
        wait = -math.log(1 - revisits.chance) / rate
    return history.last + min(max(wait, revisits.least), revisits.most)
