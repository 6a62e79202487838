// @ts-check
/**
 * A page sends one form, however often somebody clicks: a second click would be a second write. A
 * while later it may be sent again, where somebody has stopped the browser from waiting for it.
 */

const AGAIN_MS = 5000; // set by hand

let sentAt = -Infinity;

document.addEventListener("submit", (event) => {
  const { target } = event;
  if (event.defaultPrevented || !(target instanceof HTMLFormElement) || target.method !== "post") return;
  if (event.timeStamp - sentAt < AGAIN_MS) event.preventDefault();
  else sentAt = event.timeStamp;
});
// Back from the page that it led to.
window.addEventListener("pageshow", () => {
  sentAt = -Infinity;
});
