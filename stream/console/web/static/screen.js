// @ts-check
/**
 * What stands on a player's screen where no picture does. Only what was sent and can't be decoded is
 * played from a copy that every browser plays, which is made by then; of what can't be sent, the
 * screen says why, and it may be tried again.
 */

/**
 * @param {HTMLVideoElement} player
 * @param {string | null} which of the words; none for the picture
 */
function tell(player, which) {
  for (const said of player.parentElement?.querySelectorAll("p") ?? []) {
    said.hidden = !said.classList.contains(which ?? "nothing");
  }
}

/**
 * Why a video wasn't sent, in the console's words, which may be none; null where it was.
 * @param {HTMLVideoElement} player
 * @returns {Promise<string | null>}
 */
async function whyUnsent({ currentSrc, error }) {
  if (!error || error.code === MediaError.MEDIA_ERR_DECODE) return null;
  // A player doesn't tell an answer that it can't play from a refusal: one byte's answer does.
  // Whoever is signed out meanwhile is led to sign in, which is no answer.
  const asked = fetch(currentSrc, { headers: { Range: "bytes=0-0" }, redirect: "manual" });
  const answer = await asked.catch(() => null);
  if (answer?.ok) return error.code === MediaError.MEDIA_ERR_NETWORK ? "" : null;
  const text = await answer?.text().catch(() => "");
  const page = new DOMParser().parseFromString(text ?? "", "text/html");
  return page.querySelector("#detail")?.textContent ?? "";
}

/** @param {HTMLVideoElement} player */
async function refused(player) {
  const why = await whyUnsent(player);
  const copy = player.dataset.playable;
  if (why !== null) {
    const reason = player.parentElement?.querySelector(".reason");
    if (reason) reason.textContent = why;
    tell(player, "unsent");
  } else if (copy) {
    delete player.dataset.playable; // once: that one may be refused too
    tell(player, "making");
    player.src = copy;
  } else {
    tell(player, "unplayable");
  }
}

/**
 * Keeps saying what is so of a player.
 * @param {HTMLVideoElement} player
 */
export function watch(player) {
  player.addEventListener("error", () => void refused(player));
  player.addEventListener("loadedmetadata", () => {
    // Of a format that it knows the sound of alone, a browser plays just that, without a word.
    if (player.videoWidth === 0) void refused(player);
    else tell(player, null);
  });
  player.parentElement?.querySelector("button")?.addEventListener("click", () => {
    tell(player, null);
    player.focus(); // the button is gone
    player.load();
  });
  if (player.error) void refused(player); // before anybody listened
}
