"""Limits of the policy that can be moved, with what they would keep."""

from typing import Any
from urllib.parse import urlencode

from mmedc.inspect.charts import share
from mmedc.inspect.limits import (
    BOUNDS,
    EVERY,
    Answer,
    Key,
    Moved,
    Sums,
    answer,
    policy_file,
    reach,
    read_changes,
    snapped,
)
from mmedc.inspect.looked import Looked, View
from mmedc.inspect.markup import select, table
from mmedc.inspect.page import exact, figure, human, page
from mmedc.markup import Child, Html, joined, tag

Params = dict[str, str]


def address(path: str, lang: str, source: str, changes: dict[tuple[str, str, str], float]) -> str:
    """Return the address of moved limits."""
    params = {"lang": lang, "source": source, **{".".join(key): exact(value) for key, value in changes.items()}}
    query = urlencode({name: value for name, value in params.items() if value})
    return f"{path}?{query}" if query else path


class Asked:
    """The limits that an address asks for, and their answer."""

    def __init__(self, view: View, params: Params) -> None:
        self.view = view
        limits = view.opened.limits
        self.lang = params.get("lang", "") if params.get("lang", "") in limits else ""
        self.source = params.get("source", "") if params.get("source", "") in view.catalog.sources.known else ""
        self.scope = self.lang or EVERY
        changes = read_changes(params, limits) if view.catalog.scales else {}
        moved = snapped(view.catalog, changes, limits).changes
        self.moved = Moved(limits, {key: value for key, value in moved.items() if not self._is_own(key, value)})

    def _is_own(self, key: Key, value: float) -> bool:
        """Return whether a limit is moved to where it is; then the address does not say so."""
        _, measure, bound = key
        return all(getattr(self.view.opened.limits[code][measure], bound) == value for code in self._of(*key))

    def _of(self, lang: str, measure: str, bound: str) -> list[str]:
        """Return the languages with a limit."""
        limits = self.view.opened.limits
        codes = [*limits] if lang == EVERY else [lang]
        return [code for code in codes if measure in limits[code] and getattr(limits[code][measure], bound) is not None]

    def address(self, path: str = "/limits", **changes: str) -> str:
        """Return the address of this state, perhaps for another language or source."""
        return address(
            path, changes.get("lang", self.lang), changes.get("source", self.source), dict(self.moved.changes)
        )

    def answer(self) -> Answer:
        """Return what these limits would keep."""
        key = ("limits", self.address())
        found: Answer = self.view.kept(key, lambda: answer(self.view.catalog, self.moved, self.lang, self.source))
        return found

    def rows(self) -> list[tuple[str, str]]:
        """Return the (measure, bound) that some of the languages limit."""
        limits = self.view.opened.limits
        codes = [self.lang] if self.lang else [*limits]
        found = dict[tuple[str, str], None]()
        for code in codes:
            for measure, limit in limits[code].items():
                for bound in BOUNDS:
                    if getattr(limit, bound) is not None:
                        found[measure, bound] = None
        return list(found)

    def values(self, measure: str, bound: str) -> list[float]:
        """Return the values of a limit as it is moved: one, or several where languages differ."""
        codes = self._of(self.scope, measure, bound)
        return sorted({value for code in codes if (value := self.moved.value(code, measure, bound)) is not None})

    def owns(self, measure: str, bound: str) -> list[float]:
        """Return the values of a limit in the policy."""
        limits = self.view.opened.limits
        return sorted({getattr(limits[code][measure], bound) for code in self._of(self.scope, measure, bound)})


def limit_page(view: View, looked: Looked, params: Params) -> Html:
    """Return the page."""
    title = tag("h1", "Limits")
    if not view.opened.limits:
        return page("Limits", "/limits", view, looked, title, tag("p", "The policy of this corpus is not known."))
    if not view.catalog.scales:
        return page("Limits", "/limits", view, looked, title, tag("p", "Scores are not read yet."))
    asked = Asked(view, params)
    found = asked.answer()
    note = (
        "Move a limit, and the numbers say at once how many documents the step “limits” would keep. What deduplication "
        "then removes, only a build tells. Nothing here changes the corpus."
    )
    if view.opened.own_limits:
        names = ", ".join(sorted(view.opened.own_limits))
        note += f" Sources with a policy of their own are judged by it: {names}. A limit that you move "
        note += "is moved for them too, where they have it; policy.yaml has the policy of the other sources only."
    if not view.opened.history:
        note += " Only published documents are known here, so looser limits cannot be answered."
    langs = {"": "all languages", **{code: code for code in sorted(view.opened.limits)}}
    sources = {"": "all", **{name: name for name in sorted(view.catalog.sources.known)}}
    where = tag(
        "form",
        select("lang", "Language", langs, asked.lang),
        select("source", "Source", sources, asked.source),
        [
            tag("input", type="hidden", name=".".join(key), value=exact(value))
            for key, value in asked.moved.changes.items()
        ],
        tag("button", "Show", type="submit"),
        action="/limits",
        class_="bar",
        data_auto=True,
    )
    form = tag(
        "form",
        tag("input", type="hidden", name="lang", value=asked.lang),
        tag("input", type="hidden", name="source", value=asked.source),
        _elsewhere(asked),
        [_limit(asked, found, measure, bound) for measure, bound in asked.rows()],
        tag("button", "Apply", type="submit"),
        action="/limits",
        id="limits",
        data_answers=asked.address("/limits.json"),
        class_="limits",
    )
    side = tag("aside", _tables(found), aria_label="What these limits would keep")
    body = tag("div", _live(asked, found), form, side, class_="limit-page")
    return page("Limits", "/limits", view, looked, title, tag("p", note, class_="note"), where, body, wide=True)


def _elsewhere(asked: Asked) -> list[Html]:
    """Return the moved limits that the form does not show, so that it keeps them."""
    shown = {(asked.scope, measure, bound) for measure, bound in asked.rows()}
    return [
        tag("input", type="hidden", name=".".join(key), value=exact(value))
        for key, value in asked.moved.changes.items()
        if key not in shown
    ]


def _limit(asked: Asked, found: Answer, measure: str, bound: str) -> Html:
    name, values, owns = f"{asked.scope}.{measure}.{bound}", asked.values(measure, bound), asked.owns(measure, bound)
    low, high = reach(asked.view.opened.limits, asked.scope, measure)
    own = " or ".join(map(human, owns[:3])) + (" …" if len(owns) > 3 else "")
    stop = low if bound == "min" else high
    until = f", {'down' if bound == 'min' else 'up'} to {human(stop)}" if stop is not None else ""
    field = f"field-{name}"
    least = "at least" if bound == "min" else "at most"
    moved = values != owns
    slider = tag("input", type="range", min=0, max=100, hidden=True, aria_label=f"{measure} {least}")
    entry = tag(
        "input",
        name=name,
        id=field,
        inputmode="decimal",
        autocomplete="off",
        value=exact(values[0]) if len(values) == 1 else "",
        placeholder="differs" if len(values) > 1 else None,
    )
    return tag(
        "div",
        tag("label", tag("b", measure), tag("small", least), for_=field),
        slider,
        entry,
        tag("small", f"policy {own}{until}", class_="own"),
        class_="limit moved" if moved else "limit",
        data_limit=name,
    )


def _live(asked: Asked, found: Answer) -> Html:
    """Return the sums, which change while a limit is dragged."""
    every = _every(found)
    kept, change = tag("span", f"{every.then:,}", data_then=EVERY), _change(every.now, every.then)
    figures = tag(
        "dl",
        figure("Kept", kept, tag("small", f"of {every.scored:,} with scores")),
        figure("Change", tag("span", change, data_change=EVERY), tag("small", f"now {every.now:,}")),
        figure("Tokens, about", every.then_tokens, tag("small", f"now {every.now_tokens:,}")),
        class_="figures small",
    )
    save = tag("a", "Save as policy.yaml", href=asked.address("/policy.yaml"), download="policy.yaml", class_="button")
    undo = tag("a", "Back to the policy", href=address("/limits", asked.lang, asked.source, {}))
    moved = tag("p", save, " ", undo, class_="save") if asked.moved.changes else None
    return tag("div", tag("div", figures, role="status"), moved, class_="live")


def _every(found: Answer) -> Sums:
    every = Sums()
    for each in found.languages.values():
        for name, value in vars(each).items():
            setattr(every, name, getattr(every, name) + value)
    return every


def _tables(found: Answer) -> Html:
    every = _every(found)
    rows: list[list[Child]] = [
        [
            lang,
            each.scored,
            each.now,
            tag("span", f"{each.then:,}", data_then=lang),
            tag("span", _change(each.now, each.then), data_change=lang),
            f"{each.stay:,} of {each.published:,}",
        ]
        for lang, each in found.languages.items()
    ]
    head = ["Language", "scored", "kept now", "then", "change", "published that stay"]
    reasons: list[list[Child]] = [
        [reason, now, then, _change(now, then), share(then, max(every.scored, 1))]
        for reason, (now, then) in sorted(found.reasons.items(), key=lambda item: -max(item[1]))
    ]
    by_reason = ["Dropped first by", "now", "then", "change", tag("span", "then, as bars", class_="unseen")]
    return joined(
        table(head, rows, (1, 2, 3, 4, 5), "Documents by language"),
        table(by_reason, reasons, (1, 2, 3), "Documents by limit") if reasons else None,
    )


def _change(now: int, then: int) -> str:
    return f"{then - now:+,}" if then != now else "0"


def answers(view: View, params: Params) -> dict[str, Any]:
    """Return, for each limit, what each place of it would keep, so that moving it asks nothing."""
    asked = Asked(view, params)
    found, rows = asked.answer(), {}
    for measure, bound in asked.rows():
        scale = view.catalog.scales[measure]
        low, high = reach(view.opened.limits, asked.scope, measure)
        by_lang = {
            lang: found.kept(measure, bound, lang)
            for lang in found.languages
            if lang in found.alone.get((measure, bound), {})
        }
        first = scale.nearest(low) if low is not None else 0
        last = scale.nearest(high) if high is not None else len(scale.edges) - 1
        owns, values = asked.owns(measure, bound), asked.values(measure, bound)
        rows[f"{asked.scope}.{measure}.{bound}"] = {
            "values": [float(exact(edge)) for edge in scale.edges[first : last + 1]],
            "kept": {lang: counts[first : last + 1].tolist() for lang, counts in by_lang.items()},
            "at": scale.nearest(values[0]) - first if values else 0,
            "own": scale.nearest(owns[0]) - first if owns else 0,
        }
    sums = {lang: {"now": each.now, "then": each.then} for lang, each in found.languages.items()}
    return {"limits": rows, "languages": sums}


def as_policy(view: View, params: Params) -> str:
    """Return the policy file with the moved limits."""
    asked, policy = Asked(view, params), view.opened.policy
    manifest = view.opened.manifest
    about = f"The limits of {manifest.policy if manifest else 'a policy'}"
    if manifest:
        about += f" as they were moved while looking at {manifest.name}, {manifest.digest}"
    return policy_file(asked.moved, policy.rule if policy else "boundary", " ".join(about.split()))
