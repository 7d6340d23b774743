"use strict";
(() => {
  // One case at a time: the one in the page's address, or the one that is chosen.
  const form = document.querySelector(".mg-choose");
  const cases = new Map([...document.querySelectorAll(".mg-case")].map((one) => [one.dataset.address, one]));
  const copy = document.querySelector(".mg-tools button");
  const copied = document.querySelector(".mg-copied");
  const told = document.querySelector(".mg-hidden[role=status]");
  const chosen = () => {
    const { utterance, attack, system } = Object.fromEntries(new FormData(form));
    return `${utterance}/${attack}/${system}`;
  };
  const show = (address) => {
    for (const [name, one] of cases) {
      if ((one.hidden = name !== address)) for (const player of one.querySelectorAll("audio")) player.pause();
    }
    for (const player of cases.get(address).querySelectorAll("audio")) player.preload = "metadata";
    copied.textContent = "";
  };
  const linked = () => {
    let address = "";
    try {
      address = decodeURIComponent(location.hash.slice(1));
    } catch { /* no address of a case; stay with the one that is shown */ }
    if (!cases.has(address)) return false;
    const [utterance, attack, system] = address.split("/");
    form.elements.utterance.value = utterance;
    form.elements.attack.value = attack;
    form.elements.system.value = system;
    show(address);
    cases.get(address).scrollIntoView({ block: "nearest" });
    return true;
  };

  form.addEventListener("change", () => {
    history.replaceState(null, "", `#${chosen()}`);
    show(chosen());
    told.textContent = cases.get(chosen()).querySelector(".mg-heard small").textContent; // spoken
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", linked);
  // The table leads to the utterance that is chosen now.
  for (const link of document.querySelectorAll(".mg-scroll a")) {
    link.addEventListener("click", () => {
      link.hash = [form.elements.utterance.value, ...link.hash.split("/").slice(1)].join("/");
      if (link.hash === location.hash) linked();
    });
  }
  // One player at a time.
  document.addEventListener(
    "play",
    (event) => {
      for (const player of document.querySelectorAll(".mg-case audio")) if (player !== event.target) player.pause();
    },
    true,
  );
  if (navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", () => {
      navigator.clipboard.writeText(`${location.href.split("#")[0]}#${chosen()}`).then(
        () => { copied.textContent = "Copied."; },
        () => { copied.textContent = "The browser does not allow it; copy the address above."; },
      );
    });
  }
  if (!linked()) show(chosen());
})();
