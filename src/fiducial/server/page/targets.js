/**
 * Targets: what a model wrote or a person drew, as plain values that are never changed in place.
 *
 * A target is {id, label, score, box, points, kinds, wrote}: box x1, y1, x2, y2 in pixels of the image or null, points
 * [x, y], kinds 1 (on the target) or 0 (beside it), and what the model wrote of it, or null for one that a person drew.
 */

const SMALLEST = 1; // pixels: no box is thinner
let made = 0;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const tenth = (value) => Math.round(value * 10) / 10;

/** Make the target of a prompt in the server's JSON that a model wrote. */
export function written(prompt) {
  const { label, score, box, points } = prompt;
  const geometry = { label: label ?? null, box: box ?? null, points: points ?? [], kinds: prompt.point_labels ?? [] };
  return { id: ++made, score: score ?? null, ...geometry, wrote: geometry };
}

/** Make a target that a person draws. */
export function drawn({ label = null, box = null, points = [], kinds = [] }) {
  return { id: ++made, label, score: null, box, points, kinds, wrote: null };
}

/** Return the prompt in the server's JSON. */
export const asPrompt = ({ label, score, box, points, kinds }) => ({ label, score, box, points, point_labels: kinds });

/** Return what tells whether two targets give the same mask. */
export const geometryOf = ({ box, points, kinds }) => JSON.stringify([box, points, kinds]);

/** Return whether a target can be cut: it has a box or a point on it. */
export const canBeCut = ({ box, kinds }) => Boolean(box) || kinds.includes(1);

/**
 * Tell who each coordinate is from, "model" or "person": four edges x1, y1, x2, y2 and the points.
 *
 * A coordinate is the model's for as long as it has the value that the model wrote, so that putting one back by hand or
 * by undoing gives it back to the model.
 */
export function provenance(target) {
  const wrote = target.wrote;
  const who = (own) => (own ? "model" : "person");
  const same = (point, kind) => (other, place) =>
    other[0] === point[0] && other[1] === point[1] && wrote.kinds[place] === kind;
  return {
    box: target.box ? target.box.map((edge, side) => who(wrote?.box?.[side] === edge)) : null,
    points: target.points.map((point, place) => who(Boolean(wrote?.points.some(same(point, target.kinds[place]))))),
    label: who(Boolean(wrote) && wrote.label === target.label),
  };
}

/** Return in few words who made a target what it is. */
export function origin(target) {
  if (!target.wrote) return "drawn by you";
  const { box, points } = provenance(target);
  const lost = (target.wrote.box && !target.box) || target.points.length < target.wrote.points.length;
  const moved = [...(box ?? []), ...points].includes("person") || lost;
  return moved ? "moved by you" : "model";
}

/** Move some edges of a box; part is made of the letters n, e, s, w. */
export function moveEdges(target, part, dx, dy, image) {
  let [x1, y1, x2, y2] = target.box;
  if (part.includes("w")) x1 = tenth(clamp(x1 + dx, 0, x2 - SMALLEST));
  if (part.includes("e")) x2 = tenth(clamp(x2 + dx, x1 + SMALLEST, image.width));
  if (part.includes("n")) y1 = tenth(clamp(y1 + dy, 0, y2 - SMALLEST));
  if (part.includes("s")) y2 = tenth(clamp(y2 + dy, y1 + SMALLEST, image.height));
  return { ...target, box: [x1, y1, x2, y2] };
}

/** Move box and points together, as far as the image goes. */
export function moveWhole(target, dx, dy, image) {
  const xs = [...(target.box ? [target.box[0], target.box[2]] : []), ...target.points.map(([x]) => x)];
  const ys = [...(target.box ? [target.box[1], target.box[3]] : []), ...target.points.map(([, y]) => y)];
  const x = clamp(dx, -Math.min(...xs), image.width - Math.max(...xs));
  const y = clamp(dy, -Math.min(...ys), image.height - Math.max(...ys));
  return {
    ...target,
    box: target.box && [target.box[0] + x, target.box[1] + y, target.box[2] + x, target.box[3] + y].map(tenth),
    points: target.points.map((point) => [tenth(point[0] + x), tenth(point[1] + y)]),
  };
}

/** Move one point. */
export function movePoint(target, place, dx, dy, image) {
  const points = target.points.map((point, number) =>
    number === place
      ? [tenth(clamp(point[0] + dx, 0, image.width)), tenth(clamp(point[1] + dy, 0, image.height))]
      : point,
  );
  return { ...target, points };
}

/** Add a point, on the target (1) or beside it (0). */
export const addPoint = (target, [x, y], kind) => ({
  ...target,
  points: [...target.points, [tenth(x), tenth(y)]],
  kinds: [...target.kinds, kind],
});

/** Take a point away; null where nothing is left to cut by. */
export function removePoint(target, place) {
  const kept = (_, number) => number !== place;
  const left = { ...target, points: target.points.filter(kept), kinds: target.kinds.filter(kept) };
  return canBeCut(left) ? left : null;
}

/** Turn a point on the target into one beside it, and back. */
export const flipPoint = (target, place) => ({
  ...target,
  kinds: target.kinds.map((kind, number) => (number === place ? 1 - kind : kind)),
});

/** Return a box x1, y1, x2, y2 of two opposite corners inside the image, at least a pixel wide and high. */
export function boxOf([ax, ay], [bx, by], image) {
  const span = (a, b, size) => {
    const low = tenth(clamp(Math.min(a, b), 0, size - SMALLEST));
    return [low, tenth(clamp(Math.max(a, b), low + SMALLEST, size))];
  };
  const [x1, x2] = span(ax, bx, image.width);
  const [y1, y2] = span(ay, by, image.height);
  return [x1, y1, x2, y2];
}

/**
 * Take over what a person changed in a text: what reads as before keeps its value, which text may have rounded.
 *
 * @param targets as they are
 * @param before prompts, as the text read before it was changed; one per target
 * @param after prompts, as it reads now
 */
export function takeOver(targets, before, after) {
  const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
  return after.map((prompt, number) => {
    const [target, was] = [targets[number], before[number]];
    if (!target || !was) return drawn({ ...prompt, kinds: prompt.point_labels });
    const box = same(prompt.box, was.box)
      ? target.box
      : prompt.box?.map((edge, side) => (was.box && target.box && edge === was.box[side] ? target.box[side] : edge));
    const unmoved = same(prompt.points, was.points) && same(prompt.point_labels, was.point_labels);
    const points = unmoved ? target.points : prompt.points;
    const kinds = unmoved ? target.kinds : prompt.point_labels;
    const label = same(prompt.label, was.label) ? target.label : prompt.label;
    return { ...target, label: label ?? null, box: box ?? null, points, kinds };
  });
}
