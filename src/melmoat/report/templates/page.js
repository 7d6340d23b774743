"use strict";
(() => {
  // Tables: a header's button sorts by its column; empty values stay last.
  const numeric = (text) => (text.trim() === "" ? NaN : Number(text));
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.sort ?? cell.textContent.trim();
  };
  const order = (column, sign) => (a, b) => {
    const [x, y] = [value(a, column), value(b, column)];
    if ((x === "") !== (y === "")) return x === "" ? 1 : -1;
    const [m, n] = [numeric(x), numeric(y)];
    if (!Number.isNaN(m) && !Number.isNaN(n)) return sign * (m - n);
    return sign * x.localeCompare(y, "en", { numeric: true });
  };
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      header.querySelector("button")?.addEventListener("click", () => {
        const rising = header.getAttribute("aria-sort") !== "ascending";
        for (const other of headers) {
          if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
        }
        header.setAttribute("aria-sort", rising ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows].sort(order(column, rising ? 1 : -1));
        table.tBodies[0].append(...rows);
      });
    });
  }

  // One player at a time.
  document.addEventListener(
    "play",
    (event) => {
      for (const player of document.querySelectorAll("audio")) {
        if (player !== event.target) player.pause();
      }
    },
    true,
  );

  // Utterances: what is typed or chosen hides the rows that do not match.
  const form = document.getElementById("filter");
  if (!form) return;
  const rows = [...document.querySelectorAll("#rows tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const count = form.querySelector("output");
  const outcomes = {
    "": () => true,
    wrong: (row) => row.dataset.wrong !== "0",
    right: (row) => row.dataset.wrong === "0",
    reached: (row) => "reached" in row.dataset,
  };
  const filter = () => {
    const { text, system, attack, outcome } = Object.fromEntries(new FormData(form));
    const wanted = text.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, i) => {
      const kept =
        texts[i].includes(wanted) &&
        (!system || row.dataset.system === system) &&
        (!attack || row.dataset.attack === attack) &&
        outcomes[outcome](row);
      row.hidden = !kept;
      shown += kept;
    });
    count.textContent = `${shown} of ${rows.length} rows`;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
