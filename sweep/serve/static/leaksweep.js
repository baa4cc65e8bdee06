// Follows a running sweep, and copies commands. Puts nothing into a page that the server did not escape.
"use strict";

const LEAST_MS = 1000;

// Makes `old` into `now`, touching only what differs: scrolling, focus and open parts stay.
function become(old, now) {
  if (old.isEqualNode(now)) return;
  if (old.nodeName !== now.nodeName) { old.replaceWith(now); return; }
  if (old.nodeType !== Node.ELEMENT_NODE) { old.data = now.data; return; }
  for (const { name } of [...old.attributes]) if (!now.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const before = [...old.childNodes], after = [...now.childNodes];
  after.forEach((child, place) => place < before.length ? become(before[place], child) : old.append(child));
  before.slice(after.length).forEach((child) => child.remove());
}

function put(page) {
  const live = document.querySelector("#live"), now = page.querySelector("#live");
  const ticked = new Set([...live.querySelectorAll("input:checked")].map((box) => box.value));
  become(live, now);
  for (const box of live.querySelectorAll("input[type=checkbox]")) box.checked = ticked.has(box.value);
  become(document.querySelector("footer"), page.querySelector("footer"));
}

async function follow() {
  const live = document.querySelector("#live"), every = Number(live?.dataset.follow);
  if (!every) return;
  const began = performance.now();
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.ok) put(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* the page was closed at its other end: what is here stays */ }
  }
  const took = performance.now() - began;
  setTimeout(follow, Math.max(LEAST_MS, every * 1000, 5 * took));
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});

const first = Number(document.querySelector("#live")?.dataset.follow);
if (first) setTimeout(follow, first * 1000);
