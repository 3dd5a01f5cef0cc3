/* The picture of a view as it gets finer: what is known of its pixels, their colours, and how it lies on the screen when the view moves on. */
trajlab.define(function sheet(trajlab) {
  const GROUND = "#0b1322", FAINT = 0.35;

  /** Nothing known yet of the pixels of a view, row by row from the top. */
  function blank(view) {
    const count = view.pixels ** 2;
    return {
      view,
      value: new Float64Array(count).fill(NaN),
      outcome: new Int8Array(count).fill(-2),
      endedAt: new Int32Array(count).fill(-1),
      source: new Int32Array(count).fill(-1), // in whose colour a pixel is shown, and how wide the block is that it lies in
      side: new Uint8Array(count).fill(255),
      left: count,
    };
  }

  /** Results of the worker: each is shown over its block, but where something finer is there already. */
  function add(data, found) {
    const { value, outcome, endedAt, source, side, view: { pixels: n } } = data;
    for (const { name: [pixel, width], ...one } of found) {
      value[pixel] = one.value;
      outcome[pixel] = one.outcome;
      endedAt[pixel] = one.endedAt;
      const row = Math.floor(pixel / n), column = pixel % n;
      for (let i = row; i < Math.min(n, row + width); i++)
        for (let j = column; j < Math.min(n, column + width); j++) {
          const p = i * n + j;
          if (side[p] < width) continue;
          side[p] = width;
          source[p] = pixel;
        }
    }
    data.left -= found.length;
  }

  /** A canvas with one pixel for each network; `paint` brings it up to date. */
  function canvasOf(data) {
    const canvas = trajlab.element("canvas", { width: data.view.pixels, height: data.view.pixels }), pen = canvas.getContext("2d");
    const image = pen.createImageData(canvas.width, canvas.height);
    const paint = () => {
      trajlab.palette.paint(image.data, data);
      pen.putImageData(image, 0, 0);
    };
    return { canvas, view: data.view, paint };
  }

  /** Draw what is known, layers {canvas, view} back to front, where it lies in a view; of other settings faintly. */
  function compose(canvas, pixels, view, layers) {
    [canvas.width, canvas.height] = [pixels, pixels];
    const pen = canvas.getContext("2d"), { x, y, width } = view;
    pen.fillStyle = GROUND;
    pen.fillRect(0, 0, pixels, pixels);
    for (const { canvas: picture, view: of } of layers) {
      const large = of.width / width;
      if (large > 1e4 || large < 1e-4) continue;
      const left = 0.5 + (of.x - x - of.width / 2) / width, top = 0.5 + (y - of.y - of.width / 2) / width;
      pen.globalAlpha = ["condition", "steps", "seed"].every((name) => of[name] === view[name]) ? 1 : FAINT;
      pen.imageSmoothingEnabled = large * pixels < 3 * picture.width;
      pen.drawImage(picture, left * pixels, top * pixels, large * pixels, large * pixels);
    }
    return canvas;
  }

  trajlab.sheet = { blank, add, canvasOf, compose };
});
