/**
 * @typedef {import("./inline.js").Inline} Inline
 * @typedef {{char: string, count: number, opens: boolean, closes: boolean}} Run a row of `*`, `_` or `~`
 * @typedef {Inline & {run?: Run}} Piece a node, or a row that may yet become the edge of one
 * @typedef {{at: number, run: Run}} Opener a row that waits for its partner, and its place in the output
 */

// Deeper nesting is nobody's prose; the bound keeps hostile text from exhausting the stack.
const MAX_DEPTH = 12;

/**
 * Turns rows of `*`, `_` and `~~` into em, strong and del nodes; a row without a partner becomes text again.
 * @param {Piece[]} pieces
 * @param {boolean} unfinished more text is on its way: bold text is bold before its closing `**` has arrived
 * @returns {Inline[]}
 */
export function pairRuns(pieces, unfinished) {
  /** @type {Piece[]} */
  const out = [];
  /** @type {Opener[]} */
  const openers = [];
  for (const piece of pieces) {
    const run = piece.run;
    if (run?.closes) close(out, openers, run);
    if (run?.count === 0) continue;
    out.push(piece);
    if (run?.opens && openers.length < MAX_DEPTH) openers.push({ at: out.length - 1, run });
  }
  const bold = openers.find(({ run }) => run.count === 2 && run.char === "*");
  if (unfinished && bold) wrap(out, bold, { ...bold.run });
  return out.map(asNode);
}

/** @param {Piece[]} out @param {Opener[]} openers @param {Run} run */
function close(out, openers, run) {
  while (run.count > 0) {
    const found = openers.findLastIndex((opener) => opener.run.char === run.char);
    if (found < 0) return;
    const opener = openers[found];
    wrap(out, opener, run);
    openers.length = opener.run.count === 0 ? found : found + 1;
  }
}

/** @param {Piece[]} out @param {Opener} opener @param {Run} closer */
function wrap(out, opener, closer) {
  const width = opener.run.count >= 2 && closer.count >= 2 ? 2 : 1;
  const children = out.splice(opener.at + 1).map(asNode);
  opener.run.count -= width;
  closer.count -= width;
  if (opener.run.count === 0) out.pop();
  out.push({ type: opener.run.char === "~" ? "del" : width === 2 ? "strong" : "em", children });
}

/** @param {Piece} piece @returns {Inline} */
function asNode(piece) {
  return piece.run ? { type: "text", text: piece.run.char.repeat(piece.run.count) } : piece;
}
