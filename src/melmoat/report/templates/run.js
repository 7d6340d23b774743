(() => {
  // Tables: copy, and download as CSV. Rows that are filtered out are left out.
  const flat = (text) => text.replace(/\s+/g, " ").trim();
  const content = (cell) => {
    const heading = cell.closest("thead") && cell.querySelector("button");
    return cell.dataset.csv ?? flat((heading || cell).innerText);
  };
  const cells = (table) =>
    [...table.rows].filter((row) => !row.hidden).map((row) => [...row.cells].map(content));
  // A spreadsheet would run a cell that begins like a formula.
  const safe = (text) => (/^[=+\-@]/.test(text) && Number.isNaN(Number(text)) && text !== "-" ? `'${text}` : text);
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const csv = (table) => cells(table).map((row) => row.map((cell) => quoted(safe(cell))).join(",")).join("\r\n");
  const tabs = (table) => cells(table).map((row) => row.map(safe).join("\t")).join("\n");

  const button = (text, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", act);
    return made;
  };
  const copy = (text, from) => {
    const said = from.textContent;
    navigator.clipboard.writeText(text).then(
      () => { from.textContent = "Copied"; },
      () => { from.textContent = "Not allowed to copy"; },
    ).finally(() => setTimeout(() => { from.textContent = said; }, 1500));
  };
  const save = (name, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  const bar = (before, ...parts) => {
    const made = document.createElement("div");
    made.className = "tools";
    made.append(...parts);
    before.before(made);
    return made;
  };
  document.querySelectorAll("main table").forEach((table, i) => {
    const frame = table.closest(".scroll") ?? table;
    const section = table.closest("section").id;
    const wider = document.createElement("span");
    wider.className = "wider";
    bar(
      frame,
      button("Copy table", (event) => copy(tabs(table), event.target)),
      button("Download CSV", () => save(`${document.title.split(" ")[0]}-${section}-${i + 1}.csv`, csv(table))),
      wider,
    );
    if (frame === table) return;
    const look = () => {
      wider.textContent = frame.scrollWidth > frame.clientWidth + 1 ? "Scroll sideways for more columns →" : "";
    };
    new ResizeObserver(look).observe(frame);
  });
  for (const block of document.querySelectorAll("main pre")) {
    bar(block, button("Copy commands", (event) => copy(block.innerText.trim(), event.target)));
  }

  // Listen: one utterance across systems.
  const across = document.getElementById("across");
  if (across && across.querySelectorAll("option").length > 1) {
    across.hidden = false;
    across.addEventListener("submit", (event) => event.preventDefault());
    across.addEventListener("input", () => {
      const wanted = new FormData(across).get("utterance");
      for (const details of document.querySelectorAll("#listen details")) {
        let shown = 0;
        for (const article of details.querySelectorAll("article")) {
          article.hidden = Boolean(wanted) && article.dataset.utterance !== wanted;
          shown += !article.hidden;
        }
        details.hidden = !shown;
        details.open = Boolean(wanted) && shown > 0;
      }
      const note = document.querySelector("#listen > p[data-utterance]");
      if (note) note.hidden = Boolean(wanted) && note.dataset.utterance !== wanted;
    });
  }

  // A link to a row, a cell or an example shows it, also where it is folded or filtered out.
  const show = () => {
    const found = document.getElementById(location.hash.slice(1));
    if (!found) return;
    const row = found.closest("tr");
    if (row?.hidden) {
      const form = document.getElementById("filter");
      form.reset();
      form.dispatchEvent(new Event("input"));
    }
    if (found.closest("[hidden]") && across) {
      across.reset();
      across.dispatchEvent(new Event("input"));
    }
    const details = found.closest("details");
    if (details) details.open = true;
    found.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", show);
  if (location.hash) show();
})();
