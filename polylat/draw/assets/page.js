"use strict";
(() => {
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  if (theme) theme.addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    theme.setAttribute("aria-pressed", String(!dark));
  });

  for (const box of document.querySelectorAll("[data-timeline]")) interactive(box);

  function interactive(box) {
    const svg = box.querySelector("svg");
    const pane = box.querySelector(".scroll");
    const told = box.querySelector(".told");
    const width = svg.viewBox.baseVal.width;
    const left = Number(box.dataset.left);
    const moved = [];
    const fixed = [];
    for (const node of svg.querySelectorAll("rect,text,path")) {
      if (node.closest("defs")) continue;
      if (node.tagName === "path") {
        const points = node.getAttribute("d").slice(1).split("L").map((p) => p.split(" ").map(Number));
        moved.push({ node, points });
      } else {
        const x = Number(node.getAttribute("x"));
        if (x < left) fixed.push({ node, x });
        else moved.push({ node, x, wide: Number(node.getAttribute("width")) });
      }
    }
    const bars = [...svg.querySelectorAll("rect")].filter((r) => r.querySelector("title") && !r.closest("defs"));
    const lanes = new Map();
    for (const bar of bars) {
      const y = Math.round(Number(bar.getAttribute("y")));
      if (!lanes.has(y)) lanes.set(y, []);
      lanes.get(y).push(bar);
    }
    const rows = [...lanes.keys()].sort((a, b) => a - b);
    let zoom = 1;
    let chosen = null;

    function scale(x) { return x < left ? x : left + (x - left) * zoom; }

    function draw() {
      const wide = scale(width);
      svg.setAttribute("viewBox", `0 0 ${wide} ${svg.viewBox.baseVal.height}`);
      svg.setAttribute("width", wide);
      for (const { node, points, x, wide: w } of moved) {
        if (points) node.setAttribute("d", "M" + points.map(([a, b]) => `${scale(a)} ${b}`).join("L"));
        else {
          node.setAttribute("x", scale(x));
          if (node.tagName === "rect") node.setAttribute("width", w * zoom);
        }
      }
      box.dataset.zoom = String(zoom);
      stick();
    }

    function stick() {
      for (const { node, x } of fixed) node.setAttribute("x", x + pane.scrollLeft);
    }

    function setZoom(value, around) {
      value = Math.min(256, Math.max(1, value));
      const at = around === undefined ? pane.clientWidth / 2 : around;
      const point = (pane.scrollLeft + at - left) / zoom;
      zoom = value;
      draw();
      pane.scrollLeft = left + point * zoom - at;
      stick();
    }

    function choose(bar, follow) {
      if (chosen) chosen.classList.remove("chosen");
      chosen = bar;
      if (!bar) return;
      bar.classList.add("chosen");
      told.textContent = bar.querySelector("title").textContent;
      if (follow) {
        const x = Number(bar.getAttribute("x"));
        if (x < pane.scrollLeft + left || x > pane.scrollLeft + pane.clientWidth - 20)
          pane.scrollLeft = x - pane.clientWidth / 2;
      }
    }

    function lane(bar) {
      return rows.indexOf(Math.round(Number(bar.getAttribute("y"))));
    }

    function nearest(row, x) {
      let best = null;
      for (const bar of lanes.get(rows[row])) {
        const apart = Math.abs(Number(bar.getAttribute("x")) - x);
        if (!best || apart < best[0]) best = [apart, bar];
      }
      return best[1];
    }

    function step(dx, dy) {
      if (!chosen) return choose(bars[0], true);
      const row = lane(chosen);
      if (dy) {
        const next = row + dy;
        if (next >= 0 && next < rows.length) choose(nearest(next, Number(chosen.getAttribute("x"))), true);
        return;
      }
      const mine = lanes.get(rows[row]);
      const next = mine.indexOf(chosen) + dx;
      if (next >= 0 && next < mine.length) choose(mine[next], true);
    }

    const keys = {
      ArrowRight: () => step(1, 0), ArrowLeft: () => step(-1, 0),
      ArrowDown: () => step(0, 1), ArrowUp: () => step(0, -1),
      "+": () => setZoom(zoom * 2), "=": () => setZoom(zoom * 2),
      "-": () => setZoom(zoom / 2), "0": () => setZoom(1),
    };
    pane.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      keys[event.key]();
      event.preventDefault();
    });
    pane.addEventListener("scroll", stick);
    pane.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      setZoom(zoom * (event.deltaY < 0 ? 1.25 : 0.8), event.clientX - pane.getBoundingClientRect().left);
    }, { passive: false });
    svg.addEventListener("click", (event) => {
      const bar = event.target.closest("rect");
      if (bar && bars.includes(bar)) choose(bar, false);
    });
    svg.addEventListener("mouseover", (event) => {
      const bar = event.target.closest("rect");
      if (bar && bars.includes(bar)) told.textContent = bar.querySelector("title").textContent;
    });
    const actions = { in: () => setZoom(zoom * 2), out: () => setZoom(zoom / 2), all: () => setZoom(1) };
    for (const button of box.querySelectorAll("button[data-zoom]"))
      button.addEventListener("click", () => actions[button.dataset.zoom]());
    if (window.innerWidth < 700) setZoom(1);
  }
})();
