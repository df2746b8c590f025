import { element, newTabLink } from "./dom.js";
import { safeHref } from "./links.js";

/**
 * @typedef {{url: string, title: string, snippet: string, number: number}} Source
 *   `number` is 0 until the source's first mark is shown
 */

/** The sources of one answer, by address. They are numbered in the order in which the reader meets them. */
export class Citations {
  /** @type {Map<string, Source>} */
  #byUrl = new Map();
  #numbered = 0;
  /** Changes whenever a link that was rendered before may have become a mark, or its number another. */
  version = 0;

  /** @param {any} citation as the stream carries it */
  add({ url: address, page_title: page, section, text }) {
    const url = safeHref(inParentheses(address));
    // Two passages of one section share an address: the first one's words are shown.
    if (url === null || this.#byUrl.has(url)) return;
    const title = [page, section].filter(Boolean).join(" \u203A ");
    this.#byUrl.set(url, { url, title: title || url, snippet: text, number: 0 });
    this.version += 1;
  }

  /**
   * Starts again from the answer's final list.
   * @param {any[]} citations
   */
  replace(citations) {
    this.#byUrl.clear();
    this.#numbered = 0;
    this.version += 1;
    for (const citation of citations) this.add(citation);
  }

  /** @param {string} href @returns {Source | null} */
  find(href) {
    return this.#byUrl.get(inParentheses(href)) ?? null;
  }

  /** @param {Source} source @returns {number} */
  number(source) {
    source.number ||= ++this.#numbered;
    return source.number;
  }

  /** @returns {Source[]} in the order of their numbers; those without a mark in the text come last */
  all() {
    const sources = [...this.#byUrl.values()].sort((a, b) => (a.number || Infinity) - (b.number || Infinity));
    for (const source of sources) this.number(source);
    return sources;
  }
}

/**
 * The address as it stands in a Markdown link: that is where a mark and its citation meet.
 * @param {string} url
 */
function inParentheses(url) {
  return url.trim().replaceAll(" ", "%20").replaceAll("(", "%28").replaceAll(")", "%29");
}

/** @param {Source[]} sources @param {string} heading @returns {HTMLElement} */
export function sourceList(sources, heading) {
  const list = element("ol", sources.map(({ url, title, snippet }) => {
    const item = element("li", [newTabLink(url, title)]);
    if (snippet) item.append(element("p", [snippet]));
    return item;
  }));
  return element("section", [element("h3", [heading]), list], "sources");
}
