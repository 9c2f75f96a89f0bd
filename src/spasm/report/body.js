// ---- the body of a pose, from the tables of body_drawing.py: every part is the outline around a few discs

const CORNERS = Array.from({ length: 24 }, (_, k) => [Math.cos((k * Math.PI) / 12), Math.sin((k * Math.PI) / 12)]);

// The corners of the convex hull of points (Andrew's monotone chain).
function convexHull(points) {
  points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const chain = (ordered) => {
    const kept = [];
    for (const point of ordered) {
      while (kept.length > 1) {
        const [x1, y1] = kept[kept.length - 2], [x2, y2] = kept[kept.length - 1];
        if ((x2 - x1) * (point[1] - y1) - (y2 - y1) * (point[0] - x1) > 0) break;
        kept.pop();
      }
      kept.push(point);
    }
    kept.pop();
    return kept;
  };
  const upper = chain(points);
  return upper.concat(chain(points.reverse()));
}
function trace(pen, discs) {
  const corners = discs.flatMap(([x, y, radius]) => CORNERS.map(([across, down]) => [x + radius * across, y + radius * down]));
  pen.beginPath();
  convexHull(corners).forEach(([x, y], number) => (number ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.closePath();
}
// A colour "#rrggbb" with a fraction of another one.
function blend(name, other, fraction) {
  const channels = [1, 3, 5].map((at) => [name, other].map((text) => parseInt(text.slice(at, at + 2), 16)));
  return `rgb(${channels.map(([a, b]) => Math.round(a + (b - a) * fraction)).join(",")})`;
}

// The body in one frame. at(landmark): its place on the canvas, the last known one while it is missing;
// state(landmark): 2 found, 1 missing, 0 never found so far; depth(landmark): in body sizes behind the trunk;
// size: of the body, in pixels.
function drawBody(pen, at, state, depth, size) {
  const tables = page.body, paper = colour("--paper"), missing = colour("--faint");
  const fills = Object.fromEntries(["left", "right", "middle"].map((side) => [side, colour(`--body-${side}`)]));
  const weights = (point) => (point < JOINTS ? [[point, 1]] : tables.points[point - JOINTS]);
  const mean = (point, value) => weights(point).reduce((sum, [landmark, weight]) => sum + weight * value(landmark), 0);
  const parts = tables.parts.map(([name, side, points, diameters]) => ({
    side, diameters,
    discs: points.map((point, k) => [mean(point, (i) => at(i)[0]), mean(point, (i) => at(i)[1]), (size * diameters[k]) / 2]),
    state: Math.min(...points.flatMap(weights).map(([landmark]) => state(landmark))),
    depth: points.reduce((sum, point) => sum + mean(point, depth), 0) / points.length,
    order: name === "neck" ? Infinity : 0,
  }));
  parts.forEach((part) => { part.order ||= part.depth; });
  parts.sort((a, b) => (a.order === b.order ? 0 : b.order - a.order));  // the nearer hides the farther
  pen.lineJoin = "round";
  for (const { side, diameters, discs, state: known, depth: behind } of parts) {
    if (known === 0) continue;
    trace(pen, discs);
    if (known === 1) {
      pen.fillStyle = paper; pen.strokeStyle = missing; pen.lineWidth = 1.2; pen.setLineDash([4, 4]);
      pen.fill(); pen.stroke(); pen.setLineDash([]);
      continue;
    }
    const nearness = clamp(-behind / tables.depth_range, -1, 1);
    pen.fillStyle = blend(fills[side], paper, (tables.far_tint * (1 - nearness)) / 2);
    pen.strokeStyle = paper; pen.lineWidth = 1.5;
    pen.fill(); pen.stroke();
    if (side !== "right") continue;
    const radius = (tables.stripe * size * Math.min(...diameters)) / 2;
    trace(pen, [discs[0], discs[discs.length - 1]].map(([x, y]) => [x, y, radius]));
    pen.globalAlpha = 0.8; pen.fillStyle = paper; pen.fill(); pen.globalAlpha = 1;
  }
}
