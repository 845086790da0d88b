// Keeps parts of a page as they are now: elements with an id and data-fresh are replaced by what the server shows.
// data-follow="/v1/jobs/…/events" says when something has happened; otherwise the page asks every few seconds.
// Rule: a part in which somebody types, ticks or marks stays as it is, and focus stays where it was; a hidden page asks nothing, and no page keeps
// the server busy for more than a tenth of the time.

const pause_ms = 3000;
const least_ms = 500; // between two looks, however much happens
let looking = false;
let again = false;
let took_ms = 0;

// Moments are told anew by app.js.
const timeless = (part) => part.innerHTML.replace(/(<time[^>]*>)[^<]*/g, "$1");

function busy(part) {
  const { activeElement: at } = document;
  const marked = getSelection();
  return part.querySelector("input:checked") !== null
    || (part.contains(at) && at.matches("input, select, textarea"))
    || (!marked.isCollapsed && part.contains(marked.anchorNode));
}

function replace(part, fresh) {
  const stops = () => [...part.querySelectorAll("a, button, [tabindex]")];
  const at = document.activeElement;
  const place = stops().indexOf(at);
  part.replaceChildren(...document.adoptNode(fresh).childNodes);
  const now = stops()[place];
  if (now?.textContent === at.textContent) now.focus({ preventScroll: true });
}

async function look() {
  if (looking) { again = true; return; }
  looking = true;
  const began = performance.now();
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (answer.redirected) { location.reload(); return; }
    if (!answer.ok) return;
    const now = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-fresh]")) {
      const fresh = now.getElementById(part.id);
      if (!fresh || busy(part)) continue;
      if (!fresh.dataset.follow) delete part.dataset.follow;
      if (timeless(fresh) !== timeless(part)) replace(part, fresh);
    }
  } catch { /* the server is away for a moment: the next look will tell */ } finally {
    took_ms = performance.now() - began;
    setTimeout(() => { looking = false; if (again) { again = false; look(); } }, Math.max(least_ms, 10 * took_ms));
  }
}

const followed = document.querySelector("[data-follow]");
if (followed) {
  const events = new EventSource(followed.dataset.follow);
  const ends = new Set(["succeeded", "dead", "cancelled", "expired"]);
  events.addEventListener("progress", look);
  events.addEventListener("state", (event) => {
    const { state } = JSON.parse(event.data);
    document.getElementById("said").textContent = state;
    if (ends.has(state)) events.close();
    look();
  });
}
const keeps = document.querySelector("[data-fresh]") !== null;
const isOver = () => followed && !followed.dataset.follow;
if (keeps) setInterval(() => { if (document.visibilityState === "visible" && !isOver()) look(); }, pause_ms);
