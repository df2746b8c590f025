// The conversation with the API: a question goes out, typed events come back, every failure is one AskError.

import { Broken, resumed } from "./resume.js";
import { newId } from "./session.js";
import { readEvents } from "./sse.js";

// The API sends a heartbeat every few seconds; a connection silent for this long is dead, whatever it claims.
const SILENCE_MS = 60_000;
const CUT_OFF = "The answer was interrupted, and trying again has not brought the rest of it.";

/** Why an answer did not arrive whole. */
export class AskError extends Error {
  /**
   * @param {string} message for the reader
   * @param {{retryable?: boolean, retryAfter?: number | null, requestId?: string | null, refused?: boolean}} [facts]
   *   `retryAfter` in seconds; `refused`: before an answer began
   */
  constructor(message, { retryable = false, retryAfter = null, requestId = null, refused = false } = {}) {
    super(sentence(message));
    this.refused = refused;
    this.retryable = retryable;
    this.retryAfter = retryAfter;
    this.requestId = requestId;
  }
}

/**
 * Asks, and yields the answer's events up to and including `done`, with `interrupted` where a connection broke.
 * @param {string} question
 * @param {string} sessionId
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<any, void, void>}
 * @throws {AskError} for everything that can go wrong; an abort through `signal` throws its own AbortError, and is told
 *   to the API, which would go on for a reader that may come back
 */
export async function* ask(question, sessionId, signal) {
  const body = JSON.stringify({ question, session_id: sessionId, stream: true });
  const headers = { "content-type": "application/json", accept: "text/event-stream", "idempotency-key": newId() };
  let again = false;
  let answer = "";
  const onAbort = () => stop(answer);
  const begun = (id) => (answer = id);
  const answers = resumed(
    async function* (last) {
      const place = last === null ? {} : { "last-event-id": last };
      try {
        yield* events({ method: "POST", headers: { ...headers, ...place }, body, signal }, begun);
      } catch (error) {
        // As its process starts again, a question that it has taken may be refused for a moment.
        const reason = error instanceof Broken ? error.reason : error;
        if (reason === error && !(again && error instanceof AskError && error.refused && error.retryable)) throw error;
        throw new Broken(last === null ? reason : new AskError(CUT_OFF, reason));
      } finally {
        again = true;
      }
    },
    (ms) => sleep(ms, signal),
  );
  signal.addEventListener("abort", onAbort);
  try {
    yield* answers;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** @param {string} answer its id; "" where none has begun */
function stop(answer) {
  // `keepalive`: the page may be about to go. Where this does not arrive, the answer ends some seconds later.
  if (answer) fetch(`answers/${answer}`, { method: "DELETE", keepalive: true }).catch(() => {});
}

/**
 * @param {RequestInit & {signal: AbortSignal}} request
 * @param {(answer: string) => void} begun is told the answer's id before its first event
 * @returns {AsyncGenerator<{id: string, event: any}, void, void>} what one connection brings
 */
async function* events(request, begun) {
  const response = await post(request);
  const answer = response.headers.get("x-answer-id");
  if (answer) begun(answer);
  const requestId = response.headers.get("x-request-id");
  if (!response.ok) throw await refusal(response, requestId);
  const kind = response.headers.get("content-type") ?? "";
  if (!response.body || !kind.startsWith("text/event-stream")) {
    throw new AskError("The reply is not an answer stream. Is something between this page and its API?", { requestId });
  }
  try {
    for await (const one of readEvents(chunks(response.body))) {
      if (one.event.type === "error") throw failure(one.event, requestId);
      yield one;
      if (one.event.type === "done") return;
    }
  } catch (error) {
    if (error instanceof AskError || error instanceof Broken || request.signal.aborted) throw error;
  }
  throw new Broken(new AskError(CUT_OFF, { retryable: true, requestId }));
}

/** @param {any} event `error` @param {string | null} requestId @returns {AskError | Broken} */
function failure({ code, message, retryable, retry_after: retryAfter }, requestId) {
  if (code === "ANSWER_INTERRUPTED") message = "The answer was interrupted before its end.";
  const error = new AskError(message, { retryable, retryAfter, requestId });
  return code === "RESTARTING" ? new Broken(error) : error;
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

/** @param {RequestInit & {signal: AbortSignal}} request @returns {Promise<Response>} */
async function post(request) {
  try {
    return await fetch("chat", request);
  } catch (error) {
    if (request.signal.aborted) throw error;
    throw new Broken(new AskError("The service cannot be reached.", { retryable: true }));
  }
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} rejects when `signal` aborts */
function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    const onAbort = () => (clearTimeout(timer), reject(signal.reason));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
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
    refused: true,
  });
}
