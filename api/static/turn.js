import { Citations, sourceList } from "./citations.js";
import { AskError } from "./client.js";
import { button, element } from "./dom.js";
import { MarkdownView } from "./render.js";
import { whenAgain, waitOn } from "./wait.js";

/** One question and its answer on the page, from the first word to whichever end it comes to. */
export class Turn {
  #citations = new Citations();
  #text = "";
  #model = "";
  #noResults = false;
  #cutByLength = false;
  #waiting = false;
  #frame = 0;

  /**
   * @param {string} question
   * @param {{onShown: () => void, onRetry: () => void}} callbacks `onShown` runs after the answer has grown
   */
  constructor(question, { onShown, onRetry }) {
    this.onShown = onShown;
    this.onRetry = onRetry;
    this.phase = element("p", ["Searching the docs"], "phase");
    this.prose = element("div", [], "prose");
    this.end = element("div", [], "end");
    this.view = new MarkdownView(this.prose, this.#citations);
    this.heading = element("h2", [question], "question");
    this.heading.setAttribute("tabindex", "-1");
    this.element = element("article", [this.heading, this.phase, this.prose, this.end], "turn open");
  }

  /** @param {any} event of the answer's stream */
  receive(event) {
    if (event.type === "interrupted") this.#wait();
    else if (this.#waiting) this.#goOn();
    if (event.type === "start") this.#start(event.retrieved_docs);
    else if (event.type === "chunk") this.#text += event.content;
    else if (event.type === "citation") this.#citations.add(event.citation);
    else if (event.type === "final" || event.type === "done") this.#settle(event);
    // At most one rendering a frame, however many events it brought.
    this.#frame ||= requestAnimationFrame(() => this.#show(true));
  }

  /** The answer is whole. */
  finish() {
    this.#close();
    if (this.#noResults) this.element.classList.add("no-results");
    if (this.#cutByLength) this.#notice("The answer reached its length limit and stops here.");
    this.#sources("Sources");
    // A greeting, or a word that nothing was found, is nobody's answer from the docs.
    // An answer of quotes says itself what it is.
    const written = this.#model && this.#model !== "extractive";
    if (written && this.end.querySelector(".sources")) this.end.append(element("p", [`Written by ${this.#model} from the docs`], "byline"));
    this.onShown();
  }

  /** The reader stopped it. */
  stop() {
    this.#close();
    this.#breakOff(this.#notice("Stopped.", { retry: true }));
  }

  /** @param {AskError} error */
  fail(error) {
    this.#close();
    const { retryable: retry, retryAfter, requestId } = error;
    const notice = this.#notice(error.message, { retry, retryAfter, requestId });
    notice.classList.add("failed");
    this.#breakOff(notice);
  }

  /** @returns {any} the event that shows this answer again after a reload */
  kept() {
    const cited = this.#citations.all();
    const sources = cited.map(({ url, title, snippet }) => ({ url, page_title: title, text: snippet }));
    return { type: "final", answer: this.#text, sources, model: this.#model, no_results: this.#noResults };
  }

  /** @returns {string} what a screen reader says when the turn has come to its end */
  spoken() {
    const copy = /** @type {HTMLElement} */ (this.prose.cloneNode(true));
    for (const mark of copy.querySelectorAll("sup, button")) mark.remove();
    for (const cell of copy.querySelectorAll("td, th, li")) cell.append(" ");
    const notices = [...this.end.querySelectorAll(".message")];
    const count = this.end.querySelectorAll(".sources li").length;
    const parts = [...copy.children, ...notices].map((part) => part.textContent);
    if (count) parts.push(count === 1 ? "1 source." : `${count} sources.`);
    return parts.join("\n");
  }

  /** @param {number} passages */
  #start(passages) {
    // A second one: the first answer could not be taken up.
    this.#text = "";
    this.#citations.replace([]);
    if (passages > 0) this.phase.textContent = passages === 1 ? "Reading 1 passage" : `Reading ${passages} passages`;
  }

  /** The connection broke, and the question is sent again. */
  #wait() {
    this.#waiting = true;
    this.phase.textContent = "The connection broke, trying again";
    this.end.before(this.phase);
  }

  #goOn() {
    this.#waiting = false;
    this.phase.textContent = "Searching the docs";
  }

  /** @param {any} event `final`, or `done` which repeats part of it */
  #settle(event) {
    this.#text = event.answer ?? this.#text;
    this.#model = event.model ?? this.#model;
    this.#noResults = event.no_results;
    this.#cutByLength = event.finish_reason === "length";
    this.#citations.replace(event.sources);
  }

  /** @param {boolean} unfinished */
  #show(unfinished) {
    this.#frame = 0;
    this.view.show(this.#text, unfinished);
    if (this.prose.firstChild && !this.#waiting) this.phase.remove();
    this.onShown();
  }

  #close() {
    cancelAnimationFrame(this.#frame);
    this.phase.remove();
    this.#show(false);
    this.element.classList.remove("open");
  }

  /** @param {string} heading */
  #sources(heading) {
    const sources = this.#citations.all();
    if (sources.length) this.end.append(sourceList(sources, heading));
  }

  /**
   * @param {string} text
   * @param {{retry?: boolean, retryAfter?: number | null, requestId?: string | null}} [options]
   * @returns {HTMLElement}
   */
  #notice(text, { retry = false, retryAfter = null, requestId = null } = {}) {
    const message = element("p", [retryAfter ? `${text} ${whenAgain(retryAfter)}` : text], "message");
    const notice = element("div", [message], "notice");
    if (retry) {
      const again = button("Retry");
      again.addEventListener("click", this.onRetry);
      if (retryAfter) waitOn(again, retryAfter);
      notice.append(again);
    }
    if (requestId) notice.append(element("p", ["Request ", element("code", [requestId])], "request"));
    this.end.append(notice);
    return notice;
  }

  /** @param {HTMLElement} notice that says why the answer has no end */
  #breakOff(notice) {
    this.#sources("Sources so far");
    notice.scrollIntoView({ block: "nearest" });
  }
}
