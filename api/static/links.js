/**
 * The one gate through which an address becomes a link: http, https, or relative to this page.
 * Answers and sources come from a model and from documents, so that nothing else is trusted.
 * @param {unknown} href
 * @returns {string | null} the address to put on a link; null where it must stay text
 */
export function safeHref(href) {
  // Browsers drop control characters and treat "\" as "/", which lets "java\nscript:" through a naive look.
  if (typeof href !== "string" || !href || href.startsWith("#") || /[\s\\\p{Cc}\p{Cf}]/u.test(href)) return null;
  let url;
  try {
    url = new URL(href, "https://relative.invalid/");
  } catch {
    return null;
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  // "docs.example@evil.example" reads as the wrong host.
  return url.username || url.password ? null : href;
}
