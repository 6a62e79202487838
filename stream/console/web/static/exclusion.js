// @ts-check
/**
 * Seconds of the reference that aren't to alert again, drawn on its film strip. They are what the
 * form of a dismissal sends; whoever doesn't draw sets them there, or by `[` and `]` while it plays.
 */

const MIN_SHARE = 0.005; // of the strip: less is a click, or a hand that trembles
const DRAWN = 1000; // units across, in which the strip is drawn on

/**
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} kind
 * @returns {T | null}
 */
function find(selector, kind) {
  const found = document.querySelector(selector);
  return found instanceof kind ? found : null;
}

/** The seconds, as the form has them. */
class Exclusion {
  /**
   * @param {HTMLElement} strip
   * @param {SVGRectElement} rectangle
   * @param {HTMLInputElement} start
   * @param {HTMLInputElement} end
   * @param {HTMLInputElement} scope
   */
  constructor(strip, rectangle, start, end, scope) {
    this.strip = strip;
    this.rectangle = rectangle;
    this.start = start;
    this.end = end;
    this.scope = scope;
    this.told = find("#drawn-told", HTMLElement);
    this.seconds = Number(strip.dataset.seconds);
  }

  /** Seconds of the form, as far as they are numbers. */
  get span() {
    return [Number.parseFloat(this.start.value), Number.parseFloat(this.end.value)];
  }

  /**
   * Choose seconds, and that the dismissal is about them.
   * @param {number} one
   * @param {number} other
   */
  set(one, other) {
    const [start, end] = [one, other].map((each) => Math.min(Math.max(each, 0), this.seconds));
    this.start.value = start.toFixed(1);
    this.end.value = end.toFixed(1);
    this.scope.checked = true;
    this.scope.closest("details")?.setAttribute("open", "");
    this.show();
  }

  /** Draw what the form says; nothing where it is about something else. */
  show() {
    const [start, end] = this.span;
    const drawn = this.scope.checked && start < end;
    const left = drawn ? (DRAWN * start) / this.seconds : 0;
    this.rectangle.setAttribute("x", String(left));
    const right = Math.min((DRAWN * end) / this.seconds, DRAWN);
    this.rectangle.setAttribute("width", String(drawn ? Math.max(right - left, 0) : 0));
    if (!this.told) return;
    const text = (drawn ? this.told.dataset.told : this.told.dataset.how) ?? "";
    this.told.textContent = text
      .replace("{start}", this.start.value)
      .replace("{end}", this.end.value);
  }
}

/** @param {Exclusion} exclusion */
function drawWith(exclusion) {
  const { strip } = exclusion;
  /** @type {{ at: number, before: [string, string, boolean] } | null} */
  let begun = null;
  const share = (/** @type {PointerEvent} */ event) => {
    const box = strip.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  };
  const draw = (/** @type {PointerEvent} */ event) => {
    if (!begun) return;
    const now = share(event);
    if (Math.abs(now - begun.at) < MIN_SHARE) return;
    const [from, to] = [Math.min(now, begun.at), Math.max(now, begun.at)];
    exclusion.set(from * exclusion.seconds, to * exclusion.seconds);
  };
  strip.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault(); // or the picture is dragged away
    strip.setPointerCapture(event.pointerId);
    const { start, end, scope } = exclusion;
    begun = { at: share(event), before: [start.value, end.value, scope.checked] };
  });
  strip.addEventListener("pointermove", draw);
  strip.addEventListener("pointerup", (event) => {
    draw(event);
    begun = null;
  });
  strip.addEventListener("pointercancel", () => {
    // It has become something else, such as scrolling.
    if (begun) [exclusion.start.value, exclusion.end.value] = begun.before;
    if (begun && !begun.before[2]) exclusion.scope.checked = false;
    begun = null;
    exclusion.show();
  });
}

/** @param {Exclusion} exclusion */
function setByPlaying(exclusion) {
  const reference = find("#reference-video", HTMLVideoElement);
  if (!reference) return;
  find("#from-here", HTMLButtonElement)?.addEventListener("click", () => {
    const [, end] = exclusion.span;
    const now = reference.currentTime;
    exclusion.set(now, end > now ? end : exclusion.seconds);
  });
  find("#to-here", HTMLButtonElement)?.addEventListener("click", () => {
    const [start] = exclusion.span;
    const now = reference.currentTime;
    exclusion.set(start < now ? start : 0, now);
  });
}

const strip = find("#timeline", HTMLElement);
const rectangle = find("#drawn", SVGRectElement);
const start = find("#one-start", HTMLInputElement);
const end = find("#one-end", HTMLInputElement);
const scope = find("#one-span", HTMLInputElement);
if (strip && rectangle && start && end && scope) {
  const exclusion = new Exclusion(strip, rectangle, start, end, scope);
  drawWith(exclusion);
  setByPlaying(exclusion);
  for (const each of [start, end]) each.addEventListener("input", () => exclusion.show());
  scope.form?.addEventListener("change", () => exclusion.show());
  exclusion.show();
}
