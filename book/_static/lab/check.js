/* <golden-check>: the library's golden runs in the reader's browser, and whether their final weights have the committed digests. */
trajlab.define(function check(trajlab) {
  const { element } = trajlab;

  async function digest(weights) {
    const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", weights.buffer));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  class GoldenCheck extends HTMLElement {
    connectedCallback() {
      this.themed = new trajlab.ThemeWatch(this, () => {});
      if (this.shadowRoot) return;
      this.start = element("button", { type: "button" }, "Check this browser");
      this.start.addEventListener("click", () => this.check());
      this.rows = trajlab.golden.map(({ name }) => {
        const verdict = element("td", {}, "not run yet");
        return [element("tr", {}, element("th", { scope: "row" }, name), verdict), verdict];
      });
      this.message = element("p", { class: "message", role: "status" });
      const style = element("link", { rel: "stylesheet", href: trajlab.file("lab.css") });
      const table = element("table", {}, ...this.rows.map(([row]) => row));
      this.attachShadow({ mode: "open" }).append(style, element("div", { class: "buttons" }, this.start), this.message, table);
    }

    disconnectedCallback() {
      this.themed.disconnect();
      if (this.worker) this.worker.terminate();
    }

    async check() {
      if (!self.crypto || !crypto.subtle) {
        this.message.textContent = "This browser computes digests on https pages and local files only.";
        return;
      }
      this.start.disabled = true;
      let same = 0;
      for (const [i, { job, initial, final }] of trajlab.golden.entries()) {
        const verdict = this.rows[i][1];
        try {
          const weights = await this.train(job, (done) => (verdict.textContent = `${Math.round(100 * done)} %`));
          const equal = (await digest(weights.initial)) === initial && (await digest(weights.final)) === final;
          verdict.textContent = equal ? "same bits" : "DIFFERENT";
          same += equal;
        } catch (error) {
          verdict.textContent = `stopped: ${error.message}`;
        }
      }
      this.message.textContent = `${same} of ${this.rows.length} runs end with the same bits as the library's.`;
      this.start.disabled = false;
    }

    train(options, progress) {
      return new Promise((resolve, reject) => {
        const worker = (this.worker = trajlab.startWorker());
        worker.onerror = (event) => reject(new Error(event.message || "the browser did not start a worker"));
        worker.onmessage = ({ data }) => {
          if (data.error) reject(new Error(data.error));
          else if (data.finished) worker.terminate();
          else if (data.part.final) resolve(data.part);
          else progress(data.part.done);
        };
        worker.postMessage({ job: "train", options });
      });
    }
  }

  customElements.define("golden-check", GoldenCheck);
});
