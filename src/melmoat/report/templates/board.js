(() => {
  // Leaderboard: what is typed or chosen hides the rows that do not match.
  const form = document.getElementById("find");
  const rows = [...document.querySelectorAll("table[data-sortable] tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const count = form.querySelector("output");
  const filter = () => {
    const { text, verdict, training } = Object.fromEntries(new FormData(form));
    const wanted = text.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, i) => {
      const kept =
        texts[i].includes(wanted) &&
        (!verdict || row.dataset.verdict === verdict) &&
        (!training || row.dataset.training === training);
      row.hidden = !kept;
      shown += kept;
    });
    count.textContent = `${shown} of ${rows.length} systems`;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();

  // A link to an entry opens it.
  const show = () => {
    const found = document.getElementById(location.hash.slice(1));
    if (found?.tagName !== "DETAILS") return;
    found.open = true;
    found.scrollIntoView();
  };
  addEventListener("hashchange", show);
  if (location.hash) show();
})();
