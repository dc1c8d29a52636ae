"use strict";
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const list = document.getElementById("list");
  const rows = Array.from(list.children);
  const count = document.getElementById("count");
  const text = document.getElementById("text");
  const selects = ["severity", "environment", "pack"].map((id) => document.getElementById(id)).filter(Boolean);
  const words = new Map();

  const said = (row) => {
    if (!words.has(row)) words.set(row, row.textContent.toLowerCase());
    return words.get(row);
  };

  const apply = () => {
    const looks = new Set(Array.from(form.querySelectorAll("[name=look]:checked"), (box) => box.value));
    const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits =
        looks.has(row.dataset.look) &&
        selects.every((select) => !select.value || row.dataset[select.id] === select.value) &&
        wanted.every((word) => said(row).includes(word));
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    count.textContent = `${shown} of ${rows.length} ${rows.length === 1 ? "check" : "checks"} shown`;
  };

  let waiting = 0;
  const soon = () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(apply);
  };

  const open = (wide) => {
    for (const row of rows) if (row.tagName === "DETAILS" && (!wide || !row.hidden)) row.open = wide;
  };

  const arrive = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target || target.parentElement !== list) return;
    if (target.hidden) {
      form.reset();
      apply();
    }
    target.open = true;
    target.scrollIntoView();
  };

  // Arrow keys lead from one check to the next, where one of them has the focus.
  const move = (event) => {
    const row = event.target.closest("#list > details");
    if (!row || event.target.tagName !== "SUMMARY") return;
    const heads = rows.filter((each) => !each.hidden && each.tagName === "DETAILS");
    const place = heads.indexOf(row);
    const next = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: heads.length - 1 }[event.key];
    if (next === undefined || !heads[next]) return;
    event.preventDefault();
    heads[next].querySelector("summary").focus();
  };

  // What is closed on the screen stands open on paper.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = Array.from(document.querySelectorAll("details:not([open])"));
    for (const each of closed) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of closed) each.open = false;
  });

  form.addEventListener("input", soon);
  form.addEventListener("change", soon);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  text.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      text.value = "";
      apply();
    }
  });
  list.addEventListener("keydown", move);
  document.getElementById("open").addEventListener("click", () => open(true));
  document.getElementById("close").addEventListener("click", () => open(false));
  addEventListener("hashchange", arrive);
  form.hidden = false;
  apply();
  arrive();
})();
