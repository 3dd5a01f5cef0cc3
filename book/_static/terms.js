/* What a word of the glossary means, where the text uses it: a card that opens when the word is pointed at, reached by the keyboard or
   tapped, stays while the pointer is on it, and closes with Escape. The cards are in the page (tools/furniture.py); without JavaScript
   the word is a link to the glossary. */
(function () {
  "use strict";
  const SOON = 150, LATER = 250; // milliseconds until a card opens under a pointer, and until it closes
  let open, timer; // open: the link whose card is shown

  const card = (link) => document.getElementById(link.getAttribute("aria-describedby"));

  function close() {
    clearTimeout(timer);
    if (open) card(open).hidden = true;
    open = null;
  }

  function show(link) {
    clearTimeout(timer);
    if (open === link) return;
    close();
    open = link;
    const node = card(link), line = link.getClientRects()[0], { clientWidth: width, clientHeight: height } = document.documentElement;
    node.hidden = false;
    const left = Math.max(12, Math.min(line.left, width - node.offsetWidth - 12));
    const above = line.bottom + node.offsetHeight + 8 > height && line.top > node.offsetHeight + 8;
    node.style.left = `${left + scrollX}px`;
    node.style.top = `${(above ? line.top - node.offsetHeight - 4 : line.bottom + 4) + scrollY}px`;
  }

  const later = (action, wait) => {
    clearTimeout(timer);
    timer = setTimeout(action, wait);
  };

  function begin() {
    for (const link of document.querySelectorAll('.bd-article a[href*="glossary.html#term-"]')) {
      const name = `card-${link.hash.slice(1)}`;
      if (!document.getElementById(name)) continue;
      link.classList.add("tl-term");
      link.setAttribute("aria-describedby", name);
      let touched = false;
      link.addEventListener("pointerenter", ({ pointerType }) => pointerType === "mouse" && later(() => show(link), SOON));
      link.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && later(close, LATER));
      link.addEventListener("pointerdown", ({ pointerType }) => (touched = pointerType !== "mouse"));
      link.addEventListener("focus", () => touched || show(link));
      link.addEventListener("blur", () => later(close, LATER));
      link.addEventListener("click", (event) => {
        if (!touched || open === link) return; // a second tap follows the link
        event.preventDefault();
        show(link);
      });
    }
    const cards = document.querySelector(".tl-cards");
    if (!cards) return;
    document.body.append(cards); // its place is reckoned from the top of the page
    cards.addEventListener("pointerenter", () => clearTimeout(timer), true);
    cards.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && later(close, LATER), true);
    document.addEventListener("keydown", ({ key }) => key === "Escape" && close());
    document.addEventListener("pointerdown", ({ target }) => open && !open.contains(target) && !cards.contains(target) && close());
    addEventListener("resize", close);
  }

  begin(); // deferred: the page is there
})();
