// Markdown's block structure as a tree of plain objects. Nothing here touches the page, and HTML is just text.

/**
 * @typedef {{type: "heading", level: number, text: string}
 *   | {type: "paragraph", text: string}
 *   | {type: "code", label: string, text: string}
 *   | {type: "quote", blocks: Block[]}
 *   | {type: "list", start: number | null, loose: boolean, items: Block[][]}
 *   | {type: "table", align: string[], head: string[], rows: string[][]}
 *   | {type: "rule"}} Block `start` is null for a bulleted list; `text`, `head` and `rows` hold inline Markdown
 * @typedef {{indent: number, content: number, kind: string, start: number | null, text: string}} Marker
 */

// Quotes in lists in quotes: deeper than this is nobody's prose, and would only exhaust the stack.
const MAX_DEPTH = 8;
// Blank lines after which a list is over, whatever follows; listings in it may hold a few.
const MAX_GAP = 8;
const BLANK = /^\s*$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const FENCE = /^( {0,3})(`{3,}(?=[^`]*$)|~{3,})(.*)$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const MARKER = /^( *)([-*+]|(\d{1,9})([.)]))(?:( +)(.*))?$/;
const CODE_INDENT = 4;
const DELIMITERS = /^\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?$/;

/**
 * @param {string} text
 * @returns {{block: Block, raw: string}[]} top-level blocks, each with its source: the same source gives the same block
 */
export function parseMarkdown(text) {
  const lines = text.split(/\r\n?|\n/);
  const parser = new BlockParser(lines, 0);
  const found = [];
  for (let from = parser.at, block = parser.next(); block; from = parser.at, block = parser.next()) {
    found.push({ block, raw: lines.slice(from, parser.at).join("\n").trimEnd() });
  }
  return found;
}

class BlockParser {
  at = 0;

  /** @param {string[]} lines @param {number} depth */
  constructor(lines, depth) {
    this.lines = lines;
    this.depth = depth;
  }

  /** @returns {Block[]} */
  all() {
    const blocks = [];
    for (let block = this.next(); block; block = this.next()) blocks.push(block);
    return blocks;
  }

  /** @returns {Block | null} */
  next() {
    while (this.at < this.lines.length && BLANK.test(this.lines[this.at])) this.at += 1;
    if (this.at >= this.lines.length) return null;
    return this.#leaf() ?? (this.depth < MAX_DEPTH ? this.#container() : null) ?? this.#paragraph();
  }

  /** @returns {Block | null} */
  #leaf() {
    const line = this.lines[this.at];
    const fence = FENCE.exec(line);
    if (fence) return this.#fenced(fence);
    if (indentOf(line) >= CODE_INDENT) return this.#indented();
    const heading = HEADING.exec(line);
    if (heading) {
      this.at += 1;
      return { type: "heading", level: heading[1].length, text: heading[2] ?? "" };
    }
    if (RULE.test(line)) {
      this.at += 1;
      return { type: "rule" };
    }
    return isTable(this.lines, this.at) ? this.#table() : null;
  }

  /** @returns {Block | null} */
  #container() {
    if (QUOTE.test(this.lines[this.at])) return this.#quote();
    const marker = listMarker(this.lines[this.at]);
    return marker && this.#list(marker);
  }

  /**
   * A fence that is still open at the end of the text is code as well: its rest is on the way.
   * @param {RegExpExecArray} fence
   * @returns {Block}
   */
  #fenced([, indent, ticks, info]) {
    const body = [];
    for (this.at += 1; this.at < this.lines.length; this.at += 1) {
      const line = this.lines[this.at];
      const row = line.trim();
      if (row.startsWith(ticks) && row === ticks[0].repeat(row.length) && indentOf(line) < CODE_INDENT) break;
      body.push(dedent(line, indent.length));
    }
    this.at = Math.min(this.at + 1, this.lines.length);
    return { type: "code", label: codeLabel(info), text: body.join("\n") };
  }

  /** @returns {Block} */
  #indented() {
    const body = [];
    for (; this.at < this.lines.length; this.at += 1) {
      const line = this.lines[this.at];
      if (!BLANK.test(line) && indentOf(line) < CODE_INDENT) break;
      body.push(dedent(line, CODE_INDENT));
    }
    return { type: "code", label: "", text: body.join("\n").trimEnd() };
  }

  /** @returns {Block} */
  #table() {
    const [head, delimiters] = [cells(this.lines[this.at]), cells(this.lines[this.at + 1])];
    const rows = [];
    for (this.at += 2; this.at < this.lines.length; this.at += 1) {
      const line = this.lines[this.at];
      if (BLANK.test(line) || !line.includes("|")) break;
      const row = cells(line);
      rows.push(head.map((_, column) => row[column] ?? ""));
    }
    return { type: "table", align: delimiters.map(alignment), head, rows };
  }

  /** @returns {Block} */
  #quote() {
    const body = [];
    for (; this.at < this.lines.length; this.at += 1) {
      const line = this.lines[this.at];
      if (!QUOTE.test(line) && (BLANK.test(line) || this.#startsBlock(this.at))) break;
      body.push(line.replace(QUOTE, ""));
    }
    return { type: "quote", blocks: new BlockParser(body, this.depth + 1).all() };
  }

  /** @param {Marker} first @returns {Block} */
  #list(first) {
    const items = [];
    let loose = false;
    for (let marker = first; ; ) {
      const body = this.#item(marker);
      items.push(new BlockParser(body, this.depth + 1).all());
      const next = this.at < this.lines.length ? listMarker(this.lines[this.at]) : null;
      const goesOn = next && next.kind === first.kind && !RULE.test(this.lines[this.at]);
      const written = body.findLastIndex((line) => !BLANK.test(line));
      loose ||= body.slice(0, goesOn ? undefined : written + 1).some((line) => line === "");
      if (!goesOn) break;
      marker = next;
    }
    return { type: "list", start: first.start, loose, items };
  }

  /** @param {Marker} marker @returns {string[]} the item's lines without the marker and its indentation */
  #item(marker) {
    // Models often nest by two spaces under "1.", which strictly needs three.
    const inside = Math.min(marker.content, marker.indent + 2);
    const body = [marker.text];
    for (this.at += 1; this.at < this.lines.length; this.at += 1) {
      const line = this.lines[this.at];
      if (BLANK.test(line)) {
        if (!this.#continues(inside)) break;
        body.push("");
      } else if (indentOf(line) >= inside) body.push(dedent(line, marker.content));
      else if (body.at(-1) === "" || this.#startsBlock(this.at) || listMarker(line)) break;
      else body.push(line.trimStart());
    }
    return body;
  }

  /** @param {number} inside @returns {boolean} whether the list goes on after the blank line at `at` */
  #continues(inside) {
    const next = this.lines.slice(this.at, this.at + MAX_GAP).find((line) => !BLANK.test(line));
    return next !== undefined && (indentOf(next) >= inside || listMarker(next) !== null);
  }

  /** @returns {Block} */
  #paragraph() {
    const body = [this.lines[this.at].trimStart()];
    for (this.at += 1; this.at < this.lines.length; this.at += 1) {
      if (BLANK.test(this.lines[this.at]) || this.#startsBlock(this.at)) break;
      body.push(this.lines[this.at].trimStart());
    }
    return { type: "paragraph", text: body.join("\n").trimEnd() };
  }

  /** @param {number} at @returns {boolean} whether the line ends a paragraph by starting something else */
  #startsBlock(at) {
    const line = this.lines[at];
    if (FENCE.test(line) || HEADING.test(line) || RULE.test(line) || isTable(this.lines, at)) return true;
    if (this.depth >= MAX_DEPTH) return false;
    const marker = listMarker(line);
    // "In 1998." at the start of a line is prose; a list that interrupts a paragraph begins with 1 and has text.
    return QUOTE.test(line) || (marker !== null && marker.text !== "" && (marker.start ?? 1) === 1);
  }
}

/** @param {string} line @returns {Marker | null} */
function listMarker(line) {
  const found = MARKER.exec(line);
  if (!found || RULE.test(line)) return null;
  const [, indent, mark, number, delimiter, spaces = " ", text = ""] = found;
  const gap = spaces.length > CODE_INDENT ? 1 : spaces.length;
  return {
    indent: indent.length,
    content: indent.length + mark.length + gap,
    kind: delimiter ?? mark,
    start: number === undefined ? null : Number(number),
    text: spaces.slice(gap) + text,
  };
}

/** @param {string[]} lines @param {number} at @returns {boolean} */
function isTable(lines, at) {
  const below = lines[at + 1]?.trim();
  if (!lines[at].includes("|") || !below?.includes("|") || !DELIMITERS.test(below)) return false;
  return cells(lines[at]).length === cells(below).length;
}

/** @param {string} line @returns {string[]} */
function cells(line) {
  const row = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return row.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/** @param {string} delimiter @returns {string} */
function alignment(delimiter) {
  if (!delimiter.endsWith(":")) return "left";
  return delimiter.startsWith(":") ? "center" : "right";
}

/** @param {string} info @returns {string} the listing's own title if it has one, else its language */
function codeLabel(info) {
  const title = /\btitle=(?:"([^"]*)"|'([^']*)')/.exec(info);
  return (title?.[1] ?? title?.[2] ?? /^\s*([\w+#.-]*)/.exec(info)?.[1] ?? "").slice(0, 60);
}

/** @param {string} line @returns {number} columns before the first visible character; a tab reaches the next fourth */
function indentOf(line) {
  let columns = 0;
  for (const char of line) {
    if (char === " ") columns += 1;
    else if (char === "\t") columns += CODE_INDENT - (columns % CODE_INDENT);
    else break;
  }
  return columns;
}

/** @param {string} line @param {number} width @returns {string} the line without `width` columns of white space */
function dedent(line, width) {
  const indent = indentOf(line);
  if (width === 0 || indent === 0) return line;
  const rest = line.trimStart();
  const spaces = line.slice(0, line.length - rest.length);
  return spaces.includes("\t") ? " ".repeat(Math.max(0, indent - width)) + rest : line.slice(Math.min(width, indent));
}
