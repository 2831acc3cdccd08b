"""The routes: addresses to pages. Pages read files, so they are made in threads."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import resources

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from mmedc.inspect import limit_page, lists, reader
from mmedc.inspect.files import UNREADABLE
from mmedc.inspect.guard import LOOPBACK, Guard
from mmedc.inspect.looked import Looked, View
from mmedc.inspect.mark_page import mark_page
from mmedc.inspect.marks import KINDS, LABELS, NONE, NOTE_CHARS, Mark, identity, labels, now
from mmedc.inspect.overview import overview
from mmedc.inspect.page import document as whole
from mmedc.inspect.page import missing, page
from mmedc.inspect.question import DIGITS, Question, read_question, whole_number
from mmedc.inspect.reading import document, find
from mmedc.markup import Html, tag

STATIC = {"inspect.css": "text/css", "inspect.js": "text/javascript", "icon.svg": "image/svg+xml"}
FORM = {"measure", "low", "high"}
"""Fields of the filters that an address does not keep as they are."""


class _WholeNumber(IntegerConvertor):
    regex = f"[0-9]{{1,{DIGITS}}}"  # Python converts no more than 4,300 digits


register_url_convertor("whole", _WholeNumber())


def make_app(looked: Looked, names: Iterable[str] = LOOPBACK, token: str = "", any_address: bool = False) -> Guard:
    """Return the application; see `mmedc.inspect.guard.Guard` for the arguments."""
    pages = _Pages(looked)
    routes = [
        Route("/", pages.of(lambda view, _: overview(view, looked))),
        Route("/documents", pages.documents),
        Route("/documents/{name:path}/{row:whole}", pages.of(pages.document)),
        Route("/beside", pages.of(pages.beside)),
        Route("/measures", pages.measures),
        Route("/limits", pages.limits),
        Route("/limits.json", pages.limit_answers),
        Route("/policy.yaml", pages.policy),
        Route("/marks", pages.of(lambda view, _: mark_page(view, looked)), methods=["GET"]),
        Route("/marks", pages.mark, methods=["POST"]),
        Route("/labels.jsonl", pages.labels),
        Route("/picture/{name:path}/{row:whole}/{page:whole}.png", pages.picture),
        Route("/progress", pages.progress),
        Route("/enter", _enter, methods=["GET"]),
        Route("/static/{name}", _static),
    ]
    handlers = {HTTPException: pages.problem, **dict.fromkeys(UNREADABLE, pages.failed)}
    app = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]
    return Guard(app, names, token, any_address)


class _Pages:
    def __init__(self, looked: Looked) -> None:
        self.looked = looked

    def of(self, make: Callable[[View, Request], Html | None]) -> Callable[[Request], Response]:
        """Return the endpoint of a page; where there is none, it answers that."""

        def endpoint(request: Request) -> Response:
            view = self.looked.view()
            made = make(view, request)
            return HTMLResponse(made) if made is not None else HTMLResponse(reader.not_there(view, self.looked), 404)

        return endpoint

    def _question(self, view: View, request: Request) -> Question:
        return read_question(dict(request.query_params), view.catalog.measures)

    def documents(self, request: Request) -> Response:
        view = self.looked.view()
        asked = self._question(view, request)
        if len(asked.q) == 32 and not set(asked.q) - set("0123456789abcdef") and (at := find(view.opened, asked.q)):
            return RedirectResponse(f"/documents/{at[0]}/{at[1]}", 303)
        if FORM & set(request.query_params):
            return RedirectResponse(asked.address(), 303)
        return HTMLResponse(lists.documents(view, self.looked, asked))

    def measures(self, request: Request) -> Response:
        view = self.looked.view()
        asked = self._question(view, request)
        if FORM & set(request.query_params):
            return RedirectResponse(asked.address("/measures"), 303)
        return HTMLResponse(lists.measures(view, self.looked, replace(asked, q="", sort="")))

    def document(self, view: View, request: Request) -> Html | None:
        asked, params = self._question(view, request), request.query_params
        name, row = request.path_params["name"], request.path_params["row"]
        start, image = (whole_number(params.get(key, "")) for key in ("from", "image"))
        return reader.reader(view, self.looked, name, row, asked, start, image)

    def beside(self, view: View, request: Request) -> Html | None:
        params = request.query_params
        return reader.beside(view, self.looked, params.get("left", ""), params.get("right", ""))

    def limits(self, request: Request) -> Response:
        view, params = self.looked.view(), dict(request.query_params)
        if view.opened.limits and view.catalog.scales:
            canonical = limit_page.Asked(view, params).address()
            asked = f"/limits?{request.url.query}" if request.url.query else "/limits"
            if canonical != asked and any(value == "" or "." in name for name, value in params.items()):
                return RedirectResponse(canonical, 303)
        return HTMLResponse(limit_page.limit_page(view, self.looked, params))

    def limit_answers(self, request: Request) -> Response:
        view = self.looked.view()
        if not view.catalog.scales or not view.opened.limits:
            return JSONResponse({"limits": {}, "languages": {}})
        return JSONResponse(limit_page.answers(view, dict(request.query_params)))

    def policy(self, request: Request) -> Response:
        text = limit_page.as_policy(self.looked.view(), dict(request.query_params))
        return Response(text, media_type="application/yaml", headers=_attached("policy.yaml"))

    async def mark(self, request: Request) -> Response:
        form = await request.form(max_fields=10)
        given = {name: value if isinstance(value, str) else "" for name, value in form.items()}
        return await run_in_threadpool(self._mark, given)

    def _mark(self, given: dict[str, str]) -> Response:
        view, kind, row = self.looked.view(), given.get("kind", ""), given.get("row", "")
        if kind not in (*KINDS, NONE) or not (row.isascii() and row.isdigit() and len(row) < 12):
            raise HTTPException(400, "Say what the document is.")
        file = given.get("file", "")
        values = document(view.opened, file, int(row))
        if values is None:
            return HTMLResponse(reader.not_there(view, self.looked), 404)
        manifest = view.opened.manifest
        source = values.get("source") or view.opened.places[file].source
        known = [str(values.get(name) or "") for name in ("lang", "locator")]
        note = " ".join(given.get("note", "").split())[:NOTE_CHARS]
        mark = Mark(
            identity(values),
            file,
            int(row),
            kind,
            note,
            known[0],
            source,
            known[1],
            manifest.digest if manifest else "",
            now(),
        )
        self.looked.marks.add(mark)
        back = given.get("back", "")
        return RedirectResponse(back if back.startswith("/documents/") else f"/documents/{file}/{row}", 303)

    def labels(self, request: Request) -> Response:
        question = request.query_params.get("question", "medical")
        if question not in LABELS:
            raise HTTPException(400, f"Labels answer {' or '.join(LABELS)}.")
        lines = labels(self.looked.view().opened, self.looked.marks, question)
        return StreamingResponse(lines, media_type="application/jsonl", headers=_attached("labels.jsonl"))

    def picture(self, request: Request) -> Response:
        view, where = self.looked.view(), request.path_params
        values = document(view.opened, where["name"], where["row"])
        if values is None:
            raise HTTPException(404, "There is no such document.")
        file = view.opened.places[where["name"]]
        path = view.pictures.path(values.get("source") or file.source, values.get("provenance") or "")
        made = view.pictures.png(path, where["page"]) if path and 0 < where["page"] < 1_000_000 else None
        if made is None:
            raise HTTPException(404, "The page cannot be drawn.")
        return Response(made, media_type="image/png", headers={"cache-control": "private, max-age=600"})

    def progress(self, request: Request) -> Response:
        catalog = self.looked.view().catalog
        return JSONResponse({"counted": catalog.counted, "done": catalog.done.is_set()})

    def problem(self, request: Request, problem: HTTPException) -> Response:
        return HTMLResponse(missing(self.looked, self.looked.view(), problem.detail), problem.status_code)

    def failed(self, request: Request, problem: Exception) -> Response:
        said = tag("p", "A file of the corpus cannot be read: ", tag("code", str(problem)))
        advice = tag("p", tag("code", "mmedc verify"), " finds every file that is not as it was written.")
        title = "Cannot be read"
        return HTMLResponse(page(title, "", self.looked.view(), self.looked, tag("h1", title), said, advice), 500)


def _attached(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}


def _enter(request: Request) -> Response:
    wrong = tag("p", "That is not the token.", role="alert", class_="lost") if "wrong" in request.query_params else None
    form = tag(
        "form",
        tag(
            "label",
            tag("span", "Token"),
            tag("input", type="password", name="token", required=True, autofocus=True, autocomplete="current-password"),
        ),
        tag("button", "Enter", type="submit"),
        method="post",
        action="/enter",
        class_="enter",
    )
    main = tag(
        "main", tag("h1", "mmedc inspect"), tag("p", "The token is what the server was started with."), wrong, form
    )
    return HTMLResponse(whole("Enter the token", main))


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        raise HTTPException(404, "There is no such file.")
    data = resources.files("mmedc.inspect").joinpath("static", name).read_bytes()
    return Response(data, media_type=STATIC[name], headers={"cache-control": "no-cache"})
