// Small comforts; every page works without them.
"use strict";

// A button that shows and hides what is typed into a password field.
for (const button of document.querySelectorAll("button[data-show]")) {
  const input = document.getElementById(button.dataset.show);
  if (!input) continue;
  button.hidden = false;
  const show = (shown) => {
    input.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  };
  button.addEventListener("click", () => show(input.type === "password"));
  // Sent as a password, so that the browser does not keep it as text.
  input.form?.addEventListener("submit", () => show(false));
}

// A word under the field while Caps Lock is on.
for (const hint of document.querySelectorAll("[data-caps]")) {
  const input = document.getElementById(hint.dataset.caps);
  const look = (event) => {
    const on = event.getModifierState?.("CapsLock") ?? false;
    const text = on ? hint.dataset.text : "";
    if (hint.textContent !== text) hint.textContent = text;
  };
  input?.addEventListener("keydown", look);
  input?.addEventListener("keyup", look);
  input?.addEventListener("blur", () => { hint.textContent = ""; });
}

// Clock times in the visitor's own zone instead of UTC.
for (const time of document.querySelectorAll("time[data-style]")) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.getTime())) continue;
  const styles = time.dataset.style === "clock" ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  time.textContent = new Intl.DateTimeFormat(document.documentElement.lang, styles).format(moment);
}

// A page in another language keeps the address that was typed.
const typed = document.getElementById("email");
for (const link of typed ? document.querySelectorAll("a[data-language]") : []) {
  link.addEventListener("click", () => sessionStorage.setItem("typed", typed.value));
}
if (typed && !typed.value) typed.value = sessionStorage.getItem("typed") ?? "";
sessionStorage.removeItem("typed");

// What went wrong is read first, also where the browser ignores autofocus.
document.getElementById("problem")?.focus();
