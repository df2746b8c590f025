// The conversation with the API: a question goes out, typed events come back, every failure is one AskError.

import { readEvents } from "./sse.js";

// The API sends a heartbeat every few seconds; a connection silent for this long is dead, whatever it claims.
const SILENCE_MS = 60_000;

/** Why an answer did not arrive whole. */
export class AskError extends Error {
  /**
   * @param {string} message for the reader
   * @param {{retryable?: boolean, retryAfter?: number | null, requestId?: string | null, apologised?: boolean}} [facts]
   *   `retryAfter` in seconds; `apologised`: the stream's last chunk says the same, for clients that know no errors
   */
  constructor(message, { retryable = false, retryAfter = null, requestId = null, apologised = false } = {}) {
    super(sentence(message));
    this.apologised = apologised;
    this.retryable = retryable;
    this.retryAfter = retryAfter;
    this.requestId = requestId;
  }
}

/**
 * Asks, and yields the answer's events up to and including `done`.
 * @param {string} question
 * @param {string} sessionId
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<any, void, void>}
 * @throws {AskError} for everything that can go wrong; an abort through `signal` throws its own AbortError
 */
export async function* ask(question, sessionId, signal) {
  const response = await post({ question, session_id: sessionId, stream: true }, signal);
  const requestId = response.headers.get("x-request-id");
  if (!response.ok) throw await refusal(response, requestId);
  const kind = response.headers.get("content-type") ?? "";
  if (!response.body || !kind.startsWith("text/event-stream")) {
    throw new AskError("The reply is not an answer stream. Is something between this page and its API?", { requestId });
  }
  try {
    for await (const event of readEvents(chunks(response.body))) {
      if (event.type === "error") {
        const { message, retryable, retry_after: retryAfter } = event;
        throw new AskError(message, { retryable, retryAfter, requestId, apologised: true });
      }
      yield event;
      if (event.type === "done") return;
    }
  } catch (error) {
    if (error instanceof AskError || signal.aborted) throw error;
  }
  throw new AskError("The answer was cut off before its end.", { retryable: true, requestId });
}

/** @returns {Promise<any>} the report, and `up` if questions can be answered; null when the service cannot be reached */
export async function health() {
  try {
    const response = await fetch("health", { headers: { accept: "application/json" } });
    return { ...(await response.json()), up: response.ok };
  } catch {
    return null;
  }
}

/** @param {string} message @returns {string} with a capital and a full stop */
function sentence(message) {
  return message.charAt(0).toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? "" : ".");
}

/** @param {object} body @param {AbortSignal} signal @returns {Promise<Response>} */
async function post(body, signal) {
  const headers = { "content-type": "application/json", accept: "text/event-stream" };
  try {
    return await fetch("chat", { method: "POST", headers, body: JSON.stringify(body), signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new AskError("The service cannot be reached.", { retryable: true });
  }
}

/**
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<Uint8Array, void, void>}
 * @throws {Error} when nothing has come for `SILENCE_MS`
 */
async function* chunks(body) {
  const reader = body.getReader();
  try {
    for (;;) {
      const { value, done } = await within(SILENCE_MS, reader.read());
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @template T @param {number} ms @param {Promise<T>} promise @returns {Promise<T>} */
async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("silence")), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Response} response @param {string | null} requestId @returns {Promise<AskError>} */
async function refusal(response, requestId) {
  // What stands between this page and the API refuses in words of its own.
  const body = await response.json().catch(() => ({}));
  return new AskError(body.message ?? `The service answered with status ${response.status}.`, {
    retryable: body.retryable ?? response.status >= 500,
    retryAfter: Number(response.headers.get("retry-after")) || null,
    requestId,
  });
}
