/* Before a page is printed: all pictures are fetched, the page is light, and a laboratory that has not finished a run is replaced by a
   sentence. (It cannot be begun: a browser does not wait for what its workers compute.) */
(function () {
  "use strict";
  const SENTENCE = "On a screen a laboratory stands here. It had not finished a run when this was printed.";
  let undo = [];

  addEventListener("beforeprint", () => {
    for (const image of document.images) image.loading = "eager";
    const root = document.documentElement, { theme } = root.dataset;
    root.dataset.theme = "light";
    undo.push(() => (theme === undefined ? delete root.dataset.theme : (root.dataset.theme = theme)));
    for (const panel of self.trajlab && trajlab.panels ? trajlab.panels : []) {
      if (panel.data && panel.data.complete) {
        panel.removeAttribute("dark");
        panel.recolour();
        try {
          panel.render(); // at once: the next frame comes after the printing
        } catch (error) {
          console.error(error);
        }
        undo.push(() => panel.toggleAttribute("dark", theme === "dark"), () => panel.recolour()); // after the theme itself
      } else {
        const note = document.createElement("p");
        note.className = "tl-no-run";
        note.textContent = SENTENCE;
        panel.parentNode.insertBefore(note, panel); // a panel's own `before` is something else
        panel.hidden = true;
        undo.push(() => note.remove(), () => (panel.hidden = false));
      }
    }
  });

  addEventListener("afterprint", () => {
    for (const step of undo) step();
    undo = [];
  });
})();
