// Development check of the chat page's parsers. It needs Node 20 or newer and nothing else, and is no part of the
// default test suite, which runs without Node:
//
//     node scripts/check_page.mjs
//
// What the page promises by its files alone (no inline script, no foreign origin) is tests/unit/test_chat_page.py's.

import assert from "node:assert/strict";
import { test } from "node:test";

/** As much of the DOM as the renderer touches, printed back as HTML with everything escaped. */
class Stub {
  constructor(tag) {
    this.tag = tag;
    this.attributes = {};
    this.childNodes = [];
  }
  append(...nodes) {
    for (const node of nodes) {
      if (node instanceof Stub) node.parent = this;
      this.childNodes.push(node);
    }
  }
  setAttribute(name, value) {
    assert.equal(typeof value, "string");
    this.attributes[name] = value;
  }
  set className(value) {
    this.attributes.class = value;
  }
  get lastChild() {
    return this.childNodes.at(-1);
  }
  get firstChild() {
    return this.childNodes[0];
  }
  remove() {
    this.parent.childNodes.splice(this.parent.childNodes.indexOf(this), 1);
  }
  *elements() {
    for (const child of this.childNodes) {
      if (child instanceof Stub) {
        yield child;
        yield* child.elements();
      }
    }
  }
  get html() {
    const attributes = Object.entries(this.attributes).map(([name, value]) => ` ${name}="${escape(value)}"`);
    const inside = this.childNodes.map((child) => (child instanceof Stub ? child.html : escape(child))).join("");
    return `<${this.tag}${attributes.join("")}>${inside}</${this.tag}>`;
  }
}

const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
globalThis.document = { createElement: (tag) => new Stub(tag) };

const page = new URL("../api/static/", import.meta.url);
const { MarkdownView } = await import(new URL("render.js", page));
const { Citations } = await import(new URL("citations.js", page));
const { EventParser, readEvents } = await import(new URL("sse.js", page));
const { Broken, resumed } = await import(new URL("resume.js", page));
const { ask, AskError } = await import(new URL("client.js", page));
const { parseMarkdown } = await import(new URL("markdown.js", page));
const { safeHref } = await import(new URL("links.js", page));

function render(text, { unfinished = false, citations = new Citations() } = {}) {
  const root = new Stub("div");
  new MarkdownView(root, citations).show(text, unfinished);
  return root;
}

/** The rendered HTML without what every link and scrolling box carries. */
function html(text, options) {
  return render(text, options)
    .html.slice(5, -6)
    .replaceAll(' target="_blank" rel="noopener"', "")
    .replace(/ class="scrolls" tabindex="0" role="group" aria-label="[^"]*"/g, "")
    .replaceAll(' class="align-left"', "");
}

const SPECIMENS = {
  "paragraphs are split at blank lines and joined within": ["a\nb\n\nc", "<p>a b</p><p>c</p>"],
  "a hard break is two spaces or a backslash": ["a  \nb\\\nc", "<p>a<br></br>b<br></br>c</p>"],
  "headings start below the question's": ["## A\n### B ##\n# C", "<h4>A</h4><h5>B</h5><h3>C</h3>"],
  "an answer's highest heading follows the question's": ["### A\n#### B", "<h3>A</h3><h4>B</h4>"],
  "a number sign without a space is text": ["#tag", "<p>#tag</p>"],
  "bold, italic, both and struck out": [
    "**b** *i* ***bi*** ~~s~~ _u_ __v__",
    "<p><strong>b</strong> <em>i</em> <em><strong>bi</strong></em> <del>s</del> <em>u</em> <strong>v</strong></p>",
  ],
  "snake_case_names and 2 * 3 * 4 stay as they are": ["snake_case_names 2 * 3 * 4", "<p>snake_case_names 2 * 3 * 4</p>"],
  "italic inside bold": ["**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"],
  "a row without a partner is text": ["**a and *b", "<p>**a and *b</p>"],
  "code spans keep what is in them": [
    "`**a** <b> [x](y)` ``a ` b``",
    "<p><code>**a** &lt;b> [x](y)</code> <code>a ` b</code></p>",
  ],
  "a lone backtick is text": ["it`s", "<p>it`s</p>"],
  "escapes": ["\\*a\\* \\[b\\](c)", "<p>*a* [b](c)</p>"],
  "entities of everyday text": ["a &lt; b &amp;&amp; c &copy;", "<p>a &lt; b &amp;&amp; c &amp;copy;</p>"],
  "a link": ["[a *b*](https://x.example/p?q=1#h \"t\")", '<p><a href="https://x.example/p?q=1#h">a <em>b</em></a></p>'],
  "a relative link": ["[a](/docs/a#b)", '<p><a href="/docs/a#b">a</a></p>'],
  "a link with brackets in its text and address": [
    "[a [b] c](https://x.example/a_(b))",
    '<p><a href="https://x.example/a_(b)">a [b] c</a></p>',
  ],
  "a bare address without the full stop": [
    "See https://x.example/a_(b). (https://x.example/c)",
    '<p>See <a href="https://x.example/a_(b)">https://x.example/a_(b)</a>. '
      + '(<a href="https://x.example/c">https://x.example/c</a>)</p>',
  ],
  "an address in angle brackets": ["<https://x.example>", '<p><a href="https://x.example">https://x.example</a></p>'],
  "no link inside a link": [
    "[a https://y.example b](https://x.example)",
    '<p><a href="https://x.example">a https://y.example b</a></p>',
  ],
  "a picture is its description": ["![a **b**](https://x.example/a.png)", "<p>a b</p>"],
  "a linked picture": ["[![a](b.png)](https://x.example)", '<p><a href="https://x.example">a</a></p>'],
  "reference links stay text": [
    "[a][b] and [c]\n\n[b]: javascript:alert(1)",
    "<p>[a][b] and [c]</p><p>[b]: javascript:alert(1)</p>",
  ],
  "a nested list": ["- a\n  - b\n    - c\n- d", "<ul><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li><li>d</li></ul>"],
  "a list nested by two spaces under a number": ["1. a\n  - b\n2. c", "<ol><li>a<ul><li>b</li></ul></li><li>c</li></ol>"],
  "a list nested by a tab": ["- a\n\t- b", "<ul><li>a<ul><li>b</li></ul></li></ul>"],
  "a list that starts at 3": ["3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'],
  "a loose list has paragraphs": ["- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"],
  "a list ends where the text goes on": ["- a\n\nb", "<ul><li>a</li></ul><p>b</p>"],
  "a list right after a line of text": ["Do:\n- a\n- b", "<p>Do:</p><ul><li>a</li><li>b</li></ul>"],
  "a year at the start of a line is no list": ["It was in\n1998. Then", "<p>It was in 1998. Then</p>"],
  "a listing inside a list": [
    "1. a\n   ```sh\n   x\n\n     y\n   ```\n2. b",
    '<ol><li><p>a</p><figure class="code"><figcaption><span>sh</span><button class="copy">Copy</button></figcaption>'
      + "<pre><code>x\n\n  y</code></pre></figure></li><li><p>b</p></li></ol>",
  ],
  "a quote with a list": ["> a\n> - b\nlazy\n\nc", "<blockquote><p>a</p><ul><li>b lazy</li></ul></blockquote><p>c</p>"],
  "a rule": ["a\n\n---\n\n* * *", "<p>a</p><hr></hr><hr></hr>"],
  "a listing keeps tabs, HTML and shorter fences": [
    "````md title=\"a.md\"\n```\n\t<b>&amp;\n````",
    '<figure class="code"><figcaption><span>a.md</span><button class="copy">Copy</button></figcaption>'
      + "<pre><code>```\n\t&lt;b>&amp;amp;</code></pre></figure>",
  ],
  "a fence that never ends is a listing": [
    "~~~\na",
    '<figure class="code"><figcaption><span></span><button class="copy">Copy</button></figcaption>'
      + "<pre><code>a</code></pre></figure>",
  ],
  "a listing by indentation": [
    "a\n\n    b\n\n      c\n\nd",
    '<p>a</p><figure class="code"><figcaption><span></span><button class="copy">Copy</button></figcaption>'
      + "<pre><code>b\n\n  c</code></pre></figure><p>d</p>",
  ],
  "a table right after a line of text": [
    "T:\n| a | b |\n|---|--:|\n| `x` \\| y | 1 |\n| z |",
    '<p>T:</p><div><table><thead><tr><th>a</th><th class="align-right">b</th></tr></thead><tbody>'
      + '<tr><td><code>x</code> | y</td><td class="align-right">1</td></tr>'
      + '<tr><td>z</td><td class="align-right"></td></tr></tbody></table></div>',
  ],
  "a line with a bar is no table": ["a | b\nc | d", "<p>a | b c | d</p>"],
};

for (const [name, [text, expected]] of Object.entries(SPECIMENS)) {
  test(name, () => assert.equal(html(text), expected));
}

const HOSTILE = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg/onload=alert(1)>",
  "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
  "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
  "<a href=\"javascript:alert(1)\">x</a>",
  "<iframe srcdoc='<script>alert(1)</script>'>",
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt:alert(1))",
  "[x](java\nscript:alert(1))",
  "[x](java\tscript:alert(1))",
  "[x](\u0001javascript:alert(1))",
  "[x](javascript\u200B:alert(1))",
  "[x](<javascript:alert(1)>)",
  "[x](< javascript:alert(1)>)",
  "[x](&#106;avascript:alert(1))",
  "[x](javascript&colon;alert(1))",
  "[x](\\javascript:alert(1))",
  "[x](data:text/html,<script>alert(1)</script>)",
  "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
  "[x](vbscript:msgbox(1))",
  "[x](file:///etc/passwd)",
  "[x](blob:https://x.example/1)",
  "[x](https://docs.example@evil.example/)",
  "[x](\\\\evil.example/a)",
  "[x](https://x.example/\" onmouseover=\"alert(1))",
  "[[x](javascript:alert(1))](javascript:alert(2))",
  "[a [b](javascript:1) c](https://x.example)",
  "![x](javascript:alert(1))",
  "![x](https://evil.example/track.png)",
  "![x](https://x.example/a.png \"onerror=alert(1)\")",
  "<javascript:alert(1)>",
  "[x][1]\n\n[1]: javascript:alert(1)",
  "```\"><script>alert(1)</script>\nx\n```",
  "```html title=\"\"><img src=x onerror=alert(1)>\"\nx\n```",
  "| <img src=x onerror=alert(1)> | b |\n|---|---|\n| [x](javascript:alert(1)) | </td><script> |",
  "`<img src=x onerror=alert(1)>`",
  "# <style>*{display:none}</style>",
  "&lt;script&gt;alert(1)&lt;/script&gt;",
  "[__proto__](constructor)",
];
const words = (text) => new Set(text.split(" "));
const TAGS = words(
  "h3 h4 h5 h6 p ul ol li blockquote hr figure figcaption span button pre code div table thead tbody tr th td "
    + "em strong del a sup br",
);
const ATTRIBUTES = words("class type href target rel title tabindex role aria-label start");

/** @param {Stub} root */
function assertHarmless(root, text) {
  for (const element of root.elements()) {
    assert.ok(TAGS.has(element.tag), `<${element.tag}> from ${text}`);
    for (const [name, value] of Object.entries(element.attributes)) {
      assert.ok(ATTRIBUTES.has(name), `${name} from ${text}`);
      if (name === "href") assert.match(new URL(value, "https://here.example/").href, /^https?:\/\/[^@]*$/, text);
      if (name === "class") assert.match(value, /^[a-z-]+$/, text);
    }
  }
}

test("hostile text stays text", () => {
  for (const text of HOSTILE) {
    for (const wrapped of [text, `> - ${text}`, `**${text}**`, `[${text}](https://x.example)`, `${text}\n${text}`]) {
      for (const unfinished of [false, true]) assertHarmless(render(wrapped, { unfinished }), wrapped);
    }
  }
});

test("hostile text is harmless wherever the stream is cut", () => {
  const text = HOSTILE.join("\n\n");
  const root = new Stub("div");
  const view = new MarkdownView(root, new Citations());
  for (let end = 0; end <= text.length; end += 1) {
    view.show(text.slice(0, end), true);
    assertHarmless(root, text.slice(0, end));
  }
});

test("an address is a link only if it is http, https or relative", () => {
  const good = ["https://a.example/b", "http://a.example", "/docs/a", "../a", "a/b#c", "//a.example/b"];
  const bad = ["", "#a", "javascript:1", "mailto:a@b.example", "ftp://a", "https://", "a b", "\\\\a", null, 7, {}];
  for (const href of good) assert.equal(safeHref(href), href);
  for (const href of bad) assert.equal(safeHref(href), null, String(href));
});

test("hostile length and depth cost neither the stack nor the time", () => {
  const n = 20_000;
  const long = [
    "*", "**", "_a ", "*a ", "a* ", "***a ", "a**b*_c ", "~~", "[", "![", "]", "[a](", "[](", "[a](b \"", "`", "``` ",
    "> ", "- ", "1. ", "  - ", "\n\n- a", "-\n\n", "|", "| a |\n|---|\n", "<", "&", "h", "https://", "https://a)", "\\",
    "\n", "# ",
  ];
  for (const piece of long) {
    for (const text of [piece.repeat(n), piece.repeat(n) + "a".repeat(3) + [...piece].reverse().join("").repeat(n)]) {
      const began = performance.now();
      assertHarmless(render(text, { unfinished: true }), piece);
      assert.ok(performance.now() - began < 2000, `${JSON.stringify(piece)} took ${performance.now() - began} ms`);
    }
  }
});

test("text grows the same whether it is shown piece by piece or at once", () => {
  const text = Object.values(SPECIMENS).map(([source]) => source).join("\n\nnext\n\n");
  const root = new Stub("div");
  const view = new MarkdownView(root, new Citations());
  for (let end = 0; end < text.length; end += 3) view.show(text.slice(0, end), true);
  view.show(text, false);
  assert.equal(root.html, render(text).html);
});

test("blocks that are complete keep their nodes while the answer grows", () => {
  const root = new Stub("div");
  const view = new MarkdownView(root, new Citations());
  view.show("```\na\n```\n\nb", true);
  const [listing, paragraph] = root.childNodes;
  view.show("```\na\n```\n\nb c", true);
  assert.equal(root.childNodes[0], listing);
  assert.notEqual(root.childNodes[1], paragraph);
});

test("a source's block knows its own text", () => {
  const text = "a\n\n- b\n\n- c\n\nd";
  assert.deepEqual(parseMarkdown(text).map(({ raw }) => raw.trim()), ["a", "- b\n\n- c", "d"]);
});

test("while text streams in, bold is bold before its end has come", () => {
  assert.equal(html("**a", { unfinished: true }), "<p><strong>a</strong></p>");
  assert.equal(html("**a", { unfinished: false }), "<p>**a</p>");
});

test("citations become numbers in the order of their marks", () => {
  const citations = new Citations();
  const text = "x [Two](/two). y [One - A](/one#a) [Two](/two) z [Else](/else)";
  const links = '<p>x <a href="/two">Two</a>. y <a href="/one#a">One - A</a> <a href="/two">Two</a> z <a href="/else">Else</a></p>';
  assert.equal(html(text, { citations }), links);

  citations.add({ url: "/one#a", page_title: "One", section: "A", text: "words" });
  citations.add({ url: "/one#a", page_title: "One", section: "A", text: "other words" });
  citations.add({ url: "/two", page_title: "Two", section: "", text: "" });
  citations.add({ url: "javascript:alert(1)", page_title: "Bad", section: "", text: "" });
  citations.add({ url: "/five (a)#b", page_title: "Five", section: "", text: "" });
  const mark = (number, href, title) =>
    `<sup><a href="${href}" class="cite" title="${title}" aria-label="Source ${number}: ${title}">${number}</a></sup>`;
  const [two, one] = [mark(1, "/two", "Two"), mark(2, "/one#a", "One \u203A A")];
  assert.equal(html(text, { citations }), `<p>x${two}. y${one}${two} z <a href="/else">Else</a></p>`);
  assert.deepEqual(citations.all(), [
    { url: "/two", title: "Two", snippet: "", number: 1 },
    { url: "/one#a", title: "One \u203A A", snippet: "words", number: 2 },
    { url: "/five%20%28a%29#b", title: "Five", snippet: "", number: 3 },
  ]);
  assert.match(html("[Five](/five%20%28a%29#b)", { citations }), /aria-label="Source 3: Five"/);
});

test("the final list of sources replaces what was cited on the way", () => {
  const citations = new Citations();
  const root = new Stub("div");
  const view = new MarkdownView(root, citations);
  citations.add({ url: "/one", page_title: "One", section: "", text: "" });
  citations.add({ url: "/two", page_title: "Two", section: "", text: "" });
  view.show("[One](/one) [Two](/two)", true);
  citations.replace([{ url: "/two", page_title: "Two", section: "", text: "" }]);
  view.show("[One](/one) [Two](/two)", false);
  assert.match(root.html, /<p><a href="\/one"[^>]*>One<\/a><sup><a href="\/two"[^>]*>1<\/a>/);
});

const STREAM = [
  "\uFEFF: hello\n\n",
  'data: {"type":"start","sources":[]}\n\n',
  'event: message\nid: 7\ndata: {"type":"chunk","content":"Gr\u00FC\u00DFe \u{1F600}\\n"}\r\n\r\n',
  ": heartbeat\n\n",
  'data:{"type":"chunk",\ndata:"content":"b"}\r\r',
  "retry: 10\n\n",
  "data: [DONE]\n\n",
  'data: {"type":"done"}\n\n',
  'data: {"type":"never finished"}\n',
].join("");
const EVENTS = [
  { type: "start", sources: [] },
  { type: "chunk", content: "Gr\u00FC\u00DFe \u{1F600}\n" },
  { type: "chunk", content: "b" },
  { type: "done" },
];

async function* pieces(...parts) {
  yield* parts;
}

async function collect(body) {
  const events = [];
  for await (const { event } of readEvents(body)) events.push(event);
  return events;
}

test("events are whole wherever the network cuts them", async () => {
  const bytes = new TextEncoder().encode(STREAM);
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    assert.deepEqual(await collect(pieces(bytes.subarray(0, cut), bytes.subarray(cut))), EVENTS, `cut at byte ${cut}`);
  }
  assert.deepEqual(await collect(pieces(...Array.from(bytes, (byte) => Uint8Array.of(byte)))), EVENTS, "byte by byte");
});

test("an event that is not JSON is an error, not a gap", async () => {
  await assert.rejects(collect(pieces(new TextEncoder().encode("data: {oops\n\n"))), SyntaxError);
});

test("data without a field, and an empty event, follow the specification", () => {
  const parser = new EventParser();
  assert.deepEqual(parser.push("data\ndata: a\ndata:  b\n\n\nevent: x\n\n"), [{ id: "", data: "\na\n b" }]);
});

test("an id belongs to its own event alone", () => {
  const events = new EventParser().push("id: a-1\ndata: x\n\ndata: y\n\nid: a-2\n\ndata: z\nid:a-3\r\n\r\n");
  assert.deepEqual(events, [{ id: "a-1", data: "x" }, { id: "", data: "y" }, { id: "a-3", data: "z" }]);
});

/** The events `answer-first`, ... of one connection, which then breaks; `done` ends it well. */
function connection(answer, first, ...words) {
  return words.map((word, place) => ({ id: `${answer}-${first + place}`, event: { type: word === "done" ? word : "chunk", word } }));
}

/** What a reader gets of connections one after the other; the last one stays. */
async function follow(...connections) {
  const asked = [], words = [], pauses = [];
  async function* connect(last) {
    asked.push(last);
    const events = connections[Math.min(asked.length, connections.length) - 1];
    if (events instanceof Error) throw events;
    yield* events;
    throw new Broken(new Error("broken off"));
  }
  try {
    for await (const event of resumed(connect, async (ms) => void pauses.push(ms))) words.push(event.word ?? "...");
  } catch (error) {
    return { asked, words: words.join(" "), pauses, error: error.message };
  }
  return { asked, words: words.join(" "), pauses };
}

test("an answer goes on where its connection broke", async () => {
  assert.deepEqual(await follow(connection("a", 1, "one", "two"), [], connection("a", 3, "three", "done")), {
    asked: [null, "a-2", "a-2"], words: "one two ... ... three done", pauses: [500, 1000],
  });
});

test("what is sent again is not said again, and what has no id is an apology", async () => {
  const sorry = { id: "", event: { type: "chunk", word: "sorry" } };
  const { words } = await follow([...connection("a", 1, "one", "two"), sorry], connection("a", 1, "one", "two", "three", "done"));
  assert.equal(words, "one two ... three done");
});

test("tries are bounded, and begin again where the answer has gone on", async () => {
  const parts = Array.from({ length: 12 }, (_, place) => connection("a", place + 1, `w${place}`));
  const { error, pauses, asked } = await follow(...parts);
  assert.equal(error, "broken off");
  assert.deepEqual(pauses, [...Array(11).fill(500), 500, 1000, 2000, 4000, 8000]);
  assert.equal(asked.length, 17);
  const anew = await follow(...Array.from({ length: 30 }, (_, place) => connection(`a${place}`, 1, "start")));
  assert.equal(anew.asked.length, 6);
});

test("what ends an answer is not tried again", async () => {
  const { asked, error } = await follow(connection("a", 1, "one"), new Error("refused"));
  assert.deepEqual([asked.length, error], [2, "refused"]);
});

const ANSWER = "0123456789abcdef".repeat(2);

/** Ask over scripted replies: text of a stream, or a status. The reader stops the answer at an event of type `stopAt`. */
async function asking(...replies) {
  return askingUntil(null, ...replies);
}

async function askingUntil(stopAt, ...replies) {
  const requests = [], events = [], stops = [];
  globalThis.fetch = async (path, request) => {
    if (request.method === "DELETE") {
      stops.push([path, request.keepalive]);
      throw new TypeError("Failed to fetch");
    }
    requests.push(request);
    const reply = replies[requests.length - 1];
    if (reply === undefined) throw new TypeError("Failed to fetch");
    if (typeof reply === "number") return new Response('{"message": "busy", "retryable": true}', { status: reply });
    return new Response(reply, { headers: { "content-type": "text/event-stream", "x-answer-id": ANSWER } });
  };
  const controller = new AbortController();
  try {
    for await (const event of ask("Why?", "s", controller.signal)) {
      events.push(event);
      if (event.type === stopAt) controller.abort();
    }
  } catch (error) {
    return { requests, events, stops, error };
  } finally {
    controller.abort(); // after an answer's end, this stops nothing
  }
  return { requests, events, stops };
}

const frame = (id, event) => `${id ? `id: ${id}\n` : ""}data: ${JSON.stringify(event)}\n\n`;

test("a question is sent again as it was, with its key and the last id", async () => {
  const restarting = frame("", { type: "chunk", content: "Sorry" }) + frame("", { type: "error", code: "RESTARTING", message: "m" });
  const { requests, events, error } = await asking(
    frame("a-1", { type: "start" }) + frame("a-2", { type: "chunk", content: "x" }) + restarting,
    503,
    frame("a-3", { type: "done" }),
  );
  assert.equal(error, undefined);
  assert.deepEqual(events.map(({ type }) => type), ["start", "chunk", "interrupted", "interrupted", "done"]);
  assert.deepEqual(requests.map(({ headers }) => headers["last-event-id"]), [undefined, "a-2", "a-2"]);
  assert.equal(new Set(requests.map(({ headers, body }) => headers["idempotency-key"] + body)).size, 1);
  assert.match(requests[0].headers["idempotency-key"], /^[0-9a-f-]{36}$/);
  const other = await asking(frame("b-1", { type: "done" }));
  assert.notEqual(other.requests[0].headers["idempotency-key"], requests[0].headers["idempotency-key"]);
});

test("a refusal is told at once while no answer has begun", async () => {
  const { requests, error } = await asking(503);
  assert.deepEqual([requests.length, error instanceof AskError, error.message], [1, true, "Busy."]);
});

test("an answer that was given up is told plainly", async () => {
  const gone = { type: "error", code: "ANSWER_INTERRUPTED", message: "m", retryable: true };
  const { requests, error } = await asking(frame("a-1", { type: "start" }), frame("", gone));
  assert.deepEqual([requests.length, error.message], [2, "The answer was interrupted before its end."]);
  assert.equal(error.retryable, true);
});

test("an answer that stays broken is told plainly, and a service that is not there too", async () => {
  const real = globalThis.setTimeout;
  globalThis.setTimeout = (run, ms) => real(run, ms / 100);
  try {
    const half = await asking(frame("a-1", { type: "start" }) + frame("a-2", { type: "chunk", content: "x" }));
    assert.equal(half.requests.length, 6);
    assert.equal(half.error.message, "The answer was interrupted, and trying again has not brought the rest of it.");
    assert.equal(half.error.retryable, true);
    assert.equal((await asking()).error.message, "The service cannot be reached.");
    const restarted = await asking("", 503, frame("a-1", { type: "done" }));
    assert.deepEqual([restarted.requests.length, restarted.error], [3, undefined]);
  } finally {
    globalThis.setTimeout = real;
  }
});

test("who stops an answer stops its tries", async () => {
  const controller = new AbortController();
  globalThis.fetch = async () => Promise.reject(new TypeError("Failed to fetch"));
  const events = ask("Why?", "s", controller.signal);
  assert.equal((await events.next()).value.type, "interrupted");
  setTimeout(() => controller.abort(), 20);
  await assert.rejects(events.next(), { name: "AbortError" });
});

test("who stops an answer tells the API, which would wait for its reader", async () => {
  const half = frame("a-1", { type: "start" }) + frame("a-2", { type: "chunk", content: "x" });
  for (const stopAt of ["start", "chunk", "interrupted"]) {
    assert.deepEqual((await askingUntil(stopAt, half)).stops, [[`answers/${ANSWER}`, true]], stopAt);
  }
});

test("a network that is lost stops nothing", async () => {
  const real = globalThis.setTimeout;
  globalThis.setTimeout = (run, ms) => real(run, ms / 100);
  try {
    assert.deepEqual((await asking(frame("a-1", { type: "start" }))).stops, []);
  } finally {
    globalThis.setTimeout = real;
  }
});

test("an answer that has come to its end, or has not begun, is not stopped", async () => {
  assert.deepEqual((await asking(frame("a-1", { type: "start" }) + frame("a-2", { type: "done" }))).stops, []);
  assert.deepEqual((await askingUntil("interrupted")).stops, []);
  const gone = { type: "error", code: "ANSWER_INTERRUPTED", message: "m", retryable: true };
  assert.deepEqual((await asking(frame("", gone))).stops, []);
});
