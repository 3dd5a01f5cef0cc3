/* The laboratory's parts, as classic scripts: a page opened from a folder (file://) may load neither modules nor data.

   A part is a function that adds to the global `trajlab`. Its own text is kept, so that a worker can be made of the same parts:
   a worker may not be loaded from a file either, but it may be loaded from a text in memory. */
(function (scope) {
  "use strict";
  const texts = [];
  const trajlab = (scope.trajlab = {});
  const here = new URL(document.currentScript.src);
  /** The address of a file beside this one, of the same version. */
  trajlab.file = (name) => new URL(name + here.search, here).href;

  /** Run a part. Parts with `inWorker` make up the worker, in the order in which they are defined. */
  trajlab.define = function (part, inWorker) {
    if (inWorker) texts.push(part.toString());
    part(trajlab);
  };

  let address, made = 0; // of the worker's text, and the number of its parts
  trajlab.startWorker = function () {
    if (made === texts.length) return new Worker(address);
    made = texts.length;
    const source = `"use strict";const trajlab={};${texts.map((text) => `(${text})(trajlab);`).join("\n")}trajlab.serve(self);`;
    address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    return new Worker(address);
  };
})(self);
