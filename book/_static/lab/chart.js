/* Small charts on a canvas: axes with a few ticks, lines, dots and steps. Colours are those of trajlib/plots.py. */
trajlab.define(function chart(trajlab) {
  const LIGHT = { ink: "#1b1f24", pale: "#9aa4ae", rule: "#d9dde2", blue: "#0072b2", vermilion: "#d55e00", ground: "#ffffff" };
  const DARK = { ink: "#e6e9ed", pale: "#77818c", rule: "#444b54", blue: "#56b4e9", vermilion: "#f0823c", ground: "#1c2025" };
  const SEVERAL = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7"];
  const SEVERAL_DARK = ["#3d9be0", "#e69f00", "#2bc39a", "#f0823c", "#8fd0f5", "#dd9cc0"];

  trajlab.colours = (dark) => ({ ...(dark ? DARK : LIGHT), several: dark ? SEVERAL_DARK : SEVERAL });

  /** Line number `index` of several, so that they can be told apart in grey: solid, dashed, dotted, and the same again bolder. */
  trajlab.stroke = (index) => ({ dash: [[], [7, 3], [1.5, 2.5]][index % 3], width: index < 3 ? 1.4 : 2.2 });

  /** A number in a few characters: 0.25, 1,000, 3·10⁻⁸. */
  function pretty(value, digits = 3) {
    if (value === 0) return "0";
    if (!Number.isFinite(value)) return String(value);
    const size = Math.abs(value);
    if (size >= 1e5 || size < 1e-3) {
      const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
      const power = "10" + [...String(Number(exponent))].map((sign) => "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"["0123456789-".indexOf(sign)]).join("");
      const factor = String(Number(mantissa)).replace("-", "−");
      return factor === "1" ? power : `${factor}·${power}`;
    }
    return Number(value.toPrecision(Math.max(digits, Math.ceil(Math.log10(size)))))
      .toLocaleString("en", { maximumFractionDigits: 20 })
      .replace("-", "−");
  }

  /** Least and largest finite entry of several arrays (positive ones alone for a logarithmic axis), a little widened. */
  function extent(arrays, logarithmic = false) {
    let low = Infinity, high = -Infinity;
    for (const values of arrays)
      for (let i = 0; i < values.length; i++) {
        const value = values[i];
        if (!Number.isFinite(value) || (logarithmic && value <= 0)) continue;
        if (value < low) low = value;
        if (value > high) high = value;
      }
    if (low > high) return logarithmic ? [0.1, 1] : [0, 1];
    if (logarithmic) return low === high ? [low / 2, high * 2] : [low / (high / low) ** 0.04, high * (high / low) ** 0.04];
    const margin = 0.05 * (high - low) || Math.abs(high) / 10 || 1;
    return [low - margin, high + margin];
  }

  /** Three to six round values within [low, high]. */
  function ticks(low, high, logarithmic, room) {
    if (logarithmic) {
      const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
      if (last - first === 1 || last === first) {
        const some = [1, 2, 5].flatMap((digit) => [first - 1, first, last].map((power) => digit * 10 ** power));
        return [...new Set(some)].filter((value) => low <= value && value <= high).sort((a, b) => a - b);
      }
      if (last > first) {
        const step = Math.ceil((last - first + 1) / room);
        return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, i) => 10 ** (first + i * step));
      }
    }
    const rough = (high - low) / room, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
    const found = [];
    for (let i = Math.ceil(low / step); i * step <= high; i++) found.push(Number((i * step).toPrecision(12)));
    return found;
  }

  /** 0 and the powers of ten from 10 on, on both sides of it, within [low, high]. */
  function powers(low, high) {
    const up = Array.from({ length: Math.max(1, Math.ceil(Math.log10(Math.max(-low, high)))) }, (_, i) => 10 ** (i + 1));
    return [...up.map((value) => -value), 0, ...up].filter((value) => low <= value && value <= high);
  }

  /** Draw a chart; returns how its pixels and values correspond. The vertical axis may be symmetric: linear near 0, and logarithmic far
      from it, on both sides.

      series: [{values, at: (index) => x, colour, width, mark: "line" | "dots" | "rings" | "steps", dash}], back to front.
      image: {sheet, x: [from, to], y: [low, high]}, a picture and the values that its edges stand for.
      xTicks: [[value, label]], where the axis is of another kind. left, right: margins, the former at least. */
  function draw(canvas, options) {
    const { x, y, logX = false, logY = false, symmetric = false, xLabel, series, colours, image, xTicks, left: least = 22, right = 12 } = options;
    const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return null;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = `12px ${getComputedStyle(canvas).fontFamily}`;
    const linear = (value) => value, scale = ([low, high], f, from, to) => {
      const a = f(low), slope = (to - from) / (f(high) - a);
      return (value) => from + (f(value) - a) * slope;
    };
    const yTicks = symmetric ? powers(...y) : ticks(...y, logY, Math.max(2, height / 40)), yLabels = yTicks.map((value) => pretty(value, 6));
    const left = Math.max(least, Math.ceil(Math.max(...yLabels.map((label) => pen.measureText(label).width))) + 10);
    const box = { left, right: width - right, top: 8, bottom: height - 38 };
    const toX = scale(x, logX ? Math.log : linear, box.left, box.right);
    const toY = scale(y, symmetric ? Math.asinh : logY ? Math.log : linear, box.bottom, box.top);
    pen.strokeStyle = colours.rule;
    pen.fillStyle = colours.ink;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    yTicks.forEach((value, i) => {
      if (!image) line(pen, [[box.left, toY(value)], [box.right, toY(value)]]);
      pen.fillText(yLabels[i], box.left - 6, toY(value));
    });
    pen.textAlign = "center";
    pen.textBaseline = "top";
    const round = () => ticks(...x, logX, Math.max(2, width / 90)).map((value) => [value, pretty(value, 6)]);
    for (const [value, label] of xTicks || round()) {
      line(pen, [[toX(value), box.bottom], [toX(value), box.bottom + 4]]);
      pen.fillText(label, Math.min(toX(value), width - 22), box.bottom + 6);
    }
    pen.fillText(xLabel, (box.left + box.right) / 2, box.bottom + 21);
    pen.strokeStyle = colours.pale;
    line(pen, [[box.left, box.top], [box.left, box.bottom], [box.right, box.bottom]]);
    pen.save();
    pen.beginPath();
    pen.rect(box.left, box.top - 2, box.right - box.left + 2, box.bottom - box.top + 4);
    pen.clip();
    if (image) {
      const [a, b] = image.x.map(toX), [low, high] = image.y.map(toY);
      pen.drawImage(image.sheet, a, high, b - a, low - high);
    }
    for (const one of series) plot(pen, one, toX, toY);
    pen.restore();
    return { pen, box, toX, toY };
  }

  function line(pen, points) {
    pen.beginPath();
    points.forEach(([x, y]) => pen.lineTo(x, y));
    pen.stroke();
  }

  const MARKS = { line: path, steps: path, rings, dots };

  function plot(pen, { values, at, colour, width = 1.5, mark = "line", dash = [] }, toX, toY) {
    if (!values.length) return;
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = width;
    pen.lineJoin = "round";
    pen.setLineDash(dash);
    pen.beginPath();
    MARKS[mark](pen, values, (i) => toX(at(i)), toY, mark === "steps" ? 0 : width);
    if (mark !== "dots") pen.stroke();
    pen.setLineDash([]);
  }

  /** A line; where many values share a column of pixels, its least and its largest one. Width 0: in steps. */
  function path(pen, values, toX, toY, width) {
    const n = values.length, columns = Math.ceil(Math.abs(toX(n - 1) - toX(0))) || 1;
    if (width && n > 3 * columns) {
      for (let column = 0; column < columns; column++) {
        const start = Math.floor((column * n) / columns), stop = Math.floor(((column + 1) * n) / columns);
        let low = Infinity, high = -Infinity;
        for (let i = start; i < stop; i++) {
          const value = values[i];
          if (value < low) low = value;
          if (value > high) high = value;
        }
        const a = toY(low), b = toY(high), x = toX((start + stop - 1) / 2);
        if (Number.isFinite(b)) pen.lineTo(x, b);
        if (Number.isFinite(a) && a - b > 0.5) pen.lineTo(x, a);
      }
      return;
    }
    let before = NaN;
    for (let i = 0; i < n; i++) {
      const x = toX(i), y = toY(values[i]);
      if (!Number.isFinite(y)) before = NaN;
      else if (Number.isNaN(before)) pen.moveTo(x, (before = y));
      else {
        if (!width) pen.lineTo(x, before);
        pen.lineTo(x, (before = y));
      }
    }
  }

  function rings(pen, values, toX, toY) {
    for (let i = 0; i < values.length; i++) {
      pen.moveTo(toX(i) + 3.5, toY(values[i]));
      pen.arc(toX(i), toY(values[i]), 3.5, 0, 7);
    }
  }

  /** Squares, one a pixel at most. */
  function dots(pen, values, toX, toY, width) {
    const full = new Set();
    for (let i = 0; i < values.length; i++) {
      const x = Math.round(2 * toX(i)), y = Math.round(2 * toY(values[i]));
      if (Number.isNaN(y) || full.has(x * 65536 + y)) continue;
      full.add(x * 65536 + y);
      pen.fillRect((x - width) / 2, (y - width) / 2, width, width);
    }
  }

  Object.assign(trajlab, { pretty, extent, draw });
});
