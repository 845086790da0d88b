// Many dead letters at once. Rule: how many are meant is counted by the server and asked about first.

const app = await import(document.querySelector("script[src$='/app.js']").src);
const bar = document.querySelector("[data-filter]");
const every = document.querySelector("[data-every]");
const boxes = [...document.querySelectorAll("input[name=id]")];
const url = "/v1/dead_letters";

const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
const count = (told) => `${told.matched} dead letter${told.matched === 1 ? "" : "s"}${told.has_more ? ", the first of more" : ""}`;

async function replay(which) {
  const meant = await app.send("POST", `${url}/replay`, { ...which, dry_run: true });
  if (!meant.matched) { app.tell("There is nothing to replay."); return; }
  if (!(await app.ask(`Replay ${count(meant)}? Each begins again, on the account of its key.`))) return;
  const done = await app.send("POST", `${url}/replay`, { ids: meant.ids });
  app.tell(`${done.done} replayed.`);
  location.reload();
}

async function purge(filter) {
  const query = new URLSearchParams(filter);
  const meant = await app.send("DELETE", `${url}?${query}`);
  if (!meant.matched) { app.tell("There is nothing to purge."); return; }
  if (!(await app.ask(`Purge ${count(meant)}? They are gone then, with all that belongs to them.`))) return;
  query.set("confirm", "true");
  const done = await app.send("DELETE", `${url}?${query}`);
  app.tell(`${done.done} purged.`);
  location.reload();
}

function changed() {
  bar.querySelector("[data-many=selected]").disabled = chosen().length === 0;
  every.checked = boxes.length > 0 && boxes.every((box) => box.checked);
}

if (bar) {
  const filter = JSON.parse(bar.dataset.filter);
  every.addEventListener("change", () => { for (const box of boxes) box.checked = every.checked; changed(); });
  for (const box of boxes) box.addEventListener("change", changed);
  bar.addEventListener("click", async (event) => {
    const what = event.target.closest("button")?.dataset.many;
    try {
      if (what === "selected") await replay({ ids: chosen() });
      if (what === "all") await replay({ filter });
      if (what === "purge") await purge(filter);
    } catch (error) { app.tell(error.message, "bad"); }
  });
  changed();
}
