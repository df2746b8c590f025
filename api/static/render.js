// Markdown trees to DOM nodes. Text becomes text nodes only, so that nothing an answer says can become markup.

import { button, element, newTabLink } from "./dom.js";
import { parseInline } from "./inline.js";
import { parseMarkdown } from "./markdown.js";

/**
 * @typedef {import("./inline.js").Inline} Inline
 * @typedef {import("./markdown.js").Block} Block
 * @typedef {import("./citations.js").Citations} Citations
 */

// The question is an h2, so that an answer's own headings start below it.
const TOP_HEADING = 3;

/** Shows a growing Markdown text in an element; blocks whose source has not changed keep their nodes. */
export class MarkdownView {
  /** @type {string[]} */
  #keys = [];

  /** @param {HTMLElement} element @param {Citations} citations */
  constructor(element, citations) {
    this.element = element;
    this.citations = citations;
  }

  /** @param {string} text @param {boolean} unfinished whether more of it is on the way */
  show(text, unfinished) {
    const blocks = parseMarkdown(text);
    const last = blocks.length - 1;
    const top = Math.min(...blocks.map(({ block }) => (block.type === "heading" ? block.level : Infinity)));
    const keys = blocks.map(({ raw }, at) => `${this.citations.version} ${top} ${unfinished && at === last} ${raw}`);
    let same = 0;
    while (same < keys.length && keys[same] === this.#keys[same]) same += 1;
    while (this.element.childNodes.length > same) this.element.lastChild?.remove();
    for (let at = same; at <= last; at += 1) {
      this.element.append(new Writer(this.citations, top, unfinished && at === last).block(blocks[at].block));
    }
    this.#keys = keys;
  }
}

class Writer {
  /** @param {Citations} citations @param {number} top the answer's highest heading level @param {boolean} unfinished */
  constructor(citations, top, unfinished) {
    this.citations = citations;
    this.top = top;
    this.unfinished = unfinished;
  }

  /** @param {Block} block @returns {HTMLElement} */
  block(block) {
    switch (block.type) {
      case "heading": return this.heading(block);
      case "paragraph": return element("p", this.inline(block.text));
      case "code": return codeBlock(block.label, block.text);
      case "quote": return element("blockquote", block.blocks.map((child) => this.block(child)));
      case "list": return this.list(block);
      case "table": return this.table(block);
      default: return element("hr");
    }
  }

  /** @param {Extract<Block, {type: "heading"}>} block @returns {HTMLElement} */
  heading({ level, text }) {
    const depth = Math.max(0, level - this.top);
    return element(`h${Math.min(6, TOP_HEADING + depth)}`, this.inline(text));
  }

  /** @param {Extract<Block, {type: "list"}>} block @returns {HTMLElement} */
  list({ start, loose, items }) {
    const list = element(start === null ? "ul" : "ol");
    if (start !== null && start !== 1) list.setAttribute("start", String(start));
    for (const item of items) {
      list.append(element("li", item.flatMap((child) => this.itemPart(child, loose))));
    }
    return list;
  }

  /** @param {Block} block @param {boolean} loose @returns {(Node | string)[]} */
  itemPart(block, loose) {
    return block.type === "paragraph" && !loose ? this.inline(block.text) : [this.block(block)];
  }

  /** @param {Extract<Block, {type: "table"}>} block @returns {HTMLElement} */
  table({ align, head, rows }) {
    /** @param {string} tag @param {string[]} cells */
    const row = (tag, cells) =>
      element("tr", cells.map((text, column) => element(tag, this.inline(text), `align-${align[column]}`)));
    const body = element("tbody", rows.map((cells) => row("td", cells)));
    return scrollable(element("div", [element("table", [element("thead", [row("th", head)]), body])]), "Table");
  }

  /** @param {string} text @returns {(Node | string)[]} */
  inline(text) {
    return this.nodes(parseInline(text, { unfinished: this.unfinished }));
  }

  /** @param {Inline[]} nodes @returns {(Node | string)[]} */
  nodes(nodes) {
    return nodes.map((node, index) => {
      switch (node.type) {
        case "text": return this.isMark(nodes[index + 1]) ? node.text.trimEnd() : node.text;
        case "code": return element("code", [node.text]);
        case "break": return element("br");
        case "link": return this.link(node);
        default: return element(node.type, this.nodes(node.children));
      }
    });
  }

  /** @param {Inline | undefined} node @returns {boolean} whether the node is a citation's mark */
  isMark(node) {
    return node?.type === "link" && this.citations.find(node.href) !== null;
  }

  /** @param {Extract<Inline, {type: "link"}>} link @returns {Node} */
  link({ href, children }) {
    const source = this.citations.find(href);
    if (!source) return newTabLink(href, ...this.nodes(children));
    const mark = newTabLink(href, String(this.citations.number(source)));
    mark.className = "cite";
    mark.setAttribute("title", source.title);
    mark.setAttribute("aria-label", `Source ${source.number}: ${source.title}`);
    return element("sup", [mark]);
  }
}

/** @param {string} label @param {string} text @returns {HTMLElement} */
function codeBlock(label, text) {
  const pre = scrollable(element("pre", [element("code", [text])]), label ? `Code, ${label}` : "Code");
  return element("figure", [element("figcaption", [element("span", [label]), button("Copy", "copy")]), pre], "code");
}

/**
 * What scrolls sideways has to be reachable by keyboard, and then needs a name.
 * @param {HTMLElement} box
 * @param {string} name
 * @returns {HTMLElement}
 */
function scrollable(box, name) {
  box.className = "scrolls";
  box.setAttribute("tabindex", "0");
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", name);
  return box;
}
