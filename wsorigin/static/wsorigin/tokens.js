// Comforts of the pages about tokens; all of them work without.

// What is searched for ends up in the address, and in logs: of a token, the public id.
const TOKEN = /(wso[kpt]_[0-9A-Za-z]{8})[0-9A-Za-z]+/g;
const search = document.getElementById("searchbar");
search?.form.addEventListener("submit", () => {
  search.value = search.value.replace(TOKEN, "$1");
});

// Twice in a row is once: the second answer could not show the secret again.
for (const form of document.querySelectorAll(".wsorigin-once")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}

// Browsers have a clipboard on secure pages alone.
for (const button of navigator.clipboard ? document.querySelectorAll(".wsorigin-copy") : []) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = button.dataset.copied;
  });
}
