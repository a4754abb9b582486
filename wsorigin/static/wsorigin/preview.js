// Shows what a typed pattern means; without this the Preview button of the form does.

const panel = document.getElementById("wsorigin-preview");
const input = document.getElementById("id_pattern");
const DELAY = 200;
let timer;
let request;

async function show() {
  request?.abort();
  request = new AbortController();
  const query = new URLSearchParams({pattern: input.value});
  try {
    const answer = await fetch(`${panel.dataset.url}?${query}`, {
      signal: request.signal,
      headers: {Accept: "application/json"},
    });
    // The server has escaped it: the same template as in the page.
    if (answer.ok) panel.innerHTML = (await answer.json()).html;
  } catch {
    // Aborted for a newer one, or away: saving checks the pattern in any case.
  }
}

if (panel?.dataset.url && input) {
  document.getElementById("wsorigin-preview-button")?.remove();
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, DELAY);
  });
}
