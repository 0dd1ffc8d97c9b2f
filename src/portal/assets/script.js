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

// The part of an address behind # is told to no server. A browser that was sent here still has it, and hands it over with
// the rest of the place to return to. What is a place on this page is none of that one.
const part = location.hash;
if (part.length > 1 && part.length <= 1024 && !document.getElementById(part.slice(1))) {
  const whole = (rd) => (rd.includes("#") ? rd : rd + part);
  for (const input of document.querySelectorAll("input[name=rd]")) input.value = whole(input.value);
  for (const link of document.querySelectorAll("a[href*='rd=']")) {
    const url = new URL(link.href);
    if (url.origin !== location.origin) continue;
    url.searchParams.set("rd", whole(url.searchParams.get("rd")));
    link.href = url.href;
  }
}

// What went wrong is read first, also where the browser ignores autofocus.
document.getElementById("problem")?.focus();
