// staticPicture(data, options, width, css): one timeline as the text of an SVG file that needs no
// script. Its legend and its colours are in it; it is light or dark as the viewer prefers.
// picture.py runs it in a page that has D3 and the timeline's scripts.
"use strict";

function staticPicture(data, options, width, css) {
  const container = document.createElement("div");
  container.style.width = `${width}px`;
  document.body.append(container);
  drawTimeline(container, data, options);
  const svg = d3.select(container).select(":scope > svg");
  const [, , , height] = svg.attr("viewBox").split(" ").map(Number);
  const legend = inRows(d3.select(container).selectAll(".legend > span").data(), width);
  const head = 46 + 15 * legend[legend.length - 1].row;
  container.remove();

  svg.attr("tabindex", null).attr("aria-label", null);
  setAll(svg, {
    role: "img",
    class: "timeline",
    xmlns: "http://www.w3.org/2000/svg",
    width,
    height: height + head,
    viewBox: `0 ${-head} ${width} ${height + head}`,
    style: "font: 11px system-ui, 'DejaVu Sans', sans-serif",
  });
  setAll(svg.insert("rect", ":first-child"),
    { y: -head, width, height: height + head, fill: "var(--paper)" });
  svg.insert("style", ":first-child").text(css);
  svg.insert("title", ":first-child").text(options.label);
  setAll(svg.append("text"), { class: "group-name", x: 2, y: 14 - head, "font-size": 13 })
    .text(options.label);
  for (const { name, text, path, x, row } of legend) {
    const entry = svg.append("g").attr("transform", `translate(${x},${24 - head + 15 * row})`);
    if (path) setAll(entry.append("path"), { class: name, d: path });
    else setAll(entry.append("rect"), { class: `swatch ${name}`, y: 1, width: 18, height: 10 });
    entry.append("text").attr("x", 23).attr("y", 10).text(text);
  }
  return new XMLSerializer().serializeToString(svg.node());
}

// The entries of a legend, each behind the one before as long as there is room in the row.
function inRows(entries, width) {
  let [x, row] = [2, 0];
  return entries.map(([name, text, path]) => {
    const wide = 23 + text.length * LETTER + 14;
    if (x > 2 && x + wide > width) [x, row] = [2, row + 1];
    x += wide;
    return { name, text, path, x: x - wide, row };
  });
}
