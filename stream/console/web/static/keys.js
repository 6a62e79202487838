// @ts-check
/**
 * Single keys for those who work through many alerts. They do what a button or link of the page
 * does, which carries the key in `data-key`, and can be switched off (WCAG 2.1.4).
 */

const EVENTS = new Map([
  ["ArrowLeft", "earlier"],
  ["ArrowRight", "later"],
  ["<", "slower"],
  [">", "faster"],
]);

const FIELDS = "input:not([type=checkbox], [type=range]), select, textarea"; // which take letters

/** @param {EventTarget | null} target */
function isField(target) {
  return target instanceof HTMLElement && target.closest(FIELDS) !== null;
}

/** @param {string} key */
function buttonOf(key) {
  const found = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  return found instanceof HTMLElement ? found : null;
}

/** @param {number} by */
function moveRow(by) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (rows.length === 0) return false;
  const now = document.activeElement?.closest("[data-row]") ?? null;
  const place = now === null ? (by > 0 ? 0 : rows.length - 1) : rows.indexOf(now) + by;
  const row = rows[Math.min(Math.max(place, 0), rows.length - 1)];
  const link = row.querySelector("a");
  link?.focus();
  row.scrollIntoView({ block: "nearest" });
  return true;
}

/** @param {KeyboardEvent} event */
function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const { key } = event;
  if (key === "Escape") {
    const { activeElement } = document;
    const opener = activeElement?.closest("details[open]")?.querySelector("summary");
    document.querySelectorAll("details[open]").forEach((each) => each.removeAttribute("open"));
    if (opener) opener.focus();
    else if (activeElement instanceof HTMLElement) activeElement.blur();
    return;
  }
  if (isField(event.target)) return;
  if (key === " " && event.target instanceof Element && event.target.closest("button, summary, a")) return;
  if (key === "j" || key === "k") {
    if (moveRow(key === "j" ? 1 : -1)) event.preventDefault();
    return;
  }
  if (key === "x") {
    const box = document.activeElement?.closest("[data-row]")?.querySelector("input[type=checkbox]");
    if (box instanceof HTMLInputElement) box.click();
    return;
  }
  if (/^[1-9]$/.test(key)) {
    document.dispatchEvent(new CustomEvent("samesource:span", { detail: Number(key) - 1 }));
    return;
  }
  const name = EVENTS.get(key);
  if (name) {
    event.preventDefault(); // the bar of seconds would go on by a hundredth too
    document.dispatchEvent(new CustomEvent(`samesource:${name}`));
    return;
  }
  const button = buttonOf(key);
  if (!button) return;
  event.preventDefault();
  // One that is held down would judge the alert of the next page too, unseen.
  if (event.repeat) return;
  // A panel that is open already, for seconds that were drawn, isn't closed: Escape does that.
  const panel = button.parentElement;
  const isOpen = button.dataset.focus && panel instanceof HTMLDetailsElement && panel.open;
  if (isField(button)) button.focus();
  else if (!isOpen) button.click();
  if (button.dataset.focus) {
    const field = document.querySelector(button.dataset.focus);
    if (field instanceof HTMLElement) field.focus();
  }
}

if (document.documentElement.dataset.keys !== "off") {
  document.addEventListener("keydown", pressed);
}

// Choosing all rows at once.
document.addEventListener("change", (event) => {
  const { target } = event;
  if (target instanceof HTMLInputElement && target.dataset.selects) {
    document.querySelectorAll(target.dataset.selects).forEach((each) => {
      if (each instanceof HTMLInputElement) each.checked = target.checked;
    });
  }
});

// What somebody is at may go with what is swapped: they go on at the first row that came for it.
let rowsBefore = -1;
document.addEventListener("htmx:beforeSwap", ({ target }) => {
  const goes = target instanceof Element && target.contains(document.activeElement);
  rowsBefore = goes ? document.querySelectorAll("[data-row]").length : -1;
});
document.addEventListener("htmx:afterSettle", () => {
  if (document.activeElement !== document.body) return;
  const come = document.querySelectorAll("[data-row]")[rowsBefore];
  come?.querySelector("a")?.focus();
});
document.documentElement.dataset.keysReady = "yes";
