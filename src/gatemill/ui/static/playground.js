// One question to one model or two. Rule: what a model says is text, never HTML; what it cost is told by the server.

const url = "/ui/playground/chat";
const form = document.getElementById("ask-models");
const fields = form.elements;
const answers = document.getElementById("answers");
const blank = document.getElementById("answer");
let stopping = null;

function body(model) {
  const messages = [{ role: "user", content: fields.user.value }];
  if (fields.system.value.trim()) messages.unshift({ role: "system", content: fields.system.value });
  const asked = { model, messages };
  if (fields.temperature.value !== "") asked.temperature = Number(fields.temperature.value);
  if (fields.max_tokens.value !== "") asked.max_tokens = Number(fields.max_tokens.value);
  if (fields.stream.checked) { asked.stream = true; asked.stream_options = { include_usage: true }; }
  return asked;
}

// --- What comes back ---------------------------------------------------------------------------------

class Card {
  constructor(model) {
    const made = blank.content.cloneNode(true);
    this.text = made.querySelector(".text");
    this.facts = made.querySelector("dl");
    this.card = made.querySelector("section");
    made.querySelector("h2").textContent = model;
    answers.append(made);
    this.began = performance.now();
    this.known = new Map();
  }

  say(words) { this.text.append(words); }

  fail(words) {
    this.card.classList.add("failed");
    this.say(`${this.text.textContent ? "\n" : ""}${words}`);
  }

  tell(name, value) {
    if (value === undefined || value === null || value === "") return;
    this.known.set(name, String(value));
    this.facts.replaceChildren(...[...this.known].flatMap(([key, words]) => {
      const name_of = document.createElement("dt");
      const value_of = document.createElement("dd");
      name_of.textContent = key;
      if (key === "Request") {
        const link = document.createElement("a");
        link.href = `/ui/requests/${encodeURIComponent(words)}`;
        link.textContent = words;
        value_of.append(link);
      } else value_of.textContent = words;
      return [name_of, value_of];
    }));
  }

  since() { return `${Math.round(performance.now() - this.began)} ms`; }

  usage(used) {
    if (!used) return;
    const cached = used.prompt_tokens_details?.cached_tokens;
    this.tell("Tokens", `${used.prompt_tokens} in${cached ? ` (${cached} cached)` : ""}, ${used.completion_tokens} out`);
  }
}

function price(microusd) {
  if (microusd === null || microusd === undefined) return "unknown";
  return microusd === 0 ? "$0" : `$${(microusd / 1e6).toFixed(6).replace(/(\.\d\d+?)0+$/, "$1")}`;
}

function heads(card, answer) {
  card.tell("Answered by", answer.headers.get("x-gatemill-model"));
  card.tell("Attempts", answer.headers.get("x-gatemill-attempts"));
  card.tell("Cache", answer.headers.get("x-gatemill-cache"));
  const cost = answer.headers.get("x-gatemill-cost-usd");
  if (cost !== null) card.tell("Cost", price(Math.round(Number(cost) * 1e6)));
  card.tell("Gateway overhead", answer.headers.has("x-gatemill-overhead-ms") ? `${answer.headers.get("x-gatemill-overhead-ms")} ms` : "");
  card.tell("Request", answer.headers.get("x-request-id"));
}

// The last line is a comment of the gateway's with what it all came to.
function settled(card, comment) {
  if (!comment.startsWith(": gatemill ")) return;
  const told = JSON.parse(comment.slice(": gatemill ".length));
  card.tell("Answered by", told.model);
  card.tell("Attempts", told.attempts);
  card.tell("Cost", price(told.cost_microusd));
}

function event(card, lines) {
  for (const line of lines.split("\n")) {
    if (line.startsWith(":")) settled(card, line);
    if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
    const chunk = JSON.parse(line.slice("data: ".length));
    if (chunk.error) { card.fail(chunk.error.message); continue; }
    card.usage(chunk.usage);
    const words = chunk.choices?.[0]?.delta?.content;
    if (!words) continue;
    if (!card.known.has("First words")) card.tell("First words", card.since());
    card.say(words);
  }
}

async function streamed(card, answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const each of events) event(card, each);
  }
  if (rest) event(card, rest);
}

async function ask(model, signal) {
  const card = new Card(model);
  try {
    const answer = await fetch(url, {
      method: "POST", headers: { "content-type": "application/json" }, credentials: "same-origin",
      body: JSON.stringify(body(model)), signal,
    });
    if (answer.status === 401) { location.href = "/ui/login?next=/ui/playground"; return; }
    heads(card, answer);
    if (!answer.ok) {
      const told = await answer.json();
      card.fail(told.error?.message || told.detail || `${answer.status}`);
    } else if (answer.headers.get("content-type").startsWith("text/event-stream")) {
      await streamed(card, answer);
    } else {
      const told = await answer.json();
      card.say(told.choices[0].message.content ?? "");
      card.usage(told.usage);
    }
    card.tell("Total", card.since());
  } catch (error) {
    card.fail(signal.aborted ? "Stopped." : `The connection broke: ${error.message}`);
  } finally { card.card.dataset.over = ""; }
}

form.addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  if (stopping) return;
  answers.replaceChildren();
  stopping = new AbortController();
  fields.send.disabled = true;
  fields.stop.disabled = false;
  const models = [fields.left.value.trim(), fields.right.value.trim()].filter(Boolean);
  await Promise.all(models.map((model) => ask(model, stopping.signal)));
  stopping = null;
  fields.send.disabled = false;
  fields.stop.disabled = true;
});
fields.stop.addEventListener("click", () => stopping?.abort());
fields.user.addEventListener("keydown", (pressed) => {
  if (pressed.key === "Enter" && (pressed.ctrlKey || pressed.metaKey)) form.requestSubmit();
});

// --- The same as code ----------------------------------------------------------------------------------

const python = (value, indent = "") => JSON.stringify(value, null, 4)
  .replace(/^(\s*(?:"(?:[^"\\]|\\.)*": )?)(true|false|null)(,?)$/gm, (_, before, word, after) =>
    `${before}${{ true: "True", false: "False", null: "None" }[word]}${after}`)
  .replaceAll("\n", `\n${indent}`);

function written() {
  const asked = body(fields.left.value.trim());
  const base = form.dataset.url;
  const quoted = JSON.stringify(asked, null, 2).replaceAll("'", "'\\''");
  document.getElementById("code-curl").textContent =
    `curl -sN ${base}/chat/completions \\\n  -H "Authorization: Bearer $GATEMILL_API_KEY" \\\n`
    + `  -H "Content-Type: application/json" \\\n  -d '${quoted}'`;
  const each = asked.stream
    ? `for chunk in answer:\n    for choice in chunk.choices:\n        print(choice.delta.content or "", end="", flush=True)`
    : "print(answer.choices[0].message.content)";
  document.getElementById("code-python").textContent =
    `import os\n\nimport openai\n\nclient = openai.OpenAI(base_url=${JSON.stringify(base)}, api_key=os.environ["GATEMILL_API_KEY"])\n`
    + `answer = client.chat.completions.create(\n    **${python(asked, "    ")}\n)\n${each}`;
  const loop = asked.stream
    ? `for await (const chunk of answer) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");`
    : "console.log(answer.choices[0].message.content);";
  document.getElementById("code-node").textContent =
    `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: ${JSON.stringify(base)}, apiKey: process.env.GATEMILL_API_KEY });\n`
    + `const answer = await client.chat.completions.create(${JSON.stringify(asked, null, 2)});\n${loop}`;
}
form.addEventListener("input", written);
written();
