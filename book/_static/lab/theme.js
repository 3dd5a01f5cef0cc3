/* Light or dark: what the page says in data-theme, or else what the reader's system prefers. */
trajlab.define(function theme(trajlab) {
  /** Sets the attribute `dark` of an element, now and whenever the theme changes, and calls `changed` then. */
  class ThemeWatch {
    constructor(host, changed) {
      const system = trajlab.media("(prefers-color-scheme: dark)");
      const look = () => {
        const { theme } = document.documentElement.dataset;
        host.toggleAttribute("dark", theme ? theme === "dark" : system.matches);
        changed();
      };
      this.observer = new MutationObserver(look);
      this.observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
      if (system.addEventListener) system.addEventListener("change", look);
      this.disconnect = () => {
        this.observer.disconnect();
        if (system.removeEventListener) system.removeEventListener("change", look);
      };
      look();
    }
  }

  function element(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  /** A word of a caption with the colour of its line before it, which stay on one line: U+2060 joins them. */
  const key = (colour, text) => `<span class="key" data-colour="${colour}">\u2060${text}</span>`;

  Object.assign(trajlab, { ThemeWatch, element, key });
});
