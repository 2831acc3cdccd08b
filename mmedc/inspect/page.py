"""The frame of every page: its head, its navigation, and what must be said about the corpus as a whole."""

from mmedc.inspect.looked import Looked, View
from mmedc.markup import Child, Html, joined, plain_signs, tag

NAVIGATION = {
    "/": "Overview",
    "/documents": "Documents",
    "/measures": "Measures",
    "/limits": "Limits",
    "/marks": "Marks",
}


def page(title: str, here: str, view: View, looked: Looked, *main: Child, wide: bool = False) -> Html:
    """Return a page; `here` is the entry of the navigation that it belongs to."""
    opened, catalog = view.opened, view.catalog
    name = opened.manifest.name if opened.manifest else opened.corpus.rstrip("/").rsplit("/", 1)[-1]
    marked = len(looked.marks.known)
    links = [
        tag(
            "li",
            tag(
                "a",
                label,
                f" {marked:,}" if path == "/marks" and marked else None,
                href=path,
                aria_current="page" if path == here else None,
            ),
        )
        for path, label in NAVIGATION.items()
    ]
    counting = not catalog.done.is_set()
    return document(
        f"{title} · {name}",
        tag("a", "Skip to the content", href="#main", class_="skip"),
        tag(
            "header",
            tag("p", tag("a", name, href="/"), class_="name"),
            tag("nav", tag("ul", links), aria_label="Pages"),
            class_="top",
        ),
        tag("main", notices(view), *main, id="main", tabindex=-1, class_="wide" if wide else None),
        tag("footer", _foot(view)),
        counting=counting,
    )


def document(title: str, *body: Child, counting: bool = False) -> Html:
    """Return a whole HTML document."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", plain_signs(title)),
        tag("link", rel="icon", href="/static/icon.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href="/static/inspect.css"),
        tag("script", src="/static/inspect.js", defer=True),
    )
    whole = tag("html", head, tag("body", *body, data_counting=counting or None), lang="en")
    return joined(Html("<!doctype html>\n"), whole)


def notices(view: View) -> Html | None:
    """Return what must be known about everything that is shown."""
    opened, catalog, said = view.opened, view.catalog, list[Html]()
    if opened.manifest is None:
        units = f"{opened.committed:,} unit{'' if opened.committed == 1 else 's'}"
        said.append(
            tag(
                "p",
                f"This corpus is being built. What is shown is what {units} of ingest committed so far; duplicates "
                "and limits are not decided yet.",
            )
        )
    elif opened.begun:
        said.append(
            tag("p", f"A build has been under way here since {opened.begun}. What is shown was published before.")
        )
    if opened.lacks:
        said.append(tag("p", opened.lacks))
    if catalog.problem:
        said.append(tag("p", f"Some files cannot be read, and their documents are missing here: {catalog.problem}"))
    if not catalog.done.is_set():
        said.append(
            tag(
                "p",
                "Scores are being read: ",
                tag("span", f"{catalog.counted:,}", id="counted"),
                " documents so far. Counts on this page are of these.",
                role="status",
            )
        )
    return tag("div", said, class_="notices") if said else None


def _foot(view: View) -> Html:
    manifest = view.opened.manifest
    digest = [tag("span", "Digest "), tag("code", manifest.digest.removeprefix("sha256:")[:16])] if manifest else None
    keys = [
        tag("kbd", "/"),
        " search, ",
        tag("kbd", "j"),
        " ",
        tag("kbd", "k"),
        " up and down a list, ",
        tag("kbd", "n"),
        " ",
        tag("kbd", "p"),
        " next and previous",
    ]
    return joined(tag("p", tag("bdi", view.opened.corpus), " ", digest), tag("p", "Keys: ", keys, class_="keys"))


def missing(looked: Looked, view: View, what: str) -> Html:
    """Return the page for something that is not there."""
    return page("Not found", "", view, looked, tag("h1", "Not found"), tag("p", what))


def chips(items: list[tuple[str, str]]) -> Html | None:
    """Return the filters in force, each with the address without it."""
    if not items:
        return None
    made = [
        tag(
            "li",
            tag(
                "a",
                label,
                tag("span", " ×", aria_hidden="true"),
                tag("span", " (remove)", class_="unseen"),
                href=address,
            ),
        )
        for label, address in items
    ]
    return tag("ul", made, class_="chips", aria_label="Filters in force")


def figure(name: str, value: Child, note: Child = None) -> Html:
    """Return a large figure with its name."""
    return tag("div", tag("dt", name), tag("dd", tag("b", value), " ", note), class_="figure")


def human(number: float) -> str:
    """Return a score as short as it stays distinct."""
    if number == int(number) and abs(number) < 1e9:
        return f"{int(number):,}"
    return f"{number:,.1f}" if abs(number) >= 1000 else f"{number:.4g}"


def exact(number: float) -> str:
    """Return a bound as a form has it: in all its digits, without an exponent."""
    return str(int(number)) if number == int(number) else f"{number:.7g}"


def human_bytes(size: float) -> str:
    """Return a size with its unit."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
