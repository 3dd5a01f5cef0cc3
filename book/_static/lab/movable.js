/* Moves a picture by hand: drag, wheel, pinch, double click or tap, keys. Says only what was done; places are in pixels of the page, from
   the picture's upper left corner.

   The wheel turns the picture once the reader has pressed it, or with Ctrl or ⌘, and one finger moves it up and down likewise: before, both
   scroll the page (lab.css: touch-action). */
trajlab.define(function movable(trajlab) {
  const TWICE = 350, NEAR = 25, STILL = 5; // milliseconds between two taps, pixels between them, pixels that are no move

  /** acts: pan(dx, dy), zoom(factor, x, y): a factor above 1 goes deeper, home(), point(x, y), and rest() when a hand lets go. */
  trajlab.movable = function (node, acts) {
    const hands = new Map(); // pointers that are down, and where
    let moved = 0, before = null; // how far since the first was down; the last tap
    const place = (event) => {
      const { left, top } = node.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    };
    const middle = (points) => [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
    const spread = ([a, b]) => (b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 0);

    node.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      if (!hands.size) moved = 0;
      hands.set(event.pointerId, place(event));
      try {
        node.setPointerCapture(event.pointerId);
      } catch {
        // it has gone already
      }
    });

    node.addEventListener("pointermove", (event) => {
      const here = place(event);
      if (!hands.has(event.pointerId)) return void (event.pointerType === "mouse" && acts.point(...here));
      const old = [...hands.values()], [fromX, fromY] = middle(old), width = spread(old);
      hands.set(event.pointerId, here);
      const now = [...hands.values()], [x, y] = middle(now);
      moved += Math.hypot(x - fromX, y - fromY) + Math.abs(spread(now) - width);
      if (moved < STILL) return;
      acts.pan(x - fromX, y - fromY);
      if (width > 0 && spread(now) > 0) acts.zoom(spread(now) / width, x, y);
    });

    const lifted = (event) => {
      if (!hands.delete(event.pointerId) || hands.size) return;
      if (moved >= STILL) return acts.rest();
      if (event.type !== "pointerup") return;
      const [x, y] = place(event), twice = before && event.timeStamp - before.time < TWICE && spread([[x, y], before.at]) < NEAR;
      before = twice ? null : { time: event.timeStamp, at: [x, y] };
      if (!twice) return acts.point(x, y);
      acts.zoom(event.shiftKey ? 0.25 : 4, x, y);
      acts.rest();
    };
    for (const kind of ["pointerup", "pointercancel"]) node.addEventListener(kind, lifted);

    node.addEventListener("wheel", (event) => {
      if (node.getRootNode().activeElement !== node && !event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
      const by = Math.max(-200, Math.min(200, event.deltaY * lines)) * (event.ctrlKey ? 4 : 1); // a pinch on a touch pad comes in small steps
      acts.zoom(2 ** (-by / 200), ...place(event));
      acts.rest();
    }, { passive: false });

    node.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { width, height } = node.getBoundingClientRect(), far = event.shiftKey ? 0.5 : 0.125;
      const keys = {
        ArrowLeft: () => acts.pan(width * far, 0),
        ArrowRight: () => acts.pan(-width * far, 0),
        ArrowUp: () => acts.pan(0, height * far),
        ArrowDown: () => acts.pan(0, -height * far),
        "+": () => acts.zoom(2, width / 2, height / 2),
        "-": () => acts.zoom(0.5, width / 2, height / 2),
        0: () => acts.home(),
      };
      const act = keys[event.key === "=" ? "+" : event.key === "_" ? "-" : event.key];
      if (!act) return;
      event.preventDefault();
      act();
      acts.rest();
    });
  };
});
