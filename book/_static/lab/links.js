/* Links in the text that set a figure: <a class="tl-set" href="#edge=lr:1.6">put the learning rate to 1.6</a>.

   What is not named stays as the reader has it. Opened in another tab, or without JavaScript, such a link is a link like any other. */
trajlab.define(function links(trajlab) {
  const POINTED = 1600; // milliseconds

  function follow(event) {
    const link = event.target.closest && event.target.closest("a.tl-set");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const meant = [...trajlab.readAddress(link.hash)].flatMap(([part, text]) => {
      const panel = [...trajlab.panels].find((one) => one.part === part);
      return panel ? [[panel, text]] : [];
    });
    if (!meant.length) return;
    event.preventDefault();
    for (const [panel, text] of meant) panel.obey(text);
    show(meant[0][0]);
  }

  /** Bring a panel into view if it is not, and outline it for a moment. */
  function show(panel) {
    const { top, bottom } = panel.getBoundingClientRect(), rest = trajlab.media("(prefers-reduced-motion: reduce)").matches;
    const hidden = top < 0 ? bottom < innerHeight / 2 : bottom > innerHeight && top > innerHeight / 4;
    if (hidden) panel.scrollIntoView({ block: "start", behavior: rest ? "auto" : "smooth" });
    panel.setAttribute("pointed", "");
    clearTimeout(panel.pointed);
    panel.pointed = setTimeout(() => panel.removeAttribute("pointed"), POINTED);
  }

  document.addEventListener("click", follow);
});
