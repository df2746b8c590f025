import { health } from "./client.js";

// While nothing is indexed the owner is setting up; the page notices the first release by itself.
const SETUP_POLL_MS = 4000;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let nextLook;

/**
 * Shows the state of the service, and how to begin while nothing is indexed.
 * @param {{line: HTMLElement, setup: HTMLElement, examples: HTMLElement}} parts
 */
export async function showStatus(parts) {
  const state = await health();
  const { text, empty } = describe(state);
  parts.line.textContent = text;
  parts.setup.hidden = !empty;
  parts.examples.hidden = empty;
  clearTimeout(nextLook);
  if (empty) nextLook = setTimeout(() => showStatus(parts), SETUP_POLL_MS);
}

/**
 * @param {any} state the body of GET /health; null when it cannot be reached
 * @returns {{text: string, empty: boolean}}
 */
function describe(state) {
  if (state === null) return { text: "The service cannot be reached.", empty: false };
  const { up, documents_count: pages, release } = state;
  if (!up) return { text: "A part of the service is down. Answers may fail.", empty: false };
  if (!pages) return { text: "Nothing is indexed yet.", empty: true };
  const count = pages === 1 ? "1 page" : `${pages.toLocaleString()} pages`;
  return { text: `${count} indexed, release ${release}`, empty: false };
}
