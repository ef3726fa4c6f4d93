// What script adds to the console's pages, all of which read without it: regions that refresh themselves from the
// page's own address, what happened to an opened event, and copy buttons.
"use strict";

const region = document.querySelector("[data-refresh]");
const pause = document.querySelector("[data-pause]");
const news = document.querySelector("[data-news]");
const counts = { new: 0, rejected: 0 };
let paused = false;
let saidAt = 0;

async function fetched(address) {
  const answer = await fetch(address, { credentials: "same-origin" });
  if (new URL(answer.url).pathname === "/console/login") {
    location.reload();
  }
  if (!answer.ok) {
    throw new Error(String(answer.status));
  }
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function say(text) {
  if (news) {
    news.textContent = text;
  }
}

// New rows go in where they belong; rows that are there stay as they are, so that what is open, focused or
// selected is not disturbed. Open rows stay even when they are no longer among the newest.
function mergeRows(list, fresh) {
  const wanted = new Set([...fresh.children].map((row) => row.id));
  let at = list.firstElementChild;
  for (const row of [...fresh.children]) {
    const have = document.getElementById(row.id);
    if (!have) {
      list.insertBefore(row, at);
      counts.new += 1;
      counts.rejected += row.querySelector("summary .bad") ? 1 : 0;
    } else if (have === at) {
      at = at.nextElementSibling;
    } else {
      list.insertBefore(have, at);
    }
  }
  for (const row of [...list.children]) {
    if (!wanted.has(row.id) && !row.querySelector("details[open]")) {
      row.remove();
    }
  }
}

function sayNews() {
  if (counts.new && Date.now() - saidAt > 5000) {
    say(`${counts.new} new` + (counts.rejected ? `, ${counts.rejected} rejected` : ""));
    counts.new = counts.rejected = 0;
    saidAt = Date.now();
  }
}

async function refresh() {
  if (document.hidden || paused) {
    return;
  }
  try {
    const fresh = await fetched(location.href);
    for (const part of region.querySelectorAll("[data-part]")) {
      const next = fresh.getElementById(part.id);
      if (next && next.innerHTML !== part.innerHTML && !part.contains(document.activeElement)) {
        part.replaceChildren(...next.childNodes);
      }
    }
    const list = region.querySelector("[data-rows]");
    if (list) {
      mergeRows(list, fresh.querySelector("[data-rows]"));
    }
    if (region.dataset.state === "lost") {
      say("Connected again");
    }
    sayNews();
    region.dataset.state = "fresh";
  } catch {
    region.dataset.state = "lost";
    say("Connection lost; trying again");
  }
}

async function keepFresh() {
  const seconds = Number(region.dataset.refresh);
  for (;;) {
    await new Promise((resume) => setTimeout(resume, seconds * 1000));
    await refresh();
  }
}

if (region) {
  keepFresh();
}

if (pause) {
  pause.hidden = !region;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    say(paused ? "Paused" : "");
    refresh();
  });
}

// "toggle" does not bubble, so it is caught on the way down.
document.addEventListener(
  "toggle",
  async (event) => {
    const link = event.target.open && event.target.querySelector("a[data-load]");
    if (!link) {
      return;
    }
    try {
      const part = (await fetched(link.href)).getElementById(link.dataset.load);
      link.replaceWith(...part.childNodes);
    } catch {
      // The link stays and leads to the same.
    }
  },
  true,
);

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    await navigator.clipboard.writeText(field.value);
    button.textContent = "Copied";
  });
}
