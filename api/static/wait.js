// Up to here a countdown is easier to read than a time of day.
const COUNTED_SECONDS = 90;

/** @param {number} seconds @returns {string} a sentence that says when to ask again */
export function whenAgain(seconds) {
  const rounded = Math.ceil(seconds);
  if (rounded > COUNTED_SECONDS) return `You can ask again at ${timeOfDay(rounded)}.`;
  return `You can ask again in ${rounded} second${rounded === 1 ? "" : "s"}.`;
}

/**
 * Keeps a button disabled for a while and counts down on it.
 * @param {HTMLButtonElement} button
 * @param {number} seconds
 */
export function waitOn(button, seconds) {
  const label = button.textContent;
  const ready = Date.now() + seconds * 1000;
  button.disabled = true;
  const tick = () => {
    const left = Math.ceil((ready - Date.now()) / 1000);
    if (left > 0) {
      button.textContent = left > COUNTED_SECONDS ? `${label} at ${timeOfDay(left)}` : `${label} in ${left} s`;
      return;
    }
    clearInterval(timer);
    button.textContent = label;
    button.disabled = false;
  };
  const timer = setInterval(tick, 1000);
  tick();
}

/** @param {number} seconds from now @returns {string} */
function timeOfDay(seconds) {
  return new Date(Date.now() + seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
