"use strict";
(() => {
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const screen = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme || (screen.matches ? "dark" : "light")) === "dark";
  const pressed = () => theme.setAttribute("aria-pressed", String(dark()));
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    pressed();
  });
  screen.addEventListener("change", pressed);
  pressed();

  for (const box of document.querySelectorAll("[data-timeline]")) interactive(box);

  // Boxes that need not scroll are skipped by the Tab key; timelines have their own keys.
  const panes = [...document.querySelectorAll(".scroll,pre")].filter((p) => !p.closest("[data-timeline]"));
  const sized = new ResizeObserver((all) => {
    for (const { target } of all) target.tabIndex = target.scrollWidth > target.clientWidth ? 0 : -1;
  });
  for (const pane of panes) sized.observe(pane);

  function interactive(box) {
    const svg = box.querySelector("svg");
    const pane = box.querySelector(".scroll");
    const readout = box.querySelector(".readout");
    const width = svg.viewBox.baseVal.width;
    const left = Number(box.dataset.left);
    const moved = [];
    const pinned = [];
    const height = (node) => Number(node.getAttribute("y"));
    const legend = Math.min(...[...svg.querySelectorAll("text.legend")].map(height)) - 12;
    for (const node of svg.querySelectorAll("rect,text,path")) {
      if (node.closest("defs")) continue;
      if (node.tagName === "path") {
        const points = node.getAttribute("d").slice(1).split("L").map((p) => p.split(" ").map(Number));
        if (points.every(([, y]) => y > legend)) pinned.push(node);
        else moved.push({ node, points });
      } else {
        const x = Number(node.getAttribute("x"));
        const paper = node.classList.contains("paper");
        if (!paper && (x < left || height(node) > legend)) pinned.push(node);
        else moved.push({ node, x, wide: Number(node.getAttribute("width")) });
      }
    }
    // Names of lanes and the legend stay visible; bars scroll beneath them.
    const cover = document.createElementNS(svg.namespaceURI, "rect");
    cover.setAttribute("class", "paper");
    cover.setAttribute("width", left - 1);
    cover.setAttribute("height", svg.viewBox.baseVal.height);
    cover.style.display = "none";
    svg.append(cover, ...pinned);
    pinned.push(cover);

    const words = (bar) => bar.querySelector("title").textContent;
    const bars = [...svg.querySelectorAll("rect")].filter(
      (r) => r.querySelector("title") && !r.closest("defs") && height(r) < legend);
    const names = [...svg.querySelectorAll("text.lane")].map(height).sort((a, b) => a - b);
    const rowOf = (bar) => {
      const middle = height(bar) + Number(bar.getAttribute("height")) / 2 + 4;
      const apart = names.map((y) => Math.abs(y - middle));
      return apart.indexOf(Math.min(...apart));
    };
    // One bar per hover text: a shade of several Einsums consists of several boxes.
    const lanes = new Map();
    for (const bar of bars) {
      const row = rowOf(bar);
      if (!lanes.has(row)) lanes.set(row, new Map());
      if (!lanes.get(row).has(words(bar))) lanes.get(row).set(words(bar), bar);
    }
    const rows = [...lanes.keys()].sort((a, b) => a - b);
    const along = new Map(rows.map((row) => [row, [...lanes.get(row).values()].sort(
      (a, b) => Number(a.getAttribute("x")) - Number(b.getAttribute("x")))]));
    // Axes to scale: their ticks map x coordinates to times.
    const axes = new Map();
    for (const tick of svg.querySelectorAll('text.tick[text-anchor="middle"]')) {
      const y = height(tick);
      if (!axes.has(y)) axes.set(y, []);
      axes.get(y).push([Number(tick.textContent.replaceAll(",", "")), Number(tick.getAttribute("x"))]);
    }
    const finer = document.createElementNS(svg.namespaceURI, "g");
    cover.before(finer);
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

    // Add finer ticks in the visible range, where there is room for them.
    function ticks() {
      const marks = [];
      for (const [y, drawn] of axes) {
        if (zoom === 1 || drawn.length < 2) continue;
        const [[time, place], [next, there]] = drawn;
        const step = next - time;
        const room = scale(there) - scale(place);
        const parts = [1, 2, 5, 10, 20, 50, 100, 200].filter((n) => room / n >= 90).pop() || 1;
        const last = (pane.scrollLeft + pane.clientWidth - scale(place)) / room * parts;
        const end = Math.min(last, (scale(width) - scale(place)) / room * parts);
        for (let n = Math.max(1, Math.ceil((pane.scrollLeft - scale(place)) / room * parts)); n <= end; n++) {
          if (n % parts === 0) continue;
          const x = scale(place) + n * room / parts;
          const label = (time + n * step / parts).toLocaleString("en-US", { maximumFractionDigits: 3 });
          marks.push(`<path class="l-axis" d="M${x} ${y - 15}L${x} ${y - 11}"/>`
            + `<text class="tick" text-anchor="middle" x="${x}" y="${y}">${label}</text>`);
        }
      }
      finer.innerHTML = marks.join("");
    }

    function stick() {
      ticks();
      cover.style.display = zoom > 1 ? "" : "none";
      for (const node of pinned) node.setAttribute("transform", `translate(${pane.scrollLeft},0)`);
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
      readout.textContent = words(bar);
      if (follow) {
        const x = Number(bar.getAttribute("x"));
        if (x < pane.scrollLeft + left || x > pane.scrollLeft + pane.clientWidth - 20)
          pane.scrollLeft = x - pane.clientWidth / 2;
      }
    }

    function nearest(row, x) {
      let best = null;
      for (const bar of along.get(rows[row])) {
        const apart = Math.abs(Number(bar.getAttribute("x")) - x);
        if (!best || apart < best[0]) best = [apart, bar];
      }
      return best[1];
    }

    function step(dx, dy) {
      if (!chosen) return choose(along.get(rows[0])[0], true);
      const row = rows.indexOf(rowOf(chosen));
      if (dy) {
        const next = row + dy;
        if (next >= 0 && next < rows.length) choose(nearest(next, Number(chosen.getAttribute("x"))), true);
        return;
      }
      const inRow = along.get(rows[row]);
      const next = inRow.findIndex((bar) => words(bar) === words(chosen)) + dx;
      if (next >= 0 && next < inRow.length) choose(inRow[next], true);
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
      if (bar && bars.includes(bar)) readout.textContent = bar.querySelector("title").textContent;
    });
    const actions = { in: () => setZoom(zoom * 2), out: () => setZoom(zoom / 2), all: () => setZoom(1) };
    for (const button of box.querySelectorAll("button[data-zoom]"))
      button.addEventListener("click", () => actions[button.dataset.zoom]());
    if (window.innerWidth < 700) setZoom(1);
  }
})();
