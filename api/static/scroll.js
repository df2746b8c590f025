// Space between the top bar and a question that has been scrolled up to it.
const GAP = 16;

/** Follows a growing answer down the page, until its question reaches the top or the reader scrolls up. */
export class Follower {
  /** @type {HTMLElement | null} */
  #followed = null;
  #lastY = 0;

  /** @param {HTMLElement} bar what covers the top of the page */
  constructor(bar) {
    this.bar = bar;
    addEventListener("scroll", () => {
      if (scrollY < this.#lastY - 1) this.#followed = null;
      this.#lastY = scrollY;
    }, { passive: true });
  }

  /** @param {HTMLElement} element */
  follow(element) {
    this.#followed = element;
    this.update();
  }

  update() {
    if (!this.#followed) return;
    const room = this.#followed.getBoundingClientRect().top - this.bar.offsetHeight - GAP;
    if (room > 0) scrollBy(0, room);
  }
}
