// The chat page: one box, a conversation above it. Everything that shows an answer is in turn.js.

import { ask, AskError } from "./client.js";
import { Follower } from "./scroll.js";
import { keepTurn, keptTurns, sessionId, startOver } from "./session.js";
import { showStatus } from "./status.js";
import { Turn } from "./turn.js";

const COPIED_MS = 2000;

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

const form = /** @type {HTMLFormElement} */ (byId("ask"));
const box = /** @type {HTMLTextAreaElement} */ (byId("question"));
const conversation = byId("conversation");
const statusParts = { line: byId("status"), setup: byId("setup"), examples: byId("examples") };
const follower = new Follower(byId("bar"));
/** @type {AbortController | null} the answer that is streaming in */
let running = null;

/** @param {string} question */
async function answer(question) {
  const turn = addTurn(question);
  const controller = new AbortController();
  setRunning(controller);
  follower.follow(turn.element);
  // The button that asked is gone from the page; a reader who typed stays in the box.
  if (document.activeElement !== box) turn.heading.focus({ preventScroll: true });
  announce("Searching the docs.");
  try {
    for await (const event of ask(question, sessionId(), controller.signal)) turn.receive(event);
    turn.finish();
    keepTurn({ question, final: turn.kept() });
  } catch (error) {
    if (controller.signal.aborted) turn.stop();
    else turn.fail(explained(error));
  } finally {
    if (running === controller) setRunning(null);
  }
  if (turn.element.isConnected) announce(turn.spoken());
}

/** @param {unknown} error @returns {AskError} */
function explained(error) {
  if (error instanceof AskError) return error;
  console.error(error);
  return new AskError("this page failed to show the answer", { retryable: true });
}

/** @param {string} question @returns {Turn} */
function addTurn(question) {
  const onRetry = () => {
    if (running) return;
    turn.element.remove();
    answer(question);
  };
  const turn = new Turn(question, { onShown: () => follower.update(), onRetry });
  conversation.append(turn.element);
  setStarted(true);
  return turn;
}

/** @param {AbortController | null} controller */
function setRunning(controller) {
  running = controller;
  byId("send").hidden = controller !== null;
  byId("stop").hidden = controller === null;
}

/** @param {boolean} started whether there is a conversation to show */
function setStarted(started) {
  byId("welcome").hidden = started;
  byId("new").hidden = !started;
}

/** @param {string} text for screen readers: one message at a time, never token by token */
function announce(text) {
  byId("announcer").textContent = text;
}

function submit() {
  const question = box.value.trim();
  if (!question || running) return;
  box.value = "";
  fitBox();
  answer(question);
}

function newConversation() {
  running?.abort();
  startOver();
  conversation.replaceChildren();
  setStarted(false);
  announce("New conversation.");
  box.focus();
  showStatus(statusParts);
}

function restore() {
  for (const { question, final } of keptTurns()) {
    const turn = addTurn(question);
    turn.receive(final);
    turn.finish();
  }
  conversation.lastElementChild?.scrollIntoView();
}

/** The box grows with its text, up to the height that its style allows. */
function fitBox() {
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}

/** @param {HTMLElement} button in a listing's caption */
async function copyCode(button) {
  const code = button.closest("figure")?.querySelector("code");
  if (!code) return;
  button.textContent = (await copied(code)) ? "Copied" : "Press Ctrl+C";
  setTimeout(() => (button.textContent = "Copy"), COPIED_MS);
}

/** @param {HTMLElement} code @returns {Promise<boolean>} false where the browser leaves copying to the reader */
async function copied(code) {
  try {
    await navigator.clipboard.writeText(code.textContent ?? "");
    return true;
  } catch {
    // Without https there is no clipboard: the text is selected, ready to be copied by hand.
    getSelection()?.selectAllChildren(code);
    return false;
  }
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.isComposing) return;
  if (event.key === "Escape" && running) running.abort();
  const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    box.focus();
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
box.addEventListener("input", fitBox);
box.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
byId("stop").addEventListener("click", () => {
  running?.abort();
  box.focus();
});
byId("new").addEventListener("click", newConversation);
document.addEventListener("keydown", onKey);
// A network that is lost leaves the page where it is, and the answer is taken up again.
addEventListener("pagehide", () => running?.abort());
document.addEventListener("click", ({ target }) => {
  if (!(target instanceof HTMLElement)) return;
  if (target.matches(".copy")) copyCode(target);
  if (target.matches(".example") && !running) answer(target.textContent?.trim() ?? "");
});

for (const origin of document.querySelectorAll(".origin")) origin.textContent = location.origin;
restore();
showStatus(statusParts);
