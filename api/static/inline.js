// The inside of a paragraph: Markdown's inline syntax as a tree of plain objects. Nothing here touches the page.

import { pairRuns } from "./emphasis.js";
import { safeHref } from "./links.js";

/**
 * @typedef {{type: "text", text: string}
 *   | {type: "code", text: string}
 *   | {type: "break"}
 *   | {type: "em" | "strong" | "del", children: Inline[]}
 *   | {type: "link", href: string, children: Inline[]}} Inline
 * @typedef {{at: number, image: boolean}} Bracket an open `[`: where its content begins in the output
 * @typedef {import("./emphasis.js").Piece} Piece
 */

// "***" is bold italic; a longer row is a drawn line, and pairing it would nest without bound.
const LONGEST_RUN = 3;
const PLAIN = /[^\\`<!\[\]*_~\n&h]+/y;
const WEB_ADDRESS = /https?:\/\/[^\s<>"`\\]+/y;
const AUTOLINK = /<(https?:\/\/[^\s<>]+)>/y;
const ENTITY = /&(?:amp|lt|gt|quot|nbsp|#39);/y;
/** @type {Record<string, string>} */
const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&nbsp;": "\u00A0", "&#39;": "'" };
// (<address>) or (address "title"); the address may hold one level of brackets.
const DESTINATION =
  /\(\s*(?:<([^<>\n]*)>|((?:\\.|[^\s()\\]|\((?:\\.|[^\s()\\])*\))*))(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/y;
const ESCAPABLE = /[!-/:-@[-`{-~]/;

/**
 * @param {string} text
 * @param {{unfinished?: boolean}} [options] `unfinished`: more text is on its way; an open `**` counts as closed
 * @returns {Inline[]}
 */
export function parseInline(text, { unfinished = false } = {}) {
  return new InlineParser(text, unfinished).parse();
}

class InlineParser {
  /** @type {Piece[]} */
  #out = [];
  /** @type {Bracket[]} */
  #brackets = [];
  /** @type {Set<number>} lengths of backtick rows that have no partner further on */
  #unpaired = new Set();
  #at = 0;

  /** @param {string} text @param {boolean} unfinished */
  constructor(text, unfinished) {
    this.text = text;
    this.unfinished = unfinished;
  }

  parse() {
    while (this.#at < this.text.length) this.#step();
    return pairRuns(this.#out, this.unfinished);
  }

  #step() {
    const char = this.text[this.#at];
    switch (char) {
      case "\\": return this.#escape();
      case "`": return this.#code();
      case "*": case "_": case "~": return this.#run(char);
      case "!": return this.text[this.#at + 1] === "[" ? this.#open(true) : this.#literal(1);
      case "[": return this.#open(false);
      case "]": return this.#close();
      case "\n": return this.#lineEnd();
      case "<": return this.#matched(AUTOLINK, (found) => this.#link(found[1], found[1])) || this.#literal(1);
      case "&": return this.#matched(ENTITY, (found) => this.#text(ENTITIES[found[0]])) || this.#literal(1);
      case "h": return this.#address();
      default: return this.#matched(PLAIN, (found) => this.#text(found[0])) || this.#literal(1);
    }
  }

  /** @param {RegExp} pattern sticky @param {(found: RegExpExecArray) => void} act @returns {boolean} */
  #matched(pattern, act) {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text);
    if (!found) return false;
    this.#at = pattern.lastIndex;
    act(found);
    return true;
  }

  /** @param {string} text */
  #text(text) {
    const last = this.#out.at(-1);
    if (last?.type === "text" && !last.run && (this.#brackets.at(-1)?.at ?? 0) < this.#out.length) last.text += text;
    else this.#out.push({ type: "text", text });
  }

  /** @param {number} length */
  #literal(length) {
    this.#text(this.text.slice(this.#at, this.#at + length));
    this.#at += length;
  }

  /** @param {string} href @param {string} label */
  #link(href, label) {
    const safe = safeHref(href);
    if (safe === null) this.#text(label);
    else this.#out.push({ type: "link", href: safe, children: [{ type: "text", text: label }] });
  }

  #escape() {
    const next = this.text[this.#at + 1];
    if (next === "\n") {
      this.#out.push({ type: "break" });
      this.#at += 2;
    } else if (next && ESCAPABLE.test(next)) {
      this.#text(next);
      this.#at += 2;
    } else this.#literal(1);
  }

  #code() {
    const ticks = rowLength(this.text, this.#at);
    const start = this.#at + ticks;
    const end = this.#unpaired.has(ticks) ? -1 : closingTicks(this.text, start, ticks);
    if (end < 0) {
      this.#unpaired.add(ticks);
      return this.#literal(ticks);
    }
    let code = this.text.slice(start, end).replaceAll("\n", " ");
    if (code.startsWith(" ") && code.endsWith(" ") && code.trim()) code = code.slice(1, -1);
    this.#out.push({ type: "code", text: code });
    this.#at = end + ticks;
  }

  /** @param {string} char */
  #run(char) {
    const count = rowLength(this.text, this.#at);
    const before = this.text[this.#at - 1] ?? " ";
    const after = this.text[this.#at + count] ?? " ";
    const opens = canOpen(before, after);
    const closes = canOpen(after, before);
    const inWord = char === "_" && isWord(before) && isWord(after);
    const row = this.text.slice(this.#at, this.#at + count);
    this.#at += count;
    const fits = char === "~" ? count === 2 : count <= LONGEST_RUN && !inWord;
    if (!fits || !(opens || closes)) this.#text(row);
    else this.#out.push({ type: "text", text: "", run: { char, count, opens, closes } });
  }

  /** @param {boolean} image */
  #open(image) {
    this.#literal(image ? 2 : 1);
    this.#brackets.push({ at: this.#out.length, image });
  }

  #close() {
    const bracket = this.#brackets.pop();
    this.#at += 1;
    const found = bracket && this.#matched(DESTINATION, (match) => this.#finishLink(bracket, match[1] ?? match[2]));
    if (!found) this.#text("]");
  }

  /** @param {Bracket} bracket @param {string} destination */
  #finishLink(bracket, destination) {
    const children = pairRuns(this.#out.splice(bracket.at), false);
    const opener = /** @type {{text: string}} */ (this.#out[bracket.at - 1]);
    opener.text = opener.text.slice(0, bracket.image ? -2 : -1);
    if (!opener.text) this.#out.pop();
    const href = safeHref(destination.replace(/\\([!-/:-@[-`{-~])/g, "$1"));
    // A picture is shown as the words that describe it: the page loads nothing that an answer names.
    if (bracket.image) this.#out.push({ type: "text", text: textOf(children) });
    else if (href === null) this.#out.push(...children);
    else {
      this.#out.push({ type: "link", href, children: withoutLinks(children) });
      this.#brackets = this.#brackets.filter((open) => open.image);
    }
  }

  #lineEnd() {
    const last = this.#out.at(-1);
    const hard = last?.type === "text" && / {2,}$/.test(last.text);
    if (last?.type === "text") last.text = last.text.replace(/ +$/, "");
    if (hard) this.#out.push({ type: "break" });
    else this.#text(" ");
    this.#at += 1;
    while (this.text[this.#at] === " ") this.#at += 1;
  }

  #address() {
    const inWord = isWord(this.text[this.#at - 1] ?? " ");
    const start = this.#at;
    if (inWord || !this.#matched(WEB_ADDRESS, () => {})) return this.#literal(1);
    const address = trimAddress(this.text.slice(start, this.#at));
    this.#at = start + address.length;
    this.#link(address, address);
  }
}

/** @param {Inline[]} nodes @returns {Inline[]} */
function withoutLinks(nodes) {
  return nodes.flatMap((node) => {
    if (node.type === "link") return node.children;
    return "children" in node ? [{ ...node, children: withoutLinks(node.children) }] : [node];
  });
}

/** @param {Inline[]} nodes @returns {string} */
function textOf(nodes) {
  return nodes.map((node) => ("children" in node ? textOf(node.children) : "text" in node ? node.text : " ")).join("");
}

/** @param {string} text @param {number} at */
function rowLength(text, at) {
  let end = at;
  while (text[end] === text[at]) end += 1;
  return end - at;
}

/** @param {string} text @param {number} from @param {number} ticks @returns {number} */
function closingTicks(text, from, ticks) {
  for (let at = text.indexOf("`", from); at >= 0; at = text.indexOf("`", at)) {
    const length = rowLength(text, at);
    if (length === ticks) return at;
    at += length;
  }
  return -1;
}

/** @param {string} outside @param {string} inside */
function canOpen(outside, inside) {
  if (/\s/.test(inside)) return false;
  return isWord(inside) || !isWord(outside);
}

/** @param {string} char */
function isWord(char) {
  return /[\p{L}\p{N}]/u.test(char);
}

/**
 * Punctuation that ends a sentence is no part of an address; a closing bracket is one if the address opened it.
 * @param {string} address
 */
function trimAddress(address) {
  let open = address.split("(").length - address.split(")").length;
  let end = address.length;
  while (/[.,:;!?'*_~\])]/.test(address[end - 1])) {
    if (address[end - 1] === ")" && open++ >= 0) break;
    end -= 1;
  }
  return address.slice(0, end);
}
