// drawTimeline(element, data, options): draws what a cluster's processes and its clients did,
// on one axis of time.
//
// data, with all moments in milliseconds; every list may also be a table
// {keys: [names], rows: [[values]]}:
//   end           of the axis, which begins at 0
//   lanes         [{cluster, kind, name, pid, slot, fate}], from top to bottom;
//                 kind: "master" | "worker" | "process" | "client"; fate: how it ended;
//                 pid, slot and fate may be null or "";
//                 the lanes of one cluster (1, 2, …) are neighbours
//   spans         [{lane, start, end, state, version, last}]: the state of a process;
//                 lane is an index of lanes, here and below;
//                 state: up | starting | ready | draining | stopped; last: it ended then
//   bars          [{lane, start, end, outcome, what, told, by, blamed}]: a request;
//                 outcome: ok | error (an answer of 4xx or 5xx) | broken (no whole answer) |
//                 waiting (none when it was last looked for);
//                 told: the status, or how it broke; by: who answered;
//                 blamed: the verdict speaks of it
//   arrows        [{source, target, sent, received, what, id}]: a message between two lanes;
//                 received null: nobody took it; messages with one id belong together ("": none)
//   notes         [{lane, t, what}]: something said in a lane
//   marks         [{cluster, t, what, lane}]: a signal; lane is who got it, and may be null
//   judged, seen  when a verdict was reached (or null), and what it says
//   bound         null or {start, due, end, what}: something was due at `due`, counted from
//                 `start`; it came, or was given up, at `end`
//   leftOut       {what: how many}: what is not in the lists
//
// options: result ("pass", "fail", …: the verdict), label (for screen readers),
// untilNow (the end of the axis is now)
//
// Returns {update(data)}, which draws other data in the same place with the same zoom: for a
// picture that is fed as things happen.
// Needs D3 5, layout.js and drawing.js, and style.css for the colours.
"use strict";

const LISTS = ["lanes", "spans", "bars", "arrows", "notes", "marks"];
const KEYS = "Drag or ← → to move, + − or Ctrl+wheel to zoom (after a click the wheel alone), "
  + "0 shows all, ↑ ↓ go from event to event.";

function rowsOf(list) {
  if (!list || Array.isArray(list)) return list || [];
  return list.rows.map((row) => Object.fromEntries(list.keys.map((key, at) => [key, row[at]])));
}

// A drawing with its legend, a box that tells about the thing that is looked at, and zoom.
// `picked` is null or {kind, thing}: what is looked at, by mouse or keyboard.
class Timeline {
  constructor(element, data, options) {
    this.options = { result: "", label: "", untilNow: false, ...options };
    this.root = d3.select(element).classed("timeline", true);
    this.legend = this.root.append("div").attr("class", "legend");
    this.svg = setAll(this.root.append("svg"), {
      tabindex: 0,
      role: "application",
      "aria-label": `Timeline: ${this.options.label}`,
    });
    this.tip = setAll(this.root.append("div"),
      { class: "tip", role: "status", "aria-live": "polite", hidden: "" });
    this.root.append("p").attr("class", "keys").text(KEYS);
    this.leftOut = this.root.append("p").attr("class", "left-out");
    this.drawing = new Drawing(this.svg, this.options);
    this.transform = d3.zoomIdentity;
    this.zoom = d3.zoom().filter(() => this.mayZoom(d3.event)).on("zoom", () => {
      this.transform = d3.event.transform;
      this.place();
    });
    this.pointer = this.picked = null;
    this.update(data);
    this.listen(element);
  }

  // The wheel alone scrolls the page, unless the picture was clicked before.
  mayZoom(event) {
    const chosen = document.activeElement === this.svg.node();
    return event.type !== "wheel" || event.ctrlKey || event.metaKey || chosen;
  }

  listen(element) {
    this.svg.call(this.zoom).on("dblclick.zoom", null);
    this.svg.on("mousemove", () => this.hover(d3.mouse(this.svg.node())))
      .on("mouseleave", () => this.hover(null))
      .on("keydown", () => this.key(d3.event))
      .on("blur", () => this.pick(null));
    new ResizeObserver(() => {
      if (Math.abs(element.clientWidth - this.drawing.layout.width) > 1) this.lay();
    }).observe(element);
  }

  update(data) {
    this.data = { judged: null, seen: "", bound: null, leftOut: {}, ...data };
    for (const name of LISTS) this.data[name] = rowsOf(data[name]);
    this.picked = null;
    this.steps = null;
    this.drawing.show(this.data);
    this.drawLegend();
    this.lay();
    this.hover(this.pointer);
  }

  drawLegend() {
    const left = Object.entries(this.data.leftOut).map(([what, count]) => `${count} ${what}`);
    this.leftOut.text(left.length
      ? `Not drawn, because there are so many: ${left.join(", ")}.` : "");
    const legend = legendOf(this.data, this.drawing.versions);
    const entries = this.legend.selectAll("span").data(legend).join("span").text("");
    const box = { x: 1, y: 1, width: 20, height: 10 };
    const swatch = entries.append("svg").attr("aria-hidden", "true");
    setAll(swatch.filter(([, , path]) => path).append("path"),
      { class: ([name]) => name, d: ([, , path]) => path });
    setAll(swatch.filter(([, , path]) => !path).append("rect"),
      { class: ([name]) => `swatch ${name}`, ...box });
    setAll(swatch.filter(([name]) => name === "state-stopped").append("rect"),
      { ...box, fill: this.drawing.hatch });
    entries.each(function ([, text]) { this.append(text); });
  }

  // When the data or the width is new.
  lay() {
    this.drawing.lay(Math.max(280, this.root.node().clientWidth));
    const { layout } = this.drawing;
    const area = [[layout.left, 0], [layout.width - layout.right, layout.height]];
    const most = Math.max(1, this.data.end / 2);
    this.zoom.extent(area).translateExtent(area).scaleExtent([1, most]);
    this.place();
  }

  place() {
    this.drawing.place(this.transform, this.picked);
  }

  // ----- pointing at things

  hover(pointer) {
    this.pointer = pointer;
    const inPlot = pointer && pointer[0] >= this.drawing.layout.left;
    this.pick(inPlot ? this.under(...pointer) : null, pointer);
  }

  // What is at that place: what is small goes before what is large.
  under(px, py) {
    const { data, drawing: { x, layout } } = this;
    const lane = layout.tops.findIndex((top, index) =>
      py >= top && py < top + layout.heights[index] + 1);
    const group = layout.groups.find((one) => py >= one.y && py < one.bottom);
    const inLabels = group && py < group.y + LINE * group.lines;
    const atFoot = py > layout.tops[lane] + layout.heights[lane] - 7;
    const near = (t) => Math.abs(x(t) - px) < 4;
    const found = (kind, thing) => (thing ? { kind, thing } : null);
    const mark = group && data.marks.find((one) => one.cluster === group.cluster && near(one.t));
    return (inLabels && found("mark", mark))
      || found("bar", data.bars.find((bar) =>
        bar.lane === lane && x(bar.start) - 3 <= px && px <= x(bar.end) + 3))
      || found("note", data.notes.find((note) => note.lane === lane && near(note.t) && atFoot))
      || found("arrow", data.arrows.find((arrow) => this.distance(arrow, px, py) < 4))
      || found("mark", mark)
      || found("span", data.spans.find((span) =>
        span.lane === lane && x(span.start) <= px && px <= x(span.end) + 3));
  }

  distance(arrow, px, py) {
    const [[x1, y1], [x2, y2]] = this.drawing.ends(arrow);
    const square = (x2 - x1) ** 2 + (y2 - y1) ** 2 || 1;
    const along = ((px - x1) * (x2 - x1) + (py - y1) * (y2 - y1)) / square;
    const part = Math.max(0, Math.min(1, along));
    return Math.hypot(px - x1 - part * (x2 - x1), py - y1 - part * (y2 - y1));
  }

  pick(found, at) {
    const same = (found && found.thing) === (this.picked && this.picked.thing);
    this.picked = found;
    if (!same) this.place();
    if (!found) {
      this.tip.attr("hidden", "");
      return;
    }
    const lines = tell(this.data, found.kind, found.thing).filter(Boolean);
    this.tip.attr("hidden", null).selectAll("div").data(lines).join("div").text((line) => line);
    this.putTip(at || this.whereIs(found));
  }

  // Below and to the right of that place; to the left of it where the right has no room.
  putTip([px, py]) {
    const [svg, root, tip] = [this.svg.node(), this.root.node(), this.tip.node()];
    const shrink = svg.clientWidth / this.drawing.layout.width;
    const right = px * shrink + 14;
    const fits = right + tip.offsetWidth <= root.clientWidth;
    const left = fits ? right : Math.max(0, px * shrink - tip.offsetWidth - 14);
    const above = svg.getBoundingClientRect().top - root.getBoundingClientRect().top;
    this.tip.style("left", `${left}px`).style("top", `${above + py * shrink + 16}px`);
  }

  whereIs({ kind, thing }) {
    const { x, layout } = this.drawing;
    if (kind === "arrow") return this.drawing.ends(thing)[0];
    if (kind === "mark") {
      return [x(thing.t), layout.groups.find((group) => group.cluster === thing.cluster).y + 4];
    }
    const t = thing.t === undefined ? thing.start : thing.t;
    return [x(t), layout.tops[thing.lane] + layout.heights[thing.lane] - 6];
  }

  // ----- the keyboard

  key(event) {
    const actions = {
      ArrowLeft: () => this.move(0.15),
      ArrowRight: () => this.move(-0.15),
      "+": () => this.grow(1.5),
      "=": () => this.grow(1.5),
      "-": () => this.grow(1 / 1.5),
      0: () => this.svg.call(this.zoom.transform, d3.zoomIdentity),
      ArrowUp: () => this.step(-1),
      ArrowDown: () => this.step(1),
      Escape: () => this.pick(null),
    };
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[event.key]();
  }

  // By a share of what is in sight.
  move(share) {
    const { left, width } = this.drawing.layout;
    this.svg.call(this.zoom.translateBy, ((width - left) * share) / this.transform.k, 0);
  }

  // About what is picked, if something is.
  grow(factor) {
    const at = this.picked && this.whereIs(this.picked);
    const inPlot = at && at[0] >= this.drawing.layout.left;
    this.svg.call(this.zoom.scaleBy, factor, inPlot ? at : undefined);
  }

  // To the next thing in the order of their beginnings, or to the one before (by: 1 or -1).
  step(by) {
    const { bars, arrows, notes, marks, spans } = this.data;
    const { layout, scale, x } = this.drawing;
    this.steps = this.steps || [
      ...bars.map((thing) => ({ kind: "bar", thing, t: thing.start })),
      ...arrows.map((thing) => ({ kind: "arrow", thing, t: thing.sent })),
      ...notes.map((thing) => ({ kind: "note", thing, t: thing.t })),
      ...marks.map((thing) => ({ kind: "mark", thing, t: thing.t })),
      ...spans.map((thing) => ({ kind: "span", thing, t: thing.start })),
    ].sort((a, b) => a.t - b.t);
    if (!this.steps.length) return;
    const before = by > 0 ? -1 : this.steps.length;
    const now = this.picked
      ? this.steps.findIndex((one) => one.thing === this.picked.thing) : before;
    const next = this.steps[Math.max(0, Math.min(this.steps.length - 1, now + by))];
    const at = x(next.t);
    if (at < layout.left || at > layout.width - layout.right) {
      this.svg.call(this.zoom.translateTo, scale(next.t), 0);
    }
    this.pick(next);
  }
}

function drawTimeline(element, data, options) {
  const timeline = new Timeline(element, data, options);
  return { update: (newer) => timeline.update(newer) };
}
