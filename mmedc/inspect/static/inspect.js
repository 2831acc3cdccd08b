// What the pages do beyond links and forms: limits that answer while they are dragged, keys, progress. Every state is in
// the address, and nothing here is needed for reading.
"use strict";

const number = new Intl.NumberFormat("en-US");
const signed = new Intl.NumberFormat("en-US", { signDisplay: "exceptZero" });

// --- limits ---------------------------------------------------------------------------------------------------------

async function prepareLimits() {
  const form = document.getElementById("limits");
  if (!form) return;
  const reply = await fetch(form.dataset.answers);
  if (!reply.ok) return;
  const answers = await reply.json();
  for (const row of form.querySelectorAll("[data-limit]")) {
    const limit = answers.limits[row.dataset.limit];
    if (limit && limit.values.length > 1) prepareSlider(row, limit, answers.languages);
  }
  form.addEventListener("submit", (event) => { event.preventDefault(); apply(form); });
}

function prepareSlider(row, limit, languages) {
  const slider = row.querySelector("input[type=range]");
  const field = row.querySelector("input[name]");
  slider.max = limit.values.length - 1;
  slider.value = limit.at;
  slider.setAttribute("aria-valuetext", field.value || "differs by language");
  slider.hidden = false;
  slider.addEventListener("input", () => {
    const at = Number(slider.value);
    field.value = limit.values[at];
    slider.setAttribute("aria-valuetext", String(limit.values[at]));
    show(limit.kept, at, languages);
  });
  slider.addEventListener("change", () => apply(row.closest("form"), slider.id));
  field.addEventListener("change", () => apply(row.closest("form"), field.id));
  slider.id = "slider-" + row.dataset.limit;
}

function show(kept, at, languages) {
  let now = 0, then = 0;
  for (const [lang, sums] of Object.entries(languages)) {
    const count = lang in kept ? kept[lang][at] : sums.then;
    put("then", lang, number.format(count));
    put("change", lang, signed.format(count - sums.now));
    now += sums.now;
    then += count;
  }
  put("then", "all", number.format(then));
  put("change", "all", signed.format(then - now));
}

function put(what, lang, text) {
  const cell = document.querySelector(`[data-${what}="${CSS.escape(lang)}"]`);
  if (cell) cell.textContent = text;
}

function apply(form, focus) {
  const query = new URLSearchParams(new FormData(form));
  go(form.action + "?" + query, focus, true);
}

// Puts the main part of another page in place of this one, so that focus and place on the page stay.
async function go(address, focus, remember) {
  const reply = await fetch(address);
  if (!reply.ok) { location.assign(address); return; }
  const page = new DOMParser().parseFromString(await reply.text(), "text/html");
  const main = page.getElementById("main");
  if (!main) { location.assign(address); return; }
  document.getElementById("main").replaceWith(main);
  document.title = page.title;
  if (remember) history.pushState({ swapped: true }, "", reply.url);
  await prepareLimits();
  prepareForms();
  const control = focus && document.getElementById(focus);
  if (control) control.focus({ preventScroll: true });
}

window.addEventListener("popstate", () => {
  if (location.pathname === "/limits") go(location.href, "", false);
});

function prepareForms() {
  for (const form of document.querySelectorAll("form[data-auto]")) {
    form.addEventListener("change", () => form.requestSubmit());
  }
}

// --- keys -----------------------------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { j: 1, k: -1 }[event.key];
  if (step) moveInList(step);
  else if (event.key === "/") document.getElementById("search")?.focus();
  else if (event.key === "n") document.querySelector("a[rel=next]")?.click();
  else if (event.key === "p") document.querySelector("a[rel=prev]")?.click();
  else return;
  event.preventDefault();
});

function moveInList(step) {
  const links = [...document.querySelectorAll(".documents h3 a")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  links[at < 0 ? 0 : Math.min(Math.max(at + step, 0), links.length - 1)].focus();
}

// --- progress -------------------------------------------------------------------------------------------------------

async function follow() {
  const reply = await fetch("/progress");
  if (!reply.ok) return;
  const { counted, done } = await reply.json();
  const cell = document.getElementById("counted");
  if (cell) cell.textContent = number.format(counted);
  const typing = document.activeElement?.closest("input, select, textarea");
  if (done && !typing) location.reload();
  else setTimeout(follow, done ? 3000 : 700);
}

if (document.body.dataset.counting !== undefined) setTimeout(follow, 300);
prepareLimits();
prepareForms();
