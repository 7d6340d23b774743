"use strict";
(() => {
  // One utterance at a time: the one in the address, or the first. Without a script all are shown.
  const samples = [...document.querySelectorAll(".sample")];
  const links = [...document.querySelectorAll("#choose a")];
  const show = () => {
    const wanted = samples.find((sample) => sample.id === location.hash.slice(1)) ?? samples[0];
    samples.forEach((sample, i) => {
      sample.hidden = sample !== wanted;
      if (sample === wanted) links[i].setAttribute("aria-current", "true");
      else links[i].removeAttribute("aria-current");
      if (sample.hidden) for (const player of sample.querySelectorAll("audio")) player.pause();
    });
  };
  addEventListener("hashchange", show);
  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault();  // the page stays where it is, also in its scroll
      history.replaceState(null, "", link.hash);
      show();
    });
  }
  show();
})();
