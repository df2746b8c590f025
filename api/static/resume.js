// An answer's events over connections that may break: none comes twice, and none is left out.

// Before each further try that brings nothing new. The API lets an answer go on for 15 seconds without a reader, and a
// process that starts again is there within that time as well.
const PAUSES_MS = [500, 1000, 2000, 4000, 8000];

/** Thrown where the connection broke, not the answer: sent again, the question may go on. */
export class Broken extends Error {
  /** @param {Error} reason what the reader is told if it does not */
  constructor(reason) {
    super(reason.message);
    this.reason = reason;
  }
}

/**
 * Sends a question, and again where its connection breaks. Another `start` means that the answer begins anew, because
 * the first one was not kept. Before each further try there is an event `interrupted`.
 * @param {(last: string | null) => AsyncIterable<{id: string, event: any}>} connect sends the question, to go on after
 *   the event `last`; throws Broken, or whatever ends the answer
 * @param {(ms: number) => Promise<void>} pause
 * @returns {AsyncGenerator<any, void, void>} the events up to and including `done`
 */
export async function* resumed(connect, pause) {
  const place = new Place();
  let left = [...PAUSES_MS];
  for (;;) {
    const { answer, number } = place;
    try {
      for await (const { id, event } of connect(place.last)) {
        if (place.takes(id)) yield event;
        if (event.type === "done") return;
      }
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      // Answers that begin one after the other and break off must not be asked for without end.
      if ((answer === "" || answer === place.answer) && place.number > number) left = [...PAUSES_MS];
      const ms = left.shift();
      if (ms === undefined) throw error.reason;
      yield { type: "interrupted" };
      await pause(ms);
    }
  }
}

/** How far an answer has come: its id, and the number of its last event that has come. */
class Place {
  answer = "";
  number = 0;

  get last() {
    return this.answer ? `${this.answer}-${this.number}` : null;
  }

  /** @param {string} id @returns {boolean} whether this event belongs to the answer and has not come yet */
  takes(id) {
    const [, answer, number] = /^([\da-z]{1,64})-(\d{1,9})$/i.exec(id) ?? [];
    // What has no id apologises for an `error` that follows, to clients that do not know one.
    if (answer === undefined || (answer === this.answer && Number(number) <= this.number)) return false;
    this.answer = answer;
    this.number = Number(number);
    return true;
  }
}
