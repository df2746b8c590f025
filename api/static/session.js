// What a tab remembers over a reload: its session with the API, and the answers it has shown.

const SESSION = "lectern.session";
const TURNS = "lectern.turns";
// Enough for any sitting, and far below what browsers allow one site to keep.
const MAX_TURNS = 30;

/**
 * @typedef {{question: string, final: any}} KeptTurn a question and the `final` event that shows its answer
 */

/** @returns {string} the tab's session id, made on first use */
export function sessionId() {
  const kept = read(SESSION);
  if (kept) return kept;
  const created = newId();
  write(SESSION, created);
  return created;
}

/** @returns {KeptTurn[]} oldest first */
export function keptTurns() {
  try {
    return JSON.parse(read(TURNS) ?? "[]");
  } catch {
    return [];
  }
}

/** @param {KeptTurn} turn */
export function keepTurn(turn) {
  write(TURNS, JSON.stringify([...keptTurns(), turn].slice(-MAX_TURNS)));
}

/** Forgets the conversation; the next question starts another session. */
export function startOver() {
  write(SESSION, newId());
  write(TURNS, "[]");
}

/** @returns {string} a version 4 UUID */
export function newId() {
  // randomUUID exists only on https and localhost.
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** @type {Map<string, string>} serves where storage is blocked or full, until the next reload */
const memory = new Map();

/** @param {string} key @returns {string | null} */
function read(key) {
  try {
    return memory.get(key) ?? sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

/** @param {string} key @param {string} value */
function write(key, value) {
  memory.set(key, value);
  try {
    sessionStorage.setItem(key, value);
  } catch {
    // The copy in memory serves until the tab is reloaded.
  }
}
