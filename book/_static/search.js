/* The page of search results. The words of the book are in search-texts.js, loaded by this page alone: nothing is asked for, so that it
   works from a folder (file://). What is found is a section; chapters come before reference pages, and these before the API. */
(function () {
  "use strict";
  const KINDS = [["chapter", "Chapters"], ["glossary", "Glossary"], ["reference", "Reference"], ["api", "API"]];
  const SMALL = new Set("a an and are as at by do does for from has how in is it its of on or that the this to what when where which with".split(" "));
  const OF_A_PAGE = 4; // sections; the rest of a page is one click away
  const AROUND = 110; // letters before and after what was found

  const lower = (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();

  /** "bifurcations" and "bifurcation" are one word, "dynamics" and "class" stay. */
  const stem = (word) => (word.length < 4 || /(ss|us|is|ics)$/.test(word) ? word : word.replace(/ies$/, "y").replace(/(x|ch|sh)es$/, "$1").replace(/s$/, ""));
  const words = (text) => (lower(text).match(/[\p{L}\p{N}_]+/gu) || []).map(stem);

  function index(pages) {
    return pages.flatMap((page) => page.sections.map(([anchor, title, text]) => {
      const [head, body] = [words(title), words(text)], counts = new Map();
      for (const word of body) counts.set(word, (counts.get(word) || 0) + 1);
      return { page, anchor, title, text, head, counts, body, length: body.length };
    }));
  }

  /** How often a section has a word, in its title and in its text; half if it is only the beginning of a longer one. */
  function hits(section, word) {
    const begins = (other) => (other === word ? 1 : word.length > 2 && other.startsWith(word) ? 0.5 : 0);
    let text = 0;
    for (const [other, count] of section.counts) text += begins(other) * count;
    return { title: Math.max(0, ...section.head.map(begins)), text };
  }

  const has = (list, phrase) => ` ${list.join(" ")} `.includes(` ${phrase.join(" ")} `);

  /** The sections that have all words of a query, or, where none has, any; the best first. */
  function find(sections, query) {
    const phrase = words(query), telling = phrase.filter((word) => !SMALL.has(word)), asked = [...new Set(telling.length ? telling : phrase)];
    if (!asked.length) return { all: true, found: [] };
    const rows = sections.map((section) => ({ section, hits: asked.map((word) => hits(section, word)) }));
    const weights = asked.map((word, k) => Math.log(1 + sections.length / (1 + rows.filter((row) => row.hits[k].title || row.hits[k].text).length)));
    for (const row of rows) {
      const { section } = row, share = 1 + section.length / 400;
      row.words = row.hits.filter(({ title, text }) => title || text).length;
      const rest = 2 + 2 * (asked.length / section.head.length); // a title that says little else counts for more
      row.score = row.hits.reduce((sum, { title, text }, k) => sum + weights[k] * (rest * title + (2 * text) / (text + share)), 0);
      if (asked.length > 1 && has(section.body, phrase)) row.score *= 1.5;
      if (has(section.head, phrase)) row.score *= section.anchor ? 1.5 : 3; // the title of a page counts for most
      const entry = section.page.kind === "glossary" || (section.page.kind === "api" && section.anchor.endsWith(section.title));
      row.exact = entry && section.head.join(" ") === phrase.join(" ");
    }
    const all = rows.some((row) => row.words === asked.length);
    const found = rows.filter((row) => (all ? row.words === asked.length : row.words > 0)).sort((a, b) => b.words - a.words || b.score - a.score);
    return { all, found, asked };
  }

  function element(name, attributes, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  /** The stretch of a text that has most of what was asked for, with those words marked. */
  function snippet(text, asked) {
    const marks = [...text.matchAll(/[\p{L}\p{N}_]+/gu)].filter(([word]) => asked.some((one) => stem(lower(word)).startsWith(one)));
    const near = (at) => new Set(marks.filter((one) => Math.abs(one.index - at.index) < AROUND).map(([word]) => stem(lower(word)))).size;
    const best = marks.reduce((kept, one) => (kept && near(kept) >= near(one) ? kept : one), null);
    const middle = best ? best.index : 0;
    let [start, stop] = [Math.max(0, middle - AROUND), Math.min(text.length, middle + 2 * AROUND)];
    if (start > 0) start = text.indexOf(" ", start) + 1;
    if (stop < text.length) stop = Math.max(text.lastIndexOf(" ", stop), middle + (best ? best[0].length : 0));
    const node = element("p", {}, start > 0 ? "… " : "");
    let at = start;
    for (const [word, place] of marks.map((one) => [one[0], one.index])) {
      if (place < start || place + word.length > stop) continue;
      node.append(text.slice(at, place), element("mark", {}, word));
      at = place + word.length;
    }
    node.append(text.slice(at, stop), stop < text.length ? " …" : "");
    return node;
  }

  function item({ section }, asked) {
    const { page, anchor, title, text } = section, whole = page.sections[0][1];
    const link = element("a", { href: page.file + (anchor && `#${anchor}`) }, title);
    const where = (page.chapter ? `Chapter ${page.chapter}` : "") + (anchor && page.chapter ? `, ${whole}` : anchor ? whole : "");
    return element("li", {}, link, " ", element("small", {}, where), snippet(text, asked));
  }

  function show(query, place, sections) {
    const { all, found, asked } = find(sections, query), pages = new Map();
    const count = found.length === 1 ? "One section has" : `${found.length || "No"} sections have`;
    const what = all ? `“${query}”` : `some of the words “${query}”, and none has all of them`;
    place.append(element("p", { role: "status" }, `${count} ${found.length ? what : `“${query}”. Try fewer words, or the beginning of one.`}`));
    const list = (rows) => element("ul", {}, ...rows.map((row) => item(row, asked)));
    const exact = found.filter((row) => row.exact).sort((a, b) => (b.section.page.kind > a.section.page.kind) - (b.section.page.kind < a.section.page.kind));
    if (exact.length) place.append(list(exact));
    for (const [kind, heading] of KINDS) {
      const rows = found.filter((row) => {
        const { page } = row.section, before = pages.get(page) || 0;
        if (row.exact || page.kind !== kind) return false;
        pages.set(page, before + 1);
        return before < (kind === "api" ? 3 : 1) * OF_A_PAGE;
      });
      if (rows.length) place.append(element("h2", {}, heading), list(rows));
    }
  }

  const query = (new URLSearchParams(location.search).get("q") || "").trim(), place = document.getElementById("search-results");
  if (!place || !query) return;
  for (const field of document.querySelectorAll("input[name=q]")) field.value = query;
  document.title = `${query} · ${document.title}`;
  show(query, place, index(self.searchTexts || []));
})();
