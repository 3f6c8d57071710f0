// @ts-check
// Calibrate a slice by thumbs up and down, with precision and recall after each answer.

import { api, failed, h, keys, svg, url } from "./base.js";

/** @typedef {{value: number, low: number, high: number}} Share */
/** @typedef {{precision: Share | null, recall: Share, labels: number, positives: number, matched: number, population: number, confidence: number}} Estimate */
/** @typedef {{labels: number, estimate: Estimate | null, not_yet: {message: string, hint: string} | null}} Standing */
/** @typedef {{name: string, version: number, undo: string}} Saved */

/** A thumb, drawn since not every system has a font with one. @param {boolean} up */
function thumb(up) {
  const path = svg("path", { d: "M1 8h3v8H1zM5.500 15.500h7l2.500-6V7H10l.8-3.800L9.300 1.700 5.500 7.500z", fill: "currentColor", transform: up ? null : "rotate(180 8 8.500)" });
  return svg("svg", { viewBox: "0 0 16 17", width: 14, height: 15, "aria-hidden": "true" }, path);
}

/** @param {Share | null} share */
function spread(share) {
  return share ? `${share.value.toFixed(2)} [${share.low.toFixed(2)}, ${share.high.toFixed(2)}]` : "–";
}

export class Asking {
  /**
   * @param {HTMLElement} host
   * @param {string} name of the slice
   * @param {(saved: Saved) => void} onSaved
   */
  constructor(host, name, onSaved) {
    this.host = host;
    this.name = name;
    this.onSaved = onSaved;
    /** Ids that are still to be answered. @type {string[]} */
    this.asked = [];
    /** Ids that were answered, the latest last. @type {string[]} */
    this.answered = [];
    this.text = "";
    /** Answers that are not sent yet. @type {Record<string, boolean | null>} */
    this.replies = {};
    this.sending = false;
    this.goal = h("select", { id: "goal" }, ...["best F1", "recall", "precision"].map((value) => h("option", { value: value === "best F1" ? "" : value }, value)));
    this.least = h("input", { id: "least", type: "number", min: "0.05", max: "1", step: "0.05", value: "0.9", "aria-label": "At least", hidden: true });
    this.picture = h("div", { class: "picture" });
    this.question = h("p", { class: "question", "aria-live": "polite" });
    this.figures = h("div", { role: "status" });
    this.buttons = [
      this.#button("Yes", "y", true),
      this.#button("No", "n", false),
      this.#button("Skip", "s", null),
    ];
    this.back = h("button", { type: "button", class: "quiet", disabled: true, onclick: () => this.#again() }, "Back", h("kbd", null, "b"));
    this.save = h("button", { type: "button", class: "main", disabled: true, onclick: () => void this.#save() }, "Save this cut");
    this.goal.addEventListener("change", () => void this.#aim());
    this.least.addEventListener("change", () => void this.#aim());
  }

  /** @param {string} title @param {string} key @param {boolean | null} reply */
  #button(title, key, reply) {
    keys.add({ key, does: `${title.toLowerCase()}, in a calibration`, run: () => this.#answer(reply), where: () => this.asked.length > 0 });
    const mark = reply === null ? null : thumb(reply);
    return h("button", { type: "button", onclick: () => this.#answer(reply) }, mark, title, h("kbd", null, key));
  }

  get body() {
    return { name: this.name, goal: this.goal.value, least: Number(this.least.value) };
  }

  async start() {
    keys.add({ key: "b", does: "back to the question before", run: () => this.#again(), where: () => this.answered.length > 0 });
    this.host.hidden = false;
    this.host.replaceChildren(
      h(
        "div",
        { class: "asking" },
        this.picture,
        h(
          "div",
          null,
          this.question,
          h("div", { class: "row" }, ...this.buttons, this.back),
          h("div", { class: "row" }, h("label", { for: "goal" }, "The cut for"), this.goal, this.least),
          this.figures,
          h("div", { class: "row" }, this.save),
        ),
      ),
    );
    await this.#ask();
  }

  async #ask() {
    this.question.textContent = "Choosing samples to ask about …";
    try {
      const told = await api("/api/slices/calibrate/ask", { body: this.body });
      this.asked = told.asked;
      this.text = told.text;
      this.#standing(told);
    } catch (error) {
      failed(error);
    }
    this.#show();
  }

  #show() {
    const [id] = this.asked;
    for (const button of this.buttons) button.disabled = !id;
    this.back.disabled = !this.answered.length;
    if (!id) {
      this.picture.replaceChildren(h("p", { class: "soft" }, "No sample is left to ask about."));
      this.question.textContent = "";
      return;
    }
    this.picture.replaceChildren(h("img", { src: url("/api/picture", { id, side: 512 }), alt: id }));
    this.question.replaceChildren("Does it show ", h("b", { dir: "auto" }, this.text), "? ", h("code", { class: "soft", dir: "auto" }, id));
    if (this.asked[1]) new Image().src = url("/api/picture", { id: this.asked[1], side: 512 });
  }

  /** @param {boolean | null} reply */
  #answer(reply) {
    const id = this.asked.shift();
    if (!id) return;
    this.answered.push(id);
    this.replies[id] = reply;
    this.#show();
    void this.#send();
  }

  /** Send what was answered, one request at a time, so that nobody waits for the figures. */
  async #send() {
    if (this.sending) return;
    this.sending = true;
    try {
      while (Object.keys(this.replies).length) {
        const replies = this.replies;
        this.replies = {};
        try {
          this.#standing(await api("/api/slices/calibrate/answer", { body: { ...this.body, replies } }));
        } catch (error) {
          failed(error);
          for (const id of Object.keys(replies).reverse()) {
            this.answered = this.answered.filter((other) => other !== id);
            if (!this.asked.includes(id)) this.asked.unshift(id);
          }
          this.#show();
          return;
        }
      }
      if (!this.asked.length) await this.#ask();
    } finally {
      this.sending = false;
    }
  }

  #again() {
    const id = this.answered.pop();
    if (id) this.asked.unshift(id);
    this.#show();
  }

  async #aim() {
    this.least.hidden = !this.goal.value;
    await this.#ask();
  }

  /** @param {Standing} told */
  #standing({ labels, estimate, not_yet }) {
    this.save.disabled = !labels || !estimate;
    if (!labels || !estimate) {
      const why = not_yet && labels ? `${not_yet.message} ${not_yet.hint}` : "Precision and recall stand here from the first answer on.";
      this.figures.replaceChildren(h("p", { class: "soft" }, why));
      return;
    }
    const rows = [
      ["precision", spread(estimate.precision)],
      ["recall", spread(estimate.recall)],
      ["labels", `${labels}, ${estimate.positives} yes`],
      ["match", `${estimate.matched.toLocaleString("en")} of ${estimate.population.toLocaleString("en")} samples`],
    ].map(([title, value]) => h("tr", null, h("th", { scope: "row" }, title), h("td", null, value)));
    this.figures.replaceChildren(
      h("table", null, h("caption", null, `This cut, with ${Math.round(100 * estimate.confidence)} % intervals`), h("tbody", null, ...rows)),
    );
  }

  async #save() {
    this.save.disabled = true;
    try {
      this.onSaved(await api("/api/slices/calibrate/save", { body: this.body }));
    } catch (error) {
      this.save.disabled = false;
      failed(error);
    }
  }
}
