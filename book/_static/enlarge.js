/* A figure of the page as large as the window allows, and on request at its full size: a click or tap on it, or its button. */
(function () {
  "use strict";
  const element = (name, attributes, ...children) => {
    const node = Object.assign(document.createElement(name), attributes);
    node.append(...children);
    return node;
  };
  let dialog, picture, caption, size;

  function build() {
    picture = element("img", { alt: "" });
    caption = element("p", { id: "tl-enlarged" });
    size = element("button", { type: "button", onclick: () => setFull(!dialog.classList.contains("tl-full")) });
    const close = element("button", { type: "button", onclick: () => dialog.close() }, "Close");
    const room = element("div", { className: "tl-room", tabIndex: 0 }, picture);
    room.setAttribute("role", "group");
    room.setAttribute("aria-label", "the figure");
    dialog = element("dialog", { className: "tl-enlarged" }, element("div", { className: "tl-bar" }, caption, size, close), room);
    dialog.setAttribute("aria-labelledby", caption.id);
    picture.addEventListener("click", () => setFull(!dialog.classList.contains("tl-full")));
    dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
    document.body.append(dialog);
  }

  function setFull(full) {
    dialog.classList.toggle("tl-full", full);
    size.textContent = full ? "Fit to window" : "Full size";
  }

  function show(figure) {
    if (!dialog) build();
    const image = figure.querySelector("img"), number = figure.querySelector(".caption-number");
    picture.src = image.src; // the widest there is, whatever the page shows on a narrow screen
    picture.alt = image.alt;
    caption.textContent = number ? number.textContent.trim() : "Figure";
    setFull(false);
    dialog.showModal(); // the focus comes back by itself when it closes
  }

  for (const figure of document.querySelectorAll(".bd-article figure:has(figcaption):has(img)")) {
    const image = figure.querySelector("img"), number = figure.querySelector(".caption-number");
    const button = element("button", { type: "button", className: "tl-enlarge", onclick: () => show(figure) }, "Enlarge");
    button.setAttribute("aria-label", `Enlarge ${number ? number.textContent.trim() : "the figure"}`);
    figure.querySelector("figcaption").append(button);
    image.classList.add("tl-can-enlarge");
    image.addEventListener("click", () => {
      button.focus({ preventScroll: true }); // where the focus returns to
      show(figure);
    });
  }
})();
