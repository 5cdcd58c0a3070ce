// The shapes as Restate invocations; prints their times in ms per step or run as JSON.
const url = `http://127.0.0.1:${process.argv[2]}/compare/steps`;

async function steps(count) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(count),
  });
  if (!answer.ok) throw new Error(await answer.text());
  await answer.json();
}

// The next begins when the one before has ended.
async function inTurn(count) {
  for (let n = 0; n < count; n += 1) await steps(1);
}

// All are asked for, then all awaited.
async function atOnce(count) {
  await Promise.all(Array.from({ length: count }, () => steps(1)));
}

// Once unmeasured.
async function measure(work, count, repeats) {
  const times = [];
  for (let n = 0; n <= repeats; n += 1) {
    const began = performance.now();
    await work(count);
    times.push((performance.now() - began) / count);
  }
  return times.slice(1);
}

const results = {
  "40 steps": await measure(steps, 40, 9),
  "1000 steps": await measure(steps, 1000, 3),
  "runs in turn": await measure(inTurn, 1000, 2),
  "runs at once": await measure(atOnce, 1000, 2),
};
console.log(JSON.stringify(results));
