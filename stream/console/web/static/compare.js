// @ts-check
/**
 * Plays the two videos of an alert in step, at the matching second, whatever speed or direction a
 * copied span has, and mirrored back where it is mirrored. The upload leads; the reference follows
 * by small changes of its rate, by a seek where it is far off, and by seeks alone where a span runs
 * backwards.
 */

import { watch } from "./screen.js";

/**
 * One copied span, half-open, in seconds.
 * @typedef {object} Span
 * @property {number} videoStart
 * @property {number} videoEnd
 * @property {number} referenceStart
 * @property {number} referenceEnd
 * @property {boolean} reversed
 */

const LOOK_EVERY_MS = 80; // between looks at how far the two are apart
const FAR_SECONDS = 0.35; // beyond it a seek is quicker than a change of rate
const NEAR_SECONDS = 0.03; // a frame: nearer they can't be held
const CATCH_UP = 1.5; // share of the rate for each second of distance
const RATES = [0.5, 1, 1.5, 2];

/**
 * Seconds of the reference that play in one second of the upload.
 * @param {Span} span
 */
export function speedOf(span) {
  const length = Math.max(span.videoEnd - span.videoStart, 0.001);
  return (span.referenceEnd - span.referenceStart) / length;
}

/**
 * The second of the reference that matches one of the upload; beyond the span its line goes on.
 * @param {Span} span
 * @param {number} second
 */
export function matching(span, second) {
  const along = (second - span.videoStart) * speedOf(span);
  return span.reversed ? span.referenceEnd - along : span.referenceStart + along;
}

/**
 * The second of the upload that matches one of the reference.
 * @param {Span} span
 * @param {number} second
 */
export function matchingBack(span, second) {
  const along = span.reversed ? span.referenceEnd - second : second - span.referenceStart;
  return span.videoStart + along / Math.max(speedOf(span), 0.001);
}

/**
 * @param {number} value
 * @param {number} least
 * @param {number} most
 */
function within(value, least, most) {
  return Math.min(Math.max(value, least), most);
}

/** @param {number} seconds */
function clock(seconds) {
  const whole = Math.max(0, seconds);
  const minutes = Math.floor(whole / 60);
  return `${minutes}:${(whole - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}

/** Two players that show the same moment. */
export class Pair {
  /**
   * @param {HTMLVideoElement} upload leads
   * @param {HTMLVideoElement} reference follows
   * @param {Span[]} spans
   */
  constructor(upload, reference, spans) {
    this.upload = upload;
    this.reference = reference;
    this.spans = spans;
    this.chosen = 0;
    this.rate = 1;
    this.playing = false;
    /** Of each span; null where it isn't known. @type {(boolean | null)[]} */
    this.mirrored = [];
    this.turned = false; // by hand, against what is so by itself
    /** @type {() => void} */
    this.changed = () => {};
    window.setInterval(() => this.keepInStep(), LOOK_EVERY_MS);
    upload.addEventListener("ended", () => this.pause());
    upload.addEventListener("seeked", () => this.changed());
    reference.addEventListener("loadedmetadata", () => this.toMatch());
    upload.addEventListener("loadedmetadata", () => this.choose(0));
  }

  /** The span that is played. */
  get span() {
    return this.spans[this.chosen];
  }

  /** Whether the upload is shown mirrored: back, where its span is. */
  get flipped() {
    return (this.mirrored[this.chosen] === true) !== this.turned;
  }

  turn() {
    this.turned = !this.turned;
    this.changed();
  }

  /**
   * What was found out of the spans.
   * @param {(boolean | null)[]} mirrored
   */
  know(mirrored) {
    this.mirrored = mirrored;
    if (mirrored.includes(true)) this.turned = false; // somebody saw it sooner
    this.changed();
  }

  /** The second of the reference that should be shown now. */
  get target() {
    return this.targetAt(this.upload.currentTime);
  }

  /**
   * The second of the reference that should be shown at one of the upload.
   * @param {number} second
   */
  targetAt(second) {
    const last = Number.isFinite(this.reference.duration) ? this.reference.duration : Infinity;
    return within(matching(this.span, second), 0, last);
  }

  /**
   * Show the beginning of a span.
   * @param {number} place
   */
  choose(place) {
    this.chosen = within(place, 0, this.spans.length - 1);
    this.lead(this.span.videoStart);
    this.toMatch();
  }

  /**
   * Show a second of the upload, and the one of the reference that matches it by the span there.
   * @param {number} second
   */
  seek(second) {
    this.lead(second);
    this.followUpload();
    this.toMatch();
  }

  /**
   * Show a second of the upload.
   * @param {number} second
   */
  lead(second) {
    const last = Number.isFinite(this.upload.duration) ? this.upload.duration : Infinity;
    this.upload.currentTime = within(second, 0, last);
  }

  /**
   * Show a place of the matrix: the nearest span's moment there.
   * @param {number} videoSecond
   * @param {number} referenceSecond
   */
  show(videoSecond, referenceSecond) {
    const far = this.spans.map((span) => {
      const down = Math.max(span.videoStart - videoSecond, videoSecond - span.videoEnd, 0);
      const left = span.referenceStart - referenceSecond;
      const across = Math.max(left, referenceSecond - span.referenceEnd, 0);
      return Math.hypot(down, across);
    });
    this.chosen = far.indexOf(Math.min(...far));
    this.lead(videoSecond);
    this.toMatch();
  }

  toMatch() {
    this.reference.currentTime = this.target;
    this.changed();
  }

  async play() {
    this.playing = true;
    this.upload.playbackRate = this.rate;
    this.reference.playbackRate = this.baseRate;
    const players = this.span.reversed ? [this.upload] : [this.upload, this.reference];
    // One that can't be played says so beside it; the other one plays on.
    await Promise.allSettled(players.map((player) => player.play()));
    this.changed();
  }

  pause() {
    this.playing = false;
    this.upload.pause();
    this.reference.pause();
    this.toMatch();
  }

  toggle() {
    if (this.playing) this.pause();
    else void this.play();
  }

  /** @param {number} rate */
  setRate(rate) {
    this.rate = rate;
    this.upload.playbackRate = rate;
    this.reference.playbackRate = this.baseRate;
    this.changed();
  }

  /** What the browser takes as a rate is bounded. */
  get baseRate() {
    return within(this.rate * speedOf(this.span), 0.0625, 16);
  }

  keepInStep() {
    if (!this.playing) return;
    this.followUpload();
    const { reference, target, upload } = this;
    const ahead = reference.currentTime - target;
    if (this.span.reversed) {
      if (!reference.paused) reference.pause();
      // It stands until the next look: what matches halfway to it is never far from what matches.
      const halfway = this.targetAt(upload.currentTime + (this.rate * LOOK_EVERY_MS) / 2000);
      const far = Math.abs(reference.currentTime - halfway) > NEAR_SECONDS;
      if (far && !reference.seeking) reference.currentTime = halfway;
    } else if (Math.abs(ahead) > FAR_SECONDS * Math.max(1, this.rate)) {
      if (!reference.seeking) reference.currentTime = target;
    } else {
      const nudge = Math.abs(ahead) > NEAR_SECONDS ? within(ahead * CATCH_UP, -0.5, 0.5) : 0;
      reference.playbackRate = within(this.baseRate * (1 - nudge), 0.0625, 16);
      if (reference.paused && !reference.ended) void reference.play().catch(() => {});
    }
    this.changed();
  }

  /** Into the next span when the upload has come to it. */
  followUpload() {
    const now = this.upload.currentTime;
    const inside = (/** @type {Span} */ span) => span.videoStart <= now && now < span.videoEnd;
    if (inside(this.span)) return;
    const place = this.spans.findIndex(inside);
    if (place >= 0 && place !== this.chosen) {
      this.chosen = place;
      this.reference.currentTime = this.target;
    }
  }
}

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

/** @param {DOMStringMap} data @returns {Span} */
function spanOf(data) {
  return {
    videoStart: Number(data.videoStart),
    videoEnd: Number(data.videoEnd),
    referenceStart: Number(data.referenceStart),
    referenceEnd: Number(data.referenceEnd),
    reversed: data.reversed === "true",
  };
}

/** @param {Pair} pair */
function showState(pair) {
  const button = find("#play", HTMLButtonElement);
  if (button) {
    button.setAttribute("aria-pressed", String(pair.playing));
    button.textContent = (pair.playing ? button.dataset.pause : button.dataset.play) ?? "";
  }
  pair.upload.classList.toggle("flipped", pair.flipped);
  find("#mirror", HTMLButtonElement)?.setAttribute("aria-pressed", String(pair.flipped));
  const at = document.querySelector("#at-upload");
  const there = document.querySelector("#at-reference");
  if (at) at.textContent = clock(pair.upload.currentTime);
  if (there) there.textContent = clock(pair.reference.currentTime);
  const bar = find("#seek", HTMLInputElement);
  if (bar && document.activeElement !== bar) bar.value = String(pair.upload.currentTime);
  if (bar) bar.setAttribute("aria-valuetext", clock(pair.upload.currentTime));
  for (const each of document.querySelectorAll("button[data-span]")) {
    if (each instanceof HTMLElement) {
      each.setAttribute("aria-pressed", String(Number(each.dataset.span) === pair.chosen));
    }
  }
  const cross = find("#here", SVGElement);
  const matrix = find("#matrix", HTMLElement);
  if (cross && matrix) {
    const across = pair.reference.currentTime / Number(matrix.dataset.referenceSeconds);
    const down = pair.upload.currentTime / Number(matrix.dataset.videoSeconds);
    cross.setAttribute("cx", `${100 * within(across, 0, 1)}%`);
    cross.setAttribute("cy", `${100 * within(down, 0, 1)}%`);
  }
}

/** @param {Pair} pair */
function listen(pair) {
  const players = [pair.upload, pair.reference];
  const on = (/** @type {string} */ id, /** @type {() => void} */ does) =>
    find(`#${id}`, HTMLButtonElement)?.addEventListener("click", does);
  const sound = find("#sound", HTMLButtonElement);
  const veil = find("#veil", HTMLButtonElement);
  const rate = find("#rate", HTMLSelectElement);
  on("play", () => pair.toggle());
  on("back", () => pair.seek(pair.upload.currentTime - 1));
  on("on", () => pair.seek(pair.upload.currentTime + 1));
  on("sound", () => {
    const muted = !pair.upload.muted;
    pair.upload.muted = muted; // of the two, the upload alone is heard: both at once are noise
    sound?.setAttribute("aria-pressed", String(!muted));
  });
  on("veil", () => {
    const plain = document.body.classList.toggle("plain");
    veil?.setAttribute("aria-pressed", String(plain));
  });
  on("mirror", () => pair.turn());
  rate?.addEventListener("change", () => pair.setRate(Number(rate.value)));
  const bar = find("#seek", HTMLInputElement);
  bar?.addEventListener("input", () => pair.seek(Number(bar.value)));
  document.querySelectorAll("button[data-span]").forEach((button) => {
    if (!(button instanceof HTMLButtonElement)) return;
    button.addEventListener("click", () => {
      pair.choose(Number(button.dataset.span));
      void pair.play();
    });
  });
  const matrix = find("#matrix", HTMLElement);
  matrix?.addEventListener("click", (event) => {
    const box = matrix.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width;
    const down = (event.clientY - box.top) / box.height;
    pair.show(
      down * Number(matrix.dataset.videoSeconds),
      across * Number(matrix.dataset.referenceSeconds),
    );
    void pair.play();
  });
  for (const player of players) {
    watch(player);
    player.addEventListener("click", () => pair.toggle());
  }
  if (rate) {
    const step = (/** @type {number} */ by) => {
      const place = within(RATES.indexOf(pair.rate) + by, 0, RATES.length - 1);
      pair.setRate(RATES[place]);
      rate.value = String(RATES[place]);
    };
    document.addEventListener("samesource:slower", () => step(-1));
    document.addEventListener("samesource:faster", () => step(1));
  }
  document.addEventListener("samesource:earlier", () => pair.seek(pair.upload.currentTime - 1));
  document.addEventListener("samesource:later", () => pair.seek(pair.upload.currentTime + 1));
  document.addEventListener("samesource:span", (event) => {
    const place = event instanceof CustomEvent ? Number(event.detail) : 0;
    if (place < pair.spans.length) pair.choose(place);
  });
}

/**
 * Asks which spans are mirrored: both videos are looked at for that, so it comes after the page.
 * @param {Pair} pair
 */
async function lookForMirrors(pair) {
  const told = find("#mirrored", HTMLElement);
  if (!told?.dataset.from) return;
  // Whoever is signed out meanwhile is led to sign in, which is no answer.
  const answer = await fetch(told.dataset.from, { redirect: "manual" }).catch(() => null);
  if (!answer?.ok) return; // it stays unknown
  /** @type {(boolean | null)[]} */
  const found = (await answer.json()).mirrored;
  const { yes, some, no } = told.dataset;
  if (found.every((each) => each === true)) told.textContent = yes ?? "";
  else if (found.includes(true)) told.textContent = some ?? "";
  else if (found.every((each) => each === false)) told.textContent = no ?? "";
  document.querySelectorAll("button[data-span] .mirrored").forEach((word, place) => {
    if (word instanceof HTMLElement) word.hidden = found[place] !== true;
  });
  pair.know(found);
}

const upload = find("#upload-video", HTMLVideoElement);
const reference = find("#reference-video", HTMLVideoElement);
const buttons = document.querySelectorAll("button[data-span]");
const spans = [...buttons].map((each) => spanOf(/** @type {HTMLElement} */ (each).dataset));
if (upload && reference && spans.length > 0) {
  const pair = new Pair(upload, reference, spans);
  pair.changed = () => showState(pair);
  listen(pair);
  void lookForMirrors(pair);
  if (upload.readyState >= HTMLMediaElement.HAVE_METADATA) pair.choose(0);
  document.documentElement.dataset.compare = "ready";
}
