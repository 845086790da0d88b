// The openai Node SDK against the gateway. Prints one JSON object of what it saw; fails on a surprise.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.KEY, maxRetries: 0 });
const messages = [{ role: "user", content: "hello big world" }];
const seen = {};

const whole = await client.chat.completions.create({ model: "echo", messages });
seen.chat = whole.choices[0].message.content;

const pieces = [];
for await (const chunk of await client.chat.completions.create({ model: "echo", messages, stream: true })) {
  pieces.push(chunk.choices[0]?.delta?.content ?? "");
}
seen.stream = pieces.join("");

const tools = [{ type: "function", function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } } }];
for (const model of ["open/fake+tools", "claude/fake+tools"]) {
  const called = await client.chat.completions.create({ model, messages, tools });
  assert.equal(called.choices[0].finish_reason, "tool_calls");
  JSON.parse(called.choices[0].message.tool_calls[0].function.arguments);
}

const vectors = await client.embeddings.create({ model: "echo", input: ["one", "two"] });
seen.embeddings = vectors.data.map((row) => row.embedding.length);

const response = await client.responses.create({ model: "sonnet", input: "hello" });
seen.response = response.status;

for (const [model, status, code] of [
  ["nothing", 404, "model_not_found"],
  ["open/fake+status=429", 429, "rate_limit_exceeded"],
  ["open/fake+status=500", 502, "upstream_error"],
]) {
  const error = await client.chat.completions.create({ model, messages }).catch((caught) => caught);
  assert.equal(error.status, status);
  assert.equal(error.code, code);
  assert.match(error.requestID, /^req_/);
}

const slow = await client.chat.completions.create({ model: "open/fake+words=50+slow=0.2", messages, stream: true });
for await (const chunk of slow) {
  if (chunk.choices[0].delta.content) break; // leaving the loop aborts the request
}
seen.cancelled = true;

const names = [];
for await (const model of client.models.list()) names.push(model.id);
seen.models = names;
console.log(JSON.stringify(seen));
