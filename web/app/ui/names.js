/** What profiles are called. */

/**
 * `Student`, for `student`.
 *
 * @param {string} type
 */
export function typeText(type) {
  return type.charAt(0).toUpperCase() + type.slice(1);
}

/**
 * What to call a person whose name the server does not know.
 *
 * @param {import("../../client/model.js").Person} person
 */
export function nameOf({ name, type, id }) {
  return name || `${typeText(type)} ${id}`;
}

/**
 * The name that is short enough to be said in a sentence.
 *
 * @param {string} name
 */
export function shortName(name) {
  return name.trim().split(/\s+/u)[0] || name;
}
