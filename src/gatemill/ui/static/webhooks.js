// Trying out an endpoint: one notification now, and what came back.

const app = await import(document.querySelector("script[src$='/app.js']").src);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-test]");
  if (!button) return;
  button.disabled = true;
  try {
    const told = await app.send("POST", button.dataset.test, {});
    if (told.delivered) app.tell(`It answered ${told.status} after ${told.took_ms} ms.`);
    else app.tell(`Not delivered: ${told.error}`, "bad");
  } catch (error) {
    app.tell(error.message, "bad");
  } finally { button.disabled = false; }
});
