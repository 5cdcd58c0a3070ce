// The handler that Restate calls: so many steps, each recorded before the next.
// The kit wants Node 22 for this one function, which older ones can have, too.
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new this((yes, no) => ([resolve, reject] = [yes, no]));
  return { promise, resolve, reject };
};
import * as restate from "@restatedev/restate-sdk";

const compare = restate.service({
  name: "compare",
  handlers: {
    steps: async (ctx, count) => {
      for (let n = 0; n < count; n += 1) await ctx.run(`s${n}`, () => n);
      return count;
    },
  },
});

restate.serve({ services: [compare], port: Number(process.argv[2]) });
