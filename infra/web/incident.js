"use strict";
// The page is complete without this: here is what posts, copies, tells the reader's own time, and keeps it fresh.

const FRESH_MS = 30000;

function own(place) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const node of place.querySelectorAll("time")) {
    node.title = `${new Date(node.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })} ${zone}`;
  }
  const since = place.querySelector(".facts time");
  if (since && new Date(since.dateTime).getTimezoneOffset() !== 0) {
    since.after(` (${new Date(since.dateTime).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })} here)`);
  }
}

function remembered() {
  try {
    return localStorage.getItem("author") || "";
  } catch {
    return "";
  }
}

function remember(author) {
  try {
    localStorage.setItem("author", author);
  } catch {
    // A browser that keeps nothing asks again.
  }
}

async function say(event) {
  event.preventDefault();
  const form = event.target;
  const told = form.querySelector("output");
  const button = form.querySelector("button");
  const said = Object.fromEntries(new FormData(form));
  if (form.dataset.post.endsWith("/notes")) said.key = form.dataset.key ||= crypto.getRandomValues(new Uint32Array(4)).join("-");
  remember(said.author);
  button.disabled = true;
  told.textContent = "";
  try {
    const response = await fetch(form.dataset.post, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(said),
    });
    if (!response.ok) throw new Error((await response.json()).error || `${response.status}`);
    await refresh();
  } catch (error) {
    told.textContent = `Not saved: ${error.message}`;
    button.disabled = false;
  }
}

async function copy(event) {
  const button = event.target;
  try {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select and copy it below";
  }
}

function begin() {
  const live = document.getElementById("live");
  own(live);
  for (const form of live.querySelectorAll("form[data-post]")) {
    form.elements.author.value = remembered();
    form.addEventListener("submit", say);
  }
  for (const button of live.querySelectorAll("[data-copy]")) button.addEventListener("click", copy);
}

async function refresh() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!response.ok) throw new Error(`${response.status} from the service`);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  const open = [...document.querySelectorAll("details")].map((node) => node.open);
  document.title = fresh.title;
  document.getElementById("live").replaceWith(document.adoptNode(fresh.getElementById("live")));
  document.querySelectorAll("details").forEach((node, place) => { node.open = open[place] || false; });
  begin();
}

const writing = () => [...document.querySelectorAll("textarea")].some((node) => node.value) || document.activeElement?.form;

async function loop() {
  // Only what may still change, and never under somebody's hands.
  if (document.querySelector("[data-active]") && !document.hidden && !writing()) await refresh().catch(() => {});
  setTimeout(loop, FRESH_MS);
}

begin();
setTimeout(loop, FRESH_MS);
