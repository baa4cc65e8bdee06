"use strict";
// Draws the figures, filters figures, rules and tables by optimizer, sorts tables.
(() => {
  const specs = JSON.parse(document.getElementById("figures").textContent);
  const boxes = [...document.querySelectorAll("#filter input[type=checkbox]")];
  const figures = [];
  const GROWTH = 1.25;

  function chosen() {
    const names = boxes.filter((box) => box.checked).map((box) => box.value);
    return names.length === boxes.length ? null : names;
  }

  /** The optimizers of all rows of data anywhere in a spec. */
  function optimizers(part) {
    if (part === null || typeof part !== "object") return [];
    const own = typeof part.optimizer === "string" ? [part.optimizer] : [];
    return [...own, ...Object.values(part).flatMap(optimizers)];
  }

  /** Lets a figure grow into its card, but its text not beyond the page's own. */
  function fit(place) {
    const svg = place.querySelector("svg");
    svg.style.width = `${GROWTH * svg.viewBox.baseVal.width}px`;
  }

  async function draw(place) {
    const spec = specs[place.dataset.figure];
    const options = {
      mode: "vega-lite",
      renderer: "svg",
      actions: false,
      ast: true, // the page's policy forbids eval, so expressions are interpreted
      defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
    };
    const { view } = await vegaEmbed(place, spec, options);
    const names = new Set(optimizers(spec));
    const note = document.createElement("p");
    note.className = "nothing";
    note.textContent = "No trial of the chosen optimizers is in this figure.";
    note.hidden = true;
    place.append(note);
    fit(place);
    figures.push({ place, view, names, note });
  }

  async function filterFigures(names) {
    for (const { place, view, names: own, note } of figures) {
      const empty = names !== null && !names.some((name) => own.has(name));
      place.querySelector("svg").toggleAttribute("hidden", empty);
      note.hidden = !empty;
      if (empty) continue;
      await view.signal("chosen", names).runAsync();
      fit(place);
    }
  }

  function filterRules(names) {
    for (const rule of document.querySelectorAll(".rules > div")) {
      const spans = [...rule.querySelectorAll("[data-optimizer]")];
      for (const span of spans) span.hidden = names !== null && !names.includes(span.dataset.optimizer);
      rule.hidden = spans.length > 0 && spans.every((span) => span.hidden);
    }
  }

  function filterTables(names) {
    const wanted = names === null ? null : new Set([...names, "(all)"]);
    for (const table of document.querySelectorAll("table[data-optimizer]")) {
      const place = Number(table.dataset.optimizer);
      for (const row of table.tBodies[0].rows) {
        const own = row.cells[place].textContent.trim().split(", "); // a row may be of several
        row.hidden = wanted !== null && !own.some((name) => wanted.has(name));
      }
    }
  }

  async function filter() {
    const names = chosen();
    const count = document.getElementById("chosen-count");
    count.textContent = names === null ? `all ${boxes.length}` : `${names.length} of ${boxes.length}`;
    filterRules(names);
    filterTables(names);
    await filterFigures(names);
    document.body.dataset.filtered = String(names === null ? "all" : names.length);
  }

  function number(text) {
    const bare = text.replace(/[%,]/g, "");
    if (bare.startsWith("<")) return Number(bare.slice(1)) - 0.5;
    if (bare.startsWith(">")) return Number(bare.slice(1)) + 0.5;
    return bare === "inf" ? Infinity : Number(bare);
  }

  function sort(head) {
    const table = head.closest("table");
    const place = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const numeric = head.classList.contains("n");
    const keyed = [...table.tBodies[0].rows].map((row) => {
      const text = row.cells[place].textContent.trim();
      return { row, empty: text === "", key: numeric ? number(text) : text };
    });
    const compare = numeric
      ? (a, b) => (a.key === b.key ? 0 : a.key - b.key)
      : (a, b) => a.key.localeCompare(b.key, "en", { numeric: true });
    // Empty cells stay last in both directions.
    keyed.sort((a, b) => a.empty - b.empty || (a.empty ? 0 : down ? compare(b, a) : compare(a, b)));
    table.tBodies[0].append(...keyed.map(({ row }) => row));
  }

  function alignNumbers() {
    for (const table of document.querySelectorAll(".scroll > table")) {
      const places = [...table.tHead.rows[0].cells].filter((head) => head.classList.contains("n"));
      for (const row of table.tBodies[0].rows) {
        for (const { cellIndex } of places) row.cells[cellIndex].classList.add("n");
      }
    }
  }

  function seek(text) {
    for (const box of boxes) {
      box.closest("li").hidden = !box.value.toLowerCase().includes(text.toLowerCase());
    }
  }

  function setShown(checked) {
    for (const box of boxes) if (!box.closest("li").hidden) box.checked = checked;
    filter();
  }

  document.addEventListener("click", (event) => {
    const head = event.target.closest("th");
    if (head) sort(head);
  });
  document.getElementById("filter").addEventListener("change", (event) => {
    if (event.target.type === "checkbox") filter();
  });
  document.getElementById("seek").addEventListener("input", (event) => seek(event.target.value));
  document.getElementById("all").addEventListener("click", () => setShown(true));
  document.getElementById("none").addEventListener("click", () => setShown(false));
  alignNumbers();
  (async () => {
    for (const place of document.querySelectorAll("[data-figure]")) await draw(place);
    document.body.dataset.drawn = String(figures.length);
  })();
})();
