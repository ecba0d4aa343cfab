// Draws a timeline into an SVG element: what does not move, and what moves with the zoom.
// The data are described in timeline.js; layout.js says what stands where.
"use strict";

// From the bottom to the top.
const LAYERS = ["bound", "spans", "hatch", "bars", "deaths", "inside", "after", "due", "blame",
  "notes", "arrows", "marks", "said"];
const TOP = 20; // pixels: below the axis's numbers
let drawn = 0;

function setAll(selection, attributes) {
  for (const [name, value] of Object.entries(attributes)) selection.attr(name, value);
  return selection;
}

// One element of that tag for each thing.
function joinIn(layer, tag, things, attributes) {
  return setAll(layer.selectAll(tag).data(things).join(tag), attributes);
}

function spanClass(span, versions) {
  const version = Math.max(0, versions.indexOf(span.version)) % 3;
  return `span state-${span.state}${span.state === "ready" ? ` version-${version}` : ""}`;
}

class Drawing {
  constructor(svg, options) {
    this.svg = svg;
    this.options = options;
    this.id = `timeline-${++drawn}`;
    this.hatch = `url(#${this.id}-hatch)`;
  }

  show(data) {
    this.data = data;
    this.versions = versionsOf(data);
  }

  // ----- what does not move: drawn when the data or the width is new

  lay(width) {
    const { data, svg } = this;
    const layout = this.layout = layOut(data, width);
    this.scale = layout.scale;
    svg.selectAll("*").remove();
    svg.attr("viewBox", `0 0 ${layout.width} ${layout.height}`);
    this.define();
    joinIn(svg.append("g"), "rect", data.lanes, {
      class: (_, index) => `lane-row ${index % 2 ? "odd" : "even"}`,
      x: 0,
      width: layout.width,
      y: (_, index) => layout.tops[index],
      height: (_, index) => layout.heights[index],
    });
    this.drawLabels(svg.append("g"));
    this.axis = svg.append("g").attr("class", "axis").attr("transform", "translate(0,18)");
    this.layers = {};
    const plot = svg.append("g").attr("clip-path", `url(#${this.id}-clip)`);
    for (const name of LAYERS) this.layers[name] = plot.append("g");
  }

  define() {
    const { layout, svg } = this;
    const defs = svg.append("defs");
    const clip = defs.append("clipPath").attr("id", `${this.id}-clip`);
    const width = Math.max(1, layout.width - layout.left - layout.right + 8);
    setAll(clip.append("rect"), { x: layout.left, y: 0, width, height: layout.height });
    const hatch = setAll(defs.append("pattern"),
      { id: `${this.id}-hatch`, width: 6, height: 6, patternUnits: "userSpaceOnUse" });
    hatch.attr("patternTransform", "rotate(45)");
    hatch.append("line").attr("class", "stopped-hatch").attr("y2", 6);
  }

  drawLabels(labels) {
    const { data, layout } = this;
    const letters = Math.floor((layout.left - 6) / LETTER);
    const fits = (lane) => lane.pid && laneLabel(lane).length <= letters;
    const texts = setAll(labels.selectAll(".lane-name").data(data.lanes).join("text"), {
      class: "lane-name",
      x: 2,
      y: (_, index) => layout.tops[index] + layout.heights[index] / 2 + 4,
    });
    texts.append("tspan").text((lane) => lane.name.slice(0, letters));
    setAll(texts.filter(fits).append("tspan"), { class: "lane-pid", dx: 5 })
      .text((lane) => lane.pid);
    setAll(labels.selectAll(".group-name").data(layout.groups).join("text"),
      { class: "group-name", x: 2, y: (group) => group.y + LINE - 2 })
      .text((group) => group.name);
  }

  // ----- what moves with the zoom: only what is in sight is drawn

  // picked: null or {kind, thing}, which is drawn as the one that is looked at.
  place(transform, picked) {
    const x = this.x = transform.rescaleX(this.scale);
    this.picked = picked;
    const { data } = this;
    const [from, to] = x.domain();
    const inSight = (start, end) => start <= to && end >= from;
    const spans = data.spans.filter((span) => inSight(span.start, span.end));
    const bars = data.bars.filter((bar) => inSight(bar.start, bar.end));
    this.placeAxis();
    this.placeBoxes(spans, bars);
    this.placeSigns(spans, bars);
    this.placeInside(spans, bars);
    this.placeNotes(data.notes.filter((note) => inSight(note.t, note.t)));
    this.placeArrows(data.arrows.filter(({ sent, received }) =>
      inSight(sent, received === null ? sent : received)));
    this.placeMarks(data.marks.filter((mark) => inSight(mark.t, mark.t)));
    this.placeBound();
    this.placeVerdict();
  }

  isPicked(thing) {
    return this.picked && thing === this.picked.thing;
  }

  placeAxis() {
    const { data, x, layout, options } = this;
    const tick = (ms) => (options.untilNow && ms === 0 ? "now" : `${+(ms / 1000).toFixed(4)} s`);
    this.axis.call(d3.axisTop(x)
      .ticks(Math.max(2, (layout.width - layout.left) / 90))
      .tickSize(-layout.bottom + 18)
      .tickFormat((ms) => tick(options.untilNow ? ms - data.end : ms)));
  }

  // The y at which something so high stands in the middle of a lane.
  middle(lane, high) {
    return this.layout.tops[lane] + (this.layout.heights[lane] - high) / 2;
  }

  wide(part) {
    return Math.max(1.5, this.x(part.end) - this.x(part.start));
  }

  // The states of processes, and requests.
  placeBoxes(spans, bars) {
    const { x, layers } = this;
    const boxes = (layer, parts, height, name) => joinIn(layer, "rect", parts, {
      class: name,
      x: (part) => x(part.start),
      y: (part) => this.middle(part.lane, height),
      width: (part) => this.wide(part),
      height,
    }).classed("picked", (part) => this.isPicked(part));
    const stopped = spans.filter((span) => span.state === "stopped");
    boxes(layers.spans, spans, 14, (span) => spanClass(span, this.versions));
    boxes(layers.hatch, stopped, 14, "").attr("fill", this.hatch);
    boxes(layers.bars, bars, 11,
      (bar) => `bar outcome-${bar.outcome}${bar.blamed ? " blamed" : ""}`);
  }

  // The request that the verdict speaks of, and the ends of processes.
  placeSigns(spans, bars) {
    const { x, layers } = this;
    joinIn(layers.blame, "path", bars.filter((bar) => bar.blamed), {
      class: "blame",
      d: (bar) => {
        const tip = x(bar.start) + Math.min(8, this.wide(bar) / 2);
        return `M${tip} ${this.middle(bar.lane, 9)}l5 -9h-10z`;
      },
    });
    joinIn(layers.deaths, "path", spans.filter((span) => span.last), {
      class: "death",
      d: (span) => `M${x(span.end) + 1} ${this.middle(span.lane, 8)}l8 8m0 -8l-8 8`,
    });
  }

  // Words inside of what is wide enough for them.
  placeInside(spans, bars) {
    const { x, layout, versions } = this;
    const parts = [
      ...spans.map((span) =>
        [span, span.version && span.state === "ready" ? `ready ${span.version}` : span.state]),
      ...bars.map((bar) => [bar, bar.told]),
    ];
    const left = (part) => Math.max(x(part.start), layout.left);
    const room = (part) => Math.min(x(part.end), layout.width) - left(part);
    const isBlue = (part) => part.state === "ready" && versions.indexOf(part.version) % 3 === 1;
    joinIn(this.layers.inside, "text",
      parts.filter(([part, text]) => room(part) > text.length * LETTER + 6), {
        class: "inside",
        x: ([part]) => left(part) + 4,
        y: ([part]) => layout.tops[part.lane] + layout.heights[part.lane] / 2 + 4,
      })
      .classed("on-paper", ([part]) => part.outcome === "waiting")
      .classed("on-hatch", ([part]) => part.state === "stopped")
      .classed("on-blue", ([part]) => isBlue(part))
      .text(([, text]) => text);
  }

  placeNotes(notes) {
    const { x, layout } = this;
    const bottom = (note) => layout.tops[note.lane] + layout.heights[note.lane];
    joinIn(this.layers.notes, "line", notes, {
      class: "note",
      x1: (note) => x(note.t),
      x2: (note) => x(note.t),
      y1: (note) => bottom(note) - 5,
      y2: bottom,
    }).classed("picked", (note) => this.isPicked(note));
  }

  // Where a message's arrow begins and ends.
  ends(arrow) {
    const { x, layout } = this;
    const down = arrow.target > arrow.source;
    const edge = (lane, below) => layout.tops[lane] + (below ? layout.heights[lane] - 3 : 3);
    const from = [x(arrow.sent), edge(arrow.source, down)];
    const received = arrow.received === null ? arrow.sent : arrow.received;
    return [from, [x(received), edge(arrow.target, !down)]];
  }

  placeArrows(arrows) {
    const id = this.picked && this.picked.kind === "arrow" ? this.picked.thing.id : "";
    this.svg.classed("joining", Boolean(id));
    joinIn(this.layers.arrows, "path", arrows, {
      class: "arrow",
      d: (arrow) => {
        const [[x1, y1], [x2, y2]] = this.ends(arrow);
        const length = Math.hypot(x2 - x1, y2 - y1) || 1;
        const [along, up] = [((x2 - x1) / length) * 5, ((y2 - y1) / length) * 5];
        const left = `m${-along - up * 0.6} ${-up + along * 0.6}L${x2} ${y2}`;
        const right = `l${-along + up * 0.6} ${-up - along * 0.6}`;
        return `M${x1} ${y1}L${x2} ${y2}${left}${right}`;
      },
    })
      .classed("lost", (arrow) => arrow.received === null)
      .classed("joined", (arrow) => id && arrow.id === id)
      .classed("picked", (arrow) => this.isPicked(arrow));
  }

  // Signals: a line through the cluster's lanes, with a label above where there is room.
  placeMarks(marks) {
    const { x, layout } = this;
    const groupOf = (mark) =>
      layout.groups.find((one) => one.cluster === mark.cluster) || layout.groups[0];
    joinIn(this.layers.marks, "line", marks, {
      class: "mark",
      x1: (mark) => x(mark.t),
      x2: (mark) => x(mark.t),
      y1: (mark) => groupOf(mark).y + 2,
      y2: (mark) => groupOf(mark).bottom,
    }).classed("picked", (mark) => this.isPicked(mark));
    const labels = layout.groups.flatMap((group) =>
      labelsOf(marks.filter((mark) => groupOf(mark) === group), x, layout, group.lines)
        .map((label) => ({ ...label, y: group.y + LINE * (label.line + 1) - 2 })));
    joinIn(this.layers.marks, "text", labels,
      { class: "mark-label", x: (label) => label.left, y: (label) => label.y })
      .text((label) => label.text);
  }

  // The bound that was not kept: the time until it was due, and the time by which it was missed.
  placeBound() {
    const { x, layout, layers, data: { bound } } = this;
    const height = layout.bottom - TOP;
    const [first, second] = bound ? [bound.due, bound.end].sort((a, b) => a - b) : [];
    const bands = bound ? [["allowed", bound.start, first], ["broken", first, second]] : [];
    joinIn(layers.bound, "rect", bands, {
      class: ([name]) => name,
      x: ([, start]) => x(start),
      width: ([, start, end]) => Math.max(0, x(end) - x(start)),
      y: TOP,
      height,
    });
    const due = (one) => x(one.due);
    joinIn(layers.due, "line", bound ? [bound] : [],
      { class: "due", x1: due, x2: due, y1: TOP, y2: layout.bottom });
  }

  // The moment of the verdict is a line; what came later is paler.
  placeVerdict() {
    const { data: { bound, judged }, x, layout, layers, options: { result } } = this;
    const moments = judged === null ? [] : [judged];
    joinIn(layers.after, "rect", moments, {
      class: "after",
      x,
      y: TOP,
      width: (t) => Math.max(0, layout.width - x(t)),
      height: layout.bottom - TOP,
    });
    joinIn(layers.said, "line", moments,
      { class: `judged ${result}`, x1: x, x2: x, y1: TOP, y2: layout.bottom });
    const labels = moments.map((t) =>
      ({ t, text: `verdict: ${result || "reached"}`, y: TOP + LINE - 3 }));
    if (bound) {
      const what = bound.end > bound.due ? "due after" : "not before";
      const text = `${what} ${duration(bound.due - bound.start)}`;
      labels.push({ t: bound.due, text, y: TOP + 2 * LINE - 3 });
    }
    const isBefore = ({ t, text }) =>
      x(t) + (text.length + 1) * LETTER > layout.width - layout.right;
    joinIn(layers.said, "text", labels, {
      class: `verdict ${result}`,
      x: (label) => x(label.t) + (isBefore(label) ? -4 : 4),
      y: (label) => label.y,
      "text-anchor": (label) => (isBefore(label) ? "end" : "start"),
    }).text((label) => label.text);
  }
}
