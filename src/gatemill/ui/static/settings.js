// The configuration file read again, or only looked at. Rule: what is wrong with it is said line by line.

const app = await import(document.querySelector("script[src$='/app.js']").src);
const url = "/api/v1/config/reload";

const lines = (told) => [...told.changes, ...told.needs_restart.map((one) => `${one}  (needs a restart)`)].join("\n");

document.addEventListener("click", async (event) => {
  const what = event.target.closest("button")?.dataset.reload;
  if (!what) return;
  try {
    const would = await app.send("POST", `${url}?dry_run=true`, {});
    const text = lines(would);
    if (what === "look") {
      await app.show("The file, compared with what is in effect", text ? "A reload would change:" : "It says what is in effect.", text || "no difference");
      return;
    }
    if (!would.changes.length) { app.tell("The file says what is in effect. Nothing was changed."); return; }
    if (!(await app.ask(`Put ${would.changes.length} change${would.changes.length === 1 ? "" : "s"} into effect? Requests under way end as they began.`))) return;
    await app.send("POST", url, {});
    location.reload();
  } catch (error) {
    await app.show("The file does not hold", "What is in effect stays.", error.message);
  }
});
