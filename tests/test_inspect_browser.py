"""The pages of `mmedc inspect` in a real browser, without a screen; skipped where there is no Chromium."""

import json
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mmedc.inspect.app import make_app
from mmedc.inspect.looked import Looked
from tests.inspected import HOSTILE, hostile_corpus, looked_at

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FOUND = os.environ.get("MMEDC_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
PATIENCE_MS = 120_000  # of a machine that does other work; `expect` alone would give up after five seconds
expect.set_options(timeout=PATIENCE_MS)
pytestmark = pytest.mark.skipif(FOUND is None, reason="no Chromium: install chromium, or name one in MMEDC_BROWSER")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=FOUND, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        started.close()


def served(looked: Looked) -> Iterator[str]:
    """Serve pages from a thread; yield their address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(looked), log_level="error", access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://localhost:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    listening.close()
    looked.close()


@pytest.fixture(scope="module")
def address(quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(looked_at(quickstart, tmp_path_factory.mktemp("marks") / "marks.jsonl"))


@pytest.fixture(scope="module")
def hostile(quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("hostile")
    yield from served(looked_at(hostile_corpus(quickstart, folder / "corpus"), folder / "marks.jsonl"))


def opened(browser: Browser, **how: Any) -> tuple[Page, list[str]]:
    """Return a new page, and the list to which everything is added that must not happen."""
    context = browser.new_context(**how)
    context.set_default_timeout(PATIENCE_MS)
    page, wrong = context.new_page(), list[str]()
    page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda problem: wrong.append(f"error: {problem}"))
    page.on("console", lambda said: wrong.append(f"console: {said.text}") if said.type == "error" else None)
    page.on("request", lambda request: None if "//localhost:" in request.url else wrong.append(request.url))
    return page, wrong


def test_a_reader_filters_opens_follows_a_cluster_marks_and_exports(browser: Browser, address: str) -> None:
    page, wrong = opened(browser)
    page.goto(address)
    page.get_by_role("link", name="Documents", exact=True).click()
    page.get_by_label("Language").select_option("es")
    page.get_by_label("Show").select_option("dropped")
    page.get_by_label("Reason").select_option("near_duplicate")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("list", name="Filters in force")).to_contain_text("language: es")
    expect(page.locator("ol.documents > li")).to_have_count(3)
    page.wait_for_load_state()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".verdict")).to_contain_text("near_duplicate")
    expect(page.locator(".text mark").nth(5)).to_be_attached()
    title = page.title()
    page.get_by_role("link", name="side by side").first.click()
    expect(page.locator(".beside section")).to_have_count(2)
    expect(page.locator("del, ins").first).to_be_attached()
    page.go_back()
    assert page.title() == title
    page.get_by_label("duplicate", exact=True).check()
    page.get_by_label("Note").fill("the same page under another address")
    page.get_by_role("button", name="Mark", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Marked as duplicate")
    page.get_by_role("link", name="Marks").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Labels for “medical”").click()
    (line,) = Path(download.value.path()).read_text().splitlines()
    assert json.loads(line)["mark"] == "duplicate" and json.loads(line)["lang"] == "es"
    page.goto(f"{address}/documents?lang=fr")
    page.keyboard.press("/")
    page.keyboard.type("vertige")
    page.keyboard.press("Enter")
    expect(page.locator(".said")).to_contain_text("found among documents")
    assert "q=vertige" in page.url and "lang=fr" in page.url
    assert not wrong
    page.context.close()


def test_a_bar_of_a_histogram_is_a_filter(browser: Browser, address: str) -> None:
    page, wrong = opened(browser)
    page.goto(f"{address}/measures?lang=ja")
    bar = page.locator(".measure", has_text="medical_density").locator("svg a").first
    said = bar.get_attribute("aria-label") or ""
    count = re.search(r"(\d+) document", said)
    bar.click()
    page.wait_for_url(re.compile("/documents.*medical_density="))
    assert count
    expect(page.locator("ol.documents > li")).to_have_count(int(count[1]))
    assert not wrong
    page.context.close()


def test_a_dragged_limit_answers_at_once_and_is_an_address(browser: Browser, address: str) -> None:
    page, wrong = opened(browser)
    requests: list[str] = []
    page.goto(f"{address}/limits?lang=es")
    slider = page.get_by_role("slider", name="chars at least", exact=True)
    slider.wait_for()
    before = page.locator("[data-then=all]").text_content()
    page.on("request", lambda request: requests.append(request.url))
    slider.evaluate("slider => { slider.value = slider.max; slider.dispatchEvent(new Event('input')); }")
    assert page.locator("[data-then=all]").text_content() == "0" != before
    assert page.locator("[data-then=es]").text_content() == "0"
    assert not requests  # while it is dragged, nothing is asked
    slider.evaluate("slider => { slider.value = 20; slider.dispatchEvent(new Event('input')); }")
    then = page.locator("[data-then=all]").text_content()
    slider.dispatch_event("change")
    page.wait_for_url(re.compile(r"es\.chars\.min="))
    page.locator(".limit.moved").wait_for()
    expect(page.locator("[data-then=all]")).to_have_text(then or "")
    with page.expect_download() as download:
        page.get_by_role("link", name="Save as policy.yaml").click()
    assert "  es:" in Path(download.value.path()).read_text()
    page.go_back()
    expect(page.locator(".limit.moved")).to_have_count(0)
    expect(page.locator("[data-then=all]")).to_have_text(before or "")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile(r"es\.chars\.min="))
    expect(page.get_by_role("slider", name="chars at least", exact=True)).to_be_focused()
    assert not wrong
    page.context.close()


def test_reading_needs_no_script(browser: Browser, address: str) -> None:
    page, wrong = opened(browser, java_script_enabled=False)
    page.goto(f"{address}/limits")
    page.locator("input[name='all.medical_model.min']").fill("0.9")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile("all.medical_model.min=0.9"))
    page.goto(f"{address}/documents?lang=zh")
    page.locator("ol.documents a").first.click()
    assert page.locator(".text").text_content()
    assert not wrong
    page.context.close()


def test_hostile_documents_do_nothing(browser: Browser, hostile: str) -> None:
    page, wrong = opened(browser)
    for path in ("/", "/documents", "/measures", "/marks"):
        page.goto(hostile + path)
    for row, (name, text) in enumerate(HOSTILE.items()):
        page.goto(f"{hostile}/documents/data/en/pages-00000-of-00001/{row}")
        assert page.evaluate("window.hit") is None, name
        if name in ("script", "onerror", "json", "svg", "template", "link"):
            assert page.locator(".text").text_content() == text
        width, scrolled = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
        assert scrolled <= width, name
    page.goto(f"{hostile}/documents/data/en/pages-00000-of-00001/7")
    assert page.locator(".text .sign").count() >= 7
    assert not wrong
    page.context.close()


CHECKS = """() => {
  const wrong = [], seen = new Set();
  const visible = (node) => node.getClientRects().length > 0;
  const name = (node) => (node.getAttribute("aria-label") || node.textContent || "").trim();
  for (const node of document.querySelectorAll("[id]")) {
    if (seen.has(node.id)) wrong.push("id twice: " + node.id);
    seen.add(node.id);
  }
  for (const node of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (visible(node) && !node.labels.length && !node.getAttribute("aria-label"))
      wrong.push("no label: " + node.outerHTML);
  for (const node of document.querySelectorAll("a[href], button"))
    if (visible(node) && !name(node)) wrong.push("no name: " + node.outerHTML);
  for (const node of document.querySelectorAll("img")) if (!node.alt) wrong.push("no alt: " + node.outerHTML);
  for (const part of ["header", "nav", "main", "footer"])
    if (!document.querySelector(part)) wrong.push("no " + part);
  if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
  let last = 0;
  for (const node of document.querySelectorAll("h1, h2, h3")) {
    const level = Number(node.tagName[1]);
    if (level > last + 1) wrong.push("heading skips a level: " + node.textContent);
    last = level;
  }
  for (const node of document.querySelectorAll("th")) if (!node.scope) wrong.push("no scope: " + node.textContent);
  const light = (colour) => {
    const parts = colour.match(/[\\d.]+/g).map(Number);
    if (parts[3] === 0) return null;
    const [r, g, b] = parts.map((part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const found = light(getComputedStyle(node).backgroundColor);
      if (found !== null) return found;
    }
    return 1;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !visible(node)) continue;
    if (node.closest("svg, .unseen, caption, .skip, option")) continue;
    const pair = [light(getComputedStyle(node).color), behind(node)].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (contrast < 4.5) wrong.push(`contrast ${contrast.toFixed(2)}: ` + node.outerHTML.slice(0, 90));
  }
  if (document.documentElement.scrollWidth > innerWidth) wrong.push("wider than the window");
  return wrong;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_pages_are_accessible(browser: Browser, address: str, scheme: Any, width: int) -> None:
    page, wrong = opened(browser, color_scheme=scheme, viewport={"width": width, "height": 900})
    paths = ("/", "/documents?lang=es", "/documents?show=removed", "/measures", "/limits?all.words.min=40", "/marks",
             "/documents/data/en/books-00000-of-00001/0")  # fmt: skip
    for path in paths:
        page.goto(address + path)
        if "limits" in path:
            page.get_by_role("slider").first.wait_for()
        assert page.evaluate(CHECKS) == [], path
    page.goto(address)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert not wrong
    page.context.close()
