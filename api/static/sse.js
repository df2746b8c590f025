// Server-Sent Events over fetch: EventSource can only GET, and a question is POSTed.

/**
 * Cuts a stream of text into its events. Text may be cut anywhere: what is not yet a whole line, or not yet a whole
 * event, is kept for the next call.
 */
export class EventParser {
  #rest = "";
  /** @type {string[]} */
  #data = [];
  #id = "";
  #started = false;

  /**
   * @param {string} text
   * @returns {{id: string, data: string}[]} every event that `text` completed, in order; `id` as it has it itself
   */
  push(text) {
    if (!this.#started && text) {
      this.#started = true;
      if (text.startsWith("\uFEFF")) text = text.slice(1);
    }
    const events = [];
    const buffer = this.#rest + text;
    let start = 0;
    for (;;) {
      const end = nextLineEnd(buffer, start);
      if (end === null) break;
      const event = this.#line(buffer.slice(start, end.at));
      if (event !== null) events.push(event);
      start = end.next;
    }
    this.#rest = buffer.slice(start);
    return events;
  }

  /** @param {string} line @returns {{id: string, data: string} | null} the event that `line` ends, if it has data */
  #line(line) {
    if (line === "") {
      const event = this.#data.length ? { id: this.#id, data: this.#data.join("\n") } : null;
      this.#data = [];
      this.#id = "";
      return event;
    }
    if (line === "data") this.#data.push("");
    else if (line.startsWith("data:")) this.#data.push(line.slice(line[5] === " " ? 6 : 5));
    else if (line.startsWith("id:")) this.#id = line.slice(line[3] === " " ? 4 : 3);
    // Comments (":" first) and the fields event and retry say nothing that this page needs.
    return null;
  }
}

/**
 * @param {string} buffer @param {number} start
 * @returns {{at: number, next: number} | null} where the line ends and the next begins; null if it has no end yet
 */
function nextLineEnd(buffer, start) {
  for (let at = start; at < buffer.length; at++) {
    if (buffer[at] === "\n") return { at, next: at + 1 };
    if (buffer[at] !== "\r") continue;
    // A carriage return at the very end may be the first half of CR LF.
    if (at + 1 === buffer.length) return null;
    return { at, next: buffer[at + 1] === "\n" ? at + 2 : at + 1 };
  }
  return null;
}

/**
 * The events of one response body, parsed. `[DONE]`, which some servers append, is skipped.
 * @param {AsyncIterable<Uint8Array>} body
 * @returns {AsyncGenerator<{id: string, event: any}, void, void>}
 * @throws {SyntaxError} when an event is not JSON
 */
export async function* readEvents(body) {
  const decoder = new TextDecoder();
  const parser = new EventParser();
  for await (const bytes of body) {
    for (const { id, data } of parser.push(decoder.decode(bytes, { stream: true }))) {
      if (data !== "[DONE]") yield { id, event: JSON.parse(data) };
    }
  }
}
