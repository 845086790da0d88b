// Trying a search, with an answer if a model is chosen. Rule: what was found is text, never HTML.

const app = await import(document.querySelector("script[src$='/app.js']").src);
const form = document.getElementById("search");
const found = document.getElementById("found");

function element(name, text = "", class_name = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (class_name) made.className = class_name;
  return made;
}

function passage(one, cited) {
  const item = element("li", "", "passage");
  const head = element("p", "", "row");
  head.append(element("strong", `[${one.n}] ${one.title || one.file_id}`));
  head.append(element("span", `score ${Number(one.score).toFixed(4)}`, "badge"));
  if (cited) head.append(element("span", "cited", "badge good"));
  item.append(head, element("p", one.text, "words"));
  return item;
}

function shown(told, took_ms) {
  const parts = [];
  if (told.answer) {
    const card = element("div", "", "card");
    card.append(element("h3", `Answer of ${told.model}`), element("p", told.answer, "words"));
    parts.push(card);
  }
  const cost = told.cost_usd === null ? "unknown" : `$${Number(told.cost_usd).toFixed(6).replace(/\.?0+$/, "")}`;
  const calls = `${told.usage.calls} call${told.usage.calls === 1 ? "" : "s"} of models`;
  parts.push(element("p", `${told.citations.length} passage${told.citations.length === 1 ? "" : "s"} in ${took_ms} ms · ${calls} · ${told.usage.total_tokens} tokens · cost ${cost}`, "soft"));
  const list = element("ol", "", "passages");
  for (const one of told.citations) list.append(passage(one, told.cited.includes(one.n)));
  parts.push(list);
  if (told.degraded.length) parts.push(element("p", `Left out: ${told.degraded.join(", ")}`, "soft"));
  found.replaceChildren(...parts);
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = form.elements;
  const model = fields.model.value.trim();
  const asked = {
    query: fields.query.value, store: form.dataset.store, top_k: Number(fields.top_k.value), mode: fields.mode.value,
    answer: model !== "",
  };
  if (model) asked.model = model;
  const button = form.querySelector("button");
  button.disabled = true;
  found.setAttribute("aria-busy", "true");
  const began = performance.now();
  try {
    shown(await app.send("POST", "/ui/knowledge/answer", asked), Math.round(performance.now() - began));
  } catch (error) {
    app.tell(error.message, "bad");
  } finally { button.disabled = false; found.removeAttribute("aria-busy"); }
});
