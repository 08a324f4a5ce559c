/**
 * What a page's own descriptions say about Opus (RFC 7587), so that music is carried as music: in stereo, and with as many bits as it
 * takes. Who sends music says `sprop-stereo=1`; who hears that answers `stereo=1` and a rate, and only then do browsers send two
 * channels. Only the first audio section counts, the microphone's. Pure.
 */

/** Bit/s for a stereo signal in which no difference is heard (RFC 6716 section 2.1.1 has 64 to 128 kbit/s for music). */
const MUSIC_RATE = 192_000;
const HEARS = ["stereo=1", `maxaveragebitrate=${MUSIC_RATE}`];
const SENDS = "sprop-stereo=1";

/**
 * @param {string} sdp that this page is about to take as its own
 * @param {{sends: boolean, receives: boolean}} music whether this page sends music, and whether the other one does
 */
export function withMusic(sdp, { sends, receives }) {
  const more = [...(receives ? HEARS : []), ...(sends ? [SENDS] : [])];
  return inFirstAudio(sdp, (section) => {
    const type = opusIn(section);
    return type === null ? section : withParameters(section, type, more);
  });
}

/**
 * Whether the one who made a description sends music.
 *
 * @param {string | undefined} sdp
 */
export function sendsMusic(sdp) {
  let found = false;
  inFirstAudio(sdp ?? "", (section) => {
    const type = opusIn(section);
    const line = section.split("\r\n").find((one) => one.startsWith(`a=fmtp:${type} `)) ?? "";
    found = /[ ;]sprop-stereo=1(?:;|\s|$)/.test(line);
    return section;
  });
  return found;
}

/**
 * @param {string} sdp
 * @param {(section: string) => string} change
 */
function inFirstAudio(sdp, change) {
  const sections = sdp.split(/(?=^m=)/m);
  const index = sections.findIndex((section) => section.startsWith("m=audio "));
  if (index >= 0) sections[index] = change(sections[index]);
  return sections.join("");
}

/** @param {string} section @returns {string | null} the payload type of Opus there */
function opusIn(section) {
  return /^a=rtpmap:(\d+) opus\/48000\/2\r?$/im.exec(section)?.[1] ?? null;
}

/**
 * What was said of music before is dropped: Chromium repeats it.
 *
 * @param {string} section
 * @param {string} type
 * @param {string[]} more parameters
 */
function withParameters(section, type, more) {
  const begin = `a=fmtp:${type} `;
  const lines = section.split("\r\n");
  const at = lines.findIndex((line) => line.startsWith(begin));
  if (at >= 0) {
    const given = lines[at].slice(begin.length).split(";");
    // Firefox always says `stereo=1`, of its own accord.
    const ours = given.includes(HEARS[1]) ? [SENDS, ...HEARS] : [SENDS];
    lines[at] = begin + [...given.filter((one) => !ours.includes(one)), ...more].join(";");
  } else if (more.length) {
    const behind = lines.findIndex((line) => line.startsWith(`a=rtpmap:${type} `));
    lines.splice(behind + 1, 0, begin + more.join(";"));
  }
  return lines.join("\r\n");
}
