/* Before a page is printed: all pictures are fetched, the page is light, and a laboratory that has drawn nothing yet is replaced by a
   sentence. (It cannot be begun: a browser does not wait for what its workers compute.) */
(function () {
  "use strict";
  const SENTENCE = "A laboratory stands here in the page on a screen. It had not been begun when this was printed.";
  let undo = [];

  addEventListener("beforeprint", () => {
    for (const image of document.images) image.loading = "eager";
    const root = document.documentElement, { theme } = root.dataset;
    root.dataset.theme = "light";
    undo.push(() => (theme === undefined ? delete root.dataset.theme : (root.dataset.theme = theme)));
    for (const panel of self.trajlab && trajlab.panels ? trajlab.panels : []) {
      if (panel.data) {
        panel.removeAttribute("dark");
        panel.colours = trajlab.colours(false);
        panel.recolour();
        try {
          panel.render(); // at once: the next frame comes after the printing
        } catch (error) {
          console.error(error);
        }
        undo.push(() => panel.toggleAttribute("dark", theme === "dark"), () => panel.recolour());
      } else {
        const note = document.createElement("p");
        note.className = "tl-not-begun";
        note.textContent = SENTENCE;
        panel.before(note);
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
