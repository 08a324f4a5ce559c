/** A foreign client is a program that is told what to do by lines of JSON, and answers each with one line. */
import { createInterface } from "node:readline";

/**
 * Answer every line `{"do": COMMAND, ...arguments}` with what that command returns, or with `{"error": TEXT}`.
 *
 * @param {Record<string, (given: any) => unknown>} commands
 */
export function serve(commands) {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const { do: name, ...given } = JSON.parse(line);
    let answer;
    try {
      answer = (await commands[name](given)) ?? {};
    } catch (error) {
      answer = { error: String(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  });
  lines.on("close", () => process.exit(0));
}
