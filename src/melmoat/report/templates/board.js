(() => {
  filterRows(
    document.getElementById("find"),
    [...document.querySelectorAll("table[data-sortable] tbody tr")],
    "systems",
    (row, { verdict, training }) =>
      (!verdict || row.dataset.verdict === verdict) &&
      (!training || row.dataset.training === training),
  );

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
