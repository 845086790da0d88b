// Numbers of a chart under the pointer. Rule: without it the same words are the browser's own tooltips.

const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true"); // the chart's label and its table say the same
document.body.append(tip);

function wordsOf(hit) {
  const title = hit.querySelector("title");
  if (title) {
    hit.dataset.words = title.textContent;
    title.remove(); // two tooltips are one too many
  }
  return hit.dataset.words;
}

document.addEventListener("pointermove", (event) => {
  const hit = event.target.closest?.(".chart .hit");
  tip.hidden = !hit;
  if (!hit) return;
  tip.textContent = wordsOf(hit);
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(8, Math.min(event.pageX + 14, room))}px`;
  tip.style.top = `${event.pageY + 14}px`;
});
document.addEventListener("pointerleave", () => { tip.hidden = true; });

// Tiles that live: <main data-live-url> names the stream; every element with data-live takes its value.
const source = document.querySelector("[data-live-url]");
if (source) {
  const stream = new EventSource(source.dataset.liveUrl);
  stream.addEventListener("tiles", (event) => {
    for (const [name, words] of Object.entries(JSON.parse(event.data))) {
      const element = document.querySelector(`[data-live="${name}"]`);
      if (element && element.textContent !== words) element.textContent = words;
    }
  });
  addEventListener("pagehide", () => stream.close());
}
