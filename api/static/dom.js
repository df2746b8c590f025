/**
 * @param {string} tag
 * @param {(Node | string)[]} [children] strings become text nodes
 * @param {string} [className]
 * @returns {HTMLElement}
 */
export function element(tag, children = [], className = "") {
  const created = document.createElement(tag);
  created.append(...children);
  if (className) created.className = className;
  return created;
}

/**
 * @param {string} label
 * @param {string} [className]
 * @returns {HTMLButtonElement}
 */
export function button(label, className = "") {
  const created = /** @type {HTMLButtonElement} */ (element("button", [label], className));
  created.type = "button";
  return created;
}

/**
 * A link that leaves the conversation where it is.
 * @param {string} href an address that `safeHref` let through
 * @param {(Node | string)[]} children
 * @returns {HTMLElement}
 */
export function newTabLink(href, ...children) {
  const link = element("a", children);
  link.setAttribute("href", href);
  link.setAttribute("target", "_blank");
  link.setAttribute("rel", "noopener");
  return link;
}
