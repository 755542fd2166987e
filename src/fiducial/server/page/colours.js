/** One colour per target, as the overlays of the Python package have them; a test holds the two together. */

export const PALETTE = (
  "56b4e9 e69f00 009e73 cc79a7 f0e442 d55e00 0072b2 8800ff bbee99 881100 66ffff 663355 " +
  "ee1155 2233aa ccaa55 8877ff 99eecc 553377 446633 ddee77 ff8899 885588 6655ee 8899ff"
).split(" ");

/** Return the colour of the target with this number, counted from 0, as #rrggbb. */
export const colourOf = (number) => `#${PALETTE[number % PALETTE.length]}`;

/** Return red, green, blue in 0..255. */
export const channels = (colour) => [1, 3, 5].map((place) => parseInt(colour.slice(place, place + 2), 16));

/** Return black or white, whichever reads better on a colour (relative luminance, WCAG 2). */
export function readableOn(colour) {
  const [red, green, blue] = channels(colour).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return (luminance + 0.05) ** 2 > 1.05 * 0.05 ? "#000000" : "#ffffff";
}
