// ---- a prediction and its reasons, in words

const LABELS = ["no spasm", "spasm"];
const WEIGHTS = [[0.999, "all of the weight"], [0.5, "most of the weight"], [0.25, "much of the weight"], [0.1, "some of the weight"], [0, "little weight"]];
const SHOWN_REASONS = 4;  // the others are folded

function outcomeWord(segment) {
  if (segment.label === null) return "";
  if (segment.label === segment.predicted) return segment.label ? "found" : "correct";
  return segment.label ? "missed" : "false alarm";
}
function verdict(segment) {
  const truth = segment.label === null ? "" : `; true label: ${LABELS[segment.label]}: ${outcomeWord(segment)}`;
  if (segment.too_little_seen) return `No prediction: too little was seen${truth && `; counted as ${LABELS[segment.predicted]}${truth.replace(";", ",")}`}`;
  return `Predicted: ${LABELS[segment.predicted]}, probability ${fixed(segment.probability)} (threshold ${fixed(segment.threshold)})${truth}`;
}
// What else is known of a segment, a sentence each.
function remarks(segment) {
  const lines = [];
  if (segment.note) lines.push(`${segment.note[0].toUpperCase()}${segment.note.slice(1)}.`);
  if (segment.fold !== null) lines.push(`Predicted by the models of fold ${segment.fold}, which were trained without this child.`);
  if (!segment.player) return lines;
  if (segment.pose_fraction > 0 && segment.pose_fraction < 1 && !segment.too_little_seen) {
    lines.push(`${percent(segment.pose_fraction)} of frames have a pose${segment.pose_fraction < 0.5 ? ": thin evidence" : ""}.`);
  }
  if (segment.missing_event_fraction) {
    const hidden = segment.missing_event_fraction > 0.5 ? ": the models could hardly find it" : "";
    lines.push(`${percent(segment.missing_event_fraction)} of the true event has no pose${hidden}.`);
  }
  if (segment.events.length && segment.label === 0) lines.push("Too little of the true event lies inside this segment for the label of a spasm.");
  return lines;
}
const summarize = (segment) => [`${verdict(segment)}.`, ...remarks(segment)].join(" ");

function showVerdict(place, segment) {
  const [predicted, truth] = verdict(segment).split("; "), word = outcomeWord(segment);
  place.replaceChildren(create("span", "", predicted));
  if (truth) place.append("; ", create("span", "", truth.slice(0, -word.length)), create("b", `verdict-word ${word.replace(" ", "-")}`, word));
}
function showRemarks(place, segment) { place.replaceChildren(...remarks(segment).map((line) => create("li", "", line))); }

function bar(name, value, segment, weight) {
  const track = create("span", "bar"), inner = create("i"), mark = create("b");
  inner.style.width = `${100 * value}%`;
  mark.style.left = `${100 * segment.threshold}%`;
  track.append(inner);
  if (!weight) track.append(mark);  // the threshold is that of the blend
  const label = create("span", "bar-name", name);
  if (weight) label.append(create("small", "", weight));
  return [label, track, create("span", "bar-value", fixed(value))];
}
function showModels(place, segment) {
  place.replaceChildren();
  if (!segment.models.length || segment.too_little_seen) return;
  const bars = create("div", "bars");
  bars.append(...bar("prediction", segment.probability, segment, ""));
  segment.models.forEach((value, number) => {
    const { name, weight } = page.models[number], words = WEIGHTS.find(([least]) => weight >= least)[1];
    bars.append(...bar(name, value, segment, `${words} (${percent(weight)})`));
  });
  place.append(create("h4", "", "Probability of a spasm: prediction and single models"), bars);
  const again = segment.models.length > 1 ? "The blend is calibrated again, so the prediction can lie outside the range of its models. " : "";
  place.append(create("p", "small", `${again}The line in the first bar is the threshold.`));
}
function showReasons(place, segment) {
  place.replaceChildren();
  const model = page.models.find((one) => one.has_features);
  if (!model || segment.too_little_seen) return;
  if (!segment.reasons.length) { place.append(create("p", "small", `${model.name} found nothing to weigh.`)); return; }
  const items = segment.reasons.map(([phrase, level, value, strength, contribution, similar]) => {
    const [short, whole] = page.phrases[phrase].map((text) => text[0].toUpperCase() + text.slice(1));
    const item = create("li", contribution > 0 ? "for" : "against"), details = create("details");
    const summary = create("summary", "", unbroken(`${short}: ${level}, `));
    summary.append(create("b", "", `${strength} ${contribution > 0 ? "for" : "against"} a spasm`));
    const together = similar ? `, together with ${similar} similar feature${similar > 1 ? "s" : ""}` : "";
    const numbers = `${value.replace("-", "−")}. Adds ${contribution > 0 ? "+" : ""}${fixed(contribution)} to the log-odds of a spasm${together}.`;
    details.append(summary, create("p", "small", `${unbroken(whole)}: ${numbers}`));
    item.append(details);
    return item;
  });
  const list = create("ul", "reason-list"), rest = items.slice(SHOWN_REASONS);
  list.append(...items.slice(0, SHOWN_REASONS));
  place.append(create("h4", "", `Reasons of ${model.name}, ${percent(model.weight)} of the weight, which alone predicts ${fixed(segment.models[page.models.indexOf(model)])}`), list);
  if (!rest.length) return;
  const more = create("details", "more"), others = create("ul", "reason-list");
  others.append(...rest);
  more.append(create("summary", "", `show ${rest.length} more`), others);
  place.append(more);
}
