// What every page can do. Rule: a page is complete without it; it adds changes, live numbers and comfort.
// Declared in HTML:
//   <button data-send="POST" data-url="/api/v1/keys/k1/rotate" data-body='{}' data-ask="Rotate?" data-show="secret" data-show-title="…">
//   <form data-send="POST" data-url="…">  fields by name; data-kind number | list | json | moment (UTC -> Unix s); "limits.rpm" makes an object
//   empty fields are left out; with data-clears="limits.rpm" an empty one sends null under that name
//   data-then="reload" (default) | an address | "stay"; data-show: the field of the answer that is shown once
//   <button data-open="#dialog">, data-toggle="id", data-copy="#element"
// Other modules import send, ask, tell, show from here.

const form_headers = { "content-type": "application/json" };

export async function send(method, url, body) {
  const answer = await fetch(url, {
    method, headers: form_headers, credentials: "same-origin",
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.status === 401) location.href = "/ui/login";
  const text = await answer.text();
  let told = {};
  try { if (text) told = JSON.parse(text); } catch { throw new Error(`Something in between answered ${answer.status}, and not this server.`); }
  if (!answer.ok) throw new Error(told.detail || told.error?.message || `${answer.status}`);
  return told;
}

export function tell(words, tone = "") {
  const toast = document.createElement("div");
  toast.className = `toast ${tone}`;
  toast.textContent = words;
  document.getElementById("toasts").append(toast);
  setTimeout(() => toast.remove(), tone === "bad" ? 12000 : 5000);
}

export function ask(words) {
  const dialog = document.getElementById("ask");
  document.getElementById("ask-words").textContent = words;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}

export function show(title, words, value) {
  const dialog = document.getElementById("told");
  document.getElementById("told-title").textContent = title;
  document.getElementById("told-words").textContent = words;
  document.getElementById("told-value").textContent = value;
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", done, { once: true }));
}

// Browsers lend the clipboard to https and to this machine alone.
async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    tell("Copied.");
  } catch {
    getSelection().selectAllChildren(element);
    tell("This browser does not lend its clipboard to the page. The text is marked: copy it with Ctrl+C.");
  }
}

function read(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name || field.disabled) continue;
    if (field.type === "checkbox" && !field.dataset.kind) { put(body, field.name, field.checked); continue; }
    const text = field.value.trim();
    if (text === "" && field.dataset.clears) { put(body, field.dataset.clears, null); continue; }
    if (text === "" || ((field.type === "checkbox" || field.type === "radio") && !field.checked)) continue;
    const kind = field.dataset.kind || "text";
    let value = text;
    if (kind === "number") value = Number(text.replaceAll("_", ""));
    if (kind === "list") value = text.split(",").map((word) => word.trim()).filter(Boolean);
    if (kind === "json") value = JSON.parse(text);
    if (kind === "moment") value = Date.parse(text.length > 10 ? `${text}Z` : text) / 1000;
    if (field.type === "checkbox") { put(body, field.name, [...(body[field.name] || []), text]); continue; }
    put(body, field.name, value);
  }
  return body;
}

function put(body, name, value) {
  const path = name.split(".");
  const last = path.pop();
  for (const part of path) body = body[part] ??= {};
  body[last] = value;
}

async function run(element, body) {
  const { send: method, url, ask: question, show: field, showTitle, showWords, then = "reload" } = element.dataset;
  if (question && !(await ask(question))) return;
  const buttons = element.matches("form") ? element.querySelectorAll("button") : [element];
  buttons.forEach((button) => { button.disabled = true; });
  try {
    const told = await send(method, url, body);
    element.closest("dialog")?.close();
    if (field && told[field]) await show(showTitle || "Done", showWords || "", told[field]);
    if (then === "reload") location.reload();
    else if (then !== "stay") location.href = then.replace("{id}", encodeURIComponent(told.id ?? ""));
  } catch (error) {
    tell(error.message, "bad");
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-send]")) return;
  event.preventDefault();
  let body;
  try { body = read(form); } catch (error) { tell(`Not JSON: ${error.message}`, "bad"); return; }
  run(form, body);
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { dataset } = button;
  if (dataset.send && !button.form?.dataset.send) run(button, dataset.body ? JSON.parse(dataset.body) : undefined);
  if (dataset.open) document.querySelector(dataset.open).showModal();
  if (dataset.close !== undefined) button.closest("dialog").close();
  if (dataset.copy) await copy(document.querySelector(dataset.copy));
  if (dataset.toggle) {
    const open = document.getElementById(dataset.toggle).classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
  }
  if (dataset.themeSwitch !== undefined) {
    const root = document.documentElement;
    const dark = getComputedStyle(root).colorScheme === "dark";
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = `gatemill-theme=${root.dataset.theme}; path=/ui; max-age=31536000; samesite=strict`;
  }
});

// A filter that changes asks at once; "/" goes to the first of them.
document.addEventListener("change", (event) => {
  if (event.target.matches("form.filters select")) event.target.form.requestSubmit();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
  const first = document.querySelector("form.filters input, form.filters select");
  if (first) { event.preventDefault(); first.focus(); }
});
// A table that is wider than its frame is scrolled by keys, too.
function reach() {
  for (const frame of document.querySelectorAll(".table")) {
    if (frame.scrollWidth > frame.clientWidth || frame.scrollHeight > frame.clientHeight) frame.tabIndex = 0;
    else frame.removeAttribute("tabindex");
  }
}
addEventListener("resize", reach);
reach();
// Empty filters stay out of the address.
document.addEventListener("formdata", (event) => {
  if (!event.target.matches("form.filters")) return;
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
});

const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
function span(seconds) {
  const parts = [];
  for (const [unit, name] of units) {
    const count = Math.floor(seconds / unit);
    if (count || (name === "s" && !parts.length)) parts.push(`${count} ${name}`);
    seconds -= count * unit;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}
setInterval(() => {
  for (const element of document.querySelectorAll("time[data-ago]")) {
    const past = (Date.now() - Date.parse(element.dateTime)) / 1000;
    element.textContent = Math.abs(past) < 1 ? "now" : past > 0 ? `${span(past)} ago` : `in ${span(-past)}`;
  }
}, 5000);
