/** Whether the user of this browser has looked at camera and sound before. No DOM. */

const CHECKED = "call-relay.devices-checked";

export function devicesChecked() {
  try {
    return localStorage.getItem(CHECKED) !== null;
  } catch {
    return true; // it would ask for ever
  }
}

export function noteDevicesChecked() {
  try {
    localStorage.setItem(CHECKED, "yes");
  } catch {
    // as above
  }
}
