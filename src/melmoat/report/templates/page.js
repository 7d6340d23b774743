"use strict";
// What is typed into a form, or chosen there, hides the rows that do not match.
const filterRows = (form, rows, what, matches) => {
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const count = form.querySelector("output");
  const filter = () => {
    const chosen = Object.fromEntries(new FormData(form));
    const wanted = chosen.text.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, i) => {
      const kept = texts[i].includes(wanted) && matches(row, chosen);
      row.hidden = !kept;
      shown += kept;
    });
    count.textContent = `${shown} of ${rows.length} ${what}`;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
};

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

  const form = document.getElementById("filter");
  if (!form) return;
  const outcomes = {
    "": () => true,
    wrong: (row) => row.dataset.wrong !== "0",
    right: (row) => row.dataset.wrong === "0",
    reached: (row) => "reached" in row.dataset,
  };
  const utterances = [...document.querySelectorAll("#rows tbody tr")];
  filterRows(
    form,
    utterances,
    "rows",
    (row, { system, attack, outcome }) =>
      (!system || row.dataset.system === system) &&
      (!attack || row.dataset.attack === attack) &&
      outcomes[outcome](row),
  );
})();
